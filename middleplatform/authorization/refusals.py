"""From the reasons of a decision to the error that the analyst is told."""

from collections.abc import Mapping

from middleplatform.errors import PolicyError
from middleplatform.model.decision import Reason

__all__ = ["CODES", "refusal"]

CODES: Mapping[str, str] = {
    "G1": "P003", "G2": "P002", "G3": "P003", "G4": "P003", "G5": "P003", "F1": "P007",
}  # fmt: skip
"""Error code by rule; every other rule is P001."""


def refusal(reasons: tuple[Reason, ...]) -> PolicyError:
    """Return the error that tells the first of ``reasons``."""
    first = reasons[0]
    error = PolicyError(CODES.get(first.rule, "P001"), rule=first.rule, what=first.what)
    error.reasons = reasons
    return error
