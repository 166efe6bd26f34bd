"""The Spark connector, on a Spark Connect server of its own process (pysail); Apache Spark itself is in tests/spark."""

import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from spark_server import spark_factory, spark_server, views

from connectors.conformance import check
from connectors.kernels import TokenKernel
from connectors.memory import MemoryConnector
from connectors.registry import connector_factory
from connectors.spark import SparkConnector
from connectors.spi import (
    ColumnDescription,
    Connector,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Statement,
    TypeKind,
)

LIMITS = ExecutionLimits(timeout_s=60, rows_max=5000, memory_mb=16)
ENDLESS = "SELECT COUNT(*) AS n FROM range(0, 1000000000000, 1) WHERE id % 7 = 3"
TABLE = pa.table(
    {
        "x": pa.array(range(3000), pa.int64()),
        "身份证号": [f"99010119800101{i:04}" for i in range(3000)],
    }
)
ROWS = pa.schema([("x", pa.int64()), ("身份证号", pa.string())])
NUMBER = pa.schema([("n", pa.int64())])


def run(connector, sql, limits=LIMITS, result=NUMBER):
    return connector.execute(Statement("units", sql, {}, result), limits)


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.kind


@pytest.fixture(scope="module")
def server():
    with spark_server() as running:
        yield running


@pytest.fixture
def connector(server, tmp_path):
    made = SparkConnector(server.remote, views=views(tmp_path / "views", {"t": TABLE}))
    yield made
    made.close()


def test_spark_passes_every_check(server, tmp_path):
    outcomes = check(spark_factory(server, tmp_path))
    assert [f"{item.name}: {item.problem}" for item in outcomes if item.problem] == []


def test_spark_is_a_built_in_connector_with_the_methods_of_the_interface(connector):
    assert connector_factory("spark") is SparkConnector
    assert isinstance(connector, Connector)
    assert connector.capabilities().dialect == "spark"


# --- the address --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "remote",
    [
        "localhost:15002", "sc://", "sc://localhost/path", "sc://spark.example:15002", "sc://localhost:0x/",
        "sc://localhost/;token=abc", "sc://localhost/;session_id=00112233-4455-6677-8899-aabbccddeeff",
        "sc://localhost/;user_id=root",
    ],
)  # fmt: skip
def test_address_in_the_clear_or_with_a_secret_is_refused(remote):
    assert kind_of(lambda: SparkConnector(remote)) is ErrorKind.REFUSED


def test_other_machine_is_accepted_with_tls_or_on_the_operators_word():
    SparkConnector("sc://spark.example:15002/;use_ssl=true").close()
    SparkConnector("sc://spark.example:15002", plain_text=True).close()


def test_token_that_is_not_there_is_missing(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EMPTY", "")
    for options in ({"token_env": "EMPTY"}, {"token_file": str(tmp_path / "none")}):
        made = SparkConnector(server.remote, **options)
        assert kind_of(made.describe) is ErrorKind.MISSING
    both = {"token_env": "A", "token_file": "b"}
    assert kind_of(lambda: SparkConnector(server.remote, **both)) is ErrorKind.REFUSED


def test_server_that_does_not_speak_tls_is_unreachable(server):
    made = SparkConnector(f"{server.remote}/;use_ssl=true")
    assert kind_of(made.describe) is ErrorKind.UNREACHABLE
    made.close()


# --- running ------------------------------------------------------------------------------------------------------


def test_endless_statement_is_stopped_as_timeout_and_the_server_is_free_again(connector):
    limits = ExecutionLimits(0.5, 10, 1)
    assert kind_of(lambda: run(connector, ENDLESS, limits)) is ErrorKind.TIMEOUT
    assert run(connector, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3000}]


def test_stopped_statement_is_cancelled_and_another_one_is_left_alone(connector):
    stop, kinds = threading.Event(), []
    limits = ExecutionLimits(60, 10, 1, stop)
    running = threading.Thread(
        target=lambda: kinds.append(kind_of(lambda: run(connector, ENDLESS, limits)))
    )
    running.start()
    answers = [run(connector, "SELECT SUM(x) AS n FROM t").to_pylist() for _ in range(10)]
    stop.set()
    running.join()
    assert kinds == [ErrorKind.CANCELLED]
    assert answers == [[{"n": 3000 * 2999 // 2}]] * 10


def test_closing_stops_what_runs_as_unreachable(server, tmp_path):
    made = SparkConnector(server.remote, views=views(tmp_path, {"t": TABLE}))
    assert run(made, "SELECT COUNT(*) AS n FROM t").num_rows == 1
    kinds = []
    running = threading.Thread(target=lambda: kinds.append(kind_of(lambda: run(made, ENDLESS))))
    running.start()
    made.close()
    running.join()
    assert kinds == [ErrorKind.UNREACHABLE]
    assert kind_of(made.describe) is ErrorKind.UNREACHABLE


def test_more_rows_than_allowed_are_limit(connector):
    names = pa.schema([("x", pa.int64())])
    few, enough = ExecutionLimits(60, 2999, 16), ExecutionLimits(60, 3000, 16)
    assert kind_of(lambda: run(connector, "SELECT x FROM t", few, names)) is ErrorKind.LIMIT
    assert run(connector, "SELECT x FROM t", enough, names).num_rows == 3000


def test_larger_result_than_allowed_is_limit(connector):
    wide = "SELECT repeat('x', 1000) AS s FROM t"
    limits = ExecutionLimits(60, 3000, 2)
    found = kind_of(lambda: run(connector, wide, limits, pa.schema([("s", pa.string())])))
    assert found is ErrorKind.LIMIT


@pytest.mark.parametrize(
    "sql",
    ["SELECT gone AS n FROM t", "SELECT x AS n FROM gone", "SELECT CAST(x AS DOUBLE) AS n FROM t",
     "SELECT x AS m FROM t", "SELECT 身份证号 AS n FROM t", "SELECT TIMESTAMP '2024-01-01' AS n"],
)  # fmt: skip
def test_drifted_schema_or_inexact_type_is_schema(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    "sql",
    [
        "SET spark.sql.ansi.enabled = false", "SELECT 1 AS n; SELECT 2 AS n", "SELECT 1 AS n;", "DROP VIEW t", "",
        "CREATE TABLE z AS SELECT 1 AS n", "WITH q AS (SELECT 1) INSERT INTO t SELECT * FROM q", "SELEC 1",
        "(DROP VIEW t)", "SELECT 1 AS n) AS a; DROP VIEW t; SELECT * FROM (SELECT 1 AS n", "SHOW TABLES",
    ],
)  # fmt: skip
def test_anything_but_one_select_is_refused_and_not_run(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.REFUSED
    assert run(connector, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3000}]


def test_words_of_the_server_go_to_the_detail_and_nowhere_else(connector, capfd, caplog):
    with pytest.raises(ConnectorError) as caught:
        run(connector, "SELECT CAST(身份证号 || 'x' AS BIGINT) AS n FROM t")
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.FAILED, "failed")
    assert "990101" in caught.value.detail
    assert "990101" not in "".join(capfd.readouterr()) + caplog.text


def test_files_added_later_are_read(server, tmp_path):
    made = SparkConnector(server.remote, views=views(tmp_path, {"t": TABLE}))
    assert run(made, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3000}]
    pq.write_table(TABLE.slice(0, 7), tmp_path / "t" / "c.parquet")
    assert run(made, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3007}]
    made.close()


# --- a server that goes away --------------------------------------------------------------------------------------


def test_lost_server_is_unreachable_and_is_found_again(tmp_path):
    with spark_server() as own:
        made = SparkConnector(own.remote, views=views(tmp_path, {"t": TABLE}))
        assert run(made, "SELECT COUNT(*) AS n FROM t").num_rows == 1
        own.stop()
        assert kind_of(lambda: run(made, "SELECT 1 AS n")) is ErrorKind.UNREACHABLE
        own.start()
        assert run(made, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3000}]
        own.stop()
        own.start()  # unseen by the connector: its session is gone, and nobody has told it
        assert run(made, "SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 3000}]
        made.close()


def test_server_lost_during_a_statement_is_unreachable(tmp_path):
    with spark_server() as own:
        made = SparkConnector(own.remote, views=views(tmp_path, {"t": TABLE}))
        assert run(made, "SELECT COUNT(*) AS n FROM t").num_rows == 1
        ending = threading.Timer(0.5, own.stop)
        ending.start()
        assert kind_of(lambda: run(made, ENDLESS)) is ErrorKind.UNREACHABLE
        ending.join()
        made.close()


# --- description --------------------------------------------------------------------------------------------------


def test_description_names_exact_kinds_and_tells_what_is_not_exact(server, tmp_path):
    pq.write_table(
        pa.table(
            {
                "a": pa.array([1], pa.int8()), "b": pa.array([1], pa.int64()), "c": pa.array([1], pa.decimal128(12, 2)),
                "d": pa.array(["x"]), "e": pa.array([0], pa.date32()), "f": pa.array([True]), "g": pa.array([1.5]),
                "h": pa.array([0], pa.timestamp("us")), "i": pa.array([[1]], pa.list_(pa.int64())), "j": pa.array([b"x"]),
            }
        ),
        tmp_path / "a.parquet",
    )  # fmt: skip
    made = SparkConnector(server.remote, views={"表": str(tmp_path), "b": str(tmp_path)})
    assert set(made.describe()) == {"表", "b"}
    found = made.describe(["表", "gone"])
    assert set(found) == {"表"}
    kinds = [TypeKind.INTEGER, TypeKind.INTEGER, TypeKind.DECIMAL, TypeKind.TEXT, TypeKind.DATE]
    kinds += [TypeKind.BOOLEAN, *[TypeKind.OTHER] * 4]
    assert [column.kind for column in found["表"].columns] == kinds
    assert found["表"].columns[2] == ColumnDescription("c", TypeKind.DECIMAL, 12, 2)
    made.close()


# --- kernels ------------------------------------------------------------------------------------------------------

KERNEL = TokenKernel(bytes(range(32)), "person", "身份证号")
TREE = {
    "rows": {
        "node": "Rows", "first": {"node": "Table", "alias": "t0", "dataset": "x.t"}, "joins": [], "where": None,
    },
    "columns": [
        {"node": "Dimension", "name": name, "expression": {"node": "Field", "relation": "t0", "name": name}}
        for name in ROWS.names
    ],
}  # fmt: skip
SELECTED = Statement("rows", "SELECT x, 身份证号 FROM t", TREE, ROWS)


def test_kernel_runs_where_our_packages_are_not_and_gives_the_same_tokens(connector):
    result = KERNEL.result(ROWS)
    found = connector.scan(SELECTED, KERNEL, result, LIMITS)
    wanted = MemoryConnector({"t": TABLE}).scan(SELECTED, KERNEL, result, LIMITS)
    assert found.schema == wanted.schema
    assert found.sort_by("x").equals(wanted.sort_by("x"))


def test_kernel_sees_exactly_the_columns_of_the_statement(connector):
    narrow = Statement("rows", "SELECT CAST(x AS SMALLINT) AS x, 身份证号 FROM t", TREE, ROWS)
    result = KERNEL.result(ROWS)
    assert connector.scan(narrow, KERNEL, result, LIMITS).column("x").type == pa.int64()


def test_kernel_yields_more_than_allowed_is_limit(connector):
    limits = ExecutionLimits(60, 2999, 16)
    scan = lambda: connector.scan(SELECTED, KERNEL, KERNEL.result(ROWS), limits)  # noqa: E731
    assert kind_of(scan) is ErrorKind.LIMIT


def _breaking(batches):
    for batch in batches:
        raise ValueError(batch.column(1)[0].as_py())
    yield None


def test_kernel_that_raises_is_failed_and_its_words_stay(connector, capfd):
    assert kind_of(lambda: connector.scan(SELECTED, _breaking, ROWS, LIMITS)) is ErrorKind.FAILED
    assert "990101" not in "".join(capfd.readouterr())


def test_key_is_sent_with_the_kernel_and_kept_nowhere_else(connector):
    connector.scan(SELECTED, KERNEL, KERNEL.result(ROWS), LIMITS)
    assert KERNEL.key.hex() not in repr(vars(connector))
