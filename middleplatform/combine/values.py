"""Stage 6: from words to aggregates, exactly.

Sums, means and variances are put together from whole numbers, by columns of Python integers over one denominator; a
value is rounded once, at its end, when it leaves the exact numbers.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.model.plan import Formula, Layout
from middleplatform.model.query import AggregateKind

__all__ = ["by_labels", "cells_table"]

Integers = npt.NDArray[np.object_]
Flags = npt.NDArray[np.bool_]
Words = dict[str, Integers]

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
    shown = np.array(free, dtype=np.bool_)
    shown &= _DEFINED[formula.kind](formula, words)
    values: Integers = np.full(released.num_rows, None, dtype=object)
    values[shown] = _VALUES[formula.kind](
        formula, layout, {name: column[shown] for name, column in words.items()}
    )
    return _typed(formula, values)


def _integers(column: pa.ChunkedArray) -> Integers:
    """Return a word column as whole numbers of its last decimal place; what is missing counts nothing."""
    scale = column.type.scale if pa.types.is_decimal(column.type) else 0
    found = [
        0
        if value is None
        else int(value.scaleb(scale, _EXACT))
        if isinstance(value, Decimal)
        else int(value)
        for value in column.to_pylist()
    ]
    return np.array(found, dtype=object)


def _rows(formula: Formula, words: Words) -> Integers:
    return _added([words[f"rows_{part.population}"] for part in formula.parts])


def _total(formula: Formula, layout: Layout, words: Words) -> tuple[Integers, int]:
    """Return the sum of a formula's parts as numerators, and their denominator."""
    terms = [
        (part.constant, words[f"rows_{part.population}"]) for part in formula.parts if part.constant
    ]
    terms += [
        (coefficient / 10 ** layout.sums[number].scale, words[f"sum_{number}"])
        for part in formula.parts
        for coefficient, number in part.terms
    ]
    below = math.lcm(*(factor.denominator for factor, _ in terms))
    parts = [int(factor * below) * column for factor, column in terms]
    return _added(parts or [0 * _rows(formula, words)]), below


def _added(columns: Sequence[Integers]) -> Integers:
    total: Integers = reduce(add, columns)
    return total


def _count(formula: Formula, layout: Layout, words: Words) -> Integers:
    del layout
    return _rows(formula, words)


def _count_distinct(formula: Formula, layout: Layout, words: Words) -> Integers:
    return words[layout.words(formula)[0]]


def _sum(formula: Formula, layout: Layout, words: Words) -> Integers:
    total, below = _total(formula, layout, words)
    if formula.scale < 0:
        return np.asarray(total / below)
    shifted = total * 10**formula.scale
    return np.asarray(np.where(shifted < 0, -(-shifted // below), shifted // below))


def _avg(formula: Formula, layout: Layout, words: Words) -> Integers:
    total, below = _total(formula, layout, words)
    return np.asarray(total / (below * _rows(formula, words)))  # of whole numbers: rounded once


def _var(formula: Formula, layout: Layout, words: Words) -> Integers:
    (part,) = formula.parts
    ((coefficient, number),) = part.terms
    rows, total = words[f"rows_{part.population}"], words[f"sum_{number}"]
    spread = rows * words[f"sq_{number}"] - total * total
    below = rows * (rows - _lost(formula)) * 100 ** layout.sums[number].scale
    return np.asarray(coefficient.numerator**2 * spread / (coefficient.denominator**2 * below))


def _stddev(formula: Formula, layout: Layout, words: Words) -> Integers:
    with np.errstate(invalid="raise"):
        return np.sqrt(_var(formula, layout, words).astype(np.float64)).astype(object)


def _lost(formula: Formula) -> int:
    """Return how many degrees of freedom a variance lost."""
    return int(formula.kind in (AggregateKind.VAR_SAMP, AggregateKind.STDDEV_SAMP))


def _always(formula: Formula, words: Words) -> Flags:
    del formula
    return np.ones(len(next(iter(words.values()))), dtype=np.bool_)


def _any_row(formula: Formula, words: Words) -> Flags:
    return np.asarray(_rows(formula, words) != 0, dtype=np.bool_)


def _any_degree(formula: Formula, words: Words) -> Flags:
    return np.asarray(words[f"rows_{formula.parts[0].population}"] > _lost(formula), dtype=np.bool_)


_VALUES: dict[AggregateKind, Callable[[Formula, Layout, Words], Integers]] = {
    AggregateKind.COUNT: _count,
    AggregateKind.COUNT_DISTINCT: _count_distinct,
    AggregateKind.SUM: _sum,
    AggregateKind.AVG: _avg,
    AggregateKind.VAR_SAMP: _var,
    AggregateKind.VAR_POP: _var,
    AggregateKind.STDDEV_SAMP: _stddev,
    AggregateKind.STDDEV_POP: _stddev,
}
_DEFINED: dict[AggregateKind, Callable[[Formula, Words], Flags]] = {
    AggregateKind.COUNT: _always,
    AggregateKind.COUNT_DISTINCT: _always,
    AggregateKind.SUM: _any_row,
    AggregateKind.AVG: _any_row,
    AggregateKind.VAR_SAMP: _any_degree,
    AggregateKind.VAR_POP: _any_degree,
    AggregateKind.STDDEV_SAMP: _any_degree,
    AggregateKind.STDDEV_POP: _any_degree,
}


def _typed(formula: Formula, values: Integers) -> pa.Array:
    if formula.kind in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT):
        return pa.array(values.tolist(), pa.int64())
    if formula.kind is not AggregateKind.SUM or formula.scale < 0:
        return pa.array(values.tolist(), pa.float64())
    scale = formula.scale
    exact = [
        None if value is None else Decimal(value).scaleb(-scale, _EXACT)
        for value in values.tolist()
    ]
    return pa.array(exact, pa.decimal128(_FINITE, scale))
