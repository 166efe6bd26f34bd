"""Is an engine that is kept for the next statement as empty as a new one, and never kept where anything failed?"""

import threading

import duckdb
import pytest

from connectors.engines import Engines


@pytest.fixture
def engines():
    found = Engines(threads=1, memory_mb=64)
    yield found
    found.close()


def tables(connection):
    return connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'secret'"
    ).fetchone()[0]


def fill(connection):
    connection.execute("CREATE SCHEMA s")
    connection.execute("CREATE TABLE s.secret AS SELECT 1 AS a")
    connection.execute("CREATE TEMP TABLE secret AS SELECT 1 AS a")
    connection.execute("CREATE VIEW seen AS SELECT a FROM s.secret")


def known(engine):
    return [engine for _, engine in engine._idle]


def test_nothing_of_one_statement_is_there_for_the_next(engines):
    with engines.empty() as connection:
        fill(connection)
        assert tables(connection) == 2
    (kept,) = known(engines)
    with engines.empty() as connection:
        assert not known(engines), "the engine of before works again"
        assert tables(connection) == 0
        for name in ("s.secret", "secret", "seen"):
            with pytest.raises(duckdb.CatalogException):
                connection.sql(f"SELECT a FROM {name}")
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
    assert known(engines) == [kept]


def test_an_engine_on_which_something_failed_is_not_used_again(engines):
    with pytest.raises(duckdb.ConversionException), engines.empty() as connection:
        connection.sql("SELECT CAST('x' AS INTEGER)").fetchall()
    assert not known(engines)
    with pytest.raises(duckdb.CatalogException), engines.empty() as connection:
        connection.sql("SELECT a FROM nothing")
    assert not known(engines)


@pytest.mark.parametrize(
    "left",
    ["CREATE TABLE t AS SELECT 1 AS a", "CREATE VIEW v AS SELECT 1 AS a", "CREATE SCHEMA s"],
)
def test_an_engine_that_is_not_empty_is_not_used_again(engines, left):
    with engines.empty() as connection:
        connection.execute("COMMIT")
        connection.execute(left)
        connection.execute("BEGIN")
    assert not known(engines)


def test_each_engine_reads_its_own_files_only(engines, tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x\n1\n")
    first, second = (str(tmp_path / name) for name in ("a.csv", "b.csv"))
    for allowed, other in ((first, second), (second, first), (first, second)):
        with engines.empty([allowed]) as connection:
            assert connection.sql(f"SELECT x FROM read_csv('{allowed}')").fetchall() == [(1,)]
        with (
            pytest.raises(duckdb.PermissionException),
            engines.empty([allowed]) as connection,
        ):
            connection.sql(f"SELECT x FROM read_csv('{other}')")


def test_statements_at_one_time_have_an_engine_each(engines):
    met = threading.Barrier(2, timeout=30)
    seen = []

    def work():
        with engines.empty() as connection:
            met.wait()
            fill(connection)
            met.wait()
            seen.append(tables(connection))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert seen == [2, 2]


def test_a_closed_set_keeps_nothing(engines):
    with engines.empty() as connection:
        engines.close()
        assert connection.sql("SELECT 1").fetchall() == [(1,)]
    assert not known(engines)
