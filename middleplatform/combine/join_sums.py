"""Private join, the gateway's work: masked sums of each cell, and the places a helper is asked about.

Spec: docs/spec/private-join.md.

Reveals:
    To the gateway: nothing; with the helper's sums, totals of nameless cells of at least k units.
    To the helper, by the places: their number in each cell.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from middleplatform.combine.join_cells import Groups
from middleplatform.combine.join_match import Places, departments_of

__all__ = ["masked_sums", "places_by_department"]

_CHUNK_ROWS = 1 << 20
Words = npt.NDArray[np.uint64]


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
