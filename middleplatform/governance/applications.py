"""An application for data 共享申请 and what became of it: events, and the state folded from them. Pure.

Events are kept append-only; nothing is ever computed into them, so a deadline cannot be written down
wrongly and what is overdue is always what the calendar says now. ``acts`` decides who may do what;
``fold`` only remembers.

Spec: docs/spec/grants.md. Decree 809 art. 20, 21, 22, 25, 27 and 28.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from middleplatform.policy.evaluate import OPERATIONS

__all__ = [
    "OPERATIONS", "PLATFORM", "STEPS", "Act", "Answer", "Application", "Column", "Event", "Lane",
    "Part", "Phase", "State", "fold", "later",
]  # fmt: skip

PLATFORM = "platform"
"""Who acts where no person does; no login is called so (``access.tokens`` lets none be made without a department)."""

STEPS = ("negotiation", "same_level_authority", "common_superior", "government")
"""Who settles a dispute, step by step (art. 28): 协商, 同级主管部门, 共同的上级主管部门, 本级政府."""


class Lane(StrEnum):
    """How an application is dealt with."""

    ORDINARY = "ordinary"
    EMERGENCY = "emergency"


class Act(StrEnum):
    """What can happen to an application."""

    SUBMITTED = "submitted"
    SIGNED = "signed"
    RETURNED = "returned"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    ANSWERED = "answered"
    EXTENSION_ASKED = "extension_asked"
    EXTENDED = "extended"
    DELIVERED = "delivered"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    ESCALATED = "escalated"
    SETTLED = "settled"
    REVIEWED = "reviewed"


class Phase(StrEnum):
    """Where an application stands as a whole; derived, at a moment."""

    UNSIGNED = "unsigned"
    CHECKING = "checking"
    RETURNED = "returned"
    ANSWERING = "answering"
    ANSWERED = "answered"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is applied for, as the catalogue and the bundle said when it was.

    Attributes:
        name: ``"dataset.column"``; never ``"dataset.*"``, which would grow.
        owner: Department that answers for it.
        open: 无条件共享: needs nobody's answer.
    """

    name: str
    owner: str
    open: bool


@dataclass(frozen=True, slots=True)
class Application:
    """What is applied for (art. 20).

    Attributes:
        basis: 使用依据.
        scenario: 使用场景.
        scope: 使用范围, in words.
        mode: 共享方式; the platform has one, queries by ``"service"`` (服务接口).
        purpose: One of the bundle's.
        department: Department that applies and answers for the use.
        applicant: Login that wrote it.
        subjects: Logins that it is for; empty for everyone of the department.
        columns: Sorted by name.
        operations: Of ``OPERATIONS``.
        regions: Region codes, or ``("*",)``.
        starts: First moment wanted, UTC.
        ends: 使用时限: first moment at which it is over, UTC.
        lane: Ordinary or emergency.
    """

    basis: str
    scenario: str
    scope: str
    mode: str
    purpose: str
    department: str
    applicant: str
    subjects: frozenset[str]
    columns: tuple[Column, ...]
    operations: frozenset[str]
    regions: tuple[str, ...]
    starts: datetime
    ends: datetime
    lane: Lane = Lane.ORDINARY


@dataclass(frozen=True, slots=True)
class Answer:
    """What one provider grants of its own columns: never more than was applied for.

    Attributes:
        columns: Names; empty for a refusal.
        operations: Of those applied for.
        regions: Within those applied for.
        ends: At most what was applied for, UTC.
        reason: Why not all of it; empty when all is granted.
        basis: The law that says so; never empty unless all is granted.
    """

    columns: frozenset[str]
    operations: frozenset[str]
    regions: tuple[str, ...]
    ends: datetime
    reason: str = ""
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for good.

    Attributes:
        act: What.
        at: When, UTC.
        by: Login, or ``PLATFORM``.
        of: Department of that login.
        department: Provider whose part it bears on; empty for the whole.
        reason: In words.
        basis: The law.
        missing: What a desk check found missing.
        days: Working days of an extension.
        step: Of ``STEPS``.
        role: In which role an emergency was approved: ``"officer"`` or ``"provider"``.
        answer: Of ``ANSWERED``.
        application: Of ``SUBMITTED`` and ``COMPLETED``.
    """

    act: Act
    at: datetime
    by: str
    of: str
    department: str = ""
    reason: str = ""
    basis: str = ""
    missing: tuple[str, ...] = ()
    days: int = 0
    step: str = ""
    role: str = ""
    answer: Answer | None = None
    application: Application | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What concerns one provider.

    Attributes:
        department: The provider.
        columns: Names of its columns that need its answer.
        answer: Its last one.
        answered_at: When.
        answered_by: By whom.
        asked_days: Extension asked for, 0 for none.
        asked_reason: Why.
        extended_days: Extension that the data bureau consented to.
        delivered_at: When its node began to serve what was granted.
        approved_by: Who approved an emergency for the provider.
        suspended: Access is stopped.
        withdrawn: For good.
        answers: How many answers there were.
    """

    department: str
    columns: frozenset[str]
    answer: Answer | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    asked_days: int = 0
    asked_reason: str = ""
    extended_days: int = 0
    delivered_at: datetime | None = None
    approved_by: str = ""
    suspended: bool = False
    withdrawn: bool = False
    answers: int = 0

    @property
    def stopped(self) -> bool:
        """Say whether nothing of it may be used."""
        return self.suspended or self.withdrawn

    @property
    def refused(self) -> bool:
        """Say whether less was granted than was applied for."""
        return self.answer is not None and bool(self.answer.basis)


@dataclass(frozen=True, slots=True)
class State:
    """An application with all that happened.

    Attributes:
        number: Under which it runs.
        application: As it stands.
        submitted_at: When it came in first.
        events: How many there were.
        parts: By provider, sorted; without those whose columns are all open.
        signed_by: Steward who signed; empty for nobody yet.
        missing: What the desk check asked for; kept, since there is one list only.
        returned_at: When it was returned.
        completed_at: When it was completed.
        accepted_at: When it was complete and the providers' timers began.
        officer: Security officer who approved an emergency.
        suspended: As a whole.
        withdrawn: As a whole, for good.
        withdrawn_at: When.
        step: Where a dispute lies; empty for none.
        disputed: Department that the dispute is with; empty for all.
        reviewed_by: Who reviewed an emergency grant.
        reviewed_at: When.
        review: What the review found.
    """

    number: str
    application: Application
    submitted_at: datetime
    events: int
    parts: Mapping[str, Part]
    signed_by: str = ""
    missing: tuple[str, ...] = ()
    returned_at: datetime | None = None
    completed_at: datetime | None = None
    accepted_at: datetime | None = None
    officer: str = ""
    suspended: bool = False
    withdrawn: bool = False
    withdrawn_at: datetime | None = None
    step: str = ""
    disputed: str = ""
    reviewed_by: str = ""
    reviewed_at: datetime | None = None
    review: str = ""

    @property
    def open_columns(self) -> frozenset[str]:
        """Return the columns that need nobody's answer."""
        return frozenset(each.name for each in self.application.columns if each.open)

    @property
    def fast(self) -> bool:
        """Say whether nothing of it needs a person."""
        return not self.parts

    def phase(self, now: datetime) -> Phase:
        """Return where it stands at ``now``."""
        if self.withdrawn or (self.parts and all(each.withdrawn for each in self.parts.values())):
            return Phase.WITHDRAWN
        if now >= self.application.ends:
            return Phase.EXPIRED
        if self.suspended or (self.parts and all(each.stopped for each in self.parts.values())):
            return Phase.SUSPENDED
        return self._open_phase()

    def _open_phase(self) -> Phase:
        if self.fast:
            return Phase.ANSWERED
        if self.application.lane is Lane.EMERGENCY:
            approved = self.officer and all(each.approved_by for each in self.parts.values())
            return Phase.ANSWERED if approved else Phase.ANSWERING
        if not self.signed_by:
            return Phase.UNSIGNED
        if self.accepted_at is None:
            waits = self.returned_at is not None and self.completed_at is None
            return Phase.RETURNED if waits else Phase.CHECKING
        answered = all(each.answer is not None for each in self.parts.values())
        return Phase.ANSWERED if answered else Phase.ANSWERING


def fold(number: str, events: Iterable[Event]) -> State:
    """Return the state that ``events``, in order, lead to.

    Raises:
        ValueError: They do not begin with a submission.
    """
    state: State | None = None
    for event in events:
        state = _first(number, event) if state is None else _next(state, event)
    if state is None:
        raise ValueError("an application begins with its submission")
    return state


def _first(number: str, event: Event) -> State:
    if event.act is not Act.SUBMITTED or event.application is None:
        raise ValueError("an application begins with its submission")
    wanted = event.application
    return State(number, wanted, event.at, 1, _parts(wanted))


def _parts(application: Application) -> Mapping[str, Part]:
    owners = sorted({each.owner for each in application.columns if not each.open})
    return {
        owner: Part(
            owner,
            frozenset(c.name for c in application.columns if c.owner == owner and not c.open),
        )
        for owner in owners
    }


def _next(state: State, event: Event) -> State:
    state = replace(state, events=state.events + 1)
    if event.department:
        of_part = _PART.get(event.act)
        part = state.parts[event.department]
        part = part if of_part is None else replace(part, **of_part(part, event))
        state = replace(state, parts={**state.parts, event.department: part})
    of_whole = _EITHER.get(event.act) or (None if event.department else _WHOLE.get(event.act))
    return state if of_whole is None else replace(state, **of_whole(state, event))


Changes = dict[str, Any]

_PART: Mapping[Act, Callable[[Part, Event], Changes]] = {
    Act.ANSWERED: lambda part, event: {
        "answer": event.answer, "answered_at": event.at, "answered_by": event.by,
        "delivered_at": None, "answers": part.answers + 1,
    },
    Act.EXTENSION_ASKED: lambda _, event: {"asked_days": event.days, "asked_reason": event.reason},
    Act.EXTENDED: lambda part, _: {"extended_days": part.asked_days},
    Act.DELIVERED: lambda _, event: {"delivered_at": event.at},
    Act.APPROVED: lambda _, event: {"approved_by": event.by},
    Act.SUSPENDED: lambda _, __: {"suspended": True},
    Act.RESUMED: lambda _, __: {"suspended": False},
    Act.WITHDRAWN: lambda _, __: {"withdrawn": True},
}  # fmt: skip
"""What an event changes of the part that it names."""

_WHOLE: Mapping[Act, Callable[[State, Event], Changes]] = {
    Act.SIGNED: lambda _, event: {"signed_by": event.by},
    Act.RETURNED: lambda _, event: {"missing": event.missing, "returned_at": event.at},
    Act.COMPLETED: lambda state, event: _completed(event.application or state.application, event),
    Act.ACCEPTED: lambda _, event: {"accepted_at": event.at},
    Act.APPROVED: lambda _, event: {"officer": event.by},
    Act.SUSPENDED: lambda _, __: {"suspended": True},
    Act.RESUMED: lambda _, __: {"suspended": False},
    Act.WITHDRAWN: lambda _, event: {"withdrawn": True, "withdrawn_at": event.at},
    Act.REVIEWED: lambda _, event: {
        "reviewed_by": event.by, "reviewed_at": event.at, "review": event.reason,
    },
}  # fmt: skip
"""What an event changes that names no part."""

_EITHER: Mapping[Act, Callable[[State, Event], Changes]] = {
    Act.OBJECTED: lambda _, event: {"step": event.step, "disputed": event.department},
    Act.ESCALATED: lambda _, event: {"step": event.step},
    Act.SETTLED: lambda _, __: {"step": "", "disputed": ""},
}
"""What an event changes of the whole, also when it names a part."""


def _completed(wanted: Application, event: Event) -> Changes:
    return {
        "application": wanted, "parts": _parts(wanted), "completed_at": event.at,
        "signed_by": event.by,
    }  # fmt: skip


def later(state: State, event: Event) -> State:
    """Return ``state`` after one more event."""
    return _next(state, event)
