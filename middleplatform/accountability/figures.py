"""How each provider behaves: in time, refusing with a basis, keeping its catalogue fresh, granting what is asked for.

Counted from the store's events and the calendar, nothing kept: a figure is what the history says when it is asked for.

Spec: docs/spec/accountability.md, "Figures". Decree 809 art. 15, 17, 21, 22, 26 and 28.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from middleplatform.accountability.assets import asset_states
from middleplatform.accountability.periods import Period
from middleplatform.accountability.ticket_desk import tickets
from middleplatform.accountability.tickets import Outcome, Ticket, term
from middleplatform.governance.acts import names_law
from middleplatform.governance.applications import Act, Event, Part, State, fold
from middleplatform.governance.event_form import event_from
from middleplatform.governance.handling import label
from middleplatform.governance.terms import Rules, answer_term
from middleplatform.governance.workdays import Due, local_day
from middleplatform.model.catalog import Catalog
from middleplatform.store.applications import StoredEvent, events_after
from middleplatform.store.folded import Folded

__all__ = ["STALE_DAYS", "Case", "Figures", "cases", "figures", "percent"]

STALE_DAYS = 365
"""A dataset whose catalogue entry nobody assessed or corrected for so many days is stale; no rule names a number."""

Counts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One application with its history.

    Attributes:
        state: As it stands.
        events: All of them, in order.
    """

    state: State
    events: tuple[Event, ...]

    def first_answer(self, department: str) -> datetime | None:
        """Return when a provider first answered; a later answer, after a dispute, is not late by the first's term."""
        given = (Act.ANSWERED, department)
        return next((each.at for each in self.events if (each.act, each.department) == given), None)


@dataclass(frozen=True, slots=True)
class Figures:
    """The conduct of one provider in a period.

    Attributes:
        department: The provider.
        asked: Answers that were due to applications accepted in the period.
        in_time: Answered within the term, extensions included; by the first answer.
        late: Answered after it.
        waiting: Not answered, the term still runs.
        overdue: Not answered, the term is over.
        extended: Answers that were given more time.
        refused: Answers that granted nothing.
        partly: Answers that granted less than was asked for.
        with_basis: Of the refusals, whole or part, those that name a law.
        columns_asked: Columns of answered applications.
        columns_granted: Of those, granted.
        delivered_in_time: Grants served within the term.
        delivered_late: After it, or not yet though it is over.
        objections: Disputes opened against it in the period.
        escalations: Steps up that disputes with it took in the period.
        tickets: Objections and corrections opened in the period.
        tickets_in_time: Answered within the term.
        tickets_late: Answered after it, or not at all though it is over.
        tickets_corrected: Answered by correcting all or a part.
        datasets: Registered.
        stale: Names of those whose catalogue entry is stale.
        certain: Whether holidays were known for every term.
    """

    department: str
    asked: int = 0
    in_time: int = 0
    late: int = 0
    waiting: int = 0
    overdue: int = 0
    extended: int = 0
    refused: int = 0
    partly: int = 0
    with_basis: int = 0
    columns_asked: int = 0
    columns_granted: int = 0
    delivered_in_time: int = 0
    delivered_late: int = 0
    objections: int = 0
    escalations: int = 0
    tickets: int = 0
    tickets_in_time: int = 0
    tickets_late: int = 0
    tickets_corrected: int = 0
    datasets: int = 0
    stale: tuple[str, ...] = ()
    certain: bool = True

    def rates(self) -> dict[str, int | None]:
        """Return the rates in percent, rounded down; None where there is nothing to divide by."""
        answered = self.in_time + self.late
        return {
            "in_time_percent": percent(self.in_time, answered + self.overdue),
            "refused_percent": percent(self.refused, answered),
            "with_basis_percent": percent(self.with_basis, self.refused + self.partly),
            "coverage_percent": percent(self.columns_granted, self.columns_asked),
            "tickets_in_time_percent": percent(
                self.tickets_in_time, self.tickets_in_time + self.tickets_late
            ),
            "stale_percent": percent(len(self.stale), self.datasets),
        }

    def plain(self) -> dict[str, object]:
        """Return all figures and rates, JSON-ready."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "stale": list(self.stale), **self.rates()}


def percent(part: int, whole: int) -> int | None:
    """Return ``part`` of ``whole`` in percent, rounded down; None of nothing."""
    return 100 * part // whole if whole else None


def cases(connection: Connection) -> tuple[Case, ...]:
    """Return all applications with their histories, oldest first, for a list; what was folded before is kept."""
    return _CASES.all(connection)


def _case(number: int, stored: Iterable[StoredEvent]) -> Case:
    events = tuple(event_from(each.body) for each in stored)
    return Case(fold(label(number), events), events)


_CASES = Folded(events_after, _case)


def figures(
    connection: Connection,
    catalog: Catalog,
    rules: Rules,
    now: datetime,
    period: Period | None = None,
    stale_days: int = STALE_DAYS,
) -> tuple[Figures, ...]:
    """Return the figures of every provider, by its code.

    Args:
        connection: To the store, reading.
        catalog: What exists.
        rules: Deadlines and working days.
        now: The moment as of which terms run.
        period: Of what came in; always unless given.
        stale_days: Age in days past which a catalogue entry is stale, at least 1.
    """
    span = period or Period()
    known, complaints = cases(connection), tickets(connection)
    owners = sorted({each.owner for each in catalog.datasets.values()})
    return tuple(
        replace(
            Figures(name, certain=_certain(name, known, complaints, rules, span)),
            **_answers(name, known, rules, now, span),
            **_disputes(name, known, span),
            **_tickets(name, complaints, rules, now, span),
            **_assets(name, catalog, complaints, now, stale_days),
        )
        for name in owners
    )


def _parts(
    name: str, known: Iterable[Case], span: Period
) -> Iterator[tuple[Case, Part, datetime | None]]:
    """Yield the provider's part of each application accepted in the period, and when it first answered."""
    for case in known:
        part = case.state.parts.get(name)
        if part is None or not span.holds(case.state.accepted_at):
            continue
        first = case.first_answer(name)
        dropped = part.withdrawn or case.state.withdrawn
        if first is not None or not dropped:  # what was withdrawn first needs no answer
            yield case, part, first


def _answers(
    name: str, known: Iterable[Case], rules: Rules, now: datetime, span: Period
) -> Counts:  # fmt: skip
    found = list(_parts(name, known, span))
    times = [(first, answer_term(case.state, part, rules).due) for case, part, first in found]
    given = [part for _, part, first in found if first is not None and part.answer is not None]
    cut = [part.answer for part in given if part.answer is not None and part.refused]
    delivered = [each for part in given for each in _delivered(part, rules, now)]
    return {
        "asked": len(found),
        "in_time": _count(times, lambda first, due: first is not None and not due.passed(first)),
        "late": _count(times, lambda first, due: first is not None and due.passed(first)),
        "waiting": _count(times, lambda first, due: first is None and not due.passed(now)),
        "overdue": _count(times, lambda first, due: first is None and due.passed(now)),
        "extended": sum(part.extended_days > 0 for _, part, _ in found),
        "refused": sum(not each.columns for each in cut),
        "partly": sum(bool(each.columns) for each in cut),
        "with_basis": sum(names_law(each.basis) for each in cut),
        "columns_asked": sum(len(part.columns) for part in given),
        "columns_granted": sum(len(part.answer.columns) for part in given if part.answer),
        "delivered_in_time": sum(delivered),
        "delivered_late": len(delivered) - sum(delivered),
    }


def _count(
    times: Iterable[tuple[datetime | None, Due]], good: Callable[[datetime | None, Due], bool]
) -> int:
    return sum(good(first, due) for first, due in times)


def _delivered(part: Part, rules: Rules, now: datetime) -> Iterator[bool]:
    """Yield whether what was granted was served in time; nothing while that still runs."""
    if part.answer is None or not part.answer.columns or part.answered_at is None:
        return
    days = rules.regulation.deadlines["deliver"].working_days
    late = rules.calendar.due(part.answered_at, days).passed(part.delivered_at or now)
    if late or part.delivered_at is not None:
        yield not late


def _disputes(name: str, known: Iterable[Case], span: Period) -> Counts:
    acts = [
        each.act
        for case in known
        for each in case.events
        if each.department == name and span.holds(each.at)
    ]
    return {"objections": acts.count(Act.OBJECTED), "escalations": acts.count(Act.ESCALATED)}


def _tickets(
    name: str, complaints: Iterable[Ticket], rules: Rules, now: datetime, span: Period
) -> Counts:  # fmt: skip
    found = _mine(name, complaints, span)
    answered = [each for each in found if each.answered_at is not None]
    late = [
        each for each in found
        if (each.pending or each.answered_at is not None) and term(each, rules).overdue(now)
    ]  # fmt: skip
    fixed = (Outcome.CORRECTED, Outcome.PARTLY)
    return {
        "tickets": len(found),
        "tickets_in_time": sum(each not in late for each in answered),
        "tickets_late": len(late),
        "tickets_corrected": sum(each.outcome in fixed for each in answered),
    }


def _mine(name: str, complaints: Iterable[Ticket], span: Period) -> list[Ticket]:
    return [each for each in complaints if each.department == name and span.holds(each.opened_at)]


def _assets(
    name: str, catalog: Catalog, complaints: Iterable[Ticket], now: datetime, stale_days: int
) -> Counts:
    mine = [each for each in catalog.datasets.values() if each.owner == name]
    before = local_day(now) - timedelta(days=stale_days)
    states = asset_states((each.name for each in mine), complaints)
    stale = tuple(
        each.name
        for each, state in zip(mine, states, strict=True)
        if each.risk_assessed_on < before
        and (state.corrected_at is None or local_day(state.corrected_at) < before)
    )
    return {"datasets": len(mine), "stale": stale}


def _certain(
    name: str, known: Iterable[Case], complaints: Iterable[Ticket], rules: Rules, span: Period
) -> bool:  # fmt: skip
    terms = [answer_term(case.state, part, rules) for case, part, _ in _parts(name, known, span)]
    terms += [term(each, rules) for each in _mine(name, complaints, span)]
    return all(each.due.certain for each in terms)
