"""Private join, the gateway's work: masked sums of each cell, the places a helper is asked about, totals.

Spec: docs/spec/private-join.md.

Reveals:
    To the gateway: nothing before the helper's sums have come, then totals of nameless cells of at least k units.
    To the helper, by the places: their number in each cell.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from middleplatform.combine.join_cells import Groups
from middleplatform.combine.join_match import Places, departments_of
from middleplatform.model.join import SideWord

__all__ = ["masked_sums", "places_by_department", "totals"]

_CHUNK_ROWS = 1 << 20
_LOW_BITS = 32
Words = npt.NDArray[np.uint64]
Exact = npt.NDArray[np.object_]


def masked_sums(words: Words, groups: Groups) -> Words:
    """Return the masked words of each cell, added up modulo 2**64.

    Args:
        words: Of the side's list, shape (rows, width).
        groups: Its rows by cell.

    Returns:
        Shape (cells, width).
    """
    sums = np.zeros((groups.starts.size - 1, words.shape[1]), dtype=np.uint64)
    for first in range(0, groups.rows.size, _CHUNK_ROWS):
        rows = groups.rows[first : first + _CHUNK_ROWS]
        # Cells that begin in this piece, and the one that goes on into it; empty ones have nothing to add.
        low = int(np.searchsorted(groups.starts, first, side="right")) - 1
        high = int(np.searchsorted(groups.starts, first + rows.size, side="left"))
        begins = np.maximum(groups.starts[low:high] - first, 0)
        ends = np.minimum(groups.starts[low + 1 : high + 1] - first, rows.size)
        filled = ends > begins
        at = np.flatnonzero(filled) + low
        sums[at] += np.add.reduceat(np.take(words, rows, axis=0), begins[filled], axis=0)
    return sums


def places_by_department(
    groups: Groups, starts: Sequence[int]
) -> tuple[tuple[Places, ...], tuple[Places, ...]]:
    """Return, for each department of a side, where each cell begins, and the places in its own list.

    Args:
        groups: Rows of the side by cell.
        starts: As ``SideList.starts``.
    """
    several = departments_of(starts)
    if len(several) == 1:
        return (groups.starts.astype(np.uint32),), (groups.rows,)
    begins, places = [], []
    for first, last in several:
        own = (groups.rows >= first) & (groups.rows < last)
        before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(own)])
        begins.append(before[groups.starts].astype(np.uint32))
        places.append(groups.rows[own] - np.uint32(first))
    return tuple(begins), tuple(places)


def totals(words: Sequence[SideWord], masked: Words, masks: Words) -> dict[str, Exact]:
    """Return the total of each word by cell: Python integers in units of its last place.

    Args:
        words: Of the side, in order.
        masked: Sums of masked words, shape (cells, width).
        masks: Sums of the masks, same shape.
    """
    plain = masked + masks
    found: dict[str, Exact] = {}
    column = 0
    for word in words:
        limbs = plain[:, column : column + word.limbs]
        column += word.limbs
        high = limbs[:, -1].astype(np.int64).astype(object)
        if word.limbs > 1:
            # The low limb is a sum of numbers below 2**32, never negative.
            high = (high << _LOW_BITS) + limbs[:, 0].astype(object)
        found[word.name] = high
    return found
