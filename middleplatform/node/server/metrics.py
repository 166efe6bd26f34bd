"""What a node counts, in Prometheus' text format: calls, outcomes and times; no literal and no label from data.

Reveals:
    To whoever may read the metrics: how many calls of which name ended how, and how long they took; nothing of data.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics", "Outcome"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass
class Outcome:
    """How a call ended: ``ok`` or an error code."""

    code: str = "C099"


class Metrics:
    """The node's metrics; labels are names of calls, error codes and causes of refusal, which are fixed lists."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "middleplatform_node_calls", "Calls by name and outcome.", ("call", "code"), registry=self._registry
        )  # fmt: skip
        self._seconds = Histogram(
            "middleplatform_node_call_seconds", "Seconds by call.", ("call",), buckets=_BUCKETS, registry=self._registry
        )  # fmt: skip
        self._refused = Counter(
            "middleplatform_node_refused", "Requests refused before a call was read, by cause.", ("cause",),
            registry=self._registry,
        )  # fmt: skip

    @contextmanager
    def call(self, name: str) -> Iterator[Outcome]:
        """Measure one call; the body says how it ended."""
        outcome, begun = Outcome(), time.perf_counter()
        try:
            yield outcome
        finally:
            self._seconds.labels(name).observe(time.perf_counter() - begun)
            self._calls.labels(name, outcome.code).inc()

    def refused(self, cause: str) -> None:
        """Count a request that was refused before its message was read: ``identity`` or ``message``."""
        self._refused.labels(cause).inc()

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when somebody looks."""
        Gauge(f"middleplatform_node_{name}", text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self._registry)
