"""The table of questions of a gateway that is one of several: what one of them took, each of them can tell of.

A question is in the shared store before its client hears of it, and its end before anybody hears of that. Questions of
other gateways are looked up there; they cannot be canceled from here.

Spec: docs/spec/shared-store.md, "Questions".
"""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime

from middleplatform.access import shapes
from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import (
    DisclosureError,
    LimitError,
    MiddleplatformError,
    PolicyError,
    QueryError,
)
from middleplatform.governance.kept import Kept, error_from
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.model.result import Answer
from middleplatform.ports import Progress
from middleplatform.store.jobs import KeptJob
from middleplatform.web import arrow
from middleplatform.web.jobs import Bounds, Job, JobTable, KeptAnswer, Submits

__all__ = ["SharedJobTable"]

_REFUSALS = (QueryError, PolicyError, DisclosureError)
_LOOK_S = 0.5


class _Keeping:
    """A gateway that keeps how each question ended before it says so.

    Attributes:
        told: Ids of questions whose ends were kept, or could not be.
    """

    def __init__(self, gateway: Submits, kept: Kept, log: OperatorLog) -> None:
        self._gateway, self._kept, self._log = gateway, kept, log
        self.told: set[str] = set()

    async def submit(self, request: QueryRequest, progress: Progress | None = None) -> Answer:
        """Answer ``request``, or raise; both are in the store then.

        Raises:
            LimitError: L006 another gateway has ended it meanwhile: everybody is told the same.
        """
        query_id = request.query_id
        try:
            answer = await self._gateway.submit(request, progress)
        except MiddleplatformError as error:
            state = "refused" if isinstance(error, _REFUSALS) else "failed"
            if not await self.end(query_id, state, error):
                raise LimitError("L006") from None
            raise
        document = json.dumps(shapes.answer(answer), ensure_ascii=False, allow_nan=False)
        stream = None if answer.sealed is not None else arrow.stream(answer)
        if not await self.end(query_id, "answered", None, document, stream):
            raise LimitError("L006")
        return answer

    async def end(
        self,
        query_id: str,
        state: str,
        error: MiddleplatformError | None,
        answer: str | None = None,
        stream: bytes | None = None,
    ) -> bool:
        """Keep an end; False where another gateway has ended the question.

        A store that refuses takes no answer back: its entry is in the log, with its receipt.
        """
        self.told.add(query_id)
        try:
            return await asyncio.to_thread(self._kept.end, query_id, state, error, answer, stream)
        except MiddleplatformError as fault:
            self._log.detail(fault)
            return True


class SharedJobTable(JobTable):
    """All questions of this gateway, and a look at those of the others.

    Args:
        gateway: What answers them.
        bounds: How many of this gateway's.
        timer: Monotonic seconds.
        log: Where unexpected exceptions go.
        kept: The store's.
    """

    def __init__(
        self,
        gateway: Submits,
        bounds: Bounds,
        timer: Callable[[], float],
        log: OperatorLog,
        kept: Kept,
    ) -> None:
        self._keeping = _Keeping(gateway, kept, log)
        super().__init__(self._keeping, bounds, timer, log)
        self._kept = kept
        self._begun: dict[str, asyncio.Event] = {}
        self._followed: dict[str, Job] = {}
        self._late: dict[str, tuple[str, MiddleplatformError | None]] = {}

    def submit(self, request: QueryRequest) -> Job:
        """Take a question; ``accepted`` says when all gateways know of it.

        Raises:
            LimitError: L001 when the table, or the subject's share of it, is full.
        """
        job = super().submit(request)
        self._begun[job.id] = asyncio.Event()
        return job

    async def accepted(self, job: Job) -> None:
        """Wait until all gateways know of a question, or it could not be taken."""
        if (begun := self._begun.get(job.id)) is not None:
            await begun.wait()

    async def find(self, query_id: str, subject: Subject) -> Job:
        """Return a subject's own question, also one that another gateway took.

        Raises:
            QueryError: Q041 when there is none, or it is another's, or it has expired.
            ConfigError: C015 the store cannot be read.
        """
        try:
            return self._found(query_id, subject)
        except QueryError:  # the store may keep whoever asks waiting, but nobody else
            found = await asyncio.to_thread(self._kept.find, query_id, subject)
            if found is None:
                raise
        job = self._followed.get(query_id) or Job(_asked(found, subject))
        _show(job, found, self._timer())
        if job.ended is None and job.id not in self._followed:
            self._followed[job.id] = job
            task = asyncio.create_task(self._follow(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return job

    async def cancel(self, job: Job) -> None:
        """End a question of this gateway, as ``JobTable.cancel``.

        Raises:
            QueryError: Q042 another gateway is at work on it.
        """
        if job.id in self._followed:
            what = ("another gateway is at work on it", "正由另一网关处理")
            raise QueryError("Q042", what=what)
        await super().cancel(job)
        if job.ended is None:  # it had not begun: nobody else knows of it
            super()._end(job, "canceled", LimitError("L003"))
            self._late.pop(job.id, None)
            self._begun.pop(job.id).set()

    async def _follow(self, job: Job) -> None:
        """Look how another gateway's question goes on until it has ended."""
        try:
            while job.ended is None:
                await asyncio.sleep(_LOOK_S)
                found = await asyncio.to_thread(self._kept.find, job.id, job.subject)
                if found is None:
                    return
                _show(job, found, self._timer())
        except MiddleplatformError as error:  # the next who asks looks again
            self._log.detail(error)
        finally:
            self._followed.pop(job.id, None)

    async def _work(self, job: Job, request: QueryRequest) -> None:
        try:
            await asyncio.to_thread(self._kept.begin, request)
        except MiddleplatformError as error:
            super()._end(job, "failed", error)
            self._log.detail(error)
            return
        finally:
            self._begun.pop(job.id).set()
        try:
            await super()._work(job, request)
        finally:
            await self._settle(job)

    def _end(self, job: Job, status: str, error: MiddleplatformError | None) -> None:
        """End a question whose end is in the store; that of a canceled one, or by a fault of ours, is kept first."""
        if job.id in self._keeping.told:
            super()._end(job, status, error)
        else:
            self._late[job.id] = (status, error)

    async def _settle(self, job: Job) -> None:
        late = self._late.pop(job.id, None)
        if late is not None:
            kept = await self._keeping.end(job.id, *late)
            super()._end(job, *(late if kept else ("failed", LimitError("L006"))))
        self._keeping.told.discard(job.id)


def _asked(found: KeptJob, subject: Subject) -> QueryRequest:
    return QueryRequest(found.id, "", subject, "", "", datetime.now(UTC))


def _show(job: Job, found: KeptJob, now: float) -> None:
    """Let a job say what the store says."""
    if found.state == job.status or job.ended is not None:
        return
    job.status = found.state
    if found.state != "running":
        job.error = None if found.error is None else error_from(found.error)
        if found.answer is not None:
            job.kept = KeptAnswer(found.answer, found.stream)
        job.ended = now
        job.done.set()
    job.tell()
