"""Stage 6 under a key: which cells a sealed answer lists, and, at the recipient, from opened words to values.

Reveals:
    At the gateway: nothing beyond labels and marks. At the recipient: the released values.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.combine.released import digest
from middleplatform.combine.values import by_labels, cells_table
from middleplatform.model.plan import Layout, SumWord
from middleplatform.model.query import Field
from middleplatform.model.result import Release
from middleplatform.model.sealed import SealedAnswer, SealedColumn

__all__ = ["cell_numbers", "label_json", "opened", "places"]

_NAMELESS = Field("", "")
_DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
_TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
}
_READ: Mapping[str, Callable[[Any], object]] = {"date": date.fromisoformat, "decimal": Decimal}


def cell_numbers(cells: pa.Table, layout: Layout, mark_prefix: str) -> pa.Table:
    """Return the cells as the statement above the boundary reads them, each value replaced by its cell's number.

    Args:
        cells: Labels ``d*``, ``ml`` and marks ``m*``.
        layout: Of the block.
        mark_prefix: As in ``cells_table``.
    """
    numbers = pa.array(range(cells.num_rows), pa.int64())
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name in cells.column_names:
        if name.startswith("d"):
            columns[name] = cells[name]
            columns[mark_prefix + name] = cells["ml"]
    for index in range(len(layout.formulas)):
        mark = cells[f"m{index}"]
        columns[f"a{index}"] = pc.if_else(pc.is_null(mark), numbers, pa.scalar(None, pa.int64()))
        columns[f"{mark_prefix}a{index}"] = mark
    return by_labels(pa.table(columns))


def places(values: pa.Table, sources: Sequence[str]) -> tuple[int, ...]:
    """Return, for each output row, the number of its cell, or -1 where all its values are withheld."""
    found = [-1] * values.num_rows
    for column, source in zip(values.columns, sources, strict=True):
        if source.startswith("a"):
            found = [
                there if number is None else int(number)
                for there, number in zip(found, column.to_pylist(), strict=True)
            ]
    return tuple(found)


def label_json(column: pa.ChunkedArray) -> tuple[str, tuple[object, ...]]:
    """Return a label column's type and values as a sealed answer writes them.

    Raises:
        ValueError: A type that no label has.
    """
    kind = column.type
    if pa.types.is_decimal128(kind):
        texts = [None if each is None else format(each, "f") for each in column.to_pylist()]
        return f"decimal({kind.precision},{kind.scale})", tuple(texts)
    for name, known in _TYPES.items():
        if kind == known:
            values = column.to_pylist()
            if name == "date":
                values = [None if each is None else each.isoformat() for each in values]
            return name, tuple(values)
    raise ValueError("a label of an unknown type")


def opened(
    answer: SealedAnswer,
    words: Mapping[str, pa.Array],
    withheld: tuple[Any, ...] = (),
    notes: tuple[tuple[str, str], ...] = (),
) -> Release:
    """Return the release that a sealed answer stands for; the same bytes as a plain answer would have.

    Args:
        answer: What was opened.
        words: Its words by name, one element a cell.
        withheld: Summary for the release.
        notes: Of the answer.

    Raises:
        ValueError: Labels do not fit their types, or a formula reads a word that is not there.
    """
    values = _values(answer, words)
    columns, marks = [], []
    where = pa.array([None if row < 0 else row for row in answer.rows], pa.int64())
    for column in answer.columns:
        mark = pa.array(column.marks, pa.string())
        value = (
            _labels(column) if column.source.startswith("d") else values[column.source].take(where)
        )
        if isinstance(value, pa.ChunkedArray):
            value = value.combine_chunks()
        columns.append(pc.if_else(pc.is_null(mark), value, pa.scalar(None, value.type)))
        marks.append(mark)
    names = [column.name for column in answer.columns]
    table, marked = pa.table(columns, names=names), pa.table(marks, names=names)
    return Release(table, marked, withheld, notes, digest(table, marked))


def _values(answer: SealedAnswer, words: Mapping[str, pa.Array]) -> pa.Table:
    layout = Layout(
        unit=_NAMELESS,
        populations=(),
        sums=tuple(SumWord(_NAMELESS, 0, scale) for scale in answer.sums),
        squares=(),
        keys=(),
        others=(),
        formulas=answer.formulas,
    )
    read = {name for formula in answer.formulas for name in layout.words(formula)}
    if not read <= words.keys():
        raise ValueError("a formula reads a word that was not sealed")
    free = pa.nulls(answer.cells, pa.string())
    marks = {f"m{index}": free for index in range(len(answer.formulas))}
    return cells_table(pa.table({**words, **marks}), layout, "mark_")


def _labels(column: SealedColumn) -> pa.Array:
    form = _DECIMAL.fullmatch(column.type)
    kind = pa.decimal128(int(form[1]), int(form[2])) if form else _TYPES.get(column.type)
    if kind is None:
        raise ValueError("a label of an unknown type")
    read = _READ.get(column.type.partition("(")[0])
    try:
        known = [each if each is None or read is None else read(each) for each in column.labels]
        return pa.array(known, kind)
    except (pa.ArrowException, ArithmeticError, TypeError):
        raise ValueError("labels do not fit their type") from None
