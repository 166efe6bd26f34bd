"""Which of two verdicts, or of two numbers of policy, is the looser.

The orders are partial: what is looser in one respect and tighter in another goes both ways, and counts as a loosening.
Spec: docs/spec/policy-diff.md.
"""

from collections.abc import Iterable, Iterator
from enum import Flag

from middleplatform.governance.cells import Kind, Verdict
from middleplatform.policy import regions

__all__ = ["Direction", "by_set", "of_bands", "of_buckets", "of_verdicts"]


class Direction(Flag):
    """What a change does; both where neither side contains the other, neither where it lets nothing more or less."""

    OTHER = 0
    LOOSENS = 1
    TIGHTENS = 2
    BOTH = 3


_COARSENESS = ("", "month", "quarter", "year")


def by_set(old: Iterable[object], new: Iterable[object]) -> Direction:
    """Return the direction where each member permits something of its own."""
    before, after = set(old), set(new)
    gone = Direction.TIGHTENS if before - after else Direction.OTHER
    return gone | (Direction.LOOSENS if after - before else Direction.OTHER)


def of_bands(old: int, new: int) -> Direction:
    """Return the direction of a change of band width, 0 for no bands: bands in bands are the tighter, coarser ones."""
    if old == new:
        return Direction.OTHER
    if not new or (old and old % new == 0):
        return Direction.LOOSENS
    return Direction.TIGHTENS if not old or new % old == 0 else Direction.BOTH


def of_buckets(old: str, new: str) -> Direction:
    """Return the direction of a change of a date bucket, empty for plain days; coarser is tighter."""
    if old == new:
        return Direction.OTHER
    if old not in _COARSENESS or new not in _COARSENESS:
        return Direction.BOTH
    coarser = _COARSENESS.index(new) > _COARSENESS.index(old)
    return Direction.TIGHTENS if coarser else Direction.LOOSENS


def of_verdicts(old: Verdict, new: Verdict) -> Direction:
    """Return the direction from one verdict to another, over all time: looser at any moment is looser."""
    found = Direction.OTHER
    for before, after in _together(old, new):
        found |= _at_once(before, after)
    return found


def _together(old: Verdict, new: Verdict) -> Iterator[tuple[Verdict, Verdict]]:
    """Yield the pairs of verdicts that hold at the same time."""
    before, after = list(old.steps()), list(new.steps())
    while before and after:
        yield before[0], after[0]
        ends = before[0].until, after[0].until
        if ends == (None, None):
            return
        first = min(end for end in ends if end is not None)
        for steps, end in zip((before, after), ends, strict=True):
            if end == first:
                steps.pop(0)


def _at_once(old: Verdict, new: Verdict) -> Direction:
    if old.kind != new.kind:
        return Direction.LOOSENS if new.kind > old.kind else Direction.TIGHTENS
    if old.kind is Kind.REFUSED:
        return Direction.OTHER
    return (
        _of_rewrites(old, new)
        | _of_regions(old.regions, new.regions)
        | by_set(old.release, new.release)
        | _higher_is_tighter(old.min_units, new.min_units)
        | _higher_is_tighter(old.min_units_inside, new.min_units_inside)
    )


def _higher_is_tighter(old: int, new: int) -> Direction:
    if old == new:
        return Direction.OTHER
    return Direction.TIGHTENS if new > old else Direction.LOOSENS


def _of_regions(old: Iterable[str], new: Iterable[str]) -> Direction:
    before, after = tuple(old), tuple(new)

    def within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
        return all(any(regions.covers(one, each) for one in outer) for each in inner)

    less = Direction.OTHER if within(before, after) else Direction.TIGHTENS
    return less | (Direction.OTHER if within(after, before) else Direction.LOOSENS)


def _of_rewrites(old: Verdict, new: Verdict) -> Direction:
    """Bands and buckets by their coarseness; codes that are left out, by which they are."""
    before, after = _by_kind(old), _by_kind(new)
    left_out = by_set(after["withhold"], before["withhold"])  # the more is left out, the tighter
    width = [int(_only(each["band"]) or 0) for each in (before, after)]
    bucket = [_only(each["bucket"]) for each in (before, after)]
    return left_out | of_bands(width[0], width[1]) | of_buckets(bucket[0], bucket[1])


def _by_kind(verdict: Verdict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"band": set(), "bucket": set(), "withhold": set()}
    for kind, (column, *arguments) in verdict.rewrites:
        found[kind] |= {f"{column} {each}" if kind == "withhold" else each for each in arguments}
    return found


def _only(values: set[str]) -> str:
    return next(iter(values), "")
