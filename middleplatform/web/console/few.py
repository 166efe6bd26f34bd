"""Long work of which little is done at once: reading a draft of megabytes, or the log as a whole.

Each kind has a room of its own, so that none of them keeps what anybody else waits for.
"""

from collections.abc import Callable

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from middleplatform.web.checks import Checks
from middleplatform.web.console import pages

__all__ = ["few"]


def few(handler: Callable[[Request], Response], room: str) -> pages.Handler:
    """Return a handler that waits for a place, and refuses with L001 whoever has too many of those that wait.

    Args:
        handler: A plain function.
        room: Name of the ``Checks`` at ``app.state``.
    """

    async def handle(request: Request) -> Response:
        places: Checks = getattr(request.app.state, room)
        async with places.one(request.state.subject):
            return await run_in_threadpool(handler, request)

    return handle
