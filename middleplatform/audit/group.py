"""Group commit: one thread writes whatever has queued up meanwhile as one group.

Entries, the subtrees they complete and the checkpoint signed over them go into one transaction. A
waiter hears of its entry after that transaction is on disk, never before; when the transaction
fails, every waiter of the group hears so and nothing of it remains.
"""

import queue
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from middleplatform.audit.checkpoint import Checkpoint, SignedCheckpoint
from middleplatform.audit.entry import leaf_bytes
from middleplatform.audit.faults import unwritable
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.merkle import Frontier, Tree, node_position
from middleplatform.audit.store import Batch, refusal
from middleplatform.errors import AuditError, LimitError
from middleplatform.model.record import Receipt

__all__ = ["Append", "Cosignature", "GroupCommit", "Guard", "signed_note"]

_T = TypeVar("_T")
_GROUP_MAX = 1024
_QUEUE_MAX = 65_536


def signed_note(signer: CheckpointSigner, frontier: Frontier) -> str:
    """Return the signed checkpoint of the tree whose right edge is ``frontier``."""
    body = Checkpoint(signer.name, frontier.size, frontier.root()).body()
    return body + "\n" + signer.sign(body)


Guard = Callable[[Any], bool]
"""Given the transaction that appends, says whether an entry may still go in; else it is refused."""


@dataclass(frozen=True, slots=True)
class Append:
    """An entry that waits for its index; ``head`` is its leaf up to there."""

    head: bytes
    future: "Future[Receipt]"
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A checked cosignature that waits to be kept."""

    size: int
    line: str
    future: "Future[None]"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the queue: settled once everything before it is."""

    future: "Future[None]"


class GroupCommit(ABC):
    """The queue and the thread; where the log lies is for those that inherit, whose constructors end with ``_go``.

    Args:
        signer: The log's key.
        keys: All keys whose checkpoints the log accepts, the signer's first.
        frontier: Right edge of the verified tree.
        latest: Its newest checkpoint.
    """

    def __init__(
        self,
        signer: CheckpointSigner,
        keys: Sequence[VerifierKey],
        frontier: Frontier,
        latest: SignedCheckpoint,
    ) -> None:
        self._signer, self._keys = signer, keys
        self._frontier = frontier
        self.latest = latest  # replaced as a whole, so other threads read it without a lock
        self._dead: AuditError | None = None
        self._closed = False
        self._under = threading.local()
        self._gate = threading.Lock()  # nothing is queued behind the end mark
        self._queue: queue.Queue[Append | Cosignature | Mark | None] = queue.Queue(_QUEUE_MAX)
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)

    def _go(self) -> None:
        self._thread.start()

    @abstractmethod
    def _commit(self, jobs: list["Append"]) -> Sequence[Receipt | AuditError]:
        """Write the group and return its receipts, and why there is none."""

    @abstractmethod
    def _keep(self, job: "Cosignature") -> list[None]:
        """Write a cosignature."""

    @abstractmethod
    def _after_failure(self, error: Exception) -> None:
        """Undo what was begun."""

    @abstractmethod
    def _ended(self) -> None:
        """Give everything free: nothing more will be written."""

    def append(self, head: bytes) -> "Future[Receipt]":
        """Queue an entry."""
        future: Future[Receipt] = Future()
        self._put(Append(head, future, getattr(self._under, "guard", None)))
        return future

    @contextmanager
    def under(self, guard: Guard) -> Iterator[None]:
        """Have what this thread queues meanwhile refused (A001) where ``guard`` says no when it is written."""
        before = getattr(self._under, "guard", None)
        self._under.guard = guard
        try:
            yield
        finally:
            self._under.guard = before

    @property
    def claimant(self) -> str:
        """Return who appends here."""
        return self._signer.name

    def newest(self) -> SignedCheckpoint:
        """Return the newest checkpoint."""
        return self.latest

    def keep_cosignature(self, size: int, line: str) -> "Future[None]":
        """Queue a cosignature."""
        future: Future[None] = Future()
        self._put(Cosignature(size, line, future))
        return future

    def flush(self) -> None:
        """Wait until everything that was queued before is written or was refused."""
        future: Future[None] = Future()
        try:
            self._put(Mark(future))
        except AuditError:  # closed: it wrote what was queued
            return
        future.result()

    def _put(self, job: Append | Cosignature | Mark) -> None:
        with self._gate:
            if self._closed:
                raise unwritable("the log is closed")
            try:
                self._queue.put_nowait(job)
            except queue.Full:
                raise LimitError("L001", detail="the audit queue is full") from None

    def close(self) -> None:
        """Write what is queued and end the thread."""
        with self._gate:
            closed, self._closed = self._closed, True
        if not closed:
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            jobs, going = self._take()
            appends = [job for job in jobs if isinstance(job, Append)]
            if appends:
                self._settle([job.future for job in appends], partial(self._commit, appends))
            for job in jobs:
                if isinstance(job, Cosignature):
                    self._settle([job.future], partial(self._keep, job))
                elif isinstance(job, Mark):
                    job.future.set_result(None)
        self._ended()

    def _take(self) -> tuple[list[Append | Cosignature | Mark], bool]:
        """Wait for a job and take all that have queued; False with the last of them.

        A job whose waiter has canceled it is left out: it will never be written.
        """
        jobs: list[Append | Cosignature | Mark] = []
        job = self._queue.get()
        while job is not None:
            if job.future.set_running_or_notify_cancel():
                jobs.append(job)
            if len(jobs) >= _GROUP_MAX:
                return jobs, True
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _settle(
        self, waiting: "list[Future[_T]]", write: Callable[[], Sequence[_T | AuditError]]
    ) -> None:
        """Run ``write`` and hand each waiter its result or its own error, or all of them the same error."""
        try:
            results = write()
        except (sqlite3.Error, OSError) as error:
            self._after_failure(error)
            fault: Exception = refusal(error)
        except AuditError as error:
            fault = error
        except Exception as error:  # noqa: BLE001 - a waiter must hear of every fault, and the thread must live
            self._after_failure(error)
            fault = unwritable(f"{type(error).__name__}: {error}")
        else:
            for future, result in zip(waiting, results, strict=True):
                if isinstance(result, AuditError):
                    future.set_exception(result)
                else:
                    future.set_result(result)
            return
        for future in waiting:
            future.set_exception(fault)

    def _grown(self, jobs: list[Append], frontier: Frontier) -> tuple[Batch, list[Receipt]]:
        """Let ``frontier`` grow by the group; return what is to be written and the receipts."""
        fresh = {(level, index): value for level, index, value in frontier.nodes()}
        entries, nodes, hashes = [], [], []
        first = frontier.size
        for index, job in enumerate(jobs, first):
            leaf = leaf_bytes(job.head, index)
            hashes.append(frontier.profile.leaf(leaf))
            entries.append((index, leaf))
            for level, place, value in frontier.append(hashes[-1]):
                nodes.append((node_position(level, place), value))
                fresh[level, place] = value
        note = signed_note(self._signer, frontier)
        # A sibling on a new leaf's path is new itself or stands on the edge that the group started
        # from.
        tree = Tree(frontier.profile, lambda level, index: fresh[level, index])
        receipts = [
            Receipt(
                index,
                value.hex(),
                note,
                tuple(part.hex() for part in tree.inclusion_proof(index, frontier.size)),
            )
            for index, value in enumerate(hashes, first)
        ]
        return Batch(entries, nodes, frontier.size, note), receipts
