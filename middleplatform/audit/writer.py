"""The one process that writes a log's file.

Spec: docs/spec/audit-log.md, "Durability".
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from middleplatform.audit.checkpoint import SignedCheckpoint, parse_checkpoint
from middleplatform.audit.faults import invalid
from middleplatform.audit.group import Append, Cosignature, GroupCommit
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.merkle import Frontier
from middleplatform.audit.selfcheck import check_store
from middleplatform.audit.store import Store
from middleplatform.errors import AuditError
from middleplatform.model.record import Receipt

__all__ = ["Writer"]


class Writer(GroupCommit):
    """Group commit into a SQLite file.

    Args:
        path: The database file.
        store: The writer's connection; the writer closes it.
        signer: The log's key.
        keys: All keys whose checkpoints the log accepts, the signer's first.
        frontier: Right edge of the verified tree.
        latest: Its newest checkpoint.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        signer: CheckpointSigner,
        keys: Sequence[VerifierKey],
        frontier: Frontier,
        latest: SignedCheckpoint,
    ) -> None:
        super().__init__(signer, keys, frontier, latest)
        self._path = path
        self._store: Store | None = store
        self._go()

    def _ended(self) -> None:
        if self._store is not None:
            self._store.close()

    def _keep(self, job: Cosignature) -> list[None]:
        self._sound_store().add_cosignature(job.size, job.line)
        return [None]

    def _commit(self, jobs: list[Append]) -> list[Receipt]:
        """Write the group and return its receipts; memory moves on only when the disk has."""
        assert all(job.guard is None for job in jobs), "a file has one process"
        store = self._sound_store()
        frontier = self._frontier.copy()
        batch, receipts = self._grown(jobs, frontier)
        store.append(batch)
        self._frontier, self.latest = frontier, parse_checkpoint(batch.note)
        return receipts

    def _sound_store(self) -> Store:
        """Return the connection, opened anew after a failure that the old one did not survive.

        Raises:
            AuditError: A002, for good, when the log on disk no longer is the one whose entries were
                acknowledged.
        """
        if self._dead is not None:
            raise self._dead
        if self._store is None:
            self._store = self._reopen()
        return self._store

    def _reopen(self) -> Store:
        store = Store(self._path, writable=True)
        try:
            frontier, latest = check_store(store, self._frontier.profile, self._keys)
            acknowledged = self.latest.checkpoint
            same = store.checkpoint(acknowledged.size) == self.latest.text()
            self._dead = (
                None if same else invalid("acknowledged entries are gone", "已确认的记录丢失")
            )
        except AuditError as error:
            self._dead = error
        except BaseException:
            store.close()
            raise
        if self._dead is not None:
            store.close()
            raise self._dead
        self._frontier, self.latest = frontier, latest
        return store

    def _after_failure(self, error: Exception) -> None:
        """Undo the transaction; keep the connection only if it shows the acknowledged log."""
        store = self._store
        if store is None:
            return
        try:
            store.rollback()
            latest = store.latest_checkpoint()
            sound = isinstance(error, sqlite3.OperationalError) and latest == (
                self.latest.checkpoint.size,
                self.latest.text(),
            )
        except sqlite3.Error:
            sound = False
        if not sound:
            store.close()
            self._store = None
