"""Is the noise of tier D what the published accounting says, and do bounded words move by no more than is claimed?"""

import json
import math
from fractions import Fraction
from pathlib import Path

import made_world as made
import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.disclosure.contributions import chosen_cells, consistent, in_steps, totals
from middleplatform.disclosure.privacy import (
    STEPS_MAX,
    WordNoise,
    expected_error,
    half_width,
    noise_of,
    threshold_of,
)
from middleplatform.model.budget import epsilon_at
from middleplatform.model.policy import PrivacyRule
from middleplatform.node.gaussian import discrete_gaussian
from middleplatform.planner.layout import layout_of

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sdc" / "dp.json").read_text("utf-8"))
SQL = "SELECT year, COUNT(*), SUM(amount), COUNT(DISTINCT id) FROM ga.income GROUP BY year"
RULE = PrivacyRule(groups=3, rows=12)

dp.enable_features("contrib")


def laid_out(sql=SQL):
    return layout_of(made.cell(sql), made.CATALOG)


def rho_for(epsilon, delta):
    low, high = 0.0, epsilon
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_at(middle, delta) < epsilon else (low, middle)
    return low


@pytest.mark.parametrize("case", VECTORS["epsilon"])
def test_epsilon_of_a_loss_is_the_published_one(case):
    found = epsilon_at(Fraction(case["rho"]), Fraction(case["delta"]))
    assert found == pytest.approx(case["epsilon"], rel=1e-6)


@pytest.mark.parametrize("case", VECTORS["rho"])
def test_loss_of_an_epsilon_is_the_published_one(case):
    assert rho_for(case["epsilon"], Fraction(case["delta"])) == pytest.approx(case["rho"], rel=1e-6)


@pytest.mark.parametrize("case", VECTORS["sigma"])
def test_deviation_at_an_epsilon_is_the_published_one(case):
    rho = Fraction(rho_for(case["epsilon"], Fraction(case["delta"])))
    word = WordNoise("units_0", int(case["sensitivity"]), 1, 0, 1, rho)
    assert word.deviation == pytest.approx(case["sigma"], rel=1e-6)


@pytest.mark.parametrize("case", VECTORS["gaussian_map"])
def test_the_mechanism_costs_what_it_is_published_to(case):
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    made_ = dp.m.make_gaussian(*space, case["scale"], MO="ZeroConcentratedDivergence")
    assert made_.map(case["d_in"]) == pytest.approx(case["rho"], rel=1e-12)
    # A word of that sensitivity and loss has that scale.
    word = WordNoise("units_0", int(case["d_in"]), 1, 0, 1, Fraction(case["rho"]))
    assert math.sqrt(word.variance) == case["scale"]


@pytest.mark.parametrize("case", VECTORS["gaussian_threshold"])
def test_the_threshold_is_the_published_one_and_at_most_one_unit_above_it(case):
    word = WordNoise("units_0", case["linf"], 1, 0, case["l0"], Fraction(case["rho"]))
    assert math.sqrt(word.variance) == case["scale"]
    found = threshold_of(word, Fraction(case["delta"]))
    assert case["threshold"] <= found <= case["threshold"] + 1


def test_the_tail_beyond_the_threshold_is_below_delta_by_direct_sum():
    for groups, rho in ((1, Fraction(1, 50)), (3, Fraction(1, 200)), (7, Fraction(3))):
        word = WordNoise("units_0", 1, 1, 0, groups, rho)
        delta = Fraction(1, 10**7)
        least = threshold_of(word, delta) - 1
        variance = float(word.variance)
        weight = [math.exp(-each * each / 2 / variance) for each in range(4000)]
        tail = math.fsum(weight[least:]) / (2 * math.fsum(weight) - 1)
        assert groups * tail <= delta


def test_losses_of_words_add_up_to_the_statement_exactly():
    noise = noise_of(laid_out(), RULE, Fraction(1, 7), (10_000,), None)
    assert sum(each.rho for each in noise.words) == Fraction(1, 7)
    # The count of units is held against the threshold and asked for: it is paid once.
    assert [each.name for each in noise.words].count("units_0") == 1
    assert noise.delta_epsilon * 2 == RULE.delta


def test_public_labels_need_no_threshold_and_no_count_of_units():
    layout = laid_out("SELECT COUNT(*) FROM ga.income")
    noise = noise_of(layout, RULE, Fraction(1, 50), (), 1)
    assert [each.name for each in noise.words] == ["rows_0"]
    assert (noise.threshold, noise.delta_epsilon, noise.words[0].groups) == (None, RULE.delta, 1)


def test_error_is_told_before_it_is_made():
    layout = laid_out("SELECT COUNT(*), SUM(amount), AVG(amount) FROM ga.income")
    noise = noise_of(layout, RULE, Fraction(1, 50), (10_000,), 1)
    count, total, mean = expected_error(layout, noise)
    assert count == pytest.approx(math.sqrt(2 / math.pi) * noise.word("rows_0").deviation)
    # 100.00 at most for a unit, in hundredths: the error is in the column's own unit.
    assert total == pytest.approx(
        math.sqrt(2 / math.pi) * math.sqrt(10_000**2 / (2 * 0.02 / len(noise.words))) / 100
    )
    assert mean is None


def test_large_caps_are_told_in_steps_that_no_sum_of_overflows():
    noise = noise_of(laid_out(), RULE, Fraction(1, 50), (10**20,), None)
    word = noise.word("sum_0")
    assert word.most <= STEPS_MAX
    assert word.step * word.most >= 10**20
    relative = word.deviation / (math.sqrt(3 * len(noise.words) / (2 * 0.02)) * 10**18)
    assert relative == pytest.approx(1, rel=1e-8)


def test_the_noise_has_its_deviation_and_no_mean():
    word = WordNoise("rows_0", 12, 1, 0, 3, Fraction(1, 50))
    found = np.array(discrete_gaussian([1 << 40] * 20_000, word), dtype=float) - (1 << 40)
    sigma = math.sqrt(word.variance)
    # Beyond 7 standard errors: fails by chance less than once in 1e11 runs.
    assert abs(found.mean()) < 7 * sigma / math.sqrt(len(found))
    assert abs(found.std() / sigma - 1) < 7 / math.sqrt(2 * len(found))
    inside = np.abs(found) <= half_width(sigma)
    assert abs(inside.mean() - 0.95) < 0.012


# --- bounds -------------------------------------------------------------------------------------------------------

_rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(-50, 50)),
    max_size=20,
    unique_by=lambda row: row[:2],
)


def words_of(rows, priority, groups, most):
    """Return the bounded word of each of 4 cells."""
    if not rows:
        return np.zeros(4, dtype=np.int64)
    units, cells, values = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    order = np.array([priority[unit * 4 + cell] for unit, cell, _ in rows], dtype=np.int64)
    kept = chosen_cells(units, order, groups)
    return totals(cells[kept], in_steps(values[kept], most, 1), 4)


@settings(max_examples=300, deadline=None)
@given(
    rows=_rows,
    priority=st.permutations(range(20)),
    groups=st.integers(1, 4),
    most=st.integers(1, 30),
)
def test_one_unit_less_moves_the_words_by_no_more_than_the_claimed_sensitivity(
    rows, priority, groups, most
):
    whole = words_of(rows, priority, groups, most)
    for unit in range(5):
        rest = words_of([row for row in rows if row[0] != unit], priority, groups, most)
        moved = whole - rest
        assert np.count_nonzero(moved) <= groups
        assert np.abs(moved).max(initial=0) <= most
        assert (moved**2).sum() <= groups * most**2


@settings(max_examples=200, deadline=None)
@given(rows=_rows, priority=st.permutations(range(20)), groups=st.integers(1, 4))
def test_every_unit_keeps_as_many_cells_as_it_may(rows, priority, groups):
    if rows:
        units = np.array([row[0] for row in rows], dtype=np.int64)
        order = np.array([priority[row[0] * 4 + row[1]] for row in rows], dtype=np.int64)
        kept = chosen_cells(units, order, groups)
        for unit in set(units.tolist()):
            mine = units == unit
            assert kept[mine].sum() == min(groups, mine.sum())
            assert set(order[mine & kept]) == set(sorted(order[mine])[:groups])


def test_consistent_words_have_a_variance_and_no_negative_count():
    layout = laid_out("SELECT VAR_POP(amount) FROM ga.income")
    words = {"rows_1": [-3, 4, 0], "sum_0": [7, -10, 5], "sq_0": [1, 3, -8]}
    found = consistent(layout, words)
    assert found == {"rows_1": [0, 4, 0], "sum_0": [7, -10, 5], "sq_0": [1, 25, 0]}
