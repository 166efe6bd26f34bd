"""PostgreSQL answers every statement of the planner as the reference does, also over tables that nobody thought of."""

import pyarrow as pa
import pytest
import small_world
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import READER, SCHEMA, running_server
from test_random_tables import LIMITS, _rows

from connectors.conformance import cases, check, compare
from connectors.memory import MemoryConnector
from connectors.postgres import PostgresConnector
from connectors.spi import Statement


@pytest.fixture(scope="module")
def server():
    with running_server() as started:
        yield started


@pytest.fixture(scope="module")
def opened(server):
    """Return what opens the department's schema as it is now."""
    where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": READER}
    return lambda: PostgresConnector(**where, schema=SCHEMA)


@pytest.fixture(scope="module")
def factory(server, opened):
    """Return what makes a connector over a schema that holds exactly some tables."""

    def make(tables):
        server.load(tables)
        return opened()

    return make


def test_postgres_passes_every_check(factory):
    found = check(factory)
    assert [f"{outcome.name}: {outcome.problem}" for outcome in found if outcome.problem] == []


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=_rows,
    chosen=st.lists(
        st.sampled_from(cases()), min_size=20, max_size=20, unique_by=lambda case: case.name
    ),
)
def test_postgres_and_the_reference_agree_on_random_tables(factory, rows, chosen):
    tables = small_world.tables(rows)
    real, reference = factory(tables), MemoryConnector(tables)
    for case in chosen:
        found = real.execute(case.statement("postgres"), LIMITS)
        expected = reference.execute(case.statement(""), LIMITS)
        assert compare(found, expected) == "", case.name
    real.close()


def test_the_same_rows_in_other_types_of_the_server_give_the_same_answers(server, opened):
    """Small whole numbers, padded and limited text, domains, a view, a partitioned table, parallel workers."""
    tables = small_world.tables(small_world.DATA["usual"])
    server.load(tables)
    server.run(
        f"SET search_path = {SCHEMA}; CREATE DOMAIN money2 AS numeric(18, 2);"
        "ALTER TABLE person ALTER region TYPE char(20), ALTER sex TYPE varchar(1), ALTER age TYPE smallint, ALTER household TYPE int;"
        "ALTER TABLE income RENAME TO income_rows; ALTER TABLE income_rows ALTER amount TYPE money2;"
        "CREATE VIEW income AS SELECT * FROM income_rows;"
        'ALTER TABLE "参保" RENAME TO insured; CREATE TABLE "参保" (LIKE insured) PARTITION BY HASH ("身份证号");'
        'CREATE TABLE insured_0 PARTITION OF "参保" FOR VALUES WITH (MODULUS 2, REMAINDER 0);'
        'CREATE TABLE insured_1 PARTITION OF "参保" FOR VALUES WITH (MODULUS 2, REMAINDER 1);'
        f'INSERT INTO "参保" SELECT * FROM insured; GRANT SELECT ON income, "参保" TO {READER}'
    )
    connector, reference = opened(), MemoryConnector(tables)
    for case in cases():
        found = connector.execute(case.statement("postgres"), LIMITS)
        assert compare(found, reference.execute(case.statement(""), LIMITS)) == "", case.name
    connector.close()


def test_a_collation_of_the_departments_own_changes_no_answer(server, opened):
    server.load({"t": pa.table({"x": ["a", "B", "东", "É", "e"]})})
    server.run(f'ALTER TABLE {SCHEMA}.t ALTER x TYPE text COLLATE "und-x-icu"')
    connector = opened()
    sql = (
        "SELECT x AS d0 FROM (SELECT CAST(x AS TEXT) COLLATE \"C\" AS x FROM t) AS t WHERE x > 'a'"
    )
    result = pa.schema([("d0", pa.string())])
    found = connector.execute(Statement("rows", sql, {}, result), LIMITS)
    assert sorted(found["d0"].to_pylist()) == sorted(x for x in ("B", "东", "É", "e") if x > "a")
    connector.close()
