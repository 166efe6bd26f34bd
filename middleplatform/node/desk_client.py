"""Reaches a node's desk from the same machine, over its Unix socket: whoever may open it is the department."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from middleplatform.errors import SourceError
from middleplatform.node.short_path import short_path
from middleplatform.wire.faults import from_fields

__all__ = ["ask_own", "begin_snapshot", "read"]

_STATUS_S = 5.0


def ask_own(
    socket: Path, department: str, steward: str, sql: str, purpose: str, timeout_s: float
) -> Mapping[str, Any]:
    """Have a running node answer a steward's question about the department's own data.

    Args:
        socket: ``node.sock`` in the node's state folder.
        department: Whose node.
        steward: Login, as the node's settings have it.
        sql: The question.
        purpose: Why.
        timeout_s: Seconds for the answer.

    Returns:
        ``query_id``, ``entry`` (index in the department's log), ``columns`` and ``rows``.

    Raises:
        SourceError: S001 no node runs there.
        MiddleplatformError: What the node refuses with.

    Reveals:
        To who may open the socket: cells of any size of the own data, where a grant says so.
    """
    told = {"steward": steward, "sql": sql, "purpose": purpose}
    return _told(socket, department, "/own", told, timeout_s)


def begin_snapshot(
    socket: Path, department: str, dataset: str, label: str, reason: str
) -> Mapping[str, Any]:
    """Have a running node begin a new snapshot of a dataset: see ``budgets.begin_snapshot``.

    Returns:
        ``dataset`` and ``snapshot``.

    Raises:
        SourceError: S001 no node runs there.
        MiddleplatformError: What the node refuses with.

    Reveals:
        Nothing.
    """
    told = {"dataset": dataset, "label": label, "reason": reason}
    return _told(socket, department, "/snapshot", told, _STATUS_S)


def _told(
    socket: Path, department: str, path: str, body: object, timeout_s: float
) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(
        asyncio.run(_call(socket, department, "POST", path, body, timeout_s))
    )
    if "error" in found:
        raise from_fields(found["error"], department)
    return found


def read(socket: Path, department: str, path: str) -> str:
    """Return what the desk says at ``/health``, ``/metrics`` or ``/status``.

    Raises:
        SourceError: S001 no node runs there.

    Reveals:
        Counts and digests, to who may open the socket.
    """
    return asyncio.run(_call(socket, department, "GET", path, None, _STATUS_S))


async def _call(
    socket: Path, department: str, method: str, path: str, body: object, timeout_s: float
) -> str:
    limits = aiohttp.ClientTimeout(total=timeout_s)
    try:
        with short_path(socket) as address:
            return await _request(address, method, path, body, limits)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise SourceError("S001", department=department, detail=str(error)) from None


async def _request(
    address: str, method: str, path: str, body: object, limits: aiohttp.ClientTimeout
) -> str:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(address)) as session,
        session.request(method, f"http://node{path}", json=body, timeout=limits) as response,
    ):
        return await response.text()
