"""Are lists of several departments put together as they were sent, and lists that do not fit refused?"""

from dataclasses import replace

import numpy as np
import pytest

from middleplatform.combine.join_gather import Gathering
from middleplatform.errors import ProtocolError
from middleplatform.model.join import Side, SideWord
from middleplatform.model.query import Field, JoinKind, Rows, Table
from middleplatform.wire.join_lists import ListHead, ListPart, parts_of

SIDE = Side(
    1, ("a", "b"), JoinKind.LEFT, Rows(Table("t0", "a.table")), Field("t0", "id"), (0,), (0,),
    (SideWord("sum_0"), SideWord("sq_0", 2)),
)  # fmt: skip
CODE = {name: name.encode() * 16 for name in "pqrm"}
SIZES = {"a": 5, "b": 3}
LABELS = {"a": "pr", "b": "q"}


def heads(**changes):
    made = {
        name: ListHead(
            1, rows, len(parts_of(rows, 3, 1)), 3, 1, short=False,
            codes=tuple(CODE[each] for each in LABELS[name]), missing=CODE["m"],
        )
        for name, rows in SIZES.items()
    }  # fmt: skip
    return made | {name: replace(made[name], **told) for name, told in changes.items()}


def part(name, **changes):
    draw, rows = np.random.default_rng(ord(name)), SIZES[name]
    made = ListPart(
        1, 0, draw.integers(0, 256, (rows, 16), np.uint8), draw.integers(0, len(LABELS[name]), rows, np.uint32),
        (draw.integers(0, 256, (rows, 16), np.uint8),), draw.integers(0, 2**64, (rows, 3), np.uint64),
    )  # fmt: skip
    return replace(made, **changes)


def bytes_of(tokens):
    return tokens.view(np.uint8).reshape(-1, 16)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_rows_stand_by_department_whoever_comes_first(order):
    told = heads()
    gathering = Gathering(SIDE, told)
    for name in order:
        own = part(name)
        sent = ListPart.from_bytes(own.to_bytes(), told[name])
        gathering.taker(name)(0, sent)
    found = gathering.list()
    assert found.starts == (0, 5, 8)
    assert found.labels == tuple(sorted(CODE.values()))
    assert found.labels[found.missing] == CODE["m"]
    both = [part(name) for name in "ab"]
    assert (bytes_of(found.tokens) == np.concatenate([each.tokens for each in both])).all()
    (second,) = found.seconds
    assert (bytes_of(second) == np.concatenate([each.seconds[0] for each in both])).all()
    assert (found.words == np.concatenate([each.words for each in both])).all()
    named = [found.labels[place] for place in found.codes]
    assert named == [CODE[LABELS[name][place]] for name in "ab" for place in part(name).codes]


def test_a_list_in_parts_is_whole():
    gathering = Gathering(SIDE, heads())
    whole = part("a")
    take = gathering.taker("a")
    for first, last in ((0, 2), (2, 5)):
        piece = slice(first, last)
        take(first, replace(
            whole, tokens=whole.tokens[piece], codes=whole.codes[piece], words=whole.words[piece],
            seconds=(whole.seconds[0][piece],),
        ))  # fmt: skip
    gathering.taker("b")(0, part("b"))
    assert (gathering.list().words[:5] == whole.words).all()


def test_blinded_tokens_are_given_to_the_rows_that_name_them():
    gathering = Gathering(SIDE, heads(), blinded=True)
    none = np.zeros((0, 16), dtype=np.uint8)
    places = {"a": np.array([2, 0, 1, 0, 2], dtype=np.uint32), "b": np.array([0, 1, 2], dtype=np.uint32)}  # fmt: skip
    tokens = np.random.default_rng(1).integers(0, 256, (6, 16), np.uint8)
    for name, own in (("a", tokens[:3]), ("b", tokens[3:])):
        gathering.taker(name)(0, part(name, tokens=none, places=places[name]))
        gathering.put_tokens(name, own)
    found = bytes_of(gathering.list().tokens)
    assert (found[:5] == tokens[[2, 0, 1, 0, 2]]).all()
    assert (found[5:] == tokens[3:]).all()
    for wrong in (tokens[:2], tokens[:4], none):
        with pytest.raises(ProtocolError):
            gathering.put_tokens("a", wrong)


def test_a_part_of_the_other_protocol_is_refused():
    none = np.zeros((0, 16), dtype=np.uint8)
    bare = part("a", tokens=none, places=np.zeros(5, dtype=np.uint32))
    for blinded, wrong in ((True, part("a")), (False, bare)):
        with pytest.raises(ProtocolError) as caught:
            Gathering(SIDE, heads(), blinded=blinded).taker("a")(0, wrong)
        assert caught.value.code == "X001"


@pytest.mark.parametrize(
    ("side", "told"),
    [
        (SIDE, heads(b={"missing": CODE["p"]})),
        (SIDE, heads(b={"missing": b""})),
        (SIDE, heads(a={"missing": b""}, b={"missing": b""})),
        (replace(SIDE, kind=JoinKind.INNER), heads()),
    ],
)
def test_departments_must_agree_on_the_label_of_no_match(side, told):
    with pytest.raises(ProtocolError) as caught:
        Gathering(side, told)
    assert caught.value.code == "X001"
