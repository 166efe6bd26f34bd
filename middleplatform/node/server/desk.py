"""The plain interface for the department's own operator: health, metrics, status, and the own data's stewards.

It listens on a Unix socket that its owner alone may open, and, health and metrics only, on a loopback port where
the operator asks for one. No other machine reaches it.

Reveals:
    To who may open the socket, which is the department itself: health, metrics, digests, and own data where a grant
    says so. To who asks the loopback port: health and metrics.
"""

import json
import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from middleplatform.access.operator_log import where
from middleplatform.errors import ConfigError, MiddleplatformError, QueryError
from middleplatform.node.server.metrics import Metrics
from middleplatform.wire.faults import to_fields

__all__ = ["Desk"]

_LOG = logging.getLogger("middleplatform.node.server")
_BODY_MAX = 131_072

Scope = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


class Desk:
    """The application.

    Args:
        metrics: What is counted.
        status: Tells how the node is.
        own: Answers a steward: takes login, statement and purpose; None where only health and metrics are served.
        snapshot: Begins a snapshot: takes dataset, label and reason; None as for ``own``.
    """

    def __init__(
        self,
        metrics: Metrics,
        status: Callable[[], Mapping[str, object]],
        own: Callable[[str, str, str], Any] | None = None,
        snapshot: Callable[[str, str, str], Any] | None = None,
    ) -> None:
        self._metrics, self._status, self._own = metrics, status, own
        self._snapshot = snapshot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        match (scope["method"], scope["path"]):
            case ("GET", "/health"):
                await _send(send, 200, {"status": "ok"})
            case ("GET", "/metrics"):
                await _raw(send, 200, b"text/plain; version=0.0.4", self._metrics.text())
            case ("GET", "/status") if self._own is not None:
                await _send(send, 200, dict(self._status()))
            case ("POST", "/own") if self._own is not None:
                await _asked(self._own, ("steward", "sql", "purpose"), receive, send)
            case ("POST", "/snapshot") if self._snapshot is not None:
                await _asked(self._snapshot, ("dataset", "label", "reason"), receive, send)
            case _:
                await _send(send, 404, {"status": "not found"})


async def _asked(
    answers: Callable[[str, str, str], Any],
    names: tuple[str, str, str],
    receive: Receive,
    send: Send,
) -> None:
    try:
        told = await _json(receive, names)
        answer = await answers(*(told[name] for name in names))
    except MiddleplatformError as error:
        await _send(send, error.http_status, {"error": to_fields(error)})
        return
    except Exception as error:  # noqa: BLE001 - the boundary
        _LOG.error("the desk: %s", where(error))
        await _send(send, 500, {"error": to_fields(ConfigError("C099", record="-"))})
        return
    await _send(send, 200, answer)


async def _json(receive: Receive, names: tuple[str, str, str]) -> dict[str, str]:
    """Read a body that must hold three texts.

    Raises:
        QueryError: Q040 when it does not.
    """
    found, more = bytearray(), True
    while more and len(found) <= _BODY_MAX:
        message = await receive()
        found += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        told = json.loads(bytes(found))
        good = set(told) == set(names) and all(isinstance(told[name], str) for name in names)
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise QueryError(
            "Q040",
            what=(f"{', '.join(names)} are needed", f"需要 {'、'.join(names)}"),
        )
    return dict(told)


async def _send(send: Send, status: int, body: object) -> None:
    text = json.dumps(body, ensure_ascii=False, default=_plain)
    await _raw(send, status, b"application/json", text.encode())


async def _raw(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _plain(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
