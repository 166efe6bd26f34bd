"""The questions that were asked over HTTP: running, waiting and answered, in bounds.

A full table refuses new questions; it never drops another subject's answer. One subject's own
oldest finished answer makes room for its next question. Answers expire.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import (
    DisclosureError,
    LimitError,
    MiddleplatformError,
    PolicyError,
    QueryError,
)
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.model.result import Answer

__all__ = ["Bounds", "Job", "JobTable"]

_REFUSALS = (QueryError, PolicyError, DisclosureError)


class Submits(Protocol):
    """What answers questions: the gateway."""

    def submit(self, request: QueryRequest) -> Coroutine[Any, Any, Answer]:
        """Answer ``request``, or raise."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the table takes.

    Attributes:
        running_max: Questions at work at once.
        jobs_max: Questions in the table, finished ones included.
        per_subject_max: Of one subject.
        keep_s: Seconds for which a finished one is kept.
    """

    running_max: int = 8
    jobs_max: int = 512
    per_subject_max: int = 64
    keep_s: float = 900.0


class Job:
    """One question.

    Attributes:
        id: The query id.
        subject: Who asked.
        status: ``queued``, ``running``, ``answered``, ``refused`` or ``failed``.
        answer: Once answered.
        error: Once refused or failed.
        ended: By the table's timer, in seconds; None while unfinished.
    """

    def __init__(self, request: QueryRequest) -> None:
        self.id, self.subject = request.query_id, request.subject
        self.status = "queued"
        self.answer: Answer | None = None
        self.error: MiddleplatformError | None = None
        self.ended: float | None = None
        self.done = asyncio.Event()


class JobTable:
    """All questions of this process.

    Args:
        gateway: What answers them.
        bounds: How many.
        timer: Monotonic seconds.
        operator_log: Where unexpected exceptions go.
    """

    def __init__(
        self, gateway: Submits, bounds: Bounds, timer: Callable[[], float], log: OperatorLog
    ) -> None:
        self._gateway, self._bounds, self._timer, self._log = gateway, bounds, timer, log
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = asyncio.Semaphore(bounds.running_max)

    def submit(self, request: QueryRequest) -> Job:
        """Take a question and start it as soon as there is room.

        Raises:
            LimitError: L001 when the table, or the subject's share of it, is full.
        """
        self._make_room(request.subject)
        job = self._jobs[request.query_id] = Job(request)
        task = asyncio.create_task(self._work(job, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def find(self, query_id: str, subject: Subject) -> Job:
        """Return a subject's own question.

        Raises:
            QueryError: Q041 when there is none, or it is another's, or it has expired.
        """
        self._expire()
        job = self._jobs.get(query_id)
        if job is None or (job.subject.id, job.subject.department) != (
            subject.id,
            subject.department,
        ):
            raise QueryError("Q041", what=("such query", "该查询"))
        return job

    async def wait(self, job: Job, seconds: float) -> None:
        """Wait until ``job`` has ended, at most ``seconds``."""
        with suppress(TimeoutError):
            await asyncio.wait_for(job.done.wait(), seconds)

    async def close(self) -> None:
        """End what is at work and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _make_room(self, subject: Subject) -> None:
        self._expire()
        own = [job for job in self._jobs.values() if job.subject.id == subject.id]
        if len(own) >= self._bounds.per_subject_max:
            finished = [job for job in own if job.ended is not None]
            if not finished:
                raise LimitError("L001")
            del self._jobs[min(finished, key=lambda job: job.ended or 0.0).id]
        if len(self._jobs) >= self._bounds.jobs_max:
            raise LimitError("L001")

    def _expire(self) -> None:
        limit = self._timer() - self._bounds.keep_s
        for job in list(self._jobs.values()):
            if job.ended is not None and job.ended <= limit:
                del self._jobs[job.id]

    async def _work(self, job: Job, request: QueryRequest) -> None:
        try:
            async with self._running:
                job.status = "running"
                job.answer = await self._gateway.submit(request)
                job.status = "answered"
        except MiddleplatformError as error:
            job.error = error
            job.status = "refused" if isinstance(error, _REFUSALS) else "failed"
            self._log.detail(error)
        except Exception as error:  # noqa: BLE001 - ends this question, not the process
            job.error = self._log.internal(error)
            job.status = "failed"
        finally:
            job.ended = self._timer()
            job.done.set()
