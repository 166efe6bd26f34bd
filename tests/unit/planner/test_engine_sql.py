"""What is written for engines that mean something else: types, places, names."""

from decimal import Decimal

import made_world as made
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames, PhysicalTable
from middleplatform.planner.evidence import (
    distinct_statement,
    evidence_statement,
    rows_statement,
    totals_statement,
    units_statement,
)
from middleplatform.planner.layout import layout_of

DIALECTS = ["duckdb", "postgres", "spark"]
JOINED = "SELECT p.region, SUM(i.amount), COUNT(DISTINCT i.firm) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id AND i.year = 2024 GROUP BY 1"  # fmt: skip
THERE = PhysicalNames.of(
    {
        "ga.person": PhysicalTable(("内网", "rk.xx"), (("id", "sfzh"), ("region", 'q"h'))),
        "ga.income": PhysicalTable(("hive", "db", "sr"), (("id", "身份证"), ("amount", "je"))),
    }
)


def statements(sql, dialect, names=AS_REGISTERED):
    block = made.cell(sql)
    layout = layout_of(block, made.CATALOG)
    found = [make(block, layout, dialect, names) for make in (evidence_statement, units_statement, totals_statement)]  # fmt: skip
    return found + [distinct_statement(block, word, layout, dialect, names) for word in (*layout.keys, *layout.others)]  # fmt: skip


def labels(sql):
    return [str(kind.kind) + (f" {kind.scale}" if kind.scale else "") for kind in layout_of(made.cell(sql), made.CATALOG).labels]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("region", "text"), ("local", "boolean"), ("born", "date"), ("birth_year", "integer"), ("DATE_TRUNC('month', born)", "date"),
        ("EXTRACT(year FROM born)", "integer"), ("FLOOR(birth_year / 10) * 10", "integer"), ("COALESCE(region, '不详')", "text"),
        ("birth_year * 2 + 1", "integer"),
        ("CASE WHEN sex = '1' THEN NULL ELSE '女' END", "text"), ("CASE WHEN sex = '1' THEN 0 ELSE 1.50 END", "decimal 2"),
    ],
)  # fmt: skip
def test_the_type_of_a_label_follows_from_the_catalogue(label, kind):
    assert labels(f"SELECT {label} AS l, COUNT(*) FROM ga.person GROUP BY 1") == [kind]


@pytest.mark.parametrize(
    ("call", "kind"),
    [("COUNT(*)", "integer"), ("SUM(steps)", "decimal"), ("SUM(amount / 4)", "decimal 4"), ("AVG(steps)", "decimal 6"), ("STDDEV_POP(amount)", "decimal 6")],
)  # fmt: skip
def test_the_type_of_a_label_per_unit_follows_from_its_aggregate(call, kind):
    assert labels(f"SELECT v, COUNT(*) FROM (SELECT id, {call} AS v FROM ga.income GROUP BY id) u GROUP BY v") == [kind]  # fmt: skip


def test_more_places_than_are_exact_are_refused_at_planning():
    with pytest.raises(QueryError) as caught:
        layout_of(made.cell("SELECT VAR_POP(t) FROM (SELECT id, SUM(amount * 0.00000000000000001) AS t FROM ga.income GROUP BY id) u"), made.CATALOG)  # fmt: skip
    assert caught.value.code == "Q031"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_statement_names_the_source_and_nothing_of_the_catalogue_that_is_not_there(dialect):
    for statement, plain in zip(statements(JOINED, dialect, THERE), statements(JOINED, dialect), strict=True):  # fmt: skip
        tree = sqlglot.parse_one(statement.sql, read=dialect)
        tables = {tuple(part.name for part in table.parts) for table in tree.find_all(exp.Table)}
        assert tables == {("内网", "rk.xx"), ("hive", "db", "sr")}
        assert '"person"' not in statement.sql
        assert (statement.tree, statement.result) == (plain.tree, plain.result)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_the_columns_that_are_needed_are_named(dialect):
    text = evidence_statement(block := made.cell(JOINED), layout_of(block, made.CATALOG), dialect, THERE).sql  # fmt: skip
    assert "je" in text
    assert "steps" not in text
    assert "born" not in text


def test_rows_are_a_plain_projection_in_the_order_asked_for():
    statement = rows_statement("ga.income", ("amount", "id"), made.CATALOG, "duckdb", THERE)
    assert statement.kind == "rows"
    assert statement.result == pa.schema([("amount", pa.decimal128(38, 2)), ("id", pa.string())])
    assert statement.sql == (
        'SELECT "t0"."amount" AS "amount", "t0"."id" AS "id" FROM '
        '(SELECT "je" AS "amount", "身份证" AS "id" FROM "hive"."db"."sr") AS "t0"'
    )


def test_postgres_compares_every_text_by_bytes():
    for statement in statements(JOINED, "postgres"):
        tree = sqlglot.parse_one(statement.sql, read="postgres")
        for table in tree.find_all(exp.Table):
            inner = table.parent_select
            read = [column for column in inner.find_all(exp.Column) if column.parent_select is inner]  # fmt: skip
            collated = {column.name for column in read if column.find_ancestor(exp.Collate)}
            assert collated >= {column.name for column in read} & {"id", "region", "firm", "kind"}


@pytest.mark.parametrize("dialect", ["postgres", "spark"])
def test_no_total_is_cast_where_that_could_round_and_lists_of_the_engine_are_not_used(dialect):
    for statement in statements("SELECT region, SUM(education) FROM ga.person GROUP BY region", dialect):  # fmt: skip
        assert "LIST" not in statement.sql.upper()
        if dialect == "postgres":
            assert "DECIMAL(" not in statement.sql


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_mean_is_computed_in_floating_point(dialect):
    sql = "SELECT SUM(a) FROM (SELECT id, AVG(amount) AS a FROM ga.income GROUP BY id) u"
    for statement in statements(sql, dialect):
        assert "AVG" not in statement.sql
        assert "DOUBLE" not in statement.sql


def test_values_of_one_expression_keep_all_their_places(world):
    """The engine's own choice for a wide decimal and a narrow one of more places drops places."""
    sql = "SELECT SUM(a) FROM (SELECT id, SUM(CASE WHEN kind = '工资' THEN amount * 2 WHEN steps > 0 THEN 0.0625 ELSE amount / 8 END) AS a FROM ga.income GROUP BY id) u"  # fmt: skip
    block = made.cell(sql)
    table = world.source.measure(block, layout_of(block, made.CATALOG)).table
    rows = [(row[3], row[4], row[5]) for row in world.rows["income"]]
    expected = [
        None if kind != "工资" and not (steps is not None and steps > 0) and amount is None
        else None if kind == "工资" and amount is None
        else amount * 2 if kind == "工资"
        else Decimal("0.0625") if steps is not None and steps > 0
        else amount / 8
        for kind, amount, steps in rows
    ]  # fmt: skip
    assert table["sum_0"].to_pylist() == [sum(item for item in expected if item is not None)]
