"""Measure aggregates with evidence pushed down to PostgreSQL against reading the rows out into DuckDB.

Both sides ask one server on this machine, through the same connector. Pushed down, the server runs
the evidence statement and sends cells. Read out, it sends the columns that the question needs, and
an embedded DuckDB runs the same statement on them. The two are asked in turn, and must agree. For
scale, the server's own plain aggregate with its count of distinct units, which is no evidence.

Run: ``python -m benchmarks.bench_postgres [--rows N] [--runs N] [--folder DIR]``; prints one JSON
object. It needs the programs of PostgreSQL, and starts a server of its own.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from postgres_server import READER, SCHEMA, PostgresServer, running_server

from benchmarks import visits
from benchmarks.machine import machine, wait_until_quiet
from connectors.conformance import compare
from connectors.postgres import PostgresConnector
from connectors.spi import ExecutionLimits, Statement
from middleplatform.catalog import loader
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Limits
from middleplatform.planner.evidence import evidence_statement, rows_statement
from middleplatform.planner.layout import layout_of
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

ROWS = 2_000_000
THREADS = 2
MEMORY_MB = 2048
_LIMITS = ExecutionLimits(timeout_s=600, rows_max=20_000_000, memory_mb=4096)
_WORDS = "COUNT(*) AS n, SUM(cost) AS total, AVG(cost) AS mean"
_KEY = "id_number"
# Questions, each with the columns that it needs besides the unit.
QUERIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "by code (100 groups)": (
        f"SELECT code, {_WORDS} FROM health.visit GROUP BY code",
        ("code", "cost"),
    ),
    "by region (6 groups)": (
        f"SELECT region_code, {_WORDS} FROM health.visit GROUP BY region_code",
        ("region_code", "cost"),
    ),
    "filtered, by code": (
        f"SELECT code, {_WORDS} FROM health.visit WHERE visit_year >= 2024 GROUP BY code",
        ("code", "visit_year", "cost"),
    ),
    "count by code": (
        "SELECT code, COUNT(*) AS n FROM health.visit GROUP BY code",
        ("code",),
    ),
}
Side = Callable[[], pa.Table]


@contextmanager
def _served(folder: Path, rows: int) -> Iterator[tuple[PostgresServer, PostgresConnector]]:
    """Start a server that holds the visits."""
    path = visits.build(folder, rows, max(1, rows // (visits.ROWS // visits.UNITS)))
    with running_server() as server:
        create = (
            f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.visit (id_number text NOT NULL,"
            " region_code text NOT NULL, code text NOT NULL, visit_year int NOT NULL,"
            f" cost numeric(12, 2)); GRANT USAGE ON SCHEMA {SCHEMA} TO {READER}"
        )
        server.run(create)
        with (
            duckdb.connect(str(path), read_only=True) as source,
            server.connected() as connection,
            closing(connection.cursor()) as cursor,
        ):
            reader = source.sql("FROM visit").to_arrow_reader(100_000)
            cursor.adbc_ingest("visit", reader, mode="append", db_schema_name=SCHEMA)
        server.run(
            f"GRANT SELECT ON {SCHEMA}.visit TO {READER}",
            f"VACUUM (ANALYZE, FREEZE) {SCHEMA}.visit",
        )
        where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": READER}
        connector = PostgresConnector(**where, schema=SCHEMA, threads=THREADS, memory_mb=MEMORY_MB)
        with closing(connector):
            yield server, connector


def _statement(sql: str, catalog: Catalog, dialect: str) -> Statement:
    (cell,) = qualify(parse(sql, Limits()), catalog).cells
    found = evidence_statement(cell, layout_of(cell, catalog), dialect)
    return Statement(found.kind, found.sql, found.tree, found.result)


def _pushed(connector: PostgresConnector, sql: str, catalog: Catalog) -> Side:
    statement = _statement(sql, catalog, "postgres")
    return lambda: connector.execute(statement, _LIMITS)


def _read_out(
    connector: PostgresConnector, sql: str, columns: Sequence[str], catalog: Catalog
) -> tuple[Side, Side]:
    """Return what reads the rows, and what reads them and computes on them."""
    found = rows_statement("health.visit", (_KEY, *columns), catalog, "postgres")
    rows = Statement(found.kind, found.sql, found.tree, found.result)
    statement = _statement(sql, catalog, "duckdb")

    def read() -> pa.Table:
        return connector.execute(rows, _LIMITS)

    def answer() -> pa.Table:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": THREADS,
            "memory_limit": f"{MEMORY_MB}MiB",
        }
        with duckdb.connect(":memory:", config=config) as engine:
            engine.register("visit", read())
            return engine.sql(statement.sql).to_arrow_table().cast(statement.result)

    return read, answer


def _plain(connector: PostgresConnector, sql: str) -> Side:
    """Return the server's own aggregate with distinct units, without evidence."""
    label = sql.split()[1].rstrip(",")
    distinct = f"COUNT(DISTINCT {_KEY}) AS units, COUNT(*)"
    words = sql.replace("health.visit", "visit").replace("COUNT(*)", distinct)
    kinds = [(label, pa.string()), ("units", pa.int64()), ("n", pa.int64())]
    if "total" in sql:
        kinds.append(("total", pa.decimal128(38, 2)))
        words = words.replace(", AVG(cost) AS mean", "")
    statement = Statement("rows", words, {}, pa.schema(kinds))
    return lambda: connector.execute(statement, _LIMITS)


def _seconds(side: Side) -> tuple[float, pa.Table]:
    begin = time.perf_counter()
    found = side()
    return time.perf_counter() - begin, found


def _compared(
    connector: PostgresConnector, query: tuple[str, Sequence[str]], catalog: Catalog, runs: int
) -> Mapping[str, object]:
    sql, columns = query
    read, answer = _read_out(connector, sql, columns, catalog)
    sides = {
        "pushed": _pushed(connector, sql, catalog),
        "read_out": answer,
        "plain": _plain(connector, sql),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    told: dict[str, pa.Table] = {}
    for run in range(runs + 1):
        for name, side in sides.items():
            took, told[name] = _seconds(side)
            if run:  # the first of each warms the server
                seconds[name].append(took)
    problem = compare(told["pushed"], told["read_out"])
    if problem:
        raise SystemExit(f"the two sides differ: {sql}: {problem}")
    rows = read()
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return {
        **{f"{name}_s": round(median, 3) for name, median in medians.items()},
        "ratio": round(medians["read_out"] / medians["pushed"], 2),
        "spread_s": {
            name: [round(min(found), 3), round(max(found), 3)] for name, found in seconds.items()
        },
        "pushed_rows": told["pushed"].num_rows,
        "read_out_rows": rows.num_rows,
        "pushed_kib": round(told["pushed"].nbytes / 1024, 1),
        "read_out_mib": round(rows.nbytes / 2**20, 1),
    }


def measure(rows: int = ROWS, runs: int = 5, folder: Path | None = None) -> Mapping[str, object]:
    """Return the figures over ``rows`` visits, medians of ``runs`` runs a side."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        server, connector = stack.enter_context(_served(folder, rows))
        catalog = loader.load(folder / "catalog")
        load = wait_until_quiet(60)
        compared = {
            name: _compared(connector, query, catalog, runs) for name, query in QUERIES.items()
        }
        ((version,),) = server.rows("SELECT current_setting('server_version')")
    return {
        "benchmark": "postgres_push_down",
        "rows": rows,
        "server": version,
        "threads": THREADS,
        "memory_mb": MEMORY_MB,
        "runs": runs,
        "load_at_start": load,
        "queries": compared,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure push-down to PostgreSQL.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the data here; default: a temporary one")
    options = parser.parse_args()
    found = measure(options.rows, options.runs, options.folder)
    print(json.dumps({**found, "machine": machine(options.folder)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
