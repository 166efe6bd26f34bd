"""Measure one secure sum over a hundred departments, each a process of its own behind mutual TLS, on two cores in all.

A launcher imports everything, makes the world and forks the departments' processes; then it is the gateway itself.
Each department answers a statement of its source from memory once its DuckDB has: the round is measured, with all
that node and gateway do (checks, authorization, durable records and logs), and not a hundred engines on one machine;
``--engines`` has them run every time. Prints one JSON line.
Run: ``python -m benchmarks.bench_hundred_departments [--departments N] [--sums N] [--engines]``.
"""

import argparse
import asyncio
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hundred_departments import QUESTIONS, Remembering, World, load_world, write_world
from benchmarks.machine import machine, wait_until_quiet
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.dispatch.http_transport import HttpTransport
from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.enrolment.problems import tls_problem
from middleplatform.enrolment.quick import enrol_all, gateway_trust, node_state, node_trust
from middleplatform.enrolment.trust import Trust
from middleplatform.gateway import Gateway
from middleplatform.ledger.history import History
from middleplatform.node.config import NodeConfig
from middleplatform.node.open import open_connector, open_node
from middleplatform.node.server.run import serve
from middleplatform.settings import Settings

TARGET_S = 2.0
CORES = 2
DEADLINE_S = 60
READY_S = 120.0
_PR_SET_PDEATHSIG = 1
_STEPS = ("hello", "agree", "codes", "cells", "ladder", "reveal")


# --- a department -----------------------------------------------------------------------------------------------------


def node_process(
    world: World, root: Path, department: str, address: str, ready: int, *, engines: bool
) -> None:
    """Be a department's node until a signal; told on ``ready`` when it takes calls."""
    clock, rng = SystemClock(), SystemRng()
    settings = Settings(threads=1, memory_mb=64, deadline_s=DEADLINE_S)
    state = node_state(root, department)
    trust = Trust.open(node_trust(root, department), department, clock)
    engine = open_connector(department, world.data / f"{department}.duckdb", settings)
    connector = engine if engines else Remembering(engine)
    opened = open_node(
        department, connector, world.catalog, world.bundle, trust.identity, trust.pins, state, clock, rng, settings
    )  # fmt: skip
    try:
        config = NodeConfig(department, state, state, state, listen=address)
        serve(config, trust, opened, lambda _: os.write(ready, b".") and None)
    finally:
        opened.close()


def forked(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process that ends with this one; return its number."""
    parent = os.getpid()
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:  # else it ended before the line above
            work()
            code = 0
    except BaseException as error:  # noqa: BLE001 - a forked process must not go on as its parent
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def in_process_of_its_own(work: Callable[[], None]) -> None:
    """Run ``work``, which may start threads, so that this process has none when it forks."""
    _, status = os.waitpid(forked(work), 0)
    assert status == 0, "the world could not be made"


@contextmanager
def departments_running(
    world: World, root: Path, addresses: Mapping[str, str], *, engines: bool
) -> Iterator[list[int]]:
    """Fork a process a department, wait until all take calls, and end them."""
    read, write = os.pipe()
    # Arrow looks for pandas when it first converts; once here, not once in each process.
    with suppress(ImportError):
        importlib.import_module("pandas")
    gc.collect()
    gc.freeze()  # else every process copies what its collector touches
    numbers = [
        forked(
            lambda name=name: node_process(
                world, root, name, addresses[name], write, engines=engines
            )
        )
        for name in world.departments
    ]
    os.close(write)
    try:
        waiting, until = len(numbers), time.monotonic() + READY_S
        while waiting:
            told = os.read(read, waiting)
            assert told, "a department did not start"
            assert time.monotonic() < until, "the departments did not start in time"
            waiting -= len(told)
        yield numbers
    finally:
        os.close(read)
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for number in numbers:
            os.waitpid(number, 0)


def free_addresses(departments: tuple[str, ...]) -> dict[str, str]:
    """Return an address on loopback for each, free a moment ago."""
    with ExitStack() as held:
        taken = {name: held.enter_context(socket.socket()) for name in departments}
        for each in taken.values():
            each.bind(("127.0.0.1", 0))
        return {name: f"127.0.0.1:{each.getsockname()[1]}" for name, each in taken.items()}


# --- the gateway ------------------------------------------------------------------------------------------------------


@dataclass
class Spans:
    """When calls of each step began and ended: a step lasts from its first call to its last answer."""

    spans: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, begin: float, end: float) -> None:
        self.spans[name] += [begin, end]

    def seconds(self) -> dict[str, float]:
        return {
            step: max(self.spans[step]) - min(self.spans[step])
            for step in _STEPS
            if step in self.spans
        }


class TimedLink(WireLink):
    """A link that tells how long its calls took."""

    spans = Spans()

    async def call(self, name, parts=(), timeout_s=0, **fields):
        begin = time.perf_counter()
        try:
            return await super().call(name, parts, timeout_s, **fields)
        finally:
            TimedLink.spans.add(name, begin, time.perf_counter())


@contextmanager
def gateway_running(world: World, root: Path) -> Iterator[Gateway]:
    """Open a gateway that reaches every department over mutual TLS."""
    clock, rng = SystemClock(), SystemRng()
    trust = Trust.open(gateway_trust(root), "gateway", clock)
    transport = HttpTransport(trust, tls_problem)
    caller = Caller(transport, trust.identity, trust.pins, clock, rng, DEADLINE_S)
    links = {name: TimedLink(name, caller) for name in world.departments}
    signer = CheckpointSigner.load_or_create(root / "audit.key", "bench.internal/audit", rng)
    audit = AuditLog.open(root / "audit.db", signer, clock)
    dispatcher = Dispatcher(links, trust.identity, trust.pins)
    gateway = Gateway(
        world.catalog, world.bundle, audit, dispatcher, History(root / "questions.db"), clock, rng
    )
    try:
        yield gateway
    finally:
        gateway.close()
        transport.close()
        audit.close()


@dataclass(frozen=True)
class Sample:
    """One question: seconds in all, of processor in gateway and departments, and by step."""

    wall: float
    gateway_cpu: float
    departments_cpu: float
    steps: Mapping[str, float]


def ask(gateway: Gateway, world: World, question: str, numbers: list[int]) -> Sample:
    """Ask once, and check the answer."""
    TimedLink.spans = Spans()
    spent, own, begin = children_cpu(numbers), time.process_time(), time.perf_counter()
    request = gateway.request(QUESTIONS[question], world.analyst, "statistics")
    answer = asyncio.run(gateway.submit(request))
    wall, own = time.perf_counter() - begin, time.process_time() - own
    rows = sorted(tuple(row.values()) for row in answer.release.table.to_pylist())
    assert rows == world.expected(question), "a wrong answer"
    return Sample(wall, own, children_cpu(numbers) - spent, TimedLink.spans.seconds())


def children_cpu(numbers: list[int]) -> float:
    """Return seconds of processor that the departments have used."""
    ticks = 0
    for number in numbers:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(numbers: list[int]) -> float:
    """Return the memory that the departments share or own, MiB a department (PSS)."""
    total = 0
    for number in numbers:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="ascii").splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(total / 1024 / len(numbers), 1)


def summary(samples: list[Sample]) -> dict[str, object]:
    """Return medians, seconds."""

    def median(values: Iterator[float]) -> float:
        return round(statistics.median(values), 3)

    return {
        "p50_s": median(each.wall for each in samples),
        "all_s": [round(each.wall, 3) for each in samples],
        "gateway_cpu_s": median(each.gateway_cpu for each in samples),
        "departments_cpu_s": median(each.departments_cpu for each in samples),
        "steps_s": {
            step: median(each.steps[step] for each in samples) for step in samples[0].steps
        },
    }


def measure(count: int, sums: int, folder: Path, *, engines: bool) -> dict[str, object]:
    """Make the world, run the departments, ask."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)
    addresses = free_addresses(tuple(f"amr_c{at:03}" for at in range(count)))
    root = folder / "parties"

    def prepare() -> None:
        write_world(folder, tuple(addresses))
        enrol_all(root, addresses, SystemRng(), SystemClock())

    in_process_of_its_own(prepare)
    world = load_world(folder, tuple(addresses))
    load = wait_until_quiet(60)
    found: dict[str, object] = {
        "benchmark": "hundred_departments", "departments": count, "cores": len(cores), "engines": engines,
        "load_before": load, "target_s": TARGET_S,
    }  # fmt: skip
    with departments_running(world, root, addresses, engines=engines) as numbers:
        with gateway_running(world, root) as gateway:
            first = next(iter(QUESTIONS))
            opening = ask(gateway, world, first, numbers)
            found["first_with_handshakes"] = summary([opening])
            for question in QUESTIONS:
                ask(gateway, world, question, numbers)
                found[question] = summary(
                    [ask(gateway, world, question, numbers) for _ in range(sums)]
                )
        found["mib_a_department"] = resident_mib(numbers)
    return found | {"machine": machine(folder)}


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--departments", type=int, default=100)
    parser.add_argument("--sums", type=int, default=5)
    parser.add_argument("--engines", action="store_true", help="run each statement every time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hundred-") as folder:
        print(
            json.dumps(
                measure(options.departments, options.sums, Path(folder), engines=options.engines)
            )
        )


if __name__ == "__main__":
    main()
