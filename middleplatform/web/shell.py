"""What surrounds every request: bounds on its body, safe headers, and the last resort.

Plain ASGI, outside of routing, so that unknown addresses are covered too. A body is read when something asks for it,
which the guard does not: whoever may not call has nothing of the body read.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import LimitError
from middleplatform.web.problems import response

__all__ = ["BODY_BYTES_MAX", "BODY_BYTES_MAX_AT", "REQUESTS_MAX", "Shell"]

BODY_BYTES_MAX = 131_072
BODY_BYTES_MAX_AT: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        (
            "/v1/policy/proposals",
            *(
                f"/console/policy/draft/{act}"
                for act in ("files", "check", "classify", "simulate", "propose")
            ),
            "/console/policy/classify",
            "/v1/policy/simulations",
            "/console/audit/proof",
            "/console/department/receipts",
        ),
        8_388_608,
    )
)
"""Where a body may be longer: it holds a whole policy bundle, a whole report or a whole log."""
REQUESTS_MAX = 256
_BODY_SECONDS_MAX = 20
_KEPT = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept, Accept-Language, Authorization",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_CONSOLE = _HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language, Cookie, HX-Request",
}
"""Of pages. No script, style or handler that stands in a page runs; only files of this host do."""
_STATIC = _CONSOLE | {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
}
"""Of files whose address says what is in them."""


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
                for name, value in _headers(scope["path"], message["status"]).items():
                    headers[name] = value
            await send(message)

        request = Request(scope, receive)
        self._open += 1
        try:
            if self._open > self._requests_max:
                await response(request, LimitError("L001"))(scope, receive, sending)
            else:
                await self._app(scope, _Body(request, receive), sending)
        except Exception as error:  # noqa: BLE001 - the last resort: nothing of it may leave
            told = self._operator_log.internal(error)
            if not started:
                await response(request, told)(scope, receive, sending)
        finally:
            self._open -= 1


class _Body:
    """A request's ``receive`` that refuses a body which is too long, or too slow, when it is asked for.

    Args:
        request: Its head.
        receive: The server's.
    """

    def __init__(self, request: Request, receive: Receive) -> None:
        self._receive = receive
        self._most = BODY_BYTES_MAX_AT.get(request.scope["path"], BODY_BYTES_MAX)
        self._said = request.headers.get("content-length", "0")
        self._read, self._more, self._until = 0, True, 0.0

    async def __call__(self) -> Message:
        """Return the next message.

        Raises:
            HTTPException: 413 too much of a body comes, 408 it comes too slowly.
        """
        if not self._more:
            return await self._receive()
        if not (self._said.isascii() and self._said.isdigit()) or int(self._said[:20]) > self._most:
            raise self._too_large()
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + _BODY_SECONDS_MAX
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from None
        self._read += len(message.get("body", b""))
        self._more = bool(message.get("more_body", False))
        if self._read > self._most:
            raise self._too_large()
        return message

    def _too_large(self) -> HTTPException:
        return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(self._most))


def _headers(path: str, status: int) -> Mapping[str, str]:
    """Return the headers of every answer at ``path``."""
    if path.startswith("/console/static/") and status in _KEPT:
        return _STATIC
    return _CONSOLE if f"{path}/".startswith("/console/") else _HEADERS
