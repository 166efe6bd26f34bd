"""Measure the evidence statement of a governed question on Spark Connect against DuckDB, on the same Parquet files.

Both run the statement that the platform's planner writes for them, with two threads, in processes of their own. The
Spark Connect server is pysail on this machine: one node, no Java. So the figures compare engines on one machine; what a
cluster adds, they do not show. Memory is the most that the engine's process held, and for Spark that of the node's
process, which receives the result, too.

Run: ``python -m benchmarks.bench_spark [--rows N] [--runs N] [--folder DIR] [--keep]``; prints JSON. Not part
of ``benchmarks.run``: a hundred million rows take many minutes and gigabytes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from benchmarks import payments
from benchmarks.machine import QUIET_LOAD, machine, peak_mib, wait_until_quiet
from connectors.spark import SparkConnector
from connectors.spi import ExecutionLimits, Statement
from middleplatform.model.policy import Limits
from middleplatform.planner.evidence import evidence_statement
from middleplatform.planner.layout import layout_of
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

QUERIES: Mapping[str, str] = {
    "by region (31 groups)": (
        "SELECT region, COUNT(*), SUM(amount), AVG(amount) FROM ga.payment GROUP BY region"
    ),
    "last three of 36 months, by category (12 groups)": (
        "SELECT category, COUNT(*), SUM(amount) FROM ga.payment "
        "WHERE month >= '2024-10-01' GROUP BY category"
    ),
}
THREADS = 2
MEMORY_MB = 12_288
_LIMITS = ExecutionLimits(timeout_s=3600, rows_max=10_000, memory_mb=64)
_SERVER = """
import sys
from pysail.spark import SparkConnectServer
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
print(server.listening_address[1], flush=True)
sys.stdin.read()
"""


def statement(sql: str, dialect: str) -> Statement:
    """Return the evidence statement for the one block of ``sql``."""
    catalog = payments.catalog()
    (cell,) = qualify(parse(sql, Limits()), catalog).cells
    made = evidence_statement(cell, layout_of(cell, catalog), dialect)
    return Statement(made.kind, made.sql, made.tree, made.result)


# --- the two sides, each in a process of its own -----------------------------------------------------


def _duckdb(place: Path, runs: int) -> None:
    config = {"threads": THREADS, "memory_limit": f"{MEMORY_MB}MiB", "temp_directory": ""}
    with duckdb.connect(config=config) as engine:
        engine.execute(
            f"CREATE VIEW {payments.TABLE} AS SELECT * FROM read_parquet('{place}/*.parquet')"
        )
        for name, sql in QUERIES.items():
            made = statement(sql, "duckdb")
            for _ in range(runs + 1):
                begin = _now(None)
                rows = engine.sql(made.sql).to_arrow_table().num_rows
                _tell(name, begin, _now(None), rows, {"engine": peak_mib()})


def _spark(place: Path, runs: int) -> None:
    command = [sys.executable, "-c", _SERVER]
    # pysail takes as many threads as there are processors; it is given as many as the other side has.
    command = ["taskset", "--cpu-list", f"0-{THREADS - 1}", *command]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        remote = f"sc://127.0.0.1:{int(server.stdout.readline())}"
        with closing(SparkConnector(remote, views={payments.TABLE: str(place)})) as connector:
            for name, sql in QUERIES.items():
                made = statement(sql, "spark")
                for _ in range(runs + 1):
                    begin = _now(server.pid)
                    rows = connector.execute(made, _LIMITS).num_rows
                    peak = {"engine": _peak_mib_of(server.pid), "node": peak_mib()}
                    _tell(name, begin, _now(server.pid), rows, peak)
        server.kill()


def _peak_mib_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) >> 10


def _now(server: int | None) -> tuple[float, float]:
    """Return wall time, and processor time of this process and the server: the latter means something under load."""
    used = time.process_time()
    if server is not None:
        stat = Path(f"/proc/{server}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        used += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), used


def _tell(
    query: str,
    begin: tuple[float, float],
    end: tuple[float, float],
    rows: int,
    peak: Mapping[str, int],
) -> None:
    told = {"query": query, "s": end[0] - begin[0], "cpu_s": end[1] - begin[1], "rows": rows}
    print(json.dumps({**told, "peak_mib": peak}), flush=True)


_SIDES = {"duckdb": _duckdb, "spark": _spark}


# --- the comparison -----------------------------------------------------------------------------------


def _side(side: str, place: Path, runs: int) -> list[Mapping]:
    command = [sys.executable, "-m", "benchmarks.bench_spark", "--side", side, "--runs", str(runs)]
    made = subprocess.run(
        [*command, "--place", str(place)], stdout=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line) for line in made.stdout.splitlines()]


def measure(rows: int, runs: int, folder: Path) -> Mapping[str, object]:
    """Return the figures: medians of ``runs`` runs a side, after one that warms the files."""
    place = payments.build(folder, rows)
    load = wait_until_quiet(120)
    told = {side: _side(side, place, runs) for side in _SIDES}
    found: dict[str, dict[str, object]] = {}
    for query in QUERIES:
        for side, lines in told.items():
            mine = [line for line in lines if line["query"] == query]
            seconds = [line["s"] for line in mine[1:]]
            found.setdefault(query, {})[side] = {
                "s": round(statistics.median(seconds), 2),
                "cpu_s": round(statistics.median(line["cpu_s"] for line in mine[1:]), 2),
                "first_s": round(mine[0]["s"], 2),
                "spread_s": [round(min(seconds), 2), round(max(seconds), 2)],
                "peak_mib_so_far": mine[-1]["peak_mib"],
                "cells": mine[-1]["rows"],
            }
    return {
        "benchmark": "spark",
        "rows": rows,
        "parquet_mib": sum(file.stat().st_size for file in place.glob("*.parquet")) >> 20,
        "threads": THREADS,
        "duckdb_memory_limit_mb": MEMORY_MB,
        "runs": runs,
        "quiet": max(load, os.getloadavg()[0] - THREADS)
        < QUIET_LOAD,  # the end has our own threads
        "load_at_start": load,
        "queries": found,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Spark Connect against DuckDB.")
    parser.add_argument("--rows", type=int, default=payments.ROWS)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--keep", action="store_true", help="leave the Parquet files")
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        _SIDES[options.side](options.place, options.runs)
        return 0
    folder = options.folder.resolve()
    found = measure(options.rows, options.runs, folder)
    print(json.dumps({**found, "machine": machine(folder)}, indent=1))
    if not options.keep:
        shutil.rmtree(folder / f"payments-{options.rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
