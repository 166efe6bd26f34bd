"""Questions under way and answered, where several gateways share a store: one gives the answer that another got.

A row says whose question it is, which gateway works on it, and how it ended. The gateway's name is that of its lease:
a question that has not ended and whose gateway holds no lease any more was left behind.

Spec: docs/spec/shared-store.md, "Questions".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    insert,
    or_,
    select,
    update,
)

from middleplatform.store.database import metadata
from middleplatform.store.leases import leases, now_ms

__all__ = ["KeptJob", "adopt", "begin", "end", "find", "forget", "jobs", "left_behind", "orphans"]

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("login", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("request", JSON, nullable=False),
    Column("gateway", String(80), nullable=False),
    Column("left", Boolean, nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", JSON),
    Column("answer", Text),
    Column("stream", LargeBinary),
    Column("ended_ms", BigInteger),
)
"""One row a question; ``log_size`` is that of the log before its first entry."""


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A question as the store knows it.

    Attributes:
        id: Of the question.
        login: Who asked.
        department: Of the login.
        request: What its last entry in the log says of it.
        gateway: Name of the lease of the gateway that works on it, or did.
        log_size: Entries of the log before its first one.
        state: ``running``, ``answered``, ``refused``, ``failed`` or ``canceled``.
        error: Once refused, failed or canceled.
        answer: Once answered: the JSON document that leaves.
        stream: Once answered: the Arrow stream that leaves; None for a sealed one.
    """

    id: str
    login: str
    department: str
    request: Mapping[str, Any]
    gateway: str
    log_size: int
    state: str
    error: Mapping[str, Any] | None = None
    answer: str | None = None
    stream: bytes | None = None


def begin(connection: Connection, job: KeptJob) -> None:
    """Keep a question that was taken."""
    values = {name: getattr(job, name) for name in job.__slots__}
    connection.execute(insert(jobs).values(**values, left=False))


def end(
    connection: Connection,
    job_id: str,
    gateway: str,
    state: str,
    error: Mapping[str, Any] | None = None,
    answer: str | None = None,
    stream: bytes | None = None,
) -> bool:
    """Keep how a question ended; False where another gateway has ended it, or taken it over."""
    ended = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.gateway == gateway, jobs.c.ended_ms.is_(None))
        .values(state=state, error=error, answer=answer, stream=stream, ended_ms=now_ms(connection))
    )
    return ended.rowcount == 1


def find(connection: Connection, job_id: str) -> KeptJob | None:
    """Return a question, or None."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _kept(row)


def orphans(connection: Connection) -> bool:
    """Say whether there is an unfinished question that was left behind, by whomever."""
    asked = select(jobs.c.id).where(
        jobs.c.ended_ms.is_(None), or_(jobs.c.left, jobs.c.gateway.not_in(select(leases.c.name)))
    )
    return connection.execute(asked.limit(1)).scalar() is not None


def adopt(connection: Connection, gateway: str) -> int:
    """Give the unfinished questions of gateways that hold no lease to ``gateway``; in a writing transaction."""
    taken = connection.execute(
        update(jobs)
        .where(jobs.c.ended_ms.is_(None), jobs.c.gateway.not_in(select(leases.c.name)))
        .values(gateway=gateway, left=True)
    )
    return taken.rowcount


def left_behind(connection: Connection, gateway: str) -> list[KeptJob]:
    """Return the unfinished questions that ``gateway`` has taken over."""
    asked = select(jobs).where(jobs.c.gateway == gateway, jobs.c.left, jobs.c.ended_ms.is_(None))
    return [_kept(row) for row in connection.execute(asked.order_by(jobs.c.log_size, jobs.c.id))]


def forget(connection: Connection, seconds: float) -> int:
    """Delete questions that ended more than ``seconds`` ago, answers included; say how many."""
    before = now_ms(connection) - int(seconds * 1000)
    return connection.execute(delete(jobs).where(jobs.c.ended_ms < before)).rowcount


def _kept(row: Any) -> KeptJob:  # noqa: ANN401 - a row
    stream = None if row.stream is None else bytes(row.stream)
    return KeptJob(
        row.id, row.login, row.department, row.request, row.gateway, row.log_size, row.state,
        row.error, row.answer, stream,
    )  # fmt: skip
