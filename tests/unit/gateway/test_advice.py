"""The nearest form that would pass: found for what the demonstration refuses, judged, and close to what was asked."""

import pytest
from demo_gateway import demo_gateway

from middleplatform.gateway.advice import advice
from middleplatform.policy import suite
from middleplatform.policy.examples import example

REFUSED = [
    case
    for each in suite.load(example("demo"))
    for case in each.cases
    if case.expect == "refuse" and case.stage == "authorization"
]
ANALYST = next(case.subject for case in REFUSED if case.id == "R01-key")

NOTHING = {
    "R08-values", "R14-read_csv", "R14-glob", "R14-getenv", "R14-file", "R14-attach", "R14-copy", "R14-pragma",
    "R14-install", "R14-catalogue", "R15-count", "R16-no-grant", "R16-purpose-role", "R16-region-unscoped",
}  # fmt: skip
"""No statement near these passes: files, other people's data, roles that may not ask."""

FORMS = {
    "SELECT id_number FROM ga.population": "SELECT COUNT(DISTINCT id_number) FROM ga.population",
    "SELECT MAX(income_total) AS top FROM tax.individual_income": "SELECT AVG(income_total) AS top FROM tax.individual_income",
    "SELECT COUNT(*) FROM tax.individual_income WHERE tax_year = 2024 AND income_total < 5001": "SELECT COUNT(*) FROM tax.individual_income WHERE tax_year = 2024 AND income_total < 5000",
    "SELECT COUNT(*) FROM tax.individual_income WHERE income_total = 9000": "SELECT COUNT(*) FROM tax.individual_income WHERE income_total >= 10000",
    "SELECT COUNT(*) FROM ga.population WHERE region_code LIKE '9901%'": "SELECT COUNT(*) FROM ga.population WHERE region_code >= '9901' AND region_code < '9902'",
    "SELECT COUNT(*) FROM ga.population WHERE sex = '1' AND name = '张三'": "SELECT COUNT(*) FROM ga.population WHERE sex = '1'",
    "SELECT region_code, name, COUNT(*) AS n FROM ga.population GROUP BY 1, 2 ORDER BY 3": "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY 1 ORDER BY 2",
    "SELECT sex, region_code FROM ga.population": "SELECT sex, region_code, COUNT(*) AS n FROM ga.population GROUP BY sex, region_code",
    "SELECT regon_code, COUNT(*) FROM ga.population GROUP BY 1": "SELECT region_code, COUNT(*) FROM ga.population GROUP BY 1",
    "SELECT COUNT(*) FROM population": "SELECT COUNT(*) FROM ga.population",
    "SELECT sex, COUNT(*) FROM ga.population": "SELECT sex, COUNT(*) FROM ga.population GROUP BY sex",
    "SELECT region_code, COUNT(*) FROM ga.population GROUP BY ROLLUP (region_code)": "SELECT region_code, COUNT(*) FROM ga.population GROUP BY region_code",
    "SELECT FLOOR(birth_year / 3) * 3 AS 段, COUNT(*) FROM ga.population GROUP BY 1": "SELECT birth_year AS 段, COUNT(*) FROM ga.population GROUP BY 1",
    "SELECT income_total, COUNT(*) AS n FROM tax.individual_income GROUP BY income_total": (
        "SELECT CASE WHEN income_total < 5000 THEN '<5000' WHEN income_total < 6000 THEN '5000-6000'"
        " WHEN income_total < 10000 THEN '6000-10000' WHEN income_total < 15000 THEN '10000-15000'"
        " WHEN income_total < 20000 THEN '15000-20000' WHEN income_total < 30000 THEN '20000-30000'"
        " ELSE '>=30000' END AS income_total_band, COUNT(*) AS n FROM tax.individual_income"
        " GROUP BY income_total_band"
    ),
    "SELECT MAX(income_total) AS a, MIN(income_total) AS b FROM tax.individual_income": (
        "SELECT AVG(income_total) AS a, AVG(income_total) AS b FROM tax.individual_income"
    ),
    "SELECT MAX(income_total) AS a, SUM(income_total) AS b FROM tax.individual_income": (
        "SELECT AVG(income_total) AS a, SUM(income_total) AS b FROM tax.individual_income"
    ),
    "SELECT 1; SELECT COUNT(*) FROM ga.population": None,
    "no SQL at all": None,
}


@pytest.fixture(scope="module")
def gateway():
    return demo_gateway()


def _advised(gateway, sql, subject=ANALYST, purpose="statistics", **more):
    return gateway.advise(gateway.request(sql, subject, purpose, **more))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_what_is_offered_for_a_refused_question_would_pass(gateway, case):
    request = gateway.request(
        case.sql, case.subject, case.purpose, project=case.project, recipient=case.recipient
    )
    found = gateway.advise(request)
    assert found.explanation.verdict == "refuse"
    assert (found.form is None) == (case.id in NOTHING)
    if found.form is not None:
        assert gateway.explain(found.form.request).verdict == "permit"
        assert found.form.changes


@pytest.mark.parametrize("sql", FORMS, ids=range(len(FORMS)))
def test_the_form_is_the_nearest(gateway, sql):
    form = _advised(gateway, sql).form
    assert (form and " ".join(form.request.sql.split())) == FORMS[sql]


def test_a_question_that_passes_has_no_other_form(gateway):
    found = _advised(gateway, "SELECT COUNT(*) FROM ga.population")
    assert (found.explanation.verdict, found.form) == ("permit", None)


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT sex,\n  COUNT(*) FROM ga.populaton", "ga.populaton"),
        ("SELECT 人数 FROM ga.population", "人数"),
        ("SELECT sex FROM WHERE", "WHERE"),
    ],
)
def test_an_error_without_reasons_has_a_place(gateway, sql, place):
    (reason,) = _advised(gateway, sql).explanation.reasons
    assert reason.span is not None
    assert sql.index(place) <= reason.span.start < reason.span.end <= sql.index(place) + len(place)


def test_a_column_that_may_stand_nowhere_is_marked_wherever_it_stands(gateway):
    sql = "SELECT name, COUNT(*) FROM ga.population WHERE name <> 'x' GROUP BY name"
    spans = [each.span for each in _advised(gateway, sql).explanation.reasons if each.rule == "R1"]
    assert sorted(sql[: each.start].count("name") for each in spans) == [0, 1, 2]
    assert {sql[each.start : each.end] for each in spans} == {"name"}
    two = "SELECT p.name, COUNT(*) FROM ga.population p GROUP BY p.name UNION ALL SELECT name, COUNT(*) FROM amr.enterprise GROUP BY name"
    marked = [each.span for each in _advised(gateway, two).explanation.reasons if each.rule == "R1"]
    assert all(two[each.start : each.end] != "name" for each in marked), "another dataset's column"


def test_a_purpose_that_serves_is_offered_and_the_statement_left_alone(gateway):
    sql = "SELECT AVG(income_total) FROM tax.individual_income"
    form = _advised(gateway, sql, purpose="data_quality").form
    assert (form.request.sql, form.request.purpose) == (sql, "statistics")


def test_a_recipient_outside_is_taken_back(gateway):
    form = _advised(gateway, "SELECT COUNT(*) FROM ga.population", recipient="tax").form
    assert form.request.recipient == ""


def test_the_search_is_bounded_by_what_is_judged_and_how_long_it_is(gateway):
    """A statement in which everything is wrong is given up; of a long one few forms are judged, or none."""
    judged = []

    def judge(request):
        judged.append(request.sql)
        return gateway._refusal(request)

    for count, least, most in ((60, 5, 30), (300, 1, 4), (700, 0, 2)):
        judged.clear()
        columns = ", ".join(f"SUM(POWER(income_total, {n}))" for n in range(count))
        sql = f"SELECT {columns} FROM tax.individual_income"
        request = gateway.request(sql, ANALYST, "statistics")
        told = gateway.explain(request)
        found = advice(request, told, judge, gateway.catalog, gateway.bundle)
        assert found.form is None
        assert least <= len(judged) <= most + 1
