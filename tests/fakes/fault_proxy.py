"""A TCP proxy on loopback that breaks connections as networks do: late, cut, half-open, silent, dribbling, doubled.

It carries TLS and sees none of it: faults are told in bytes, moments and turns. A turn is a run of bytes towards the
node after bytes from it; on one connection the first is the client's greeting, each later one a request.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Fault", "FaultProxy"]

_RESET = struct.pack("ii", 1, 0)
_PIECE_S = 0.002


@dataclass(frozen=True)
class Fault:
    """What befalls a connection.

    Attributes:
        delay_s: Seconds by which each piece is late, in either direction.
        up_max: Bytes towards the node before ``then``; None for no end.
        down_max: Bytes from the node before ``then``; None for no end.
        then: ``reset``, or ``silence``: the connection stays open and carries nothing more.
        deaf: Accept, and never do anything more.
        piece: Bytes of a reply at a time; 0 for as they come.
        doubled: Open each connection to the node twice; only the first one is heard.
        times: Connections that it befalls, from now on; None for all.
    """

    delay_s: float = 0
    up_max: int | None = None
    down_max: int | None = None
    then: str = "reset"
    deaf: bool = False
    piece: int = 0
    doubled: bool = False
    times: int | None = None


@dataclass(eq=False)
class _Connection:
    fault: Fault
    client: asyncio.StreamWriter
    node: asyncio.StreamWriter | None = None
    silent: bool = False
    upward: bool = False
    turns: int = 0

    def reset(self) -> None:
        for writer in (self.client, self.node):
            if writer is not None:
                _reset(writer)


@dataclass(eq=False)
class FaultProxy:
    """Carries connections to a port of this machine; a context manager.

    Attributes:
        target: The node's port.
        port: Its own.
        accepted: Connections so far.
        requests: Requests since the last fault or action was set.
        carried: Bytes towards the node and from it since the last fault was set.
    """

    target: int
    port: int = 0
    accepted: int = 0
    requests: int = 0
    carried: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    _fault: Fault = field(default_factory=Fault)
    _left: int | None = None
    _armed: tuple[int, Callable[[], None]] | None = None
    _open: set[_Connection] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def befall(self, fault: Fault = Fault()) -> None:
        """Let ``fault`` befall the connections to come; without one, all is well again."""
        with self._lock:
            self._fault, self._left = fault, fault.times
            self.requests, self.carried = 0, {"up": 0, "down": 0}

    def silence(self) -> None:
        """Let the open connections carry nothing more, and tell neither end."""
        for each in list(self._open):
            each.silent = True

    def cut(self) -> None:
        """Reset the open connections, and return when they are."""

        async def work() -> None:
            for each in list(self._open):
                each.reset()
            for _ in range(3):  # sockets are closed in the loop's next turn
                await asyncio.sleep(0)

        work_done = asyncio.run_coroutine_threadsafe(work(), self._loop)
        if (
            threading.current_thread() is not self._thread
        ):  # an action at a request is the proxy's own
            work_done.result()

    def at_request(self, number: int, action: Callable[[], None]) -> None:
        """Call ``action`` just before the next, second, ... request from now on is passed on."""
        with self._lock:
            self._armed, self.requests = (number, action), 0

    def at_ease(self) -> None:
        """Call nothing any more."""
        with self._lock:
            self._armed = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", self.port), self._loop
        ).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # the transports take note

    def _taken(self) -> Fault:
        with self._lock:
            self.accepted += 1
            if self._left == 0:
                return Fault()
            if self._left is not None:
                self._left -= 1
            return self._fault

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = _Connection(self._taken(), writer)
        self._open.add(current)
        try:
            if current.fault.deaf:
                await asyncio.Event().wait()
            await self._carry(current, reader)
        except OSError:
            current.reset()
        except asyncio.CancelledError:
            current.reset()  # the end of the proxy
        finally:
            self._open.discard(current)
            for each in (current.client, current.node):
                if each is not None:
                    each.close()

    async def _carry(self, current: _Connection, reader: asyncio.StreamReader) -> None:
        answers, current.node = await asyncio.open_connection("127.0.0.1", self.target)
        twin = None
        if current.fault.doubled:
            _, twin = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            ways = {
                asyncio.ensure_future(self._pump(current, reader, True, twin)),
                asyncio.ensure_future(self._pump(current, answers, False, None)),
            }
            _, rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for each in rest:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            if twin is not None:
                twin.close()

    async def _pump(
        self,
        current: _Connection,
        reader: asyncio.StreamReader,
        up: bool,
        twin: asyncio.StreamWriter | None,
    ) -> None:
        fault, passed = current.fault, 0
        writer = current.node if up else current.client
        most = fault.up_max if up else fault.down_max
        while data := await reader.read(65536):
            self._note(current, up)
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            if current.silent:
                continue
            ends = most is not None and passed + len(data) > most
            if ends:
                data = data[: most - passed]
            passed += len(data)
            self.carried["up" if up else "down"] += len(data)
            if twin is not None:
                twin.write(data)
            await _write(writer, data, 0 if up else fault.piece)
            if ends and fault.then == "reset":
                await asyncio.sleep(0.05)  # what was passed on arrives first
                current.reset()
                return
            current.silent = current.silent or ends
        if current.silent:
            await asyncio.Event().wait()

    def _note(self, current: _Connection, up: bool) -> None:
        turned = up and not current.upward
        current.upward = up
        if not turned:
            return
        current.turns += 1
        with self._lock:
            if current.turns == 1:
                return
            self.requests += 1
            if self._armed is None or self.requests != self._armed[0]:
                return
            _, action = self._armed
            self._armed = None
        action()


async def _write(writer: asyncio.StreamWriter, data: bytes, piece: int) -> None:
    for start in range(0, len(data), piece or max(1, len(data))):
        writer.write(data[start : start + (piece or len(data))])
        await writer.drain()
        if piece:
            await asyncio.sleep(_PIECE_S)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        held = writer.get_extra_info("socket")
        if held is not None:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
