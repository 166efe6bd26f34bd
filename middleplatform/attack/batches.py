"""Many questions in few statements: conditions of aggregates, which an analyst may write as well as anybody."""

from collections.abc import Iterator, Sequence

from middleplatform.attack.people import DATASET
from middleplatform.attack.surface import Surface

__all__ = ["PATIENCE", "difference", "filtered", "one_by_one", "paid"]

PATIENCE = 6
"""Refusals in a row after which an attacker stops asking singly: the rest would be refused too."""
_TOGETHER = 40


def paid(condition: str) -> str:
    """Return the condition that people also get the benefit."""
    return f"{condition} AND benefit > 0"


def filtered(
    surface: Surface,
    conditions: Sequence[str],
    aggregate: str = "COUNT(*)",
    analyst: int = 0,
    together: int = _TOGETHER,
) -> list[float | None]:
    """Return one aggregate for each condition; None where it was refused or withheld.

    Statements that are refused as a whole are asked again condition by condition, until that is refused too.

    Args:
        surface: Where to ask.
        conditions: Over the dataset.
        aggregate: What is asked.
        analyst: Who asks.
        together: Conditions in one statement.
    """
    found: list[float | None] = []
    silent = 0
    for start in range(0, len(conditions), together):
        some = conditions[start : start + together]
        if silent >= surface.patience:
            found += [None] * len(some)
            continue
        values = surface.values(_statement(some, aggregate), analyst)
        told = values or list(one_by_one(surface, some, aggregate, analyst))
        silent = 0 if any(each is not None for each in told) else silent + 1
        found += told
    return found


def _statement(conditions: Sequence[str], aggregate: str) -> str:
    parts = ", ".join(
        f"{aggregate} FILTER (WHERE {each}) AS v{number}" for number, each in enumerate(conditions)
    )
    return f"SELECT {parts} FROM {DATASET}"


def one_by_one(
    surface: Surface, conditions: Sequence[str], aggregate: str, analyst: int = 0
) -> Iterator[float | None]:
    """Yield the same from plain statements, None for all that is left once the attacker gives up."""
    in_a_row = 0
    for each in conditions:
        if in_a_row >= PATIENCE:
            yield None
            continue
        values = surface.values(f"SELECT {aggregate} AS v FROM {DATASET} WHERE {each}", analyst)
        in_a_row = 0 if values else in_a_row + 1
        yield values[0] if values else None


def difference(one: float | None, other: float | None) -> float | None:
    """Return one less the other, where both were answered."""
    return None if one is None or other is None else one - other
