"""Of two caps of a measure the merged one is never none where one of the two sets one."""

from dataclasses import replace
from decimal import Decimal

import pytest

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.policy.examples import example
from middleplatform.policy.stricter import completed, held_by, loosened, stricter

CATALOG = catalogs.load(example("demo") / "catalog")
BUNDLE = policies.load(example("demo"), CATALOG)
DATASET, COLUMN = "tax.individual_income", "income_total"


def capped(cap):
    """Return the shipped bundle with one measure capped so."""
    rule = BUNDLE.datasets[DATASET]
    columns = {**rule.columns, COLUMN: replace(rule.columns[COLUMN], cap=cap)}
    datasets = {**BUNDLE.datasets, DATASET: replace(rule, columns=columns)}
    return replace(BUNDLE, datasets=datasets, digest=f"{cap}".rjust(64, "0"))


def cap_of(bundle):
    return bundle.datasets[DATASET].columns[COLUMN].cap


LOW, HIGH = Decimal(50), Decimal(100)


@pytest.mark.parametrize(
    ("own", "published", "wanted"),
    [
        (None, None, None), (LOW, LOW, LOW), (LOW, HIGH, LOW), (HIGH, LOW, LOW),
        (LOW, None, 0), (None, LOW, 0),
    ],
)  # fmt: skip
def test_a_cap_that_only_one_of_two_sets_lets_nothing_count(own, published, wanted):
    mine, document = capped(own), capped(published)
    assert cap_of(stricter(mine, document)) == wanted
    whole = completed(mine, document, held_by("tax", CATALOG))
    assert cap_of(stricter(whole, document)) == wanted


@pytest.mark.parametrize("step", [(LOW, None), (None, LOW), (LOW, HIGH)])
def test_a_cap_that_goes_comes_or_rises_loosens(step):
    """One that comes lets a sum through whose largest units must be judged; one that goes lets it unbounded."""
    assert loosened(*map(capped, step)) == {DATASET}


def test_a_cap_that_falls_loosens_nothing():
    assert loosened(capped(HIGH), capped(LOW)) is None
