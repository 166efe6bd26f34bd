"""The lock around entries, between gateways: no release that a stop forbids stands after that stop in the log.

Within one process a lock suffices (``Desk.entering``). Gateways that share a store take a lock of its database: acts
alone, releases beside each other. It is given back once everything that was queued under it is in the log, or was
refused by it.

The server takes such a lock from who says nothing for long, and from who is cut off. So what was queued under it is
refused where the lock is no longer held at the moment at which it is entered: the transaction that appends looks, and
nobody else appends until that transaction ends.

Spec: docs/spec/shared-store.md, "Acts and releases".
"""

import logging
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, text

from middleplatform.audit.group import Guard
from middleplatform.audit.log import AuditLog
from middleplatform.errors import ConfigError
from middleplatform.store.database import Store

__all__ = ["SharedEntering"]

_KEY = 0x6D70_656E  # "mpen": any number that no other program's advisory lock has
_AT_ONCE = 4
_LOG = logging.getLogger("middleplatform.governance")
_LOCK = {
    True: text("SELECT pg_advisory_xact_lock(:key)"),
    False: text("SELECT pg_advisory_xact_lock_shared(:key)"),
}


_AT = """FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objsubid = 1
 AND objid = CAST(:key AS oid) AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_WHOSE = text(f"SELECT pid, virtualtransaction {_AT} AND pid = pg_backend_pid()")
_HELD = text(f"SELECT count(*) {_AT} AND pid = :pid AND virtualtransaction = :transaction")


class SharedEntering:
    """A context manager that many threads may enter at once; each waits for its own lock.

    Args:
        store: Shared.
        log: Of this process.
        alone: Whether nobody else may be within meanwhile: for acts.

    Raises:
        ConfigError: C015 on entering: the store refuses. What was queued under a lock that was lost raises A001.
    """

    def __init__(self, store: Store, log: AuditLog, *, alone: bool) -> None:
        self._store, self._log, self._alone = store, log, alone
        self._room = threading.BoundedSemaphore(_AT_ONCE)  # each who is within holds a connection
        self._own = threading.local()

    def __enter__(self) -> Self:
        held = ExitStack()
        try:
            held.enter_context(self._room)
            connection = held.enter_context(self._store.apart())
            connection.execute(_LOCK[self._alone], {"key": _KEY})
            held.enter_context(self._log.under(_still_held(connection)))
        except BaseException:
            held.close()
            raise
        self._own.held = held
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held: ExitStack = self._own.held
        del self._own.held
        try:
            self._log.flush()
        finally:
            try:
                held.close()
            except ConfigError as fault:  # the server let go of it; what was entered stays entered
                _LOG.error("a lock of the store was lost: %s", fault.detail)


def _still_held(connection: Connection) -> Guard:
    """Return what says, in another transaction, whether this one still holds the lock.

    A server's process and the number of its transaction: neither is given twice together.
    """
    pid, transaction = connection.execute(_WHOSE, {"key": _KEY}).one()

    def held(other: Connection) -> bool:
        found = other.execute(_HELD, {"key": _KEY, "pid": pid, "transaction": transaction})
        return bool(found.scalar_one())

    return held
