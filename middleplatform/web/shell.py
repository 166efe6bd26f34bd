"""What surrounds every request: bounds on its body, safe headers, and the last resort.

Plain ASGI, outside of routing, so that unknown addresses are covered too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import LimitError, QueryError
from middleplatform.web.problems import response

__all__ = ["BODY_BYTES_MAX", "REQUESTS_MAX", "Shell"]

BODY_BYTES_MAX = 131_072
REQUESTS_MAX = 256
_BODY_SECONDS_MAX = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept, Accept-Language, Authorization",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Shell:
    """The outermost layer but the framework's own.

    Args:
        app: What it surrounds.
        operator_log: Where unexpected exceptions are written down.
        requests_max: Requests under way at once; one more is refused with L001.
    """

    def __init__(
        self, app: ASGIApp, operator_log: OperatorLog, requests_max: int = REQUESTS_MAX
    ) -> None:
        self._app, self._operator_log = app, operator_log
        self._requests_max, self._open = requests_max, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        request = Request(scope, receive)
        self._open += 1
        try:
            full = self._open > self._requests_max
            body = response(request, LimitError("L001")) if full else await _body(request, receive)
            if isinstance(body, Response):
                await body(scope, receive, sending)
            else:
                await self._app(scope, _replay(body, receive), sending)
        except Exception as error:  # noqa: BLE001 - the last resort: nothing of it may leave
            told = self._operator_log.internal(error)
            if not started:
                await response(request, told)(scope, receive, sending)
        finally:
            self._open -= 1


async def _body(request: Request, receive: Receive) -> bytes | Response:
    """Read the whole body, or return the response that refuses it."""
    said = request.headers.get("content-length", "0")
    if not (said.isascii() and said.isdigit()) or int(said[:20]) > BODY_BYTES_MAX:
        return _too_large(request)
    parts = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS_MAX):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                parts += message.get("body", b"")
                more = message.get("more_body", False)
                if len(parts) > BODY_BYTES_MAX:
                    return _too_large(request)
    except TimeoutError:
        what = ("its body came too slowly", "请求正文传输过慢")
        return response(request, QueryError("Q040", what=what), status=HTTPStatus.REQUEST_TIMEOUT)
    return bytes(parts)


def _too_large(request: Request) -> Response:
    what = (
        f"its body is larger than {BODY_BYTES_MAX} bytes",
        f"请求正文超过 {BODY_BYTES_MAX} 字节",
    )
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return response(request, QueryError("Q040", what=what), status=status)


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return a ``receive`` that gives ``body`` once and then waits for the client to go away."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
