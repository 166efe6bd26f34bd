"""The part of a scan that runs on the cluster: a kernel between exact columns.

It reaches workers by value: workers have ``pyarrow``, and not this package.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pyarrow as pa

__all__ = ["beside"]

_Batches: TypeAlias = Iterator[pa.RecordBatch]


def beside(
    kernel: Callable[[_Batches], _Batches], rows: pa.Schema, result: pa.Schema
) -> Callable[[_Batches], _Batches]:
    """Return ``kernel`` with its batches cast to ``rows``, and what it yields cast to ``result``.

    Args:
        kernel: Of the caller.
        rows: What the kernel is to see, whatever width Spark has for a number.
        result: What Spark can carry.
    """

    def exact(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        if batch.schema.equals(schema):
            return batch
        columns = [
            column if column.type == item.type else column.cast(item.type)
            for column, item in zip(batch.columns, schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def run(batches: _Batches) -> _Batches:
        for batch in kernel(exact(batch, rows) for batch in batches):
            yield exact(batch, result)

    return run
