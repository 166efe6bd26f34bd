"""What a statement reads is never less than what it reads."""

import duckdb
import pytest

from connectors.reads import reads
from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TableDescription, TypeKind

TABLE = TableDescription(
    (
        *(ColumnDescription(name, TypeKind.TEXT) for name in ("id", "区 域", 'a"b', "Name")),
        ColumnDescription("blob", TypeKind.OTHER),
    )
)


def read(sql):
    with duckdb.connect() as engine:
        return reads(engine, sql)


def columns(sql):
    return [column.name for column in read(sql).columns(TABLE)]


def test_tables_of_joins_and_subqueries_are_found_with_their_schemas():
    sql = 'SELECT 1 FROM "a" AS t JOIN "s p"."b" ON t.x IN (SELECT y FROM "c""d"."e") CROSS JOIN (SELECT z FROM "f") q'
    assert read(sql).tables == {("a",), ("s p", "b"), ('c"d', "e"), ("f",)}


def test_own_with_name_is_optional():
    found = read('WITH w AS (SELECT id FROM "a") SELECT id FROM w')
    assert (found.tables, found.optional) == ({("a",)}, {("w",)})


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ('SELECT "t0"."id" AS u, COUNT(*) FROM "t" AS "t0" GROUP BY 1', ["id"]),
        ('SELECT COUNT(*) AS n FROM "t" WHERE "区 域" = \'x\'', ["区 域"]),
        ('SELECT "a""b" FROM "t" ORDER BY NAME', ['a"b', "Name"]),
        ('SELECT 1 FROM "t" AS p JOIN "t" AS q USING (id)', ["id"]),
        ('SELECT COUNT(*) FROM "t"', ["id"]),
        (
            'SELECT SUM(x) FROM (SELECT CASE WHEN "Name" IS NULL THEN 1 END AS x FROM "t") s',
            ["Name"],
        ),
    ],
)
def test_only_named_columns_are_read_and_at_least_one(sql, found):
    assert columns(sql) == found


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT * FROM "t"', 'SELECT t.* FROM "t"', 'FROM "t"', 'SELECT COUNT(t) FROM "t"', 'SELECT q FROM "t" AS q', "SELECT #1 FROM t",
        'SELECT id FROM "t" NATURAL JOIN "s"', 'SELECT id FROM "t" POSITIONAL JOIN "s"', 'SELECT y FROM "t" AS q(x, y)',
        "SELECT COLUMNS('i.*') FROM t", 'SELECT id FROM "t" WHERE EXISTS (SELECT * FROM "s")', "SELECT MAX(a.id) FROM (SELECT T FROM t) a",
    ],
)  # fmt: skip
def test_forms_that_read_columns_without_naming_them_read_all(sql):
    assert columns(sql) == ["id", "区 域", 'a"b', "Name"]


def test_columns_that_the_engine_cannot_tell_apart_are_refused():
    table = TableDescription(tuple(ColumnDescription(name, TypeKind.TEXT) for name in ("id", "ID")))
    with pytest.raises(ConnectorError) as caught:
        read("SELECT id FROM t").columns(table)
    assert caught.value.kind is ErrorKind.SCHEMA


def test_table_without_an_exact_column_is_refused():
    table = TableDescription((ColumnDescription("blob", TypeKind.OTHER),))
    with pytest.raises(ConnectorError) as caught:
        read("SELECT COUNT(*) FROM t").columns(table)
    assert caught.value.kind is ErrorKind.SCHEMA


def test_what_is_no_plain_select_is_refused():
    with pytest.raises(ConnectorError) as caught:
        read("PIVOT t ON a")
    assert caught.value.kind is ErrorKind.REFUSED
