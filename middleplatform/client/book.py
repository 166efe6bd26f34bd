"""What a key has opened: a query is opened under one ticket only, however often that one comes back."""

import hashlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from middleplatform.crypto.used_rounds import Attempt
from middleplatform.errors import ConfigError, ProtocolError

__all__ = ["OpenedBook"]

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS opened (query_id TEXT PRIMARY KEY, ticket BLOB NOT NULL) STRICT"
)


class OpenedBook:
    """In a file of its own beside the key, readable by its owner only.

    Args:
        path: The file, made where missing; ``None`` keeps it in memory.

    Raises:
        ConfigError: C011 when it cannot be opened or made.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            if path is not None:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise _disk(error) from None

    def under(self, ticket: bytes) -> "_Claims":
        """Return what ``crypto.tickets.open_ticket`` claims an opening from."""
        return _Claims(self._database, hashlib.sha256(ticket).digest())

    def close(self) -> None:
        """Close the file."""
        self._database.close()


@dataclass(frozen=True, slots=True)
class _Claims:
    database: sqlite3.Connection
    ticket: bytes

    def claim(self, context: Attempt) -> None:
        """Take note that this ticket opens a query; durable before return.

        Raises:
            ProtocolError: X002 another ticket opened it before.
            ConfigError: C011 the file refuses the entry.
        """
        try:
            self.database.execute(
                "INSERT INTO opened VALUES (?, ?) ON CONFLICT DO NOTHING",
                (context.query_id, self.ticket),
            )
            row = self.database.execute(
                "SELECT ticket FROM opened WHERE query_id = ?", (context.query_id,)
            ).fetchone()
        except sqlite3.Error as error:
            raise _disk(error) from None
        if row != (self.ticket,):
            raise ProtocolError("X002", detail="this query was opened under another ticket")


def _disk(error: Exception) -> ConfigError:
    what = ("the book of opened answers", "已打开结果记录")
    return ConfigError("C011", what=what, detail=str(error))
