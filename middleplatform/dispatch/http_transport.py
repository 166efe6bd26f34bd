"""HTTP/1.1 over mutual TLS 1.3, with connections kept open: the transport between machines.

Every call judges the node's certificate anew before a byte of it is sent, so that a revocation ends open connections
too. Connections belong to one event loop, callers may come from any: so the transport has a thread with a loop of its
own.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

import aiohttp

from middleplatform.errors import LimitError, MiddleplatformError, ProtocolError, SourceError

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["BODY_BYTES_MAX", "HttpTransport", "Peers"]

BODY_BYTES_MAX = 1 << 28
_CONNECT_S = 5.0
_CONNECTIONS_PER_NODE = 16
_LINGER_S = 0.05
_JUDGE: ContextVar[Callable[[bytes | None], None]] = ContextVar("judge")
_REFUSED = (
    "it refuses the platform's certificate; its operator runs: middleplatform node status",
    "其拒绝平台的证书；请其运维人员运行 middleplatform node status",
)


class Peers(Protocol):
    """Where nodes are and who they must be; ``enrolment.Trust`` is one."""

    def address(self, department: str) -> str:
        """Return ``host:port``."""
        ...

    def server_name(self, department: str) -> str:
        """Return the name in the node's certificate."""
        ...

    def client_context(self, department: str) -> ssl.SSLContext:
        """Return the context of connections to the node; another one when something about either changed."""
        ...

    def check_peer(self, certificate: bytes | None, party: str) -> None:
        """Return only if the certificate (DER) is that party's and good now."""
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
        self._lock = threading.Lock()
        self._io: _Io | None = None
        self._closed = False

    async def call(self, department: str, name: str, body: bytes, timeout_s: float) -> bytes:
        """Post one message; see ``Transport``."""
        io = self._started(department)
        work = asyncio.run_coroutine_threadsafe(
            self._post(io.session, department, name, body, timeout_s), io.loop
        )
        return await asyncio.wrap_future(work)

    async def _post(
        self,
        session: aiohttp.ClientSession,
        department: str,
        name: str,
        body: bytes,
        timeout_s: float,
    ) -> bytes:
        context = self._peers.client_context(department)
        url = f"https://{self._peers.address(department)}/v1/{name}"
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s))
        _JUDGE.set(lambda certificate: self._peers.check_peer(certificate, department))
        try:
            async with session.post(
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
        match response.status:
            case 200:
                return await _body(response)
            case 400:
                raise ProtocolError("X001", detail=f"{department} refused our message")
            case 409:  # a roster that is not newer than the one there: nothing to be told
                return b""
            case 403:
                ours = self._problem(PermissionError("403"), department)
                if isinstance(ours, ProtocolError):  # our own certificate says why
                    raise ours
                raise ProtocolError("X006", party=department, what=_REFUSED)
            case status:
                raise SourceError("S001", department=department, detail=f"status {status}")

    def _started(self, department: str) -> "_Io":
        with self._lock:
            if self._closed:
                raise SourceError("S001", department=department, detail="the transport is closed")
            if self._io is None:
                self._io = _Io()
            return self._io

    def close(self) -> None:
        """Close all connections and end the thread; twice is harmless."""
        with self._lock:
            self._closed = True
            if self._io is not None:
                self._io.close()
                self._io = None


class _Io:
    """A thread with an event loop and the session that lives in it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="transport", daemon=True)
        self._thread.start()
        self.session = asyncio.run_coroutine_threadsafe(_session(), self.loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _end(self) -> None:
        """End what runs, then the connections, and let their transports take note."""
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.session.close()
        await asyncio.sleep(_LINGER_S)


class _Connector(aiohttp.TCPConnector):
    """Has the certificate at the other end judged before each request, also on a connection that is open."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list["Trace"],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - what aiohttp calls it with
    ) -> "Connection":
        """Return a connection whose other end counts at this moment; the task that asks says how to judge it."""
        connection = await super().connect(req, traces, timeout)
        try:
            if connection.transport is not None:  # else it is closed, and sending fails
                session = connection.transport.get_extra_info("ssl_object")
                _JUDGE.get()(session and session.getpeercert(binary_form=True))
        except BaseException:
            connection.close()
            raise
        return connection


async def _session() -> aiohttp.ClientSession:
    connector = _Connector(limit=0, limit_per_host=_CONNECTIONS_PER_NODE)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


async def _body(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise LimitError("L002", limit=BODY_BYTES_MAX, detail="a reply too large")
    return b"".join(chunks)
