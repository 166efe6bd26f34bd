"""Work of which little is done at once, so that nobody waits for a thread because of it.

Statements that are judged and not run (while somebody types, for ``explain``, for the page of a refusal), drafts of
policy of megabytes, the log read as a whole: no other bound holds for these, and each takes the processor for long.
Each kind has a room of its own, the same by every door, and nobody can have all the places that wait.

Spec: docs/spec/login.md, "Places".
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from middleplatform.errors import LimitError
from middleplatform.model.request import Subject, person_key

__all__ = ["Checks", "few"]

_AT_ONCE = 2
_OWN_MAX = 8


class Checks:
    """A room: all work of one kind in one process.

    Args:
        at_once: At work at once, of everybody.
        own_max: At work or waiting, of one person.
    """

    def __init__(self, at_once: int = _AT_ONCE, own_max: int = _OWN_MAX) -> None:
        self._room, self._own_max = asyncio.Semaphore(at_once), own_max
        self._own: Counter[str] = Counter()

    @asynccontextmanager
    async def one(self, subject: Subject) -> AsyncIterator[None]:
        """Wait for room, and keep it while within.

        Raises:
            LimitError: L001 this person has too many already.
        """
        person = person_key(subject.id)
        if self._own[person] >= self._own_max:
            raise LimitError("L001")
        self._own[person] += 1
        try:
            async with self._room:
                yield
        finally:
            self._own[person] -= 1
            self._own += Counter()  # keeps only those who still wait


def few(handler: Callable[..., Any], room: str) -> Callable[..., Awaitable[Response]]:
    """Return a handler, of REST or of a page, that waits for a place once its request is read.

    Whoever has too many of those that wait is refused with L001.

    Args:
        handler: A plain function, which runs in a thread, or a coroutine function.
        room: Name of the ``Checks`` at ``app.state``.
    """

    @wraps(handler)
    async def handle(request: Request, *given: Any, **named: Any) -> Response:  # noqa: ANN401 - whatever it takes
        places: Checks = getattr(request.app.state, room)
        async with places.one(request.state.subject):
            if iscoroutinefunction(handler):
                made: Response = await handler(request, *given, **named)
                return made
            return await run_in_threadpool(handler, request, *given, **named)

    return handle
