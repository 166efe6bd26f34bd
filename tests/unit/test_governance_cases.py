"""Statements with a known verdict, judged by the whole platform: gateway, nodes, history.

``sample.json`` is the published sample of the acceptance set; ``own.json`` holds further statements of its classes.
"""

import json
from pathlib import Path

import pytest
from asking import ANALYST, COLLEAGUE, ask, opened
from governance_data import build

EXAMPLE = Path(__file__).parents[2] / "policies" / "examples" / "cases"
VECTORS = Path(__file__).parents[1] / "vectors" / "governance"
CASES = [
    case
    for name in ("sample.json", "own.json")
    for case in json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
]
WEIGHTED = {"X413", "X415"}
COLLEAGUE_SAYS = "-- analyst B:"


def chosen(*expected):
    return [pytest.param(case, id=case["id"]) for case in CASES if case["expected"] in expected]


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("governance")
    build(folder / "data")
    with opened(folder / "state", folder / "data", EXAMPLE / "catalog", EXAMPLE) as made:
        yield made


def judged(platform, case):
    """Ask a case in a project of its own: nobody asked anything there before."""
    for prior in case.get("prior", ()):
        who = COLLEAGUE if prior.startswith(COLLEAGUE_SAYS) else ANALYST
        first = ask(platform, prior.removeprefix(COLLEAGUE_SAYS).strip(), who, project=case["id"])
        assert not first.refused, f"{prior}: {first.message}"
    return ask(platform, case["sql"], project=case["id"])


@pytest.mark.parametrize("case", chosen("deny"))
def test_a_forbidden_statement_is_refused_by_the_right_rule(platform, case):
    outcome = judged(platform, case)
    assert outcome.refused, case["sql"]
    assert outcome.rule == case["rule"], (outcome.code, outcome.message)


@pytest.mark.parametrize("case", chosen("suppress"))
def test_a_disclosive_statement_is_refused_or_its_cells_are_withheld(platform, case):
    outcome = judged(platform, case)
    assert outcome.refused or outcome.withheld, case["sql"]
    for where in case.get("hidden", ()):
        column = where.get("column")
        labels = {name: value for name, value in where.items() if name != "column"}
        for row in outcome.rows:
            if {name: row[name] for name in labels} == labels:
                asked = [column] if column else [name for name in row if name not in labels]
                assert [row[name] for name in asked] == [None] * len(asked)


@pytest.mark.parametrize("case", chosen("allow"))
def test_a_legitimate_statement_is_answered(platform, case):
    outcome = judged(platform, case)
    if case["id"] in WEIGHTED:
        # One department's measure, once for every row of another's: it has no private join, and says what has.
        assert outcome.code == "Q031", outcome.message
        assert "group the other by the key in a subquery" in outcome.message
        return
    assert not outcome.refused, f"{case['sql']}: {outcome.code} {outcome.message}"
    assert outcome.released, "something of it is released"


def test_every_rule_of_the_policy_refuses_some_statement():
    rules = {case["rule"] for case in CASES if case["expected"] == "deny"}
    assert rules == {f"R{number}" for number in range(15)} - {"R5"}
