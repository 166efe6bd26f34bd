"""Brings acts of people into the audit log and then into force; finishes what a dead process left.

The order, on which everything rests::

    1  store   the act is decided and kept as pending          (one transaction)
    2  store   this process's log takes it on, and notes its size
    3  log     the entry, with the act's id
    4  store   the act's changes, and the entry's index        (one transaction)

Only the process that holds the log does 2 to 4. Another process does 1 and waits until the holder has done the rest;
where nobody does, it takes its act back, which it can only as long as no log has taken it on. After a kill the holder
of the log looks for the id among the entries since step 2: found, it goes on with 4, else with 3.

Spec: docs/spec/policy-lifecycle.md, "The order of an act".
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from middleplatform.audit.log import AuditLog
from middleplatform.errors import AuditError, LimitError, QueryError
from middleplatform.model.record import AuditRecord
from middleplatform.ports import Clock, Rng
from middleplatform.store import applications, freezes, policies, saved, tickets
from middleplatform.store.acts import (
    Act,
    PendingAct,
    act_index,
    acts,
    begin,
    claim,
    next_number,
    pending,
    settle,
    undo,
)
from middleplatform.store.database import Store

__all__ = ["TABLES", "Decide", "Desk"]

TABLES = (applications, freezes, policies, saved, tickets)
"""Modules that declare what acts change: a desk finishes acts of every kind, also those that others began."""

Decide = Callable[[Connection, int], Act]
"""Given a writing transaction and the act's number, returns the act or refuses."""

_NOT_TAKEN = (
    "the process that holds the log did not take the act: its log is full, or its catalogue or policy is another",
    "持有日志的进程未接受该操作：日志已满，或其目录、策略与本进程不同",
)
_WAIT_S = 15.0
_LOOK_S = 0.05


class Desk:
    """Where acts are done; several threads may use it.

    Attributes:
        store: Where acts and what they change are kept.
        clock: Time.
        rng: For ids.
        log: The audit log, or None where another process holds it.
        vouches: Asked before an act is taken on; one that says no has it taken back. So a process whose settings name
            another catalogue than the holder of the log cannot have its judgement entered.
        entering: Held while an act's entry goes into the log. Who looks at the store and then enters a release holds
            it too, so no release that an act would have stopped stands after that act's entry.
    """

    def __init__(self, store: Store, clock: Clock, rng: Rng, log: AuditLog | None) -> None:
        """Take the parts; none of them is closed here."""
        self.store, self.clock, self.rng, self.log = store, clock, rng, log
        self.vouches: list[Callable[[PendingAct], bool]] = []
        self.entering: AbstractContextManager[object] = threading.Lock()
        self._lock = threading.Lock()

    def perform(self, decide: Decide) -> int:
        """Do an act and return its number once it is in force.

        Raises:
            MiddleplatformError: What ``decide`` refuses with; nothing is then kept.
            QueryError: Q042 another act did not come through meanwhile, or the holder of the log did not take this one.
            AuditError: A001 the log cannot take the entry: the act does not count; A003 nobody who holds the log
                took it.
        """
        with self._lock:
            self._finish()
            number, act_id = self._begin(decide)
            self._finish()
            self._wait(number, act_id)  # another process may have taken it on, or taken it back
            return number

    def finish(self) -> bool:
        """Bring a pending act into force, whoever left it; say whether there was one.

        Raises:
            AuditError: A001 the log cannot take the entry: the act does not count.
        """
        with self._lock:
            return self._finish()

    def _begin(self, decide: Decide) -> tuple[int, str]:
        with self.store.writing() as connection:
            act = decide(connection, next_number(connection, acts.c.number))
            act_id = self.rng.token_bytes(16).hex()
            return begin(connection, act, act_id, self.clock.now()), act_id

    def _finish(self) -> bool:
        if self.log is None:
            return False
        with self.store.reading() as connection:
            act = pending(connection)
        if act is None or act.log not in ("", self.log.claimant):
            return False
        index = self._found(act) if act.log else None
        if index is None:
            if not act.log and not self._taken_on(act):
                return False
            index = self._entered(act)
        with self.store.writing() as connection:
            settle(connection, act.number, index)
        return True

    def _taken_on(self, act: PendingAct) -> bool:
        assert self.log is not None
        good = all(vouch(act) for vouch in self.vouches)
        with self.store.writing() as connection:
            if not _still(connection, act.id, ""):
                return False
            if good:
                return claim(connection, act.number, self.log.claimant, self.log.size)
            undo(connection, act.number)
        return False

    def _found(self, act: PendingAct) -> int | None:
        """Return the index of the entry that a dead process may have made."""
        assert self.log is not None
        for entry in self.log.entries(max(act.log_size, 0)):
            if entry.record.body.get("act") == act.id:
                return entry.index
        return None

    def _entered(self, act: PendingAct) -> int:
        assert self.log is not None
        body = {**act.body, "at": act.at.isoformat(), "act": act.id}
        try:
            with self.entering:
                return self.log.append(AuditRecord(act.event, body)).index
        except (AuditError, LimitError) as error:
            if error.code not in (
                "A002",
                "A005",
            ):  # then nobody knows what the log holds, or others may enter it
                with self.store.writing() as connection:
                    if _still(connection, act.id, self.log.claimant):
                        undo(connection, act.number)
            raise

    def _wait(self, number: int, act_id: str) -> None:
        """Wait for the holder of the log; the clock of the machine, since another process is waited for."""
        until = time.monotonic() + _WAIT_S
        while time.monotonic() < until:
            if self._in_force(number, act_id):
                return
            time.sleep(_LOOK_S)
        with self.store.writing() as connection:
            idle = _still(connection, act_id, "")
            if idle:
                undo(connection, number)
        if idle:
            raise AuditError("A003")
        if not self._in_force(number, act_id):
            what = ("the act waits for its entry in the log", "该操作正等待写入日志")
            raise QueryError("Q042", what=what)

    def _in_force(self, number: int, act_id: str) -> bool:
        with self.store.reading() as connection:
            try:
                return act_index(connection, number, act_id) is not None
            except QueryError:
                raise QueryError("Q042", what=_NOT_TAKEN) from None


def _still(connection: Connection, act_id: str, log: str) -> bool:
    """Say whether the act that waits is still this one, and whose it was: its number may be another's by now."""
    act = pending(connection)
    return act is not None and (act.id, act.log) == (act_id, log)
