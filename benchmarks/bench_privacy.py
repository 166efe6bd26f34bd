"""Measure differentially private answers: error and time beside the plain SQL, and beside smartnoise-sql.

A million made visits of 245,000 persons in 100 groups; one answer with count, sum and mean of each group spends
epsilon 1 at policy's delta for each person, thresholds for labels included. Errors are against the exact answer, so
they hold what the bounds cut off as well as the noise. Governed time is the whole of ``gateway.submit``.

Run: ``python -m benchmarks.bench_privacy [--rows N] [--runs N] [--no-peer]``; prints one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import duckdb

from benchmarks import visits
from benchmarks.machine import machine, wait_until_quiet
from benchmarks.peers.environments import PeerError, python_of
from middleplatform.demo.runtime import open_platform
from middleplatform.model.budget import epsilon_at
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings

ROWS, UNITS = 1_000_000, 245_000
EPSILON, DELTA = 1.0, Fraction(1, 10**9)
GROUPS, ROWS_OF_A_UNIT, CAP = 10, 2, 6000
TARGETS = {"count": 0.015, "sum": 0.015, "avg": 0.02, "seconds_over_plain": 0.7}
_WORDS = "COUNT(*) AS n, SUM(cost) AS total, AVG(cost) AS mean"
_PLAIN = f"SELECT code, {_WORDS} FROM visit GROUP BY code ORDER BY code"
_ASKED = f"SELECT code, {_WORDS} FROM health.visit GROUP BY code ORDER BY code"


def loss(epsilon: float, delta: Fraction) -> Fraction:
    """Return the largest loss of four decimals whose epsilon is at most ``epsilon``, with half of delta for labels."""
    each = 10_000
    while epsilon_at(Fraction(each, 10_000), delta / 2) > epsilon:
        each -= 1
    return Fraction(each, 10_000)


def _bundle(folder: Path, rho: Fraction) -> Path:
    """Write the visits' bundle with an offer of noise and a cap."""
    text = (folder / "plain.yaml").read_text(encoding="utf-8")
    whole = '"1000/1"'
    privacy = (
        f"privacy: {{rho: {rho}, delta: 1/1000000000, groups: {GROUPS}, rows: {ROWS_OF_A_UNIT},"
        f" rho_snapshot: {whole}, rho_project: {whole}, rho_analyst: {whole}}}"
    )
    text = text.replace("method: exact,", f"method: exact, {privacy},").replace(
        "cost: {}", f"cost: {{cap: {CAP}}}"
    )
    path = folder / "noise.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _errors(found: list[Mapping[str, object]], exact: Mapping[str, tuple[float, ...]]) -> Mapping:
    shown = [(row, exact[row["code"]]) for row in found]
    return {
        name: statistics.mean(abs(float(row[column]) / true[place] - 1) for row, true in shown)
        for place, (name, column) in enumerate((("count", "n"), ("sum", "total"), ("avg", "mean")))
    }


def _ours(folder: Path, runs: int, rho: Fraction) -> Mapping[str, object]:
    with duckdb.connect(
        str(folder / "health.duckdb"), read_only=True, config={"threads": 2}
    ) as raw:
        seconds = []
        for _ in range(runs + 1):
            begin = time.perf_counter()
            plain = raw.sql(_PLAIN).fetchall()
            seconds.append(time.perf_counter() - begin)
    exact = {code: tuple(map(float, rest)) for code, *rest in plain}
    settings = Settings(
        state=folder / "state", catalog=folder / "catalog", bundle=_bundle(folder, rho), data=folder,
        threads=2, memory_mb=2048, deadline_s=300,
    )  # fmt: skip
    subject = Subject("analyst", "drc", frozenset({Role.ANALYST}), ("*",))
    noisy, errors = [], []
    with open_platform(settings) as platform, asyncio.Runner() as runner:
        gateway = platform.gateway
        for run in range(runs + 1):
            request = gateway.request(
                _ASKED, subject, "statistics", project=f"p{run}", noise="policy"
            )
            begin = time.perf_counter()
            answer = runner.run(gateway.submit(request))
            noisy.append(time.perf_counter() - begin)
            errors.append(_errors(answer.release.table.to_pylist(), exact))
    typical = statistics.median(noisy[1:])
    return {
        "plain_s": round(statistics.median(seconds[1:]), 3),
        "noisy_s": round(typical, 3),
        "seconds_over_plain": round(typical - statistics.median(seconds[1:]), 3),
        "noisy_spread_s": [round(min(noisy[1:]), 3), round(max(noisy[1:]), 3)],
        "groups_shown": answer.release.table.num_rows,
        "mean_relative_error": {
            name: round(statistics.mean(each[name] for each in errors), 5)
            for name in ("count", "sum", "avg")
        },
    }


def _peer(folder: Path) -> Mapping[str, object]:
    path = folder / "visit.csv"
    with duckdb.connect(str(folder / "health.duckdb"), read_only=True) as raw:
        columns = "id_number, code, cost::DOUBLE AS cost"
        raw.execute(f"COPY (SELECT {columns} FROM visit) TO '{path}' (FORMAT csv)")
    try:
        interpreter = python_of("smartnoise")
    except PeerError as error:
        return {"peer": "smartnoise-sql", "failed": str(error)}
    script = Path(__file__).parent / "peers" / "smartnoise_peer.py"
    given = [str(each) for each in (path, EPSILON, float(DELTA), GROUPS, CAP)]
    command = [str(interpreter), str(script), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"peer": "smartnoise-sql", "failed": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def measure(rows: int = ROWS, runs: int = 5, *, peer: bool = True) -> Mapping[str, object]:
    """Return the figures over ``rows`` visits, medians of ``runs`` runs."""
    rho = loss(EPSILON, DELTA)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        visits.build(folder, rows, max(1, rows * UNITS // ROWS))
        load = wait_until_quiet(60)
        found = {"middleplatform": _ours(folder, runs, rho)}
        if peer:
            found["smartnoise"] = _peer(folder)
    bounds = {"groups": GROUPS, "rows": ROWS_OF_A_UNIT, "cap": CAP}
    return {
        "benchmark": "privacy", "rows": rows, "units": UNITS, "epsilon": EPSILON, "delta": float(DELTA),
        "rho": str(rho), "bounds": bounds, "targets": TARGETS, "runs": runs, "load_at_start": load, **found,
    }  # fmt: skip


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Measure differentially private answers.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    found = measure(options.rows, options.runs, peer=not options.no_peer)
    print(json.dumps({**found, "machine": machine()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
