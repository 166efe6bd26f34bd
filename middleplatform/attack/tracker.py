"""Trackers (Denning, Denning and Schwartz 1979; Schlörer 1980): padding that is asked for, and taken off again."""

import numpy as np

from middleplatform.attack.batches import difference, filtered
from middleplatform.attack.known import Evidence, Known
from middleplatform.attack.surface import Surface

__all__ = ["general_tracker", "individual_tracker"]


def individual_tracker(known: Known, surface: Surface) -> Evidence:
    """Take T = A and not B as the padding of who is A and B: count(T or A and D) - count(T) is 1 if he has D."""
    rest = [f"{known.base(each)} AND NOT ({known.isolates(each)})" for each in known.targets]
    padded = [
        f"({known.base(each)} AND benefit > 0) OR ({less})"
        for each, less in zip(known.targets, rest, strict=True)
    ]
    pairs = zip(filtered(surface, padded), filtered(surface, rest), strict=True)
    return np.array([known.counted(difference(*pair)) for pair in pairs])


def general_tracker(known: Known, surface: Surface) -> Evidence:
    """Take T = one sex: count(C or T) + count(C or not T) - count(T) - count(not T) is count(C), however small."""
    halves = ["sex = '1'", "sex = '2'"]
    alone = filtered(surface, halves)
    some = [
        f"{known.base(each)} AND {known.isolates(each)} AND benefit > 0" for each in known.targets
    ]
    with_one, with_other = (
        filtered(surface, [f"({each}) OR {half}" for each in some]) for half in halves
    )
    found = []
    for one, other in zip(with_one, with_other, strict=True):
        parts = [one, other, *alone]
        if any(part is None for part in parts):
            found.append(_half(known, [one, other], alone))
        else:
            padded, padding = (one or 0) + (other or 0), sum(part or 0 for part in alone)
            found.append(known.counted(padded - padding, populations=4))
    return np.array(found)


def _half(known: Known, padded: list[float | None], alone: list[float | None]) -> float:
    """Return the evidence of the one padding that was answered; the target may be in it, then it says nothing."""
    for one, padding in zip(padded, alone, strict=True):
        if one is not None and padding is not None and one > padding:
            return known.counted(one - padding)
    return 0.0
