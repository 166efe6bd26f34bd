"""Which use of which column each form is reported as: what authorization judges."""

import made_world as made
import pytest

from middleplatform.model.query import Clause, Context


def uses(sql, *, spans=False):
    found = made.bound(sql).facts.uses
    return [
        (use.column, use.context, use.op, use.literals, use.per_unit) + ((use.span,) if spans else ())
        for use in found
    ]  # fmt: skip


def where(condition):
    return [use[:4] for use in uses(f"SELECT COUNT(*) FROM ga.person WHERE {condition}")]


def contexts(sql):
    return {(use.column, use.context, use.clause) for use in made.bound(sql).facts.uses}


WHERE = {
    "education >= 12": [("education", Context.COMPARE, ">=", (12,))],
    "12 <= education": [("education", Context.COMPARE, ">=", (12,))],
    "2024 - education <= 2012": [("education", Context.COMPARE, ">=", (12,))],
    "education * 2 > 24": [("education", Context.COMPARE, ">", (12,))],
    "education * 3 > 1": [("education", Context.COLUMN_COMPARE, ">", ())],
    "education + birth_year > 1": [("education", Context.COLUMN_COMPARE, ">", ()), ("birth_year", Context.COLUMN_COMPARE, ">", ())],
    "education > birth_year": [("education", Context.COLUMN_COMPARE, ">", ()), ("birth_year", Context.COLUMN_COMPARE, ">", ())],
    "sex IN ('1', '2')": [("sex", Context.COMPARE, "=", ("1",)), ("sex", Context.COMPARE, "=", ("2",))],
    "birth_year BETWEEN 1980 AND 1990": [("birth_year", Context.COMPARE, ">=", (1980,)), ("birth_year", Context.COMPARE, "<=", (1990,))],
    "sex IS NULL": [("sex", Context.NULL_TEST, "IS NULL", ())],
    "COALESCE(sex, 'x') IS NULL": [("sex", Context.NULL_TEST, "IS NULL", ())],
    "education + 1 IS NULL": [("education", Context.FUNCTION, "IS NULL", ())],
    "MD5(name) IS NULL": [("name", Context.FUNCTION, "MD5", ())],
    "COALESCE(sex, 'x') = 'y'": [("sex", Context.COMPARE, "=", ("y",))],
    "local": [("local", Context.COMPARE, "=", (True,))],
    "NOT local IS TRUE": [("local", Context.COMPARE, "=", (True,))],
    "DATE_TRUNC('month', born) = '2024-01-01'": [("born", Context.COMPARE_BUCKET, "month", (made.date(2024, 1, 1),))],
    "EXTRACT(day FROM born) = 3": [("born", Context.COMPARE_BUCKET, "day", (3,))],
    "FLOOR(birth_year / 10) * 10 = 1980": [("birth_year", Context.COMPARE_BAND, "=", (1980,))],
    "sex LIKE '1%'": [("sex", Context.PATTERN, "LIKE", ())],
    "LENGTH(sex) > 1": [("sex", Context.FUNCTION, "LENGTH", ())],
    "education / birth_year > 1": [("education", Context.PARTIAL, "/", ()), ("birth_year", Context.PARTIAL, "/", ())],
    "education * birth_year > 1": [("education", Context.PRODUCT, "*", ()), ("birth_year", Context.PRODUCT, "*", ())],
    "1 + LENGTH(name) > 1": [("name", Context.FUNCTION, "LENGTH", ())],
    "LENGTH(name) > education": [("name", Context.FUNCTION, "LENGTH", ()), ("education", Context.COLUMN_COMPARE, ">", ())],
    "CASE WHEN sex = '1' THEN education ELSE 0 END > 3": [("sex", Context.COMPARE, "=", ("1",)), ("education", Context.COLUMN_COMPARE, ">", ())],
    "CASE WHEN sex = '1' THEN CASE WHEN local THEN 1 END ELSE LENGTH(name) END = 1": [
        ("sex", Context.COMPARE, "=", ("1",)), ("local", Context.COMPARE, "=", (True,)), ("name", Context.FUNCTION, "LENGTH", ()),
    ],
    "sex IN (region, '1')": [("sex", Context.COLUMN_COMPARE, "IN", ()), ("region", Context.COLUMN_COMPARE, "IN", ())],
    "TRUE": [], "1 = 1": [],
    "UPPER(LOWER(name)) = 'X'": [("name", Context.FUNCTION, "LOWER", ()), ("name", Context.FUNCTION, "UPPER", ())],
}  # fmt: skip


@pytest.mark.parametrize("condition", WHERE)
def test_condition_is_reported_as_its_uses(condition):
    assert where(condition) == WHERE[condition]


GROUPS = {
    "sex": [("sex", Context.GROUP, "")], "COALESCE(sex, 'x')": [("sex", Context.GROUP, "")], "DATE_TRUNC('month', born)": [("born", Context.GROUP_BUCKET, "month")],
    "EXTRACT(year FROM born)": [("born", Context.GROUP_BUCKET, "year")], "FLOOR(birth_year / 5) * 5": [("birth_year", Context.GROUP_BAND, "5")],
    "birth_year + 1": [("birth_year", Context.GROUP, "")], "UPPER(sex)": [("sex", Context.FUNCTION, "UPPER")], "LENGTH(name) + 1": [("name", Context.FUNCTION, "LENGTH")],
    "CASE WHEN education > 9 THEN sex ELSE 'x' END": [("education", Context.COMPARE, ">"), ("sex", Context.GROUP, "")], "'x'": [],
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_group_is_reported_as_its_uses(group):
    found = uses(f"SELECT COUNT(*) FROM ga.person GROUP BY {group}" if group != "'x'" else "SELECT 'x' AS k, COUNT(*) FROM ga.person GROUP BY k")  # fmt: skip
    assert [use[:3] for use in found] == GROUPS[group]


AGGREGATES = {
    "COUNT(*)": [], "COUNT(sex)": [("sex", Context.NULL_TEST, "IS NULL")], "COUNT(DISTINCT id)": [("id", Context.COUNT_DISTINCT, "")],
    "COUNT(DISTINCT sex)": [("sex", Context.COUNT_DISTINCT, "")],
    "SUM(education)": [("education", Context.SUM, "sum")], "AVG(education + birth_year)": [("education", Context.SUM, "avg"), ("birth_year", Context.SUM, "avg")],
    "SUM(education) FILTER (WHERE sex = '1')": [("sex", Context.COMPARE, "="), ("education", Context.SUM, "sum")],
    "MAX(education)": [("education", Context.AGGREGATE_OTHER, "MAX")], "STRING_AGG(name, ',')": [("name", Context.AGGREGATE_OTHER, "GROUP_CONCAT")],
    "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY education)": [("education", Context.AGGREGATE_OTHER, "PERCENTILE_CONT")],
    "SUM(education * birth_year)": [("education", Context.PRODUCT, "*"), ("birth_year", Context.PRODUCT, "*")],
    "SUM(ABS(education))": [("education", Context.FUNCTION, "ABS")], "SUM(CASE WHEN sex = '1' THEN education END)": [("sex", Context.COMPARE, "="), ("education", Context.SUM, "sum")],
    "COUNT(education + 1)": [("education", Context.NULL_TEST, "IS NULL")], "COUNT(DISTINCT CASE WHEN education > 9 THEN id END)": [("education", Context.COMPARE, ">"), ("id", Context.COUNT_DISTINCT, "")],
}  # fmt: skip


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_aggregate_is_reported_as_its_uses(aggregate):
    found = [use[:3] for use in uses(f"SELECT {aggregate} FROM ga.person")]
    assert found == AGGREGATES[aggregate]


def test_a_use_of_a_unit_column_is_the_use_of_what_it_is_made_of():
    found = uses("SELECT SUM(t), COUNT(*) FILTER (WHERE n >= 3) FROM (SELECT id, SUM(amount) AS t, COUNT(*) AS n FROM ga.income GROUP BY id) u")  # fmt: skip
    assert ("id", Context.UNIT_GROUP, "", (), False) in found
    assert ("amount", Context.SUM, "sum", (), True) in found
    assert ("*", Context.COMPARE, ">=", (3,), True) in found


def test_a_distinct_count_per_unit_is_a_use_of_its_key():
    found = uses("SELECT COUNT(*) FROM (SELECT id, COUNT(DISTINCT firm) AS f FROM ga.income GROUP BY id) u WHERE f > 1")  # fmt: skip
    assert ("firm", Context.COMPARE, ">", (1,), True) in found


def test_units_of_units_are_reported_down_to_their_columns():
    found = uses("SELECT SUM(n) FROM (SELECT id, SUM(t) AS n FROM (SELECT id, year, SUM(steps) AS t FROM ga.income GROUP BY id, year) a GROUP BY id) b")  # fmt: skip
    assert ("steps", Context.SUM, "sum", (), True) in found


def test_a_dimension_of_a_unit_block_made_of_several_columns_reports_each():
    found = uses("SELECT g, COUNT(*) FROM (SELECT id, CASE WHEN year > 2022 THEN kind ELSE 'x' END AS g FROM ga.income GROUP BY 1, 2) u GROUP BY g")  # fmt: skip
    assert {use[0] for use in found} == {"id", "year", "kind"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM ga.person", ("name", Context.OUTPUT, Clause.SELECT)),
        ("SELECT name, COUNT(*) FROM ga.person GROUP BY sex", ("name", Context.OUTPUT, Clause.SELECT)),
        ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex ORDER BY name", ("name", Context.ORDER, Clause.ORDER_BY)),
        ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex HAVING name = 'x'", ("name", Context.OUTPUT, Clause.HAVING)),
        ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex HAVING MAX(name) = 'x'", ("name", Context.AGGREGATE_OTHER, Clause.HAVING)),
        ("SELECT sex, RANK() OVER (ORDER BY name) FROM ga.person GROUP BY sex", ("name", Context.OUTPUT, Clause.WINDOW)),
        ("SELECT id, RANK() OVER (PARTITION BY name ORDER BY id) FROM ga.person", ("name", Context.ORDER, Clause.WINDOW)),
        ("SELECT id FROM ga.person ORDER BY name LIMIT 1", ("name", Context.ORDER, Clause.ORDER_BY)),
        ("SELECT COUNT(*) FROM (SELECT name FROM ga.person) q", ("name", Context.PASS, Clause.SELECT)),
        ("WITH q AS (SELECT name AS s FROM ga.person) SELECT COUNT(*) FROM q", ("name", Context.PASS, Clause.SELECT)),
        ("WITH q AS (SELECT name AS s FROM ga.person) SELECT s, COUNT(*) FROM q GROUP BY s", ("name", Context.GROUP, Clause.GROUP_BY)),
        ("SELECT COUNT(*) FROM ga.person WHERE id IN (SELECT name FROM ga.person)", ("name", Context.PASS, Clause.SUBQUERY)),
        ("SELECT COUNT(*) FROM ga.person p WHERE EXISTS (SELECT 1 FROM ga.income i WHERE i.id = p.name)", ("name", Context.CORRELATED, Clause.WHERE)),
        ("SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON p.name = i.kind", ("name", Context.JOIN_OTHER, Clause.ON)),
        ("SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON p.id = i.id AND p.name = 'x'", ("name", Context.COMPARE, Clause.ON)),
        ("SELECT DISTINCT name FROM ga.person", ("name", Context.GROUP, Clause.GROUP_BY)),
        ("SELECT UPPER(name) FROM ga.person", ("name", Context.FUNCTION, Clause.SELECT)),
        ("SELECT id, name FROM ga.person GROUP BY id", ("name", Context.OUTPUT, Clause.SELECT)),
    ],
)  # fmt: skip
def test_a_column_is_reported_wherever_it_stands(sql, expected):
    assert expected in contexts(sql)


def test_a_use_tells_where_it_stands():
    sql = "SELECT COUNT(*) FROM ga.person AS 人 WHERE 人.education >= 12"
    (use,) = made.bound(sql).facts.uses
    assert sql[use.span.start : use.span.end] == "人.education"
