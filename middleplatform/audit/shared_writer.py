"""The writer of a log that several gateways share: it appends in turn with theirs.

A group is one transaction under the log's lock. Within it the writer first asks whether its process may still append,
then follows what others have appended: their checkpoint must bear the log's signature, and the tree under it must be
an extension of the one that this process knows.

Spec: docs/spec/shared-store.md, "An append".
"""

import hmac
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine

from middleplatform.audit.checkpoint import SignedCheckpoint, open_checkpoint, parse_checkpoint
from middleplatform.audit.faults import invalid, unwritable
from middleplatform.audit.group import Append, Cosignature, GroupCommit, Guard
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.merkle import Frontier, Tree, check_consistency
from middleplatform.audit.shared_store import DatabaseError, SharedStore, faults
from middleplatform.audit.store import Batch, refusal
from middleplatform.errors import AuditError
from middleplatform.model.record import Receipt

__all__ = ["Fence", "SharedWriter"]

Fence = Callable[[Connection], None]
"""Raises A005 where this process may append no more; holds that true until the transaction ends."""

_UNGUARDED = "the lock under which the entry was decided on was lost before it was entered"
_PATIENCE_S = 10.0
_AGAIN_S = 0.25


class SharedWriter(GroupCommit):
    """Group commit into a shared database.

    Args:
        engine: Of the database.
        signer: The log's key, which every gateway has.
        keys: All keys whose checkpoints the log accepts, the signer's first.
        frontier: Right edge of the verified tree.
        latest: Its newest checkpoint.
        fence: Asked within every transaction that appends.
        claimant: Which of those that append this is.
    """

    def __init__(
        self,
        engine: Engine,
        signer: CheckpointSigner,
        keys: Sequence[VerifierKey],
        frontier: Frontier,
        latest: SignedCheckpoint,
        fence: Fence,
        claimant: str,
    ) -> None:
        super().__init__(signer, keys, frontier, latest)
        self._engine, self._fence, self._claimant = engine, fence, claimant
        self._store: SharedStore | None = None
        self._go()

    @property
    def claimant(self) -> str:
        """Return which of those that append this is."""
        return self._claimant

    def newest(self) -> SignedCheckpoint:
        """Return the newest checkpoint in the database, whoever appended.

        Raises:
            AuditError: A001 it cannot be read; A002 it is not the log's, or acknowledged entries are gone.
        """
        known = self.latest
        try:
            with SharedStore(self._engine) as store:
                found = store.latest_checkpoint()
        except DatabaseError as error:
            raise refusal(error) from None
        if found == (known.checkpoint.size, known.text()):
            return known
        return self._signed(found, known)

    def _signed(self, found: tuple[int, str] | None, known: SignedCheckpoint) -> SignedCheckpoint:
        if found is None or found[0] < known.checkpoint.size:
            raise invalid("acknowledged entries are gone", "已确认的记录丢失")
        signed = open_checkpoint(found[1], self._keys)
        if signed.checkpoint.size != found[0]:
            raise invalid(f"checkpoint {found[0]} was altered", f"检查点 {found[0]} 被篡改")
        return signed

    # --- the writer's thread ----------------------------------------------------------------------------------------

    def _commit(self, jobs: list[Append]) -> list[Receipt | AuditError]:
        store = self._begun()
        try:
            with faults():
                self._fence(store.connection)
                let = self._let(jobs, store.connection)
            frontier = self._followed(store)
            batch, receipts = self._grown([job for job in jobs if let[job.guard]], frontier)
            store.append(batch)
        except BaseException:
            self._drop()
            raise
        self._settled(store, batch)
        self._frontier, self.latest = frontier, parse_checkpoint(batch.note)
        entered = iter(receipts)
        return [next(entered) if let[job.guard] else unwritable(_UNGUARDED) for job in jobs]

    def _let(self, jobs: list[Append], connection: Connection) -> dict[Guard | None, bool]:
        """Return which guards of the group say yes, each asked once.

        Nobody else appends until this transaction ends, so what holds now holds before whatever is entered next.

        Raises:
            AuditError: A001 none of them does.
        """
        asked = {job.guard for job in jobs}
        let = {guard: guard is None or guard(connection) for guard in asked}
        if not any(let.values()):
            raise unwritable(_UNGUARDED)
        return let

    def _keep(self, job: Cosignature) -> list[None]:
        store = self._begun()
        try:
            with faults():
                self._fence(store.connection)
            store.add_cosignature(job.size, job.line)
            store.commit()
        except BaseException:
            self._drop()
            raise
        return [None]

    def _begun(self) -> SharedStore:
        """Return a connection that has the log's lock; one that went stale while idle is replaced."""
        if self._dead is not None:
            raise self._dead
        if self._store is not None:
            try:
                self._store.begin()
            except DatabaseError:
                self._drop()
            else:
                return self._store
        self._store = SharedStore(self._engine)
        self._store.begin()
        return self._store

    def _followed(self, store: SharedStore) -> Frontier:
        """Return the right edge of the log as it is now.

        Raises:
            AuditError: A002, for good, when the log is no extension of the one whose entries were acknowledged.
        """
        latest = store.latest_checkpoint()
        if latest == (self.latest.checkpoint.size, self.latest.text()):
            return self._frontier.copy()
        try:
            signed = self._signed(latest, self.latest)
            return self._extension(store, signed)
        except AuditError as error:
            self._dead = error
            raise

    def _extension(self, store: SharedStore, signed: SignedCheckpoint) -> Frontier:
        profile, old, new = self._frontier.profile, self.latest.checkpoint, signed.checkpoint

        def needed(tree: Tree) -> tuple[list[bytes], list[bytes]]:
            return tree.edge(new.size), tree.consistency_proof(old.size, new.size)

        edge, proof = store.computed(profile, needed)
        frontier = Frontier(profile, new.size, edge)
        if not hmac.compare_digest(frontier.root(), new.root):
            raise invalid(
                "the newest checkpoint does not match the entries", "最新检查点与记录不符"
            )
        check_consistency(profile, old.size, old.root, new.size, new.root, proof)
        return frontier

    def _settled(self, store: SharedStore, batch: Batch) -> None:
        """Commit; where the answer to that was lost, look whether the group stands in the log.

        Raises:
            DatabaseError: It does not.
            AuditError: A002 nobody could find out.
        """
        try:
            store.commit()
        except DatabaseError:
            self._drop()
            if not self._stands(batch):
                raise

    def _stands(self, batch: Batch) -> bool:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                with SharedStore(self._engine) as store:
                    store.begin()  # once it has the lock, the transaction in question has ended
                    return store.checkpoint(batch.size) == batch.note
            except DatabaseError:
                time.sleep(_AGAIN_S)
        what = ("whether the last entries were written is unknown", "无法确认最后的记录是否已写入")
        raise invalid(*what)

    def _drop(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.forget()

    def _after_failure(self, error: Exception) -> None:
        del error
        self._drop()

    def _ended(self) -> None:
        self._drop()
