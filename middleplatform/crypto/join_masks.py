"""What hides the list rows of a private join: a secret order, masks a row, and their sums by group.

Imported by the recipes of this package.
Spec: docs/spec/private-join.md, "Order", "Masks" and "Sums".
"""

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.hazmat.masks import CHUNK_WORDS, MaskStream

__all__ = [
    "ROWS_MAX",
    "WIDTH_MAX",
    "Groups",
    "add_group_masks",
    "check_shape",
    "masked_rows",
    "permutation",
]

Words = npt.NDArray[np.uint64]

ROWS_MAX = 2**31 - 1
"""List rows of one department in one query."""

WIDTH_MAX = 4096
"""Words of one list row."""

_WORD = np.dtype("<u8")
_NOWHERE = -1
_PIECE_ROWS = 1024


def permutation(secret: bytes, count: int) -> npt.NDArray[np.int64]:
    """Return one of all orders of ``count`` rows, each as likely.

    Rows are sorted by words of a keystream whose low bits give way to the row's number. Rows whose remaining bits are
    equal are ordered among each other by further words; if these are equal too, they are drawn anew. So nothing but
    different random words ever orders two rows, and no order is favored, whatever the count.

    Args:
        secret: 32 bytes, never used for anything else.
        count: 0 to 2**31 - 1.

    Returns:
        Row numbers, shape ``(count,)``.

    Reveals:
        Nothing to who has not got the secret.
    """
    stream = MaskStream(secret)
    bits = max(0, count - 1).bit_length()
    low = np.uint64((1 << bits) - 1)
    keys = _drawn(stream, count)
    keys &= ~low
    keys |= np.arange(count, dtype=np.uint64)
    keys.sort()
    order = (keys & low).astype(np.int64)
    keys >>= np.uint64(bits)
    _order_equals(stream, keys, order)
    return order


def _drawn(stream: MaskStream, count: int) -> Words:
    words = np.empty(count, dtype=_WORD)
    for start in range(0, count, CHUNK_WORDS):
        stream.fill(words[start : start + CHUNK_WORDS])
    return words


def _order_equals(stream: MaskStream, keys: Words, order: npt.NDArray[np.int64]) -> None:
    """Put rows of equal keys, which stand together, into a random order among each other."""
    same = keys[1:] == keys[:-1]
    if not same.any():
        return
    places = np.flatnonzero(np.append(same, False) | np.append(False, same))
    runs = keys[places]
    while True:
        words = _drawn(stream, places.size)
        ranked = np.lexsort((words, runs))
        words, named = words[ranked], runs[ranked]
        if not ((words[1:] == words[:-1]) & (named[1:] == named[:-1])).any():
            break
    order[places] = order[places[ranked]]


def check_shape(rows: int, width: int) -> None:
    """Return only if a list may have so many rows and words.

    Raises:
        ProtocolError: X001.

    Reveals:
        Nothing.
    """
    if not 0 <= rows <= ROWS_MAX or not 0 <= width <= WIDTH_MAX:
        raise bad_message("a list has impossible sizes")


def masked_rows(key: bytes, words: Words) -> Words:
    """Return ``words`` less the keystream: word (row i, column w) less keystream word ``i * width + w``.

    Args:
        key: 32 bytes, **for this list only**.
        words: Shape ``(rows, width)``; not changed.

    Reveals:
        To who has not got the key: the shape.
    """
    plain = np.ascontiguousarray(words, dtype=_WORD).reshape(-1)
    masked = np.empty(plain.size, dtype=_WORD)
    stream = MaskStream(key)
    for start in range(0, plain.size, CHUNK_WORDS):
        piece = masked[start : start + CHUNK_WORDS]
        stream.fill(piece)
        np.subtract(plain[start : start + CHUNK_WORDS], piece, out=piece)
    return masked.reshape(words.shape)


class Groups:
    """Which rows of one list stand in which group: each row in one at most.

    Args:
        rows: Rows of the list.
        positions: Row numbers, group by group: one-dimensional, of an integer type.
        starts: Where each group starts in ``positions``, and at last where the last one ends, shape ``(groups + 1,)``:
            from 0, never falling, to ``len(positions)``. Two equal ones make an empty group.

    Raises:
        ProtocolError: X001 for anything else, and for a row that stands twice.

    Reveals:
        Nothing.
    """

    def __init__(
        self, rows: int, positions: npt.NDArray[np.integer], starts: npt.NDArray[np.integer]
    ) -> None:
        places, begins = _whole(positions), _whole(starts)
        if begins.size == 0 or begins[0] != 0 or begins[-1] != places.size:
            raise bad_message("groups do not begin or end where they must")
        self.sizes = np.diff(begins)
        if (self.sizes < 0).any():
            raise bad_message("groups do not follow each other")
        if places.size and not 0 <= int(places.min()) <= int(places.max()) < rows:
            raise bad_message("a position is out of range")
        self._group = np.full(rows, _NOWHERE, dtype=np.int32)
        self._group[places] = np.repeat(np.arange(self.sizes.size, dtype=np.int32), self.sizes)
        # A row that stands twice would be overwritten, and be taken once.
        if np.count_nonzero(self._group != _NOWHERE) != places.size:
            raise bad_message("a position stands twice")

    def of(self, start: int, stop: int) -> npt.NDArray[np.int32]:
        """Return the group of each row from ``start`` to before ``stop``, or -1."""
        return self._group[start:stop]


def _whole(numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or (numbers.dtype == np.uint64):
        raise bad_message("positions are not whole numbers")
    return numbers.astype(np.int64, copy=False)


def add_group_masks(key: bytes, rows: int, groups: Groups, totals: Words) -> None:
    """Add the keystream of the rows of each group to ``totals``, modulo 2**64.

    The keystream is made once, piece by piece, so that memory does not grow with it.

    Args:
        key: As for ``masked_rows``.
        rows: Rows of the list.
        groups: Of this list.
        totals: Shape ``(groups, width)``; changed.

    Reveals:
        Nothing as long as the totals stay here.
    """
    width = totals.shape[1]
    if not width:
        return
    stream = MaskStream(key)
    # Column by column, each contiguous; rows that stand in no group (-1) fall into a last place that nobody reads.
    table = np.zeros((width, totals.shape[0] + 1), dtype=np.uint64)
    step = max(_PIECE_ROWS, CHUNK_WORDS // width)
    for start in range(0, rows, step):
        stop = min(rows, start + step)
        piece = _drawn(stream, (stop - start) * width).reshape(-1, width)
        group = groups.of(start, stop).astype(np.intp)
        for column in range(width):
            np.add.at(table[column], group, piece[:, column])
    totals += table[:, :-1].T
