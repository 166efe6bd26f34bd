"""Does the judge of policy suites say of a sealed or noisy case what the gateway would?"""

from dataclasses import replace

import pytest
from demo_pool import CASES

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.gateway.judge import judge
from middleplatform.policy.examples import example
from middleplatform.policy.suite import Verdict


@pytest.fixture(scope="module")
def judged():
    folder = example("demo")
    catalog = catalogs.load(folder / "catalog")
    bundle = policies.load(folder, catalog)
    return lambda sql, *, sealed=False, noise="": judge(
        replace(CASES["Q01"], sql=sql, sealed=sealed, noise=noise), catalog, bundle
    )


def test_a_measure_that_leaves_plain_only_is_refused_under_a_seal(judged):
    sql = (
        "SELECT tax_year, SUM(income_total) AS income FROM tax.individual_income GROUP BY tax_year"
    )
    assert judged(sql, sealed=False) == Verdict("permit", "", "", "local")
    assert judged(sql, sealed=True) == Verdict("refuse", "R3", "P001")


def test_a_form_that_needs_values_in_the_clear_has_no_plan_under_a_seal(judged):
    sql = "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code HAVING COUNT(*) > 100"
    assert judged(sql, sealed=False).protocol == "local"
    assert judged(sql, sealed=True) == Verdict("permit", "", "Q031")


def test_a_join_may_be_sealed(judged):
    assert judged(CASES["Q05"].sql, sealed=True) == Verdict("permit", "", "", "private_join")


ONE = "SELECT COUNT(*) AS n FROM ga.population"


@pytest.mark.parametrize(
    ("sql", "noise", "verdict"),
    [
        (ONE, "policy", Verdict("permit", "", "", "local")),
        (ONE, "1/1000", Verdict("permit", "", "", "local")),
        (ONE, "1000", Verdict("permit", "", "Q040")),
        (ONE, "much", Verdict("permit", "", "Q040")),
        (CASES["Q05"].sql, "policy", Verdict("permit", "", "Q031")),
    ],
)
def test_noise_is_judged_as_the_gateway_would(judged, sql, noise, verdict):
    assert judged(sql, noise=noise) == verdict


def test_a_dataset_that_answers_with_noise_only_refuses_without():
    folder = example("demo")
    catalog = catalogs.load(folder / "catalog")
    bundle = policies.load(folder, catalog)
    rules = {
        name: replace(rule, disclosure=replace(rule.disclosure, method="noise"))
        for name, rule in bundle.datasets.items()
    }
    noisy = replace(bundle, datasets=rules)
    case = replace(CASES["Q01"], sql=ONE)
    assert judge(case, catalog, noisy) == Verdict("refuse", "R5", "D012")
    assert judge(replace(case, noise="policy"), catalog, noisy).code == ""
    silent = {
        name: replace(rule, disclosure=replace(rule.disclosure, privacy=None))
        for name, rule in bundle.datasets.items()
    }
    no_noise = replace(bundle, datasets=silent)
    assert judge(replace(case, noise="policy"), catalog, no_noise).code == "D014"
