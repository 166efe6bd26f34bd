"""Made keys: identity numbers and social credit codes that belong to nobody.

The source data name no person and no firm by a Chinese key, so the demo makes them. Every one lies
in region 9901xx, which is assigned to nobody: no real person or firm can be hit by accident.

Spec: GB 11643-1999 (identity number), GB 32100-2015 (unified social credit code),
GB 11714-1997 (the organization code inside it).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["credit_codes", "identity_numbers"]

_DIGITS = "0123456789"
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANIZATION_VALUES = {letter: int(letter, 36) for letter in _CREDIT_ALPHABET}

_IDENTITY_WEIGHTS = [2**power % 11 for power in range(17, 0, -1)]
_IDENTITY_CHECKS = "10X98765432"
_ORGANIZATION_WEIGHTS = [3, 7, 9, 10, 5, 8, 4, 2]
_ORGANIZATION_CHECKS = "0X987654321"
_CREDIT_WEIGHTS = [3**power % 31 for power in range(17)]


def identity_numbers(bodies: Sequence[str]) -> list[str]:
    """Return each body with its check character.

    Args:
        bodies: 17 digits each: region (6), birth date (8), sequence (3; odd for men).

    Returns:
        18 characters each, in the order of ``bodies``.
    """
    values = dict(zip(_DIGITS, range(10), strict=True))
    remainders = _weighted(bodies, values, _IDENTITY_WEIGHTS) % 11
    return _append(bodies, remainders, _IDENTITY_CHECKS)


def credit_codes(regions: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Return a made unified social credit code for each firm.

    Args:
        regions: Six digits each, positions 3 to 8 of the code.
        sources: One source key a firm; its SHA-256 becomes the organization code. Hashing loops
            over firms (thousands), never over rows.

    Returns:
        18 characters each: ``91`` (registered enterprise), region, organization code, check.
    """
    stems = [_organization_stem(source) for source in sources]
    remainders = _weighted(stems, _ORGANIZATION_VALUES, _ORGANIZATION_WEIGHTS) % 11
    organizations = _append(stems, remainders, _ORGANIZATION_CHECKS)
    bodies = ["91" + region + code for region, code in zip(regions, organizations, strict=True)]
    values = {letter: place for place, letter in enumerate(_CREDIT_ALPHABET)}
    sums = _weighted(bodies, values, _CREDIT_WEIGHTS)
    return _append(bodies, -sums % 31, _CREDIT_ALPHABET)


def _organization_stem(source: str) -> str:
    """Return eight characters of the credit alphabet, drawn from the SHA-256 of ``source``."""
    number = int.from_bytes(hashlib.sha256(source.encode()).digest())
    places = len(_CREDIT_ALPHABET)
    return "".join(_CREDIT_ALPHABET[number // places**place % places] for place in range(8))


def _weighted(
    texts: Sequence[str], values: dict[str, int], weights: Sequence[int]
) -> NDArray[np.int64]:
    """Return the weighted sum of each text's character values, shape ``(texts,)``."""
    table = np.full(128, -1, dtype=np.int64)
    for letter, value in values.items():
        table[ord(letter)] = value
    letters = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8)
    matrix = table[letters].reshape(len(texts), len(weights))
    assert bool((matrix >= 0).all()), "a character is outside the alphabet"
    sums: NDArray[np.int64] = matrix @ np.asarray(weights, dtype=np.int64)
    return sums


def _append(bodies: Sequence[str], places: NDArray[np.int64], checks: str) -> list[str]:
    return [body + checks[place] for body, place in zip(bodies, places.tolist(), strict=True)]
