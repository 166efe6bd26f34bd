"""Finds many needles in much hay: every value that must not leave, in every spelling, in every byte that left.

Each length of needle is one pass over the hay: the windows of that length are hashed by array arithmetic, looked up
among the needles' hashes, and what matches is compared byte by byte.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

_FACTOR = 0x9E3779B97F4A7C15
_INT64_MAX = 2**63 - 1


def spellings(values: Iterable[str]) -> dict[bytes, str]:
    """Return each value as UTF-8, as UTF-16 of both byte orders, and where it is a number as 8-byte integers."""
    found: dict[bytes, str] = {}
    for value in values:
        for raw in (value.encode(), value.encode("utf-16-le"), value.encode("utf-16-be")):
            found[raw] = value
        if value.isdigit() and len(value) > 8 and int(value) <= _INT64_MAX:
            found[int(value).to_bytes(8, "little")] = found[int(value).to_bytes(8, "big")] = value
    return found


class Needles:
    """What is looked for."""

    def __init__(self, values: Iterable[str]) -> None:
        by_length: dict[int, dict[bytes, str]] = defaultdict(dict)
        for raw, value in spellings(values).items():
            by_length[len(raw)][raw] = value
        self._by_length = {
            length: (np.sort(_hashes(b"".join(known), length)[::length]), known)
            for length, known in by_length.items()
        }

    def found(self, hay: bytes) -> set[str]:
        """Return the values that stand in ``hay``, in any spelling, at any place."""
        seen: set[str] = set()
        for length, (hashes, known) in self._by_length.items():
            if len(hay) < length:
                continue
            own = _hashes(hay, length)
            places = np.minimum(np.searchsorted(hashes, own), len(hashes) - 1)
            for at in np.flatnonzero(hashes[places] == own):
                value = known.get(hay[at : at + length])
                if value is not None:
                    seen.add(value)
        return seen


def _hashes(raw: bytes, length: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """Return a hash of each window of ``length`` bytes, modulo 2**64."""
    data = np.frombuffer(raw, dtype=np.uint8).astype(np.uint64)
    count = len(data) - length + 1
    total = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        total *= np.uint64(_FACTOR)
        total += data[place : place + count] + np.uint64(1)
    return total
