"""What holds for every source behind the embedded engine, whatever it is: limits, stops, shut doors, drift."""

import sqlite3
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files import FilesConnector
from connectors.odbc import OdbcConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement
from connectors.sqlite import SqliteConnector

LIMITS = ExecutionLimits(timeout_s=60, rows_max=10_000, memory_mb=16)
ENDLESS = "SELECT CAST(SUM(x % 7) AS BIGINT) AS n FROM range(10000000000000) r(x), (SELECT COUNT(x) FROM t)"
NUMBER = pa.schema([("n", pa.int64())])
ROWS = 3000


def as_parquet(folder, memory_mb):
    numbers = pa.array(range(ROWS), pa.int64())
    names = [f"99010119800101{i:04}" for i in range(ROWS)]
    (folder / "files").mkdir()
    pq.write_table(pa.table({"x": numbers, "身份证号": names}), folder / "files" / "t.parquet")
    return FilesConnector(folder / "files", threads=1, memory_mb=memory_mb)


def as_csv(folder, memory_mb):
    (folder / "files").mkdir()
    rows = "".join(f"{i},99010119800101{i:04}\n" for i in range(ROWS))
    (folder / "files" / "t.csv").write_text(f"x,身份证号\n{rows}", encoding="utf-8")
    declared = '{"columns": {"x": "integer", "身份证号": "text"}}'
    (folder / "files" / "t.schema.json").write_text(declared, encoding="utf-8")
    return FilesConnector(folder / "files", threads=1, memory_mb=memory_mb)


def _sqlite_file(folder):
    with sqlite3.connect(folder / "t.sqlite") as connection:
        connection.execute("CREATE TABLE t (x BIGINT, 身份证号 TEXT)")
        rows = ((i, f"99010119800101{i:04}") for i in range(ROWS))
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    connection.close()
    return folder / "t.sqlite"


def as_sqlite(folder, memory_mb):
    return SqliteConnector(_sqlite_file(folder), threads=1, memory_mb=memory_mb)


def as_odbc(folder, memory_mb):
    source = f"Driver=SQLite3;Database={_sqlite_file(folder)};NoCreat=1"
    return OdbcConnector(source, ["t"], threads=1, memory_mb=memory_mb)


@pytest.fixture(params=[as_parquet, as_csv, as_sqlite, as_odbc])
def source(request, tmp_path):
    return lambda memory_mb=64: request.param(tmp_path, memory_mb)


@pytest.fixture
def connector(source):
    made = source()
    yield made
    made.close()


def run(connector, sql, limits=LIMITS, result=NUMBER):
    return connector.execute(Statement("units", sql, {}, result), limits)


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.kind


def test_answers_are_whole(connector):
    assert run(connector, "SELECT CAST(SUM(x) AS BIGINT) AS n FROM t").to_pylist() == [
        {"n": ROWS * (ROWS - 1) // 2}
    ]
    assert run(connector, "SELECT COUNT(DISTINCT 身份证号) AS n FROM t").to_pylist() == [
        {"n": ROWS}
    ]
    assert run(connector, "SELECT COUNT(*) AS n FROM t a JOIN t b USING (x)").to_pylist() == [
        {"n": ROWS}
    ]
    assert run(
        connector, "WITH t2 AS (SELECT x FROM t) SELECT MAX(x) AS n FROM t2"
    ).to_pylist() == [{"n": ROWS - 1}]


def test_a_with_name_stands_before_a_table_of_the_source(connector):
    assert run(connector, "WITH t AS (SELECT 7 AS x) SELECT MAX(x) AS n FROM t").to_pylist() == [
        {"n": 7}
    ]


def test_endless_statement_is_stopped_as_timeout_and_leaves_the_source_usable(connector):
    assert (
        kind_of(lambda: run(connector, ENDLESS, ExecutionLimits(0.5, 10, 1))) is ErrorKind.TIMEOUT
    )
    assert run(connector, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": ROWS}]


def test_stop_ends_a_statement_as_cancelled(connector):
    limits = ExecutionLimits(60, 10, 1)
    kinds = []
    running = threading.Thread(
        target=lambda: kinds.append(kind_of(lambda: run(connector, ENDLESS, limits)))
    )
    running.start()
    while not connector._calls._running:
        pass
    limits.stop.set()
    running.join()
    assert kinds == [ErrorKind.CANCELLED]


def test_closing_ends_what_runs_and_refuses_what_comes(connector):
    kinds = []
    running = threading.Thread(
        target=lambda: kinds.append(kind_of(lambda: run(connector, ENDLESS)))
    )
    running.start()
    while not connector._calls._running:
        pass
    connector.close()
    running.join()
    connector.close()
    assert kinds == [ErrorKind.UNREACHABLE]
    assert kind_of(connector.describe) is ErrorKind.UNREACHABLE


def test_more_rows_than_allowed_and_larger_results_are_limit(connector):
    few = ExecutionLimits(60, ROWS - 1, 16)
    assert kind_of(lambda: run(connector, "SELECT x AS n FROM t", few)) is ErrorKind.LIMIT
    assert run(connector, "SELECT x AS n FROM t").num_rows == ROWS
    wide = "SELECT repeat('x', 1000) AS s FROM t"
    small = ExecutionLimits(60, ROWS, 2)
    assert (
        kind_of(lambda: run(connector, wide, small, pa.schema([("s", pa.string())])))
        is ErrorKind.LIMIT
    )


def test_engine_out_of_memory_is_limit(source, tmp_path):
    connector = source(memory_mb=32)
    before = sorted(tmp_path.rglob("*"))
    greedy = "SELECT a.x, list(b.身份证号 || repeat('x', 50)) AS l FROM t a, t b GROUP BY a.x"
    assert (
        kind_of(lambda: run(connector, f"SELECT COUNT(l) AS n FROM ({greedy})")) is ErrorKind.LIMIT
    )
    assert sorted(tmp_path.rglob("*")) == before
    connector.close()


@pytest.mark.parametrize(
    "sql",
    ["SELECT gone AS n FROM t", "SELECT x AS n FROM gone", "SELECT x AS n FROM other.t", "SELECT gone(x) AS n FROM t",
     "SELECT n FROM sqlite_master", "SELECT 1 AS n FROM information_schema.tables", "SELECT x AS other FROM t", "SELECT x AS n FROM a.b.t"],
)  # fmt: skip
def test_what_the_source_does_not_have_is_schema(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    "sql",
    [
        "SET threads = 8", "SELECT 1 AS n; SELECT 2 AS n", "COPY (SELECT 1) TO 'out.csv'", "ATTACH 'x.duckdb'", "INSTALL httpfs", "PRAGMA database_list",
        "CREATE TEMP TABLE z AS SELECT 1", "DROP TABLE t", "SELEC 1", "", "SELECT 1 AS n FROM read_text('/etc/hostname')",
        "SELECT 1 AS n FROM read_csv('/etc/passwd')", "SELECT 1 AS n FROM glob('/*')",
    ],
)  # fmt: skip
def test_anything_but_a_governed_select_is_refused(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.REFUSED


def test_files_and_python_variables_are_no_tables(connector, tmp_path):
    secret = pa.table({"x": [1]})
    pq.write_table(secret, tmp_path / "secret.parquet")
    assert kind_of(lambda: run(connector, "SELECT x AS n FROM secret")) is ErrorKind.SCHEMA
    assert (
        kind_of(lambda: run(connector, f"SELECT x AS n FROM '{tmp_path}/secret.parquet'"))
        is ErrorKind.SCHEMA
    )


def test_value_that_breaks_a_cast_stays_out_of_the_text(connector):
    with pytest.raises(ConnectorError) as caught:
        run(connector, "SELECT CAST(身份证号 AS TINYINT) AS n FROM t")
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.FAILED, "failed")


def test_scan_streams_all_rows_through_the_kernel(connector):
    statement = Statement("rows", "SELECT x AS n FROM t", {}, NUMBER)

    def sums(batches):
        for batch in batches:
            yield pa.record_batch([pa.array([sum(batch.column("n").to_pylist())])], schema=NUMBER)

    found = connector.scan(statement, sums, NUMBER, LIMITS)
    assert sum(found.column("n").to_pylist()) == ROWS * (ROWS - 1) // 2


def test_statements_run_side_by_side(connector):
    answers = []

    def ask():
        answers.append(run(connector, "SELECT CAST(SUM(x) AS BIGINT) AS n FROM t").to_pylist())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[{"n": ROWS * (ROWS - 1) // 2}]] * 6


def test_description_of_one_table_and_of_none(connector):
    assert [column.name for column in connector.describe(("t",))["t"].columns] == ["x", "身份证号"]
    assert connector.describe(("gone",)) == {}
