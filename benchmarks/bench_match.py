"""Measure what the gateway does in a private join: matching, cells, places, masked sums, in nanoseconds a list row.

Two sides of as many rows, two thirds of whose keys they have in common; 100 label tuples on one, three masked words on
the other. Each size is measured in a process of its own, so that its peak memory is its own.
Prints one JSON line a size. Run: ``python -m benchmarks.bench_match [ROWS ...]``.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np

from benchmarks.machine import machine
from middleplatform.combine.join_cells import cells_of, groups_of, judged, survivors
from middleplatform.combine.join_match import SideList, match
from middleplatform.combine.join_sums import masked_sums, places_by_department
from middleplatform.model.query import JoinKind

SIZES = (100_000, 1_000_000, 10_000_000)
LABELS, WIDTH, LEAST = 100, 3, 10
REPEATS = 3


def sides(rows: int) -> list[SideList]:
    """Return two lists in secret orders of their own."""
    draw = np.random.default_rng(7)
    keys = draw.integers(0, 2**64, size=(rows * 4 // 3, 2), dtype=np.uint64)
    made = []
    for labels, width in ((LABELS, 0), (0, WIDTH)):
        own = keys[draw.permutation(len(keys))[:rows]]
        codes = draw.integers(0, max(1, labels), rows, dtype=np.uint32)
        names = tuple(b"%016d" % number for number in range(labels))
        words = draw.integers(0, 2**64, size=(rows, width), dtype=np.uint64)
        made.append(SideList(JoinKind.INNER, True, own, codes, names, -1, (0, rows), (), words))
    return made


def run(rows: int, repeats: int) -> dict[str, object]:
    """Return the best processor time of each step, in nanoseconds a list row, and the best time of all, in seconds."""
    lists = sides(rows)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    laps: dict[str, list[float]] = {}
    walls: list[float] = []
    for _ in range(repeats):
        wall, begin = time.perf_counter_ns(), time.process_time_ns()

        def lap(name: str) -> None:
            nonlocal begin
            now = time.process_time_ns()
            laps.setdefault(name, []).append((now - begin) / (2 * rows))
            begin = now

        found = match(lists)
        lap("match")
        cells = cells_of(lists, found)
        kept = survivors(cells, [judged(lists, cells)[1]], LEAST)
        lap("cells")
        groups = groups_of(found[1], cells, kept)
        places_by_department(groups, lists[1].starts)
        lap("places")
        masked_sums(lists[1].words, groups)
        lap("sums")
        walls.append((time.perf_counter_ns() - wall) / 1e9)
    best = {name: round(min(times), 1) for name, times in laps.items()}
    whole = min(map(sum, zip(*laps.values(), strict=True)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "benchmark": "match",
        "rows_a_side": rows,
        "matches": int(found[0].size),
        "processor_ns_a_row": {**best, "all": round(whole, 1)},
        "seconds": round(min(walls), 3),
        "lists_mib": held // 1024,
        "peak_mib": peak // 1024,
    }


def main() -> None:
    """Measure every size in turn."""
    if "--one" in sys.argv:
        rows = int(float(sys.argv[-1]))
        print(json.dumps(run(rows, REPEATS)))
        return
    print(json.dumps({"benchmark": "machine", "machine": machine()}))
    for size in sys.argv[1:] or map(str, SIZES):
        command = [sys.executable, "-m", "benchmarks.bench_match", "--one", size]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
