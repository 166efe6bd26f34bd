"""What happened to an application: each event with its article, and the deadlines that it began and met. Pure.

Nothing new is decided here: deadlines are those of ``terms``, put beside the events that began and met them.

Spec: docs/spec/grants.md, "States" and "Deadlines".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform.governance.applications import Act, Event, State
from middleplatform.governance.terms import Rules, Term, left, terms

__all__ = ["ARTICLES", "HAPPENED", "Mark", "Step", "running", "timeline", "told_history"]

_ART = {
    20: ("art. 20", "第二十条"), 21: ("art. 21", "第二十一条"), 22: ("art. 22", "第二十二条"),
    27: ("art. 27", "第二十七条"), 28: ("art. 28", "第二十八条"),
}  # fmt: skip
_OWN_RULE = ("a rule of the platform's own", "平台规则")
ARTICLES: Mapping[Act, tuple[str, str]] = {
    Act.SUBMITTED: _ART[20],
    Act.SIGNED: _ART[20],
    Act.RETURNED: _ART[21],
    Act.COMPLETED: _ART[21],
    Act.ACCEPTED: _ART[21],
    Act.ANSWERED: _ART[21],
    Act.EXTENSION_ASKED: _ART[21],
    Act.EXTENDED: _ART[21],
    Act.DELIVERED: _ART[22],
    Act.APPROVED: _OWN_RULE,
    Act.SUSPENDED: _ART[27],
    Act.RESUMED: _ART[27],
    Act.WITHDRAWN: _ART[27],
    Act.OBJECTED: _ART[28],
    Act.ESCALATED: _ART[28],
    Act.SETTLED: _ART[28],
    Act.REVIEWED: _OWN_RULE,
}
"""Article of decree 809 that an act rests on: (English, Chinese)."""

HAPPENED: Mapping[str, tuple[str, str]] = {
    "submitted": ("submitted", "提交申请"), "signed": ("signed", "签署"),
    "returned": ("returned once, with a list", "一次性告知补正"), "completed": ("completed", "补正提交"),
    "accepted": ("found complete", "受理"), "answered": ("answered", "答复"),
    "extension_asked": ("more time asked for", "申请延期答复"), "extended": ("more time given", "同意延期"),
    "delivered": ("served by the provider's node", "提供数据"), "approved": ("emergency approved", "批准应急申请"),
    "suspended": ("suspended", "暂停使用"), "resumed": ("resumed", "恢复使用"),
    "withdrawn": ("withdrawn for good", "撤回"), "objected": ("objected to", "提出异议"),
    "escalated": ("dispute taken one step up", "争议提交上一级"), "settled": ("dispute settled", "争议了结"),
    "reviewed": ("emergency reviewed", "应急授权复核"),
}  # fmt: skip
"""What happens to an application, in words: (English, Chinese)."""

_BEGINS: Mapping[str, frozenset[Act]] = {
    "answer_unconditional": frozenset({Act.SUBMITTED}),
    "desk_check": frozenset({Act.SIGNED, Act.COMPLETED}),
    "answer_conditional": frozenset({Act.ACCEPTED}),
    "deliver": frozenset({Act.ANSWERED}),
}
_MEETS: Mapping[str, frozenset[Act]] = {
    "answer_unconditional": frozenset({Act.SUBMITTED}),
    "desk_check": frozenset({Act.ACCEPTED, Act.RETURNED}),
    "answer_conditional": frozenset({Act.ANSWERED}),
    "deliver": frozenset({Act.DELIVERED}),
    "emergency_review": frozenset({Act.REVIEWED}),
}
_OF_PROVIDERS = frozenset({"answer_conditional", "deliver"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A deadline on the time line.

    Attributes:
        term: It.
        left: Working days until it is over, or was when it was met; below 0 those by which it is late.
        certain: Whether the holidays in between are known.
    """

    term: Term
    left: int
    certain: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One event on the time line.

    Attributes:
        event: What happened.
        article: (English, Chinese) that it rests on.
        began: Deadlines that it began.
        met: Deadlines that it met, in time or late.
    """

    event: Event
    article: tuple[str, str]
    began: tuple[Mark, ...]
    met: tuple[Mark, ...]


def timeline(
    events: Iterable[Event], state: State, rules: Rules, now: datetime
) -> tuple[Step, ...]:
    """Return the steps of an application, oldest first.

    Args:
        events: All of them, in order.
        state: That they lead to.
        rules: Deadlines and days.
        now: Aware.
    """
    marks = _marks(state, rules, now)
    known = list(events)
    began: dict[int, list[Mark]] = {}
    met: dict[int, list[Mark]] = {}
    for mark in marks:
        _put(began, _last(known, mark, _BEGINS), mark)
        if mark.term.met_at is not None:
            _put(met, _last(known, mark, _MEETS), mark)
    return tuple(
        Step(event, ARTICLES[event.act], tuple(began.get(place, ())), tuple(met.get(place, ())))
        for place, event in enumerate(known)
    )


def running(state: State, rules: Rules, now: datetime) -> tuple[Mark, ...]:
    """Return the deadlines that are not met, what is due first in front; none of what was withdrawn."""
    open_now = (each for each in _marks(state, rules, now) if each.term.met_at is None)
    kept = (each for each in open_now if not _moot(state, each.term))
    return tuple(sorted(kept, key=lambda each: each.term.due.date))


def told_history(
    events: Iterable[Event], state: State, rules: Rules, now: datetime
) -> dict[str, object]:
    """Return the time line for people and programs, JSON-ready: what happened, and what is to be done until when."""
    return {
        "number": state.number,
        "events": [_plain(each) for each in timeline(events, state, rules, now)],
        "ahead": [_deadline(each) for each in running(state, rules, now)],
        "ends": state.application.ends.isoformat(),
    }


def _plain(step: Step) -> dict[str, object]:
    event = step.event
    return {
        "act": str(event.act), "at": event.at.isoformat(), "by": event.by, "of": event.of,
        "department": event.department, "article_en": step.article[0], "article_zh": step.article[1],
        "reason": event.reason, "basis": event.basis, "missing": list(event.missing),
        "days": event.days, "step": event.step, "role": event.role,
        "began": [_deadline(each) for each in step.began], "met": [_deadline(each) for each in step.met],
    }  # fmt: skip


def _deadline(mark: Mark) -> dict[str, object]:
    term = mark.term
    return {
        "name": term.name, "name_en": term.deadline.name_en, "name_zh": term.deadline.name_zh,
        "article": term.deadline.article, "department": term.department,
        "due": term.due.date.isoformat(), "working_days_left": mark.left,
        "calendar_known": mark.certain,
    }  # fmt: skip


def _moot(state: State, term: Term) -> bool:
    """Say whether nobody waits for a deadline any more: what it is about was withdrawn."""
    if term.name == "emergency_review":
        return False
    part = state.parts.get(term.department)
    return state.withdrawn or (part is not None and part.withdrawn)


def _marks(state: State, rules: Rules, now: datetime) -> list[Mark]:
    return [Mark(each, *left(each, rules, now)) for each in terms(state, rules, now)]


def _last(events: list[Event], mark: Mark, acts: Mapping[str, frozenset[Act]]) -> int | None:
    """Return the place of the last event that began or met a deadline."""
    wanted, term = acts.get(mark.term.name, frozenset()), mark.term
    answering = term.name in _OF_PROVIDERS
    found = None
    for place, event in enumerate(events):
        whose = event.department in ("", term.department) if answering else True
        if event.act in wanted and whose:
            found = place
    return found


def _put(found: dict[int, list[Mark]], place: int | None, mark: Mark) -> None:
    if place is not None:
        found.setdefault(place, []).append(mark)
