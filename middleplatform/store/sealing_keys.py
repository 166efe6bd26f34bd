"""Published keys of recipients where several gateways share a store.

What a key must be is for ``ledger.keys``, which asks for these rows through its own interface.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)

from middleplatform.store.database import Store, metadata

__all__ = ["SharedKeys", "sealing_keys"]

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("modulus", LargeBinary, nullable=False),
    Column("login", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("published_at", Text, nullable=False),
    Column("replaces", Text, nullable=False),
    Column("revoked_at", Text),
    Column("revoked_by", Text),
    Column("reason", Text),
    UniqueConstraint("modulus"),
)
"""One row a key, for good: the columns of the file that one gateway keeps."""

_SHOWN = [each for each in sealing_keys.c if each.name != "modulus"]


class SharedKeys:
    """The rows of the keys (``ledger.keys.KeyRows``).

    Args:
        store: Stays open when this is closed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, values: Mapping[str, object], revoked: tuple[str, str, str, str] | None) -> None:
        """Keep a key and withdraw the one that it replaces, both or neither.

        Args:
            values: By column.
            revoked: As ``revoke``.
        """
        with self._store.writing() as connection:
            connection.execute(insert(sealing_keys).values(**values))
            if revoked is not None:
                _revoke(connection, *revoked)

    def revoke(self, key_id: str, login: str, at: str, reason: str) -> None:
        """Withdraw a key; withdrawing twice keeps the first moment."""
        with self._store.writing() as connection:
            _revoke(connection, key_id, login, at, reason)

    def find(self, key_id: str) -> Sequence[object] | None:
        """Return a key's columns but its modulus, or None."""
        with self._store.glance() as connection:
            row = connection.execute(
                select(*_SHOWN).where(sealing_keys.c.id == key_id)
            ).one_or_none()
        return None if row is None else tuple(row)

    def all(self) -> list[Sequence[object]]:
        """Return the columns of every key, oldest first."""
        with self._store.glance() as connection:
            rows = connection.execute(
                select(*_SHOWN).order_by(sealing_keys.c.published_at, sealing_keys.c.id)
            ).all()
        return [tuple(row) for row in rows]

    def close(self) -> None:
        """Do nothing: the store is its opener's."""


def _revoke(connection: Connection, key_id: str, login: str, at: str, reason: str) -> None:
    connection.execute(
        update(sealing_keys)
        .where(sealing_keys.c.id == key_id, sealing_keys.c.revoked_at.is_(None))
        .values(revoked_at=at, revoked_by=login, reason=reason)
    )
