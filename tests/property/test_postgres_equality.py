"""Random permitted questions, pushed down: a department on PostgreSQL returns the same cells as one on DuckDB."""

import duckdb
import pooled_world as world
import pytest
from hypothesis import given
from postgres_server import READER, SCHEMA, running_server
from strategies import blocks, examples

from connectors.conformance import compare
from connectors.duckdb import DuckDBConnector
from connectors.postgres import PostgresConnector
from connectors.spi import ExecutionLimits
from middleplatform.catalog import loader
from middleplatform.model.policy import Limits
from middleplatform.planner.evidence import (
    distinct_statement,
    evidence_statement,
    totals_statement,
    units_statement,
)
from middleplatform.planner.layout import layout_of
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

LIMITS = ExecutionLimits(60, 1_000_000, 256)


@pytest.fixture(scope="module")
def tables():
    rows = world.rows()
    return {
        name.split(".")[1]: world.arrow(name, [row for own in rows.values() for row in own.get(name.split(".")[1], ())])
        for name in world.COLUMNS
    }  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder, _ = world.write_rules(tmp_path_factory.mktemp("rules"), world.EXACT)
    return loader.load(folder)


@pytest.fixture(scope="module")
def both(tables, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "all.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name, table in tables.items():
            connection.register("arrow", table)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arrow')
            connection.unregister("arrow")
    with running_server() as server:
        server.load(tables)
        where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": READER}
        found = DuckDBConnector(path, threads=1), PostgresConnector(**where, schema=SCHEMA)
        yield found
        for connector in found:
            connector.close()


def statements(cell, layout, dialect):
    """Yield every statement that a node would run for a cell query."""
    yield evidence_statement(cell, layout, dialect)
    for word in (*layout.keys, *layout.others):
        yield distinct_statement(cell, word, layout, dialect)
    if layout.sums:
        yield totals_statement(cell, layout, dialect)
    yield units_statement(cell, layout, dialect)


@examples(150)
@given(block=blocks())
def test_postgres_and_duckdb_return_the_same_cells(both, catalog, block):
    embedded, server = both
    for cell in qualify(parse(block.sql, Limits()), catalog).cells:
        layout = layout_of(cell, catalog)
        pairs = zip(
            statements(cell, layout, "duckdb"), statements(cell, layout, "postgres"), strict=True
        )
        for plain, pushed in pairs:
            expected = embedded.execute(plain, LIMITS)
            assert compare(server.execute(pushed, LIMITS), expected) == "", block.sql
