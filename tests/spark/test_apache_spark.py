"""The connector, the planner's statements and the tag kernel on Apache Spark itself: see ``make test-spark``."""

import threading
from itertools import count

import pyarrow as pa
import pytest
from cluster import free_port
from spark_server import views

from connectors.conformance import check
from connectors.kernels import TokenKernel
from connectors.memory import MemoryConnector
from connectors.spark import SparkConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement

LIMITS = ExecutionLimits(timeout_s=120, rows_max=50_000, memory_mb=64)
ENDLESS = "SELECT COUNT(*) AS n FROM range(0, 1000000000000, 1) WHERE id % 7 = 3"
ROWS = pa.schema([("id", pa.string()), ("n", pa.int64())])
TABLE = pa.table(
    {
        "id": pa.array([None if n % 11 == 0 else f"9901011980{n:08}" for n in range(20_000)]),
        "n": pa.array(range(20_000), pa.int64()),
    }
)
TREE = {
    "rows": {
        "node": "Rows", "first": {"node": "Table", "alias": "t0", "dataset": "x.t"}, "joins": [], "where": None,
    },
    "columns": [
        {"node": "Dimension", "name": name, "expression": {"node": "Field", "relation": "t0", "name": name}}
        for name in ROWS.names
    ],
}  # fmt: skip
SELECTED = Statement("rows", "SELECT id, n FROM t", TREE, ROWS)


def run(connector, sql, limits=LIMITS):
    return connector.execute(
        Statement("units", sql, {}, pa.schema([("n", pa.int64())])), limits
    ).to_pylist()


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    return caught.value.kind


@pytest.fixture
def connector(spark, tmp_path):
    made = SparkConnector(spark.remote, views=views(tmp_path / "views", {"t": TABLE}))
    yield made
    made.close()


def test_apache_spark_passes_every_check(spark, tmp_path):
    numbers = count()

    def factory(tables):
        return SparkConnector(spark.remote, views=views(tmp_path / str(next(numbers)), tables))

    assert [f"{item.name}: {item.problem}" for item in check(factory) if item.problem] == []


def test_tokens_of_the_clusters_workers_are_those_of_the_reference(connector):
    kernel = TokenKernel(bytes(range(32)), "person", "id")
    result = kernel.result(ROWS)
    found = connector.scan(SELECTED, kernel, result, LIMITS)
    wanted = MemoryConnector({"t": TABLE}).scan(SELECTED, kernel, result, LIMITS)
    assert found.schema == wanted.schema
    assert found.sort_by("n").equals(wanted.sort_by("n"))


def _workers(batches):
    import os  # noqa: PLC0415 - it runs on the cluster

    yield pa.RecordBatch.from_pydict(
        {"n": pa.array([os.getpid()] * sum(1 for _ in batches), pa.int64())}
    )


def test_kernel_runs_in_workers_of_the_cluster_and_not_here(connector, spark):
    found = connector.scan(SELECTED, _workers, pa.schema([("n", pa.int64())]), LIMITS)
    pids = set(found.column("n").to_pylist())
    assert pids
    assert pids <= spark.processes()


def test_running_statement_is_interrupted_on_the_cluster(connector, spark):
    stop, kinds = threading.Event(), []
    limits = ExecutionLimits(120, 10, 1, stop)
    running = threading.Thread(
        target=lambda: kinds.append(kind_of(lambda: run(connector, ENDLESS, limits)))
    )
    run(connector, "SELECT COUNT(*) AS n FROM t")
    before = spark.log().count("Starting task")
    running.start()
    while spark.log().count("Starting task") == before:  # it runs, and is not only planned
        stop.wait(0.1)
    stop.set()
    running.join()
    assert kinds == [ErrorKind.CANCELLED]
    # Two cores: were both still counting, this would not come back.
    assert run(connector, "SELECT COUNT(*) AS n FROM t") == [{"n": 20_000}]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT gone AS n FROM t", ErrorKind.SCHEMA),
        ("SELECT n FROM gone", ErrorKind.SCHEMA),
        ("SELECT id AS n FROM t LIMIT 3", ErrorKind.SCHEMA),
        ("SELECT 1 AS n; SELECT 2 AS n", ErrorKind.REFUSED),
        ("DROP VIEW t", ErrorKind.REFUSED),
        ("(DROP VIEW t)", ErrorKind.REFUSED),
        ("SELECT CAST(id || 'x' AS BIGINT) AS n FROM t", ErrorKind.FAILED),
        ("SELECT 9223372036854775807 + n AS n FROM t", ErrorKind.FAILED),
        ("SELECT n FROM t", ErrorKind.LIMIT),
    ],
)
def test_errors_of_apache_spark_have_their_kinds(connector, capfd, sql, kind):
    few = ExecutionLimits(120, 19_999, 64)
    assert kind_of(lambda: run(connector, sql, few)) is kind
    assert "990101" not in "".join(capfd.readouterr())


def test_restarted_server_is_found_again(connector, spark):
    assert run(connector, "SELECT COUNT(*) AS n FROM t") == [{"n": 20_000}]
    spark.stop()
    assert kind_of(lambda: run(connector, "SELECT 1 AS n")) is ErrorKind.UNREACHABLE
    spark.start()
    assert run(connector, "SELECT COUNT(*) AS n FROM t") == [{"n": 20_000}]


def test_nobody_there_is_unreachable():
    made = SparkConnector(f"sc://127.0.0.1:{free_port()}")
    assert kind_of(made.describe) is ErrorKind.UNREACHABLE
