"""Runs work on a bounded number of connections, and never waits longer than the caller wants to.

The driver's calls block, and a server that is frozen or cut off answers none, not even a request to
cancel. So each call runs in a thread of its own while the caller watches the clock. Who gives up
asks the server to stop, waits a little, and leaves; thread and connection end by themselves, and
hold their place in the pool until then.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from adbc_driver_manager import Error

from connectors.postgres_errors import connector_error, is_gone
from connectors.postgres_options import PostgresOptions
from connectors.postgres_session import Session
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits

__all__ = ["Pool"]

_LOOK_EVERY_S = 0.05
_CANCEL_EVERY_S = 0.25
_GRACE_S = 2.0
_MILLISECONDS_MAX = 2**31 - 1  # of the server's clock

Result = TypeVar("Result")


class Pool:
    """At most ``options.connections`` connections, made when needed and kept while they are sound.

    Args:
        options: Checked ones.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._changed = threading.Condition()
        self._idle: list[Session] = []
        self._calls: set[_Call[Any]] = set()
        self._closed = False

    def run(self, work: Callable[[Session], Result], limits: ExecutionLimits) -> Result:
        """Run ``work`` in a read-only transaction of its own and return what it returns.

        Args:
            work: Runs in another thread; it must end soon after the connection is cancelled.
            limits: Time and stop.

        Raises:
            ConnectorError: TIMEOUT, CANCELLED, UNREACHABLE, or as ``work`` raises.
        """
        call = _Call(work, limits, self._closing)
        self._enter(call)
        threading.Thread(target=self._work, args=(call,), name="postgres", daemon=True).start()
        return call.wait()

    def close(self) -> None:
        """Cancel what runs, which ends as UNREACHABLE, and close all connections."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            ends = time.monotonic() + _GRACE_S + 1
            while self._calls and time.monotonic() < ends:
                self._changed.wait(_LOOK_EVERY_S)
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _closing(self) -> bool:
        return self._closed

    def _enter(self, call: "_Call[Result]") -> None:
        """Wait for a place in the pool."""
        with self._changed:
            while True:
                reason = call.over()
                if reason is not None:
                    raise reason
                if len(self._calls) < self._options.connections:
                    self._calls.add(call)
                    return
                self._changed.wait(_LOOK_EVERY_S)

    def _work(self, call: "_Call[Result]") -> None:
        sound = False
        try:
            sound = call.run(self._take)
        finally:
            with self._changed:
                if sound and not self._closed and call.session is not None:
                    self._idle.append(call.session)
                    call.session = None
                self._calls.discard(call)
                self._changed.notify_all()
            call.done.set()
            call.drop()

    def _take(self, timeout_ms: int) -> Session:
        """Return a connection whose transaction has begun: a kept one if it still lives."""
        while True:
            with self._changed:
                kept = self._idle.pop() if self._idle else None
            session = Session(self._options) if kept is None else kept
            try:
                session.begin(timeout_ms)
            except Error as error:
                session.close()
                # A server that was started again has cut all kept connections.
                if kept is None or not is_gone(error):
                    raise
            else:
                return session


class _Call(Generic[Result]):
    """One piece of work: the caller waits, a thread works."""

    def __init__(
        self,
        work: Callable[[Session], Result],
        limits: ExecutionLimits,
        closing: Callable[[], bool],
    ) -> None:
        self.session: Session | None = None
        self.done = threading.Event()
        self._work = work
        self._limits = limits
        self._closing = closing
        self._ends = time.monotonic() + limits.timeout_s
        # Held while a request to cancel is under way: it must neither reach the connection's next
        # statement nor a connection that is being closed.
        self._cancelling = threading.Lock()
        self._given_up: ConnectorError | None = None
        self._ended = False
        self._result: Result
        self._error: ConnectorError | None = None

    def over(self) -> ConnectorError | None:
        """Return why nobody waits any more, if so."""
        if self._closing():
            return ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")
        if self._limits.stop.is_set():
            return ConnectorError(ErrorKind.CANCELLED, "stopped")
        if time.monotonic() >= self._ends:
            return ConnectorError(ErrorKind.TIMEOUT, f"more than {self._limits.timeout_s} s")
        return None

    # --- in the caller's thread -----------------------------------------------------------------

    def wait(self) -> Result:
        """Return the result, or raise; at most a little later than the limits say."""
        while not self.done.wait(min(_LOOK_EVERY_S, max(0.0, self._ends - time.monotonic()))):
            reason = self.over()
            if reason is not None:
                self._give_up(reason)
                raise reason
        error = self._given_up or self._error
        if error is not None:
            raise error
        return self._result

    def _give_up(self, reason: ConnectorError) -> None:
        self._given_up = reason
        canceller = threading.Thread(target=self._cancel, name="postgres cancel", daemon=True)
        canceller.start()
        self.done.wait(_GRACE_S)

    def _cancel(self) -> None:
        """Ask until it has ended: a request is lost when it falls between two statements."""
        while not self.done.is_set():
            with self._cancelling:
                if self._ended:
                    return
                if self.session is not None:
                    self.session.cancel()
            self.done.wait(_CANCEL_EVERY_S)

    # --- in the working thread ------------------------------------------------------------------

    def run(self, take: Callable[[int], Session]) -> bool:
        """Do the work; tell whether the connection may be used again."""
        try:
            self.session = take(self._left_ms())
            self._check()
            self._result = self._work(self.session)
            self.session.end()
        except ConnectorError as error:
            self._error = error
            if self.session is not None:
                self.session.cancel()  # it may still be sending what nobody reads
        except (Error, OSError) as error:
            self._error = connector_error(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, only a ConnectorError may leave
            self._error = ConnectorError(ErrorKind.FAILED, f"{type(error).__name__}: {error}")
        with self._cancelling:
            self._ended = True
            return self._error is None and self._given_up is None

    def drop(self) -> None:
        """Close a connection that is not used again."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def _left_ms(self) -> int:
        return min(_MILLISECONDS_MAX, max(1, int((self._ends - time.monotonic()) * 1000)))

    def _check(self) -> None:
        if self._given_up is not None:
            raise self._given_up
