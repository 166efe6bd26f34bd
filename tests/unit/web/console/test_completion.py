"""What the editor is told: completion for the person, and every fault at its place with the form that passes."""

from datetime import UTC, datetime

import pytest
from steady import SeededRng

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.gateway import Gateway
from middleplatform.policy import suite
from middleplatform.policy.entitled import entitled, purposes_of
from middleplatform.policy.examples import example
from middleplatform.web.console.completion import completions, diagnostics

PEOPLE = suite.personas(example("demo") / "personas.yaml")
ANALYST, VISITOR = PEOPLE["analyst_drc"], PEOPLE["visitor"]


class _June:
    def now(self):
        return datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def gateway():
    catalog = catalogs.load(example("demo") / "catalog")
    bundle = policies.load(example("demo"), catalog)
    return Gateway(catalog, bundle, None, Dispatcher({}, None, None), None, _June(), SeededRng())


def _states(gateway, subject, dataset):
    found = entitled(gateway.rules(), subject, gateway.catalog.datasets[dataset], _June().now())
    return {each.column: each for each in found}


def test_what_may_be_used_hangs_on_grants_and_on_the_law(gateway):
    mine = _states(gateway, ANALYST, "tax.individual_income")
    other = _states(gateway, VISITOR, "tax.individual_income")
    people = _states(gateway, ANALYST, "ga.population")
    assert (mine["income_total"].state, other["income_total"].state) == ("open", "grant")
    assert "statistics" in mine["income_total"].purposes
    assert people["key_person_flag"].state == "never"
    assert "居民身份证法" in people["key_person_flag"].law
    assert any("COUNT(DISTINCT id_number)" in each.sql for each in people["id_number"].forms)


def test_every_column_that_is_said_to_be_open_can_be_asked(gateway):
    """What the catalogue page promises, the gateway keeps: the form as told, for a purpose as told."""
    asked = 0
    for name, dataset in gateway.catalog.datasets.items():
        for each in entitled(gateway.rules(), ANALYST, dataset, _June().now()):
            if each.state != "open" or not each.forms:
                continue
            shown = each.forms[0].sql
            sql = {
                "COUNT": f"SELECT {shown} FROM {name}",
                "GROUP": f"SELECT {each.column}, COUNT(*) FROM {name} {shown}",
                "SUM(": f"SELECT {shown} FROM {name}",
            }.get(shown[:5].rstrip("(") if not shown.startswith("SUM(") else "SUM(")
            found = gateway.explain(gateway.request(sql, ANALYST, each.purposes[0]))
            whole = {reason.column for reason in found.reasons}
            assert found.verdict == "permit" or f"{name}.{each.column}" not in whole, sql
            asked += 1
    assert asked > 20


def test_what_is_said_to_need_a_grant_is_refused_for_want_of_one(gateway):
    found = gateway.explain(
        gateway.request(
            "SELECT AVG(income_total) FROM tax.individual_income", VISITOR, "statistics"
        )
    )
    assert {each.rule for each in found.reasons} == {"G1"}


def test_purposes_are_those_of_the_role_and_the_dataset(gateway):
    assert "statistics" in purposes_of(gateway.bundle, ANALYST)
    assert "emergency" not in purposes_of(gateway.bundle, ANALYST, "amr.complaint")
    assert purposes_of(gateway.bundle, PEOPLE["auditor"]) == ()


@pytest.mark.parametrize(
    ("locale", "label", "state"), [("en", "population", "yours"), ("zh", "人口", "可以使用")]
)
def test_completion_names_every_dataset_and_says_what_columns_are_for(
    gateway, locale, label, state
):
    found = completions(gateway.catalog, gateway.rules(), ANALYST, _June(), locale)
    assert set(found["tables"]) == set(found["labels"]) == set(gateway.catalog.datasets)
    assert label in found["labels"]["ga.population"].lower()
    column = next(each for each in found["tables"]["ga.population"] if each["name"] == "sex")
    assert column["type"] == "text"
    assert state in column["detail"]
    assert "SELECT" in found["keywords"]
    assert "SUM" in found["keywords"]


def _checked(gateway, sql, subject=ANALYST, locale="en", **more):
    request = gateway.request(sql, subject, "statistics", **more)
    return diagnostics(request, gateway.advise(request), locale)


def test_every_reason_has_its_place_and_the_first_the_form_that_passes(gateway):
    sql = "SELECT id_number, MAX(income_total) FROM tax.individual_income"
    found = _checked(gateway, sql)
    first = found["diagnostics"][0]
    assert sql[first["from"] : first["to"]] == "id_number"
    assert (first["rule"], first["owner"], first["severity"]) == ("R2", "tax", "error")
    change = first["actions"][0]["replace"]
    assert (change["from"], change["to"]) == (0, len(sql))
    again = _checked(gateway, change["text"])
    assert (
        again["verdict"],
        [each for each in again["diagnostics"] if each["severity"] == "error"],
    ) == ("permit", [])
    assert found["form"]["sql"] == change["text"]
    assert {sql[each["from"] : each["to"]] for each in found["diagnostics"]} >= {
        "id_number",
        "income_total",
    }


def test_places_count_characters_as_the_statement_has_them(gateway):
    sql = "SELECT '𠮷人' AS 标题, name FROM ga.population"
    first = _checked(gateway, sql, locale="zh")["diagnostics"][0]
    assert sql[first["from"] : first["to"]] == "name"


def test_what_needs_a_grant_leads_to_the_application(gateway):
    found = _checked(gateway, "SELECT AVG(contribution_base) FROM ss.insurance")
    (link,) = [each for each in found["diagnostics"][0]["actions"] if "href" in each]
    assert link["href"].startswith(
        "/console/my/applications/new?column=ss.insurance.contribution_base"
    )


def test_another_purpose_is_told_beside_the_same_statement(gateway):
    sql = "SELECT AVG(income_total) FROM tax.individual_income"
    request = gateway.request(sql, ANALYST, "data_quality")
    found = diagnostics(request, gateway.advise(request), "en")
    assert (found["form"]["sql"], found["form"]["purpose"]) == (sql, "statistics")
    assert not any(
        "replace" in action for each in found["diagnostics"] for action in each["actions"]
    )


def test_what_is_rewritten_is_told_while_typing(gateway):
    found = _checked(gateway, "SELECT birth_year, COUNT(*) FROM ga.population GROUP BY 1")
    assert found["verdict"] == "permit"
    assert any("5" in each["message"] for each in found["diagnostics"])
    assert all(each["severity"] == "info" for each in found["diagnostics"])


@pytest.mark.parametrize("sql", ["", " ", "SELECT", "𠮷", "SELECT * FROM", ";;", "'"])
def test_half_a_statement_is_no_error_of_ours(gateway, sql):
    assert _checked(gateway, sql)["verdict"] == "refuse"
