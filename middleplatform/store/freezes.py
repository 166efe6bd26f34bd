"""Freezes, who agreed to end them, and alerts. Rows are made by acts (``store.acts``) and never deleted.

Spec: docs/spec/freezes.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
)

from middleplatform.errors import QueryError
from middleplatform.model.freeze import Freeze, Scope
from middleplatform.store.database import UtcTime, metadata

__all__ = [
    "Alert",
    "Consent",
    "alerts",
    "alerts_all",
    "alerts_last",
    "consents_all",
    "consents_of",
    "freeze",
    "freeze_consents",
    "freezes",
    "freezes_all",
    "freezes_open",
]

freezes = Table(
    "freezes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("scope", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("capacity", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("ends", UtcTime),
    Column("drill", Boolean, nullable=False),
    Column("lifted_at", UtcTime),
    Column("act", ForeignKey("acts.number"), nullable=False),
)

freeze_consents = Table(
    "freeze_consents",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("freeze", ForeignKey("freezes.number"), nullable=False),
    Column("person", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("capacity", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("act", ForeignKey("acts.number"), nullable=False),
    UniqueConstraint("freeze", "person"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("signal", Text, nullable=False),
    Column("per", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("measured", Text, nullable=False),
    Column("most", Text, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("person", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("freeze", ForeignKey("freezes.number")),
    Column("act", ForeignKey("acts.number"), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Consent:
    """One person's yes to the end of a freeze.

    Attributes:
        freeze: Number of the freeze.
        person: Login.
        department: Of the person.
        capacity: As whom: a role.
        reason: As typed.
        at: UTC.
    """

    freeze: int
    person: str
    department: str
    capacity: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule of the policy that was crossed.

    Attributes:
        number: From 1, in order.
        signal: What was counted.
        per: For whom: ``user``, ``project`` or ``department``.
        target: Which of them.
        measured: What it came to; a whole number or an exact fraction.
        most: What policy lets.
        minutes: Within how many.
        person: Login of the question that crossed it.
        department: Of that question.
        project: Of that question.
        log: Name of the log.
        entry: Index of the entry that crossed it.
        at: When that question was entered, UTC.
        freeze: Number of the freeze that policy asks for; None where it asks for none.
    """

    number: int
    signal: str
    per: str
    target: str
    measured: str
    most: str
    minutes: int
    person: str
    department: str
    project: str
    log: str
    entry: int
    at: datetime
    freeze: int | None


def freezes_open(connection: Connection) -> tuple[Freeze, ...]:
    """Return the freezes that no people have ended, oldest first; those that time has ended among them."""
    rows = connection.execute(_FREEZES.where(freezes.c.lifted_at.is_(None)))
    return tuple(map(_freeze, rows))


def freezes_all(connection: Connection) -> tuple[Freeze, ...]:
    """Return every freeze, oldest first."""
    return tuple(map(_freeze, connection.execute(_FREEZES)))


def freeze(connection: Connection, number: int) -> Freeze:
    """Return a freeze.

    Raises:
        QueryError: Q041 there is none of this number.
    """
    row = connection.execute(_FREEZES.where(freezes.c.number == number)).one_or_none()
    if row is None:
        raise QueryError("Q041", what=(f"freeze {number}", f"冻结 {number}"))
    return _freeze(row)


def consents_of(connection: Connection, number: int) -> tuple[Consent, ...]:
    """Return who agreed to the end of a freeze, in order."""
    return tuple(
        map(_consent, connection.execute(_CONSENTS.where(freeze_consents.c.freeze == number)))
    )


def consents_all(connection: Connection) -> tuple[Consent, ...]:
    """Return who agreed to the end of any freeze, in order."""
    return tuple(map(_consent, connection.execute(_CONSENTS)))


def alerts_all(connection: Connection) -> tuple[Alert, ...]:
    """Return every alert, oldest first."""
    rows = connection.execute(select(alerts).order_by(alerts.c.number))
    return tuple(
        Alert(
            row.number, row.signal, row.per, row.target, row.measured, row.most, row.minutes,
            row.person, row.department, row.project, row.log, row.entry, row.at, row.freeze,
        )
        for row in rows
    )  # fmt: skip


def alerts_last(connection: Connection, log: str) -> Mapping[tuple[str, str, str], int]:
    """Return the entry of ``log`` that last crossed a rule, by signal, per and target."""
    keys = (alerts.c.signal, alerts.c.per, alerts.c.target)
    rows = connection.execute(
        select(*keys, func.max(alerts.c.entry)).where(alerts.c.log == log).group_by(*keys)
    )
    return {(signal, per, target): entry for signal, per, target, entry in rows}


_FREEZES = select(freezes).order_by(freezes.c.number)
_CONSENTS = select(freeze_consents).order_by(freeze_consents.c.number)


def _freeze(row: Row[Any]) -> Freeze:
    return Freeze(
        row.number, Scope(row.scope), row.target, row.reason, row.person, row.department,
        row.capacity, row.at, row.ends, row.drill, row.lifted_at,
    )  # fmt: skip


def _consent(row: Row[Any]) -> Consent:
    return Consent(row.freeze, row.person, row.department, row.capacity, row.reason, row.at)
