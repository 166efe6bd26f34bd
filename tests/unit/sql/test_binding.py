"""The release boundary: what is rows, what is units, what is released, and what may never cross."""

import made_world as made
import pytest

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Aggregate,
    AggregateKind,
    Band,
    Boolean,
    Compare,
    Field,
    IsNull,
    JoinKind,
    Literal,
    Not,
    Table,
    UnitBlock,
)


def rules(sql):
    return [violation.rule for violation in made.bound(sql).facts.violations]


def error(sql):
    with pytest.raises(QueryError) as caught:
        made.bound(sql)
    return caught.value.code, caught.value.rule


# --- joins --------------------------------------------------------------------------------------------------------


def test_an_inner_join_moves_its_predicates_to_where():
    rows = made.cell("SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON i.id = p.id AND i.year = 2024 AND p.sex = '1'").rows  # fmt: skip
    (join,) = rows.joins
    assert (join.kind, join.on, join.condition) == (JoinKind.INNER, ((Field("t0", "id"), Field("t1", "id")),), None)  # fmt: skip
    assert rows.where == Boolean("and", (Compare("=", Field("t1", "year"), Literal(2024)), Compare("=", Field("t0", "sex"), Literal("1"))))  # fmt: skip


def test_a_left_join_keeps_its_predicates_on_its_right_side():
    rows = made.cell("SELECT COUNT(*) FROM ga.person p LEFT JOIN (SELECT id, year FROM ga.income WHERE year > 2022) i ON p.id = i.id AND i.year < 2024").rows  # fmt: skip
    (join,) = rows.joins
    assert join.kind is JoinKind.LEFT
    assert join.condition == Boolean("and", (Compare(">", Field("t1", "year"), Literal(2022)), Compare("<", Field("t1", "year"), Literal(2024))))  # fmt: skip
    assert rows.where is None


def test_a_left_join_whose_key_is_missing_is_an_anti_join():
    rows = made.cell("SELECT COUNT(*) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id WHERE i.id IS NULL AND p.local").rows  # fmt: skip
    assert rows.joins[0].kind is JoinKind.ANTI
    assert rows.where == Field("t0", "local")


@pytest.mark.parametrize(
    "where",
    ["i.kind IS NULL", "i.id IS NOT NULL", "i.id IS NULL OR p.local", "i.id IS NULL AND i.year = 1", "p.id IS NULL", "NOT i.id IS NULL"],
)  # fmt: skip
def test_any_other_test_leaves_a_left_join(where):
    rows = made.cell(f"SELECT COUNT(*) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id WHERE {where}").rows  # fmt: skip
    assert rows.joins[0].kind is JoinKind.LEFT
    assert rows.where is not None


def test_an_inner_join_stays_when_its_key_is_tested():
    rows = made.cell("SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON p.id = i.id LEFT JOIN ga.参保 s ON p.id = s.身份证号 WHERE i.id IS NULL").rows  # fmt: skip
    assert [join.kind for join in rows.joins] == [JoinKind.INNER, JoinKind.LEFT]


@pytest.mark.parametrize(
    "join",
    [
        "JOIN ga.income i ON p.sex = i.kind", "JOIN ga.income i ON p.id = i.firm", "JOIN ga.income i ON p.id < i.id", "JOIN ga.income i ON TRUE",
        "JOIN ga.income i ON p.id = p.id", "JOIN ga.income i ON p.id = i.id OR p.sex = '1'", "LEFT JOIN ga.income i ON p.id = i.id AND p.sex = '1'",
        "LEFT JOIN (SELECT a.id FROM ga.income a JOIN ga.参保 b ON a.id = b.身份证号) i ON p.id = i.id", "JOIN ga.income i ON UPPER(p.id) = i.id",
        "JOIN ga.income i ON COALESCE(p.id, '') = i.id", "LEFT JOIN (SELECT id, amount + 1 AS a FROM ga.income) i ON p.id = i.id",
        "JOIN ga.person q ON p.household = q.birth_year",
    ],
)  # fmt: skip
def test_a_join_that_is_no_key_equality_breaks_r10(join):
    assert "R10" in rules(f"SELECT COUNT(*) FROM ga.person p {join}")


@pytest.mark.parametrize(
    "source",
    [
        "ga.person p, ga.income i", "ga.person p CROSS JOIN ga.income i", "ga.person p RIGHT JOIN ga.income i ON p.id = i.id", "ga.person p FULL JOIN ga.income i ON p.id = i.id",
        "ga.person p NATURAL JOIN ga.income i", "ga.person p JOIN ga.income i", "ga.person p JOIN LATERAL (SELECT 1) i ON TRUE", "ga.person p JOIN UNNEST(ARRAY[1]) i ON TRUE",
        "ga.person p JOIN (VALUES (1)) v ON TRUE", "ga.person p JOIN (SELECT COUNT(*) AS n FROM ga.income) c ON c.n = p.birth_year",
        "(SELECT COUNT(*) AS n FROM ga.income) c JOIN ga.person p ON c.n = p.birth_year", "(ga.person p JOIN ga.income i ON p.id = i.id)",
    ],
)  # fmt: skip
def test_other_joins_are_outside_the_subset(source):
    assert error(f"SELECT COUNT(*) FROM {source}")[0] == "Q010"


def test_using_is_the_equality_that_it_means():
    (join,) = made.cell("SELECT COUNT(*) FROM ga.person JOIN ga.income USING (id)").rows.joins
    assert join.on == ((Field("t0", "id"), Field("t1", "id")),)


def test_using_a_name_of_nothing_or_two_things_is_refused():
    assert error("SELECT COUNT(*) FROM ga.person JOIN ga.income USING (nothing)")[0] == "Q020"
    assert error("SELECT COUNT(*) FROM ga.person JOIN ga.income USING (sex)")[0] == "Q020"
    assert error("SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON p.id = i.id JOIN tax.payer USING (id)")[0] == "Q022"  # fmt: skip


# --- rows and units -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT sex FROM ga.person", "R4"), ("SELECT id, COUNT(*) FROM ga.person GROUP BY id", "R4"), ("SELECT sex, COUNT(*) OVER () FROM ga.person", "R7"),
        ("SELECT sex FROM ga.person ORDER BY sex", "R8"), ("SELECT sex FROM ga.person LIMIT 1", "R9"), ("SELECT sex FROM ga.person OFFSET 1", "R9"),
        ("SELECT COUNT(*) FROM (SELECT sex FROM ga.person LIMIT 10) q", "R9"), ("SELECT COUNT(*) FROM (SELECT id FROM ga.person GROUP BY id LIMIT 10) q", "R9"),
        ("SELECT COUNT(*) FROM (SELECT id FROM ga.person GROUP BY id ORDER BY id) q", "R8"), ("SELECT COUNT(*) FROM (SELECT id, RANK() OVER (ORDER BY id) AS r FROM ga.person GROUP BY id) q", "R7"),
        ("SELECT sex FROM ga.person UNION ALL SELECT kind FROM ga.income", "R11"), ("SELECT COUNT(*) FROM ga.person UNION SELECT 1", "R11"), ("SELECT COUNT(*) FROM ga.person INTERSECT SELECT 1", "R11"),
        ("SELECT COUNT(*) FROM ga.person GROUP BY ROLLUP (sex)", "R5"), ("SELECT COUNT(*) FROM ga.person GROUP BY CUBE (sex, region)", "R5"),
        ("SELECT COUNT(*) FROM ga.person GROUP BY GROUPING SETS ((sex), ())", "R5"), ("SELECT COUNT(*) FROM ga.person GROUP BY sex, ROLLUP (region)", "R5"),
        ("SELECT DISTINCT ON (sex) sex, region FROM ga.person", "R3"), ("SELECT COUNT(*) FROM ga.person WHERE id IN (SELECT id FROM ga.income)", "R12"),
        ("SELECT sex, COUNT(*) FROM ga.person p GROUP BY sex HAVING COUNT(*) > (SELECT COUNT(*) FROM ga.income)", "R6"),
        ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex ORDER BY (SELECT COUNT(*) FROM ga.income)", "R8"),
        ("SELECT sex, (SELECT COUNT(*) FROM ga.income i WHERE i.id = p.id) FROM ga.person p GROUP BY sex", "R12"),
        ("SELECT sex, (SELECT amount FROM ga.income) FROM ga.person GROUP BY sex", "R12"), ("SELECT sex, COUNT(*) IN (SELECT 1) FROM ga.person GROUP BY sex", "R12"),
        ("SELECT sex, EXISTS (SELECT COUNT(*) FROM ga.income) FROM ga.person GROUP BY sex", "R12"),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c WHERE n > (SELECT COUNT(*) FROM ga.income)", "R12"),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c WHERE n IN (SELECT COUNT(*) FROM ga.income)", "R12"),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c WHERE EXISTS (SELECT COUNT(*) FROM ga.income)", "R12"),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c ORDER BY (SELECT COUNT(*) FROM ga.income)", "R8"),
        ("SELECT n, (SELECT id FROM ga.income) FROM (SELECT COUNT(*) AS n FROM ga.person) c", "R12"),
        ("SELECT n, (SELECT COUNT(*) FROM ga.income i WHERE i.year = c.n) FROM (SELECT COUNT(*) AS n FROM ga.person) c", "R12"),
        ("SELECT n, (SELECT m FROM (SELECT COUNT(*) AS m FROM ga.income) d WHERE m = c.n) FROM (SELECT COUNT(*) AS n FROM ga.person) c", "R12"),
        ("SELECT no_such(COUNT(*)) FROM ga.person", "R0"), ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex HAVING no_such(COUNT(*))", "R0"),
        ("SELECT PG_SLEEP(10)", "R0"), ("SELECT ARRAY[COUNT(*)] FROM ga.person", "R0"), ("SELECT MODE(n) FROM (SELECT COUNT(*) AS n FROM ga.person) c", "R3"), ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c ORDER BY MODE(n)", "R8"),
        ("SELECT sex, RANK() OVER (ORDER BY education) FROM ga.person GROUP BY sex", "R7"),
    ],
)  # fmt: skip
def test_a_form_that_no_policy_permits_is_a_violation(sql, expected):
    assert expected in rules(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM ga.person", "SELECT p.* FROM ga.person p", "SELECT COUNT(p.*) FROM ga.person p", "SELECT * FROM (SELECT COUNT(*) AS n FROM ga.person) c",
        "SELECT c.* FROM (SELECT COUNT(*) AS n FROM ga.person) c", "SELECT *, COUNT(*) FROM ga.person GROUP BY sex", "SELECT p FROM ga.person p", "SELECT (p).id FROM ga.person p",
        "SELECT COUNT(*) FROM ga.person TABLESAMPLE SYSTEM (10)", "SELECT COUNT(*) FROM ONLY ga.person", "SELECT COUNT(*) FROM ga.person FOR UPDATE",
        "SELECT COUNT(*) FROM ga.person QUALIFY TRUE", "SELECT sex, RANK() OVER w FROM ga.person GROUP BY sex WINDOW w AS (ORDER BY sex)",
        "SELECT COUNT(*) INTO x FROM ga.person", "SELECT sex, COUNT(*) FROM ga.person GROUP BY 3", "SELECT sex, COUNT(*) FROM ga.person GROUP BY 0", "SELECT sex, COUNT(*) FROM ga.person GROUP BY 'a'",
        "SELECT sex, COUNT(*) FROM ga.person GROUP BY sex ORDER BY 9", "SELECT sex, COUNT(*) FROM ga.person GROUP BY sex LIMIT ALL", "SELECT sex, COUNT(*) FROM ga.person GROUP BY sex LIMIT 1 + 1",
        "SELECT sex, COUNT(*) FROM ga.person GROUP BY sex FETCH FIRST 2 ROWS WITH TIES", "SELECT sex, COUNT(*) FROM ga.person GROUP BY sex LIMIT (SELECT 1)",
        "SELECT COUNT(*) FROM ga.person UNION ALL SELECT 1, 2", "SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c HAVING n > 1",
        "SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c GROUP BY ROLLUP (n)", "SELECT DISTINCT ON (n) n FROM (SELECT COUNT(*) AS n FROM ga.person) c",
        "SELECT a.n FROM (SELECT COUNT(*) AS n FROM ga.person) a NATURAL JOIN (SELECT COUNT(*) AS n FROM ga.income) b", "SELECT COUNT(*)::json FROM ga.person",
        "SELECT COUNT(*) FROM (SELECT sex FROM ga.person) TABLESAMPLE SYSTEM (1)", "SELECT COUNT(*) AS __mark_n FROM ga.person", "SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY n + 1 || ga",
        "SELECT CAST(COUNT(*) AS xml) FROM ga.person", "SELECT COUNT(*) FROM (TABLE ga.person) t", "WITH x AS (DELETE FROM ga.person RETURNING *) SELECT 1",
    ],
)  # fmt: skip
def test_other_forms_are_outside_the_subset(sql):
    assert error(sql)[0] in ("Q001", "Q010", "Q020")


def test_two_columns_of_one_name_are_refused_below_the_boundary():
    assert error("SELECT COUNT(*) FROM (SELECT id AS a, sex AS a FROM ga.person) q")[0] == "Q022"
    assert error("SELECT COUNT(*) FROM (SELECT id AS a, COUNT(*) AS a FROM ga.person GROUP BY id) q")[0] == "Q022"  # fmt: skip


def test_a_group_by_a_key_is_a_block_of_units():
    first = made.cell("SELECT AVG(n) FROM (SELECT id, COUNT(*) AS n FROM ga.income GROUP BY id HAVING SUM(amount) > 100 AND COUNT(*) >= 3) u").rows.first  # fmt: skip
    assert isinstance(first, UnitBlock)
    assert first.keys == (Field("t0", "id"),)
    key, count, total = first.columns
    assert key.content == Field("t0", "id")
    assert [count.content.kind, total.content.kind] == [AggregateKind.COUNT, AggregateKind.SUM]
    assert first.having == Boolean("and", (Compare(">", Field("t1", total.name), Literal(100)), Compare(">=", Field("t1", count.name), Literal(3))))  # fmt: skip


def test_a_key_that_is_not_shown_is_kept_for_counting():
    first = made.cell("SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM ga.income GROUP BY id) u").rows.first  # fmt: skip
    assert Field("t0", "id") in [column.content for column in first.columns]


@pytest.mark.parametrize(
    "units",
    [
        "SELECT id FROM ga.income GROUP BY id HAVING year > 2000", "SELECT id, SUM(amount) / COUNT(*) AS r FROM ga.income GROUP BY id", "SELECT id, MAX(amount) AS a FROM ga.income GROUP BY id", "SELECT id, kind FROM ga.income GROUP BY id",
    ],
)  # fmt: skip
def test_units_are_made_of_keys_groups_and_plain_aggregates(units):
    columns = "COUNT(*)" if " AS " not in units else f"SUM({units.split(' AS ')[1][0]})"
    try:
        assert not made.decided(f"SELECT {columns} FROM ({units}) u").permit
    except QueryError as found:
        assert found.code in ("Q010", "Q023", "Q031")  # noqa: PT017 - either refusal will do


def test_two_references_to_a_cte_have_their_own_relations():
    rows = made.cell("WITH i AS (SELECT id, year FROM ga.income) SELECT COUNT(*) FROM i a JOIN i b ON a.id = b.id WHERE b.year = 2024").rows  # fmt: skip
    assert isinstance(rows.first, Table)
    assert rows.first.alias != rows.joins[0].relation.alias
    assert rows.where == Compare("=", Field(rows.joins[0].relation.alias, "year"), Literal(2024))


def test_two_references_to_a_cte_of_units_have_their_own_blocks():
    rows = made.cell("WITH u AS (SELECT id, SUM(steps) AS s FROM ga.income GROUP BY id) SELECT COUNT(*), SUM(b.s) FROM u a JOIN u b ON a.id = b.id").rows  # fmt: skip
    assert {rows.first.alias, rows.joins[0].relation.alias}.isdisjoint(
        {rows.first.rows.first.alias}
    )
    assert rows.first.rows.first.alias != rows.joins[0].relation.rows.first.alias


# --- groups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "group",
    ["FLOOR(birth_year / 10) * 10", "1", "decade", "(1)", "DECADE"],
)
def test_a_group_is_meant_by_expression_ordinal_or_alias(group):
    found = made.cell(f"SELECT FLOOR(birth_year / 10) * 10 AS decade, COUNT(*) FROM ga.person GROUP BY {group}")  # fmt: skip
    assert [item.expression for item in found.dimensions] == [Band(10, Field("t0", "birth_year"))]


def test_a_column_wins_over_an_alias_of_its_name():
    query = made.bound("SELECT region AS sex, COUNT(*) FROM ga.person GROUP BY sex")
    assert [item.expression for item in query.cells[0].dimensions] == [Field("t0", "sex")]


def test_an_alias_of_nothing_is_an_unknown_column():
    assert error("SELECT sex AS s, COUNT(*) FROM ga.person GROUP BY nothing")[0] == "Q020"


def test_a_bare_list_of_labels_is_counted_and_told():
    query = made.bound("SELECT DISTINCT sex, region FROM ga.person")
    assert query.label_only == ("cells_0",)
    assert [aggregate.kind for aggregate in query.cells[0].aggregates] == [AggregateKind.COUNT]
    assert len(query.cells[0].dimensions) == 2


def test_an_aggregate_asked_twice_is_computed_once():
    found = made.cell("SELECT SUM(education), SUM(education) + COUNT(*), COUNT(*) FROM ga.person ORDER BY SUM(education)")  # fmt: skip
    assert [aggregate.kind for aggregate in found.aggregates] == [AggregateKind.SUM, AggregateKind.COUNT]  # fmt: skip


def test_the_widest_block_and_all_joins_are_counted():
    facts = made.bound("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex UNION ALL SELECT region, COUNT(*) FROM ga.person GROUP BY region, sex, birth_year").facts  # fmt: skip
    assert facts.group_columns_max == 3
    facts = made.bound("SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON p.id = i.id JOIN ga.参保 s ON s.身份证号 = p.id").facts  # fmt: skip
    assert (facts.joins, facts.datasets) == (2, ("ga.income", "ga.person", "ga.参保"))


def test_a_having_for_small_cells_is_reported_with_its_bound():
    def bounds(having):
        facts = made.bound(f"SELECT sex FROM ga.person GROUP BY sex HAVING {having}").facts
        return [use.literals for use in facts.uses if use.context.value == "small_cells"]

    assert bounds("COUNT(*) = 1") == [(1,)]
    assert bounds("COUNT(*) < 5") == [(4,)]
    assert bounds("COUNT(*) <= 5 AND (COUNT(DISTINCT id)) = 2") == [(5,), (2,)]
    assert bounds("COUNT(*) > 5") == []


def test_output_names_are_postgresqls():
    query = made.bound('SELECT sex, COUNT(*), SUM(education) FILTER (WHERE local), RANK() OVER (ORDER BY sex), CASE WHEN TRUE THEN 1 END, 1 + 1, "region" AS "R", sex FROM ga.person GROUP BY sex, region')  # fmt: skip
    assert query.outputs == ("sex", "count", "sum", "rank", "case", "column", "R", "sex_2")


def test_an_unpermitted_statement_still_has_no_fragment_of_its_rows():
    query = made.bound("SELECT name FROM ga.person")
    assert query.cells == ()
    assert "name" not in query.post.sql()


def test_content_of_units_is_dimension_or_aggregate():
    first = made.cell("SELECT COUNT(*) FROM (SELECT id, year, 1 AS one, COUNT(*) AS n FROM ga.income GROUP BY id, year) u").rows.first  # fmt: skip
    key, year, one, count = (column.content for column in first.columns)
    assert (key, year, one) == (Field("t0", "id"), Field("t0", "year"), Literal(1))
    assert isinstance(count, Aggregate)


def test_a_missing_test_is_negated_where_it_says_so():
    assert made.cell("SELECT COUNT(*) FROM ga.person WHERE local IS NOT NULL").rows.where == Not(IsNull(Field("t0", "local")))  # fmt: skip
