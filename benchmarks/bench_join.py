"""Measure a private join of two departments over mutual TLS against the plain join of their pooled data.

Each department is a ``middleplatform node serve`` of its own; the gateway is in this process. The question asks COUNT,
SUM and AVG by group; half of each side's persons are on the other side. Plain is DuckDB's join over both files in one
process, of as many threads, on the same machine. The governed time is the whole of ``gateway.submit``, durable log
entries included; every answer is compared with the plain one.

Run: ``python -m benchmarks.bench_join [--rows N ...] [--quick] [--large] [--peers]``; prints one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from benchmarks.join_nodes import Asked, running
from benchmarks.join_world import JOIN, JoinWorld, build
from benchmarks.machine import machine, peak_mib, wait_until_quiet
from benchmarks.peers.environments import PeerError
from benchmarks.peers.environments import measured as peer_figures

THREADS = 2
MEMORY_MB = 4096
TARGETS = {1_000_000: 6.0, 10_000_000: 10.0}
TARGET_MIB = 4096
PEERS = (("openmined-psi", 100_000, 300.0), ("spu-rr22", 1_000_000, 4.0))
"""Rows of each list, and how many times faster the whole join over TLS is to be than the peer's matching alone."""

_ROWS, _QUICK, _LARGE = [10_000, 100_000, 1_000_000], [10_000, 100_000], [10_000_000]


def plain(folder: Path, holders: tuple[str, ...], runs: int) -> dict[str, object]:
    """Join the pooled files ``runs`` times; tell seconds and the rows."""
    database = JoinWorld(folder, holders).pooled(JOIN, threads=THREADS, memory_mb=MEMORY_MB)
    times, rows = [], []
    for _ in range(runs):
        begin = time.perf_counter()
        table = database.sql(JOIN).to_arrow_table()
        times.append(time.perf_counter() - begin)
        rows = _plain_rows(table)
    return {"seconds": times, "rows": rows, "peak_mib": peak_mib()}


def _plain_rows(table: pa.Table) -> list[list[str]]:
    """Return label, count and total of each group, sorted, as text."""
    columns = [list(map(str, table[name].to_pylist())) for name in ("group_code", "n", "total")]
    return sorted(map(list, zip(*columns, strict=True)))


def measured(rows: int, runs: int, folder: Path) -> dict[str, object]:
    """Make the world of ``rows`` a side, join it both ways, and tell."""
    data, state = folder / f"data-{rows}", folder / f"state-{rows}"
    data.mkdir()
    state.mkdir()
    world = build(data, rows)
    command = [
        sys.executable,
        "-m",
        "benchmarks.bench_join",
        "--plain",
        str(data),
        "--runs",
        str(max(runs, 3)),
    ]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    pooled = json.loads(told)
    with running(world, state, threads=THREADS, memory_mb=MEMORY_MB) as nodes:
        nodes.ask(JOIN)  # files, connections and code are warm, as for the plain one
        nodes.forget_peaks()
        asked = [nodes.ask(JOIN) for _ in range(runs)]
        peaks = nodes.peaks_mib()
    return _told(rows, pooled, asked, peaks)


def _told(
    rows: int, pooled: Mapping[str, object], asked: list[Asked], peaks: Mapping[str, int]
) -> dict[str, object]:
    equal = all(_plain_rows(each.answer.release.table) == pooled["rows"] for each in asked)
    assert equal, "the private answer differs from the plain one"
    middle = sorted(asked, key=lambda each: each.seconds)[len(asked) // 2]
    plain_s = statistics.median(pooled["seconds"])
    found: dict[str, object] = {
        "rows": rows,
        "groups": len(pooled["rows"]),
        "protocol": middle.answer.protocol,
        "plain_s": round(plain_s, 4),
        "private_s": round(middle.seconds, 3),
        "all_s": [round(each.seconds, 3) for each in asked],
        "ratio": round(middle.seconds / plain_s, 2),
        "peak_mib": {"plain": pooled["peak_mib"], **peaks},
        "stages_ms": {name: round(value) for name, value in middle.stages.items()},
        "calls": {name: {key: round(value, 3) for key, value in each.items()}
                  for name, each in middle.calls.items()},
    }  # fmt: skip
    if rows in TARGETS:
        found["target_ratio"] = TARGETS[rows]
        found["target_mib"] = TARGET_MIB
    return found


def beside(sizes: Sequence[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    """Measure the peers at their numbers of rows, where the join was measured at them in this run."""
    for peer, rows, target in PEERS:
        join = next((each for each in sizes if each["rows"] == rows), None)
        if join is None:
            yield {"peer": peer, "not measured": f"needs --rows {rows}"}
            continue
        try:
            told = peer_figures(peer, rows)
        except PeerError as error:
            yield {"peer": peer, "not measured": str(error)}
            continue
        faster = round(float(told["seconds"]) / float(join["private_s"]), 1)
        yield {**told, "times_faster": faster, "target": target}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", help="rows of each side")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the two smallest only")
    parser.add_argument("--large", action="store_true", help="ten million rows as well")
    parser.add_argument(
        "--peers", action="store_true", help="other programs as well, where they are"
    )
    parser.add_argument("--folder", type=Path, help="for the data; a temporary one by default")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain is not None:
        print(json.dumps(plain(options.plain, ("tax",), options.runs)))
        return
    chosen = options.rows or (
        _QUICK if options.quick else _ROWS + (_LARGE if options.large else [])
    )
    load = wait_until_quiet(0 if options.quick else 120)
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        sizes = [measured(rows, options.runs, Path(made)) for rows in chosen]
    found: dict[str, object] = {"benchmark": "join", "sizes": sizes, "load": load}
    if options.peers:
        found["peers"] = list(beside(sizes))
    print(json.dumps(found | {"machine": machine()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
