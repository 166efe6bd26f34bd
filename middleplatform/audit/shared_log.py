"""Opens a log that several gateways share, and carries a gateway's own file over into it.

Spec: docs/spec/shared-store.md, "The log".
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine

from middleplatform.audit.faults import invalid
from middleplatform.audit.group import signed_note
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SHA256, Frontier, HashProfile
from middleplatform.audit.reader import RETENTION_YEARS_MIN, ReadOnlyLog, check_retention
from middleplatform.audit.selfcheck import check_store
from middleplatform.audit.shared_store import DatabaseError, SharedStore
from middleplatform.audit.shared_writer import Fence, SharedWriter
from middleplatform.audit.store import LogLock, Store, refusal
from middleplatform.ports import Clock

__all__ = ["SharedPlace", "begun", "open_shared", "read_shared"]

_PAGE = 500


class SharedPlace:
    """A database: every reader gets a connection of its own from the engine's pool.

    Args:
        engine: Of the database.
        closing: Called once when the log is closed: gives back what was opened for it.
    """

    def __init__(self, engine: Engine, closing: Callable[[], None]) -> None:
        self._engine, self._closing = engine, closing
        self._closed = False

    def close(self) -> None:
        """Lend nothing more."""
        closed, self._closed = self._closed, True
        if not closed:
            self._closing()

    @contextmanager
    def read(self) -> Iterator[SharedStore]:
        """Lend a connection."""
        if self._closed:
            raise refusal(OSError("the log is closed"))
        with SharedStore(self._engine) as store:
            yield store

    @contextmanager
    def snapshot(self) -> Iterator[SharedStore]:
        """Lend a connection that sees the log as it is now."""
        with self.read() as store:
            store.snapshot()
            yield store


def begun(engine: Engine) -> bool:
    """Say whether the database holds a log.

    Raises:
        AuditError: A001 it cannot be read; A002 what it holds is no log of this version.
    """
    try:
        with SharedStore(engine) as store:
            return store.exists()
    except DatabaseError as error:
        raise refusal(error) from None


def open_shared(  # noqa: PLR0913 - as AuditLog.open, and who else appends
    engine: Engine,
    signer: CheckpointSigner,
    clock: Clock,
    fence: Fence,
    claimant: str,
    *,
    file: Path | None = None,
    closing: Callable[[], None] = lambda: None,
    retention_years: int = RETENTION_YEARS_MIN,
    profile: HashProfile = SHA256,
    retired_keys: Sequence[VerifierKey] = (),
) -> AuditLog:
    """Open the log in a PostgreSQL database, or begin one; recompute all of it before the first append.

    Args:
        engine: Of the database.
        signer: The log's key, the same at every gateway; its name is the origin.
        clock: For the retention report.
        fence: Asked within every transaction that appends.
        claimant: Which of those that append this is: the origin, ``#`` and a name.
        closing: Called once when the log is closed.
        file: A log that this gateway kept in a file before: a new shared log begins with all of it.
        retention_years: At least 3.
        profile: Hash function; fixed for the life of the log.
        retired_keys: Earlier keys of this log, whose checkpoints still count.

    Raises:
        AuditError: A001 when it cannot be opened or written, A002 when it does not verify (naming the entry) or
            ``file`` holds what it does not, A003 when ``file`` is to be carried over and in use.
        ConfigError: C003 when retention is shorter than the law asks for.
    """
    check_retention(retention_years)
    keys = (signer.key, *retired_keys)
    try:
        with SharedStore(engine) as store:
            store.begin()
            if store.adopt(signer.name, profile.name, signed_note(signer, Frontier(profile))):
                if file is not None and file.exists():
                    _carry_over(store, file)
                frontier, latest = check_store(store, profile, keys)
                store.commit()
            else:
                store.rollback()
                store.snapshot()
                _compare(store, file)
                frontier, latest = check_store(store, profile, keys)
    except (sqlite3.Error, OSError) as error:
        raise refusal(error) from None
    writer = SharedWriter(engine, signer, keys, frontier, latest, fence, claimant)
    return AuditLog(SharedPlace(engine, closing), writer, profile, keys, clock, retention_years)


def read_shared(
    engine: Engine,
    keys: Sequence[VerifierKey],
    clock: Clock,
    retention_years: int,
    closing: Callable[[], None] = lambda: None,
) -> ReadOnlyLog:
    """Open the log in a database for reading alone and recompute all of it; as ``ReadOnlyLog.open``.

    Args:
        engine: Of the database.
        keys: The log's public keys, the present one first, from a place that is trusted.
        clock: For the retention report.
        retention_years: At least 3.
        closing: Called when the log is closed.

    Raises:
        AuditError: A001, A002.
        ConfigError: C003.
    """
    check_retention(retention_years)
    try:
        store = _Closing(engine, closing)
        try:
            store.snapshot()
            store.recognize()
        except BaseException:
            store.close()
            raise
    except DatabaseError as error:
        raise refusal(error) from None
    return ReadOnlyLog.over(store, keys, clock, retention_years)


class _Closing(SharedStore):
    """A connection with which other things are closed."""

    def __init__(self, engine: Engine, closing: Callable[[], None]) -> None:
        super().__init__(engine)
        self._closing = closing

    def close(self) -> None:
        """Close it and the rest."""
        super().close()
        self._closing()


def _carry_over(store: SharedStore, file: Path) -> None:
    """Copy a whole log; what it holds is checked afterwards, before anything is committed."""
    lock = LogLock(file)
    try:
        with Store(file) as old:
            old.snapshot()
            old.recognize()
            leaves, nodes = old.entries(0, 2**63 - 1), iter(old.nodes())
            while page := list(islice(leaves, _PAGE)):
                store.add_entries(page)
            while page := list(islice(nodes, _PAGE)):
                store.add_nodes(page)
            for size, note in old.checkpoints():
                if size:
                    store.add_checkpoint(size, note)
                for line in old.cosignatures(size):
                    store.add_cosignature(size, line)
    finally:
        lock.release()


def _compare(store: SharedStore, file: Path | None) -> None:
    """Refuse a gateway whose own earlier log did not become the shared one: its entries would be nowhere."""
    if file is None or not file.exists():
        return
    with Store(file) as old:
        old.recognize()
        latest = old.latest_checkpoint()
    if latest is not None and latest[0] and store.checkpoint(latest[0]) != latest[1]:
        raise invalid(
            f"{file.name} in the state folder is not the beginning of the shared log",
            f"状态目录中的 {file.name} 不是共享日志的开头部分",
        )
