"""A ticket of objection or correction and what became of it: events, and the state folded from them. Pure.

Built as ``governance.applications`` is: events are kept append-only, deadlines are computed and never stored;
``ticket_acts`` decides who may do what, ``fold`` only remembers.

Spec: docs/spec/accountability.md, "Tickets". Decree 809 art. 26 (校核); 个人信息保护法 art. 46.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from middleplatform.governance.terms import Rules, Term

__all__ = [
    "Act", "Event", "Kind", "Outcome", "Phase", "Subject", "Ticket", "event_from", "fold", "form", "later", "term",
]  # fmt: skip


class Kind(StrEnum):
    """What somebody asks for."""

    OBJECTION = "objection"
    CORRECTION = "correction"


class Act(StrEnum):
    """What can happen to a ticket."""

    OPENED = "opened"
    TAKEN = "taken"
    EXTENDED = "extended"
    ANSWERED = "answered"
    REOPENED = "reopened"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """What the provider found."""

    CORRECTED = "corrected"
    PARTLY = "partly"
    UNFOUNDED = "unfounded"


class Phase(StrEnum):
    """Where a ticket stands; derived."""

    OPEN = "open"
    TAKEN = "taken"
    ANSWERED = "answered"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a ticket is about.

    Attributes:
        dataset: ``"department.table"``.
        column: ``"department.table.column"``; empty for the whole dataset.
        release: Leaf index of the answer in which it showed; -1 for none.
    """

    dataset: str
    column: str = ""
    release: int = -1


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for good.

    Attributes:
        act: What.
        at: When, UTC.
        by: Login.
        of: Department of that login.
        text: In words; names nobody by number.
        basis: The law or rule that an answer rests on.
        days: Working days of an extension.
        outcome: Of an answer; empty otherwise.
        kind: Of an opening; empty otherwise.
        department: Provider that has to answer; of an opening.
        about: Of an opening.
    """

    act: Act
    at: datetime
    by: str
    of: str
    text: str = ""
    basis: str = ""
    days: int = 0
    outcome: str = ""
    kind: str = ""
    department: str = ""
    about: Subject | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket with all that happened.

    Attributes:
        number: Under which it runs, ``YY7``.
        kind: What is asked for.
        about: What it is about.
        department: Provider that answers for the data (谁管理谁负责).
        opened_by: Login.
        opened_for: Department of that login.
        opened_at: When the term began: when it was opened, or opened again.
        text: What is objected to.
        events: How many there were.
        phase: Where it stands.
        taken_by: Who of the provider works on it.
        extended_days: Working days that the data bureau added.
        answered_by: Login.
        answered_at: When.
        outcome: What was found; empty while nothing was.
        answer: In words.
        basis: What the answer rests on.
        reopened: How often it was opened again.
    """

    number: str
    kind: Kind
    about: Subject
    department: str
    opened_by: str
    opened_for: str
    opened_at: datetime
    text: str
    events: int = 1
    phase: Phase = Phase.OPEN
    taken_by: str = ""
    extended_days: int = 0
    answered_by: str = ""
    answered_at: datetime | None = None
    outcome: str = ""
    answer: str = ""
    basis: str = ""
    reopened: int = 0

    @property
    def pending(self) -> bool:
        """Say whether the provider still has to answer."""
        return self.phase in (Phase.OPEN, Phase.TAKEN)


def fold(number: str, events: Iterable[Event]) -> Ticket:
    """Return the ticket that ``events``, in order, lead to.

    Raises:
        ValueError: They do not begin with an opening.
    """
    ticket: Ticket | None = None
    for event in events:
        ticket = _first(number, event) if ticket is None else later(ticket, event)
    if ticket is None:
        raise ValueError("a ticket begins with its opening")
    return ticket


def _first(number: str, event: Event) -> Ticket:
    if event.act is not Act.OPENED or event.about is None:
        raise ValueError("a ticket begins with its opening")
    return Ticket(
        number, Kind(event.kind), event.about, event.department, event.by, event.of, event.at,
        event.text,
    )  # fmt: skip


def later(ticket: Ticket, event: Event) -> Ticket:
    """Return ``ticket`` after one more event."""
    return replace(ticket, events=ticket.events + 1, **_CHANGES[event.act](ticket, event))


Changes = dict[str, Any]

_CHANGES: Mapping[Act, Callable[[Ticket, Event], Changes]] = {
    Act.TAKEN: lambda _, event: {"phase": Phase.TAKEN, "taken_by": event.by},
    Act.EXTENDED: lambda _, event: {"extended_days": event.days},
    Act.ANSWERED: lambda _, event: {
        "phase": Phase.ANSWERED, "answered_by": event.by, "answered_at": event.at,
        "outcome": event.outcome, "answer": event.text, "basis": event.basis,
    },
    Act.REOPENED: lambda ticket, event: {
        "phase": Phase.OPEN, "opened_at": event.at, "answered_at": None, "answered_by": "",
        "outcome": "", "extended_days": 0, "reopened": ticket.reopened + 1,
    },
    Act.CLOSED: lambda _, __: {"phase": Phase.CLOSED},
    Act.WITHDRAWN: lambda _, __: {"phase": Phase.WITHDRAWN},
}  # fmt: skip
"""What an event changes."""


def term(ticket: Ticket, rules: Rules) -> Term:
    """Return until when the provider must verify, correct and report (art. 26)."""
    deadline = rules.regulation.deadlines["correct"]
    days = deadline.working_days + min(ticket.extended_days, deadline.extension)
    due = rules.calendar.due(ticket.opened_at, days)
    return Term("correct", deadline, ticket.department, due, ticket.answered_at)


# --- events as JSON, the form in which the store keeps them for ever ----------------------------------------------


def form(event: Event) -> dict[str, object]:
    """Return what ``event_from`` gives back; empty fields are left out."""
    raw: dict[str, object] = {
        "act": str(event.act), "at": event.at.isoformat(), "by": event.by, "of": event.of,
    }  # fmt: skip
    for name in ("text", "basis", "days", "outcome", "kind", "department"):
        if value := getattr(event, name):
            raw[name] = value
    if event.about is not None:
        raw["about"] = asdict(event.about)
    return raw


def event_from(raw: Mapping[str, Any]) -> Event:
    """Return the event that ``form`` wrote.

    Raises:
        KeyError: It is none.
        ValueError: The same.
    """
    about = raw.get("about")
    return Event(
        act=Act(raw["act"]), at=datetime.fromisoformat(raw["at"]), by=raw["by"], of=raw["of"],
        text=raw.get("text", ""), basis=raw.get("basis", ""), days=raw.get("days", 0),
        outcome=raw.get("outcome", ""), kind=raw.get("kind", ""), department=raw.get("department", ""),
        about=None if about is None else Subject(**about),
    )  # fmt: skip
