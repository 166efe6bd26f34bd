"""Applications as people handle them: read, judged, acted on; every act goes into the log before it counts.

What an act may be is ``acts``' and ``stopping``'s matter; here it is decided on the newest state inside the
store's writing transaction, so two people who act at once act one after the other.

Spec: docs/spec/grants.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from middleplatform.errors import QueryError
from middleplatform.governance import acts
from middleplatform.governance.applications import Event, Lane, State, fold, later
from middleplatform.governance.desk import Desk
from middleplatform.governance.event_form import event_from, form
from middleplatform.governance.terms import Rules
from middleplatform.governance.wanting import wanted
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Role, Subject
from middleplatform.policy.joining import PREFIX
from middleplatform.store.acts import Act
from middleplatform.store.applications import (
    StoredEvent,
    change,
    events_after,
    events_of,
    new_number,
)
from middleplatform.store.database import Store
from middleplatform.store.folded import Folded

__all__ = ["PREFIX", "Handling", "label", "number_of", "state_of", "states", "visible"]

Make = Callable[[State, datetime], Event]
"""Given the newest state and the moment, returns what happens or refuses."""

_SEE_ALL = frozenset({Role.DATA_BUREAU, Role.SECURITY_OFFICER, Role.AUDITOR})


def label(number: int) -> str:
    """Return the number as people write it, ``GX7``."""
    return f"{PREFIX}{number}"


def number_of(text: str) -> int:
    """Return the number in ``"GX7"``, ``"gx7"`` or ``"7"``.

    Raises:
        QueryError: Q041 it is none.
    """
    digits = text.strip().upper().removeprefix(PREFIX)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):  # noqa: PLR2004 - fits 32 bits
        raise QueryError("Q041", what=(f"application {text}", f"申请 {text}"))
    return int(digits)


def visible(state: State, who: Subject) -> bool:
    """Say whether ``who`` may see an application: both sides, and those who watch over them."""
    sides = {state.application.department, *(each.owner for each in state.application.columns)}
    return bool(_SEE_ALL & who.roles) or who.department in sides


def state_of(connection: Connection, number: int) -> State:
    """Return an application.

    Raises:
        QueryError: Q041 there is none.
    """
    return _fold(number, events_of(connection, number))


def states(connection: Connection) -> tuple[State, ...]:
    """Return all applications, oldest first, for a list: those that nothing happened to are not folded again."""
    return _STATES.all(connection)


def _fold(number: int, events: Sequence[StoredEvent]) -> State:
    if not events:
        raise QueryError("Q041", what=(f"application {label(number)}", f"申请 {label(number)}"))
    return fold(label(number), (event_from(each.body) for each in events))


_STATES = Folded(events_after, _fold)


@dataclass(frozen=True, slots=True)
class Handling:
    """The desk of applications.

    Attributes:
        desk: Brings acts into the log and into force.
        bundle: Today's policy.
        rules: Deadlines and working days.
    """

    desk: Desk
    bundle: Bundle
    rules: Rules

    @property
    def store(self) -> Store:
        """Return where they are kept."""
        return self.desk.store

    def apply(self, raw: Mapping[str, Any], who: Subject, lane: Lane = Lane.ORDINARY) -> State:
        """Take a new application in and return it.

        Args:
            raw: As ``policy.wishes.checked`` gives it.
            who: The applicant.
            lane: Ordinary or emergency.

        Raises:
            MiddleplatformError: As ``wanting.wanted`` and ``acts.submit`` refuse, or the log cannot take it.
        """
        made: list[State] = []

        def decide(connection: Connection, _: int) -> Act:
            now = self.desk.clock.now()
            application = wanted(raw, who, self.bundle, now, lane)
            events = acts.submit(application, who, now, self.rules)
            number = new_number(connection)
            made[:] = [fold(label(number), events)]
            return _act(connection, number, 0, events, who)

        self.desk.perform(decide)
        return made[0]

    def complete(self, number: int, raw: Mapping[str, Any], who: Subject) -> State:
        """Take the completed file of an application that was returned.

        Raises:
            MiddleplatformError: As ``wanting.wanted`` and ``acts.complete`` refuse.
        """

        def make(state: State, now: datetime) -> Event:
            old = state.application
            author = Subject(old.applicant, old.department, who.roles, who.regions)
            return acts.complete(
                state, wanted(raw, author, self.bundle, now, old.lane), who, now
            )  # fmt: skip

        return self.act(number, who, make)

    def act(self, number: int, who: Subject, make: Make) -> State:
        """Have ``who`` do something to an application; return what it is then.

        Raises:
            QueryError: Q041 there is none that ``who`` may see.
            MiddleplatformError: As ``make`` refuses, or the log cannot take it.
        """
        made: list[State] = []

        def decide(connection: Connection, _: int) -> Act:
            state = self._seen(connection, number, who)
            event = make(state, self.desk.clock.now())
            made[:] = [later(state, event)]
            return _act(connection, number, state.events, (event,), who)

        self.desk.perform(decide)
        return made[0]

    def show(self, number: int, who: Subject) -> State:
        """Return an application that ``who`` may see.

        Raises:
            QueryError: Q041 there is none.
        """
        with self.store.reading() as connection:
            return self._seen(connection, number, who)

    def history(self, number: int, who: Subject) -> tuple[Event, ...]:
        """Return everything that happened to an application that ``who`` may see, oldest first.

        Raises:
            QueryError: Q041 there is none.
        """
        with self.store.reading() as connection:
            self._seen(connection, number, who)
            return tuple(event_from(each.body) for each in events_of(connection, number))

    def listed(self, who: Subject) -> tuple[State, ...]:
        """Return those that ``who`` may see, oldest first."""
        with self.store.reading() as connection:
            return tuple(each for each in states(connection) if visible(each, who))

    @staticmethod
    def _seen(connection: Connection, number: int, who: Subject) -> State:
        state = state_of(connection, number)
        if not visible(state, who):  # as if there were none
            return _fold(number, ())
        return state


def _act(
    connection: Connection, number: int, before: int, events: Sequence[Event], who: Subject
) -> Act:
    forms = [form(each) for each in events]
    body = {
        "application": label(number),
        "subject": who.id,
        "department": who.department,
        "roles": sorted(str(role) for role in who.roles),
        "events": forms,
    }
    changes = tuple(
        change(connection, number, before + place, each)
        for place, each in enumerate(forms, start=1)
    )
    return Act("grant", body, changes)
