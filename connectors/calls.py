"""The calls of one connector that run now: a deadline and a stop for each, and closing ends them all.

Engines differ in how they are interrupted; each hands its interrupt to the call that it works for.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits

__all__ = ["Call", "Calls"]

_INTERRUPT_EVERY_S = 0.05


class Call:
    """One call that runs.

    Args:
        limits: Their time and their stop; None for a call without either.
    """

    def __init__(self, limits: ExecutionLimits | None) -> None:
        self._limits = limits
        self._ends = float("inf") if limits is None else time.monotonic() + limits.timeout_s
        self._closed = threading.Event()
        self._done = threading.Event()
        self._interrupts: list[Callable[[], object]] = []
        self.over = False

    def remaining_s(self) -> float:
        """Return the seconds that are left, infinite without limits."""
        return self._ends - time.monotonic()

    def interrupted_by(self, interrupt: Callable[[], object]) -> None:
        """Have ``interrupt`` called, again and again, from another thread once the call is over.

        Once is not enough: an interrupt is lost when it falls between two calls of an engine.
        """
        self._interrupts.append(interrupt)

    def check(self) -> None:
        """Raise when the call is over.

        Raises:
            ConnectorError: UNREACHABLE after closing, CANCELLED after a stop, TIMEOUT when the time
                is over.
        """
        if self._closed.is_set():
            raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed") from None
        if self._limits is not None and self._limits.stop.is_set():
            raise ConnectorError(ErrorKind.CANCELLED, "stopped") from None
        if self.remaining_s() <= 0:
            raise ConnectorError(ErrorKind.TIMEOUT, "the time is over") from None

    def close(self) -> None:
        """End it as UNREACHABLE."""
        self._closed.set()

    def watch(self) -> None:
        """Interrupt the engines once the call is over, until ``finish``."""
        while not self._done.wait(max(0.0, min(_INTERRUPT_EVERY_S, self.remaining_s()))):
            try:
                self.check()
            except ConnectorError:
                self.over = True
                for interrupt in tuple(self._interrupts):
                    interrupt()
                self._done.wait(_INTERRUPT_EVERY_S)

    def finish(self) -> None:
        """End the watching."""
        self._done.set()


class Calls:
    """All calls of one connector."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Call] = set()
        self._closed = False

    @contextmanager
    def running(self, limits: ExecutionLimits | None = None) -> Iterator[Call]:
        """Give a call that ends by its limits or with the connector.

        What an engine says when it is interrupted is replaced by the reason why.

        Raises:
            ConnectorError: As ``Call.check``.
        """
        call = Call(limits)
        with self._changed:
            if self._closed:
                raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")
            self._running.add(call)
        watcher = threading.Thread(target=call.watch, name="connector call", daemon=True)
        try:
            call.check()
            watcher.start()
            try:
                yield call
            finally:
                call.finish()
                watcher.join()
                if call.over:
                    call.check()
        finally:
            with self._changed:
                self._running.discard(call)
                self._changed.notify_all()

    def close(self) -> None:
        """End every call, and wait until all have ended."""
        with self._changed:
            self._closed = True
            for call in self._running:
                call.close()
            while self._running:
                self._changed.wait()
