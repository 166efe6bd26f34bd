"""How many calls run at once, and the end of a call for which nobody waits any more.

Reveals:
    To who calls: that the node is busy, or that its own call was late.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from middleplatform.errors import LimitError, SourceError

__all__ = ["Gate"]

T = TypeVar("T")


class Gate:
    """Runs blocking work in a bounded number of threads.

    Args:
        department: For the messages.
        concurrency: Calls at once.
        waiting: Calls that wait for a place; one for which nobody waits any more counts until its thread is done.
        timeout_s: Seconds for one call, waiting included.
    """

    def __init__(self, department: str, concurrency: int, waiting: int, timeout_s: float) -> None:
        self._department, self._timeout_s = department, timeout_s
        self._places_max = concurrency + waiting
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="call")
        self._stops: set[threading.Event] = set()

    @property
    def running(self) -> int:
        """Return how many calls run or wait."""
        return len(self._stops)

    async def run(
        self, work: Callable[[threading.Event], T], gone: Callable[[], "asyncio.Future[None]"]
    ) -> T:
        """Run ``work`` in a thread.

        Args:
            work: Takes an event that says that nobody waits any more.
            gone: Returns a future that is done when the caller has gone away.

        Raises:
            LimitError: L001 no place; L003 the caller went away.
            SourceError: S002 too late.
            MiddleplatformError: What ``work`` raises.

        Reveals:
            Nothing.
        """
        if len(self._stops) >= self._places_max:
            raise LimitError("L001")
        stop = threading.Event()
        self._stops.add(stop)
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._threads, self._guarded, work, stop)
        left = gone()
        both: set[asyncio.Future[Any]] = {task, left}
        try:
            done, _ = await asyncio.wait(
                both, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if task in done:
                return await task
            stop.set()
            if left in done:
                raise LimitError("L003")
            raise SourceError("S002", department=self._department)
        finally:
            stop.set()
            left.cancel()
            # Who left keeps the place until the thread is done: what waits in the queue still holds its message.
            if task.done():
                self._ended(stop, task)
            else:
                task.add_done_callback(lambda done: self._ended(stop, done))

    def _ended(self, stop: threading.Event, task: "asyncio.Future[Any]") -> None:
        """Give a place back."""
        self._stops.discard(stop)
        _heard(task)

    @staticmethod
    def _guarded(work: Callable[[threading.Event], T], stop: threading.Event) -> T:
        if stop.is_set():  # it waited in vain
            raise LimitError("L003")
        return work(stop)

    def stop_all(self) -> None:
        """Tell every running call that nobody waits any more."""
        for stop in list(self._stops):
            stop.set()

    def close(self) -> None:
        """End the threads; what runs is told to stop first."""
        self.stop_all()
        self._threads.shutdown(wait=True, cancel_futures=True)


def _heard(task: "asyncio.Future[Any]") -> None:
    """Take note of an exception that nobody waits for, so that none is reported as forgotten."""
    if not task.cancelled():
        task.exception()
