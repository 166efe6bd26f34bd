"""Exact integers as 64-bit words and back, whole columns at once.

.. hazmat::
    Use ``middleplatform.crypto.word_layout.WordLayout`` instead. A value outside its range wraps
    silently once it is masked and added: nothing after these checks can notice.

A *narrow* value is one word in two's complement. A *wide* value is two, ``v = high * 2**48 + low``
with ``0 <= low < 2**48``: sums of up to 1024 low words stay below 2**58 and never wrap.
Columns travel as Arrow decimal128 buffers: little-endian two's complement, two words a value.
Imported by the recipes of ``middleplatform.crypto`` only.
Spec: docs/spec/secure-sum.md, "Words".
"""

import sys

import numpy as np
import numpy.typing as npt

from middleplatform.errors import ProtocolError

__all__ = [
    "LOW_BITS",
    "join_narrow",
    "join_wide",
    "narrow_limit",
    "narrow_words",
    "split_narrow",
    "split_wide",
]

assert sys.byteorder == "little", "Arrow buffers are viewed in place"

LOW_BITS = 48
_LOW_MASK = np.uint64(2**LOW_BITS - 1)
_HIGH_LIMIT = 2 ** (LOW_BITS - 1)

Words = npt.NDArray[np.uint64]
Halves = npt.NDArray[np.uint64]
"""Shape ``(values, 2)``: low and high half of 128-bit two's complement."""


def narrow_limit(parties: int) -> int:
    """Return the largest magnitude of which ``parties`` summands stay within 63 bits and a sign."""
    return (2**63 - 1) // parties


def _require(inside: bool) -> None:  # noqa: FBT001 - the one thing this asks
    if not inside:
        raise ProtocolError("X004", detail="a value is outside its declared range")


def _check_magnitude(values: npt.NDArray[np.int64], parties: int) -> None:
    # Both ends are compared, since the magnitude of -2**63 is no int64.
    limit = narrow_limit(parties)
    _require(values.size == 0 or -limit <= int(values.min()) <= int(values.max()) <= limit)


def split_narrow(halves: Halves, parties: int) -> Words:
    """Return one word a value.

    Args:
        halves: Shape ``(values, 2)``.
        parties: Number of summands, at least 1.

    Returns:
        Shape ``(values,)``, two's complement.

    Raises:
        ProtocolError: X004 when a magnitude exceeds ``narrow_limit(parties)``.
    """
    low, high = halves[:, 0].view(np.int64), halves[:, 1].view(np.int64)
    _require(bool(np.array_equal(low >> 63, high)))
    return narrow_words(low, parties)


def narrow_words(values: npt.NDArray[np.int64], parties: int) -> Words:
    """Return one word a value, as ``split_narrow``, of values that 64 bits hold.

    Raises:
        ProtocolError: X004 when a magnitude exceeds ``narrow_limit(parties)``.

    Reveals:
        Nothing; but an X004 that is passed on tells that some value was large.
    """
    _check_magnitude(values, parties)
    return values.astype(np.uint64)


def split_wide(halves: Halves, parties: int) -> tuple[Words, Words]:
    """Return two words a value, ``high`` and ``low``.

    Args:
        halves: Shape ``(values, 2)``.
        parties: Number of summands, 1 to 1024.

    Returns:
        High words (signed, magnitude at most ``narrow_limit(parties)``) and low words (below
        2**48), shape ``(values,)`` each.

    Raises:
        ProtocolError: X004 when a high word would exceed ``narrow_limit(parties)`` in magnitude.
    """
    low, top = halves[:, 0], halves[:, 1].view(np.int64)
    # Bits above the 111th must repeat the sign, or the shift below would lose them.
    if top.size:
        _require(-_HIGH_LIMIT <= int(top.min()) <= int(top.max()) < _HIGH_LIMIT)
    upper = (halves[:, 1] << np.uint64(64 - LOW_BITS)) | (low >> np.uint64(LOW_BITS))
    _check_magnitude(upper.view(np.int64), parties)
    return upper, low & _LOW_MASK


def join_narrow(words: Words) -> Halves:
    """Return the totals of narrow words as 128-bit halves, shape ``(values, 2)``."""
    signs = (words.view(np.int64) >> 63).view(np.uint64)
    return np.stack((words, signs), axis=1)


def join_wide(high: Words, low: Words) -> Halves:
    """Return the totals of wide words as 128-bit halves, shape ``(values, 2)``.

    Args:
        high: Sums of high words, shape ``(values,)``, two's complement.
        low: Sums of low words, shape ``(values,)``, unsigned; what exceeds 48 bits is carried.
    """
    shifted = high << np.uint64(LOW_BITS)
    bottom = shifted + low
    carry = (bottom < shifted).astype(np.int64)
    top = (high.view(np.int64) >> (64 - LOW_BITS)) + carry
    return np.stack((bottom, top.view(np.uint64)), axis=1)
