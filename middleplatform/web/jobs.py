"""The questions that were asked over HTTP: running, waiting and answered, in bounds.

A full table refuses new questions; it never drops another subject's answer. One subject's own
oldest finished answer makes room for its next question. Answers expire. Nobody takes the places of
everybody else, neither in the table nor at work (``places``).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
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
from middleplatform.model.request import QueryRequest, Subject, same_person
from middleplatform.model.result import Answer
from middleplatform.ports import Progress
from middleplatform.web.places import Places, Room, fair

__all__ = ["Bounds", "Job", "JobTable", "KeptAnswer", "Stage", "Submits"]

Stage = tuple[str, int, int]
"""Name of what is under way, steps of it that are done, steps in all."""

_REFUSALS = (QueryError, PolicyError, DisclosureError)


class Submits(Protocol):
    """What answers questions: the gateway."""

    def submit(
        self, request: QueryRequest, progress: Progress | None = None
    ) -> Coroutine[Any, Any, Answer]:
        """Answer ``request``, or raise."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the table takes.

    Attributes:
        running_max: Questions at work at once.
        own_running_max: Of one person; 0 for three quarters of ``running_max``, rounded up.
        jobs_max: Questions in the table, finished ones included.
        per_subject_max: Of one subject.
        keep_s: Seconds for which a finished one is kept.
        watched_max: Streams of events of one subject at once.
        streams_max: Streams of events of everybody at once.
    """

    running_max: int = 8
    own_running_max: int = 0
    jobs_max: int = 512
    per_subject_max: int = 64
    keep_s: float = 900.0
    watched_max: int = 8
    streams_max: int = 64

    @property
    def own_running(self) -> int:
        """Return how many questions of one person are at work at once."""
        return self.own_running_max or -(-self.running_max * 3 // 4)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that another process got, in the forms in which it leaves.

    Attributes:
        document: JSON.
        stream: Of Arrow; None for a sealed answer.
    """

    document: str
    stream: bytes | None


class Job:
    """One question.

    Attributes:
        id: The query id.
        subject: Who asked.
        request: The question; its statement is empty where another process took it.
        status: ``queued``, ``running``, ``answered``, ``refused``, ``failed`` or ``canceled``.
        stage: What is under way, once something is.
        answer: Once answered here.
        kept: Once answered elsewhere.
        error: Once refused, failed or canceled.
        ended: By the table's timer, in seconds; None while unfinished.
        done: Set once it has ended.
        task: That answers it.
        came: Seconds of the event loop's clock.
        changes: How often it changed.
    """

    def __init__(self, request: QueryRequest) -> None:
        self.id, self.subject, self.request = request.query_id, request.subject, request
        self.status = "queued"
        self.stage: Stage | None = None
        self.answer: Answer | None = None
        self.kept: KeptAnswer | None = None
        self.error: MiddleplatformError | None = None
        self.ended: float | None = None
        self.done = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.changes = 0
        self._changes: set[asyncio.Event] = set()
        self._loop = asyncio.get_running_loop()
        self.came = self._loop.time()

    def hear(self, stage: str, done: int, total: int) -> None:
        """Take note of how far it is, from any thread (``ports.Progress``)."""
        self.stage = (stage, done, total)
        self._loop.call_soon_threadsafe(self.tell)

    def tell(self) -> None:
        """Count a change and wake whoever waits for one."""
        self.changes += 1
        for each in self._changes:
            each.set()

    async def changed(self, since: int, seconds: float) -> bool:
        """Wait until there are more than ``since`` changes, at most ``seconds``; say whether there are."""
        if self.changes > since:
            return True
        change = asyncio.Event()
        self._changes.add(change)
        try:
            return await _set(change, seconds)
        finally:
            self._changes.discard(change)

    async def finished(self, seconds: float) -> bool:
        """Wait until it has ended, at most ``seconds``; say whether it has."""
        return await _set(self.done, seconds)


async def _set(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


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
        self._room = Room(bounds.running_max, bounds.own_running)
        self._watching = Places(bounds.streams_max, bounds.watched_max)

    def submit(self, request: QueryRequest) -> Job:
        """Take a question and start it as soon as there is room.

        Raises:
            LimitError: L001 when the table, or the subject's share of it, is full.
        """
        self._make_room(request.subject)
        job = self._jobs[request.query_id] = Job(request)
        job.task = task = asyncio.create_task(self._work(job, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def accepted(self, job: Job) -> None:
        """Wait until every process that may be asked for a question knows of it: here there is one."""

    async def cancel(self, job: Job) -> None:
        """End a question that is waiting or at work (the log says L003), and wait until it has; else do nothing."""
        if job.task is None or job.ended is not None:
            return
        job.task.cancel()
        await asyncio.wait([job.task])
        if job.ended is None:  # it was canceled before it began
            self._end(job, "canceled", LimitError("L003"))

    async def find(self, query_id: str, subject: Subject) -> Job:
        """Return a subject's own question.

        Raises:
            QueryError: Q041 when there is none, or it is another's, or it has expired.
        """
        return self._found(query_id, subject)

    def _found(self, query_id: str, subject: Subject) -> Job:
        self._expire()
        job = self._jobs.get(query_id)
        own = job is not None and job.subject.department == subject.department
        if job is None or not own or not same_person(job.subject.id, subject.id):
            raise QueryError("Q041", what=("such query", "该查询"))
        return job

    def check_watching(self, subject: Subject) -> None:
        """Refuse one stream of events too many.

        Raises:
            LimitError: L001.
        """
        self._watching.check(subject)

    def watching(self, subject: Subject) -> AbstractContextManager[None]:
        """Count one stream of events more while within."""
        return self._watching.one(subject)

    async def wait(self, job: Job, seconds: float) -> None:
        """Wait until ``job`` has ended, at most ``seconds``."""
        await job.finished(seconds)

    async def close(self) -> None:
        """End what is at work and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _make_room(self, subject: Subject) -> None:
        self._expire()
        own = [job for job in self._jobs.values() if same_person(job.subject.id, subject.id)]
        free = self._bounds.jobs_max - len(self._jobs)
        if not fair(len(own), free, self._bounds.per_subject_max):
            finished = [job for job in own if job.ended is not None]
            if not finished:
                raise LimitError("L001")
            del self._jobs[min(finished, key=lambda job: job.ended or 0.0).id]

    def _expire(self) -> None:
        limit = self._timer() - self._bounds.keep_s
        for job in list(self._jobs.values()):
            if job.ended is not None and job.ended <= limit:
                del self._jobs[job.id]

    async def _work(self, job: Job, request: QueryRequest) -> None:
        try:
            async with self._room.one(request.subject):
                job.status = "running"
                job.tell()
                job.answer = await self._gateway.submit(request, job.hear)
                self._end(job, "answered", None)
        except MiddleplatformError as error:
            self._end(job, "refused" if isinstance(error, _REFUSALS) else "failed", error)
            self._log.detail(error)
        except asyncio.CancelledError:
            self._end(job, "canceled", LimitError("L003"))
            raise
        except Exception as error:  # noqa: BLE001 - ends this question, not the process
            self._end(job, "failed", self._log.internal(error))

    def _end(self, job: Job, status: str, error: MiddleplatformError | None) -> None:
        job.status, job.error, job.ended = status, error, self._timer()
        job.done.set()
        job.tell()
