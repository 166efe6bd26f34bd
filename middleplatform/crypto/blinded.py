"""Blinded tokens of the private join: equal where identifiers are, under a key that no department has alone.

Each department draws a number and multiplies the points of its own and of all other lists by it; where all numbers lie
on a point, the last one cuts it to a token, for the gateway. The order for department A among A, B (and C)::

    A  opening, closing = key.split(rng)                 (two departments: opening is the key itself)
    A  blind(own identifiers, opening)                   sealed for the next department
    B  check_points, blind_again(A's points, B's key)    for the next, or with two departments
    A  check_points, blind_again(own points, closing)    then
       tokens(points)                                    for the gateway

Points MUST travel sealed between departments (``JoinParty.seal_for``): a gateway that could read one list and hand in
points of its own choice would try identifiers against it.
Imported by node.
Spec: docs/spec/private-join-blinded.md; RFC 7748, RFC 9380.
"""

from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.crypto.curve_workers import PIECE_ROWS, TOKEN_BYTES, CurveWork
from middleplatform.crypto.encoding import bad_message, tagged_digest
from middleplatform.crypto.hazmat.hash_to_curve import POINT_BYTES
from middleplatform.crypto.round_context import DIGEST_BYTES
from middleplatform.errors import ProtocolError
from middleplatform.ports import Rng

__all__ = [
    "POINT_BYTES",
    "ROWS_MAX",
    "TEXT_BYTES_MAX",
    "TOKEN_BYTES",
    "BlindKey",
    "blind",
    "blind_again",
    "check_points",
    "distinct",
    "route",
    "tokens",
]

ROWS_MAX = 2**26 - 2
"""Points of one list at most: what ``JoinParty.seal_for`` takes at once, 2**31 - 64 bytes."""

TEXT_BYTES_MAX = 1024
"""The longest text identifier, in bytes of UTF-8."""

_ENCODING = b"MPPJ1_curve25519_XMD:SHA-512_ELL2_NU_"
_IDENTIFIER = "middleplatform private-join identifier v1"
_TOKEN = "middleplatform private-join token v1"  # noqa: S105 - a name of what is hashed
_NUMBER, _TEXT = b"\x01", b"\x02"
_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the subgroup; RFC 7748, section 4.1
_TOP = 0x7F
_LAST = 0xED  # the lowest byte of p = 2**255 - 19; all bytes above it are ones

Points = npt.NDArray[np.uint8]


class BlindKey:
    """One department's secret number in one round; neither copied nor pickled nor shown.

    Args:
        secret: 32 bytes of the generator, clamped here as X25519 does.
        context: 32 bytes: digest of the round, which every point and token is bound to.

    Reveals:
        Its number to the workers of its own department, which multiply by it; to nobody else.
    """

    __slots__ = ("_secret", "context")

    def __init__(self, secret: bytes, context: bytes) -> None:
        assert len(secret) == POINT_BYTES
        assert len(context) == DIGEST_BYTES
        number = int.from_bytes(secret, "little") & ((1 << 254) - 8) | 1 << 254
        self._secret = number.to_bytes(POINT_BYTES, "little")
        self.context = context

    @classmethod
    def fresh(cls, rng: Rng, context: bytes) -> "BlindKey":
        """Return a new key, for one round.

        Args:
            rng: Gives 32 bytes.
            context: 32 bytes, ``RoundContext.digest``.

        Reveals:
            Nothing.
        """
        return cls(rng.token_bytes(POINT_BYTES), context)

    def split(self, rng: Rng) -> tuple["BlindKey", "BlindKey"]:
        """Return two keys that, one after the other, are this one.

        The first hides the own list on its way through the others and is used for nothing else; the second turns it
        into one under this key. So two others who put together what they saw of the own list and of theirs, on which
        this key lies, cannot compare the two. The second is f with f * first = ± this modulo the order of the
        subgroup; u-coordinates have no sign, and one of f and its negative has the form that X25519 asks for.

        Args:
            rng: Gives 32 bytes.

        Reveals:
            Nothing.
        """
        opening = BlindKey.fresh(rng, self.context)
        own, first = (int.from_bytes(key.scalar, "little") for key in (self, opening))
        factor = own * pow(8 * first, -1, _ORDER) % _ORDER
        eighth = factor if factor >= 1 << 251 else _ORDER - factor
        return opening, BlindKey((8 * eighth).to_bytes(POINT_BYTES, "little"), self.context)

    @property
    def scalar(self) -> bytes:
        """The clamped number, 32 little-endian bytes: for the worker that multiplies by it, and nobody else."""
        return self._secret

    def __repr__(self) -> str:
        return f"BlindKey(context={self.context.hex()[:8]}…)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a blinding key is neither copied nor pickled")


def route(owner: str, parties: Sequence[str]) -> tuple[str, ...]:
    """Return who multiplies the owner's list, in order; the last one cuts the tokens.

    Args:
        owner: One of ``parties``.
        parties: All departments with a list, at least two, in the round's order.

    Returns:
        The other one, of two; of more, the others in a ring, and then the owner with its closing key.

    Reveals:
        Nothing: the round's parties know each other.
    """
    at = parties.index(owner)
    others = (*parties[at + 1 :], *parties[:at])
    return others if len(others) == 1 else (*others, owner)


def distinct(identifiers: pa.Array) -> tuple[pa.Array, npt.NDArray[np.uint32]]:
    """Return each identifier once, and for each row where its identifier stands.

    Rows of one identifier would have equal points, and whoever multiplies them would see how often each comes; so only
    distinct ones travel between departments, and the places of the rows go to the gateway.

    Args:
        identifiers: int64 or string, none missing, already in the list's secret order.

    Returns:
        The distinct identifiers, in the order in which they first come; uint32 of one place a row.

    Reveals:
        To the gateway, with the places: which rows of a list have one identifier, as tokens would.
    """
    coded = _whole(identifiers).dictionary_encode()
    places: npt.NDArray[np.uint32] = coded.indices.to_numpy(zero_copy_only=False).astype(np.uint32)
    return coded.dictionary, places


def blind(identifiers: pa.Array, domain: str, key: BlindKey, workers: CurveWork) -> Points:
    """Return each identifier's point, multiplied by the key.

    Args:
        identifiers: int64, or string of at most 1,024 bytes of UTF-8; distinct, none missing, shuffled by the caller.
        domain: What they are, e.g. ``"person"``: the same on all sides.
        key: The own key, with more than two departments the opening one of ``BlindKey.split``.
        workers: Who computes.

    Returns:
        uint8, shape (rows, 32): canonical u-coordinates.

    Raises:
        ProtocolError: X004 when a text is too long or there are too many; X001 when an identifier comes twice.
        ValueError: The identifiers are of another type, or some are missing: the caller's fault.

    Reveals:
        To the next department: how many identifiers there are. Points of unknown key are random to it, if the
        decisional Diffie-Hellman problem is hard in the subgroup; it cannot try identifiers.
    """
    rows = _whole(identifiers)
    if rows.null_count:
        raise ValueError("an identifier is missing")
    if len(rows) > ROWS_MAX:
        raise ProtocolError("X004", detail="a list is too long")
    kind, ends, data = _values(rows)
    head = b"".join(
        (b"h", key.scalar, bytes([len(_ENCODING)]), _ENCODING,
         tagged_digest(_IDENTIFIER, key.context, domain), kind)
    )  # fmt: skip
    found = _points(workers.run(_pieces(head, ends, data)), POINT_BYTES)
    if _repeated(found):
        raise bad_message("an identifier comes twice in a list")
    return found


def check_points(points: Points, declared: int) -> Points:
    """Return points of another department as they may be multiplied; that they lie on the curve is checked then.

    Args:
        points: uint8, shape (rows, 32).
        declared: Rows that the list was said to have.

    Raises:
        ProtocolError: X001 when there are more or fewer rows than declared, or more than a list may have; when a u is
            not canonical (2**255 - 19 or above) or zero.

    Reveals:
        Nothing beyond the refusal, which is one for all causes.
    """
    if points.dtype != np.uint8 or points.shape != (declared, POINT_BYTES) or declared > ROWS_MAX:
        raise bad_message("a list of points has another length than declared")
    high = points[:, -1]
    ones = (points[:, 1:-1] == 0xFF).all(axis=1)  # noqa: PLR2004 - a byte of ones
    beyond = (high > _TOP) | ((high == _TOP) & ones & (points[:, 0] >= _LAST))
    if bool(beyond.any()) or not bool(points.any(axis=1).all()):
        raise bad_message("a point is not canonical")
    return points


def blind_again(points: Points, key: BlindKey, workers: CurveWork) -> Points:
    """Return another department's points, or the own ones that came back, multiplied by the key.

    Args:
        points: As ``check_points`` returned them.
        key: The own key; for the own list the closing one.
        workers: Who computes.

    Returns:
        uint8, shape (rows, 32), in the same order.

    Raises:
        ProtocolError: X001 when a point lies on the twist or has small order.

    Reveals:
        To the next department: points that are random to it. To the gateway, as tokens: which are equal.
    """
    raw = np.ascontiguousarray(check_points(points, len(points))).reshape(-1).data
    head = b"b" + key.scalar
    size = PIECE_ROWS * POINT_BYTES
    requests = (head + bytes(raw[at : at + size]) for at in range(0, len(raw), size))
    return _points(workers.run(requests), POINT_BYTES)


def tokens(points: Points, context: bytes, workers: CurveWork) -> Points:
    """Return what the gateway matches: SHA-256 of round and point, cut to 16 bytes.

    A token is the end of the way: no party can multiply it further, or compare it with one of another round. Of 2**26
    points a list and 64 lists, two different ones share a token with probability below 2**-64.

    Args:
        points: uint8, shape (rows, 32): under the keys of all departments.
        context: 32 bytes, ``RoundContext.digest``.
        workers: Who computes.

    Returns:
        uint8, shape (rows, 16), in the same order.

    Reveals:
        To the gateway: which are equal, within and between lists of this round, and nothing else.
    """
    raw = np.ascontiguousarray(points).reshape(-1).data
    head = b"t" + tagged_digest(_TOKEN, context)
    size = 8 * PIECE_ROWS * POINT_BYTES  # hashing is fast: larger pieces
    requests = (head + bytes(raw[at : at + size]) for at in range(0, len(raw), size))
    return _points(workers.run(requests), TOKEN_BYTES)


# --- Identifiers as bytes -----------------------------------------------------------------------


def _whole(identifiers: pa.Array) -> pa.Array:
    if isinstance(identifiers, pa.ChunkedArray):
        identifiers = identifiers.combine_chunks()
    return identifiers


def _values(rows: pa.Array) -> tuple[bytes, npt.NDArray[np.int64], memoryview]:
    """Return the kind, where each value ends (after a leading start), and the bytes of all."""
    if pa.types.is_int64(rows.type):
        numbers = rows.to_numpy(zero_copy_only=False).astype(">i8")
        return _NUMBER, np.arange(len(rows) + 1, dtype=np.int64) * 8, memoryview(numbers.tobytes())
    if not pa.types.is_string(rows.type):
        raise ValueError(f"identifiers of type {rows.type}")
    if len(rows) and pc.max(pc.binary_length(rows)).as_py() > TEXT_BYTES_MAX:
        raise ProtocolError("X004", detail="an identifier is too long")
    _, offsets, data = rows.buffers()
    if not len(rows):
        return _TEXT, np.zeros(1, dtype=np.int64), memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int32)[rows.offset : rows.offset + len(rows) + 1]
    return _TEXT, ends.astype(np.int64), memoryview(data if data is not None else b"")


def _pieces(head: bytes, ends: npt.NDArray[np.int64], data: memoryview) -> Iterator[bytes]:
    rows = len(ends) - 1
    for first in range(0, rows, PIECE_ROWS):
        last = min(first + PIECE_ROWS, rows)
        start = int(ends[first])
        inner = (ends[first + 1 : last + 1] - start).astype("<u4")
        count = (last - first).to_bytes(4, "little")
        yield head + count + inner.tobytes() + bytes(data[start : int(ends[last])])


def _points(pieces: list[bytes], size: int) -> Points:
    return np.frombuffer(b"".join(pieces), dtype=np.uint8).reshape(-1, size)


def _repeated(points: Points) -> bool:
    """Return whether two rows are equal; 8 of their bytes decide where they can."""
    words = np.sort(np.ascontiguousarray(points[:, :8]).view(np.uint64).reshape(-1))
    if not bool((words[1:] == words[:-1]).any()):
        return False
    return len(np.unique(points, axis=0)) < len(points)
