"""Tickets as people handle them: opened, acted on, listed; every act goes into the log before it counts.

Spec: docs/spec/accountability.md, "Tickets".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from middleplatform.accountability import ticket_acts
from middleplatform.accountability.tickets import (
    Event,
    Ticket,
    event_from,
    fold,
    form,
    later,
    term,
)
from middleplatform.accountability.tickets import Subject as About
from middleplatform.audit.entry import LogEntry
from middleplatform.errors import AuditError, QueryError
from middleplatform.governance.desk import Desk
from middleplatform.governance.terms import Rules
from middleplatform.model.catalog import Catalog
from middleplatform.model.request import Role, Subject
from middleplatform.store.acts import Act
from middleplatform.store.folded import Folded
from middleplatform.store.tickets import TicketEvent, change, new_number, tickets_after, tickets_of

__all__ = ["PREFIX", "TicketDesk", "label", "number_of", "tickets", "told", "visible"]

PREFIX = "YY"
"""异议: begins the number of every ticket."""

Make = Callable[[Ticket, datetime], Event]
"""Given the newest state and the moment, returns what happens or refuses."""

_SEE_ALL = frozenset({Role.DATA_BUREAU, Role.SECURITY_OFFICER, Role.AUDITOR})
_DIGITS_MAX = 9


def label(number: int) -> str:
    """Return the number as people write it, ``YY7``."""
    return f"{PREFIX}{number}"


def number_of(text: str) -> int:
    """Return the number in ``"YY7"``, ``"yy7"`` or ``"7"``.

    Raises:
        QueryError: Q041 it is none.
    """
    digits = text.strip().upper().removeprefix(PREFIX)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise QueryError("Q041", what=(f"ticket {text}", f"工单 {text}"))
    return int(digits)


def visible(ticket: Ticket, who: Subject) -> bool:
    """Say whether ``who`` may see a ticket: both sides, and those who watch over them."""
    return bool(_SEE_ALL & who.roles) or who.department in (ticket.opened_for, ticket.department)


def tickets(connection: Connection) -> tuple[Ticket, ...]:
    """Return all tickets, oldest first, for a list: those that nothing happened to are not folded again."""
    return _TICKETS.all(connection)


def told(ticket: Ticket, rules: Rules, now: datetime) -> dict[str, object]:
    """Return a ticket with everything that both sides may know, JSON-ready, with its deadline as of ``now``."""
    due = term(ticket, rules)
    return {
        "number": ticket.number,
        "kind": str(ticket.kind),
        "phase": str(ticket.phase),
        "dataset": ticket.about.dataset,
        "column": ticket.about.column,
        "release": None if ticket.about.release < 0 else ticket.about.release,
        "provider": ticket.department,
        "opened_by": ticket.opened_by,
        "department": ticket.opened_for,
        "opened_at": ticket.opened_at.isoformat(),
        "text": ticket.text,
        "taken_by": ticket.taken_by,
        "outcome": ticket.outcome,
        "answer": ticket.answer,
        "basis": ticket.basis,
        "answered_by": ticket.answered_by,
        "answered_at": None if ticket.answered_at is None else ticket.answered_at.isoformat(),
        "due": due.due.date.isoformat(),
        "calendar_known": due.due.certain,
        "article": due.deadline.article,
        "overdue": ticket.pending and due.overdue(now),
        "reopened": ticket.reopened,
    }


@dataclass(frozen=True, slots=True)
class TicketDesk:
    """The desk of tickets.

    Attributes:
        desk: Brings acts into the log and into force.
        catalog: What exists.
        rules: Deadlines and working days.
        entry: Gives the entry at a leaf index of the log; raises A004 where there is none.
    """

    desk: Desk
    catalog: Catalog
    rules: Rules
    entry: Callable[[int], LogEntry]

    def open(self, kind: str, about: About, text: str, who: Subject) -> Ticket:
        """Open a ticket and return it.

        Args:
            kind: ``"objection"`` or ``"correction"``.
            about: What it is about; of a release the dataset may be left out where it used only one.
            text: What is wrong.
            who: The person who opens it.

        Raises:
            QueryError: Q041 there is no release of that index that ``who``'s department asked for or received.
            MiddleplatformError: As ``ticket_acts.open_ticket`` refuses, or the log cannot take it.
        """
        made: list[Ticket] = []
        about = self._released(about, who) if about.release >= 0 else about

        def decide(connection: Connection, _: int) -> Act:
            now = self.desk.clock.now()
            event = ticket_acts.open_ticket(kind, about, text, who, now, self.catalog)
            number = new_number(connection)
            made[:] = [fold(label(number), (event,))]
            return _act(connection, number, 0, event, who)

        self.desk.perform(decide)
        return made[0]

    def act(self, number: int, who: Subject, make: Make) -> Ticket:
        """Have ``who`` do something to a ticket; return what it is then.

        Raises:
            QueryError: Q041 there is none that ``who`` may see.
            MiddleplatformError: As ``make`` refuses, or the log cannot take it.
        """
        made: list[Ticket] = []

        def decide(connection: Connection, _: int) -> Act:
            ticket = _seen(connection, number, who)
            event = make(ticket, self.desk.clock.now())
            made[:] = [later(ticket, event)]
            return _act(connection, number, ticket.events, event, who)

        self.desk.perform(decide)
        return made[0]

    def show(self, number: int, who: Subject) -> Ticket:
        """Return a ticket that ``who`` may see.

        Raises:
            QueryError: Q041 there is none.
        """
        with self.desk.store.reading() as connection:
            return _seen(connection, number, who)

    def listed(self, who: Subject, *, overdue: bool = False) -> tuple[Ticket, ...]:
        """Return those that ``who`` may see, oldest first; only late ones where asked."""
        now = self.desk.clock.now()
        with self.desk.store.reading() as connection:
            found = [each for each in tickets(connection) if visible(each, who)]
        return tuple(each for each in found if not overdue or self._late(each, now))

    def _late(self, ticket: Ticket, now: datetime) -> bool:
        return ticket.pending and term(ticket, self.rules).overdue(now)

    def _released(self, about: About, who: Subject) -> About:
        """Return ``about`` with the dataset that the release used; whoever did not get it learns nothing of it."""
        missing = QueryError("Q041", what=(f"release {about.release}", f"发布记录 {about.release}"))
        try:
            record = self.entry(about.release).record
        except AuditError as error:
            if error.code != "A004":
                raise
            raise missing from None
        mine = who.department in (record.body.get("department"), record.body.get("recipient"))
        if record.event != "released" or not mine:
            raise missing
        used = _names(record.body.get("datasets"))
        dataset = about.dataset or about.column.rpartition(".")[0]
        dataset = dataset or (used[0] if len(used) == 1 else "")
        if dataset not in used:
            raise QueryError("Q040", what=(f"say which dataset of the release: {', '.join(used)}",
                                           f"请指明该发布使用的数据集：{'、'.join(used)}"))  # fmt: skip
        return About(dataset, about.column, about.release)


def _names(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _seen(connection: Connection, number: int, who: Subject) -> Ticket:
    ticket = _fold(number, tickets_of(connection, number))
    if not visible(ticket, who):  # as if there were none
        return _fold(number, ())
    return ticket


def _fold(number: int, events: Sequence[TicketEvent]) -> Ticket:
    if not events:
        raise QueryError("Q041", what=(f"ticket {label(number)}", f"工单 {label(number)}"))
    return fold(label(number), (event_from(each.body) for each in events))


_TICKETS = Folded(tickets_after, _fold)


def _act(connection: Connection, number: int, before: int, event: Event, who: Subject) -> Act:
    said = form(event)
    body: Mapping[str, object] = {
        "ticket": label(number),
        "subject": who.id,
        "department": who.department,
        "roles": sorted(str(role) for role in who.roles),
        "events": [said],
    }
    return Act("ticket", body, (change(connection, number, before + 1, said),))
