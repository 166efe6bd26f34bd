"""Real node processes over mutual TLS for ``bench_join`` and ``curves``, and a gateway in this process that counts.

Peak memory of a process is VmHWM of Linux's ``/proc``, set back before what is measured.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.join_world import ANALYST, RESIDENTS, JoinWorld
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import Platform, open_platform
from middleplatform.model.result import Answer
from middleplatform.settings import Settings

__all__ = ["Asked", "Nodes", "running"]

DEADLINE_S = 1800
_MIB = 1 << 20


@dataclass(frozen=True)
class Asked:
    """One answered question.

    Attributes:
        answer: What came.
        seconds: The whole of ``gateway.submit``, durable log entries included.
        processor_s: Processor seconds of all processes meanwhile: on a busy machine they say more than seconds.
        stages: Milliseconds by the gateway's stages.
        calls: By name of a call: how many, seconds of all, bytes sent and received.
    """

    answer: Answer
    seconds: float
    processor_s: float
    stages: Mapping[str, float]
    calls: Mapping[str, Mapping[str, float]]


@dataclass
class Nodes:
    """The running nodes and the gateway.

    Attributes:
        platform: The gateway's side.
        processes: The departments' side.
        departments: Their codes.
        loop: One for all questions, as in a service.
    """

    platform: Platform
    processes: NodeProcesses
    departments: tuple[str, ...]
    loop: asyncio.Runner
    _calls: dict[str, dict[str, float]] = field(default_factory=dict)

    def ask(self, sql: str) -> Asked:
        """Ask one question; every one is computed anew."""
        self._calls.clear()
        gateway = self.platform.gateway
        request = gateway.request(sql, ANALYST, "statistics")
        before, begin = self._processor_s(), time.perf_counter()
        answer = self.loop.run(gateway.submit(request))
        seconds = time.perf_counter() - begin
        spent = self._processor_s() - before
        calls = {name: dict(each) for name, each in self._calls.items()}
        return Asked(answer, seconds, spent, dict(answer.timings_ms), calls)

    def forget_peaks(self) -> None:
        """Begin peaks of memory anew."""
        for pid in self._numbers().values():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def peaks_mib(self) -> Mapping[str, int]:
        """Return the most memory that each process held since, MiB; the gateway is this process."""
        return {name: _peak(pid) for name, pid in self._numbers().items()}

    def _processor_s(self) -> float:
        return sum(map(_processor_s, self._numbers().values()))

    def _numbers(self) -> Mapping[str, int | str]:
        nodes = {name: self.processes.process(name).pid for name in self.departments}
        return {"gateway": "self", **nodes}

    def count_calls(self) -> None:
        """Count every call of the gateway from now on."""
        transport = self.platform.transport
        assert transport is not None
        inner = transport.call

        async def call(department: str, name: str, body: bytes, timeout_s: float) -> bytes:
            begin = time.perf_counter()
            found = await inner(department, name, body, timeout_s)
            told = self._calls.setdefault(name, {"calls": 0, "s": 0.0, "mb_out": 0.0, "mb_in": 0.0})
            told["calls"] += 1
            told["s"] += time.perf_counter() - begin
            told["mb_out"] += len(body) / 1e6
            told["mb_in"] += len(found) / 1e6
            return found

        transport.call = call


def _processor_s(pid: int | str) -> float:
    fields = (
        Path(f"/proc/{pid}/stat")
        .read_text(encoding="ascii", errors="replace")
        .rpartition(")")[2]
        .split()
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int | str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) >> 10


@contextmanager
def running(world: JoinWorld, state: Path, *, threads: int, memory_mb: int) -> Iterator[Nodes]:
    """Enrol all parties, register and publish their sources, start the nodes, open the gateway; end all of it.

    Args:
        world: What was made.
        state: Existing folder of keys and logs.
        threads: Of each node's engine.
        memory_mb: Of each node's engine.
    """
    limits = {"memory_mb": memory_mb, "concurrency": 4, "timeout_s": DEADLINE_S, "rows_max": 40_000_000,
              "body_mb": 1024, "answers_mb": 0}  # fmt: skip
    specs = world.sources(threads, memory_mb)
    processes = NodeProcesses(
        state / "platform", specs, limits=limits, catalog=world.catalog, bundle=world.bundle
    )
    with processes.start(SystemClock(), SystemRng(), lambda *_: None):
        settings = Settings(
            state=state / "log", catalog=world.catalog, bundle=world.bundle, trust=processes.trust,
            deadline_s=DEADLINE_S,
        )  # fmt: skip
        with open_platform(settings) as platform, asyncio.Runner() as loop:
            nodes = Nodes(platform, processes, (RESIDENTS, *world.holders), loop)
            nodes.count_calls()
            yield nodes
