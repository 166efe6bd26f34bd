"""Do matching, cells, groups and sums of a join give what going through all rows gives?"""

from itertools import pairwise

import numpy as np
import plain_match as plain
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.combine.join_cells import cells_of, distinct, groups_of, judged, survivors
from middleplatform.combine.join_match import NONE, SideList, match, runs
from middleplatform.combine.join_sums import masked_sums, places_by_department
from middleplatform.errors import ProtocolError
from middleplatform.model.query import JoinKind

INNER, LEFT, ANTI = JoinKind.INNER, JoinKind.LEFT, JoinKind.ANTI
KEYS = st.integers(0, 24)
WORD = st.integers(0, 2**64 - 1)


@st.composite
def listed(draw, kind, *, unique):
    labels = draw(st.sampled_from([0, 2, 3])) if kind is not ANTI else 0
    shown = range(max(1, labels - (kind is LEFT)))
    keys = draw(
        st.lists(KEYS, unique=True, max_size=25)
        if unique
        else st.lists(st.tuples(KEYS, st.sampled_from(shown)), unique=True, max_size=40)
    )
    row = st.builds(
        plain.Row, st.none(), st.sampled_from(shown), st.none() | st.integers(0, 6), st.tuples(WORD, WORD)
    )  # fmt: skip
    rows = [draw(row) for _ in keys]
    for each, key in zip(rows, keys, strict=True):
        each.key, each.label = (key, each.label) if unique else key
    # A key without a value matches nothing, whatever else it is.
    rows += draw(st.lists(row, max_size=2))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=2)))
    ends = [0, *cuts, len(rows)]
    departments = [rows[first:last] for first, last in pairwise(ends)]
    return plain.Listed(kind, unique, departments, labels)


@st.composite
def joins(draw):
    kinds = [INNER, *draw(st.lists(st.sampled_from([INNER, LEFT, ANTI]), min_size=1, max_size=3))]
    fan = draw(st.sampled_from([-1, *[n for n, kind in enumerate(kinds) if kind is not ANTI]]))
    return [draw(listed(kind, unique=number != fan)) for number, kind in enumerate(kinds)]


def worked_out(sides, partition_rows, *, close):
    lists = [plain.side_list(side, close=close) for side in sides]
    rows = match(lists, partition_rows)
    return lists, rows, cells_of(lists, rows)


@given(joins(), st.sampled_from([1 << 25, 16, 1]), st.booleans())
def test_tuples_cells_and_counts_are_those_of_the_rows(sides, partition_rows, close):
    lists, rows, cells = worked_out(sides, partition_rows, close=close)
    found = zip(*[[None if row == NONE else int(row) for row in own] for own in rows], strict=True)
    assert sorted(found, key=repr) == plain.tuples(sides)
    expected = plain.cells(sides)
    labels = list(zip(*[own.tolist() for own in cells.codes], strict=True))
    assert sorted(labels) == sorted(expected)
    for number, label in enumerate(labels):
        cell = expected[label]
        assert cells.tuples[number] == cell.units
        assert tuple(int(own[number]) for own in cells.matched) == cell.matched
    for place, side in enumerate(lists):
        if side.kind is not ANTI:
            counted = distinct(side, 0, rows[place], cells)
            assert counted.tolist() == [expected[label].seconds[place] for label in labels]


@given(joins(), st.integers(0, 4))
def test_groups_hold_the_rows_of_surviving_cells_and_their_sums(sides, least):
    lists, rows, cells = worked_out(sides, 1 << 25, close=False)
    fan = [number for number, side in enumerate(sides) if not side.unique]
    worded = fan or [number for number, side in enumerate(sides) if side.kind is not ANTI]
    counts = judged(lists, cells)
    kept = survivors(cells, [counts[number] for number in worded], least)
    expected = plain.cells(sides)
    labels = list(zip(*[own.tolist() for own in cells.codes], strict=True))
    for number, label in enumerate(labels):
        cell, enough = expected[label], True
        for place in worded:
            absent = label[place] == sides[place].missing and not cell.matched[place]
            enough &= absent or cell.matched[place] >= least
        assert kept[number] == (least <= 1 or (cell.units >= least and enough))
    alive = [label for label, stays in zip(labels, kept, strict=True) if stays]
    for place in worded:
        side = lists[place]
        groups = groups_of(rows[place], cells, kept)
        sums = masked_sums(side.words, groups)
        for number, label in enumerate(alive):
            own = groups.rows[groups.starts[number] : groups.starts[number + 1]]
            assert tuple(own.tolist()) == expected[label].rows[place]
            assert tuple(sums[number].tolist()) == expected[label].words[place]
        _same_places(side, groups)


def _same_places(side, groups):
    """Every department's places, put behind those before it, are the side's rows again."""
    starts, places = places_by_department(groups, side.starts)
    assert len(starts) == len(side.starts) - 1
    for number in range(groups.starts.size - 1):
        found = [
            int(place) + first
            for first, begins, own in zip(side.starts, starts, places, strict=False)
            for place in own[begins[number] : begins[number + 1]]
        ]
        assert found == groups.rows[groups.starts[number] : groups.starts[number + 1]].tolist()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60), st.booleans())
def test_runs_bring_equal_tokens_together(pairs, close):
    shift = 0 if close else 60
    tokens = np.array([(a << shift, b) for a, b in pairs], dtype=np.uint64).reshape(-1, 2)
    order, begins = runs(tokens)
    assert sorted(order.tolist()) == list(range(len(pairs)))
    seen, last = set(), None
    for row, new in zip(order.tolist(), begins.tolist(), strict=True):
        assert new == (pairs[row] != last)
        assert not new or pairs[row] not in seen
        last = pairs[row]
        seen.add(last)


def one(kind, unique, departments, labels=0):
    return plain.side_list(plain.Listed(kind, unique, departments, labels))


def row(key, label=0):
    return plain.Row(key, label, None, (1,))


PARTNER = [[row(key) for key in range(9)]]


@pytest.mark.parametrize("partition_rows", [1 << 25, 4])
def test_a_department_that_names_a_key_twice_is_refused(partition_rows):
    sides = [one(INNER, True, [[row(3), row(4), row(3)]]), one(INNER, True, PARTNER)]
    with pytest.raises(ProtocolError) as caught:
        match(sides, partition_rows)
    assert caught.value.code == "X001"


def test_a_fan_names_a_key_under_each_label_once():
    fan = [[row(3, 0), row(3, 1), row(3, 0)]]
    with pytest.raises(ProtocolError) as caught:
        match([one(INNER, True, PARTNER), one(INNER, False, fan, 2)])
    assert caught.value.code == "X001"
    rows = match([one(INNER, True, PARTNER), one(INNER, False, [fan[0][:2]], 2)])
    assert sorted(rows[1].tolist()) == [0, 1]


@pytest.mark.parametrize("unique", [True, False])
def test_a_key_in_two_departments_counts_once_in_the_first(unique):
    parts = [[row(1), row(3)], [row(3), row(2)]]
    rows = match([one(INNER, True, PARTNER), one(INNER, unique, parts)])
    assert sorted(zip(*[own.tolist() for own in rows], strict=True)) == [(1, 0), (2, 3), (3, 1)]


def test_nothing_matches_nothing():
    empty = one(INNER, True, [[]])
    for others in ([empty], [one(LEFT, True, [[]])], [one(ANTI, True, [[]])]):
        rows = match([empty, *others])
        assert [own.size for own in rows] == [0] * len(rows)
        assert cells_of([empty, *others], rows).tuples.tolist() == [0]


def test_many_labels_of_several_sides_are_numbered_without_a_table_of_all_of_them():
    labels, rows = 3000, 5000
    keys = [[row(key, key * 7 % labels) for key in range(rows)]]
    other = [[row(key, key % labels) for key in range(0, rows, 2)]]
    sides = [one(INNER, True, keys, labels), one(INNER, True, other, labels)]
    cells = cells_of(sides, match(sides))
    expected = {(key * 7 % labels, key % labels) for key in range(0, rows, 2)}
    found = zip(*[own.tolist() for own in cells.codes], strict=True)
    assert set(found) == expected
    assert cells.tuples.sum() == rows // 2


def test_sums_that_end_between_two_pieces_are_whole():
    rows = 1_300_000
    draw = np.random.default_rng(4)
    words = draw.integers(0, 2**64, size=(rows, 2), dtype=np.uint64)
    tokens = np.stack([np.arange(1, rows + 1, dtype=np.uint64) << 24] * 2, axis=1)
    codes = np.sort(draw.integers(0, 5, rows).astype(np.uint32))
    names = tuple(b"%016d" % number for number in range(5))
    side = SideList(INNER, True, tokens, codes, names, -1, (0, rows), (), words)
    other = SideList(INNER, True, tokens, codes * 0, (), -1, (0, rows), (), words[:, :0])
    found = match([side, other])
    cells = cells_of([side, other], found)
    groups = groups_of(found[0], cells, survivors(cells, [], 10))
    sums = masked_sums(words, groups)
    for number in range(5):
        assert (sums[number] == words[codes == number].sum(axis=0)).all()
