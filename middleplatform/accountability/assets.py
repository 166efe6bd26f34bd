"""How a registered dataset stands, by the tickets about it: undisputed, disputed, or corrected.

Spec: docs/spec/accountability.md, "State of a dataset". Seed: feedback changes an asset's state (信息反馈).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from middleplatform.accountability.tickets import Outcome, Ticket

__all__ = ["AssetState", "asset_states"]

_WORDS = {
    "undisputed": ("nobody disputes it", "无异议"),
    "disputed": ("somebody disputes it, the provider has not answered yet", "存在异议，待校核"),
    "corrected": ("corrected after an objection", "经校核已更正"),
}


@dataclass(frozen=True, slots=True)
class AssetState:
    """How one dataset stands.

    Attributes:
        dataset: Its name.
        state: ``"undisputed"``, ``"disputed"`` or ``"corrected"``.
        pending: Numbers of the tickets that wait for the provider.
        corrected_at: When it was last corrected, or None.
    """

    dataset: str
    state: str
    pending: tuple[str, ...] = ()
    corrected_at: datetime | None = None

    def words(self) -> tuple[str, str]:
        """Return the state in words, English and Chinese."""
        return _WORDS[self.state]


def asset_states(names: Iterable[str], tickets: Iterable[Ticket]) -> tuple[AssetState, ...]:
    """Return how each named dataset stands, in the order of ``names``."""
    found = tuple(tickets)
    return tuple(
        _state(name, [each for each in found if each.about.dataset == name]) for name in names
    )


def _state(name: str, about: list[Ticket]) -> AssetState:
    pending = tuple(each.number for each in about if each.pending)
    moments = [
        each.answered_at
        for each in about
        if each.answered_at is not None and each.outcome in (Outcome.CORRECTED, Outcome.PARTLY)
    ]
    corrected = max(moments, default=None)
    state = "disputed" if pending else ("corrected" if corrected else "undisputed")
    return AssetState(name, state, pending, corrected)
