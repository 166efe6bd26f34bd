"""An answer as pages and files need it, whichever gateway got it."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from middleplatform.access import shapes
from middleplatform.model.result import Answer, Release
from middleplatform.web import arrow
from middleplatform.web.jobs import Job, KeptAnswer

__all__ = ["Answered", "answered", "answered_of", "received"]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer.

    Attributes:
        release: Values, marks, half widths; its summary and notes stand in ``head``.
        head: All of an answer but its rows, as REST gives it (``access.shapes.answer_head``).
        sealed: Whether its values are encrypted: then nothing of them is here.
        document: Gives the whole answer as REST does, as JSON: what a recipient opens a sealed one from.
    """

    release: Release
    head: Mapping[str, Any]
    sealed: bool = False
    document: Callable[[], str] = field(default=str, compare=False)

    def text(self) -> str:
        """Return the head as JSON: what a file beside the table says."""
        return json.dumps(self.head, ensure_ascii=False, allow_nan=False, indent=1)

    def table(self) -> pa.Table:
        """Return values, marks and half widths as one table, the head in its metadata."""
        head = json.dumps(self.head, ensure_ascii=False, allow_nan=False)
        return arrow.joined(self.release, head)


def answered_of(job: Job) -> Answered | None:
    """Return the answer of a question, or None while there is none."""
    if job.answer is not None:
        return answered(job.answer)
    return None if job.kept is None else received(job.kept)


def answered(answer: Answer) -> Answered:
    """Return an answer that this gateway got."""

    def document() -> str:
        return json.dumps(shapes.answer(answer), ensure_ascii=False, allow_nan=False)

    head = shapes.answer_head(answer)
    return Answered(answer.release, head, answer.sealed is not None, document)


def received(kept: KeptAnswer) -> Answered:
    """Return an answer that another gateway got, from the forms in which it was kept."""
    head = cast("dict[str, Any]", json.loads(kept.document))
    rows, suppressed = head.pop("rows"), head.pop("suppressed")
    head.pop("intervals", None)
    sealed = head.pop("sealed", None) is not None
    if kept.stream is None:
        return Answered(_labels(head, rows, suppressed), head, sealed, lambda: kept.document)
    with pa.ipc.open_stream(io.BytesIO(kept.stream)) as reader:
        table = reader.read_all()
    count = len(head["columns"])
    names = table.column_names[:count]
    marks = _named(table, range(count, 2 * count), names)
    intervals = None
    if table.num_columns > 2 * count:
        halves = [table.column(place) for place in range(2 * count, 3 * count)]
        told = [pa.nulls(len(each)) if each.null_count == len(each) else each for each in halves]
        intervals = pa.Table.from_arrays(told, names=names)
    values = _named(table, range(count), names)
    release = Release(values, marks, (), (), head["result_digest"], intervals)
    return Answered(release, head, sealed, lambda: kept.document)


def _named(table: pa.Table, places: range, names: list[str]) -> pa.Table:
    return pa.Table.from_arrays([table.column(place) for place in places], names=names)


def _labels(
    head: Mapping[str, Any], rows: list[list[object]], suppressed: list[dict[str, Any]]
) -> Release:
    """Return what a sealed answer shows: labels as texts, and marks."""
    names = [each["name"] for each in head["columns"]]
    values = [
        pa.array([None if row[place] is None else str(row[place]) for row in rows], pa.string())
        for place in range(len(names))
    ]
    marks: list[list[str | None]] = [[None] * len(rows) for _ in names]
    for each in suppressed:
        marks[each["column"]][each["row"]] = each["reason"]
    told = [pa.array(each, pa.string()) for each in marks]
    return Release(
        pa.Table.from_arrays(values, names=names), pa.Table.from_arrays(told, names=names),
        (), (), head["result_digest"],
    )  # fmt: skip
