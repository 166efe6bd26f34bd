"""SQLite keeps any value in any column: what is not of the declared type never becomes an answer."""

import sqlite3
import subprocess
import sys
import threading
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.conformance import check
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement, TypeKind
from connectors.sqlite import SqliteConnector

LIMITS = ExecutionLimits(timeout_s=30, rows_max=100_000, memory_mb=16)
_DECLARED = {"int64": "INTEGER", "string": "TEXT", "date32[day]": "DATE", "bool": "BOOLEAN"}


def write(path, tables):
    """Write tables; decimals of more than 15 digits as text, the others as SQLite likes."""
    types = {}
    with sqlite3.connect(path) as connection:
        for name, table in tables.items():
            columns = []
            for field in table.schema:
                word = _DECLARED.get(str(field.type))
                if word is None and field.type.scale == 4:
                    word, types[f"{name}.{field.name}"] = (
                        "TEXT",
                        f"decimal({field.type.precision},4)",
                    )
                columns.append(
                    f'"{field.name}" {word or f"DECIMAL({field.type.precision},{field.type.scale})"}'
                )
            connection.execute(f'CREATE TABLE "{name}" ({", ".join(columns)})')
            places = ", ".join("?" * len(columns))
            rows = zip(*(map(_plain, column.to_pylist()) for column in table.columns), strict=True)
            connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', rows)
    connection.close()
    return types


def _plain(value):
    return str(value) if isinstance(value, Decimal | date) else value


@pytest.fixture
def factory(tmp_path):
    made = []

    def make(tables):
        made.append(tmp_path / f"部门 {len(made)}%?#.sqlite")
        types = write(made[-1], tables)
        return SqliteConnector(made[-1], types, threads=1, memory_mb=256)

    return make


def test_sqlite_passes_every_check(factory):
    assert [f"{item.name}: {item.problem}" for item in check(factory) if item.problem] == []


# --- one file by hand -------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    """Return a function that makes a file by a script, and gives a connector for it."""

    def make(script, types=None, memory_mb=64):
        path = tmp_path / "s.sqlite"
        with sqlite3.connect(path) as connection:
            connection.executescript(script)
        connection.close()
        return SqliteConnector(path, types or {}, threads=1, memory_mb=memory_mb)

    return make


def values(connector, kind, limits=LIMITS):
    """Return the values of column ``c`` of table ``t``."""
    statement = Statement("rows", 'SELECT "t"."c" AS c FROM "t"', {}, pa.schema([("c", kind)]))
    return connector.execute(statement, limits).column("c").to_pylist()


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.kind


@pytest.mark.parametrize(
    ("declared", "stored", "value"),
    [
        ("DECIMAL(18,2)", "100.10", Decimal("100.10")),
        ("DECIMAL(18,2)", "-7", Decimal("-7.00")),
        ("NUMERIC(10)", "12", Decimal(12)),
        ("DECIMAL(18,2)", "'9999999999999.99'", Decimal("9999999999999.99")),
        ("DECIMAL(18,2)", "0.1", Decimal("0.10")),
        ("DECIMAL(18,2)", "NULL", None),
        ("DECIMAL(38,0)", "9223372036854775807", Decimal(2**63 - 1)),
    ],
)  # fmt: skip
def test_decimal_is_exact(made, declared, stored, value):
    connector = made(f"CREATE TABLE t (c {declared}); INSERT INTO t VALUES ({stored});")
    scale = 0 if value is None else -value.as_tuple().exponent
    assert values(connector, pa.decimal128(38, scale)) == [value]


@pytest.mark.parametrize(
    ("declared", "stored"),
    [
        ("DECIMAL(18,2)", "0.1 + 0.2"),
        ("DECIMAL(18,2)", "1.005"),
        ("DECIMAL(18,4)", "'99999999999999.9999'"),
        ("DECIMAL(18,2)", "1e16"),
        ("DECIMAL(18,2)", "9e999"),
        ("DECIMAL(4,2)", "100.25"),
        ("DECIMAL(18,2)", "'1,000.00'"),
        ("DECIMAL(18,2)", "x'31'"),
        ("DECIMAL(18,17)", "0.5"),
        ("INTEGER", "'many'"),
        ("INTEGER", "1.5"),
        ("INTEGER", "x'01'"),
        ("TEXT", "x'e4b8ad'"),
        ("DATE", "'2024-02-30'"),
        ("DATE", "'31/01/2024'"),
        ("DATE", "2024"),
        ("DATE", "2460000.5"),
        ("BOOLEAN", "2"),
        ("BOOLEAN", "'true'"),
    ],
)
def test_value_that_is_not_of_the_declared_type_is_failed(made, declared, stored):
    connector = made(f"CREATE TABLE t (c {declared}); INSERT INTO t VALUES ({stored});")
    counted = pa.schema([("n", pa.int64())])
    statement = Statement("rows", "SELECT COUNT(c) AS n FROM t", {}, counted)
    assert kind_of(lambda: connector.execute(statement, LIMITS)) is ErrorKind.FAILED


def test_one_bad_value_among_many_ends_the_statement(made):
    many = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 40000)"
    connector = made(
        f"CREATE TABLE t (c INTEGER); INSERT INTO t {many} SELECT x FROM r; INSERT INTO t VALUES ('公民');"
    )
    assert kind_of(lambda: values(connector, pa.int64())) is ErrorKind.FAILED


def test_text_that_is_no_unicode_is_failed(made):
    connector = made("CREATE TABLE t (c TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT));")
    assert kind_of(lambda: values(connector, pa.string())) is ErrorKind.FAILED


def test_description_tells_what_is_not_exact_and_the_engineer_may_tell_more(made):
    script = """
        CREATE TABLE 表 (a INTEGER PRIMARY KEY, b VARCHAR(20) NOT NULL, c decimal(12, 2), d DATE, e BOOLEAN, f REAL, g, h BLOB, i DATETIME, j DECIMAL(99,2), k TEXT);
        CREATE VIEW v AS SELECT a, c * 2 AS twice FROM 表;
    """
    found = made(script, {"v.twice": "integer", "表.k": "decimal(18,4)"}).describe()
    assert set(found) == {"表", "v"}
    kinds = [TypeKind.INTEGER, TypeKind.TEXT, TypeKind.DECIMAL, TypeKind.DATE, TypeKind.BOOLEAN]
    kinds += [TypeKind.OTHER] * 5 + [TypeKind.DECIMAL]
    assert [column.kind for column in found["表"].columns] == kinds
    assert [column.nullable for column in found["表"].columns] == [True, False] + [True] * 9
    assert [(column.name, column.kind) for column in found["v"].columns] == [
        ("a", TypeKind.INTEGER),
        ("twice", TypeKind.INTEGER),
    ]


def test_column_without_an_exact_type_is_schema(made):
    connector = made("CREATE TABLE t (c REAL, x INTEGER); INSERT INTO t VALUES (1.5, 1);")
    assert kind_of(lambda: values(connector, pa.decimal128(38, 1))) is ErrorKind.SCHEMA


def test_names_that_need_quotes_are_quoted(made):
    connector = made(
        """CREATE TABLE "t" ("c" INTEGER, "x"" FROM t; DROP TABLE t; --" TEXT); INSERT INTO t VALUES (1, 'a');"""
    )
    sql = """SELECT "t"."x"" FROM t; DROP TABLE t; --" AS c FROM "t\""""
    statement = Statement("rows", sql, {}, pa.schema([("c", pa.string())]))
    assert connector.execute(statement, LIMITS).to_pylist() == [{"c": "a"}]
    assert values(connector, pa.int64()) == [1]


# --- the file -----------------------------------------------------------------------------------------------------


def test_absent_file_is_missing_and_is_not_created(tmp_path):
    assert kind_of(lambda: SqliteConnector(tmp_path / "none.sqlite")) is ErrorKind.MISSING
    assert list(tmp_path.iterdir()) == []


def test_file_that_goes_away_is_missing_and_one_that_comes_is_read(made, tmp_path):
    connector = made("CREATE TABLE t (c INTEGER); INSERT INTO t VALUES (1);")
    (tmp_path / "s.sqlite").rename(tmp_path / "old.sqlite")
    assert kind_of(lambda: values(connector, pa.int64())) is ErrorKind.MISSING
    made("CREATE TABLE t (c INTEGER); INSERT INTO t VALUES (2);")
    assert values(connector, pa.int64()) == [2]


def test_drift_is_noticed_at_the_next_statement(made, tmp_path):
    connector = made("CREATE TABLE t (c INTEGER); INSERT INTO t VALUES (1);")
    assert values(connector, pa.int64()) == [1]
    with sqlite3.connect(tmp_path / "s.sqlite") as other:
        other.execute("ALTER TABLE t RENAME COLUMN c TO c_old")
    other.close()
    assert kind_of(lambda: values(connector, pa.int64())) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    "content", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_foreign_file_is_failed(tmp_path, content):
    (tmp_path / "x.sqlite").write_bytes(content)
    assert kind_of(SqliteConnector(tmp_path / "x.sqlite").describe) is ErrorKind.FAILED


def test_damaged_file_is_failed(made, tmp_path):
    many = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 40000)"
    connector = made(f"CREATE TABLE t (c INTEGER); INSERT INTO t {many} SELECT x FROM r;")
    path = tmp_path / "s.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * 4096 + content[12288:])
    assert kind_of(lambda: values(connector, pa.int64())) is ErrorKind.FAILED
    path.write_bytes(content[: len(content) // 2])
    assert kind_of(lambda: values(connector, pa.int64())) is ErrorKind.FAILED


def test_writer_of_another_process_makes_it_locked(made, tmp_path):
    connector = made("CREATE TABLE t (c INTEGER); INSERT INTO t VALUES (1);")
    hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "s.sqlite")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert kind_of(lambda: values(connector, pa.int64())) is ErrorKind.LOCKED
        holder.stdin.close()
    assert values(connector, pa.int64()) == [1]


def test_file_is_never_written(made, tmp_path):
    connector = made("CREATE TABLE t (c INTEGER); INSERT INTO t VALUES (1);")
    before = (tmp_path / "s.sqlite").read_bytes()
    with (
        connector._calls.running() as call,
        connector._session(call) as session,
        pytest.raises(sqlite3.OperationalError),
    ):
        session._connection.execute("INSERT INTO t VALUES (2)")
    assert (tmp_path / "s.sqlite").read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["s.sqlite"]


def test_endless_view_of_the_source_is_stopped(made):
    endless = "CREATE VIEW t AS WITH RECURSIVE r(c) AS (SELECT 1 UNION ALL SELECT c FROM r) SELECT c FROM r WHERE c > 1"
    connector = made(endless, {"t.c": "integer"})
    assert (
        kind_of(lambda: values(connector, pa.int64(), ExecutionLimits(0.5, 10, 1)))
        is ErrorKind.TIMEOUT
    )
    limits = ExecutionLimits(60, 10, 1)
    kinds = []
    running = threading.Thread(
        target=lambda: kinds.append(kind_of(lambda: values(connector, pa.int64(), limits)))
    )
    running.start()
    while not connector._calls._running:
        pass
    limits.stop.set()
    running.join()
    assert kinds == [ErrorKind.CANCELLED]


def test_more_rows_than_memory_holds_are_limit(made):
    many = "CREATE VIEW t AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 400000) SELECT CAST(x || hex(zeroblob(200)) AS TEXT) AS c FROM r"
    connector = made(many, {"t.c": "text"}, memory_mb=32)
    statement = Statement("rows", "SELECT COUNT(c) AS n FROM t", {}, pa.schema([("n", pa.int64())]))
    assert kind_of(lambda: connector.execute(statement, LIMITS)) is ErrorKind.LIMIT
