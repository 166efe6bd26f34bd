"""Stage 6: from words to aggregates, exactly.

Sums, means and variances are put together from whole numbers in Python integers and fractions; a value is rounded
once, at its end, when it leaves the exact numbers.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction

import pyarrow as pa

from middleplatform.model.plan import Formula, Layout, Part
from middleplatform.model.query import AggregateKind

__all__ = ["by_labels", "cells_table"]

_FINITE = 38
_EXACT = Context(prec=100)


def cells_table(released: pa.Table, layout: Layout, mark_prefix: str) -> pa.Table:
    """Return the cells of a block as the statement above the boundary reads them.

    Args:
        released: Labels ``d*``, words, marks ``m*`` and ``ml``, as a node releases them.
        layout: Of the words.
        mark_prefix: Put before a column's name to name its mark column.

    Returns:
        Columns ``d*``, ``a*`` and a mark column for each, in the order of the labels: rounds give cells in a secret
        order, and the same question is to have the same answer.

    Reveals:
        Nothing beyond ``released``.
    """
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name in released.column_names:
        if name.startswith("d"):
            columns[name] = released[name]
            columns[mark_prefix + name] = released["ml"]
    for index, formula in enumerate(layout.formulas):
        marks = released[f"m{index}"].to_pylist()
        columns[f"a{index}"] = _column(formula, layout, released, [mark is None for mark in marks])
        columns[f"{mark_prefix}a{index}"] = pa.array(marks, pa.string())
    return by_labels(pa.table(columns))


def by_labels(cells: pa.Table) -> pa.Table:
    """Return cells in the order of their labels ``d0`` ..., missing ones last.

    Reveals:
        Nothing.
    """
    order = [(name, "ascending") for name in cells.column_names if name[0] == "d"]
    return cells.sort_by(order) if order else cells


def _column(formula: Formula, layout: Layout, released: pa.Table, free: Sequence[bool]) -> pa.Array:
    words = {name: _integers(released[name]) for name in layout.words(formula)}
    value = _VALUES[formula.kind]
    found = [
        value(formula, layout, words, row) if free[row] else None
        for row in range(released.num_rows)
    ]
    return _typed(formula, found)


def _integers(column: pa.ChunkedArray) -> list[int | None]:
    """Return a word column as integers in units of its last decimal place."""
    scale = column.type.scale if pa.types.is_decimal(column.type) else 0
    return [
        None
        if value is None
        else int(value.scaleb(scale, _EXACT))
        if isinstance(value, Decimal)
        else int(value)
        for value in column.to_pylist()
    ]


Words = dict[str, list[int | None]]


def _word(words: Words, name: str, row: int) -> int:
    return words[name][row] or 0


def _rows(formula: Formula, words: Words, row: int) -> int:
    return sum(_word(words, f"rows_{part.population}", row) for part in formula.parts)


def _total(formula: Formula, layout: Layout, words: Words, row: int) -> Fraction:
    return sum((_part(part, layout, words, row) for part in formula.parts), Fraction(0))


def _part(part: Part, layout: Layout, words: Words, row: int) -> Fraction:
    total = part.constant * _word(words, f"rows_{part.population}", row)
    for coefficient, number in part.terms:
        total += coefficient * Fraction(
            _word(words, f"sum_{number}", row), 10 ** layout.sums[number].scale
        )
    return total


def _count(formula: Formula, layout: Layout, words: Words, row: int) -> int:
    del layout
    return _rows(formula, words, row)


def _count_distinct(formula: Formula, layout: Layout, words: Words, row: int) -> int:
    return _word(words, layout.words(formula)[0], row)


def _sum(formula: Formula, layout: Layout, words: Words, row: int) -> Fraction | None:
    return _total(formula, layout, words, row) if _rows(formula, words, row) else None


def _avg(formula: Formula, layout: Layout, words: Words, row: int) -> float | None:
    rows = _rows(formula, words, row)
    return float(_total(formula, layout, words, row) / rows) if rows else None


def _variance(formula: Formula, layout: Layout, words: Words, row: int) -> Fraction | None:
    (part,) = formula.parts
    ((coefficient, number),) = part.terms
    rows = _word(words, f"rows_{part.population}", row)
    degrees = (
        rows - 1 if formula.kind in (AggregateKind.VAR_SAMP, AggregateKind.STDDEV_SAMP) else rows
    )
    if degrees < 1:
        return None
    total, squares = _word(words, f"sum_{number}", row), _word(words, f"sq_{number}", row)
    spread = Fraction(
        rows * squares - total * total, rows * degrees * 100 ** layout.sums[number].scale
    )
    return coefficient * coefficient * spread


def _var(formula: Formula, layout: Layout, words: Words, row: int) -> float | None:
    spread = _variance(formula, layout, words, row)
    return None if spread is None else float(spread)


def _stddev(formula: Formula, layout: Layout, words: Words, row: int) -> float | None:
    spread = _variance(formula, layout, words, row)
    return None if spread is None else math.sqrt(spread)


_VALUES: dict[
    AggregateKind, Callable[[Formula, Layout, Words, int], int | Fraction | float | None]
] = {
    AggregateKind.COUNT: _count,
    AggregateKind.COUNT_DISTINCT: _count_distinct,
    AggregateKind.SUM: _sum,
    AggregateKind.AVG: _avg,
    AggregateKind.VAR_SAMP: _var,
    AggregateKind.VAR_POP: _var,
    AggregateKind.STDDEV_SAMP: _stddev,
    AggregateKind.STDDEV_POP: _stddev,
}


def _typed(formula: Formula, values: Sequence[int | Fraction | float | None]) -> pa.Array:
    if formula.kind in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT):
        return pa.array(values, pa.int64())
    if formula.kind is not AggregateKind.SUM or formula.scale < 0:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    scale = formula.scale
    exact = [
        None if value is None else Decimal(int(Fraction(value) * 10**scale)).scaleb(-scale, _EXACT)
        for value in values
    ]
    return pa.array(exact, pa.decimal128(_FINITE, scale))
