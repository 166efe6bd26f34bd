"""Which rounds a department has already taken part in: none is served twice.

A gateway that may ask again with fewer departments learns the missing one's values by subtraction.
Therefore a query id, once used, stands for one cohort, layout and policy, and each attempt at it
for one round.
Nothing is ever forgotten here: 1,000 rounds take about 125 kB on disk, a million 125 MB.
Imported by node and the recipes of this package.
Spec: docs/spec/secure-sum.md, "Replay".
"""

import os
import sqlite3
from pathlib import Path
from threading import Lock
from typing import Protocol

from middleplatform.errors import ConfigError, ProtocolError

__all__ = ["Attempt", "MemoryUsedRounds", "SqliteUsedRounds", "UsedRounds"]

BUSY_TIMEOUT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS subjects (
    query_id TEXT PRIMARY KEY,
    subject BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rounds (
    query_id TEXT NOT NULL REFERENCES subjects,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (query_id, attempt)
) STRICT, WITHOUT ROWID;
"""


class Attempt(Protocol):
    """What is claimed: ``RoundContext`` of a round, ``TicketSubject`` of an opening.

    Reveals:
        Nothing: it is what all parties of the round are told.
    """

    @property
    def query_id(self) -> str:
        """Which query."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt at it, from 1."""
        ...

    @property
    def subject(self) -> bytes:
        """32 bytes that every attempt at the same query must have in common."""
        ...


class UsedRounds(Protocol):
    """Remembers rounds; a department has one for its whole life."""

    def claim(self, context: Attempt) -> None:
        """Take the round, durably before return.

        Raises:
            ProtocolError: X002 when its query id and attempt were taken before, or its query id
                with another cohort, layout, policy, suite or key epoch.

        Reveals:
            To who asks for a round: that it was asked for before.
        """
        ...


def _replay(detail: str) -> ProtocolError:
    return ProtocolError("X002", detail=detail)


class MemoryUsedRounds:
    """For tests and for one process that never restarts: forgets everything at its end."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._subjects: dict[str, bytes] = {}
        self._rounds: set[tuple[str, int]] = set()

    def claim(self, context: Attempt) -> None:
        """Take the round, as ``UsedRounds.claim`` says, but in memory only."""
        with self._lock:
            subject = self._subjects.setdefault(context.query_id, context.subject)
            if subject != context.subject:
                raise _replay("a query id came back with another subject")
            if (context.query_id, context.attempt) in self._rounds:
                raise _replay("a round came back")
            self._rounds.add((context.query_id, context.attempt))


class SqliteUsedRounds:
    """In a file of its own, readable by its owner only; safe between threads and processes.

    Args:
        path: The file; made where missing.

    Raises:
        ConfigError: C011 when it cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._database = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            # FULL: with WAL every commit is on the disk before it returns, not just ordered.
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise _refused(error) from None

    def claim(self, context: Attempt) -> None:
        """Take the round, as ``UsedRounds.claim`` says; it is on the disk before return.

        Raises:
            ProtocolError: X002 when it was taken before.
            ConfigError: C011 when the file refuses the entry: then no answer may be given.
        """
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    self._insert(context)
                    self._database.execute("COMMIT")
                finally:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise _refused(error) from None

    def _insert(self, context: Attempt) -> None:
        self._database.execute(
            "INSERT INTO subjects VALUES (?, ?) ON CONFLICT DO NOTHING",
            (context.query_id, context.subject),
        )
        row = self._database.execute(
            "SELECT subject FROM subjects WHERE query_id = ?", (context.query_id,)
        ).fetchone()
        if row != (context.subject,):
            raise _replay("a query id came back with another subject")
        inserted = self._database.execute(
            "INSERT INTO rounds VALUES (?, ?) ON CONFLICT DO NOTHING",
            (context.query_id, context.attempt),
        )
        if inserted.rowcount != 1:
            raise _replay("a round came back")

    def close(self) -> None:
        """Close the file; ``claim`` fails from now on."""
        with self._lock:
            self._database.close()


def _refused(error: Exception) -> ConfigError:
    return ConfigError("C011", what="the record of used rounds", detail=str(error))
