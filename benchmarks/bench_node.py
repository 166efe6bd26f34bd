"""Measure a node behind mutual TLS: round trip of a small fragment, and throughput of Arrow results.

The node is a process of its own (``middleplatform node serve``) on the demonstration's population; the caller is the
gateway's own client. Throughput is the same server and client around a made table: no engine takes part.
Run: ``python -m benchmarks.bench_node [--calls N]``; prints one JSON object.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.machine import machine
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo import build
from middleplatform.demo.departments import sources
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import PERSONAS
from middleplatform.dispatch.http_transport import HttpTransport
from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.enrolment import quick
from middleplatform.enrolment.trust import Trust
from middleplatform.model.plan import Fragment
from middleplatform.settings import Settings

TARGET_MS = 5.0
_SQL = (
    'SELECT "t0"."region_code" AS "d0", COUNT(*) AS "a0" FROM "ga"."population" AS "t0" '
    'WHERE ("t0"."birth_year" <= {year}) GROUP BY 1'
)
_FORGETFUL = {"answers_mb": 0}
_WARM = 30
_ROWS = 2_000_000
_BIG_CALLS = 6


def gateway_link(root: Path, department: str) -> tuple[HttpTransport, WireLink, Trust]:
    """Return the gateway's client of one node."""
    clock = SystemClock()
    trust = Trust.open(quick.gateway_trust(root), "gateway", clock)
    transport = HttpTransport(trust, trust.explain)
    caller = Caller(transport, trust.identity, trust.pins, clock, SystemRng(), 60)
    return transport, WireLink(department, caller), trust


def fragment(trust: Trust, policy: str, year: int) -> tuple[bytes, bytes]:
    """Return a fresh small fragment, signed."""
    made = Fragment(
        SystemRng().token_bytes(16).hex(), 1, 0, "ga", "local", ("ga",), _SQL.format(year=year),
        PERSONAS["analyst_drc"], "statistics", "drc", policy, SystemClock().now().isoformat(),
    )  # fmt: skip
    raw = made.to_bytes()
    return raw, trust.identity.sign("fragment", raw)


async def timed(calls: int, call: Callable[[int], Coroutine[Any, Any, object]]) -> list[float]:
    """Return milliseconds of each call, one after the other, after a few that do not count."""
    for number in range(_WARM):
        await call(number)
    found = []
    for number in range(calls):
        begun = time.perf_counter()
        await call(number)
        found.append((time.perf_counter() - begun) * 1000)
    return found


def told(times: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(times), 2),
        "p95_ms": round(sorted(times)[int(len(times) * 0.95)], 2),
    }


def round_trips(folder: Path, calls: int) -> dict[str, object]:
    """Measure an empty call, and the same fragment again: as nodes are set, and with every answer run anew."""
    settings = Settings(data=folder / "data", state=folder / "state")
    build.build(settings.data, None)
    specs = {"ga": sources(settings)["ga"]}
    found: dict[str, object] = {}
    for name, limits in {
        "small fragment": {},
        "small fragment, nothing remembered": _FORGETFUL,
    }.items():
        root = folder / name.replace(" ", "-")
        nodes = NodeProcesses(root, specs, limits=limits)
        with nodes.start(SystemClock(), SystemRng(), lambda *_: None):
            transport, link, trust = gateway_link(root, "ga")
            try:
                empty, small = asyncio.run(_round_trips(link, trust, calls))
            finally:
                transport.close()
        found |= {"status": told(empty), name: told(small) | {"target_p50_ms": TARGET_MS}}
    return found


async def _round_trips(link: WireLink, trust: Trust, calls: int) -> tuple[list[float], list[float]]:
    policy = str((await link.status())["policy_digest"])

    async def answered(number: int) -> object:
        del number
        return await link.answer(*fragment(trust, policy, 1964))

    return await timed(calls, lambda _: link.status()), await timed(calls, answered)


def throughput(folder: Path) -> dict[str, object]:
    """Measure a large result over the whole way: encoded, hashed, signed, TLS, checked, decoded."""
    root = folder / "big"
    port = _free_port()
    quick.enrol_all(root, {"ga": f"127.0.0.1:{port}"}, SystemRng(), SystemClock())
    command = [sys.executable, "-m", "benchmarks.big_node", str(root), str(port), str(_ROWS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), "the node did not start"
        transport, link, _ = gateway_link(root, "ga")
        try:
            times, size = asyncio.run(_large(link))
        finally:
            transport.close()
    finally:
        process.stdin.close()
        process.wait(30)
    best, middle = size / min(times) / 1e6, size / statistics.median(times) / 1e6
    return {
        "result_mb": round(size / 1e6, 1),
        "mb_per_s_p50": round(middle),
        "mb_per_s_best": round(best),
    }


async def _large(link: WireLink) -> tuple[list[float], int]:
    times, size = [], 0
    for _ in range(_BIG_CALLS):
        begun = time.perf_counter()
        found = await link.answer(b"", b"")
        times.append(time.perf_counter() - begun)
        size = found.cells.nbytes
    return times, size


def big_table(rows: int) -> pa.Table:
    """Return a table like a large answer: labels, counts, sums, marks."""
    rng = np.random.default_rng(7)
    return pa.table({
        "d0": pa.array([f"99{number % 1000:04}" for number in range(rows)]),
        "rows_0": pa.array(rng.integers(10, 1000, rows)),
        "sum_0": pa.array(rng.integers(10, 10**9, rows)),
        "m0": pa.nulls(rows, pa.string()),
    })  # fmt: skip


def _free_port() -> int:
    import socket  # noqa: PLC0415 - here only

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        found = {
            "benchmark": "node",
            "cpus": os.cpu_count(),
            "round_trip": round_trips(folder, options.calls),
            "throughput": throughput(folder),
            "machine": machine(),
        }
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
