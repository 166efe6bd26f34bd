"""The audit log: no receipt, no answer.

``submit`` takes a record, ``Receipt`` says that it is on disk, at which index, under which signed
checkpoint, with the proof. There is no call that changes or deletes. One process has the log open
for writing at a time; others may read it (``reader.ReadOnlyLog``).

Spec: docs/spec/audit-log.md
"""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from middleplatform.audit.checkpoint import check_cosignature, open_checkpoint, parse_signature
from middleplatform.audit.entry import leaf_head
from middleplatform.audit.group import GroupCommit, Guard, signed_note
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.merkle import SHA256, Frontier, HashProfile
from middleplatform.audit.places import FilePlace, LogStore, Place
from middleplatform.audit.reader import RETENTION_YEARS_MIN, LogView, Retention, check_retention
from middleplatform.audit.selfcheck import check_store
from middleplatform.audit.store import LogLock, Store, refusal
from middleplatform.audit.writer import Writer
from middleplatform.model.record import AuditRecord, Receipt
from middleplatform.ports import Clock

__all__ = ["AuditLog", "Retention"]


class AuditLog(LogView):
    """An open log: ``open``, then ``close``, or a ``with`` block; many threads may use it."""

    def __init__(
        self, place: Place, writer: GroupCommit, profile: HashProfile,
        keys: Sequence[VerifierKey], clock: Clock, retention_years: int,
    ) -> None:  # fmt: skip
        super().__init__(profile, keys, clock, retention_years)
        self._place, self._writer = place, writer

    @classmethod
    def open(
        cls, path: Path, signer: CheckpointSigner, clock: Clock, *,
        retention_years: int = RETENTION_YEARS_MIN,
        profile: HashProfile = SHA256, retired_keys: Sequence[VerifierKey] = (),
    ) -> Self:  # fmt: skip
        """Open the log at ``path``, or begin one; recompute all of it before the first append.

        Args:
            path: Database file; a lock file stands beside it, and SQLite's own.
            signer: The log's key; its name is the origin.
            clock: For the retention report.
            retention_years: At least 3.
            profile: Hash function; fixed for the life of the log.
            retired_keys: Earlier keys of this log, whose checkpoints still count.

        Raises:
            AuditError: A001 when it cannot be opened or written, A002 when it does not verify
                (naming the entry), A003 when it is open already.
            ConfigError: C003 when retention is shorter than the law asks for.
        """
        check_retention(retention_years)
        keys = (signer.key, *retired_keys)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path = path.resolve()
        except OSError as error:
            raise refusal(error) from None
        lock = LogLock(path)
        try:
            first = signed_note(signer, Frontier(profile))
            store = Store.open_or_create(path, signer.name, profile.name, first)
            try:
                frontier, latest = check_store(store, profile, keys)
            except BaseException:
                store.close()
                raise
        except (sqlite3.Error, OSError) as error:
            lock.release()
            raise refusal(error) from None
        except BaseException:
            lock.release()
            raise
        writer = Writer(path, store, signer, keys, frontier, latest)
        return cls(FilePlace(path, lock), writer, profile, keys, clock, retention_years)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is queued, then give the log free. Closing twice does no harm."""
        self._writer.close()
        self._place.close()

    def submit(self, record: AuditRecord) -> "Future[Receipt]":
        """Queue ``record``; the future resolves once it is on disk.

        A future that is canceled before its group is taken is not written.

        Args:
            record: ``body["at"]`` says when the event took place (RFC 3339, with offset).

        Raises:
            ValueError: The record has no canonical form or no ``at``: the caller's mistake.
            LimitError: L001 when 65,536 entries wait already.
            AuditError: A001 when the log is closed. The future raises A001 when the disk refuses
                the entry, which then is not in the log; A002 when acknowledged entries have
                vanished from it.
        """
        return self._writer.append(leaf_head(record))

    def append(self, record: AuditRecord) -> Receipt:
        """Append ``record`` and wait until it is on disk; raises as ``submit`` and its future."""
        return self.submit(record).result()

    def flush(self) -> None:
        """Wait until every entry that was submitted before is on disk or was refused.

        Raises:
            LimitError: L001 when 65,536 entries wait already.
        """
        self._writer.flush()

    def under(self, guard: Guard) -> AbstractContextManager[None]:
        """Have what this thread submits meanwhile refused (A001) where ``guard`` says no when it is written.

        Args:
            guard: Given the transaction that appends, after which others append; of a shared log only.
        """
        return self._writer.under(guard)

    @property
    def claimant(self) -> str:
        """Return who appends here: the log's name, and beside others who may append, which of them this is."""
        return self._writer.claimant

    @property
    def size(self) -> int:
        """Return the number of acknowledged entries."""
        return self._writer.newest().checkpoint.size

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint, with the cosignatures kept for it."""
        latest = self._writer.newest()
        with self._read() as store:
            return latest.text() + "".join(store.cosignatures(latest.checkpoint.size))

    def add_cosignature(self, size: int, line: str, witness: VerifierKey) -> None:
        """Check and keep a witness's cosignature of the checkpoint at ``size``.

        Raises:
            AuditError: A002 when it does not verify, A004 when there is no such checkpoint, A001.
        """
        checkpoint = open_checkpoint(self.checkpoint_at(size), self._keys).checkpoint
        check_cosignature(checkpoint, parse_signature(line), witness)
        self._writer.keep_cosignature(size, line).result()

    @contextmanager
    def _read(self) -> Iterator[LogStore]:
        try:
            with self._place.read() as store:
                yield store
        except (sqlite3.Error, OSError) as error:
            raise refusal(error) from None

    @contextmanager
    def _snapshot(self) -> Iterator[LogStore]:
        try:
            with self._place.snapshot() as store:
                yield store
        except (sqlite3.Error, OSError) as error:
            raise refusal(error) from None
