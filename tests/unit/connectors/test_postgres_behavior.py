"""What a PostgreSQL source does when a statement is wrong, late, too large or unwanted, or the server is gone."""

import threading

import pyarrow as pa
import pytest
from postgres_server import READER, SCHEMA, running_server

from connectors.postgres import PostgresConnector
from connectors.spi import (
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Statement,
    TypeKind,
)

LIMITS = ExecutionLimits(timeout_s=120, rows_max=1000, memory_mb=16)
NUMBER = pa.schema([("n", pa.int64())])
ENDLESS = (
    "SELECT COUNT(*) AS n FROM generate_series(1, 10000000) AS a, generate_series(1, 10000000) AS b"
)
NUMBERS = f"SELECT generate_series(1, {10**12}) AS n"  # sent as they are made, without end
COUNT = "SELECT COUNT(*) AS n FROM t"


@pytest.fixture(scope="module")
def server():
    with running_server() as started:
        yield started


@pytest.fixture
def connector(server):
    server.load(
        {
            "t": pa.table(
                {
                    "x": pa.array(range(3000), pa.int64()),
                    "身份证号": [f"99010119800101{number:04}" for number in range(3000)],
                }
            )
        }
    )
    made = opened(server)
    yield made
    made.close()


def opened(server, **more):
    where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": READER}
    return PostgresConnector(**where, schema=SCHEMA, **more)


def run(connector, sql, limits=LIMITS, result=NUMBER):
    return connector.execute(Statement("rows", sql, {}, result), limits)


def kind_of(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert str(caught.value) == caught.value.kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.kind


def in_thread(action):
    """Run ``action`` in a thread; return it and the list that gets its kind of failure."""
    kinds = []
    thread = threading.Thread(target=lambda: kinds.append(kind_of(action)))
    thread.start()
    return thread, kinds


def wait_until_it_runs(server):
    active = (
        f"SELECT COUNT(*) FROM pg_stat_activity WHERE usename = '{READER}' AND state = 'active'"
    )
    while server.rows(active) == [(0,)]:
        pass


def sessions(server):
    return server.rows(f"SELECT COUNT(*) FROM pg_stat_activity WHERE usename = '{READER}'")[0][0]


# --- statements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS n; SELECT 2 AS n", "SELECT 1 AS n; DROP TABLE t", "SELECT 1) TO STDOUT; --", "SELEC 1", "", ";", "SELECT 1\0AS n",
        "SET statement_timeout = 0", "SHOW work_mem", "COMMIT", "COPY t TO STDOUT", "COPY t TO PROGRAM 'true'", "EXPLAIN SELECT 1", "DO $$BEGIN END$$",
        "INSERT INTO t VALUES (1, '') RETURNING x AS n", "WITH n AS (DELETE FROM t RETURNING x) SELECT x AS n FROM n",
        "WITH n AS (SELECT 1 AS x) INSERT INTO t SELECT x FROM n", "SELECT x AS n FROM t FOR UPDATE", "SELECT x AS n INTO z FROM t",
        "SELECT 1 AS n FROM pg_authid", "SELECT pg_read_file('/etc/hostname') AS n", "SELECT nextval('numbers') AS n",
        "SELECT LENGTH(set_config('transaction_read_only', 'off', false))::bigint AS n",
    ],
)  # fmt: skip
def test_anything_but_one_select_that_reads_is_refused(server, connector, sql):
    server.run(f"CREATE SEQUENCE {SCHEMA}.numbers; GRANT SELECT ON {SCHEMA}.numbers TO {READER}")
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.REFUSED
    assert run(connector, COUNT).to_pylist() == [{"n": 3000}]


def test_a_role_that_was_widened_meanwhile_still_cannot_write(server, connector):
    server.run(f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {READER}")
    delete = "WITH n AS (DELETE FROM t RETURNING x) SELECT COUNT(*) AS n FROM n"
    assert kind_of(lambda: run(connector, delete)) is ErrorKind.REFUSED
    # That cost the connection; the next one sees the role as it is now.
    assert kind_of(lambda: run(connector, COUNT)) is ErrorKind.REFUSED


def test_what_a_statement_leaves_behind_is_undone_before_the_next(server, connector):
    text = pa.schema([("n", pa.string())])
    for name, value in (("default_transaction_read_only", "off"), ("search_path", "public")):
        run(connector, f"SELECT set_config('{name}', '{value}', false) AS n", result=text)
        left = run(connector, f"SELECT current_setting('{name}') AS n", result=text)
        assert left.to_pylist() != [{"n": value}]
    # A large object may be made even in a transaction that is read only.
    run(connector, "SELECT lo_create(0)::bigint AS n")
    assert server.rows("SELECT COUNT(*) FROM pg_largeobject_metadata") == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT gone AS n FROM t", "SELECT x AS n FROM gone", "SELECT gone(x) AS n FROM t", "SELECT x AS n FROM t WHERE x = '1'::text",
        "SELECT x FROM t", "SELECT x AS n, x AS m FROM t", "SELECT 身份证号 AS n FROM t", "SELECT 1.5::float8 AS n", "SELECT now() AS n",
        "SELECT 'x'::char(3) AS n", "SELECT '{}'::json AS n",
    ],
)  # fmt: skip
def test_what_the_source_no_longer_has_is_schema(connector, sql):
    assert kind_of(lambda: run(connector, sql)) is ErrorKind.SCHEMA


def test_text_of_blank_padded_type_is_schema(connector):
    text = pa.schema([("n", pa.string())])
    sql = "SELECT 'x'::char(3) AS n"
    assert kind_of(lambda: run(connector, sql, result=text)) is ErrorKind.SCHEMA


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 9223372036854775808 AS n", pa.int64()),
        ("SELECT 1.5::numeric AS n", pa.int64()),
        ("SELECT 99999999999999999999999999999999999999999 AS n", pa.decimal128(38, 0)),
        ("SELECT 'NaN'::numeric(10, 2) AS n", pa.decimal128(38, 2)),
        ("SELECT 1.005 AS n", pa.decimal128(38, 2)),
        ("SELECT 'infinity'::date AS n", pa.date32()),
        ("SELECT '-infinity'::date AS n", pa.date32()),
        ("SELECT '0001-12-31 BC'::date AS n", pa.date32()),
        ("SELECT '10000-01-01'::date AS n", pa.date32()),
        ("SELECT 1 / (x - x) AS n FROM t", pa.int64()),
    ],
)
def test_a_value_that_the_result_cannot_say_is_failed(connector, sql, kind):
    result = pa.schema([("n", kind)])
    assert kind_of(lambda: run(connector, sql, result=result)) is ErrorKind.FAILED


def test_value_that_breaks_a_cast_stays_out_of_the_text(connector):
    with pytest.raises(ConnectorError) as caught:
        run(connector, "SELECT CAST(身份证号 AS smallint) AS n FROM t")
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.FAILED, "failed")
    assert "990101" in caught.value.detail


# --- limits -------------------------------------------------------------------------------------------------------


def test_endless_statement_is_stopped_in_the_server_as_timeout(server, connector):
    late = ExecutionLimits(0.3, 10, 1)
    assert kind_of(lambda: run(connector, ENDLESS, late)) is ErrorKind.TIMEOUT
    assert run(connector, COUNT).to_pylist() == [{"n": 3000}]
    running = "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE '%generate_series%' AND state = 'active' AND pid <> pg_backend_pid()"
    assert server.rows(running) == [(0,)]


def test_the_servers_own_clock_is_timeout_too(server, connector):
    slow = threading.Event()
    thread, kinds = in_thread(lambda: run(connector, ENDLESS, ExecutionLimits(30, 10, 1, slow)))
    wait_until_it_runs(server)
    server.rows(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{READER}'")
    thread.join()
    assert kinds == [ErrorKind.TIMEOUT]


def test_stop_cancels_a_statement_and_nothing_else(server, connector):
    stop = threading.Event()
    thread, kinds = in_thread(lambda: run(connector, ENDLESS, ExecutionLimits(30, 10, 1, stop)))
    wait_until_it_runs(server)
    answers = [run(connector, COUNT).to_pylist() for _ in range(20)]
    stop.set()
    answers += [run(connector, COUNT).to_pylist() for _ in range(20)]
    thread.join()
    assert kinds == [ErrorKind.CANCELLED]
    assert answers == [[{"n": 3000}]] * 40


def test_a_stop_that_was_set_before_runs_nothing(connector):
    stop = threading.Event()
    stop.set()
    late = ExecutionLimits(30, 10, 1, stop)
    assert kind_of(lambda: run(connector, COUNT, late)) is ErrorKind.CANCELLED


def test_more_rows_than_allowed_are_limit(connector):
    sql = "SELECT x AS n FROM t"
    assert kind_of(lambda: run(connector, sql, ExecutionLimits(30, 2999, 16))) is ErrorKind.LIMIT
    assert run(connector, sql, ExecutionLimits(30, 3000, 16)).num_rows == 3000


def test_a_large_result_is_limit_before_it_is_whole(connector):
    text = pa.schema([("n", pa.string())])
    endless = f"SELECT repeat('x', 1000) AS n FROM ({NUMBERS}) AS a"
    limits = ExecutionLimits(30, 10**12, 16)
    assert kind_of(lambda: run(connector, endless, limits, text)) is ErrorKind.LIMIT
    assert run(connector, COUNT).to_pylist() == [{"n": 3000}]


def test_a_table_that_somebody_alters_is_locked(server):
    server.load({"t": pa.table({"x": [1]})})
    connector = opened(server, lock_timeout_s=1)
    with server.connected() as altering, altering.cursor() as cursor:
        cursor.executescript(f"BEGIN; LOCK TABLE {SCHEMA}.t IN ACCESS EXCLUSIVE MODE")
        assert kind_of(lambda: run(connector, COUNT)) is ErrorKind.LOCKED
        cursor.executescript("ROLLBACK")
    assert run(connector, COUNT).to_pylist() == [{"n": 1}]
    connector.close()


def test_many_threads_share_few_connections(server, connector):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(run(connector, COUNT).to_pylist()))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[{"n": 3000}]] * 40
    assert 1 <= sessions(server) <= 4


def test_a_full_pool_waits_no_longer_than_the_limits(server):
    server.load({"t": pa.table({"x": [1]})})
    connector = opened(server, connections=1)
    stop = threading.Event()
    thread, kinds = in_thread(lambda: run(connector, ENDLESS, ExecutionLimits(30, 10, 1, stop)))
    wait_until_it_runs(server)
    late = ExecutionLimits(0.2, 10, 1)
    assert kind_of(lambda: run(connector, COUNT, late)) is ErrorKind.TIMEOUT
    stop.set()
    thread.join()
    assert kinds == [ErrorKind.CANCELLED]
    connector.close()


# --- the server ---------------------------------------------------------------------------------------------------


def test_a_server_killed_in_a_statement_is_unreachable_and_comes_back(server, connector):
    idle = run(connector, COUNT)
    thread, kinds = in_thread(lambda: run(connector, ENDLESS))
    wait_until_it_runs(server)
    server.kill()
    thread.join()
    assert kinds == [ErrorKind.UNREACHABLE]
    assert kind_of(lambda: run(connector, COUNT)) is ErrorKind.UNREACHABLE
    server.start()
    assert run(connector, COUNT).equals(idle)


def test_a_server_that_was_started_again_between_two_statements_is_no_failure(server, connector):
    before = run(connector, COUNT)
    server.stop()
    server.start()
    assert run(connector, COUNT).equals(before)


def test_a_connection_that_the_administrator_ends_is_unreachable(server, connector):
    thread, kinds = in_thread(lambda: run(connector, ENDLESS))
    wait_until_it_runs(server)
    server.rows(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{READER}'"
    )
    thread.join()
    assert kinds == [ErrorKind.UNREACHABLE]


def test_a_frozen_server_is_timeout_and_blocks_nobody_for_good(server):
    server.load({"t": pa.table({"x": [1]})})
    connector = opened(server, connections=2)
    thread, kinds = in_thread(lambda: run(connector, ENDLESS, ExecutionLimits(1, 10, 1)))
    wait_until_it_runs(server)
    server.freeze()
    try:
        late = ExecutionLimits(0.2, 10, 1)
        assert kind_of(lambda: run(connector, COUNT, late)) is ErrorKind.TIMEOUT
        thread.join()
        assert kind_of(lambda: run(connector, COUNT, late)) is ErrorKind.TIMEOUT
    finally:
        server.thaw()
    assert kinds == [ErrorKind.TIMEOUT]
    assert run(connector, COUNT).to_pylist() == [{"n": 1}]
    connector.close()


def test_no_server_and_no_role_are_unreachable(server):
    for more in ({"port": 1}, {"user": "nobody here"}, {"dbname": "gone"}):
        where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": READER}
        found = kind_of(lambda more=more, where=where: PostgresConnector(**{**where, **more}))
        assert found is ErrorKind.UNREACHABLE


@pytest.mark.parametrize("schema", ["部门 一", 'a"b', "it's", "back\\slash", "x, public"])
def test_a_schema_of_any_name_is_read_over_a_unix_socket_too(server, schema):
    server.load({"t": pa.table({"x": [1, 2]})}, schema)
    where = {"host": str(server.folder), "port": server.port, "dbname": "postgres", "user": READER}
    connector = PostgresConnector(**where, schema=schema)
    assert list(connector.describe()) == ["t"]
    forever = ExecutionLimits(10.0**9, 10, 1)
    assert run(connector, COUNT, forever).to_pylist() == [{"n": 2}]
    connector.close()


def test_a_wrong_password_is_unreachable_and_stays_out_of_the_detail(server, tmp_path):
    path = tmp_path / "password"
    path.write_text("wrong-secret")
    path.chmod(0o600)
    server.run("CREATE ROLE other LOGIN PASSWORD 'right'")
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text("host all other all scram-sha-256\n" + rules.read_text())
    server.stop()
    server.start()
    where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": "other"}
    with pytest.raises(ConnectorError) as caught:
        PostgresConnector(**where, password_file=path)
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert "secret" not in caught.value.detail
    path.write_text("right\n")
    PostgresConnector(**where, password_file=path).close()


def test_closing_stops_what_runs_as_unreachable_and_leaves_no_session(server, connector):
    thread, kinds = in_thread(lambda: run(connector, ENDLESS))
    wait_until_it_runs(server)
    connector.close()
    thread.join()
    assert kinds == [ErrorKind.UNREACHABLE]
    assert kind_of(lambda: run(connector, COUNT)) is ErrorKind.UNREACHABLE
    while sessions(server):
        pass


# --- scan ---------------------------------------------------------------------------------------------------------

ROWS = Statement("rows", "SELECT x, 身份证号 AS id FROM t", {}, pa.schema([("x", pa.int64()), ("id", pa.string())]))  # fmt: skip


def test_a_scan_streams_exact_batches_through_the_kernel(connector):
    seen = []

    def kernel(batches):
        for batch in batches:
            seen.append(batch.schema)
            total = pa.compute.sum(batch["x"]).as_py()
            yield pa.RecordBatch.from_pydict({"n": [total or 0]})

    found = connector.scan(ROWS, kernel, NUMBER, LIMITS)
    assert sum(found["n"].to_pylist()) == 3000 * 2999 // 2
    assert set(seen) == {ROWS.result}


def test_what_a_kernel_raises_is_failed_and_what_it_yields_is_limited(connector):
    def broken(batches):
        yield from (batch for batch in batches if 1 // 0)

    assert kind_of(lambda: connector.scan(ROWS, broken, NUMBER, LIMITS)) is ErrorKind.FAILED
    limits = ExecutionLimits(30, 2999, 16)
    assert kind_of(lambda: connector.scan(ROWS, iter, ROWS.result, limits)) is ErrorKind.LIMIT


def test_stop_ends_a_scan(connector):
    stop = threading.Event()

    def kernel(batches):
        for batch in batches:
            stop.set()
            yield batch

    endless = Statement("rows", NUMBERS, {}, NUMBER)  # fmt: skip
    limits = ExecutionLimits(30, 10**12, 10**6, stop)
    assert kind_of(lambda: connector.scan(endless, kernel, NUMBER, limits)) is ErrorKind.CANCELLED


# --- description --------------------------------------------------------------------------------------------------


def test_description_names_exact_kinds_and_tells_what_is_not_exact(server):
    server.load({})
    server.run(
        f"SET search_path = {SCHEMA}; CREATE DOMAIN money2 AS numeric(12,2); CREATE DOMAIN cents AS money2; CREATE TYPE mood AS ENUM ('x');"
        "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        'CREATE TABLE "表" (a bigint NOT NULL, b numeric(12,2), c text, d date, e boolean, f float8, g numeric, h int[], i mood, j timestamp,'
        "k smallint, l varchar(9), m char(9), n numeric(39,2), o cents, p numeric(5,-2), q text COLLATE folded, r json, s numeric(38,38), t int);"
        'CREATE VIEW v AS SELECT a, b FROM "表"; CREATE MATERIALIZED VIEW m AS SELECT b FROM "表";'
        "CREATE TABLE parted (x int) PARTITION BY LIST (x); CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);"
        "CREATE TABLE hidden (x int); CREATE TABLE half (x int, y int)"
    )  # fmt: skip
    server.run(
        f'GRANT SELECT ON {SCHEMA}."表", {SCHEMA}.v, {SCHEMA}.m, {SCHEMA}.parted TO {READER}',
        f"GRANT SELECT (y) ON {SCHEMA}.half TO {READER}",
    )
    connector = opened(server)
    found = connector.describe()
    assert set(found) == {"表", "v", "m", "parted", "half"}
    assert found["m"].columns == (ColumnDescription("b", TypeKind.DECIMAL, 12, 2),)
    assert [column.name for column in found["half"].columns] == ["y"]
    kinds = {column.name: column.kind for column in found["表"].columns}
    exact = {**dict.fromkeys("akt", TypeKind.INTEGER), **dict.fromkeys("bos", TypeKind.DECIMAL)}
    exact |= {**dict.fromkeys("clm", TypeKind.TEXT), "d": TypeKind.DATE, "e": TypeKind.BOOLEAN}
    assert kinds == dict.fromkeys("abcdefghijklmnopqrst", TypeKind.OTHER) | exact
    digits = {column.name: (column.precision, column.scale) for column in found["表"].columns}
    assert (digits["b"], digits["o"], digits["s"]) == ((12, 2), (12, 2), (38, 38))
    assert not found["表"].columns[0].nullable
    assert found["v"].columns[0].nullable
    assert set(connector.describe(["v", "gone", "表'"])) == {"v"}
    assert connector.describe(["\0"]) == {}
    connector.close()


def test_capabilities_are_constant(connector):
    assert connector.capabilities() == connector.capabilities()
    assert connector.capabilities().dialect == "postgres"
    assert connector.capabilities().streaming
