"""Measure the control plane: a whole question minus the time inside the departments' engines.

Both durable log entries are included. Run: ``python -m benchmarks.bench_control_plane
[--queries N]``; prints one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.machine import machine, wait_until_quiet
from connectors.spi import Capabilities, Connector, ExecutionLimits, Statement, TableDescription
from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.settings import Settings

TARGET_MS = 15.0
CLIENTS = 8

_SHAPES: Mapping[str, str] = {
    "count by group": (
        "SELECT p.region_code, COUNT(*) AS n FROM ga.population p "
        "WHERE 2024 - p.birth_year >= {old} GROUP BY p.region_code"
    ),
    "sum and mean by group": (
        "SELECT visit_year, SUM(medical_cost) AS cost, AVG(outpatient_visits) AS visits "
        "FROM health.encounter_year WHERE visit_year >= {year} GROUP BY visit_year"
    ),
    "conditional aggregates": (
        "SELECT p.sex, COUNT(*) FILTER (WHERE 2024 - p.birth_year >= {old}) AS older, "
        "COUNT(CASE WHEN p.region_code = '990101' THEN 1 END) AS first_district "
        "FROM ga.population p GROUP BY p.sex"
    ),
    "window over groups": (
        "SELECT p.region_code, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS place, "
        "100.0 * COUNT(*) / SUM(COUNT(*)) OVER () AS share FROM ga.population p "
        "WHERE 2024 - p.birth_year >= {old} GROUP BY p.region_code ORDER BY place"
    ),
}
_SECURE = (
    "SELECT inspect_year, COUNT(*) AS inspections, AVG(score) AS score FROM amr_county.inspection "
    "WHERE inspect_year >= {year} GROUP BY inspect_year"
)


class _Clock:
    """Seconds inside the engines, for one question; six of them may run at once."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self._lock = threading.Lock()

    def add(self, begin: float, end: float) -> None:
        with self._lock:
            self.spans.append((begin, end))

    def covered(self) -> float:
        """Return the length of the union of all spans."""
        total, reached = 0.0, 0.0
        for begin, end in sorted(self.spans):
            total += max(0.0, end - max(begin, reached))
            reached = max(reached, end)
        return total


# Follows a question into the threads that ask its departments.
_CLOCK: ContextVar[_Clock] = ContextVar("engine clock")


@dataclass
class TimedConnector:
    """A connector that tells the question's clock how long it ran."""

    inner: Connector

    def describe(self, names=()) -> Mapping[str, TableDescription]:
        return self.inner.describe(names)

    def capabilities(self) -> Capabilities:
        return self.inner.capabilities()

    def execute(self, statement: Statement, limits: ExecutionLimits):
        begin = time.perf_counter()
        try:
            return self.inner.execute(statement, limits)
        finally:
            _CLOCK.get().add(begin, time.perf_counter())

    def scan(self, statement, kernel, result, limits: ExecutionLimits):
        begin = time.perf_counter()
        try:
            return self.inner.scan(statement, kernel, result, limits)
        finally:
            _CLOCK.get().add(begin, time.perf_counter())

    def close(self) -> None:
        self.inner.close()


def _timed(platform: Platform) -> Platform:
    for opened in platform.nodes.values():
        node = opened.node
        node.source = replace(node.source, connector=TimedConnector(node.source.connector))
    return platform


@dataclass(frozen=True)
class Sample:
    """One question: milliseconds in all, in the engines, and by stage."""

    shape: str
    total: float
    engine: float
    stages: Mapping[str, float]

    @property
    def control(self) -> float:
        return self.total - self.engine


async def _ask(platform: Platform, shape: str, sql: str) -> Sample:
    clock = _Clock()
    _CLOCK.set(clock)
    gateway = platform.gateway
    request = gateway.request(sql, PERSONAS["analyst_drc"], "statistics")
    begin = time.perf_counter()
    answer = await gateway.submit(request)
    total = time.perf_counter() - begin
    return Sample(shape, 1000 * total, 1000 * clock.covered(), answer.timings_ms)


def _texts(shape: str, template: str, count: int) -> list[tuple[str, str]]:
    """Return ``count`` statements of a shape; five texts in turn, as dashboards ask them."""
    return [
        (shape, template.format(old=60 + 5 * (number % 5), year=2015 + number % 5))
        for number in range(count)
    ]


def _mixed(each: int) -> list[tuple[str, str]]:
    columns = [_texts(shape, template, each) for shape, template in _SHAPES.items()]
    return [one for row in zip(*columns, strict=True) for one in row]


async def _single(platform: Platform, asked: Sequence[tuple[str, str]]) -> list[Sample]:
    """Ask one after the other, all in one project: each is held against the history of all."""
    return [await asyncio.create_task(_ask(platform, shape, sql)) for shape, sql in asked]


async def _concurrent(
    platform: Platform, asked: Sequence[tuple[str, str]]
) -> tuple[list[Sample], float]:
    """Ask from ``CLIENTS`` clients at once; return samples and questions per second."""

    async def client(number: int) -> list[Sample]:
        mine = asked[number::CLIENTS]
        return [await asyncio.create_task(_ask(platform, shape, sql)) for shape, sql in mine]

    begin = time.perf_counter()
    found = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    seconds = time.perf_counter() - begin
    return [sample for samples in found for sample in samples], len(asked) / seconds


def _cuts(values: Sequence[float]) -> Mapping[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2)}


def _summary(samples: Sequence[Sample]) -> Mapping[str, object]:
    stages: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        for name, value in sample.stages.items():
            stages[name].append(value)
        stages["received"].append(sample.total - sum(sample.stages.values()))
    return {
        "questions": len(samples),
        "control_plane_ms": _cuts([sample.control for sample in samples]),
        "total_ms": _cuts([sample.total for sample in samples]),
        "engine_ms": _cuts([sample.engine for sample in samples]),
        "stages_p50_ms": {
            name: round(statistics.median(found), 2) for name, found in stages.items()
        },
    }


async def _measure(platform: Platform, queries: int) -> Mapping[str, object]:
    each = -(-queries // len(_SHAPES))
    secure = _texts("secure sum over six counties", _SECURE, each)
    await _single(platform, [*_mixed(5), *secure[:5]])  # the first of everything is not measured
    single = await _single(platform, _mixed(each))
    rounds = await _single(platform, secure)
    together, rate = await _concurrent(platform, _mixed(each))
    return {
        "local_single_client": _summary(single),
        "by_shape": {
            shape: _cuts([sample.control for sample in single if sample.shape == shape])
            for shape in _SHAPES
        },
        "secure_sum_six_departments": _summary(rounds),
        "local_concurrent": {
            "clients": CLIENTS,
            "questions": len(together),
            "questions_per_second": round(rate, 1),
            "total_ms": _cuts([sample.total for sample in together]),
        },
    }


def measure(queries: int = 320) -> Mapping[str, object]:
    """Return the figures; at least ``queries`` local questions, a quarter as many secure sums."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(state=folder / "state", data=folder / "departments")
        with _timed(open_platform(settings)) as platform:
            load = wait_until_quiet(0)
            figures = asyncio.run(_measure(platform, queries))
    return {
        "benchmark": "control_plane",
        "target_p50_ms": TARGET_MS,
        "load_at_start": load,
        **figures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the control plane.")
    parser.add_argument("--queries", type=int, default=320, help="local questions; default 320")
    options = parser.parse_args()
    print(json.dumps({**measure(options.queries), "machine": machine()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
