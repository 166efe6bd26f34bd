"""The part of a scan that runs on the cluster: a kernel between exact columns.

It reaches workers by value, with the modules named in ``TRAVELS``: workers have ``pyarrow``, and not
this package. An error of ours arrives back as text only; its class and kind stand in it.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pyarrow as pa

from connectors import results, spi

__all__ = ["TRAVELS", "beside", "carried"]

TRAVELS = (results, spi)
"""Modules of ours that this one uses on a worker."""

_Batches: TypeAlias = Iterator[pa.RecordBatch]


def carried(result: pa.Schema) -> pa.Schema:
    """Return ``result`` as Spark can carry it: it has no binary of fixed width."""
    return pa.schema(
        [pa.field(item.name, pa.binary() if _is_fixed(item.type) else item.type) for item in result]
    )


def beside(
    kernel: Callable[[_Batches], _Batches], rows: pa.Schema, result: pa.Schema
) -> Callable[[_Batches], _Batches]:
    """Return ``kernel`` for a worker: it sees exactly ``rows``, and must yield exactly ``result``.

    Args:
        kernel: Of the caller.
        rows: What the kernel is to see, whatever width Spark has for a number.
        result: What the kernel says that it yields; it leaves as ``carried(result)``.
    """
    sent = carried(result)

    def run(batches: _Batches) -> _Batches:
        for batch in kernel(results.fitted_batch(batch, rows) for batch in batches):
            exact = results.fitted_batch(batch, result)
            columns = [
                column if column.type == item.type else column.cast(item.type)
                for column, item in zip(exact.columns, sent, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=sent)

    return run


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind))
