"""Private join, the gateway's work: which list rows of all sides belong to one unit, found on tokens alone.

Equal tokens are brought together by one sort of 64-bit keys: a token's first word with its low bits given up for
the row's number. So no permutation has to be kept, and numpy's vectorised sort does the work. Whoever makes up tokens
that differ in these low bits only makes the sort by whole tokens do it again, and gains nothing.

Spec: docs/spec/private-join.md.

Reveals:
    To the gateway: how many keys every set of sides has in common, by nameless tokens; nothing to anybody else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from middleplatform.errors import ProtocolError
from middleplatform.model.query import JoinKind

__all__ = ["NONE", "PARTITION_ROWS", "SideList", "match", "runs"]

NONE = np.uint32(0xFFFFFFFF)
"""In place of a row: the side has none for this key."""

PARTITION_ROWS = 1 << 23
"""Rows of all sides that are matched at once: 8 million take about 500 MiB; more at once is slower, too."""

Tokens = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SideList:
    """The lists of one side, department after department.

    Attributes:
        kind: How the side is joined to those before it; INNER for the first.
        unique: Every key has one list row at most.
        tokens: uint64, shape (rows, 2): a token's 16 bytes as two words; both zero where the key is missing.
        codes: Place of each row's label tuple in ``labels``, shape (rows,).
        labels: Codes of the label tuples of all departments; empty without dimensions.
        missing: Place in ``labels`` of the label of a key without a match, or -1 where none is needed.
        starts: First row of each department, then the number of rows.
        seconds: Second tokens, each as ``tokens``.
        words: Masked words, uint64, shape (rows, width).
    """

    kind: JoinKind
    unique: bool
    tokens: Tokens
    codes: Places
    labels: tuple[bytes, ...]
    missing: int
    starts: tuple[int, ...]
    seconds: tuple[Tokens, ...]
    words: Tokens

    @property
    def rows(self) -> int:
        """Return the number of list rows."""
        return int(self.tokens.shape[0])


def match(sides: Sequence[SideList], partition_rows: int = PARTITION_ROWS) -> list[Places]:
    """Return the tuples of the join: for each side, the list row of each tuple, or ``NONE``.

    Args:
        sides: In the order of joining; one at most is not unique. Rows without a key never match, and are no
            tuple of their own either: there is no unit to count.
        partition_rows: Rows of all sides taken at once; more are divided by their tokens, so that what the matching
            needs beside the lists and its result stays bounded.

    Returns:
        One array a side, all of the same length, in no order that means anything.

    Raises:
        ProtocolError: X001 where a department names a key twice that it may name once, or a key and a label twice:
            each would count one unit as several.
    """
    total = sum(side.rows for side in sides)
    parts = 1
    while total > parts * partition_rows:
        parts *= 2
    found = [_match_part(sides, part, parts) for part in range(parts)]
    if parts == 1:
        return found[0]
    return [np.concatenate([each[number] for each in found]) for number in range(len(sides))]


def runs(tokens: Tokens) -> tuple[Places, Flags]:
    """Return an order of the rows in which equal tokens stand together, and where each run of them begins.

    Args:
        tokens: uint64, shape (rows, 2), fewer than 2**32 rows.

    Returns:
        Row numbers, rising within a run, and a flag at the first of each run.
    """
    rows = int(tokens.shape[0])
    low = np.uint64((1 << max(1, (rows - 1).bit_length())) - 1) if rows else np.uint64(0)
    keys = tokens[:, 0] & ~low
    keys |= np.arange(rows, dtype=np.uint64)
    keys.sort()
    order = (keys & low).astype(np.uint32)
    begins = np.ones(rows, dtype=np.bool_)
    np.greater(keys[1:] ^ keys[:-1], low, out=begins[1:])
    del keys
    alike = np.flatnonzero(~begins)
    differ = alike[_differ(tokens, order[alike - 1], order[alike])]
    if differ.size:
        _sort_again(tokens, order, begins, differ)
    return order, begins


def _differ(tokens: Tokens, left: Places, right: Places) -> Flags:
    apart = _taken(tokens, left)
    apart ^= _taken(tokens, right)
    if not apart.any():
        return np.zeros(left.size, dtype=np.bool_)
    return np.asarray(apart.any(axis=1), dtype=np.bool_)


def _taken(tokens: Tokens, rows: Places) -> Tokens:
    """Return the tokens of some rows, read as elements of 16 bytes: several times faster than rows of two."""
    whole = np.ascontiguousarray(tokens).view(np.complex128).reshape(-1)
    return whole[rows].view(np.uint64).reshape(-1, 2)


def _sort_again(
    tokens: Tokens, order: Places, begins: Flags, differ: npt.NDArray[np.int64]
) -> None:
    """Sort by whole tokens where runs hold tokens that are not equal; in place."""
    run = np.cumsum(begins)
    mixed = np.zeros(int(run[-1]) + 1, dtype=np.bool_)
    mixed[run[differ]] = True
    chosen = np.flatnonzero(mixed[run])
    rows = order[chosen]
    # Runs stay in their places: they are sorted by the high bits of the first word already.
    again = rows[np.lexsort((rows, tokens[rows, 1], tokens[rows, 0]))]
    order[chosen] = again
    behind = chosen[1:]
    begins[behind] |= _differ(tokens, again[:-1], again[1:])


def _match_part(sides: Sequence[SideList], part: int, parts: int) -> list[Places]:
    """Match the keys of one part: those whose second word has this remainder."""
    chosen = [_chosen(side.tokens, part, parts) for side in sides]
    tokens = np.concatenate(
        [
            side.tokens if rows is None else _taken(side.tokens, rows)
            for side, rows in zip(sides, chosen, strict=True)
        ]
    )
    order, begins = runs(tokens)
    del tokens
    paired = _paired(sides, chosen, order, begins)
    if paired is not None:
        return paired
    keys = np.cumsum(begins, dtype=np.uint32) - np.uint32(1)
    count = int(keys[-1]) + 1 if keys.size else 0
    listed: list[tuple[Places, Places]] = []
    first = 0
    for side, some in zip(sides, chosen, strict=True):
        size = side.rows if some is None else int(some.size)
        mine = np.flatnonzero((order >= first) & (order < first + size))
        rows = order[mine] - np.uint32(first)
        own = rows if some is None else some[rows]
        listed.append(_once(side, keys[mine], own))
        first += size
    del order, begins, keys
    return _tuples(sides, listed, count)


def _paired(
    sides: Sequence[SideList],
    chosen: Sequence[Places | None],
    order: Places,
    begins: Flags,
) -> list[Places] | None:
    """Return the tuples of two sides where every key that stands twice stands once on each; else None.

    This is what honest lists of an inner join look like, and their tuples lie side by side.
    """
    if [(side.kind, side.unique) for side in sides] != [(JoinKind.INNER, True)] * 2:
        return None
    size = np.uint32(sides[0].rows if chosen[0] is None else chosen[0].size)
    second = np.flatnonzero(~begins)
    left, right = order[second - 1], order[second]
    if (left >= size).any() or (right < size).any() or (second[1:] - second[:-1] == 1).any():
        return None
    right -= size
    pairs = zip(chosen, (left, right), strict=True)
    return [rows if some is None else some[rows] for some, rows in pairs]


def _chosen(tokens: Tokens, part: int, parts: int) -> Places | None:
    """Return the rows of a part that have a key, or None for all rows."""
    keyed = (tokens[:, 0] | tokens[:, 1]) != 0
    if parts > 1:
        keyed &= (tokens[:, 1] & np.uint64(parts - 1)) == part
    return None if keyed.all() else np.flatnonzero(keyed).astype(np.uint32)


def _once(side: SideList, keys: Places, rows: Places) -> tuple[Places, Places]:
    """Return keys and rows without those that another department had before.

    A department that names one thing twice lies: the same unit would count twice towards the threshold.
    """
    named: npt.NDArray[np.uint64] = keys.astype(np.uint64)
    if not side.unique:
        named = (named << np.uint64(32)) | side.codes[rows]
        by = np.argsort(named, kind="stable")
        named, keys, rows = named[by], keys[by], rows[by]
    twice = np.flatnonzero(named[1:] == named[:-1]) + 1
    if not twice.size:
        return keys, rows
    inner = np.asarray(side.starts[1:-1], dtype=np.int64)
    owner = np.searchsorted(inner, rows, side="right")
    if bool((owner[twice] == owner[twice - 1]).any()):
        raise ProtocolError("X001", detail="a list names a key twice")
    kept = np.ones(rows.size, dtype=np.bool_)
    kept[twice] = False
    return keys[kept], rows[kept]


def _tuples(
    sides: Sequence[SideList], listed: Sequence[tuple[Places, Places]], count: int
) -> list[Places]:
    """Put the rows of all sides together, starting from the side that has several of a key."""
    several = [
        n for n, side in enumerate(sides) if not side.unique and side.kind is not JoinKind.ANTI
    ]
    assert len(several) <= 1, "the planner refuses many-to-many joins"
    start = several[0] if several else 0
    keys, own = listed[start]
    at = [
        _lookup(each, count) if n != start else np.zeros(0, dtype=np.uint32)
        for n, each in enumerate(listed)
    ]
    if sides[start].kind is JoinKind.LEFT:
        matched = np.zeros(count, dtype=np.bool_)
        matched[keys] = True
        alone = listed[0][0][~matched[listed[0][0]]]
        own = np.concatenate([own, np.full(alone.size, NONE)])
        keys = np.concatenate([keys, alone])
    found = [own if n == start else at[n][keys] for n in range(len(sides))]
    kept = _kept(sides, found)
    return found if kept.all() else [each[kept] for each in found]


def _lookup(listed: tuple[Places, Places], count: int) -> Places:
    keys, rows = listed
    at = np.full(count, NONE)
    at[keys] = rows
    return at


def _kept(sides: Sequence[SideList], found: Sequence[Places]) -> Flags:
    kept = np.ones(found[0].size, dtype=np.bool_)
    for side, rows in zip(sides, found, strict=True):
        if side.kind is JoinKind.INNER:
            kept &= rows != NONE
        elif side.kind is JoinKind.ANTI:
            kept &= rows == NONE
    return kept


def departments_of(starts: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of each department."""
    return list(pairwise(starts))
