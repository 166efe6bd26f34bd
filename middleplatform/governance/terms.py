"""What is due when, and what is overdue: computed from the regulation and the calendar, never stored.

Spec: docs/spec/grants.md, "Deadlines".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from middleplatform.governance.applications import Lane, Part, State
from middleplatform.governance.workdays import Calendar, Due
from middleplatform.policy.regulation import Deadline, Regulation

__all__ = ["Rules", "Term", "answer_term", "left", "terms", "was_in_force"]

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers and the days by which applications are dealt with.

    Attributes:
        regulation: Deadlines, each with its article.
        calendar: Working days.
    """

    regulation: Regulation
    calendar: Calendar = field(default_factory=Calendar)


@dataclass(frozen=True, slots=True)
class Term:
    """One deadline of one application.

    Attributes:
        name: Of the regulation's, e.g. ``"answer_conditional"``.
        deadline: What the regulation says.
        department: Who has to act; empty for the data bureau.
        due: Its last day, extensions included.
        met_at: When it was met, or None.
    """

    name: str
    deadline: Deadline
    department: str
    due: Due
    met_at: datetime | None = None

    def overdue(self, now: datetime) -> bool:
        """Say whether it is late: not met and over, or met after it was over."""
        return self.due.passed(self.met_at or now)


def terms(state: State, rules: Rules, now: datetime) -> tuple[Term, ...]:
    """Return the deadlines that run or ran, by provider.

    Args:
        state: Of an application.
        rules: The numbers and the days.
        now: Aware; a review is due only after an emergency grant has ended.
    """
    if state.fast:
        met = _term(rules, "answer_unconditional", "", state.submitted_at, met=state.submitted_at)
        return (met,)
    if state.application.lane is Lane.EMERGENCY:
        return tuple(_review(state, rules, now))
    return (*_desk(state, rules), *_providers(state, rules))


def _desk(state: State, rules: Rules) -> Iterator[Term]:
    """The decree has no term for the desk check; local rules may (``desk_check``)."""
    if state.signed_by and "desk_check" in rules.regulation.deadlines:
        start = state.completed_at or state.submitted_at
        met = state.accepted_at or (None if state.completed_at else state.returned_at)
        yield _term(rules, "desk_check", "", start, met=met)


def _providers(state: State, rules: Rules) -> Iterator[Term]:
    if state.accepted_at is None:
        return
    for part in state.parts.values():
        yield answer_term(state, part, rules)
        if part.answer is not None and part.answer.columns and part.answered_at is not None:
            yield _term(
                rules, "deliver", part.department, part.answered_at, met=part.delivered_at
            )  # fmt: skip


def answer_term(state: State, part: Part, rules: Rules) -> Term:
    """Return until when a provider must answer an accepted application."""
    assert state.accepted_at is not None, "the timer starts with acceptance"
    return _term(
        rules, "answer_conditional", part.department, state.accepted_at,
        extra=part.extended_days, met=part.answered_at,
    )  # fmt: skip


def left(term: Term, rules: Rules, now: datetime) -> tuple[int, bool]:
    """Return (working days until a term is over, or was when it was met; below 0 those by which it is late, certain).

    Args:
        term: One of ``terms``.
        rules: The days.
        now: Aware; does not count for a term that was met.
    """
    at, last = term.met_at or now, rules.calendar.end_of(term.due) - _SECOND
    if term.due.passed(at):
        days, certain = rules.calendar.between(last, at)
        return -days, certain and term.due.certain
    days, certain = rules.calendar.between(at, last)
    return days, certain and term.due.certain


def _review(state: State, rules: Rules, now: datetime) -> Iterator[Term]:
    ended = min(state.withdrawn_at or state.application.ends, state.application.ends)
    deadline = rules.regulation.emergency_review
    if was_in_force(state) and now >= ended and deadline is not None:
        due = rules.calendar.due(ended, deadline.working_days)
        yield Term("emergency_review", deadline, "", due, state.reviewed_at)


def was_in_force(state: State) -> bool:
    """Say whether an emergency grant was ever approved by both."""
    approved = any(part.approved_by for part in state.parts.values())
    return state.application.lane is Lane.EMERGENCY and bool(state.officer) and approved


def _term(
    rules: Rules,
    name: str,
    department: str,
    start: datetime,
    *,
    extra: int = 0,
    met: datetime | None = None,
) -> Term:
    deadline = rules.regulation.deadlines[name]
    days = deadline.working_days + min(extra, deadline.extension)
    return Term(name, deadline, department, rules.calendar.due(start, days), met)
