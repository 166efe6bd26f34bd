"""HTTP/1.1 over mutual TLS 1.3, with connections kept open: the transport between machines.

Every call asks the trust store anew, so that a revocation ends open connections too.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

import aiohttp

from middleplatform.errors import LimitError, MiddleplatformError, SourceError

__all__ = ["BODY_BYTES_MAX", "HttpTransport", "Peers"]

BODY_BYTES_MAX = 1 << 28
_CONNECT_S = 5.0
_CONNECTIONS_PER_NODE = 16
_CHUNK = 1 << 18


class Peers(Protocol):
    """Where nodes are and who they must be; ``enrolment.Trust`` is one."""

    def refresh(self) -> None:
        """Take note of changed files."""
        ...

    def address(self, department: str) -> str:
        """Return ``host:port``."""
        ...

    def server_name(self, department: str) -> str:
        """Return the name in the node's certificate."""
        ...

    def client_context(self, department: str) -> ssl.SSLContext:
        """Return the context of connections to the node; another one when something about either changed."""
        ...


class HttpTransport:
    """Calls nodes over HTTP.

    Args:
        peers: Where they are and who they must be.
        problem: Turns a TLS failure into the error that says what to do; takes it and the department.
    """

    def __init__(
        self, peers: Peers, problem: Callable[[Exception, str], MiddleplatformError]
    ) -> None:
        self._peers, self._problem = peers, problem
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(self, department: str, name: str, body: bytes, timeout_s: float) -> bytes:
        """Post one message; see ``Transport``."""
        self._peers.refresh()
        context = self._peers.client_context(department)
        url = f"https://{self._peers.address(department)}/v1/{name}"
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s))
        try:
            async with self._opened().post(
                url,
                data=body,
                ssl=context,
                server_hostname=self._peers.server_name(department),
                timeout=limits,
                allow_redirects=False,
            ) as response:
                return await self._reply(response, department)
        except TimeoutError:
            raise SourceError("S002", department=department) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise self._problem(error, department) from None

    async def _reply(self, response: aiohttp.ClientResponse, department: str) -> bytes:
        if response.status != 200:  # noqa: PLR2004 - every signed reply, an error too, comes with it
            detail = f"status {response.status}"
            if response.status == 403:  # noqa: PLR2004 - forbidden: before anything was read
                raise self._problem(PermissionError(detail), department)
            raise SourceError("S001", department=department, detail=detail)
        found = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            found += chunk
            if len(found) > BODY_BYTES_MAX:
                raise LimitError("L002", limit=BODY_BYTES_MAX, detail="a reply too large")
        return bytes(found)

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session of the running loop; connections belong to one loop."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS_PER_NODE)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
            self._loop = loop
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
