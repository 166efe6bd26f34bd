"""Processes that multiply points: X25519 holds the interpreter's lock, so threads would take turns.

A worker is this module in an interpreter of its own, reading requests from its standard input until that ends; so none
outlives its parent, however the parent ends. Secrets travel in the pipe, never in arguments or the environment.
A worker loads neither numpy nor the caller's main module, so it is small and starts from any kind of program.
Imported by ``middleplatform.crypto.blinded``; made by who runs a node, once.
Spec: docs/spec/private-join-blinded.md, "Workers".

Reveals:
    To other processes of the same user what they may read of any process of theirs; nothing beyond.
"""

import hashlib
import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Lock
from types import TracebackType
from typing import IO, NoReturn, Protocol, Self

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.hazmat.hash_to_curve import POINT_BYTES, all_on_curve, encode, multiply
from middleplatform.errors import LimitError

__all__ = ["PIECE_ROWS", "TOKEN_BYTES", "CurveWork", "Workers"]

PIECE_ROWS = 2048
"""Rows of one request: about 70 ms of work, so that queries that run at once take turns, and 64 KiB of points."""

TOKEN_BYTES = 16
PREFIX_BYTES = 32
SCALAR_BYTES = 32

_FRAME = struct.Struct("<Q")
_COUNT = struct.Struct("<I")
_PROGRAM = "from middleplatform.crypto.curve_workers import serve; serve()"
_STOP_SECONDS = 5.0
_AHEAD = 4  # requests under way for each process
_DONE, _REFUSED = b"\0", b"\1"


# --- The work -----------------------------------------------------------------------------------


def _hashed_and_blinded(body: bytes) -> bytes:
    """Scalar, tag behind its length in a byte, prefix, kind, count, ends of the values, values."""
    scalar, at = body[:SCALAR_BYTES], SCALAR_BYTES + 1
    tag = body[at : at + body[SCALAR_BYTES]]
    at += len(tag)
    prefix = body[at : at + PREFIX_BYTES + 1]
    at += len(prefix)
    (count,) = _COUNT.unpack_from(body, at)
    at += _COUNT.size
    ends = struct.unpack_from(f"<{count}I", body, at)
    values = body[at + 4 * count :]
    places = zip((0, *ends), ends, strict=False)
    return multiply(scalar, encode([prefix + values[a:b] for a, b in places], tag))


def _blinded(body: bytes) -> bytes:
    """Scalar, points; a point that is not on the curve is refused."""
    points = body[SCALAR_BYTES:]
    if not all_on_curve(points):
        raise ValueError("a point is not on the curve")
    return multiply(body[:SCALAR_BYTES], points)


def _cut(body: bytes) -> bytes:
    """Prefix, points; SHA-256 of both, its first half."""
    prefix, sha256 = body[:PREFIX_BYTES], hashlib.sha256
    places = range(PREFIX_BYTES, len(body), POINT_BYTES)
    return b"".join(
        [sha256(prefix + body[at : at + POINT_BYTES]).digest()[:TOKEN_BYTES] for at in places]
    )


_WORK: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"h": _hashed_and_blinded,
    b"b": _blinded,
    b"t": _cut,
}


def _answer(request: bytes) -> bytes:
    try:
        return _DONE + _WORK[request[:1]](request[1:])
    except ValueError:
        return _REFUSED


def _read(source: IO[bytes]) -> bytes | None:
    """Return the next frame, or nothing where the other side ended."""
    head = source.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    (size,) = _FRAME.unpack(head)
    body = source.read(size)
    return body if len(body) == size else None


def _write(target: IO[bytes], body: bytes) -> None:
    target.write(_FRAME.pack(len(body)))
    target.write(body)
    target.flush()


def serve() -> None:
    """Be a worker: answer requests on standard input until it ends."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    with suppress(KeyboardInterrupt, BrokenPipeError):
        while (request := _read(source)) is not None:
            _write(target, _answer(request))


# --- The pool -----------------------------------------------------------------------------------


class _Process:
    """One worker process; used by one thread at a time."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and a constant
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # an interrupt from the keyboard is the parent's to judge
        )

    @property
    def number(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, request: bytes) -> bytes | None:
        """Return the answer, or nothing where the process is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _write(self._process.stdin, request)
            return _read(self._process.stdout)
        except (OSError, ValueError):
            return None

    def kill(self) -> None:
        """End the process now, whatever it does."""
        self._process.kill()

    def end(self) -> None:
        """Wait for the process to end once its input has, by force after five seconds."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class CurveWork(Protocol):
    """Who answers requests: ``Workers``, or a view of them that ends early."""

    def run(self, requests: Iterable[bytes]) -> list[bytes]:
        """Return the answer to each request, in order."""
        ...


@dataclass(frozen=True, slots=True)
class _Until:
    """The same workers for one caller, who may stop waiting."""

    workers: CurveWork
    stop: Event

    def run(self, requests: Iterable[bytes]) -> list[bytes]:
        return self.workers.run(self._checked(requests))

    def _checked(self, requests: Iterable[bytes]) -> Iterator[bytes]:
        for request in requests:
            if self.stop.is_set():
                raise LimitError("L003", detail="nobody waits for the points")
            yield request


class Workers:
    """A pool of worker processes, for any number of queries and threads at once.

    The processes start with the first request. ``close`` ends them and refuses what is under way; who leaves the
    context closes. A process that dies is replaced once for the request that it held.

    Args:
        processes: Number of processes, by default as many as this process may use cores; 0 works in the caller's
            thread and starts none.
    """

    def __init__(self, processes: int | None = None) -> None:
        self._count = len(os.sched_getaffinity(0)) if processes is None else processes
        self._lock = Lock()
        self._closed = False
        self._threads: ThreadPoolExecutor | None = None
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._alive: set[_Process] = set()

    @classmethod
    def inline(cls) -> "Workers":
        """Return a pool without processes: the work is done by who asks."""
        return cls(0)

    def __repr__(self) -> str:
        return f"Workers(processes={self._count})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("workers belong to the process that made them")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the processes that run now."""
        with self._lock:
            return tuple(sorted(each.number for each in self._alive))

    def until(self, stop: Event) -> CurveWork:
        """Return the same workers, whose calls end (L003) within few pieces once ``stop`` is set."""
        return _Until(self, stop)

    def run(self, requests: Iterable[bytes]) -> list[bytes]:
        """Return the answer to each request, in order.

        Args:
            requests: A letter that names the work, then what it needs.

        Raises:
            ProtocolError: X001 when a point is not on the curve, or has small order.
            LimitError: L001 when the pool is closed, or a process died twice over one request.
        """
        if not self._count:
            return [_accepted(_answer(request)) for request in requests]
        try:
            return self._in_turns(self._started(), requests)
        except (CancelledError, RuntimeError):  # the pool was closed meanwhile
            raise _closed() from None

    def close(self) -> None:
        """End all processes, and with them what is under way; again is no matter."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, None
            alive = list(self._alive)
        if threads is None:
            return
        for process in alive:
            process.kill()
        threads.shutdown(cancel_futures=True)
        for process in alive:
            process.end()
        with self._lock:
            self._alive.clear()

    def _in_turns(self, threads: ThreadPoolExecutor, requests: Iterable[bytes]) -> list[bytes]:
        """Keep few requests under way, so that a long list takes turns with others and is not held twice."""
        waiting: deque[Future[bytes]] = deque()
        found = []
        try:
            for request in requests:
                waiting.append(threads.submit(self._asked, request))
                if len(waiting) > _AHEAD * self._count:
                    found.append(waiting.popleft().result())
            found += [each.result() for each in waiting]
        finally:
            for each in waiting:
                each.cancel()
        return found

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._closed:
                raise _closed()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="curve")
                for _ in range(self._count):
                    self._idle.put(self._new())
            return self._threads

    def _new(self) -> _Process:
        process = _Process()
        self._alive.add(process)
        return process

    def _asked(self, request: bytes) -> bytes:
        process = self._idle.get()
        try:
            answer = process.ask(request)
            if answer is None:
                process = self._replaced(process)
                answer = process.ask(request)
        finally:
            self._idle.put(process)
        if answer is None:
            raise LimitError("L001", detail="a curve worker ended twice")
        return _accepted(answer)

    def _replaced(self, dead: _Process) -> _Process:
        with self._lock:
            if self._closed:
                return dead
            self._alive.discard(dead)
            process = self._new()
        dead.end()
        return process


def _closed() -> LimitError:
    return LimitError("L001", detail="the curve workers are closed")


def _accepted(answer: bytes) -> bytes:
    if answer[:1] != _DONE:
        raise bad_message("a point is not on the curve, or of small order")
    return answer[1:]
