"""The encrypted interface of a node: who may call, what a call is, and what comes back.

A plain ASGI application: one address a call, one signed message in, one signed message out. Before a message is
read, the certificate of the connection must be the gateway's *now*: so a revocation ends open connections too.
Spec: docs/spec/node.md, "Messages".

Reveals:
    To who is not the gateway: that something listens. To the gateway: the replies of its calls.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Event
from typing import Any, Protocol

from middleplatform.access.operator_log import where
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.errors import ConfigError, LimitError, MiddleplatformError, ProtocolError
from middleplatform.node.server.calls import CALLS, Reply, Served, forget
from middleplatform.node.server.gate import Gate
from middleplatform.node.server.metrics import Metrics
from middleplatform.node.server.protocol import PEER
from middleplatform.node.service import GATEWAY
from middleplatform.ports import Clock
from middleplatform.wire.faults import to_fields
from middleplatform.wire.frame import CALL, REPLY, Message, decode, pieces

__all__ = ["Door", "NodeApp"]

_LOG = logging.getLogger("middleplatform.node.server")
_PREFIX = "/v1/"
_ROSTER = "roster"
_BODY_S = 30.0
_CHUNK = 1 << 20
_READING_MAX = 8
"""Messages that are read at once: each may be as large as the settings allow."""
_WRITE_S = 60.0
_MIB = 1 << 20

Scope = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


class Door(Protocol):
    """Who may come in; ``enrolment.Trust`` is one."""

    identity: IdentityKey
    pins: PinnedKeys

    def check_peer(self, certificate: bytes | None, party: str) -> None:
        """Return only if the certificate is that party's and good now."""
        ...


class NodeApp:
    """The application.

    Args:
        served: What the calls are served by.
        door: Who may come in.
        gate: How many at once.
        clock: Of this machine.
        tolerance_s: Seconds by which the gateway's clock may differ.
        body_mb: Mebibytes of one message.
        metrics: Counts.
    """

    def __init__(
        self,
        served: Served,
        door: Door,
        gate: Gate,
        clock: Clock,
        tolerance_s: int,
        body_mb: int,
        metrics: Metrics,
    ) -> None:
        self._served, self._door, self._gate, self._clock = served, door, gate, clock
        self._tolerance = timedelta(seconds=tolerance_s)
        self._body_max = body_mb * _MIB
        self._metrics = metrics
        self._nonces = _Nonces(self._tolerance * 2)
        self._reading = asyncio.Semaphore(_READING_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            self._door.check_peer(scope["state"].get(PEER), GATEWAY)
        except MiddleplatformError as error:
            self._metrics.refused("identity")
            _LOG.warning("a caller was refused: %s", error.public_message)
            await _plain(send, 403)
            return
        name = str(scope["path"]).removeprefix(_PREFIX)
        if scope["method"] != "POST" or name not in (*CALLS, _ROSTER):
            await _plain(send, 404)
            return
        if name == _ROSTER:
            await self._roster(scope, receive, send)
            return
        try:
            body = await self._body(scope, receive)
            asked = self._message(body, name)
        except MiddleplatformError as error:
            self._metrics.refused("message")
            _LOG.warning("a message was refused: %s", error.detail or error.code)
            await _plain(send, 400)
            return
        with self._metrics.call(name) as outcome:
            reply = await self._reply(asked, body, receive)
            outcome.code = _code(reply)
        answer = Message(
            REPLY, name, asked.receiver, GATEWAY, asked.nonce, self._now(), reply.fields, reply.parts, reply.digests,
        )  # fmt: skip
        await _whole(send, pieces(answer, self._door.identity))

    async def _roster(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the registrar's roster: it proves itself, and may be what makes the gateway's new key known."""
        try:
            body = await self._body(scope, receive)
            await self._gate.run(
                lambda _: self._served.accept_roster(body),
                lambda: asyncio.ensure_future(_gone(receive)),
            )
        except MiddleplatformError as error:
            self._metrics.refused("roster")
            _LOG.warning("a roster was refused: %s", error.detail or error.code)
            # 503 is not for ever: who is told so must come again, or a revocation would be lost.
            await _plain(send, 409 if error.code == "X006" else 503)
            return
        await _whole(send, ())

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        # A length, always: chunks would bring lines and trailers of their own that nobody counts.
        said = dict(scope["headers"]).get(b"content-length", b"")
        if not said.isdigit() or int(said[:20]) > self._body_max:
            raise LimitError("L002", limit=self._body_max, detail="a message too large")
        found = bytearray()
        try:
            async with self._reading, asyncio.timeout(_BODY_S):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ProtocolError("X001", detail="the caller went away")
                    found += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(found) > self._body_max:
                        raise LimitError("L002", limit=self._body_max, detail="a message too large")
        except TimeoutError:
            raise ProtocolError("X001", detail="a message came too slowly") from None
        return bytes(found)

    def _message(self, body: bytes, name: str) -> Message:
        department = self._served.node.department
        asked = decode(body, self._door.pins, kind=CALL, sender=GATEWAY, receiver=department)
        if asked.name != name:
            raise ProtocolError("X001", detail="a message for another call")
        return asked

    async def _reply(self, asked: Message, body: bytes, receive: Receive) -> Reply:
        """Return what the call answers; every error as a reply too, and nothing of an unexpected one."""
        try:
            self._fresh(asked)

            def work(stop: Event) -> Reply:
                return CALLS[asked.name](self._served, asked, stop)

            return await self._gate.run(work, lambda: asyncio.ensure_future(_gone(receive)))
        except MiddleplatformError as error:
            if error.prefix == "X" and error.audit_index is None:
                await self._enter(error, body)  # refused before any fragment or round took note
            if error.code == "L003":
                with suppress(MiddleplatformError):  # nobody hears it
                    await asyncio.to_thread(forget, self._served, asked)
            if error.detail or error.prefix == "X":
                _LOG.warning(
                    "%s %s: %s", asked.name, error.code, error.detail or error.public_message
                )
            return Reply({"error": to_fields(error)})
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of it may leave
            record = asked.nonce[:16]
            _LOG.error("%s failed, record %s: %s", asked.name, record, where(error))
            return Reply({"error": to_fields(ConfigError("C099", record=record))})

    async def _enter(self, error: MiddleplatformError, body: bytes) -> None:
        """Enter that a message which the gateway signed was refused."""
        node = self._served.node
        digest = sha256(body).hexdigest()
        await asyncio.to_thread(
            node.journal.refused, None, error.code, error.rule, node.bundle.digest, digest=digest
        )

    def _fresh(self, asked: Message) -> None:
        """Refuse a message of another time, or one that came before."""
        now = self._clock.now()
        try:
            at = datetime.fromisoformat(asked.at)
            far = abs(now - at) > self._tolerance
        except (ValueError, TypeError):
            raise ProtocolError("X001", detail="a message without a moment") from None
        if far:
            raise ProtocolError(
                "X005",
                department=self._served.node.department,
                limit=int(self._tolerance.total_seconds()),
            )
        if not self._nonces.take(asked.nonce, now):
            raise ProtocolError("X002", detail="a message came twice")

    def _now(self) -> str:
        return self._clock.now().isoformat()


class _Nonces:
    """The nonces of late; older ones are refused by their moment."""

    def __init__(self, kept: timedelta) -> None:
        self._kept = kept
        self._seen: OrderedDict[str, datetime] = OrderedDict()

    def take(self, nonce: str, now: datetime) -> bool:
        """Take note of a nonce; return False when it was taken before."""
        while self._seen and next(iter(self._seen.values())) < now - self._kept:
            self._seen.popitem(last=False)
        if nonce in self._seen:
            return False
        self._seen[nonce] = now
        return True


def _code(reply: Reply) -> str:
    error = reply.fields.get("error")
    return str(error["code"]) if isinstance(error, dict) else "ok"


async def _gone(receive: Receive) -> None:
    """Return when the caller has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _plain(send: Send, status: int) -> None:
    """End a request without a word: who is not known is told nothing."""
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _whole(send: Send, parts: Sequence[bytes]) -> None:
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(sum(map(len, parts))).encode()),
    ]
    async with asyncio.timeout(_WRITE_S):  # who does not read lets go of the answer
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(part), _CHUNK):
                body = view[start : start + _CHUNK] if len(part) > _CHUNK else part
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
