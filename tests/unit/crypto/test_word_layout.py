from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.errors import ProtocolError

NARROW_MAX = 2**63 - 1


def code_of(work):
    with pytest.raises(ProtocolError) as caught:
        work()
    return caught.value.code


def encode(values, *, words=1, parties=1, scale=0, kind=None, cells=None, positions=None):
    kind = kind or (pa.int64() if words == 1 else pa.decimal128(38, 0))
    column = values if isinstance(values, pa.Array) else pa.array(values, kind)
    places = np.arange(len(column)) if positions is None else np.array(positions, dtype=np.int64)
    layout = WordLayout((Measure("a", words, scale),))
    return layout, layout.encode(
        {"a": column}, positions=places, cells=cells or len(column), parties=parties
    )


def decoded(layout, words):
    return layout.decode(words, cells=words.size // layout.words_per_cell)["a"].to_pylist()


@pytest.mark.parametrize("parties", [1, 2, 5, 1024])
def test_narrow_values_end_exactly_at_the_limit(parties):
    limit = NARROW_MAX // parties
    layout, words = encode([limit, -limit, 0], parties=parties)
    assert decoded(layout, words * np.uint64(parties)) == [limit * parties, -limit * parties, 0]
    for value in (limit + 1, -limit - 1):
        column = pa.array([Decimal(value)], pa.decimal128(38, 0))
        assert code_of(lambda c=column: encode(c, parties=parties)) == "X004"


def test_the_most_negative_integer_has_no_magnitude_and_is_refused():
    assert code_of(lambda: encode([-(2**63)])) == "X004"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64, 2**64 + 5, -(2**64), 10**38 - 1])
def test_a_decimal_beyond_one_word_is_refused(value):
    assert code_of(lambda: encode([Decimal(value)], kind=pa.decimal128(38, 0))) == "X004"


@pytest.mark.parametrize("parties", [1, 2, 5, 1024])
def test_wide_values_end_exactly_at_the_limit(parties):
    high = NARROW_MAX // parties
    largest, smallest = (high << 48) + 2**48 - 1, -(high << 48)
    layout, words = encode([Decimal(largest), Decimal(smallest)], words=2, parties=parties)
    totals = decoded(layout, words * np.uint64(parties))
    assert totals == [Decimal(largest * parties), Decimal(smallest * parties)]
    for value in (largest + 1, smallest - 1, 10**38 - 1, -(10**38) + 1):
        assert code_of(lambda v=value: encode([Decimal(v)], words=2, parties=parties)) == "X004"


def test_wide_values_of_mixed_signs_carry_into_the_high_word():
    first = [2**48 - 1, -1, -(2**100), 2**64 - 1, -(2**48), 0, 5]
    second = [1, 1, 2**100 - 1, 2**64 - 1, 2**48 - 1, -1, -5]
    layout, a = encode([Decimal(v) for v in first], words=2, parties=2)
    _, b = encode([Decimal(v) for v in second], words=2, parties=2)
    assert decoded(layout, a + b) == [x + y for x, y in zip(first, second, strict=True)]


def test_a_low_word_stays_below_2_to_the_48():
    _, words = encode([Decimal(-1), Decimal(2**100)], words=2)
    assert words.reshape(2, 2)[1].max() < 2**48


def test_decimals_with_a_scale_come_back_with_it():
    column = pa.array([Decimal("12.34"), Decimal("-0.01")], pa.decimal128(18, 2))
    for words in (1, 2):
        layout, encoded = encode(column, words=words, scale=2)
        got = layout.decode(encoded, cells=2)["a"]
        assert got.type == pa.decimal128(38, 2)
        assert got.to_pylist() == column.to_pylist()


def test_a_slice_of_an_array_is_read_from_its_offset():
    column = pa.array([Decimal(v) for v in range(10)], pa.decimal128(38, 0))[3:7]
    layout, words = encode(column, words=2)
    assert decoded(layout, words) == [3, 4, 5, 6]
    layout, words = encode(pa.array(range(10), pa.int32())[3:7])
    assert decoded(layout, words) == [3, 4, 5, 6]


def test_cells_stand_where_positions_say_and_the_rest_is_zero():
    layout, words = encode([7, 9], positions=[4, 1], cells=6)
    assert decoded(layout, words) == [0, 9, 0, 0, 7, 0]


def test_a_department_without_cells_sends_zeros():
    for words in (1, 2):
        layout, encoded = encode([], words=words, cells=3)
        assert decoded(layout, encoded) == [0, 0, 0]


def test_measures_stand_one_after_another():
    layout = WordLayout((Measure("a", 1), Measure("b", 2), Measure("c", 1)))
    columns = {
        "c": pa.array([5, 6]),
        "b": pa.array([Decimal(3), Decimal(4)], pa.decimal128(38, 0)),
        "a": pa.array([1, 2]),
    }
    words = layout.encode(columns, positions=np.arange(2), cells=2, parties=3)
    assert list(words) == [1, 2, 0, 0, 3, 4, 5, 6]
    totals = layout.decode(words, cells=2)
    assert [totals[name].to_pylist() for name in "abc"] == [[1, 2], [3, 4], [5, 6]]
    assert list(totals) == ["a", "b", "c"]


@pytest.mark.parametrize("positions", [[0, 0], [0, 2], [-1, 0], [0], [[0, 1]], [0, 1, 2]])
def test_positions_that_repeat_or_leave_the_cells_are_refused(positions):
    assert code_of(lambda: encode([1, 2], positions=positions)) == "X001"


def test_positions_of_another_type_are_refused():
    layout = WordLayout((Measure("a", 1),))
    work = lambda: layout.encode(  # noqa: E731 - what is refused
        {"a": pa.array([1, 2])}, positions=np.array([0.0, 1.0]), cells=2, parties=2
    )
    assert code_of(work) == "X001"


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (pa.array([1, None]), "X004"),
        (pa.array([1.0, 2.0]), "X001"),
        (pa.array([1, 2], pa.uint64()), "X001"),
        (pa.array(["1", "2"]), "X001"),
        (pa.array([Decimal("1.0"), Decimal("2.0")], pa.decimal128(5, 1)), "X001"),
        (pa.array([Decimal(1), Decimal(2)], pa.decimal256(50, 0)), "X001"),
    ],
)
def test_columns_with_nulls_or_of_another_type_are_refused(column, code):
    assert code_of(lambda: encode(column)) == code


def test_columns_that_are_not_the_layouts_are_refused():
    layout = WordLayout((Measure("a", 1),))
    for columns in ({}, {"b": pa.array([1])}, {"a": pa.array([1]), "b": pa.array([1])}):
        work = lambda c=columns: layout.encode(c, positions=np.arange(1), cells=1, parties=2)  # noqa: E731 - what is refused
        assert code_of(work) == "X001"


def test_sizes_that_cannot_be_are_refused():
    layout = WordLayout((Measure("a", 1),))
    none, places = pa.array([], pa.int64()), np.arange(0)
    for cells, parties in ((0, 2), (2**26 + 1, 2), (1, 0), (1, 1025)):
        work = lambda c=cells, p=parties: layout.encode(  # noqa: E731 - what is refused
            {"a": none}, positions=places, cells=c, parties=p
        )
        assert code_of(work) == "X001"
    assert code_of(lambda: layout.decode(np.zeros(3, np.uint64), cells=2)) == "X001"
    assert code_of(lambda: layout.decode(np.zeros(2, np.int64), cells=2)) == "X001"


def test_a_layout_needs_distinct_measures_of_one_or_two_words():
    for measures in ((), (Measure("a", 1), Measure("a", 2))):
        assert code_of(lambda m=measures: WordLayout(m)) == "X001"
    for words, scale in ((0, 0), (3, 0), (1, -1), (1, 39)):
        assert code_of(lambda w=words, s=scale: Measure("a", w, s)) == "X001"


def test_digests_tell_layouts_apart():
    layouts = [
        (Measure("a", 1),),
        (Measure("a", 2),),
        (Measure("a", 1, 2),),
        (Measure("b", 1),),
        (Measure("a", 1), Measure("b", 1)),
        (Measure("b", 1), Measure("a", 1)),
    ]
    assert len({WordLayout(measures).digest for measures in layouts}) == 6


def test_counts_are_encoded_as_the_same_numbers_in_columns():
    layout = WordLayout(tuple(Measure(f"over_{at}", 1) for at in range(3)))
    counts = np.array([[1, 2], [0, -5], [2**40, 7]], dtype=np.int64)
    placed = {"positions": np.array([3, 0]), "cells": 5, "parties": 4}
    columns = {f"over_{at}": pa.array(counts[at]) for at in range(3)}
    assert np.array_equal(layout.encode_counts(counts, **placed), layout.encode(columns, **placed))


@pytest.mark.parametrize(
    ("measures", "counts", "code"),
    [
        ((Measure("a", 2),), np.zeros((1, 2), np.int64), "X001"),
        ((Measure("a", 1, 2),), np.zeros((1, 2), np.int64), "X001"),
        ((Measure("a", 1),), np.zeros((2, 2), np.int64), "X001"),
        ((Measure("a", 1),), np.zeros((1, 3), np.int64), "X001"),
        ((Measure("a", 1),), np.zeros((1, 2), np.int32), "X001"),
        ((Measure("a", 1),), np.full((1, 2), 2**62), "X004"),
    ],
)
def test_counts_that_do_not_fit_are_refused(measures, counts, code):
    with pytest.raises(ProtocolError) as caught:
        WordLayout(measures).encode_counts(counts, positions=np.array([0, 1]), cells=2, parties=4)
    assert caught.value.code == code
