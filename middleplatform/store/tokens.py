"""Service tokens where several gateways share a store: ids, digests and what they stand for, never a token.

What a token is and when it holds is for ``access.tokens``, which asks for these rows through its own interface.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Column, LargeBinary, String, Table, Text, func, insert, select, update

from middleplatform.store.database import Store, metadata

__all__ = ["SharedTokens", "tokens"]

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("login", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("regions", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("revoked_at", Text),
)
"""One row a token: the columns of the file that one gateway keeps."""

_SHOWN = [each for each in tokens.c if each.name != "digest"]
_ALL = select(*_SHOWN).order_by(tokens.c.created_at, tokens.c.id)


class SharedTokens:
    """The rows of the tokens (``access.tokens.TokenRows``).

    Args:
        store: Where they lie.
        owned: Whether closing this closes the store.
    """

    def __init__(self, store: Store, *, owned: bool = False) -> None:
        self._store, self._owned = store, owned

    def add(
        self, values: Mapping[str, object], check: Callable[[Sequence[Sequence[str]]], None]
    ) -> None:
        """Keep a token, unless ``check`` of all records refuses; of several gateways one writes at a time."""
        with self._store.writing() as connection:
            check([tuple(row) for row in connection.execute(_ALL)])
            connection.execute(insert(tokens).values(**values))

    def find(self, token_id: str) -> tuple[bytes, Sequence[str]] | None:
        """Return digest and record of a token, or None."""
        with self._store.glance() as connection:
            row = connection.execute(
                select(tokens.c.digest, *_SHOWN).where(tokens.c.id == token_id)
            ).one_or_none()
        return None if row is None else (bytes(row[0]), tuple(row)[1:])

    def all(self) -> list[Sequence[str]]:
        """Return every record, oldest first."""
        with self._store.glance() as connection:
            return [tuple(row) for row in connection.execute(_ALL)]

    def revoke(self, token_id: str, at: str) -> None:
        """Withdraw a token; withdrawing twice keeps the first moment."""
        with self._store.apart() as connection:
            connection.execute(
                update(tokens)
                .where(tokens.c.id == token_id)
                .values(revoked_at=func.coalesce(tokens.c.revoked_at, at))
            )

    def close(self) -> None:
        """Close the store if it is this one's."""
        if self._owned:
            self._store.close()
