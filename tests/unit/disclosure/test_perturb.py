"""Perturbed words: how far off they are, what they never are, and that they agree with each other."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.disclosure.evidence import CellEvidence, Magnitude
from middleplatform.disclosure.perturb import cell_keys, count_noise, perturb, small
from middleplatform.model.plan import Formula, KeyWord, Layout, Part, Population, SumWord
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import AggregateKind, Compare, Field, Literal

UNIT, X = Field("t0", "id"), Field("t0", "x")
WHOLE = Population(None, (), strict=False)
STRICT = Population(Compare("=", Field("t0", "sex"), Literal("1")), (), strict=True)
COUNT = Formula(AggregateKind.COUNT, (Part(0, Fraction(1), ()),))
MEN = Formula(AggregateKind.COUNT, (Part(1, Fraction(1), ()),))
FIRMS = Formula(AggregateKind.COUNT_DISTINCT, (Part(0, Fraction(0), ()),), key=0)
LAYOUT = Layout(
    UNIT, (WHOLE, STRICT), (SumWord(X, 0, 0),), (0,), (KeyWord(Field("t0", "firm"), 0),), (), (COUNT, MEN, FIRMS)
)  # fmt: skip
PARAMETERS = DisclosureParameters(method="perturb")


def keys_for(seed, shape):
    return np.random.default_rng(seed).integers(0, 1 << 64, shape, dtype=np.uint64)


def magnitude(total, largest, squares=None):
    total, largest = np.array(total, dtype=object), np.array(largest, dtype=object)
    top = np.stack([largest, largest * 0, largest * 0], axis=1)
    return Magnitude(total, abs(total), top, None if squares is None else np.array(squares, dtype=object))  # fmt: skip


def evidence(units, rows=None, total=None, largest=None, squares=None):
    """Return cells with the same numbers in both populations."""
    units = np.array(units, dtype=np.int64)
    rows = units if rows is None else np.array(rows, dtype=np.int64)
    total = 50 * rows.astype(object) if total is None else total
    both = np.stack([units, units], axis=1)
    return CellEvidence(
        both, np.zeros_like(both), np.stack([rows, rows], axis=1),
        [magnitude(total, [100] * len(units) if largest is None else largest, squares or [2600 * int(each) for each in rows])],
        units.reshape(-1, 1) // 2, np.zeros((len(units), 0), dtype=np.int64),
    )  # fmt: skip


def test_noise_of_counts_is_small_on_average_and_bounded():
    counts = np.random.default_rng(1).integers(10, 5000, 200_000)
    noise = count_noise(counts, keys_for(2, counts.shape), PARAMETERS)
    assert np.abs(noise).mean() <= 1.6
    assert abs(noise.mean()) < 0.03
    assert noise.var() == pytest.approx(PARAMETERS.noise_variance, rel=0.03)
    assert np.abs(noise).max() <= PARAMETERS.noise_max


def test_the_same_evidence_and_keys_give_the_same_words():
    cells, keys = evidence(range(1, 400)), keys_for(3, (399, 2))
    one, two = (perturb(LAYOUT, cells, keys.copy(), PARAMETERS) for _ in range(2))
    assert np.array_equal(one.units, two.units)
    assert np.array_equal(one.rows, two.rows)
    assert one.totals[0].tolist() == two.totals[0].tolist()
    assert one.squares[0].tolist() == two.squares[0].tolist()


def test_the_name_that_a_question_gives_a_table_does_not_change_noise():
    other = replace(LAYOUT, sums=(SumWord(Field("q7", "x"), 0, 0),), keys=(KeyWord(Field("q7", "firm"), 0),))  # fmt: skip
    cells, keys = evidence(range(100, 400)), keys_for(3, (300, 2))
    one, two = (perturb(each, cells, keys, PARAMETERS) for each in (LAYOUT, other))
    assert one.totals[0].tolist() == two.totals[0].tolist()
    assert one.keys.tolist() == two.keys.tolist()


def test_where_each_unit_has_one_row_rows_are_units():
    cells = evidence(range(500))
    words = perturb(LAYOUT, cells, keys_for(4, (500, 2)), PARAMETERS)
    assert np.array_equal(words.rows, words.units)
    assert not np.array_equal(words.units, cells.units)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 900)), min_size=1, max_size=30), st.integers(0, 1000))  # fmt: skip
def test_words_are_never_what_no_data_could_have(shape, seed):
    units = [unit for unit, _ in shape]
    rows = [unit and unit + more for unit, more in shape]
    cells = evidence(units, rows)
    words = perturb(LAYOUT, cells, keys_for(seed, (len(shape), 2)), PARAMETERS)
    assert (words.units >= 0).all()
    assert (words.rows >= words.units).all()
    assert not (words.rows[words.units == 0]).any()
    assert (words.keys >= 0).all()
    assert not np.isin(words.units, range(1, PARAMETERS.noise_js + 1)).any()
    assert all(isinstance(each, int) and each >= 0 for each in words.totals[0])
    for total, squares, count in zip(
        words.totals[0], words.squares[0], words.rows[:, 0], strict=True
    ):
        assert int(count) * squares >= total * total, "no variance is negative"


def test_rows_of_several_a_unit_have_noise_in_proportion_and_no_bias():
    cells = evidence([1000] * 40_000, [3000] * 40_000)
    noise = perturb(LAYOUT, cells, keys_for(5, (40_000, 2)), PARAMETERS).rows[:, 0] - 3000
    assert abs(noise.mean()) < 0.12
    assert noise.std() == pytest.approx(3 * 2, rel=0.03)


def test_how_many_units_have_two_rows_is_not_told_exactly():
    cells = evidence([1000] * 2000, [1003] * 2000)
    words = perturb(LAYOUT, cells, keys_for(6, (2000, 2)), PARAMETERS)
    excess = (words.rows - words.units)[:, 0]
    assert len(set(excess.tolist())) > 4
    assert not {1, 2} & set(excess.tolist())


def test_same_units_with_other_rows_have_other_noise_of_rows():
    keys = keys_for(7, (500, 2))
    found = [
        perturb(LAYOUT, evidence([1000] * 500, [rows] * 500), keys, PARAMETERS)
        for rows in (3000, 3001)
    ]
    assert np.array_equal(found[0].units, found[1].units)
    moved = (found[1].rows - found[0].rows)[:, 0]
    assert np.std(moved) > 4, "one row more is not what the difference says"


def test_a_value_that_moved_changes_no_count_and_is_not_told_by_the_difference():
    keys = keys_for(8, (500, 2))
    before = perturb(LAYOUT, evidence([200] * 500, total=[10_000] * 500), keys, PARAMETERS)
    after = perturb(LAYOUT, evidence([200] * 500, total=[10_030] * 500), keys, PARAMETERS)
    assert np.array_equal(before.units, after.units)
    assert np.array_equal(before.rows, after.rows)
    assert np.array_equal(before.keys, after.keys)
    moved = np.array([b - a for a, b in zip(before.totals[0], after.totals[0], strict=True)])
    assert np.std(moved.astype(float)) > 20, "two draws of a deviation of 20"


def test_a_magnitude_is_perturbed_by_a_share_of_its_largest_unit_around_the_noise_of_rows():
    count = 40_000
    cells = evidence([500] * count, total=[50_000] * count, largest=[3000] * count)
    words = perturb(LAYOUT, cells, keys_for(9, (count, 2)), PARAMETERS)
    own = np.array([int(each) for each in words.totals[0]]) - words.rows[:, 0] * 100
    assert abs(own.mean()) < 15
    assert own.std() == pytest.approx(3000 * 0.2 * 0.9866, rel=0.02)


def test_a_sum_of_flags_has_at_least_the_noise_of_a_count():
    count = 20_000
    cells = evidence([1000] * count, total=[30] * count, largest=[1] * count, squares=[30] * count)
    words = perturb(LAYOUT, cells, keys_for(10, (count, 2)), PARAMETERS)
    noise = np.array([int(each) for each in words.totals[0]]) - 30
    assert noise.std() >= 1.9
    assert abs(noise.mean()) < 0.06


def test_a_variance_stays_near_and_is_perturbed():
    count = 2000
    cells = evidence([1000] * count, total=[50_000] * count, squares=[2_600_000] * count)
    words = perturb(LAYOUT, cells, keys_for(11, (count, 2)), PARAMETERS)
    found = [
        Fraction(squares, int(rows)) - Fraction(total, int(rows)) ** 2
        for squares, rows, total in zip(
            words.squares[0], words.rows[:, 0], words.totals[0], strict=True
        )
    ]
    values = np.array([float(each) for each in found])
    assert values.mean() == pytest.approx(100, rel=0.02)
    assert 0.5 < values.std() < 5


def test_different_words_of_one_cell_do_not_share_their_noise():
    count = 5000
    cells = evidence([1000] * count, total=[50_000] * count, largest=[1000] * count)
    layout = replace(LAYOUT, sums=(SumWord(X, 0, 0), SumWord(Field("t0", "y"), 0, 0)))
    cells = replace(cells, magnitudes=[cells.magnitudes[0]] * 2)
    words = perturb(layout, cells, keys_for(12, (count, 2)), PARAMETERS)
    one, two = (np.array([int(each) for each in total], dtype=float) for total in words.totals)
    own = [each - words.rows[:, 0] * 50.0 for each in (one, two)]
    assert abs(np.corrcoef(*own)[0, 1]) < 0.06
    firms = words.keys[:, 0] - cells.keys[:, 0]
    assert abs(np.corrcoef(firms, words.units[:, 0] - 1000)[0, 1]) < 0.06


def test_negative_totals_stay_negative_and_numbers_beyond_64_bits_exact():
    big = 10**30 + 7
    cells = evidence([50, 50], total=[-5, 7 * big], largest=[5, big], squares=[5, 2 * big * big])
    words = perturb(LAYOUT, cells, keys_for(13, (2, 2)), PARAMETERS)
    assert words.totals[0][0] <= 0
    assert 0 < abs(words.totals[0][1] - 7 * big) < 3 * big
    assert words.totals[0][1] % (1 << 40), "not through a floating number"


def test_without_units_everything_is_zero():
    cells = evidence([0, 0], total=[0, 0], largest=[0, 0])
    words = perturb(LAYOUT, cells, np.zeros((2, 2), dtype=np.uint64), PARAMETERS)
    assert not words.units.any()
    assert not words.rows.any()
    assert not words.keys.any()
    assert words.totals[0].tolist() == words.squares[0].tolist() == [0, 0]


def test_public_data_are_not_perturbed():
    cells = evidence(range(1, 50))
    words = perturb(LAYOUT, cells, keys_for(14, (49, 2)), replace(PARAMETERS, min_units=1))
    assert np.array_equal(words.units, cells.units)
    assert words.totals[0].tolist() == cells.magnitudes[0].total.tolist()


def test_the_threshold_holds_for_the_perturbed_count_of_cell_condition_and_key():
    cells = evidence([40] * 300)
    cells = replace(cells, units=np.stack([np.full(300, 40), np.full(300, 10)], axis=1), keys=np.full((300, 1), 10))  # fmt: skip
    words = perturb(LAYOUT, cells, keys_for(15, (300, 2)), PARAMETERS)
    flags = small(LAYOUT, cells, words, PARAMETERS)
    assert not flags[:, 0].any()
    assert np.array_equal(flags[:, 1], words.units[:, 1] < 10)
    assert np.array_equal(flags[:, 2], words.keys[:, 0] < 10)
    assert flags[:, 1].any()


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, (1 << 64) - 1)), max_size=40))  # fmt: skip
def test_cell_keys_are_sums_modulo_2_to_the_64_and_add_up_over_departments(pairs):
    cell = np.array([each for each, _, _ in pairs], dtype=np.int64)
    inside = np.array([[True, flag] for _, flag, _ in pairs], dtype=np.bool_).reshape(-1, 2)
    records = np.array([key for _, _, key in pairs], dtype=np.uint64)
    found = cell_keys(5, cell, inside, records)
    for place in range(5):
        assert int(found[place, 0]) == sum(key for at, _, key in pairs if at == place) % (1 << 64)
        assert int(found[place, 1]) == sum(key for at, flag, key in pairs if at == place and flag) % (1 << 64)  # fmt: skip
    half = len(pairs) // 2
    parts = [cell_keys(5, cell[part], inside[part], records[part]) for part in (slice(half), slice(half, None))]  # fmt: skip
    assert np.array_equal(parts[0] + parts[1], found)
