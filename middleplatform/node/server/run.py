"""Runs a node until it is asked to stop: the encrypted interface, the operator's desk, and an orderly end.

Reveals:
    Nothing by itself: what its interfaces reveal is said there.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import uvicorn

from middleplatform import __version__
from middleplatform.access.system import keep_freed_memory
from middleplatform.combine.released import Released
from middleplatform.enrolment.trust import Trust
from middleplatform.errors import ConfigError, PolicyError
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.node.budgets import begin_snapshot
from middleplatform.node.config import NodeConfig
from middleplatform.node.open import OpenNode
from middleplatform.node.own import OwnAnswer, own_answer
from middleplatform.node.server.app import NodeApp
from middleplatform.node.server.calls import Served
from middleplatform.node.server.desk import Desk
from middleplatform.node.server.gate import Gate
from middleplatform.node.server.metrics import Metrics
from middleplatform.node.server.protocol import PeerProtocol
from middleplatform.node.short_path import short_path

__all__ = ["serve"]

_KEEP_ALIVE_S = 75
_STRANGER = ("ask as an unknown steward", "以未知专员身份提问")
_BACKLOG = 128
_LINE = 4096


def serve(config: NodeConfig, trust: Trust, opened: OpenNode, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT, or the end of standard input where the node has a lifeline.

    Args:
        config: The node's settings.
        trust: Who may come in.
        opened: The node; closed by the caller.
        ready: Told ``host:port`` once calls are taken.

    Raises:
        ConfigError: C003 the address cannot be listened on.
    """
    keep_freed_memory()
    asyncio.run(_Running(config, trust, opened).until_stopped(ready))


class _Server(uvicorn.Server):
    """A server that says when it is ready and leaves signals alone: several of them share one process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready, self._stopping = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take calls."""
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Wait for ``stop``; the parent class looks ten times a second instead, busy or not."""
        await self._stopping.wait()

    def stop(self) -> None:
        """Take no more calls, and end."""
        self.should_exit = True
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Running:
    def __init__(self, config: NodeConfig, trust: Trust, opened: OpenNode) -> None:
        self._config, self._trust, self._opened = config, trust, opened
        limits = config.limits
        self._gate = Gate(config.department, limits.concurrency, limits.waiting, limits.timeout_s)
        self._metrics = Metrics()
        self._metrics.watch("running", "Calls that run or wait.", lambda: self._gate.running)
        self._metrics.watch("rounds", "Secure sums under way.", lambda: len(opened.rounds))
        self._metrics.watch("joins", "Private joins under way.", lambda: len(opened.joins or ()))
        self._database = Released()

    async def until_stopped(self, ready: Callable[[str], None]) -> None:
        front, address = _bound(self._config.listen)
        servers = [(self._front(), [front])]
        desk = Desk(self._metrics, self._status, self._own, self._snapshot)
        servers.append((_plain(desk), [_local(self._config.socket)]))
        if self._config.metrics:
            watched, _ = _bound(self._config.metrics)
            servers.append((_plain(Desk(self._metrics, self._status)), [watched]))
        stop = _stopper(self._config.lifeline)
        running = [asyncio.create_task(server.serve(sockets)) for server, sockets in servers]
        journal = self._opened.node.journal
        connectors = dict(self._opened.registered)
        journal.event(
            "start", {"version": __version__, **self._digests(), "connectors": connectors}
        )
        await asyncio.gather(*(server.ready.wait() for server, _ in servers))
        ready(address)
        try:
            await asyncio.wait(
                [asyncio.ensure_future(stop.wait()), *running], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for server, _ in servers:
                server.stop()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.to_thread(self._gate.close)
            journal.event("stop", {"version": __version__})
            self._database.close()
            self._config.socket.unlink(missing_ok=True)

    def _front(self) -> _Server:
        opened = self._opened
        served = Served(opened.node, opened.rounds, self._status, self._accept_roster, opened.joins)
        app = NodeApp(
            served,
            self._trust,
            self._gate,
            self._opened.node.clock,
            self._config.clock_tolerance_s,
            self._config.limits.body_mb,
            self._metrics,
        )
        context = self._trust.server_context()
        return _Server(
            _settings(
                app,
                http=PeerProtocol,
                ssl_context_factory=lambda _config, _default: context,
                timeout_graceful_shutdown=self._config.grace_s,
            )
        )

    def _accept_roster(self, raw: bytes) -> None:
        """Take a roster; a new one is an event of the node's log."""
        before = self._trust.roster.sequence
        self._trust.accept_roster(raw)
        number = self._trust.roster.sequence
        if number != before:
            digest = sha256(raw).hexdigest()
            self._opened.node.journal.event("roster", {"sequence": number, "digest": digest})

    # --- what the desk and the gateway may ask --------------------------------------------------------------------

    def _status(self) -> Mapping[str, object]:
        node = self._opened.node
        return {
            "department": node.department,
            "version": __version__,
            **self._digests(),
            "policy": {} if node.policies is None else node.policies.status(),
            "roster": self._trust.roster.sequence,
            "time": node.clock.now().isoformat(),
            "running": self._gate.running,
        }

    def _digests(self) -> dict[str, object]:
        node = self._opened.node
        return {"policy_digest": node.bundle.digest, "catalog_digest": node.catalog.digest}

    async def _snapshot(self, dataset: str, label: str, reason: str) -> Mapping[str, object]:
        """Begin a snapshot, on the command of who may open the socket: the department."""
        node = self._opened.node
        begun = await asyncio.to_thread(
            begin_snapshot, node.department, node.catalog, node.budget, node.journal,
            (dataset, label, reason), node.clock.now().isoformat(),
        )  # fmt: skip
        return {"dataset": begun.dataset, "snapshot": begun.label}

    async def _own(self, steward: str, sql: str, purpose: str) -> Mapping[str, object]:
        """Answer a steward of this department, who is known to the node's settings."""
        node = self._opened.node
        stranger = Subject(steward[:64], node.department, frozenset(), ())
        known = {subject.id: subject for subject in self._config.stewards}
        request = QueryRequest(
            node.rng.token_bytes(16).hex(), sql, known.get(steward, stranger), purpose,
            project=node.department, received_at=node.clock.now(),
        )  # fmt: skip

        def work(stop: Event) -> OwnAnswer:
            if steward not in known:
                refusal = PolicyError("P004", what=_STRANGER)
                node.journal.own(request, node.bundle.digest, error=refusal)
                raise refusal
            return own_answer(node, request, self._database, stop)

        found = await self._gate.run(work, asyncio.get_running_loop().create_future)
        table = found.release.table
        return {
            "query_id": request.query_id,
            "entry": found.entry,
            "columns": table.column_names,
            "rows": [list(row.values()) for row in table.to_pylist()],
        }


def _settings(app: Any, **more: Any) -> uvicorn.Config:  # noqa: ANN401 - what uvicorn takes
    return uvicorn.Config(
        app,
        loop="asyncio",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        **more,
    )


def _plain(app: Desk) -> _Server:
    return _Server(_settings(app, http="httptools", timeout_graceful_shutdown=1))


def _bound(address: str) -> tuple[socket.socket, str]:
    """Listen on an address.

    Raises:
        ConfigError: C003.
    """
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    # The protocol must be named: only then does the loop switch Nagle's delay off, which costs 40 ms a call.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bare, int(port)))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        what = (f"cannot listen on {address}", f"无法监听 {address}")
        raise ConfigError("C003", what=what, detail=str(error)) from None
    listener.settimeout(0)
    return listener, f"{host}:{listener.getsockname()[1]}"


def _local(path: Path) -> socket.socket:
    """Listen on a Unix socket that its owner alone may open.

    Raises:
        ConfigError: C011.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as address:
            listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError("C011", what=str(path.name), detail=str(error)) from None
    finally:
        os.umask(before)
    listener.settimeout(0)
    return listener


def _stopper(lifeline: bool) -> asyncio.Event:  # noqa: FBT001 - of the settings
    """Return an event that is set when the node is asked to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline:
        stdin = sys.stdin.fileno()

        def watch() -> None:
            # Past Python's own buffer: its lock, held here, would abort the process at its end.
            while os.read(stdin, _LINE):
                pass
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=watch, name="lifeline", daemon=True).start()
    return stop
