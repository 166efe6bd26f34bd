"""How far a question is, told as it changes: server-sent events (WHATWG HTML, section 9.2).

A change leaves at a whole multiple of the policy's ``answer_grid_ms`` after the question came, as answers do: what
departments need for their parts is not told finer than what the whole needs.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from middleplatform.access.problems import problem
from middleplatform.gateway.leaving import remaining_s
from middleplatform.model.request import Subject
from middleplatform.web import problems
from middleplatform.web.guard import still_entitled, subject_of
from middleplatform.web.jobs import Job, JobTable
from middleplatform.web.replies import json_reply, locale

__all__ = ["cancel_query", "progress", "query_events"]

_PING_S = 15.0
_LASTS_S = 600.0


def progress(request: Request, job: Job) -> dict[str, object]:
    """Return how far a question is (``bodies.StatusBody``)."""
    value: dict[str, object] = {"id": job.id, "status": job.status}
    if job.error is not None:
        status = int(problems.status_of(job.error))
        value["problem"] = problem(job.error, locale(request), status=status)
    return value


async def query_events(request: Request, query_id: str) -> Response:
    """Tell how far one of your questions is, as it changes, until it has ended or for ten minutes."""
    table: JobTable = request.app.state.jobs
    subject = subject_of(request)
    job = await table.find(query_id, subject)
    table.check_watching(subject)
    grid_ms = request.app.state.gateway.bundle.limits.answer_grid_ms
    return _Events(_told(request, job, grid_ms), table, subject)


async def cancel_query(request: Request, query_id: str) -> Response:
    """End one of your questions that is waiting or at work; one that has ended stays as it is."""
    table: JobTable = request.app.state.jobs
    job = await table.find(query_id, subject_of(request))
    await table.cancel(job)
    return json_reply(progress(request, job))


class _Events(EventSourceResponse):
    """A stream that counts while it lasts."""

    def __init__(self, content: AsyncIterator[bytes], table: JobTable, subject: Subject) -> None:
        super().__init__(content, headers={"X-Accel-Buffering": "no"})  # proxies hold nothing back
        self._table, self._subject = table, subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._table.watching(self._subject):
            await super().__call__(scope, receive, send)


async def _told(request: Request, job: Job, grid_ms: int) -> AsyncIterator[bytes]:
    """Yield an event for each state that differs from the one before, and a comment where nothing changes for long."""
    loop = asyncio.get_running_loop()
    until, before = loop.time() + _LASTS_S, ""
    while True:
        seen = job.changes
        if not still_entitled(request):  # the token was withdrawn, or its time is over
            return
        value = json.dumps(_state(request, job), ensure_ascii=False, allow_nan=False)
        if value != before:
            yield format_sse_event(data_str=value, event="status")
            before = value
        if job.ended is not None or loop.time() >= until:
            return
        if not await job.changed(seen, _PING_S):
            yield KEEPALIVE_COMMENT
        if job.ended is None:  # an end is on the grid already
            await job.finished(remaining_s(loop.time() - job.came, grid_ms))


def _state(request: Request, job: Job) -> dict[str, object]:
    told = progress(request, job)
    if job.stage is None or job.ended is not None:
        return told
    name, done, total = job.stage
    return told | {"stage": {"name": name, "done": done, "total": total}}
