"""Byte strings to points of curve25519, and points by a secret number; u-coordinates only.

.. hazmat::
    Use ``middleplatform.crypto.blinded`` instead. Nothing here knows whether a number is fresh, whether a point
    came from an honest party, or what a message stands for.

The map is ``curve25519_XMD:SHA-512_ELL2_NU_`` of RFC 9380. Only u is computed: X25519 needs no v, and its numbers,
all multiples of 8, clear the cofactor, so that a product of ``u(Q)`` is one of ``P = 8 Q``. Bytes are little-endian,
32 a point, as in RFC 7748. Run times depend on the messages: these are the caller's own rows.

Imported by the recipes of ``middleplatform.crypto`` only; free of numpy, since worker processes load it.
Spec: docs/spec/private-join-blinded.md; RFC 9380, sections 5.3.1, 6.7.1 and 8.5; RFC 7748, section 5.

Reveals:
    A point that is not multiplied yet reveals its message to who can guess it: no secret takes part. A product
    reveals neither point nor number, if the Diffie-Hellman problem is hard in the subgroup.
"""

import hashlib
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from gmpy2 import invert, legendre, mpz

__all__ = ["POINT_BYTES", "all_on_curve", "encode", "field_elements", "map_to_curve", "multiply"]

POINT_BYTES = 32

_P = mpz(2**255 - 19)
_J = mpz(486662)
_J2, _J3 = _J * _J, _J * _J * _J
_WIDE = 48  # bytes that are reduced modulo p: 128 bits more than p has
_Z_PAD = bytes(128)  # the input block of SHA-512
_DST_BYTES_MAX = 255


def field_elements(messages: Iterable[bytes], tag: bytes) -> list[mpz]:
    """Return one field element a message: ``hash_to_field`` with ``expand_message_xmd`` and SHA-512.

    Args:
        messages: Of any length each.
        tag: Domain separation tag, 1 to 255 bytes.

    Returns:
        Integers below 2**255 - 19, within 2**-128 of uniform if SHA-512 is a random oracle.
    """
    assert 0 < len(tag) <= _DST_BYTES_MAX
    behind = tag + bytes([len(tag)])
    suffix, second = _WIDE.to_bytes(2, "big") + b"\0" + behind, b"\1" + behind
    padded, sha512, whole = hashlib.sha512(_Z_PAD), hashlib.sha512, int.from_bytes
    found = []
    for message in messages:
        first = padded.copy()
        first.update(message + suffix)
        wide = sha512(first.digest() + second).digest()[:_WIDE]
        found.append(mpz(whole(wide, "big")) % _P)
    return found


def map_to_curve(elements: Sequence[int]) -> list[mpz]:
    """Return u of the point of each element, by Elligator 2 with Z = 2, one inversion for all.

    With d = 1 + 2 r**2 the candidates are -J / d and -J - (-J / d). The first is taken where it lies on the curve,
    which its numerator and d tell without a division: g(-J / d) is a square where (J**3 d - J**3 - J d**2) d is one.
    d is never zero, since -1/2 is no square modulo p.
    """
    below = [(1 + 2 * each * each) % _P for each in elements]
    found = []
    for d, inverse in zip(below, _inverses(below), strict=True):
        u = -_J * inverse
        square = legendre((_J3 * d - _J3 - _J * d * d) * d, _P) == 1
        found.append(u % _P if square else (-u - _J) % _P)
    return found


def _inverses(numbers: Sequence[mpz]) -> list[mpz]:
    """Return the inverses modulo p of numbers that are not zero (Montgomery's trick)."""
    product, before = mpz(1), []
    for number in numbers:
        before.append(product)
        product = product * number % _P
    rest, found = invert(product, _P), []
    for number, product in zip(reversed(numbers), reversed(before), strict=True):
        found.append(product * rest % _P)
        rest = rest * number % _P
    found.reverse()
    return found


def encode(messages: Iterable[bytes], tag: bytes) -> bytes:
    """Return u of ``map_to_curve`` of each message, 32 bytes each.

    Args:
        messages: Of any length each.
        tag: Domain separation tag, 1 to 255 bytes.
    """
    points = map_to_curve(field_elements(messages, tag))
    return b"".join([int(u).to_bytes(POINT_BYTES, "little") for u in points])


def all_on_curve(points: bytes) -> bool:
    """Return whether every u is that of a point of the curve, and none of its twist.

    Args:
        points: 32 bytes each, canonical.
    """
    for at in range(0, len(points), POINT_BYTES):
        u = mpz(int.from_bytes(points[at : at + POINT_BYTES], "little"))
        if legendre(((u + _J) * u + 1) * u, _P) != 1:
            return False
    return True


def multiply(scalar: bytes, points: bytes) -> bytes:
    """Return X25519 of one number and each point; constant time in the number.

    Args:
        scalar: 32 secret bytes; clamped by X25519.
        points: 32 bytes each.

    Returns:
        32 bytes each, in order.

    Raises:
        ValueError: A point has small order: the product would be all zeros.
    """
    exchange, read = (
        X25519PrivateKey.from_private_bytes(scalar).exchange,
        X25519PublicKey.from_public_bytes,
    )
    places = range(0, len(points), POINT_BYTES)
    return b"".join([exchange(read(points[at : at + POINT_BYTES])) for at in places])
