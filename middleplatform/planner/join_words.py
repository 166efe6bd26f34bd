"""Which numbers the sides of a private join bring: words that are summed by cell under masks."""

from collections.abc import Mapping

from middleplatform.model.join import RUNGS, SideWord
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.planner.join_caps import bounded

__all__ = ["words_of"]


def words_of(  # noqa: PLR0913 - all that words follow from
    layout: Layout,
    population_sides: tuple[int, ...],
    sum_sides: tuple[int, ...],
    caps: tuple[int, ...],
    counting: int,
    fan: int,
    parameters: DisclosureParameters,
    *,
    sealed: bool,
) -> Mapping[int, tuple[SideWord, ...]]:
    """Return the words by side.

    Args:
        layout: What a cell is put together from.
        population_sides: As in ``JoinPlan``.
        sum_sides: As in ``JoinPlan``.
        caps: As in ``JoinPlan``.
        counting: The side whose table rows are counted, or -1.
        fan: As in ``JoinPlan``.
        parameters: Say what evidence is needed.
        sealed: Sums leave encrypted, so that there is no evidence about them.
    """
    found: dict[int, list[SideWord]] = {}
    if counting >= 0:
        found[counting] = [SideWord("rows_0")]
    if parameters.keyed:
        # Words of a side that has several rows a key stand on no other one.
        found.setdefault(max(fan, 0), []).append(SideWord("key_0"))
    for p, side in enumerate(population_sides):
        if side >= 0:
            found.setdefault(side, []).extend(
                SideWord(f"{kind}_{p}") for kind in ("rows", "units", "full")
            )
            if parameters.keyed:
                found[side].append(SideWord(f"key_{p}"))
    for s, side in enumerate(sum_sides):
        own = found.setdefault(side, [])
        scale = layout.sums[s].scale
        own.append(SideWord(f"sum_{s}", scale=scale))
        if not sealed:
            own += _evidence(s, scale, caps[s], parameters)
        if s in layout.squares:
            own.append(SideWord(f"sq_{s}", limbs=2, scale=2 * scale))
    return {side: tuple(words) for side, words in found.items()}


def _evidence(s: int, scale: int, cap: int, parameters: DisclosureParameters) -> list[SideWord]:
    """Return the words that say how a magnitude is spread over units."""
    ladder = bounded(parameters) and cap >= 0
    zeros = parameters.homogeneity and parameters.min_units > 1
    found = [SideWord(f"abs_{s}", scale=scale)] if ladder or zeros else []
    return found + ([SideWord(f"rung_{s}_{j}") for j in range(RUNGS)] if ladder else [])
