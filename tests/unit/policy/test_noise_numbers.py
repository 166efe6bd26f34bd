"""A bundle is refused when it is loaded, not when it is asked, where its noise has no table."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from middleplatform.disclosure.ptable import count_table
from middleplatform.errors import ConfigError
from middleplatform.model.policy import DisclosureParameters
from middleplatform.policy import load
from middleplatform.policy.noise_numbers import has_table

BUNDLE = (Path(__file__).parent / "small_bundle.yaml").read_text(encoding="utf-8")
NUMBERS = [
    DisclosureParameters(noise_max=reach, noise_variance=variance, noise_js=gap)
    for reach, variance, gap in product(range(1, 11), range(1, 12), range(6))
]


def made(parameters):
    try:
        count_table(parameters.noise_max, parameters.noise_variance, parameters.noise_js)
    except ConfigError:
        return False
    return True


def test_numbers_are_possible_exactly_where_a_table_is_made():
    assert [has_table(each) for each in NUMBERS] == [made(each) for each in NUMBERS]
    assert 50 < sum(map(has_table, NUMBERS)) < len(NUMBERS)


def test_the_strictest_of_two_possible_policies_is_possible():
    possible = [each for each in NUMBERS if has_table(each)]
    names = ("noise_max", "noise_variance", "noise_js")
    for one, two in product(possible, possible):
        both = {name: max(getattr(one, name), getattr(two, name)) for name in names}
        assert has_table(replace(one, **both))


@pytest.mark.parametrize("wrong", ["noise_variance: 8", "noise_js: 5"])
def test_a_bundle_without_a_table_is_not_valid(write, catalog, wrong):
    with pytest.raises(ConfigError) as caught:
        load(write(BUNDLE.replace("min_units: 12,", f"min_units: 12, {wrong},")), catalog)
    assert "no perturbation of counts" in caught.value.message("en")


def test_a_bundle_with_another_table_is_valid(write, catalog):
    other = "min_units: 12, noise_max: 20, noise_variance: 16, noise_js: 6,"
    found = load(write(BUNDLE.replace("min_units: 12,", other)), catalog)
    assert found.datasets["ga.population"].disclosure.noise_js == 6
