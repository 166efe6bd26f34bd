"""Applications for data, kept as their events: append-only, folded when they are read.

Rows are made by acts (``store.acts``), so an event is here once its entry is in the audit log, and not before. What an
event says is JSON that ``governance.event_form`` knows; here it is only kept, in order.

Spec: docs/spec/grants.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Connection, ForeignKey, Integer, Table, select

from middleplatform.store.acts import Change, acts, next_number
from middleplatform.store.database import metadata

__all__ = [
    "StoredEvent",
    "application_events",
    "change",
    "events_after",
    "events_of",
    "new_number",
]

application_events = Table(
    "application_events",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("body", JSON, nullable=False),
    Column("act", ForeignKey("acts.number"), nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of one application.

    Attributes:
        number: Of the application, from 1.
        sequence: Of the event within it, from 1 without gaps.
        body: As JSON.
    """

    number: int
    sequence: int
    body: Mapping[str, Any]


def new_number(connection: Connection) -> int:
    """Return the next application's number; in a writing transaction nobody else gets it."""
    return next_number(connection, application_events.c.number)


def change(
    connection: Connection, number: int, sequence: int, body: Mapping[str, object]
) -> Change:
    """Return the change by which the next act adds an event; a sequence that is taken is refused by the table."""
    act = next_number(connection, acts.c.number)
    values = {"number": number, "sequence": sequence, "body": dict(body), "act": act}
    return Change("application_events", values)


def events_of(connection: Connection, number: int) -> tuple[StoredEvent, ...]:
    """Return an application's events in order; none when there is no such application."""
    rows = connection.execute(
        select(application_events)
        .where(application_events.c.number == number)
        .order_by(application_events.c.sequence)
    )
    return tuple(StoredEvent(row.number, row.sequence, row.body) for row in rows)


def events_after(connection: Connection, act: int) -> tuple[tuple[int, StoredEvent], ...]:
    """Return what acts beyond number ``act`` have added, in order, each with its act's number."""
    rows = connection.execute(
        select(application_events)
        .where(application_events.c.act > act)
        .order_by(
            application_events.c.act, application_events.c.number, application_events.c.sequence
        )
    )
    return tuple((row.act, StoredEvent(row.number, row.sequence, row.body)) for row in rows)
