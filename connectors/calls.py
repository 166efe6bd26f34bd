"""The calls of one connector that run now: a deadline and a stop for each, and closing ends them all.

Engines differ in how they are interrupted; each hands its interrupt to the call that it works for.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits

__all__ = ["Call", "Calls"]

_INTERRUPT_EVERY_S = 0.05
_SOONEST_S = 0.002
_IDLE_S = 10.0


class Call:
    """One call that runs.

    Args:
        limits: Their time and their stop; None for a call without either.
    """

    def __init__(self, limits: ExecutionLimits | None) -> None:
        self._limits = limits
        self._ends = float("inf") if limits is None else time.monotonic() + limits.timeout_s
        self._closed = threading.Event()
        self._ending = threading.Lock()
        self._done = False
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

    def interrupt_if_over(self) -> None:
        """Interrupt the engines if the call is over and has not finished yet."""
        with self._ending:
            if self._done:
                return
            try:
                self.check()
            except ConnectorError:
                self.over = True
                for interrupt in tuple(self._interrupts):
                    interrupt()

    def finish(self) -> None:
        """Have no engine interrupted any more: it may work for another call next."""
        with self._ending:
            self._done = True


class Calls:
    """All calls of one connector, watched by one thread while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Call] = set()
        self._watcher: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def running(self, limits: ExecutionLimits | None = None) -> Iterator[Call]:
        """Give a call that ends by its limits or with the connector.

        What an engine says when it is interrupted is replaced by the reason why.

        Raises:
            ConnectorError: As ``Call.check``.
        """
        call = Call(limits)
        call.check()
        with self._changed:
            if self._closed:
                raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")
            self._running.add(call)
            self._watch()
        try:
            try:
                yield call
            finally:
                call.finish()
                if call.over:
                    call.check()
        finally:
            with self._changed:
                self._running.discard(call)
                if self._closed:
                    self._changed.notify_all()

    def _watch(self) -> None:
        """See that a thread watches; it ends when there has been nothing to watch for a while."""
        if self._watcher is None:
            watcher = threading.Thread(target=self._watching, name="connector calls", daemon=True)
            self._watcher = watcher
            watcher.start()

    def _watching(self) -> None:
        idle_at = time.monotonic()
        while True:
            with self._changed:
                calls = tuple(self._running)
                if calls:
                    idle_at = time.monotonic()
                elif self._closed or time.monotonic() - idle_at > _IDLE_S:
                    self._watcher = None
                    return
                self._changed.wait(_wait_s(calls))
            for call in calls:
                call.interrupt_if_over()

    def close(self) -> None:
        """End every call, and wait until all have ended, the watching thread too."""
        with self._changed:
            self._closed = True
            for call in self._running:
                call.close()
            self._changed.notify_all()
            while self._running:
                self._changed.wait()
            watcher = self._watcher
            self._changed.notify_all()
        if watcher is not None:
            watcher.join()


def _wait_s(calls: Collection[Call]) -> float:
    """Return the seconds until somebody must look again; an engine may lose an interrupt, so soon."""
    left = min((call.remaining_s() for call in calls), default=_INTERRUPT_EVERY_S)
    return max(_SOONEST_S, min(_INTERRUPT_EVERY_S, left))
