"""Private join, the gateway's work: which tuples make a cell, how many units it has, and which cells go on.

Spec: docs/spec/private-join.md.

Reveals:
    To the gateway: the number of tuples, of matched keys and of second keys in each nameless cell. Cells with too few
    of them end here: no helper is asked about them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from middleplatform.combine.join_match import NONE, Flags, Places, SideList, runs

__all__ = ["Cells", "Groups", "cells_of", "distinct", "groups_of", "judged", "survivors"]

Counts = npt.NDArray[np.int64]
_DENSE_MAX = 1 << 22
"""Combinations of labels that are counted in an array; more are sorted."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a join.

    Attributes:
        of: Cell of each tuple, shape (tuples,).
        codes: For each side, the place of its label tuple in ``SideList.labels``, shape (cells,).
        tuples: Number of tuples, shape (cells,).
        matched: For each side, tuples for which it has a row, shape (cells,).
    """

    of: Places
    codes: tuple[Places, ...]
    tuples: Counts
    matched: tuple[Counts, ...]

    @property
    def count(self) -> int:
        """Return the number of cells."""
        return int(self.tuples.size)


@dataclass(frozen=True, eq=False)
class Groups:
    """The list rows of one side, cell by cell.

    Attributes:
        rows: Rising within a cell, shape (rows,).
        starts: Where each cell begins, then the number of rows, shape (cells + 1,).
    """

    rows: Places
    starts: Counts


def cells_of(sides: Sequence[SideList], rows: Sequence[Places]) -> Cells:
    """Return the cells of the tuples ``rows``: one for each combination of labels that occurs.

    Without dimensions there is one cell, even of no tuples.
    """
    tuples = int(rows[0].size)
    labelled = [number for number, side in enumerate(sides) if side.labels]
    cell, size = np.zeros(tuples, dtype=np.uint32), 1
    places: dict[int, Places] = {}
    for number in labelled:
        side = sides[number]
        own = _places(side, rows[number])
        joined = cell.astype(np.uint64) * np.uint64(len(side.labels)) + own
        del own
        cell, met = _numbered(joined, size * len(side.labels))
        del joined
        before, label = np.divmod(met, np.uint64(len(side.labels)))
        places = {known: each[before] for known, each in places.items()}
        places[number] = label.astype(np.uint32)
        size = int(met.size)
    codes = tuple([places.get(n, np.zeros(size, dtype=np.uint32)) for n in range(len(sides))])
    counted = np.bincount(cell, minlength=size)
    matched = tuple([_matched(cell, each, size, counted) for each in rows])
    return Cells(cell, codes, counted, matched)


def _places(side: SideList, rows: Places) -> Places:
    missing = rows == NONE
    if not missing.any():
        return side.codes[rows]
    assert side.missing >= 0, "a label for keys without a match"
    places = np.full(rows.size, side.missing, dtype=np.uint32)
    there = ~missing
    places[there] = side.codes[rows[there]]
    return places


def _numbered(values: npt.NDArray[np.uint64], bound: int) -> tuple[Places, npt.NDArray[np.uint64]]:
    """Return the number of each value among those that occur, and these, ascending."""
    if bound > _DENSE_MAX:
        met, inverse = np.unique(values, return_inverse=True)
        return inverse.astype(np.uint32), met
    small = values.astype(np.int64)
    there = np.bincount(small, minlength=bound) > 0
    numbers = np.cumsum(there, dtype=np.uint32) - np.uint32(1)
    return numbers[small], np.flatnonzero(there).astype(np.uint64)


def _matched(cell: Places, rows: Places, cells: int, counted: Counts) -> Counts:
    there = rows != NONE
    return counted if there.all() else np.bincount(cell[there], minlength=cells)


def judged(sides: Sequence[SideList], cells: Cells) -> tuple[Counts, ...]:
    """Return, by side, how many of its units the threshold counts in each cell.

    These are its matches. A cell under the label of keys without a match that has none of the side's units, as its
    label says, is no cell of that side: there the units of the cell themselves count.
    """
    found = []
    for side, own, matched in zip(sides, cells.codes, cells.matched, strict=True):
        absent = (own == side.missing) & (matched == 0) if side.missing >= 0 else None
        found.append(matched if absent is None else np.where(absent, cells.tuples, matched))
    return tuple(found)


def survivors(cells: Cells, counts: Sequence[Counts], least: int) -> Flags:
    """Return which cells go on: at least ``least`` tuples, and as many in each of ``counts``.

    Args:
        cells: Of the join.
        counts: ``judged`` units of each side whose units are protected of their own, or whose words will be added up.
        least: Threshold in units; 1 or less lets everything pass.
    """
    kept = np.ones(cells.count, dtype=np.bool_)
    if least > 1:
        for each in (cells.tuples, *counts):
            kept &= each >= least
    return kept


def distinct(side: SideList, key: int, rows: Places, cells: Cells) -> Counts:
    """Return how many different second keys each cell has.

    Args:
        side: Who owns the key.
        key: Number of the key among the side's own.
        rows: The side's list row of each tuple.
        cells: Of the same tuples.
    """
    tokens = side.seconds[key]
    order, begins = runs(tokens)
    number = np.empty(order.size, dtype=np.uint32)
    number[order] = np.cumsum(begins, dtype=np.uint32)
    number[(tokens[:, 0] | tokens[:, 1]) == 0] = 0
    there = rows != NONE
    named = number[rows[there]]
    pairs = (cells.of[there].astype(np.uint64) << np.uint64(32)) | named
    pairs = pairs[named != 0]
    pairs.sort()
    first = np.ones(pairs.size, dtype=np.bool_)
    first[1:] = pairs[1:] != pairs[:-1]
    found = (pairs[first] >> np.uint64(32)).astype(np.int64)
    return np.bincount(found, minlength=cells.count)


def groups_of(rows: Places, cells: Cells, kept: Flags) -> Groups:
    """Return the list rows of one side by surviving cell.

    Args:
        rows: The side's list row of each tuple; every row at most once.
        cells: Of the same tuples.
        kept: Which cells survive.
    """
    count = int(kept.sum())
    number = np.full(cells.count, NONE)
    number[kept] = np.arange(count, dtype=np.uint32)
    cell = number[cells.of]
    chosen = (cell != NONE) & (rows != NONE)
    keys = cell[chosen].astype(np.uint64) << np.uint64(32)
    keys |= rows[chosen]
    del cell, chosen
    # The pair is the key: sorted by its value there is no permutation to keep, and rows rise within a cell.
    keys.sort()
    bounds = np.arange(count + 1, dtype=np.uint64) << np.uint64(32)
    starts = np.searchsorted(keys, bounds).astype(np.int64)
    return Groups(keys.astype(np.uint32), starts)
