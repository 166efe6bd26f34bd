"""Measure the secure sum: masking with signature, checking and adding, in nanoseconds a cell.

Prints one JSON line. Run: ``python benchmarks/bench_secure_sum.py``.
"""

import json
import os
import platform
import secrets
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.round_context import SUITE, RoundContext
from middleplatform.crypto.secure_sum import Party, agreed_digest
from middleplatform.crypto.secure_total import unmask
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.crypto.word_layout import Measure, WordLayout

CELLS = 1_000_000
PARTIES = 5
REPEATS = 5


class SystemRng:
    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def ready_parties(context: RoundContext) -> tuple[list[Party], PinnedKeys]:
    rng = SystemRng()
    keys = {name: IdentityKey.generate(rng) for name in context.cohort}
    pins = PinnedKeys({name: key.public_key for name, key in keys.items()})
    started = [Party.start(context, n, k, rng, used=MemoryUsedRounds()) for n, k in keys.items()]
    hellos = [hello for _, hello in started]
    parties = [party for party, _ in started]
    sealed = parties[0].agree(hellos, pins)
    for name, party in zip(context.cohort[1:], parties[1:], strict=True):
        party.agree(hellos, pins)
        party.accept_label_key(sealed[name])
    return parties, pins


def machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def elapsed_ns(work) -> tuple[float, object]:
    start = time.perf_counter_ns()
    result = work()
    return time.perf_counter_ns() - start, result


def main() -> None:
    layout = WordLayout((Measure("a0", 1),))
    cohort = tuple(f"d{at}" for at in range(PARTIES))
    context = RoundContext(SUITE, 1, "bench", 1, cohort, layout.digest, "00" * 32)
    agree_ns, (parties, pins) = elapsed_ns(lambda: ready_parties(context))
    values = pa.array(np.random.default_rng(7).integers(-(2**40), 2**40, CELLS))
    positions = np.arange(CELLS)

    def encode():
        return layout.encode({"a0": values}, positions=positions, cells=CELLS, parties=PARTIES)

    words = encode()
    encode_ns = statistics.median(elapsed_ns(encode)[0] for _ in range(REPEATS))
    agreed = agreed_digest(b"bench")
    masks, adds = [], []
    for at in range(REPEATS):
        vectors, phase = [], f"p{at}"
        for party in parties:
            ns, vector = elapsed_ns(lambda p=party, f=phase: p.mask(words, phase=f, agreed=agreed))
            masks.append(ns)
            vectors.append(vector)
        ns, total = elapsed_ns(
            lambda v=vectors, f=phase: unmask(context, v, pins, phase=f, agreed=agreed)
        )
        adds.append(ns / PARTIES)
        assert np.array_equal(total, words * np.uint64(PARTIES))
    figures = {
        "benchmark": "secure_sum",
        "cells": CELLS,
        "departments": PARTIES,
        "agree_ms_all_departments": round(agree_ns / 1e6, 2),
        "encode_ns_per_cell": round(encode_ns / CELLS, 1),
        "mask_ns_per_cell_and_department": round(statistics.median(masks) / CELLS, 1),
        "unmask_ns_per_cell_and_department": round(statistics.median(adds) / CELLS, 1),
        "mask_and_add_ns_per_cell_and_department": round(
            (statistics.median(masks) + statistics.median(adds)) / CELLS, 1
        ),
        "target_ns": 150,
        "machine": machine(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
