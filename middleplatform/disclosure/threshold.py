"""Threshold rule: every population that an aggregate reads covers at least k distinct units (R5)."""

import numpy as np

from middleplatform.disclosure.evidence import CellEvidence, Flags
from middleplatform.model.plan import Formula, Layout, Part
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import AggregateKind

__all__ = ["contributes", "threshold"]


def contributes(formula: Formula, part: Part) -> bool:
    """Say whether a part can change the aggregate's value: ``ELSE 0`` of a sum cannot."""
    adds = bool(part.terms) or part.constant != 0
    return adds or formula.kind not in (AggregateKind.SUM, AggregateKind.COUNT)


def threshold(
    formula: Formula, layout: Layout, evidence: CellEvidence, parameters: DisclosureParameters
) -> Flags:
    """Flag the cells whose aggregate covers too few units.

    Counted are the cell itself, each contributing condition, each further protected table, and, for a distinct
    count of another key, that count.

    Source: OpenSAFELY and ACRO defaults; GB/T 42460-2023 grade 4.

    Reveals:
        Only that a number lies below the threshold, never which number.
    """
    least = parameters.min_units
    flags = np.zeros(evidence.cells, dtype=np.bool_)
    if least <= 1:
        return flags
    flags |= evidence.units[:, 0] < least
    for part in formula.parts:
        if contributes(formula, part):
            flags |= evidence.units[:, part.population] < least
    for other in range(len(layout.others)):
        flags |= evidence.others[:, other] < least
    if formula.key >= 0:
        flags |= evidence.keys[:, formula.key] < least
    return flags
