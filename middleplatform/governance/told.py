"""An application as it is shown to people and programs: JSON-ready, with its deadlines as of a moment.

Spec: docs/spec/grants.md.
"""

from datetime import datetime

from middleplatform.governance.acts import what_is_missing
from middleplatform.governance.applications import Answer, Lane, Part, State
from middleplatform.governance.granted import as_written, granted
from middleplatform.governance.terms import Rules, Term, terms

__all__ = ["late", "told"]


def late(state: State, rules: Rules, now: datetime) -> tuple[Term, ...]:
    """Return the terms of an application that are over and not met."""
    return tuple(
        each for each in terms(state, rules, now) if each.met_at is None and each.overdue(now)
    )


def told(state: State, rules: Rules, now: datetime) -> dict[str, object]:
    """Return an application with everything that both sides may know."""
    wanted = state.application
    return {
        "number": state.number,
        "phase": str(state.phase(now)),
        "lane": str(wanted.lane),
        "department": wanted.department,
        "applicant": wanted.applicant,
        "subjects": sorted(wanted.subjects),
        "signed_by": state.signed_by,
        "basis": wanted.basis,
        "scenario": wanted.scenario,
        "scope": wanted.scope,
        "mode": wanted.mode,
        "purpose": wanted.purpose,
        "columns": [
            {"name": each.name, "owner": each.owner, "unconditional": each.open}
            for each in wanted.columns
        ],
        "operations": sorted(wanted.operations),
        "regions": list(wanted.regions),
        "starts": wanted.starts.isoformat(),
        "ends": wanted.ends.isoformat(),
        "submitted_at": state.submitted_at.isoformat(),
        "accepted_at": _text(state.accepted_at),
        "asked_for": list(state.missing),
        "not_stated": list(what_is_missing(wanted)),
        "dispute": {"step": state.step, "with": state.disputed} if state.step else None,
        "approved_by_officer": state.officer,
        "review": {"by": state.reviewed_by, "finding": state.review} if state.reviewed_by else None,
        "review_open": _review_open(state, rules, now),
        "providers": [_part(state, each) for each in state.parts.values()],
        "terms": [_term(each, now) for each in terms(state, rules, now)],
        "grants": [dict(as_written(state, each)) for each in granted(state)],
    }


def _review_open(state: State, rules: Rules, now: datetime) -> bool:
    if state.application.lane is not Lane.EMERGENCY:
        return False
    return any(each.met_at is None for each in terms(state, rules, now))


def _part(state: State, part: Part) -> dict[str, object]:
    return {
        "department": part.department,
        "columns": sorted(part.columns),
        "outcome": _outcome(state, part),
        "answer": None if part.answer is None else _answer(part.answer),
        "answered_by": part.answered_by,
        "answered_at": _text(part.answered_at),
        "extension": {"asked": part.asked_days, "reason": part.asked_reason, "given": part.extended_days},
        "delivered_at": _text(part.delivered_at),
        "approved_by": part.approved_by,
    }  # fmt: skip


def _outcome(state: State, part: Part) -> str:
    if part.withdrawn or state.withdrawn:
        return "withdrawn"
    if part.suspended or state.suspended:
        return "suspended"
    if state.application.lane is Lane.EMERGENCY:
        return "approved" if state.officer and part.approved_by else "waiting"
    if part.answer is None:
        return "waiting"
    if not part.answer.columns:
        return "refused"
    return "granted_in_part" if part.refused else "granted"


def _answer(each: Answer) -> dict[str, object]:
    return {
        "columns": sorted(each.columns),
        "operations": sorted(each.operations),
        "regions": list(each.regions),
        "ends": each.ends.isoformat(),
        "reason": each.reason,
        "basis": each.basis,
    }


def _term(each: Term, now: datetime) -> dict[str, object]:
    return {
        "name": each.name,
        "name_en": each.deadline.name_en,
        "name_zh": each.deadline.name_zh,
        "article": each.deadline.article,
        "department": each.department,
        "due": each.due.date.isoformat(),
        "calendar_known": each.due.certain,
        "met_at": _text(each.met_at),
        "overdue": each.overdue(now),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
