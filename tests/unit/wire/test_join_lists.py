"""Lists of a private join as bytes: what was written is read, and nothing else is."""

import numpy as np
import pytest

from middleplatform.errors import ProtocolError
from middleplatform.wire import join_lists
from middleplatform.wire.join_lists import (
    GroupLists,
    GroupSums,
    ListHead,
    ListPart,
    Points,
    ReleasedCells,
    parts_of,
)

RNG = np.random.default_rng(3)


def head(rows=5, width=2, seconds=1, **changes):
    values = {
        "side": 1, "rows": rows, "parts": len(parts_of(rows, width, seconds)), "width": width, "seconds": seconds,
        "short": False, "codes": (b"a" * 16, b"b" * 16), "missing": b"m" * 16, "note": b"note",
    }  # fmt: skip
    return ListHead(**{**values, **changes})


def part(rows=5, width=2, seconds=1, codes=(0, 1, 1, 0, 1), **changes):
    values = {
        "side": 1, "number": 0, "tokens": RNG.integers(0, 256, (rows, 16), dtype=np.uint8),
        "codes": np.array(codes, dtype=np.uint32),
        "seconds": tuple(RNG.integers(0, 256, (rows, 16), dtype=np.uint8) for _ in range(seconds)),
        "words": RNG.integers(0, 2**64, (rows, width), dtype=np.uint64),
    }  # fmt: skip
    return ListPart(**{**values, **changes})


def groups(**changes):
    values = {
        "side": 1, "owners": ("c1", "c2"), "notes": (b"n1", b""),
        "starts": (np.array([0, 2, 3], np.uint32), np.array([0, 0, 1], np.uint32)),
        "positions": (np.array([4, 7, 1], np.uint32), np.array([9], np.uint32)),
    }  # fmt: skip
    return GroupLists(**{**values, **changes})


def equal(one, other):
    for name in type(one).__slots__:
        mine, theirs = getattr(one, name), getattr(other, name)
        arrays = mine if isinstance(mine, tuple) else (mine,)
        others = theirs if isinstance(theirs, tuple) else (theirs,)
        assert len(arrays) == len(others)
        for left, right in zip(arrays, others, strict=True):
            assert np.array_equal(left, right), name


CASES = [
    (head(), ListHead.from_bytes),
    (head(0, short=True, codes=(), missing=b"", note=b""), ListHead.from_bytes),
    (head(marks=b"sealed"), ListHead.from_bytes),
    (groups(marks=(b"m1", b"")), GroupLists.from_bytes),
    (part(), lambda raw: ListPart.from_bytes(raw, head())),
    (part(5, 0, 0, np.zeros(5)), lambda raw: ListPart.from_bytes(raw, head(5, 0, 0))),
    (part(tokens=np.zeros((0, 16), np.uint8), places=np.array([3, 0, 1, 1, 9], np.uint32)), lambda raw: ListPart.from_bytes(raw, head())),
    (groups(), GroupLists.from_bytes),
    (groups(starts=(np.zeros(1, np.uint32),) * 2, positions=(np.zeros(0, np.uint32),) * 2), GroupLists.from_bytes),
    (GroupSums(0, np.arange(6, dtype=np.uint64).reshape(3, 2)), lambda raw: GroupSums.from_bytes(raw, 3, 2)),
    (Points(0, np.ones((4, 32), np.uint8)), Points.from_bytes),
]  # fmt: skip


@pytest.mark.parametrize(("message", "read"), CASES)
def test_what_was_written_is_read(message, read):
    equal(read(message.to_bytes()), message)
    assert read(message.to_bytes()).to_bytes() == message.to_bytes()


@pytest.mark.parametrize(("message", "read"), CASES)
def test_no_message_is_read_that_is_cut_longer_or_of_another_kind(message, read):
    raw = message.to_bytes()
    for other in (raw[:-1], raw + b"\0", b"", raw[:4], b"X" + raw[1:], raw[:5] + b"?" + raw[6:]):
        with pytest.raises(ProtocolError) as caught:
            read(other)
        assert caught.value.code == "X001"


@pytest.mark.parametrize(("message", "read"), CASES)
def test_a_byte_of_a_head_that_is_changed_is_refused_or_read_as_it_stands(message, read):
    raw = message.to_bytes()
    for at in range(min(48, len(raw))):
        other = raw[:at] + bytes([raw[at] ^ 0x81]) + raw[at + 1 :]
        try:
            found = read(other)
        except ProtocolError:
            continue
        assert found.to_bytes() == other


@pytest.mark.parametrize(
    "changes",
    [
        {"side": 64}, {"rows": 6, "parts": 2}, {"short": True}, {"codes": (b"b" * 16, b"a" * 16)}, {"parts": 0},
        {"codes": (b"a" * 16, b"a" * 16)}, {"codes": (b"a" * 15,)}, {"missing": b"m"}, {"note": bytes(1025)},
        {"width": 4097}, {"seconds": 65}, {"rows": 1 << 31},
    ],
)  # fmt: skip
def test_an_impossible_head_is_never_made(changes):
    with pytest.raises(ProtocolError) as caught:
        head(**changes)
    assert caught.value.code == "X001"


@pytest.mark.parametrize(
    "other",
    [
        part(codes=(0, 1, 2, 0, 1)), part(side=0), part(number=1), part(4, codes=(0, 1, 1, 0)), part(width=1),
        part(seconds=0),
    ],
)  # fmt: skip
def test_a_part_of_another_list_is_refused(other):
    with pytest.raises(ProtocolError) as caught:
        ListPart.from_bytes(other.to_bytes(), head())
    assert caught.value.code == "X001"


@pytest.mark.parametrize("starts", [(1, 2, 3), (0, 4, 3), (0, 2, 2), (0, 2, 4)])
def test_groups_that_do_not_follow_each_other_are_refused(starts):
    other = groups(
        starts=(np.array(starts, np.uint32), np.array([0, 0, 1], np.uint32)),
    )
    with pytest.raises(ProtocolError) as caught:
        GroupLists.from_bytes(other.to_bytes())
    assert caught.value.code == "X001"


def test_sums_of_another_shape_are_refused():
    raw = GroupSums(0, np.zeros((3, 2), np.uint64)).to_bytes()
    for shape in ((2, 3), (3, 1), (4, 2)):
        with pytest.raises(ProtocolError):
            GroupSums.from_bytes(raw, *shape)


def test_the_parts_of_a_list_cover_it_and_stay_small():
    for rows, width, seconds in ((0, 1, 0), (1, 0, 0), (500_001, 0, 0), (3_000_000, 40, 2)):
        cuts = parts_of(rows, width, seconds)
        assert [first for first, _ in cuts[1:]] == [last for _, last in cuts[:-1]]
        assert sum(last - first for first, last in cuts) == rows
        assert all(last - first <= join_lists.PART_ROWS_MAX for first, last in cuts)
        size = 16 * (1 + seconds) + 8 * width + 4
        assert all((last - first) * size <= 1 << 25 for first, last in cuts)


def test_arrays_are_read_where_they_lie():
    raw = part().to_bytes()
    read = ListPart.from_bytes(raw, head())
    assert not read.words.flags.owndata
    assert read.words.flags.aligned


# --- what is released of a sealed join --------------------------------------------------------------------------------


def released(**changes):
    values = {
        "released": np.array([[True, False], [False, True], [True, True]]),
        "places": {0: np.array([2, -1, 0], np.int32), 3: np.array([0, 1, 2], np.int32)},
    }
    return ReleasedCells(**{**values, **changes})


@pytest.mark.parametrize(
    "cells",
    [
        released(), released(places={}), released(places={63: np.array([-1, -1, -1], np.int32)}),
        released(released=np.zeros((0, 1), np.bool_), places={1: np.zeros(0, np.int32)}),
    ],
)  # fmt: skip
def test_what_was_written_of_released_cells_is_read(cells):
    raw = cells.to_bytes()
    found = ReleasedCells.from_bytes(raw)
    assert np.array_equal(found.released, cells.released)
    assert found.released.dtype == np.bool_
    assert found.places.keys() == cells.places.keys()
    assert all(np.array_equal(found.places[side], cells.places[side]) for side in cells.places)
    assert found.to_bytes() == raw


RELEASED = released().to_bytes()
_HEAD = 16
"""Magic, kind, sides (2), cells (4), values (2), two zeros; then a byte each value; then side (2), zero (2), places."""


def with_byte(at, value):
    return RELEASED[:at] + bytes([value]) + RELEASED[at + 1 :]


@pytest.mark.parametrize(
    "raw",
    [
        b"", RELEASED[:-1], RELEASED + b"\0", RELEASED[:_HEAD], with_byte(0, 88), with_byte(5, ord("G")),
        with_byte(6, 1), with_byte(6, 3), with_byte(7, 1), with_byte(8, 4), with_byte(11, 255), with_byte(12, 0),
        with_byte(13, 255), with_byte(14, 1), with_byte(_HEAD, 2), with_byte(_HEAD + 6, 3), with_byte(_HEAD + 8, 1),
        with_byte(_HEAD + 14, 0xFE), released(places={0: np.array([0, 1, -2], np.int32)}).to_bytes(),
        released(released=np.zeros((3, 0), np.bool_)).to_bytes(),
        released(places=dict.fromkeys(range(65), np.zeros(3, np.int32))).to_bytes(),
    ],
)  # fmt: skip
def test_released_cells_of_another_form_are_refused(raw):
    with pytest.raises(ProtocolError) as caught:
        ReleasedCells.from_bytes(raw)
    assert caught.value.code == "X001"


def test_the_sides_of_released_cells_stand_in_one_order_each_once():
    body = RELEASED[_HEAD + 6 :]
    first, second = body[:16], body[16:]
    assert ReleasedCells.from_bytes(RELEASED[: _HEAD + 6] + first + second).places.keys() == {0, 3}
    for other in (second + first, first + first):
        with pytest.raises(ProtocolError):
            ReleasedCells.from_bytes(RELEASED[: _HEAD + 6] + other)
