"""What a request may ask for as a privacy loss, what epsilon it is told as, and how balances cross the wire."""

import math
from fractions import Fraction

import pytest

from middleplatform.errors import QueryError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import (
    DENOMINATOR_MAX,
    LOSS_MAX,
    SHARES_MAX,
    Balance,
    Left,
    Snapshot,
    epsilon_at,
    is_share,
    read_rho,
    rho_text,
)
from middleplatform.model.policy import PrivacyRule

DELTA = Fraction(1, 10**9)
BALANCE = Balance(
    "ga",
    Left(Snapshot("ga.person", "2026Q2"), PrivacyRule(), Fraction(1, 3), Fraction(1, 7), Fraction(0)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rho"),
    [("1/50", Fraction(1, 50)), ("0.02", Fraction(1, 50)), ("2/100", Fraction(1, 50)), ("1", Fraction(1)), ("policy", None)],
)  # fmt: skip
def test_a_loss_is_a_fraction_a_decimal_or_what_policy_allows(text, rho):
    assert read_rho(text) == rho


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1/50", "1/0", "1/", "/2", "x", "Policy", "nan", "inf", "1e-3", "1E9", "0x1", "1/50/2", "1 000/1",
     f"1/{DENOMINATOR_MAX + 1}", "1001", "9" * 25, "１/５０", "1/50\n2", "SELECT 1"],
)  # fmt: skip
def test_anything_else_is_q040_in_both_languages(text):
    with pytest.raises(QueryError) as caught:
        read_rho(text)
    assert caught.value.code == "Q040"
    assert "1/50" in caught.value.message("en")
    assert "1/50" in caught.value.message("zh")


@pytest.mark.parametrize(
    "rho", [Fraction(1, 10_000), Fraction(1, 50), Fraction(1, 4), Fraction(1), Fraction(20)]
)
@pytest.mark.parametrize("delta", [Fraction(1, 10**5), DELTA, Fraction(1, 10**15)])
def test_epsilon_is_tighter_than_the_known_bound_and_no_less_than_any_alpha_gives(rho, delta):
    found, log = epsilon_at(rho, delta), -math.log(delta)
    assert found <= float(rho) + 2 * math.sqrt(float(rho) * log)
    for alpha in (1.01, 1.5, 2, 5, 10, 30, 100, 1_000):
        rest = (log + (alpha - 1) * math.log1p(-1 / alpha) - math.log(alpha)) / (alpha - 1)
        assert found <= float(rho) * alpha + rest
    assert found > float(rho)


def test_epsilon_of_nothing_is_nothing_and_grows_with_rho():
    assert epsilon_at(Fraction(0), DELTA) == 0
    told = [epsilon_at(Fraction(number, 100), DELTA) for number in range(1, 60)]
    assert told == sorted(told)


def test_epsilon_one_at_a_delta_of_a_billionth_is_a_rho_of_about_one_in_67():
    # Canonne, Kamath and Steinke 2020, Proposition 12, evaluated once by hand on a fine grid of alpha.
    assert epsilon_at(Fraction(1, 66), DELTA) > 1 > epsilon_at(Fraction(1, 68), DELTA)


def test_a_balance_comes_back_as_it_was_sent():
    assert Balance.from_mapping(BALANCE.to_mapping(), "ga") == BALANCE
    assert BALANCE.to_mapping()["spent_snapshot"] == rho_text(Fraction(1, 3)) == "1/3"


@pytest.mark.parametrize(
    "changes",
    [{"department": "tax"}, {"rho": 0.02}, {"rho": "1/0"}, {"rho": "-1/2"}, {"rho": "1_0"}, {"spent_analyst": "9" * 5_000},
     {"dataset": 3}, {"snapshot": "x" * 300}, {"rows": "12"}, {"rows": True}, {"groups": -1}],
)  # fmt: skip
def test_a_balance_of_another_form_or_another_department_is_none(changes):
    with pytest.raises((TypeError, ValueError)):
        Balance.from_mapping(BALANCE.to_mapping() | changes, "ga")


@pytest.mark.parametrize("body", [None, [], "x", {}])
def test_what_is_no_mapping_is_no_balance(body):
    with pytest.raises((TypeError, KeyError)):
        Balance.from_mapping(body, "ga")


@pytest.mark.parametrize("parts", [1, 3, 64])
def test_equal_parts_of_what_may_be_asked_or_of_what_policy_allows_are_shares(parts):
    policy = Fraction(1, 65_537)
    for whole in (Fraction(1, DENOMINATOR_MAX), Fraction(3, 9_973), policy):
        assert is_share(whole / parts, policy)


@pytest.mark.parametrize(
    "rho",
    [Fraction(1, 65_539), Fraction(1, 67 * 9_973), Fraction(1, LOSS_MAX + 1), Fraction(2, 65_537)],
)
def test_what_no_answer_is_divided_into_is_no_share(rho):
    assert not is_share(rho, Fraction(1, 65_537))


def test_a_ledger_takes_every_share_and_adds_it_up():
    who = {"query_id": "q", "at": "2026-01-01T00:00:00+00:00"}
    caps = PrivacyRule()
    rho = caps.rho / SHARES_MAX
    with BudgetLedger(None) as ledger:
        for _ in range(SHARES_MAX):
            ledger.reserve("ga.person", "p", "a", rho, caps, **who)
        assert ledger.left("ga.person", "p", "a", caps).spent_snapshot == caps.rho
