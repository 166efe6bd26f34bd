"""Region codes: a code covers what lies below it.

GB/T 2260: two digits each for province, city and county.
"""

from collections.abc import Iterable

__all__ = ["ALL", "covers", "intersect"]

ALL = "*"


def covers(outer: str, inner: str) -> bool:
    """Say whether region ``outer`` contains ``inner``: ``"990100"`` contains ``"990101"``.

    Args:
        outer: Six digits, or ``"*"`` for everywhere; anything else contains nothing.
        inner: Six digits, or ``"*"``, which only ``"*"`` contains.
    """
    if outer == ALL:
        return True
    if not (_is_code(outer) and _is_code(inner)):
        return False
    stem = outer
    while stem.endswith("00"):
        stem = stem[:-2]
    return bool(stem) and inner.startswith(stem)


def _is_code(text: str) -> bool:
    return len(text) == 6 and text.isascii() and text.isdigit()  # noqa: PLR2004 - GB/T 2260


def intersect(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    """Return the regions that lie in both lists, the narrower of each pair, sorted."""
    rights = tuple(right)
    both = {
        inner
        for one in left
        for other in rights
        for outer, inner in ((one, other), (other, one))
        if covers(outer, inner)
    }
    return tuple(sorted(_widest(both)))


def _widest(regions: set[str]) -> set[str]:
    """Drop regions that another one in the set contains."""
    return {
        each
        for each in regions
        if not any(other != each and covers(other, each) for other in regions)
    }
