"""Each way in which a DuckDB file can fail has its kind, and none of the engine's words travel."""

import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pytest

from connectors.duckdb import DuckDBConnector
from connectors.spi import (
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Statement,
    TypeKind,
)

LIMITS = ExecutionLimits(timeout_s=30, rows_max=1000, memory_mb=16)
ENDLESS = "SELECT SUM(x % 7) AS n FROM range(10000000000000) r(x)"


N = pa.schema([("n", pa.int64())])


def run(connector, sql, limits=LIMITS, result=N):
    return connector.execute(Statement("units", sql, {}, result), limits)


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.kind


@pytest.fixture
def path(stored):
    return stored(
        {
            "t": pa.table(
                {
                    "x": pa.array(range(3000), pa.int64()),
                    "身份证号": [f"99010119800101{i:04}" for i in range(3000)],
                }
            )
        }
    )


@pytest.fixture
def connector(path):
    made = DuckDBConnector(path, threads=1, memory_mb=64)
    yield made
    made.close()


# --- opening ------------------------------------------------------------------------------------------------------


def test_absent_file_is_missing_and_is_not_created(tmp_path):
    assert kind_of(lambda: DuckDBConnector(tmp_path / "none.duckdb")) is ErrorKind.MISSING
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_foreign_file_is_failed(tmp_path, content):
    (tmp_path / "x.duckdb").write_bytes(content)
    assert kind_of(lambda: DuckDBConnector(tmp_path / "x.duckdb")) is ErrorKind.FAILED


def test_cut_file_is_failed(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert kind_of(lambda: run(DuckDBConnector(path), "SELECT SUM(x) FROM t")) is ErrorKind.FAILED


def test_file_open_for_writing_in_another_process_is_locked(path):
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert kind_of(lambda: DuckDBConnector(path)) is ErrorKind.LOCKED
        holder.stdin.close()
    DuckDBConnector(path).close()


def test_file_open_for_writing_in_this_process_is_locked(path):
    with duckdb.connect(str(path)):
        assert kind_of(lambda: DuckDBConnector(path)) is ErrorKind.LOCKED


# --- running ------------------------------------------------------------------------------------------------------


def test_endless_statement_is_stopped_as_timeout(connector):
    assert (
        kind_of(lambda: run(connector, ENDLESS, ExecutionLimits(0.2, 10, 1))) is ErrorKind.TIMEOUT
    )
    assert run(connector, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3000}]


def test_timeout_of_one_statement_leaves_another_alone(connector):
    kinds = []
    late = threading.Thread(
        target=lambda: kinds.append(
            kind_of(lambda: run(connector, ENDLESS, ExecutionLimits(0.2, 10, 1)))
        )
    )
    late.start()
    answers = [run(connector, "SELECT SUM(x) AS n FROM t").to_pylist() for _ in range(50)]
    late.join()
    assert kinds == [ErrorKind.TIMEOUT]
    assert all(answer == [{"n": 3000 * 2999 // 2}] for answer in answers)


def test_more_rows_than_allowed_are_limit(connector):
    assert (
        kind_of(lambda: run(connector, "SELECT x AS n FROM t", ExecutionLimits(30, 2999, 16)))
        is ErrorKind.LIMIT
    )
    assert run(connector, "SELECT x AS n FROM t", ExecutionLimits(30, 3000, 16)).num_rows == 3000


def test_larger_result_than_allowed_is_limit(connector):
    wide = "SELECT repeat('x', 1000) AS s FROM t"
    text, limits = pa.schema([("s", pa.string())]), ExecutionLimits(30, 3000, 2)
    assert kind_of(lambda: run(connector, wide, limits, text)) is ErrorKind.LIMIT


def test_engine_out_of_memory_is_limit_and_nothing_is_spilled(connector, path):
    greedy = "SELECT a.x, list(b.身份证号 || repeat('x', 50)) AS l FROM t a, t b GROUP BY a.x"
    assert (
        kind_of(lambda: run(connector, f"SELECT COUNT(l) AS n FROM ({greedy})")) is ErrorKind.LIMIT
    )
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT gone FROM t",
        "SELECT x FROM gone",
        "SELECT gone(x) FROM t",
        "SELECT x AS d0, 身份证 FROM t",
    ],
)
def test_drifted_schema_is_schema(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT x / 3 AS n FROM t",
        "SELECT [x] AS n FROM t",
        "SELECT TIMESTAMP '2024-01-01' AS n",
        "SELECT 身份证号 AS n FROM t",
    ],
)
def test_result_type_that_is_not_exact_is_schema(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    "sql",
    [
        "SET threads = 8", "SELECT 1; SELECT 2", "COPY t TO 'out.csv'", "ATTACH 'x.duckdb'", "INSTALL httpfs", "PRAGMA database_list",
        "CREATE TEMP TABLE z AS SELECT 1", "SELEC 1", "", "SELECT * FROM 'other.csv'", "SELECT * FROM read_text('/etc/hostname')",
    ],
)  # fmt: skip
def test_anything_but_a_governed_select_is_refused(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.REFUSED


def test_value_that_breaks_a_cast_stays_out_of_the_text(connector):
    sql = "SELECT CAST(身份证号 AS TINYINT) AS n FROM t"
    with pytest.raises(ConnectorError) as caught:
        run(connector, sql)
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.FAILED, "failed")
    assert "990101" in caught.value.detail


def test_python_variables_are_no_tables(connector):
    secret = pa.table({"x": [1]})
    assert secret.num_rows == 1
    assert kind_of(lambda: run(connector, "SELECT * FROM secret")) is ErrorKind.SCHEMA


def test_configuration_is_locked(connector):
    with pytest.raises(duckdb.InvalidInputException):
        connector._connection.execute("SET enable_external_access = true")
    settings = dict(
        connector._connection.execute("SELECT name, value FROM duckdb_settings()").fetchall()
    )
    shut = (
        "enable_external_access",
        "autoload_known_extensions",
        "autoinstall_known_extensions",
        "python_enable_replacements",
    )
    assert {settings[name] for name in shut} == {"false"}
    assert settings["temp_directory"] == ""


def test_closing_stops_what_runs_as_unreachable(connector):
    kinds = []
    running = threading.Thread(
        target=lambda: kinds.append(kind_of(lambda: run(connector, ENDLESS)))
    )
    running.start()
    while not connector._calls._running:
        pass
    connector.close()
    running.join()
    assert kinds == [ErrorKind.UNREACHABLE]


# --- description --------------------------------------------------------------------------------------------------


def test_description_names_exact_kinds_and_tells_what_is_not_exact(tmp_path):
    path = tmp_path / "d.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE 表 (a BIGINT NOT NULL, b DECIMAL(12,2), c VARCHAR, d DATE, e BOOLEAN, f DOUBLE, g HUGEINT, h INTEGER[], i ENUM('x'), j TIMESTAMP)"
        )
        connection.execute(
            "CREATE VIEW v AS SELECT b FROM 表; CREATE SCHEMA other; CREATE TABLE other.hidden (a INTEGER)"
        )
    found = DuckDBConnector(path).describe()
    assert set(found) == {"表", "v"}
    assert found["v"].columns == (ColumnDescription("b", TypeKind.DECIMAL, 12, 2),)
    kinds = [TypeKind.INTEGER, TypeKind.DECIMAL, TypeKind.TEXT, TypeKind.DATE, TypeKind.BOOLEAN]
    kinds += [TypeKind.OTHER, TypeKind.OTHER, TypeKind.OTHER, TypeKind.TEXT, TypeKind.OTHER]
    assert [column.kind for column in found["表"].columns] == kinds
    assert [column.nullable for column in found["表"].columns] == [False] + [True] * 9


def test_capabilities_are_constant(connector):
    assert connector.capabilities() == connector.capabilities()
    assert connector.capabilities().dialect == "duckdb"
