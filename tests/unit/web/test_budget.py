"""The budget over REST, and noise in a question: the shapes, the languages, and whose budget is told."""

from dataclasses import replace
from fractions import Fraction

import pytest

from middleplatform.errors import SourceError
from middleplatform.model.budget import Balance, Left, Snapshot
from middleplatform.model.policy import PrivacyRule

RULE = PrivacyRule()
ASKED = {"sql": "SELECT 1", "purpose": "statistics"}


class Department:
    """A link that remembers for whom it was asked; one of them is down."""

    def __init__(self, name, asked):
        self.department, self.asked = name, asked

    async def budget(self, project, analyst):
        self.asked.append((self.department, project, analyst))
        if self.department != "ga":
            raise SourceError("S001", department=self.department)
        left = Left(
            Snapshot("ga.population"), RULE, Fraction(1, 3), Fraction(1, 3), Fraction(1, 50)
        )
        return [Balance("ga", left)]


class Dispatcher:
    def __init__(self):
        self.asked = []

    def link(self, name):
        return Department(name, self.asked)


@pytest.fixture
def offering(service):
    """A service two of whose datasets offer noise, of two departments."""
    bundle = service.gateway.bundle
    datasets = {
        name: replace(
            rule,
            disclosure=replace(rule.disclosure, privacy=RULE if name in {"ga.population", "tax.individual_income"} else None),
        )
        for name, rule in bundle.datasets.items()
    }  # fmt: skip
    service.gateway.bundle = replace(bundle, datasets=datasets)
    service.gateway.dispatcher = Dispatcher()
    return service


def test_a_budget_is_told_by_dataset_with_rho_exactly_and_epsilon(offering):
    found = offering.ask("GET", "/v1/budget").json()
    assert (found["project"], found["analyst"]) == ("drc", "user_analyst")
    (one,) = found["budgets"]
    assert (one["department"], one["dataset"], one["snapshot"], one["delta"]) == ("ga", "ga.population", "first", "1/1000000000")  # fmt: skip
    assert one["answer"] == {"rho": "1/50", "epsilon": 1.1633}
    assert one["caps"]["snapshot"]["rho"] == "1"
    assert {scope: loss["rho"] for scope, loss in one["spent"].items()} == {"snapshot": "1/3", "project": "1/3", "analyst": "1/50"}  # fmt: skip
    assert {scope: loss["rho"] for scope, loss in one["left"].items()} == {"snapshot": "2/3", "project": "1/6", "analyst": "23/100", "least": "1/6"}  # fmt: skip
    assert found["missing"] == [{"department": "tax", "code": "S001"}]


def test_budgets_come_page_by_page_and_only_their_departments_are_asked(offering):
    asked, seen, after = offering.gateway.dispatcher.asked, [], 0
    while after is not None:
        asked.clear()
        page = offering.ask("GET", f"/v1/budget?limit=1&after={after}").json()
        assert len(asked) <= 1
        assert len(page["budgets"]) + len(page["missing"]) == 1
        seen += [each["dataset"] for each in page["budgets"]]
        after = page["next"]
    assert seen == ["ga.population"]
    asked.clear()
    last = offering.ask("GET", "/v1/budget?after=7").json()
    assert (last["budgets"], last["missing"], last["next"], asked) == ([], [], None, [])
    for wrong in ("limit=0", "limit=1001", "after=-1", "after=x"):
        assert offering.ask("GET", f"/v1/budget?{wrong}").status_code == 400


def test_the_budget_is_the_callers_own_whatever_is_asked(offering):
    offering.ask("GET", "/v1/budget?analyst=wang")
    offering.ask("GET", "/v1/budget", role="data_bureau")
    asked = {(project, analyst) for _, project, analyst in offering.gateway.dispatcher.asked}
    assert asked == {("drc", "user_analyst"), ("drc", "user_data_bureau")}


def test_a_project_that_is_not_registered_is_refused_in_the_callers_language(offering):
    found = offering.ask("GET", "/v1/budget?project=mine", headers={"Accept-Language": "zh"})
    assert (found.status_code, found.json()["code"]) == (403, "P004")
    assert "未登记" in found.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/queries?wait=5", "/v1/explain"])
def test_noise_of_a_question_reaches_the_gateway_in_its_one_form(service, path):
    assert service.ask("POST", path, json=ASKED | {"noise": "2/100"}).status_code == 200
    assert service.ask("POST", path, json=ASKED).status_code == 200
    assert [each.noise for each in service.gateway.asked] == ["1/50", ""]


@pytest.mark.parametrize("noise", ["much", "0", "1/10001", "-1"])
def test_nonsense_is_a_bad_request(service, noise):
    found = service.ask("POST", "/v1/queries", json=ASKED | {"noise": noise})
    assert (found.status_code, found.json()["code"]) == (400, "Q040")
    assert service.gateway.asked == []
