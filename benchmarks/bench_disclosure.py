"""Measure evidence and decision of tier S over a million rows: in the node's own functions, beside the plain aggregate.

Evidence is the evidence statement, the list of each cell's units and their cell keys; decision is the primary rules,
the noise, and the threshold on what it leaves. Reading is DuckDB's, with two threads; nothing is remembered between
runs but the file. Processor seconds are of all threads. History is measured with ``bench_governed_aggregate``.

Run: ``python -m benchmarks.bench_disclosure [--rows N] [--units N] [--runs N] [--folder DIR]``; prints one JSON object.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import duckdb
import numpy as np

from benchmarks import visits
from benchmarks.machine import machine, peak_mib, wait_until_quiet
from connectors.duckdb import DuckDBConnector
from connectors.spi import ExecutionLimits
from middleplatform.catalog import load
from middleplatform.disclosure.disclose import disclose
from middleplatform.disclosure.perturb import few_contributors, perturb, small
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import DisclosureParameters
from middleplatform.node.measure import Source
from middleplatform.node.perturbed import keys_and_units
from middleplatform.node.units import UnitNumbers
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment

TARGET_S = 1.0
ROWS, UNITS = 1_000_000, 245_000
THREADS, MEMORY_MB = 2, 4096
_WORDS = "COUNT(*) AS a0, SUM(cost) AS a1, AVG(cost) AS a2"
QUESTIONS: Mapping[str, str] = {
    "no groups": f"SELECT {_WORDS} FROM health.visit",
    "by region (6 groups)": f"SELECT region_code AS d0, {_WORDS} FROM health.visit GROUP BY region_code",
    "by code (100 groups)": f"SELECT code AS d0, {_WORDS} FROM health.visit GROUP BY code",
    "by code, conditional": (
        "SELECT code AS d0, COUNT(*) AS a0, SUM(CASE WHEN visit_year >= 2021 THEN cost END) AS a1 "
        "FROM health.visit GROUP BY code"
    ),
}
_PARAMETERS = DisclosureParameters(method="perturb")
_LIMITS = ExecutionLimits(timeout_s=300, rows_max=100_000, memory_mb=MEMORY_MB)


def _timed(seconds: dict[str, list[float]], step: str, work: Callable[[], object]) -> object:
    begin = time.perf_counter()
    found = work()
    seconds[step].append(time.perf_counter() - begin)
    return found


def _run(source: Source, catalog: Catalog, sql: str, seconds: dict[str, list[float]]) -> float:
    """Answer one question, each step timed; return the mean absolute noise of its counts of units."""
    cell, _ = read_fragment(sql, catalog)
    layout, numbers = layout_of(cell, catalog), UnitNumbers(bytes(32))
    begin, busy = time.perf_counter(), time.process_time()
    measured = _timed(seconds, "evidence", lambda: source.measure(cell, layout))

    def count() -> object:
        return keys_and_units(cell, layout, measured, source, numbers, contributors=True)

    found, contributors = _timed(seconds, "cell_keys", count)
    own = len(layout.populations)
    keys = found[:, :own]

    def decide() -> object:
        disclose(layout, measured.evidence, _PARAMETERS)
        few_contributors(layout, contributors[:, own:], found[:, own:], _PARAMETERS)
        words = perturb(layout, measured.evidence, keys, _PARAMETERS)
        small(layout, measured.evidence, words, _PARAMETERS)
        return words

    words = _timed(seconds, "decision", decide)
    seconds["whole"].append(time.perf_counter() - begin)
    seconds["processor"].append(time.process_time() - busy)
    return float(np.abs(words.units - measured.evidence.units).mean())


def measure(
    rows: int = ROWS, units: int = UNITS, runs: int = 7, folder: Path | None = None
) -> Mapping[str, object]:
    """Return medians of ``runs`` runs of each question over ``rows`` visits of ``units`` persons."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder / "disclosure"  # beside other measurements' rows
        path = visits.build(folder, rows, units)
        catalog = load(folder / "catalog")
        load_now = wait_until_quiet(60)
        plain = {name: _plain(path, sql, runs) for name, sql in QUESTIONS.items()}
        connector = DuckDBConnector(path, threads=THREADS, memory_mb=MEMORY_MB)
        stack.callback(connector.close)
        source = Source("health", connector, _LIMITS)
        found = {}
        for name, sql in QUESTIONS.items():
            seconds: dict[str, list[float]] = defaultdict(list)
            for run in range(runs + 1):
                noise = _run(source, catalog, sql, seconds)
                if not run:  # the first warms the file
                    seconds.clear()
            steps = {step: round(statistics.median(each), 3) for step, each in seconds.items()}
            found[name] = {**steps, "plain_s": plain[name], "noise": round(noise, 2)}
    return {
        "benchmark": "disclosure", "rows": rows, "units": units, "threads": THREADS, "runs": runs,
        "target_s": TARGET_S * rows / ROWS, "load_at_start": load_now, "questions": found,
        "peak_mib": peak_mib(),
    }  # fmt: skip


def _plain(path: Path, sql: str, runs: int) -> float:
    """Return seconds of the plain aggregate in DuckDB: the median."""
    asked = sql.replace("health.visit", "visit")
    config = {"threads": THREADS, "memory_limit": f"{MEMORY_MB}MiB"}
    seconds = []
    with duckdb.connect(str(path), read_only=True, config=config) as database:
        for _ in range(runs + 1):
            begin = time.perf_counter()
            database.sql(asked).to_arrow_table()
            seconds.append(time.perf_counter() - begin)
    return round(statistics.median(seconds[1:]), 3)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure evidence and decision of tier S.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="keep the data here; default: a temporary one")
    options = parser.parse_args()
    found = measure(options.rows, options.units, options.runs, options.folder)
    print(json.dumps({**found, "machine": machine(options.folder)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
