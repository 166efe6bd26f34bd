"""Perturbation tables: what every one of them must be, whatever its parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from middleplatform.disclosure.ptable import DRAW_BITS, DRAW_MAX, count_table, normal_draw
from middleplatform.errors import ConfigError


def least(gap):
    return max([count * (gap + 1 - count) for count in range(gap + 1)])


@st.composite
def parameters(draw):
    gap = draw(st.integers(0, 4))
    low = max(1, least(gap))
    reach = draw(st.integers(max(low, gap + 1 if gap else 1), 20))
    return reach, draw(st.integers(low, reach)), gap


@given(parameters())
def test_every_row_has_mean_zero_the_variance_demanded_and_only_what_may_be_shown(given_numbers):
    reach, variance, gap = given_numbers
    table = count_table(reach, variance, gap)
    noise = np.arange(-reach, reach + 1)
    found = table.probabilities
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-9
    assert np.abs(found @ noise).max() < 1e-8
    assert np.abs((found @ noise**2)[1:] - variance).max() < 1e-7
    for count, row in enumerate(found):
        shown = count + noise[row > 0]
        assert (shown >= 0).all(), "no count becomes negative"
        assert not ((shown > 0) & (shown <= gap) & (count > 0)).any(), "nothing between 1 and js"
    assert found[0, reach] == 1, "nobody stays nobody"
    assert np.allclose(found[-1], found[-1][::-1], atol=1e-8), "the last row has room on both sides"


@given(parameters(), st.integers(0, 60), st.integers(0, (1 << 64) - 1))
def test_noise_is_bounded_possible_and_a_function_of_count_and_key(given_numbers, count, key):
    reach, variance, gap = given_numbers
    table = count_table(reach, variance, gap)
    counts, keys = np.array([count, count]), np.array([key, key], dtype=np.uint64)
    one, two = table.noise(counts, keys)
    assert one == two
    assert abs(one) <= reach
    assert count + one == 0 or count + one > gap
    row = min(count, len(table.probabilities) - 1)
    assert table.probabilities[row, one + reach] > 0


def test_each_noise_comes_as_often_as_its_probability():
    table = count_table(7, 4, 2)
    keys = np.random.default_rng(11).integers(0, 1 << 64, 400_000, dtype=np.uint64)
    for count in (1, 2, 3, 5, 500):
        noise = table.noise(np.full(len(keys), count), keys)
        shares = np.bincount(noise + 7, minlength=15) / len(keys)
        row = table.probabilities[min(count, len(table.probabilities) - 1)]
        assert np.abs(shares - row).max() < 0.004


def test_of_all_distributions_with_its_moments_a_row_has_the_most_entropy():
    table, reach, gap = count_table(7, 4, 2), 7, 2
    for count in range(1, len(table.probabilities)):
        noise = np.array([v for v in range(-reach, reach + 1) if count + v == 0 or count + v > gap])
        own = table.probabilities[count, noise + reach]
        rules = [
            {"type": "eq", "fun": lambda p: p.sum() - 1},
            {"type": "eq", "fun": lambda p, v=noise: p @ v},
            {"type": "eq", "fun": lambda p, v=noise: p @ v**2 - 4},
        ]
        for place in range(len(noise) - 1):
            if noise[place + 1] <= 0:
                rules.append({"type": "ineq", "fun": lambda p, k=place: p[k + 1] - p[k]})
            if noise[place] >= 0:
                rules.append({"type": "ineq", "fun": lambda p, k=place: p[k] - p[k + 1]})
        found = minimize(
            lambda p: (p * np.log(np.maximum(p, 1e-300))).sum(),
            np.full(len(noise), 1 / len(noise)),
            jac=lambda p: np.log(np.maximum(p, 1e-300)) + 1,
            bounds=[(1e-12, 1)] * len(noise), constraints=rules, method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 1000},
        )  # fmt: skip
        assert found.success
        assert np.abs(found.x - own).max() < 1e-6


def test_a_probability_to_stay_is_kept():
    table = count_table(5, 3, 2, 0.5)
    assert np.allclose(table.probabilities[3:, 5], 0.5)
    assert np.abs((table.probabilities @ np.arange(-5, 6) ** 2)[1:] - 3).max() < 1e-9


@pytest.mark.parametrize("wrong", [(7, 1, 2), (3, 4, 0), (3, 4, 2), (7, 4, 7), (7, 0, 0), (1, 1, 2), (2, 2, 2)])  # fmt: skip
def test_numbers_without_a_table_are_a_fault_of_the_bundle(wrong):
    with pytest.raises(ConfigError) as caught:
        count_table(*wrong)
    assert caught.value.code == "C001"


def test_draws_for_magnitudes_are_standard_normal_bounded_and_the_same_for_the_same_key():
    keys = np.random.default_rng(3).integers(0, 1 << 64, 200_000, dtype=np.uint64)
    drawn = normal_draw(keys) / (1 << DRAW_BITS)
    assert np.abs(drawn).max() <= DRAW_MAX
    assert abs(drawn.mean()) < 0.01
    assert drawn.std() == pytest.approx(0.9866, abs=0.01), "a normal deviation cut off at 3"
    assert np.array_equal(normal_draw(keys), normal_draw(keys.copy()))
    ends = normal_draw(np.array([0, (1 << 64) - 1], dtype=np.uint64))
    assert ends.tolist() == [-DRAW_MAX << DRAW_BITS, DRAW_MAX << DRAW_BITS]
