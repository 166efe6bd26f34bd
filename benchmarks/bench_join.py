"""Measure a private join of two departments over mutual TLS against the plain join of their pooled data.

Each department is a ``middleplatform node serve`` of its own; the gateway is in this process. The question asks COUNT,
SUM and AVG by group; half of each side's persons are on the other side. Plain is DuckDB's join over both files in one
process, of as many threads, on the same machine, asked in turn with the private one. The governed time is the whole of
``gateway.submit``, durable log entries included; every answer is compared with the plain one. Processor seconds are of
all processes together.

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
from typing import Any, Self

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


def serve_plain(folder: Path, holders: tuple[str, ...]) -> None:
    """Join the pooled files once for each line of standard input; tell seconds, rows and peak memory."""
    database = JoinWorld(folder, holders).pooled(JOIN, threads=THREADS, memory_mb=MEMORY_MB)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        before, begin = time.process_time(), time.perf_counter()
        table = database.sql(JOIN).to_arrow_table()
        seconds = time.perf_counter() - begin
        spent = time.process_time() - before
        told = {
            "seconds": seconds,
            "processor_s": spent,
            "rows": _plain_rows(table),
            "peak_mib": peak_mib(),
        }
        print(json.dumps(told), flush=True)


class Plain:
    """The plain join in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.bench_join", "--plain", str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        self._read()
        return self

    def ask(self) -> Mapping[str, Any]:
        self._process.stdin.write("join\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Mapping[str, Any]:
        line = self._process.stdout.readline()
        assert line, "the plain join ended"
        return json.loads(line)

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


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
    with (
        Plain(data) as pooled,
        running(world, state, threads=THREADS, memory_mb=MEMORY_MB) as nodes,
    ):
        nodes.ask(JOIN)  # files, connections and code are warm, as for the plain one
        nodes.forget_peaks()
        pairs = [(pooled.ask(), nodes.ask(JOIN)) for _ in range(runs)]
        peaks = nodes.peaks_mib()
    return _told(rows, [pair[0] for pair in pairs], [pair[1] for pair in pairs], peaks)


def _told(
    rows: int, plain: list[Mapping[str, Any]], asked: list[Asked], peaks: Mapping[str, int]
) -> dict[str, object]:
    right = plain[0]["rows"]
    equal = all(_plain_rows(each.answer.release.table) == right for each in asked)
    assert equal, "the private answer differs from the plain one"
    middle = sorted(asked, key=lambda each: each.seconds)[len(asked) // 2]
    plain_s = statistics.median(each["seconds"] for each in plain)
    found: dict[str, object] = {
        "rows": rows,
        "groups": len(right),
        "protocol": middle.answer.protocol,
        "plain_s": round(plain_s, 4),
        "private_s": round(middle.seconds, 3),
        "all_plain_s": [round(each["seconds"], 4) for each in plain],
        "all_private_s": [round(each.seconds, 3) for each in asked],
        "ratio": round(middle.seconds / plain_s, 2),
        "processor_s": {
            "plain": round(statistics.median(each["processor_s"] for each in plain), 3),
            "private": round(statistics.median(each.processor_s for each in asked), 3),
        },
        "peak_mib": {"plain": plain[-1]["peak_mib"], **peaks},
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
        serve_plain(options.plain, ("tax",))
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
