"""Measure a governed aggregate over ten million rows against the raw DuckDB query.

The raw query computes the same words and COUNT(DISTINCT unit), on the same file with the same
number of threads and the same memory limit. Each side is a process of its own, so that its peak
memory is its own; the two are asked in turn. The governed time is the whole of ``gateway.submit``,
durable log entries included.

Run: ``python -m benchmarks.bench_governed_aggregate [--rows N] [--runs N] [--folder DIR]``; prints
one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Self

import duckdb

from benchmarks import visits
from benchmarks.machine import machine, peak_mib, wait_until_quiet
from middleplatform.demo.runtime import open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings

TARGET_RATIO = 1.5
THREADS = 2
MEMORY_MB = 4096

_WORDS = "COUNT(*) AS n, SUM(cost) AS total, AVG(cost) AS mean"
QUERIES: Mapping[str, str] = {
    "by code (100 groups)": f"SELECT code, {_WORDS} FROM health.visit GROUP BY code",
    "by region (6 groups)": f"SELECT region_code, {_WORDS} FROM health.visit GROUP BY region_code",
    "filtered, by code": (
        f"SELECT code, {_WORDS} FROM health.visit WHERE visit_year >= 2020 GROUP BY code"
    ),
}
Ask = Callable[[Mapping[str, str]], None]


# --- the two sides ------------------------------------------------------------------------------


@contextmanager
def _raw(folder: Path) -> Iterator[Ask]:
    config = {"threads": THREADS, "memory_limit": f"{MEMORY_MB}MiB", "temp_directory": ""}
    with duckdb.connect(str(folder / "health.duckdb"), read_only=True, config=config) as database:

        def ask(message: Mapping[str, str]) -> None:
            words = _WORDS + ", COUNT(DISTINCT id_number) AS units"
            sql = message["sql"].replace("health.visit", "visit").replace(_WORDS, words)
            database.sql(sql).to_arrow_table()

        yield ask


@contextmanager
def _governed(folder: Path, bundle: str) -> Iterator[Ask]:
    with tempfile.TemporaryDirectory(dir=folder) as state:
        settings = Settings(
            state=Path(state), catalog=folder / "catalog", bundle=folder / f"{bundle}.yaml",
            data=folder, threads=THREADS, memory_mb=MEMORY_MB, deadline_s=300,
        )  # fmt: skip
        subject = Subject("analyst", "drc", frozenset({Role.ANALYST}), ("*",))
        with open_platform(settings) as platform, asyncio.Runner() as runner:
            gateway = platform.gateway

            def ask(message: Mapping[str, str]) -> None:
                request = gateway.request(
                    message["sql"], subject, "statistics", project=message.get("project", "drc")
                )
                runner.run(gateway.submit(request))

            yield ask


def _serve(side: str, folder: Path) -> None:
    """Answer questions from standard input, one JSON object a line: seconds and any refusal."""
    with _raw(folder) if side == "raw" else _governed(folder, side) as ask:
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            begin = time.perf_counter()
            code = ""
            try:
                ask(json.loads(line))
            except MiddleplatformError as error:
                code = error.code
            seconds = time.perf_counter() - begin
            told = {"seconds": seconds, "code": code, "peak_mib": peak_mib()}
            print(json.dumps(told), flush=True)


class _Side:
    """One side in a process of its own."""

    def __init__(self, side: str, folder: Path) -> None:
        module = [sys.executable, "-m", "benchmarks.bench_governed_aggregate"]
        command = [*module, "--serve", side, "--folder", str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def ask(self, sql: str, project: str = "drc") -> Mapping[str, object]:
        self._process.stdin.write(json.dumps({"sql": sql, "project": project}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Mapping[str, object]:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a side of the comparison ended early; its error is above")
        return json.loads(line)


# --- the comparison -----------------------------------------------------------------------------


def _ratio(folder: Path, bundle: str, sql: str, runs: int, fresh: bool) -> Mapping[str, object]:
    """Compare one query; ``fresh`` asks it for a project without history each time."""
    seconds: dict[str, list[float]] = {"raw": [], "governed": []}
    peaks: dict[str, object] = {}
    projects = count()
    with _Side("raw", folder) as raw, _Side(bundle, folder) as governed:
        for run in range(runs + 1):
            for name, side in (("raw", raw), ("governed", governed)):
                told = side.ask(sql, f"project-{next(projects)}" if fresh else "drc")
                if told["code"]:
                    raise SystemExit(f"refused: {told['code']}: {sql}")
                if run:  # the first of each warms the file
                    seconds[name].append(float(told["seconds"]))
                peaks[name] = told["peak_mib"]
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return {
        "raw_s": round(medians["raw"], 3),
        "governed_s": round(medians["governed"], 3),
        "ratio": round(medians["governed"] / medians["raw"], 3),
        "spread_s": {
            name: [round(min(found), 3), round(max(found), 3)] for name, found in seconds.items()
        },
        "peak_mib": peaks,
    }


def _history(folder: Path) -> Mapping[str, object]:
    """Time a project's questions one after the other, each against all before it."""
    asked = [
        *QUERIES.items(),
        *((f"{name}, again", sql) for name, sql in QUERIES.items()),
        ("by region, another year", (
            f"SELECT region_code, {_WORDS} FROM health.visit WHERE visit_year >= 2019 "
            "GROUP BY region_code")),
        ("ungrouped", f"SELECT {_WORDS} FROM health.visit"),
        ("ungrouped, filtered", f"SELECT {_WORDS} FROM health.visit WHERE visit_year >= 2020"),
        ("conditional", (
            "SELECT region_code, COUNT(*) AS n, "
            "SUM(CASE WHEN visit_year >= 2021 THEN cost END) AS late "
            "FROM health.visit GROUP BY region_code")),
    ]  # fmt: skip
    found = []
    with _Side("history", folder) as governed:
        for name, sql in asked:
            told = governed.ask(sql)
            found.append({"question": name, "seconds": round(float(told["seconds"]), 3),
                          "code": told["code"], "peak_mib": told["peak_mib"]})  # fmt: skip
    return {"one_project_in_order": found}


def measure(
    rows: int = visits.ROWS, runs: int = 7, folder: Path | None = None
) -> Mapping[str, object]:
    """Return the figures over ``rows`` visits, medians of ``runs`` runs a side."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        units = max(1, rows // (visits.ROWS // visits.UNITS))
        visits.build(folder, rows, units)
        load = wait_until_quiet(60)
        compared = {
            name: {
                "history_off": _ratio(folder, "plain", sql, runs, fresh=False),
                "history_on_first_question": _ratio(folder, "history", sql, runs, fresh=True),
                "history_on_repeated": _ratio(folder, "history", sql, runs, fresh=False),
            }
            for name, sql in QUERIES.items()
        }
        history = _history(folder)
    return {
        "benchmark": "governed_aggregate",
        "rows": rows,
        "units": units,
        "threads": THREADS,
        "memory_limit_mb": MEMORY_MB,
        "runs": runs,
        "target_ratio": TARGET_RATIO,
        "load_at_start": load,
        "queries": compared,
        "history": history,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure governed aggregates against raw DuckDB.")
    parser.add_argument("--rows", type=int, default=visits.ROWS)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="keep the data here; default: a temporary one")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve, options.folder)
        return 0
    found = measure(options.rows, options.runs, options.folder)
    print(json.dumps({**found, "machine": machine(options.folder)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
