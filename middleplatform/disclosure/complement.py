"""Complement and homogeneity of conditions: a condition against its own cell (R5).

A conditional aggregate beside its cell's total gives the complement by subtraction, so the complement has the same
threshold. At 0 % and 100 % every member's attribute is known (homogeneity).
"""

import numpy as np

from middleplatform.disclosure.evidence import CellEvidence, Flags
from middleplatform.disclosure.threshold import contributes
from middleplatform.model.plan import Formula, Layout
from middleplatform.model.policy import DisclosureParameters

__all__ = ["PERTURBED", "complement", "homogeneity"]

PERTURBED = frozenset({"perturb", "noise"})
"""Methods of release under which no two answers can be subtracted exactly."""


def complement(
    formula: Formula, layout: Layout, evidence: CellEvidence, parameters: DisclosureParameters
) -> Flags:
    """Flag the cells where units outside a condition are too few.

    Missing values count as a condition here: few units with a missing value would be told by subtraction. Where words
    are perturbed subtraction tells nothing of them, and whether a value is missing is itself sensitive.

    Reveals:
        Only that the complement lies below the threshold.
    """
    flags = np.zeros(evidence.cells, dtype=np.bool_)
    if parameters.min_units <= 1:
        return flags
    exact = parameters.method not in PERTURBED
    for part in formula.parts:
        population = layout.populations[part.population]
        if population.condition is None and not (population.present and exact):
            continue
        if contributes(formula, part):
            rest = evidence.rest[:, part.population]
            # Nobody outside a condition and a few outside it look alike: which one it is would tell.
            none_counts = population.strict and parameters.homogeneity
            flags |= (rest < parameters.min_units) & ((rest > 0) | none_counts)
    return flags


def homogeneity(
    formula: Formula, layout: Layout, evidence: CellEvidence, parameters: DisclosureParameters
) -> Flags:
    """Flag the cells where a magnitude is zero, or the same, for everybody.

    Source: Handbook on Statistical Disclosure Control, group disclosure.

    Reveals:
        Only that the cell is homogeneous in one of these ways, not in which.
    """
    del layout
    flags = np.zeros(evidence.cells, dtype=np.bool_)
    if not parameters.homogeneity or parameters.min_units <= 1:
        return flags
    for part in formula.parts:
        for _, number in part.terms:
            magnitude = evidence.magnitudes[number]
            flags |= (magnitude.absolute == 0).astype(np.bool_)
            if magnitude.squares is not None:
                spread = (
                    evidence.rows[:, part.population].astype(object) * magnitude.squares
                    - magnitude.total * magnitude.total
                )
                flags |= (spread == 0).astype(np.bool_)
    return flags
