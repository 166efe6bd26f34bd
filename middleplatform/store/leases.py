"""Leases: who of several gateways is at work, for how long that holds, and a number that only grows.

A lease is *renewed* by its holder and *lost* when somebody else takes it after it has expired. It expires by the
database's clock: gateways need not agree on the time. What only a holder may do, it does in a transaction in which
``hold`` found the lease to be its own: the row is locked until that transaction ends, so a lease is lost before it or
after it, never meanwhile.

Spec: docs/spec/shared-store.md, "Leases".
"""

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    text,
    update,
)

from middleplatform.store.database import metadata

__all__ = [
    "Lease",
    "expired",
    "held",
    "hold",
    "leases",
    "lose",
    "named",
    "now_ms",
    "release",
    "renew",
    "take",
]

leases = Table(
    "leases",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)
"""Leases that are held: by whom, under which number, until when (milliseconds since 1970, the database's clock)."""

fences = Table(
    "fences",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
)
"""The greatest number that was ever given to a lease: one row."""

_NOW_MS = {
    "postgresql": "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
    "sqlite": "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS integer)",
}


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its holder took it.

    Attributes:
        name: Of what is held.
        holder: Who holds it, for people.
        fence: Greater than that of every lease that was taken before, of whatever name.
    """

    name: str
    holder: str
    fence: int


def now_ms(connection: Connection) -> int:
    """Return the database's time in milliseconds since 1970."""
    return int(connection.execute(text(_NOW_MS[connection.dialect.name])).scalar_one())


def take(connection: Connection, name: str, holder: str, seconds: float) -> Lease | None:
    """Take a lease that nobody holds, or that has expired; in a writing transaction.

    Args:
        connection: A writing transaction.
        name: At most 80 characters.
        holder: For people.
        seconds: How long it holds unless renewed, above 0.

    Returns:
        The lease; None where somebody holds it.
    """
    now = now_ms(connection)
    found = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    if found is not None and found.expires_ms > now:
        return None
    fence = _next_fence(connection)
    values = {"holder": holder, "fence": fence, "expires_ms": now + int(seconds * 1000)}
    if found is None:
        connection.execute(insert(leases).values(name=name, **values))
    else:
        connection.execute(update(leases).where(leases.c.name == name).values(**values))
    return Lease(name, holder, fence)


def _next_fence(connection: Connection) -> int:
    last = connection.execute(select(fences.c.last)).scalar()
    if last is None:
        connection.execute(insert(fences).values(only=1, last=1))
        return 1
    connection.execute(update(fences).values(last=last + 1))
    return int(last) + 1


def renew(connection: Connection, lease: Lease, seconds: float) -> bool:
    """Hold a lease for ``seconds`` more from now, also one that has expired; False where it was lost."""
    until = now_ms(connection) + int(seconds * 1000)
    changed = connection.execute(update(leases).where(*_own(lease)).values(expires_ms=until))
    return changed.rowcount == 1


def hold(connection: Connection, lease: Lease) -> bool:
    """Say whether a lease is still its holder's; if so, nobody takes it until the transaction ends."""
    asked = select(leases.c.fence).where(*_own(lease)).with_for_update(read=True, key_share=True)
    return connection.execute(asked).scalar() is not None


def expired(connection: Connection, prefix: str, since_s: float = 0.0) -> list[Lease]:
    """Return the leases whose names begin with ``prefix`` that expired ``since_s`` seconds ago, by their numbers."""
    before = now_ms(connection) - int(since_s * 1000)
    asked = select(leases).where(
        leases.c.expires_ms <= before, leases.c.name.startswith(prefix, autoescape=True)
    )
    rows = connection.execute(asked.order_by(leases.c.fence)).all()
    return [Lease(row.name, row.holder, row.fence) for row in rows]


def lose(connection: Connection, lease: Lease) -> bool:
    """Take an expired lease from its holder; False where it was renewed, lost or released meanwhile.

    Waits for transactions in which the holder found it to be its own.
    """
    over = leases.c.expires_ms <= now_ms(connection)
    return connection.execute(delete(leases).where(*_own(lease), over)).rowcount == 1


def held(connection: Connection, prefix: str) -> list[Lease]:
    """Return the leases whose names begin with ``prefix`` that have not expired, by their numbers."""
    asked = select(leases).where(
        leases.c.expires_ms > now_ms(connection), leases.c.name.startswith(prefix, autoescape=True)
    )
    rows = connection.execute(asked.order_by(leases.c.fence)).all()
    return [Lease(row.name, row.holder, row.fence) for row in rows]


def named(connection: Connection, name: str) -> bool:
    """Say whether a lease of that name is there, expired or not: its holder may still do what only a holder may."""
    return (
        connection.execute(select(leases.c.fence).where(leases.c.name == name)).scalar() is not None
    )


def release(connection: Connection, lease: Lease) -> None:
    """Give a lease back; one that was lost stays whose it is."""
    connection.execute(delete(leases).where(*_own(lease)))


def _own(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return leases.c.name == lease.name, leases.c.fence == lease.fence
