"""An answer as an Arrow IPC stream: values, then marks, then all else as metadata."""

import io
import json

import pyarrow as pa

from middleplatform.access import shapes
from middleplatform.model.result import Answer, Release

__all__ = ["MEDIA_TYPE", "joined", "stream", "table"]

MEDIA_TYPE = "application/vnd.apache.arrow.stream"


def stream(answer: Answer) -> bytes:
    """Return the stream of ``table``."""
    made = table(answer)
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, made.schema) as writer:
        writer.write_table(made)
    return buffer.getvalue()


def table(answer: Answer) -> pa.Table:
    """Return the answer as one table.

    The first half of the columns are the answer's, in order; the second half, named
    ``mark:<name>``, tell the reason of each withheld value. Those of a differentially private
    answer are followed by as many ``half_width:<name>``. The schema's metadata
    ``middleplatform`` is the JSON answer without its rows.
    """
    head = json.dumps(shapes.answer_head(answer), ensure_ascii=False, allow_nan=False)
    return joined(answer.release, head)


def joined(release: Release, head: str) -> pa.Table:
    """Return a release as one table, as ``table`` does, with ``head`` as its metadata."""
    marks = [column.cast(pa.string()) for column in release.marks.columns]
    names = release.table.column_names
    fields = [*release.table.schema, *(pa.field(f"mark:{name}", pa.string()) for name in names)]
    halves: list[pa.ChunkedArray] = []
    if release.intervals is not None:
        halves = [column.cast(pa.float64()) for column in release.intervals.columns]
        fields += [pa.field(f"half_width:{name}", pa.float64()) for name in names]
    schema = pa.schema(fields, {b"middleplatform": head.encode()})
    return pa.Table.from_arrays([*release.table.columns, *marks, *halves], schema=schema)
