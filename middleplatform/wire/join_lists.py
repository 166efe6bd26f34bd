"""What the parties of a private join send as bytes: heads and parts of lists, groups of places, sums at them.

Little-endian arrays behind a head of fixed length, so that they are read where they lie. All lengths are checked
against the bytes before anything is read: one value has one encoding, and anything else is refused.
Imported by node, gateway and dispatch.
Spec: docs/spec/private-join.md, "Messages".

Reveals:
    What the messages hold, to who has their bytes: each class says it.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.encoding import Reader, bad_message, join_parts

__all__ = [
    "CODES_MAX",
    "CODE_BYTES",
    "PART_ROWS_MAX",
    "ROWS_MAX",
    "SECONDS_MAX",
    "TOKEN_BYTES",
    "WIDTH_MAX",
    "GroupLists",
    "GroupSums",
    "ListHead",
    "ListPart",
    "Points",
    "ReleasedCells",
    "parts_of",
]

TOKEN_BYTES = 16
CODE_BYTES = 16
PART_ROWS_MAX = 500_000
"""Rows of one part at most."""
ROWS_MAX = 1 << 31
"""Rows of one list, groups of one message and positions of one list stay below it."""
CODES_MAX = 1 << 22
WIDTH_MAX = 4096
SECONDS_MAX = 64

_PART_BYTES = 1 << 25
_NOTE_BYTES_MAX = 1024
_MARKS_BYTES_MAX = 1 << 31
_NAME_BYTES_MAX = 64
_PARTIES_MAX = 1024
_POINT_BYTES_MAX = 64
_MAGIC = b"MPJL1"
_SIDES_MAX = 64

Tokens = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]

_HEAD = struct.Struct("<5scHBxQIHHI")
_PART = struct.Struct("<5scHIIHHB11x")
_SUMS = struct.Struct("<5scHIHxxQQ")
_POINTS = struct.Struct("<5scHQHxxxxxx")
_GROUPS = struct.Struct("<5scHHII")
_RELEASED = struct.Struct("<5scHIHxx")
_OF_SIDE = struct.Struct("<HH")
_OWNER = struct.Struct("<HHQ")


def parts_of(rows: int, width: int, seconds: int) -> list[tuple[int, int]]:
    """Return where the parts of a list begin and end: of at most 500,000 rows and about 32 MiB each.

    Args:
        rows: Of the list.
        width: Words a row.
        seconds: Second tokens a row.

    Returns:
        (first row, row after the last) of each part, in order; none for an empty list.
    """
    row_bytes = TOKEN_BYTES * (1 + seconds) + 8 * width + 4
    step = max(1, min(PART_ROWS_MAX, _PART_BYTES // row_bytes))
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]


@dataclass(frozen=True, slots=True)
class ListHead:
    """What comes before a department's list.

    Attributes:
        side: Number of its side.
        rows: Rows of the list; 0 where it is short.
        parts: As ``parts_of`` cuts them.
        width: Words a row.
        seconds: Second tokens a row, one for each of ``Side.keys``.
        short: Fewer than k units: the side takes no part, and the query ends as suppressed.
        codes: Keyed codes of its label tuples, 16 bytes each, strictly ascending; none without dimensions.
        missing: Code of the labels of rows that found no match; empty but for a left-joined side with dimensions.
        note: Number of rows, sealed for the helper, as ``JoinParty`` made it; handed on with the groups.
        marks: Which label tuple each row has, sealed for the helper, where a key may have several rows and words are
            summed; handed on likewise. Rows of one label tuple are of different units.

    Reveals:
        To the gateway: how many rows and label tuples a list has. Its note only to the helper.
    """

    side: int
    rows: int
    parts: int
    width: int
    seconds: int
    short: bool
    codes: tuple[bytes, ...] = ()
    missing: bytes = b""
    note: bytes = b""
    marks: bytes = b""

    def __post_init__(self) -> None:
        shape = (self.rows, self.parts) == (0, 0) if self.short else True
        fits = (
            0 <= self.side < _SIDES_MAX
            and 0 <= self.rows < ROWS_MAX
            and 0 <= self.width <= WIDTH_MAX
            and 0 <= self.seconds <= SECONDS_MAX
            and len(self.codes) <= CODES_MAX
            and len(self.missing) in (0, CODE_BYTES)
            and len(self.note) <= _NOTE_BYTES_MAX
        )
        if not fits or not shape or any(len(code) != CODE_BYTES for code in self.codes):
            raise bad_message("the head of a list is not valid")
        if self.parts != len(parts_of(self.rows, self.width, self.seconds)):
            raise bad_message("a list is cut into other parts")
        if any(a >= b for a, b in zip(self.codes, self.codes[1:], strict=False)):
            raise bad_message("the codes of a list are not in order")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        flags = self.short | bool(self.missing) << 1 | bool(self.marks) << 2
        head = _HEAD.pack(
            _MAGIC, b"H", self.side, flags, self.rows, self.parts, self.width, self.seconds,
            len(self.codes),
        )  # fmt: skip
        tail = (self.note, self.marks) if self.marks else (self.note,)
        return head + b"".join(self.codes) + self.missing + join_parts(*tail)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "ListHead":
        """Return the head that ``raw`` encodes.

        Raises:
            ProtocolError: X001 when it is no such thing.
        """
        side, flags, rows, parts, width, seconds, count = _unpack(_HEAD, raw, b"H")
        if flags > 7 or count > CODES_MAX:  # noqa: PLR2004 - three bits
            raise bad_message("the head of a list is not valid")
        reader = Reader(raw[_HEAD.size :])
        whole = reader.take(count * CODE_BYTES)
        codes = tuple([whole[at : at + CODE_BYTES] for at in range(0, len(whole), CODE_BYTES)])
        missing = reader.take(CODE_BYTES) if flags & 2 else b""
        note = reader.part(_NOTE_BYTES_MAX)
        marks = reader.part(_MARKS_BYTES_MAX) if flags & 4 else b""
        reader.end()
        if bool(flags & 4) != bool(marks):
            raise bad_message("the head of a list is not in its one form")
        return cls(side, rows, parts, width, seconds, bool(flags & 1), codes, missing, note, marks)


@dataclass(frozen=True, slots=True, eq=False)
class ListPart:
    """Rows of a list that follow each other, in its secret order.

    Attributes:
        side: Number of its side.
        number: Of the part, from 0.
        tokens: Of the keys, uint8, shape (rows, 16); none under the blinded protocol: (0, 16).
        codes: Place of each row's label tuple in ``ListHead.codes``, uint32, shape (rows,); zeros without dimensions.
        seconds: Second tokens, each shape (rows, 16); all zero where there is none.
        words: Masked words, uint64, shape (rows, width).
        places: Under the blinded protocol, which of the list's tokens each row has, uint32, shape (rows,); else none.

    Reveals:
        To the gateway: which rows of a side share a key, a label tuple or a second key, all of them nameless.
    """

    side: int
    number: int
    tokens: Tokens
    codes: Places
    seconds: tuple[Tokens, ...]
    words: Words
    places: Places = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        rows, width = self.words.shape
        coded = bool(self.codes.any())
        bare = bool(self.places.size)
        head = _PART.pack(
            _MAGIC, b"P", self.side, self.number, rows, width, len(self.seconds), coded | bare << 1
        )
        pieces: list[bytes | memoryview] = [head]
        pieces += [_raw(each, "u1") for each in (self.tokens, *self.seconds)]
        pieces.append(_raw(self.words, "<u8"))
        pieces += [_raw(self.places, "<u4")]
        pieces += [_raw(self.codes, "<u4")] if coded else []
        return b"".join(pieces)

    @classmethod
    def from_bytes(cls, raw: bytes, head: ListHead) -> "ListPart":
        """Return the part that ``raw`` encodes, if it is one of the list of ``head``; arrays lie in ``raw``.

        Raises:
            ProtocolError: X001 when it is no such thing, or is a part of another list.
        """
        side, number, rows, width, seconds, flags = _unpack(_PART, raw, b"P")
        cuts = parts_of(head.rows, head.width, head.seconds)
        first, last = cuts[number] if number < len(cuts) else (0, -1)
        expected = (head.side, last - first, head.width, head.seconds)
        if flags > 3 or (side, rows, width, seconds) != expected:  # noqa: PLR2004 - two bits
            raise bad_message("a part of another list")
        body = _Body(raw, _PART.size)
        tokens = body.take("u1", (0 if flags & 2 else rows, TOKEN_BYTES))
        others = tuple([body.take("u1", (rows, TOKEN_BYTES)) for _ in range(seconds)])
        words = body.take("<u8", (rows, width))
        places = body.take("<u4", (rows if flags & 2 else 0,))
        codes = body.take("<u4", (rows,)) if flags & 1 else np.zeros(rows, dtype=np.uint32)
        body.end()
        if int(codes.max(initial=0)) >= max(1, len(head.codes)):
            raise bad_message("a row has a label that its list has not")
        if bool(flags & 1) != bool(codes.any()):
            raise bad_message("a part is not in its one form")
        return cls(side, number, tokens, codes, others, words, places)


@dataclass(frozen=True, slots=True, eq=False)
class GroupLists:
    """The places of each group in the lists of one side, for who removes the masks.

    Attributes:
        side: Number of the side.
        owners: Departments of the side that have a list, in order.
        notes: ``ListHead.note`` of each.
        starts: For each, uint32, shape (groups + 1,), rising from 0: where each group's positions begin.
        positions: For each, uint32, shape (positions,): rows of its list, rising within a group.
        marks: ``ListHead.marks`` of each, where they have them; else none.

    Reveals:
        To the helper: how many groups there are, and how many rows each has; places in a fresh shuffle; by the marks,
        which places have one nameless label tuple.
    """

    side: int
    owners: tuple[str, ...]
    notes: tuple[bytes, ...]
    starts: tuple[Places, ...]
    positions: tuple[Places, ...]
    marks: tuple[bytes, ...] = ()

    @property
    def groups(self) -> int:
        """Return the number of groups."""
        return self.starts[0].size - 1 if self.starts else 0

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        marked = bool(self.marks)
        pieces: list[bytes | memoryview] = [
            _GROUPS.pack(_MAGIC, b"G", self.side, marked, len(self.owners), self.groups)
        ]
        marks = self.marks or (b"",) * len(self.owners)
        several = zip(self.owners, self.notes, self.starts, self.positions, marks, strict=True)
        for owner, note, starts, positions, mark in several:
            name = owner.encode()
            pieces += [_OWNER.pack(len(name), len(note), positions.size), name, note]
            pieces += [_raw(starts, "<u4"), _raw(positions, "<u4")]
            pieces += [join_parts(mark)] if marked else []
        return b"".join(pieces)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "GroupLists":
        """Return the lists that ``raw`` encodes; what stands in them is the helper's to judge.

        Raises:
            ProtocolError: X001 when it is no such thing: other lengths, starts that do not rise from 0 to the number
                of positions.
        """
        side, marked, parties, groups = _unpack(_GROUPS, raw, b"G")
        if not 0 < parties <= _PARTIES_MAX or groups >= ROWS_MAX or marked > 1:
            raise bad_message("groups of too many parties")
        body = _Body(raw, _GROUPS.size)
        owners, notes, starts, positions, marks = [], [], [], [], []
        for _ in range(parties):
            named, noted, count = _OWNER.unpack(body.bytes(_OWNER.size))
            if named > _NAME_BYTES_MAX or noted > _NOTE_BYTES_MAX:
                raise bad_message("a field is too long")
            owners.append(_text(body.bytes(named)))
            notes.append(body.bytes(noted))
            begins = body.take("<u4", (groups + 1,))
            if begins[0] or begins[-1] != count or bool((begins[1:] < begins[:-1]).any()):
                raise bad_message("groups that do not follow each other")
            starts.append(begins)
            positions.append(body.take("<u4", (count,)))
            if marked:
                marks.append(body.bytes(int.from_bytes(body.bytes(4), "big")))
        body.end()
        told = tuple(owners), tuple(notes), tuple(starts), tuple(positions), tuple(marks)
        return cls(side, *told)


@dataclass(frozen=True, slots=True, eq=False)
class GroupSums:
    """What the helper returns: for each group, the masks that lie on its words, added up.

    Attributes:
        side: Number of the side.
        words: uint64, shape (groups, width); added to the sums of masked words they give the totals, modulo 2**64.

    Reveals:
        To the gateway: with the masked words, totals by nameless group.
    """

    side: int
    words: Words

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        groups, width = self.words.shape
        return _SUMS.pack(_MAGIC, b"S", self.side, groups, width, 0, 0) + _raw(self.words, "<u8")

    @classmethod
    def from_bytes(cls, raw: bytes, groups: int, width: int) -> "GroupSums":
        """Return the sums that ``raw`` encodes.

        Args:
            raw: From the helper.
            groups: That it was asked for.
            width: Words a row of the side.

        Raises:
            ProtocolError: X001 when it is no such thing, or of another shape.
        """
        side, *shape = _unpack(_SUMS, raw, b"S")
        if shape != [groups, width, 0, 0]:
            raise bad_message("sums of another shape")
        body = _Body(raw, _SUMS.size)
        words = body.take("<u8", (groups, width))
        body.end()
        return cls(side, words)


@dataclass(frozen=True, slots=True, eq=False)
class ReleasedCells:
    """What of a sealed private join is released, for who has removed masks of magnitudes.

    Attributes:
        released: Which values, bool, shape (shown cells, aggregates).
        places: For each side whose masks the receiver removed: which of its groups each shown cell is, int32, shape
            (shown cells,); -1 where the side has no row of it.

    Reveals:
        To the helper: which of its nameless groups are shown, and which values of them.
    """

    released: "npt.NDArray[np.bool_]"
    places: Mapping[int, "npt.NDArray[np.int32]"]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        cells, values = self.released.shape
        pieces: list[bytes | memoryview] = [
            _RELEASED.pack(_MAGIC, b"R", len(self.places), cells, values),
            _raw(self.released.astype(np.uint8), "u1"),
        ]
        for side, places in sorted(self.places.items()):
            pieces += [_OF_SIDE.pack(side, 0), _raw(places, "<i4")]
        return b"".join(pieces)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "ReleasedCells":
        """Return what ``raw`` encodes.

        Raises:
            ProtocolError: X001 when it is no such thing.
        """
        count, cells, values = _unpack(_RELEASED, raw, b"R")
        if count > _SIDES_MAX or not 0 < values <= WIDTH_MAX or cells >= ROWS_MAX:
            raise bad_message("released cells of an unknown form")
        body = _Body(raw, _RELEASED.size)
        released = body.take("u1", (cells, values))
        places: dict[int, npt.NDArray[np.int32]] = {}
        for _ in range(count):
            side, none = _OF_SIDE.unpack(body.bytes(_OF_SIDE.size))
            if none or side <= max(places, default=-1):
                raise bad_message("released cells of an unknown form")
            places[side] = body.take("<i4", (cells,))
        body.end()
        if bool((released > 1).any()) or any(bool((each < -1).any()) for each in places.values()):
            raise bad_message("released cells of an unknown form")
        return cls(released.astype(np.bool_), places)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Blinded points of one list under way to the next party, or at its end the tokens that are cut from them.

    Attributes:
        side: Number of the list's side.
        values: uint8, shape (rows, bytes each).

    Reveals:
        To who blinds them next: how many rows the list has. To the gateway, at the end: which of them are equal.
    """

    side: int
    values: Tokens

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        rows, size = self.values.shape
        return _POINTS.pack(_MAGIC, b"B", self.side, rows, size) + _raw(self.values, "u1")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Points":
        """Return the points that ``raw`` encodes; whether they lie on a curve is not judged here.

        Raises:
            ProtocolError: X001 when it is no such thing.
        """
        side, rows, size = _unpack(_POINTS, raw, b"B")
        if rows >= ROWS_MAX or not 0 < size <= _POINT_BYTES_MAX:
            raise bad_message("points of an unknown form")
        body = _Body(raw, _POINTS.size)
        values = body.take("u1", (rows, size))
        body.end()
        return cls(side, values)


class _Body:
    """Takes arrays out of a message one after another, without copying them."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self._at = raw, at

    def bytes(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._raw):
            raise bad_message("message is cut short")
        piece, self._at = self._raw[self._at : end], end
        return piece

    def take(self, kind: str, shape: Sequence[int]) -> npt.NDArray[Any]:
        dtype, count = np.dtype(kind), prod(shape)
        end = self._at + count * dtype.itemsize
        if end > len(self._raw):
            raise bad_message("message is cut short")
        empty = np.zeros(0, dtype)
        found = np.frombuffer(self._raw, dtype, count, self._at) if count else empty
        self._at = end
        return found.reshape(tuple(shape))

    def end(self) -> None:
        if self._at != len(self._raw):
            raise bad_message("message has trailing bytes")


def _unpack(form: struct.Struct, raw: bytes, kind: bytes) -> list[int]:
    """Return the numbers of a head.

    Raises:
        ProtocolError: X001 when it is of another kind or version, or has not its one encoding.
    """
    if len(raw) < form.size:
        raise bad_message("message is cut short")
    magic, found, *numbers = form.unpack_from(raw)
    if (magic, found) != (_MAGIC, kind) or form.pack(magic, found, *numbers) != raw[: form.size]:
        raise bad_message("a message is of another kind or version")
    return numbers


def _raw(array: npt.NDArray[np.generic], kind: str) -> memoryview:
    """Return the bytes of an array where they lie: they are copied once, into the message."""
    return np.ascontiguousarray(array, dtype=kind).reshape(-1).view(np.uint8).data


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise bad_message("a text is not UTF-8") from None
