"""Primary disclosure rules in order: which values of which cells may not be released, and by which rule.

The same function serves a node (on its own exact evidence) and the gateway (on the totals of a secure sum).
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from middleplatform.disclosure.complement import PERTURBED, complement, homogeneity
from middleplatform.disclosure.dominance import dominance, p_percent
from middleplatform.disclosure.evidence import CellEvidence, Flags
from middleplatform.disclosure.threshold import threshold
from middleplatform.model.plan import Formula, Layout
from middleplatform.model.policy import DisclosureParameters

__all__ = ["RULES", "Marks", "disclose", "reason_rule", "small_cells"]

Marks = npt.NDArray[np.object_]
Rule = Callable[[Formula, Layout, CellEvidence, DisclosureParameters], Flags]

# In the order in which they are told: the first that applies marks the value.
RULES: tuple[tuple[str, Rule], ...] = (
    ("threshold", threshold),
    ("complement", complement),
    ("homogeneity", homogeneity),
    ("dominance", dominance),
    ("p_percent", p_percent),
)


def reason_rule(reason: str) -> str:
    """Return the policy rule behind a mark: R14 for overlaps with earlier answers, else R5."""
    return "R14" if reason == "overlap" else "R5"


def disclose(
    layout: Layout,
    evidence: CellEvidence,
    parameters: DisclosureParameters,
    rules: Sequence[tuple[str, Rule]] = RULES,
) -> Marks:
    """Return a mark for each value that may not be released.

    Args:
        layout: Of the cells.
        evidence: Of the same cells, in the same order.
        parameters: Of the policy; the strictest of those that bear on the statement.
        rules: (name, rule) pairs in falling priority.

    Returns:
        Shape (cells, aggregates): the name of the first rule that withholds the value, or None.

    Reveals:
        The pattern of withheld values and the rule of each; never how many units a withheld cell has.
    """
    marks: Marks = np.full((evidence.cells, len(layout.formulas)), None, dtype=object)
    for column, formula in enumerate(layout.formulas):
        for name, rule in rules:
            flags = rule(formula, layout, evidence, parameters)
            free = np.array([mark is None for mark in marks[:, column]], dtype=np.bool_)
            marks[np.asarray(flags & free, dtype=np.bool_), column] = name
        if parameters.method in PERTURBED:
            _even(marks, column, evidence.units[:, 0] >= parameters.min_units)
    return marks


def _even(marks: Marks, column: int, large: Flags) -> None:
    """Mark in one way what too few are under a condition and what too few are outside it.

    In a cell that is large enough itself, which of the two it is would tell 0 % from 100 %.
    """
    one_side = np.array([mark == "threshold" for mark in marks[:, column]], dtype=np.bool_)
    marks[one_side & large, column] = "complement"


def small_cells(evidence: CellEvidence, parameters: DisclosureParameters) -> Flags:
    """Flag the cells that as a whole cover too few units: their labels may disclose too.

    Reveals:
        Only that a cell lies below the threshold.
    """
    return np.asarray(
        (evidence.units[:, 0] < parameters.min_units) & (parameters.min_units > 1), dtype=np.bool_
    )
