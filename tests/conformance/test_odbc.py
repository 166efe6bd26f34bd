"""Any ODBC source, shown on two drivers: what a driver changes is noticed, what it says stays inside."""

import sqlite3
import sys
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.conformance import check
from connectors.odbc import OdbcConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement, TypeKind

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

from postgres_server import READER, SCHEMA, running_server

LIMITS = ExecutionLimits(timeout_s=30, rows_max=100_000, memory_mb=16)
_DECLARED = {"int64": "BIGINT", "string": "TEXT", "date32[day]": "DATE", "bool": "BOOLEAN"}


def write_sqlite(path, tables):
    """Write tables; decimals as text, which the driver hands over as it is."""
    types = {}
    with sqlite3.connect(path) as connection:
        for name, table in tables.items():
            words = []
            for field in table.schema:
                words.append(_DECLARED.get(str(field.type), "TEXT"))
                if pa.types.is_decimal(field.type):
                    kind = f"decimal({field.type.precision},{field.type.scale})"
                    types[f"{name}.{field.name}"] = kind
            columns = ", ".join(
                f'"{field.name}" {word}' for field, word in zip(table.schema, words, strict=True)
            )
            connection.execute(f'CREATE TABLE "{name}" ({columns})')
            rows = zip(*(map(_plain, column.to_pylist()) for column in table.columns), strict=True)
            places = ", ".join("?" * len(words))
            connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', rows)
    connection.close()
    return types


def _plain(value):
    return str(value) if isinstance(value, Decimal | date) else value


def sqlite_source(path, tables, types=None, **options):
    parts = f"Driver=SQLite3;Database={path};NoCreat=1;Timeout=200"
    options = {"threads": 1, "memory_mb": 256, **options}
    return OdbcConnector(parts, tables, types or {}, **options)


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        running.run(f"ALTER ROLE {READER} SET search_path TO {SCHEMA}")
        yield running


def postgres_source(server, tables, **options):
    parts = (
        f"Driver=PostgreSQL Unicode;Server=127.0.0.1;Port={server.port};Database=postgres;ReadOnly=1;"
        "BoolsAsChar=0"
    )
    options = {"user": READER, "threads": 1, "memory_mb": 256, **options}
    return OdbcConnector(parts, tables, casts={"date": "CAST({} AS VARCHAR(32))"}, **options)


def problems(factory, every=1):
    return [f"{item.name}: {item.problem}" for item in check(factory, every=every) if item.problem]


def test_sqlite_behind_odbc_passes_every_check(tmp_path):
    made = []

    def factory(tables):
        made.append(tmp_path / f"{len(made)}.sqlite")
        types = write_sqlite(made[-1], tables)
        return sqlite_source(made[-1], list(tables), types)

    assert problems(factory) == []


def test_postgres_behind_odbc_passes_the_checks_with_a_third_of_the_cases(server):
    """The connector has passed them all with the driver above: what differs is how this one hands values over."""

    def factory(tables):
        server.load(tables)
        return postgres_source(server, list(tables))

    assert problems(factory, every=3) == []


# --- by hand ----------------------------------------------------------------------------------------------------------

COUNT = pa.schema([("n", pa.int64())])


def run(connector, sql, schema=COUNT, limits=LIMITS):
    return connector.execute(Statement("rows", sql, {}, schema), limits).to_pylist()


def kind_of(action):
    return error_of(action).kind


def error_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


@pytest.fixture
def file(tmp_path):
    """Return a function that makes an SQLite file by a script, and gives a connector for it."""

    def make(script, tables=("t",), types=None, **options):
        path = tmp_path / "s.sqlite"
        with sqlite3.connect(path) as connection:
            connection.executescript(script)
        connection.close()
        return sqlite_source(path, list(tables), types, **options)

    return make


def test_number_that_the_driver_would_cut_is_failed(file):
    # Asked for numbers, this driver hands over 0: it announces 32 bits for INTEGER.
    connector = file(f"CREATE TABLE t (n INTEGER); INSERT INTO t VALUES ({2**62});")
    assert kind_of(lambda: run(connector, "SELECT n FROM t")) is ErrorKind.FAILED
    connector = file(f"DROP TABLE t; CREATE TABLE t (n BIGINT); INSERT INTO t VALUES ({2**62});")
    assert run(connector, "SELECT n FROM t") == [{"n": 2**62}]


def test_text_longer_than_allowed_is_failed_and_never_cut(file):
    script = "CREATE TABLE t (n TEXT); INSERT INTO t VALUES (hex(zeroblob(5000)));"
    assert kind_of(lambda: run(file(script), "SELECT LENGTH(n) AS n FROM t")) is ErrorKind.FAILED
    assert run(file("SELECT 1", text_max=10_000), "SELECT LENGTH(n) AS n FROM t") == [{"n": 10_000}]


def test_floating_column_is_schema_whatever_is_declared(file):
    script = "CREATE TABLE t (n REAL, m INTEGER); INSERT INTO t VALUES (1.5, 1);"
    for types in ({}, {"t.n": "decimal(18,2)"}):
        connector = file(script, types=types)
        assert connector.describe()["t"].columns[0].kind is TypeKind.OTHER
        assert kind_of(lambda source=connector: run(source, "SELECT n FROM t")) is ErrorKind.SCHEMA
        script = "SELECT 1"


def test_value_that_is_not_of_the_declared_type_is_failed(file):
    connector = file(
        "CREATE TABLE t (n TEXT); INSERT INTO t VALUES ('1,5');", types={"t.n": "decimal(18,2)"}
    )
    assert kind_of(lambda: run(connector, "SELECT COUNT(n) AS n FROM t")) is ErrorKind.FAILED


def test_tables_that_are_not_named_are_not_there(file):
    connector = file("CREATE TABLE t (n INTEGER); CREATE TABLE u (n INTEGER);")
    assert set(connector.describe()) == {"t"}
    assert kind_of(lambda: run(connector, "SELECT n FROM u")) is ErrorKind.SCHEMA


def test_table_or_column_that_goes_away_is_schema(file):
    connector = file("CREATE TABLE t (n INTEGER);")
    assert run(connector, "SELECT n FROM t") == []
    file("ALTER TABLE t RENAME COLUMN n TO n_old;")
    assert kind_of(lambda: run(connector, "SELECT n FROM t")) is ErrorKind.SCHEMA
    file("DROP TABLE t;")
    assert kind_of(lambda: run(connector, "SELECT n FROM t")) is ErrorKind.SCHEMA
    assert kind_of(connector.describe) is not ErrorKind.MISSING


@pytest.mark.parametrize(
    ("quote", "table", "column"),
    [('"', "t;--", 'x" FROM t'), ("`", "表 1", "x y"), ("[]", "表 1", "x y")],
)
def test_names_are_quoted_as_the_source_wants_it(file, quote, table, column):
    inner = column.replace('"', '""')
    script = f'CREATE TABLE "{table}" ("{inner}" INTEGER); INSERT INTO "{table}" VALUES (7);'
    connector = file(script, (table,), quote=quote)
    assert run(connector, f'SELECT "{inner}" AS n FROM "{table}"') == [{"n": 7}]


def test_writer_of_the_source_makes_it_locked(file, tmp_path):
    connector = file("CREATE TABLE t (n INTEGER);")
    with sqlite3.connect(tmp_path / "s.sqlite", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert kind_of(connector.describe) is ErrorKind.LOCKED
    holder.close()


# --- reaching a source --------------------------------------------------------------------------------------------


def test_driver_that_is_not_installed_is_missing():
    connector = OdbcConnector("Driver=No Such Driver", ["t"])
    assert kind_of(connector.describe) is ErrorKind.MISSING
    assert kind_of(OdbcConnector("DSN=no-such-source", ["t"]).describe) is ErrorKind.MISSING


def test_server_that_is_not_there_is_unreachable_and_the_password_is_not_told(
    tmp_path, monkeypatch
):
    source = "Driver=PostgreSQL Unicode;Server=127.0.0.1;Port=1;Database=postgres"
    (tmp_path / "word").write_text("pass-0f-file;}{\n")
    (tmp_path / "word").chmod(0o600)
    monkeypatch.setenv("ARCHIVE_WORD", "pass-0f-variable")
    for word in ({"password_file": tmp_path / "word"}, {"password_env": "ARCHIVE_WORD"}):
        connector = OdbcConnector(source, ["t"], user="reader", **word)
        error = error_of(connector.describe)
        assert error.kind is ErrorKind.UNREACHABLE
        assert "pass-0f" not in error.detail
        assert "pass-0f" not in str(vars(connector))


def test_wrong_role_is_unreachable(server):
    assert kind_of(postgres_source(server, ["t"], user="nobody").describe) is ErrorKind.UNREACHABLE


@pytest.mark.parametrize(
    "options",
    [
        {"connection": "Driver=X;UID=reader"}, {"connection": "Driver=X; PWD = x"}, {"connection": "password=x"}, {"tables": []}, {"quote": "'"},
        {"casts": {"date": "TO_CHAR(x)"}}, {"casts": {"date": "{}; DROP TABLE t"}}, {"casts": {"day": "F({})"}}, {"password_env": "A", "password_file": "b"},
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(options):
    options = {"connection": "Driver=X", "tables": ["t"], **options}
    assert kind_of(lambda: OdbcConnector(**options)) is ErrorKind.REFUSED


def test_password_that_others_can_read_is_refused(tmp_path):
    (tmp_path / "word").write_text("x")
    (tmp_path / "word").chmod(0o644)
    for word in (
        {"password_file": tmp_path / "word"},
        {"password_file": tmp_path / "none"},
        {"password_env": "NOT_SET_AT_ALL"},
    ):
        assert kind_of(OdbcConnector("Driver=SQLite3", ["t"], **word).describe) is ErrorKind.REFUSED


# --- PostgreSQL behind ODBC ---------------------------------------------------------------------------------------


@pytest.fixture
def sources(server):
    """Return a function that makes tables by statements, and gives a connector for them."""

    def make(*statements, tables=("t",), **options):
        server.run(
            f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
            f"CREATE SCHEMA {SCHEMA}",
            f"SET search_path TO {SCHEMA}; {'; '.join(statements)}",
        )
        server.run(
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {READER}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {READER}",
        )
        return postgres_source(server, list(tables), **options)

    return make


def test_date_that_the_driver_would_change_is_failed(sources):
    # The driver hands 'infinity' over as the day of the query, and a year before Christ as one after.
    for day in ("infinity", "0044-03-15 BC"):
        connector = sources("CREATE TABLE t (d date)", f"INSERT INTO t VALUES ('{day}')")
        assert (
            kind_of(lambda source=connector: run(source, "SELECT COUNT(d) AS n FROM t"))
            is ErrorKind.FAILED
        )


def test_schema_and_table_are_one_name_with_a_point(sources):
    connector = sources(
        "CREATE TABLE t (n bigint)", "INSERT INTO t VALUES (5)", tables=(f"{SCHEMA}.t",)
    )
    assert set(connector.describe()) == {f"{SCHEMA}.t"}
    assert run(connector, f'SELECT "a"."n" FROM "{SCHEMA}"."t" AS "a"') == [{"n": 5}]


def test_many_rows_come_whole(sources):
    connector = sources(
        "CREATE TABLE t AS SELECT g AS n, 'P' || g AS id FROM generate_series(1, 50000) g"
    )
    assert run(connector, "SELECT COUNT(DISTINCT id) AS n FROM t") == [{"n": 50_000}]
    assert run(connector, "SELECT CAST(SUM(n) AS BIGINT) AS n FROM t") == [
        {"n": 50_000 * 50_001 // 2}
    ]


def test_slow_source_is_timeout_and_its_work_ends(sources, server):
    connector = sources("CREATE VIEW t AS SELECT 1 AS n FROM pg_sleep(60)")
    assert (
        kind_of(lambda: run(connector, "SELECT n FROM t", limits=ExecutionLimits(1, 10, 1)))
        is ErrorKind.TIMEOUT
    )
    busy = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM \"t\"%' AND pid <> pg_backend_pid()"
    for _ in range(400):
        if server.rows(busy) == [(0,)]:
            break
    assert server.rows(busy) == [(0,)]


def test_stop_ends_the_waiting_for_a_slow_source(sources):
    connector = sources("CREATE VIEW t AS SELECT 1 AS n FROM pg_sleep(3)")
    limits = ExecutionLimits(30, 10, 1)
    kinds = []
    running = threading.Thread(
        target=lambda: kinds.append(
            kind_of(lambda: run(connector, "SELECT n FROM t", limits=limits))
        )
    )
    running.start()
    while not connector._calls._running:
        pass
    limits.stop.set()
    running.join()
    assert kinds == [ErrorKind.CANCELLED]


def test_hung_server_is_timeout(sources, server):
    connector = sources("CREATE TABLE t (n bigint)", "INSERT INTO t VALUES (5)")
    server.freeze()
    try:
        assert (
            kind_of(lambda: run(connector, "SELECT n FROM t", limits=ExecutionLimits(1, 10, 1)))
            is ErrorKind.TIMEOUT
        )
    finally:
        server.thaw()
    assert run(connector, "SELECT n FROM t") == [{"n": 5}]


def test_server_that_dies_is_no_answer(sources, server):
    connector = sources("CREATE TABLE t (n bigint)", "INSERT INTO t VALUES (5)")
    assert run(connector, "SELECT n FROM t") == [{"n": 5}]
    server.kill()
    assert kind_of(lambda: run(connector, "SELECT n FROM t")) is ErrorKind.UNREACHABLE
    server.start()
    assert run(connector, "SELECT n FROM t") == [{"n": 5}]
