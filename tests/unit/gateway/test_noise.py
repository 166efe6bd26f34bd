"""Questions with noise at the gateway: what they may ask for, what they cost, what explain, log and budget say."""

import asyncio
from dataclasses import replace
from fractions import Fraction

import made_platform
import made_world as made
import pytest

from middleplatform.errors import DisclosureError, PolicyError, QueryError, SourceError
from middleplatform.gateway.budgets import budgets
from middleplatform.model.budget import SHARES_MAX, epsilon_at
from middleplatform.model.policy import PrivacyRule

COUNT = "SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY sex"
TWO = "SELECT a.n - b.n AS n FROM (SELECT COUNT(*) AS n FROM ga.person) a, (SELECT COUNT(*) AS n FROM ga.person WHERE sex = 'F') b"
RULE = PrivacyRule()
CAPS = ("snapshot", "project", "analyst")


@pytest.fixture
def noisy(tmp_path):
    """A platform all of whose datasets offer noise."""
    bundle = made_platform.with_parameters(privacy=RULE)
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path, bundle=bundle, rows=rows) as opened:
        yield opened


def refusal(platform, code, sql=COUNT, **asked):
    kind = {"Q": QueryError, "D": DisclosureError}[code[0]]
    with pytest.raises(kind) as caught:
        platform.ask(sql, **asked)
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize(
    ("said", "kept"),
    [("", ""), ("policy", "policy"), ("2/100", "1/50"), ("0.02", "1/50")],
)
def test_a_request_keeps_its_noise_in_one_form(noisy, said, kept):
    assert noisy.request(COUNT, noise=said).noise == kept


def test_nonsense_is_refused_before_there_is_a_request(noisy):
    with pytest.raises(QueryError) as caught:
        noisy.request(COUNT, noise="much")
    assert caught.value.code == "Q040"


def test_more_than_policy_lets_one_answer_spend_is_refused(noisy):
    error = refusal(noisy, "Q040", noise="1/49")
    assert "1/50" in error.message("en")
    assert "1/50" in error.message("zh")


def test_noise_that_policy_does_not_offer_is_d014(platform):
    error = refusal(platform, "D014", noise="policy")
    assert "ga.person" in error.message("en")
    assert platform.gateway.explain(platform.request(COUNT, noise="1/50")).code == "D014"


def test_a_dataset_that_is_answered_with_noise_only_needs_it_said(tmp_path):
    bundle = made_platform.with_parameters(privacy=RULE, method="noise")
    with made_platform.Platform(tmp_path, bundle=bundle) as opened:
        refusal(opened, "D012")
        assert opened.gateway.explain(opened.request(COUNT)).code == "D012"
        assert opened.gateway.explain(opened.request(COUNT, noise="policy")).verdict == "permit"


def test_explain_tells_the_cost_and_the_error_in_both_languages(noisy):
    found = noisy.gateway.explain(noisy.request(COUNT, noise="1/100"))
    told = [each for each in found.limits if "rho" in each[0] or "error" in each[0]]
    (cost, error), epsilon = told, f"{epsilon_at(Fraction(1, 100), RULE.delta / 2):.3f}"
    assert "spends rho 1/100 " in cost[0]
    assert "消耗 rho 1/100" in cost[1]
    assert epsilon in cost[0] or f"{epsilon_at(Fraction(1, 100), RULE.delta):.3f}" in cost[0]
    assert "count" in error[0]
    assert "预期绝对误差" in error[1]
    assert noisy.gateway.explain(noisy.request(COUNT)).limits == found.limits[: -len(told)]


def test_explain_refuses_a_measure_without_a_cap_as_an_answer_does(noisy):
    steps = "SELECT SUM(steps) AS s FROM ga.income"
    error = refusal(noisy, "D014", steps, noise="1/100")
    assert "ga.income.steps" in error.message("en")
    found = noisy.gateway.explain(noisy.request(steps, noise="1/100"))
    assert (found.verdict, found.code) == ("refuse", "D014")
    assert (
        noisy.gateway.explain(
            noisy.request("SELECT AVG(steps) AS s FROM ga.income", noise="policy")
        ).code
        == "D014"
    )


def test_a_loss_that_would_be_divided_among_too_many_parts_is_refused(tmp_path):
    many = SHARES_MAX + 1
    bundle = made_platform.with_parameters(privacy=RULE)
    bundle = replace(bundle, limits=replace(bundle.limits, joins_max=2 * many))
    blocks = ", ".join(
        f"(SELECT COUNT(*) AS n FROM ga.person WHERE birth_year > {1900 + number}) t{number}"
        for number in range(many)
    )
    sql = f"SELECT {' + '.join(f't{number}.n' for number in range(many))} AS n FROM {blocks}"
    with made_platform.Platform(tmp_path, bundle=bundle) as opened:
        found = opened.gateway.explain(opened.request(sql, noise="1/10000"))
        assert (found.verdict, found.code) == ("refuse", "Q040")
        assert opened.gateway.explain(opened.request(sql)).verdict == "permit"


def test_the_blocks_of_a_statement_share_its_loss(noisy):
    found = noisy.gateway.explain(noisy.request(TWO, noise="1/50"))
    assert any("spends rho 1/50" in each[0] and "1/100 a block" in each[0] for each in found.limits)


def test_less_noise_is_expected_of_a_larger_loss(noisy):
    def error(rho):
        limits = noisy.gateway.explain(noisy.request(COUNT, noise=rho)).limits
        return float(
            next(each[0] for each in limits if "error" in each[0])
            .split("count ")[1]
            .split(";")[0]
            .replace(",", "")
        )

    assert error("1/200") == pytest.approx(2 * error("1/50"), rel=0.01)


def asked(platform, subject=made.ANALYST, project=""):
    return asyncio.run(budgets(platform.gateway, subject, project))


def test_a_budget_is_told_by_every_department_that_holds_a_part(noisy):
    found = asked(noisy)
    told = {(each.department, each.left.snapshot.dataset) for each in found.balances}
    holders = {
        (name, dataset)
        for dataset, each in made.CATALOG.datasets.items()
        for name in each.held_by
        if name in made_platform.HOLDERS and dataset in noisy.bundle.datasets
    }
    assert told == holders
    assert (found.project, found.analyst) == (made.ANALYST.department, made.ANALYST.id)


def test_pages_of_budgets_are_all_of_them_once_in_order(noisy):
    whole = asked(noisy)
    pages = [
        asyncio.run(budgets(noisy.gateway, made.ANALYST, "", after, 2))
        for after in range(0, whole.total, 2)
    ]
    assert sum((each.balances for each in pages), ()) == whole.balances
    assert {each.total for each in pages} == {whole.total}
    assert all(len(each.balances) <= 2 for each in pages)


def test_what_is_spent_is_what_the_ledger_of_the_department_says(noisy):
    node = noisy.nodes["ga"]
    who = {"query_id": "q", "at": made.NOW.isoformat()}
    node.budget.reserve("ga.person", "drc", made.ANALYST.id, Fraction(1, 50), RULE, **who)
    node.budget.reserve("ga.person", "other", "wang", Fraction(1, 7), RULE, **who)
    (left,) = [
        each.left for each in asked(noisy).balances if each.left.snapshot.dataset == "ga.person"
    ]
    spent = (left.spent_snapshot, left.spent_project, left.spent_analyst)
    assert spent == (Fraction(57, 350), Fraction(1, 50), Fraction(1, 50))
    assert left.least == RULE.rho_analyst - Fraction(1, 50)


def test_a_budget_does_not_hang_on_rows(tmp_path):
    found = []
    bundle = made_platform.with_parameters(privacy=RULE)
    for number, seed in enumerate((7, 8)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with made_platform.Platform(folder, bundle=bundle, rows=made.make_rows(seed)) as opened:
            found.append(asked(opened))
    assert found[0] == found[1]


def test_a_project_that_is_not_registered_is_refused(tmp_path):
    bundle = made_platform.with_parameters(privacy=RULE)
    bundle = replace(bundle, limits=replace(bundle.limits, projects=("elderly",)))
    with made_platform.Platform(tmp_path, bundle=bundle) as opened:
        assert asked(opened, project="elderly").project == "elderly"
        with pytest.raises(PolicyError) as caught:
            asked(opened, project="mine")
    assert caught.value.code == "P004"


def test_a_department_that_cannot_be_asked_is_named_with_its_code(noisy):
    class Down:
        department = "ga"

        async def budget(self, *_):
            raise SourceError("S001", department="ga")

    noisy.use_link(Down())
    found = asked(noisy)
    assert ("ga", "S001") in found.missing
    assert {each.department for each in found.balances} == {"c1", "c2", "c3"}


def test_nobody_is_asked_where_policy_offers_no_noise(platform):
    assert asked(platform).balances == ()


def test_the_log_has_what_an_answer_spent(noisy):
    noisy.ask(COUNT)
    noisy.ask(COUNT, noise="1/100")
    entries = noisy.entries()
    assert [body["budget"] for event, body in entries if event == "released"] == ["0", "1/100"]
    assert [body.get("noise") for event, body in entries if event == "received"] == [None, "1/100"]


def test_an_answer_with_noise_is_charged_to_the_department_that_gave_it(noisy):
    noisy.ask(COUNT, noise="1/100")
    (left,) = [
        each.left for each in asked(noisy).balances if each.left.snapshot.dataset == "ga.person"
    ]
    assert (left.spent_snapshot, left.spent_analyst) == (Fraction(1, 100), Fraction(1, 100))
    (entry,) = noisy.nodes["ga"].budget.entries()
    assert (entry.state, entry.project, entry.analyst) == ("committed", "drc", made.ANALYST.id)


def test_a_spent_budget_refuses_whatever_the_rows_say(noisy):
    who = {"query_id": "q", "at": made.NOW.isoformat()}
    rest = RULE.rho_analyst - Fraction(1, 10_000)
    noisy.nodes["ga"].budget.reserve("ga.person", "drc", made.ANALYST.id, rest, RULE, **who)
    error = refusal(noisy, "D013", noise="1/100")
    assert (
        error.message("en")
        == "Refused: the privacy budget of the analyst for dataset ga.person does not reach."
    )
