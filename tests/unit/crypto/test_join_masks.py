"""Orders are uniform, masks are a keystream, and sums of masks by group are exact."""

import hashlib
from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.crypto import join_masks
from middleplatform.crypto.hazmat.masks import MaskStream
from middleplatform.crypto.join_masks import Groups, add_group_masks, masked_rows, permutation
from middleplatform.errors import ProtocolError


def secret(*parts):
    return hashlib.sha256(repr(parts).encode()).digest()


def chi_square(counts, expected):
    return sum((count - expected) ** 2 / expected for count in counts)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 65_537])
def test_an_order_has_every_row_once(count):
    order = permutation(secret("order", count), count)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(count))


def test_every_order_of_four_rows_is_as_likely():
    draws = 12_000
    found = Counter(tuple(permutation(secret("four", n), 4).tolist()) for n in range(draws))
    assert found.keys() == set(permutations(range(4)))
    # 23 degrees of freedom: above 60 with probability 4e-5.
    assert chi_square(found.values(), draws / 24) < 60


def test_rows_of_equal_words_are_in_every_order_as_likely():
    keys = np.array([1, 5, 5, 5, 9, 9], dtype=np.uint64)
    draws = 6_000
    found = Counter()
    for n in range(draws):
        order = np.arange(6)
        join_masks._order_equals(MaskStream(secret("ties", n)), keys, order)
        assert order[0] == 0
        found[tuple(order.tolist())] += 1
    assert len(found) == 6 * 2
    # 11 degrees of freedom: above 40 with probability 4e-5.
    assert chi_square(found.values(), draws / 12) < 40


def test_an_order_is_uniform_even_if_its_words_are_mostly_equal(monkeypatch):
    class Coarse(MaskStream):
        """Leaves one random bit of the first words, so that about half of all rows tie."""

        def __init__(self, key):
            super().__init__(key)
            self.first = True

        def fill(self, buffer):
            super().fill(buffer)
            if self.first:
                buffer &= np.uint64(1 << 63)
            self.first = False

    monkeypatch.setattr(join_masks, "MaskStream", Coarse)
    draws = 3_000
    found = Counter(tuple(permutation(secret("coarse", n), 3).tolist()) for n in range(draws))
    # 5 degrees of freedom: above 28 with probability 4e-5.
    assert len(found) == 6
    assert chi_square(found.values(), draws / 6) < 28


def test_words_that_tie_again_are_drawn_again():
    class Repeating:
        """Gives equal words once, then a keystream."""

        def __init__(self):
            self.calls, self.stream = 0, MaskStream(secret("again"))

        def fill(self, buffer):
            self.calls += 1
            if self.calls == 1:
                buffer[:] = 7
            else:
                self.stream.fill(buffer)

    stream, order = Repeating(), np.arange(3)
    join_masks._order_equals(stream, np.array([2, 2, 2], dtype=np.uint64), order)
    assert stream.calls == 2
    assert sorted(order.tolist()) == [0, 1, 2]


def test_a_large_order_moves_rows_everywhere():
    count = 4_000_000  # of 42 random bits each: a few of them are equal
    order = permutation(secret("large"), count)
    assert np.array_equal(np.bincount(order, minlength=count), np.ones(count))
    # Mean displacement of a uniform order is a third of its length, give or take 1/(2 sqrt(length)).
    moved = np.abs(order - np.arange(count)).mean() / count
    assert abs(moved - 1 / 3) < 0.001


def test_masked_words_are_uniform_whatever_lies_under_them():
    for value in (0, 1, 2**64 - 1):
        words = np.full((50_000, 2), value, dtype=np.uint64)
        masked = masked_rows(secret("uniform", value), words)
        for column in masked.T:
            bits = np.unpackbits(np.ascontiguousarray(column).view(np.uint8).reshape(-1, 8), axis=1)
            # Each of 64 bits is one in half of 50,000 rows: five standard deviations are 560.
            assert np.abs(bits.sum(axis=0, dtype=np.int64) - 25_000).max() < 560
            counts = np.bincount(np.ascontiguousarray(column).view(np.uint8), minlength=256)
            # 255 degrees of freedom: above 380 with probability below 1e-6.
            assert chi_square(counts, counts.sum() / 256) < 380


def test_masking_leaves_the_words_as_they_are():
    words = np.arange(60, dtype=np.uint64).reshape(20, 3)[::2]
    before = words.copy()
    masked = masked_rows(secret("kept"), words)
    assert np.array_equal(words, before)
    assert np.array_equal(masked, masked_rows(secret("kept"), before))


@st.composite
def grouped(draw):
    rows, width = draw(st.integers(0, 60)), draw(st.integers(1, 5))
    values = st.integers(0, 2**64 - 1)
    words = draw(
        st.lists(st.lists(values, min_size=width, max_size=width), min_size=rows, max_size=rows)
    )
    order = draw(st.permutations(range(rows)))
    cuts = sorted(draw(st.lists(st.integers(0, rows), min_size=1, max_size=8)))
    starts = np.array([0, *cuts], dtype=np.uint32)
    table = np.array(words, dtype=np.uint64).reshape(rows, width)
    return table, np.array(order[: starts[-1]], dtype=np.uint32), starts


@given(grouped())
def test_masked_sums_and_sums_of_masks_add_up_to_the_pooled_sums(case):
    words, positions, starts = case
    key = secret("sums")
    masked = masked_rows(key, words)
    totals = np.zeros((len(starts) - 1, words.shape[1]), dtype=np.uint64)
    groups = Groups(len(words), positions, starts)
    assert groups.sizes.tolist() == np.diff(starts.astype(int)).tolist()
    add_group_masks(key, len(words), groups, totals)
    for at, (begin, end) in enumerate(pairwise(starts)):
        rows = positions[begin:end]
        assert (masked[rows].sum(axis=0, dtype=np.uint64) + totals[at]).tolist() == [
            sum(int(words[row, column]) for row in rows) % 2**64 for column in range(words.shape[1])
        ]


@pytest.mark.parametrize("width", [1, 3, 40])
def test_long_lists_add_up_over_all_pieces_of_the_keystream(width):
    rows, groups = 50_000, 1_000
    key = secret("long", width)
    words = masked_rows(secret("values"), np.zeros((rows, width), dtype=np.uint64))
    positions = permutation(secret("positions"), rows)[:40_000]
    starts = np.linspace(0, 40_000, groups + 1).astype(np.int64)
    totals = np.zeros((groups, width), dtype=np.uint64)
    add_group_masks(key, rows, Groups(rows, positions, starts), totals)
    masked = masked_rows(key, words)
    totals += np.add.reduceat(masked[positions], starts[:-1], axis=0)
    assert np.array_equal(totals, np.add.reduceat(words[positions], starts[:-1], axis=0))


@pytest.mark.parametrize(
    ("positions", "starts"),
    [
        ([0, 1, 10], [0, 3]),
        ([-1, 1], [0, 2]),
        ([0, 1, 0], [0, 3]),
        ([0, 1, 2, 1], [0, 2, 4]),
        ([0, 1], []),
        ([0, 1], [1, 2]),
        ([0, 1], [0, 1]),
        ([0, 1], [0, 3]),
        ([0, 1, 2], [0, 2, 1, 3]),
        ([0, 1, 2], [0, 4, 3]),
        ([[0, 1]], [0, 2]),
        ([0.0, 1.0], [0, 2]),
        ([True, False], [0, 2]),
    ],
)
def test_groups_that_are_out_of_range_overlap_or_do_not_follow_each_other_are_refused(
    positions, starts
):
    with pytest.raises(ProtocolError) as refused:
        Groups(10, np.array(positions), np.array(starts, dtype=np.int64))
    assert refused.value.code == "X001"


def test_positions_that_would_wrap_around_are_refused():
    huge = np.array([0, 2**63], dtype=np.uint64)
    with pytest.raises(ProtocolError) as refused:
        Groups(10, huge, np.array([0, 2], dtype=np.int64))
    assert refused.value.code == "X001"
