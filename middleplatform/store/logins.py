"""Sessions, logins under way, failed attempts, and who stands behind a login. No secret is among them, only digests.

Spec: docs/spec/login.md.
"""

from datetime import datetime

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from middleplatform.store.database import UtcTime, metadata

__all__ = [
    "begun",
    "end_where",
    "failures",
    "flows",
    "forget_old",
    "of_login",
    "one",
    "people",
    "sessions",
    "take_flow",
]

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("login", String(64), nullable=False, index=True),
    Column("department", Text, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("regions", JSON, nullable=False),
    Column("how", Text, nullable=False),
    Column("credential", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)
"""One row a session: the SHA-256 of its secret, whom it lets in, by what it was begun, and how long it holds."""

flows = Table(
    "login_flows",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("began_at", UtcTime, nullable=False, index=True),
)
"""Logins under way at the provider of identities: the SHA-256 of the browser's secret; a row is taken once."""

failures = Table(
    "login_failures",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
)
"""Failed attempts since the last good one, by the SHA-256 of login and address, and until when no more are heard."""

people = Table(
    "people",
    metadata,
    Column("login", String(64), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    UniqueConstraint("issuer", "subject"),
)
"""Who stands behind a login: what a provider of identities calls the one who used it first; nobody else gets it."""


def one(connection: Connection, digest: str) -> Row[tuple[object, ...]] | None:
    """Return the session whose secret has ``digest`` (SHA-256, hexadecimal), if there is one."""
    return connection.execute(select(sessions).where(sessions.c.digest == digest)).one_or_none()


def of_login(
    connection: Connection, login: str | None, now: datetime
) -> list[Row[tuple[object, ...]]]:
    """Return the sessions of ``login`` (of everybody for None) that have neither ended nor run out, oldest first.

    Capital and small letters make no other login.
    """
    wanted = select(sessions).where(sessions.c.ended_at.is_(None), sessions.c.ends_at > now)
    if login is not None:
        wanted = wanted.where(func.lower(sessions.c.login) == login.lower())
    return list(connection.execute(wanted.order_by(sessions.c.began_at, sessions.c.id)))


def forget_old(connection: Connection, before: datetime) -> None:
    """Remove sessions that ran out, and logins under way that began, before a moment; the log keeps what they were."""
    connection.execute(delete(sessions).where(sessions.c.ends_at < before))
    connection.execute(delete(flows).where(flows.c.began_at < before))


def begun(connection: Connection, digest: str, at: datetime) -> None:
    """Note that a login is under way."""
    connection.execute(insert(flows).values(digest=digest, began_at=at))


def take_flow(connection: Connection, digest: str) -> datetime | None:
    """Take a login under way, which nobody can take again, and return when it began; None where there is none."""
    at = connection.execute(select(flows.c.began_at).where(flows.c.digest == digest)).scalar()
    connection.execute(delete(flows).where(flows.c.digest == digest))
    return at


def end_where(connection: Connection, at: datetime, **columns: str) -> int:
    """End the open sessions whose columns have these values; return how many there were."""
    wanted = update(sessions).where(sessions.c.ended_at.is_(None))
    for name, value in columns.items():
        column = func.lower(sessions.c.login) if name == "login" else sessions.c[name]
        wanted = wanted.where(column == (value.lower() if name == "login" else value))
    return connection.execute(wanted.values(ended_at=at)).rowcount
