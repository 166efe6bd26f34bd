"""Measure the blinded tokens of a private join beside their curve operations alone and beside openmined-psi.

Prints one JSON object. Run: ``python -m benchmarks.bench_blinded [rows]``.

End to end means: both departments hash and blind their lists, seal, open and check each other's, multiply again, cut
tokens; the gateway matches. All in this process and one pool of worker processes, one after the other; no network.
Curve operations alone are as many X25519 products, on points that lie ready, on as many processes: two a row and side.
openmined-psi works in one process, and what it does is less: it tells one side which identifiers match. So our own
figure with a single process stands beside the one with all.
"""

import json
import os
import secrets
import statistics
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.machine import machine, peak_mib
from benchmarks.peers.environments import PeerError, measured
from middleplatform.crypto.blinded import (
    BlindKey,
    blind,
    blind_again,
    check_points,
    tokens,
)
from middleplatform.crypto.curve_workers import Workers
from middleplatform.crypto.hazmat.hash_to_curve import encode, multiply

ROWS = 100_000
RUNS = 3
CONTEXT = bytes(range(32))
TARGET = 1.5


class SystemRng:
    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def seconds_of(work) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


# --- End to end ---------------------------------------------------------------------------------


def sides(rows: int) -> dict[str, pa.Array]:
    """Return two lists of identity numbers of a made region, half of each in the other."""
    starts = {"a": 0, "b": rows // 2}
    return {
        n: pa.array([f"990101{at:012d}" for at in range(s, s + rows)]) for n, s in starts.items()
    }


def end_to_end(lists: dict[str, pa.Array], workers: Workers) -> dict[str, float]:
    """Return seconds by step; the number of matches is checked."""
    steps: dict[str, float] = {}

    def step(name, work):
        begin = time.perf_counter()
        result = work()
        steps[name] = steps.get(name, 0.0) + time.perf_counter() - begin
        return result

    keys = {name: BlindKey.fresh(SystemRng(), CONTEXT) for name in lists}
    found = {}
    for owner, other in (("a", "b"), ("b", "a")):
        rows, sealing = lists[owner], AESGCM(secrets.token_bytes(32))
        points = step(
            "hash_and_blind", lambda o=owner, r=rows: blind(r, "person", keys[o], workers)
        )
        sealed = step(
            "seal", lambda s=sealing, p=points: s.encrypt(bytes(12), p.tobytes(), CONTEXT)
        )
        opened = step("open", lambda s=sealing, p=sealed: opened_points(s, p))
        again = step("blind_again", lambda o=other, p=opened: blind_again(p, keys[o], workers))
        found[owner] = step("tokens", lambda p=again: tokens(p, CONTEXT, workers))
    matches = step("match", lambda: matched(found["a"], found["b"]))
    rows = len(lists["a"])
    assert matches == rows - rows // 2
    return steps


def opened_points(sealing: AESGCM, sealed: bytes) -> np.ndarray:
    raw = sealing.decrypt(bytes(12), sealed, CONTEXT)
    points = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 32)
    return check_points(points, len(points))


def matched(one: np.ndarray, other: np.ndarray) -> int:
    """Return how many tokens are in both: tokens are uniform, so eight bytes find, and sixteen decide."""
    wide = [each.view(np.uint64) for each in (one, other)]
    ordered = wide[1][np.argsort(wide[1][:, 0])]
    places = np.minimum(np.searchsorted(ordered[:, 0], wide[0][:, 0]), len(ordered) - 1)
    return int((ordered[places] == wide[0]).all(axis=1).sum())


# --- Curve operations alone ---------------------------------------------------------------------


def products(points: bytes, times: int) -> float:
    """Multiply all points so many times; return processor seconds."""
    scalar, begin = secrets.token_bytes(32), time.process_time()
    for _ in range(times):
        multiply(scalar, points)
    return time.process_time() - begin


def curve_alone(rows: int, processes: int) -> tuple[float, float]:
    """Return seconds and processor seconds of both sides' products: two a row and side, nothing else, no pipe."""
    share, spawn = rows // processes, get_context("spawn")
    points = encode([at.to_bytes(8, "big") for at in range(share)], b"benchmark")
    pipes = [spawn.Pipe() for _ in range(processes)]
    pool = [spawn.Process(target=_at_a_sign, args=(points, theirs)) for _, theirs in pipes]
    for each in pool:
        each.start()
    for ours, _ in pipes:
        ours.recv()
    begin = time.perf_counter()
    for ours, _ in pipes:
        ours.send(None)
    processor = sum(ours.recv() for ours, _ in pipes)
    seconds = time.perf_counter() - begin
    for each in pool:
        each.join()
    return seconds, processor


def _at_a_sign(points: bytes, pipe) -> None:
    pipe.send(None)
    pipe.recv()
    pipe.send(products(points, 4))


# --- Steps by themselves ------------------------------------------------------------------------


def single_core_us(rows: int = 10_000) -> dict[str, float]:
    """Return microseconds a row of each step on one core, in this process."""
    messages = [b"990101%012d" % at for at in range(rows)]
    inline, key = Workers.inline(), BlindKey.fresh(SystemRng(), CONTEXT)
    raw = encode(messages, b"benchmark")
    points = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 32)
    product_s = statistics.median(seconds_of(lambda: products(raw, 1)) for _ in range(RUNS))
    work = {
        "hash_to_curve": lambda: encode(messages, b"benchmark"),
        "checked_product": lambda: blind_again(points, key, inline),
        "token": lambda: tokens(points, CONTEXT, inline),
    }
    found = {"product": round(1e6 * product_s / rows, 2)}
    for name, each in work.items():
        found[name] = round(
            1e6 * statistics.median(seconds_of(each) for _ in range(RUNS)) / rows, 2
        )
    return found


def processor_seconds(workers: Workers) -> float:
    """Return what this process and its workers have used, by the system's count (10 ms)."""
    used = time.process_time()
    for each in workers.processes:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def ours(lists: dict[str, pa.Array], processes: int) -> dict[str, object]:
    """Return the medians over ``RUNS`` runs, end to end and curve alone taken in turns."""
    rows = len(lists["a"])
    runs, alone, used = [], [], []
    with Workers(processes) as workers:
        blind(lists["a"].slice(0, 10), "person", BlindKey.fresh(SystemRng(), CONTEXT), workers)
        for _ in range(RUNS):
            before = processor_seconds(workers)
            runs.append(end_to_end(lists, workers))
            used.append(processor_seconds(workers) - before)
            alone.append(curve_alone(rows, processes))
    totals = [sum(each.values()) for each in runs]
    middle = runs[int(np.argsort(totals)[len(totals) // 2])]
    whole, products_s = statistics.median(totals), statistics.median(wall for wall, _ in alone)
    processor, alone_s = statistics.median(used), statistics.median(each for _, each in alone)
    return {
        "processes": processes,
        "seconds": round(whole, 3),
        "us_per_row": round(1e6 * whole / (2 * rows), 2),
        "curve_alone_seconds": round(products_s, 3),
        "times_curve_alone": round(whole / products_s, 3),
        "processor_seconds": round(processor, 3),
        "curve_alone_processor_seconds": round(alone_s, 3),
        "times_curve_alone_processor": round(processor / alone_s, 3),
        "steps": {name: round(each, 3) for name, each in middle.items()},
    }


def peer(rows: int) -> dict[str, object]:
    try:
        return dict(measured("openmined-psi", rows))
    except PeerError as error:
        return {"failed": str(error)}


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    lists, cores = sides(rows), len(os.sched_getaffinity(0))
    every = ours(lists, cores)
    single = ours(lists, 1)
    beside = peer(rows)
    theirs = beside.get("seconds")
    print(json.dumps({
        "benchmark": "blinded",
        "rows_a_side": rows,
        "all_cores": every,
        "one_core": single,
        "target_times_curve_alone": TARGET,
        "openmined_psi": beside,
        "times_faster_than_openmined_psi": theirs and round(theirs / every["seconds"], 2),
        "times_faster_on_one_core": theirs and round(theirs / single["seconds"], 2),
        "single_core_us_per_row": single_core_us(),
        "peak_mib": peak_mib(),
        "machine": machine(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
