"""Intervals of noisy aggregates: how far from each the value before noise may lie, from what was released alone.

Counts and sums: the quantile of their own noise. Means and variances: the delta method at the released words, which is
good where a cell has many more rows than the noise is wide, and told nowhere else. What bounds cut off is not in it.

Reveals: nothing beyond released words; the width of noise is public.

Spec: docs/spec/differential-privacy.md, "Intervals".
"""

import math
from collections.abc import Mapping, Sequence

from middleplatform.disclosure.privacy import Noise, half_width, linear_variance
from middleplatform.model.plan import SQUARED, Formula, Layout
from middleplatform.model.query import AggregateKind

__all__ = ["half_widths"]

_LINEAR = (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT, AggregateKind.SUM)
_STEADY = 3.0
"""A quotient is told an interval where its divisor is at least so many deviations from 0."""
Words = Mapping[str, Sequence[float]]


def half_widths(
    layout: Layout, noise: Noise, words: Words, cells: int, parties: int = 1
) -> list[list[float | None]]:
    """Return, for each aggregate and cell, half the width of its 95 % interval; None where none can be told.

    Args:
        layout: Of the words.
        noise: Of each party.
        words: Released, in their own unit, by name and cell.
        cells: Number of cells.
        parties: Departments whose noise is added up; at most as wide where some have no such cell.

    Reveals:
        Nothing beyond ``words``.
    """
    return [
        [_half(formula, noise, _row(words, row), parties) for row in range(cells)]
        for formula in layout.formulas
    ]


def _row(words: Words, row: int) -> dict[str, float]:
    return {name: column[row] for name, column in words.items()}


def _half(formula: Formula, noise: Noise, row: Mapping[str, float], parties: int) -> float | None:
    if formula.kind in _LINEAR:
        return half_width(math.sqrt(parties * linear_variance(formula, noise)))
    if len(formula.parts) != 1 or len(formula.parts[0].terms) != 1:
        return None
    variance = _quotient(formula, noise, row)
    return None if variance is None else half_width(math.sqrt(parties * variance))


def _quotient(formula: Formula, noise: Noise, row: Mapping[str, float]) -> float | None:
    """Return the variance of a mean, variance or deviation by one party's noise."""
    (part,) = formula.parts
    ((coefficient, number),) = part.terms
    rows, factor = row[f"rows_{part.population}"], float(coefficient)
    counted, summed = noise.word(f"rows_{part.population}"), noise.word(f"sum_{number}")
    if rows < max(2.0, _STEADY * counted.deviation):
        return None
    mean = row[f"sum_{number}"] / rows
    if formula.kind not in SQUARED:
        return factor**2 * (summed.deviation**2 + (mean * counted.deviation) ** 2) / rows**2
    squares = row[f"sq_{number}"] / rows
    spread = squares - mean**2
    found = (
        noise.word(f"sq_{number}").deviation ** 2
        + (2 * mean * summed.deviation) ** 2
        + ((squares - 2 * mean**2) * counted.deviation) ** 2
    ) / rows**2
    if formula.kind in (AggregateKind.VAR_SAMP, AggregateKind.VAR_POP):
        return factor**4 * found
    return factor**2 * found / (4 * spread) if spread > 0 else None
