"""How fast anybody may ask: plain ASGI around every route, before anything of a request is judged.

There is a bucket for each address and one for each credential, keyed by the digest of the whole credential: whoever
only knows a token's public id cannot empty its holder's. A wrong credential costs its address several requests.

Spec: docs/spec/login.md, "Limits".
"""

import hashlib
import ipaddress
import math
import time
from collections.abc import Callable
from http import HTTPStatus

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleplatform.errors import LimitError
from middleplatform.login.buckets import Buckets
from middleplatform.login.configured import Limits
from middleplatform.web import cookies
from middleplatform.web.problems import response

__all__ = ["RateLimits", "address_of"]

_BURST_S = 30
"""A bucket holds what comes in so many seconds."""
_WRONG = 5.0
_IPV6_PREFIX = 64


class RateLimits:
    """Refuses with L007 and ``Retry-After`` whoever asks too fast.

    Args:
        app: What it surrounds.
        limits: How fast is too fast.
        timer: Seconds of a clock that does not go back.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._timer = app, timer
        by_address, by_login = limits.address_per_minute / 60, limits.login_per_minute / 60
        self._addresses = Buckets(by_address, by_address * _BURST_S)
        self._credentials = Buckets(by_login, by_login * _BURST_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        address, credential = address_of(request), _credential(request)
        now = self._timer()
        wait = self._addresses.take(address, now)
        if not wait and credential:
            wait = self._credentials.take(_digest(credential), now)
        if wait:
            seconds = math.ceil(wait)
            refused = response(request, LimitError("L007", seconds=seconds))
            refused.headers["Retry-After"] = str(seconds)
            await refused(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            wrong = message.get("status") == HTTPStatus.UNAUTHORIZED
            if message["type"] == "http.response.start" and wrong and credential:
                self._addresses.charge(address, self._timer(), _WRONG)
            await send(message)

        await self._app(scope, receive, sending)


def address_of(request: Request) -> str:
    """Return the client's address: of IPv6 the network of 64 bits, within which a client may choose any."""
    host = request.client.host if request.client is not None else ""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64] or "local"
    if found.version == 6:  # noqa: PLR2004 - the protocol's name
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(found), _IPV6_PREFIX), strict=False))
    return str(found)


def _credential(request: Request) -> str:
    """Return what the address lets somebody in by, however it is written; what counts for nothing there is none."""
    if f"{request.url.path}/".startswith("/console/"):
        secret = cookies.read(request, "session")
        return secret and f"session {secret}"
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    return token and f"token {token}"


def _digest(credential: str) -> str:
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()
