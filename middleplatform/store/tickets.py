"""Tickets of objection and correction, kept as their events: append-only, folded when they are read.

As with applications, a row is made by an act (``store.acts``): it is here once its entry is in the audit log, and not
before. What an event says is JSON that ``accountability.tickets`` knows; here it is only kept, in order.

Spec: docs/spec/accountability.md, "Tickets".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Connection, ForeignKey, Integer, Table, select

from middleplatform.store.acts import Change, acts, next_number
from middleplatform.store.database import metadata

__all__ = ["TicketEvent", "change", "new_number", "ticket_events", "tickets_after", "tickets_of"]

ticket_events = Table(
    "ticket_events",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("body", JSON, nullable=False),
    Column("act", ForeignKey("acts.number"), nullable=False),
)


@dataclass(frozen=True, slots=True)
class TicketEvent:
    """One event of one ticket.

    Attributes:
        number: Of the ticket, from 1.
        sequence: Of the event within it, from 1 without gaps.
        body: As JSON.
    """

    number: int
    sequence: int
    body: Mapping[str, Any]


def new_number(connection: Connection) -> int:
    """Return the next ticket's number; in a writing transaction nobody else gets it."""
    return next_number(connection, ticket_events.c.number)


def change(
    connection: Connection, number: int, sequence: int, body: Mapping[str, object]
) -> Change:
    """Return the change by which the next act adds an event; a sequence that is taken is refused by the table."""
    act = next_number(connection, acts.c.number)
    values = {"number": number, "sequence": sequence, "body": dict(body), "act": act}
    return Change("ticket_events", values)


def tickets_of(connection: Connection, number: int) -> tuple[TicketEvent, ...]:
    """Return a ticket's events in order; none when there is no such ticket."""
    rows = connection.execute(
        select(ticket_events)
        .where(ticket_events.c.number == number)
        .order_by(ticket_events.c.sequence)
    )
    return tuple(TicketEvent(row.number, row.sequence, row.body) for row in rows)


def tickets_after(connection: Connection, act: int) -> tuple[tuple[int, TicketEvent], ...]:
    """Return what acts beyond number ``act`` have added, in order, each with its act's number."""
    rows = connection.execute(
        select(ticket_events)
        .where(ticket_events.c.act > act)
        .order_by(ticket_events.c.act, ticket_events.c.number, ticket_events.c.sequence)
    )
    return tuple((row.act, TicketEvent(row.number, row.sequence, row.body)) for row in rows)
