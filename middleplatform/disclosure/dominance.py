"""(n,k) dominance and the p % rule, on unit totals of each measure that an aggregate reads (R5).

They look at the plain measures, not at the affine form asked for: a constant added to every row cannot hide a
dominant unit.
"""

from collections.abc import Iterator

import numpy as np

from middleplatform.disclosure.evidence import CellEvidence, Flags, Magnitude
from middleplatform.model.plan import Formula, Layout
from middleplatform.model.policy import DisclosureParameters

__all__ = ["dominance", "dominates", "estimable", "p_percent"]


def dominance(
    formula: Formula, layout: Layout, evidence: CellEvidence, parameters: DisclosureParameters
) -> Flags:
    """Flag the cells where the n largest units exceed k percent of a magnitude, for any (n, k) of the policy.

    Source: Handbook on Statistical Disclosure Control, chapter 4, (n,k) rule.

    Reveals:
        Only that a cell is dominated, never by how much or whom.
    """
    del layout
    flags = np.zeros(evidence.cells, dtype=np.bool_)
    for magnitude in _read(formula, evidence):
        for number, percent in parameters.dominance:
            flags |= dominates(magnitude, number, percent)
    return flags


def p_percent(
    formula: Formula, layout: Layout, evidence: CellEvidence, parameters: DisclosureParameters
) -> Flags:
    """Flag the cells whose largest unit the second largest could estimate to within p percent.

    Source: Handbook on Statistical Disclosure Control, chapter 4, p % rule.

    Reveals:
        Only that a cell is at risk.
    """
    del layout
    flags = np.zeros(evidence.cells, dtype=np.bool_)
    if parameters.p_percent:
        for magnitude in _read(formula, evidence):
            flags |= estimable(magnitude, parameters.p_percent)
    return flags


def dominates(magnitude: Magnitude, number: int, percent: int) -> Flags:
    """Return where the ``number`` (1 to 3) largest units make up more than ``percent`` of the magnitude."""
    assert 1 <= number <= 3, "three unit totals are kept"  # noqa: PLR2004 - of the evidence
    share = magnitude.top[:, :number].sum(axis=1) * 100
    return np.asarray(share > magnitude.absolute * percent, dtype=np.bool_)


def estimable(magnitude: Magnitude, percent: int) -> Flags:
    """Return where ``total - x1 - x2 < percent / 100 * x1``."""
    rest = magnitude.absolute - magnitude.top[:, 0] - magnitude.top[:, 1]
    return np.asarray(rest * 100 < magnitude.top[:, 0] * percent, dtype=np.bool_)


def _read(formula: Formula, evidence: CellEvidence) -> Iterator[Magnitude]:
    for number in dict.fromkeys(number for part in formula.parts for _, number in part.terms):
        yield evidence.magnitudes[number]
