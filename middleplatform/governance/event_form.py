"""Events as JSON, and back: the form in which the store keeps them for ever."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from middleplatform.governance.applications import Act, Answer, Application, Column, Event, Lane

__all__ = ["event_from", "form"]


def form(event: Event) -> dict[str, object]:
    """Return what ``event_from`` gives back; empty fields are left out."""
    raw: dict[str, object] = {
        "act": str(event.act), "at": event.at.isoformat(), "by": event.by, "of": event.of,
    }  # fmt: skip
    for name in ("department", "reason", "basis", "days", "step", "role"):
        if value := getattr(event, name):
            raw[name] = value
    if event.missing:
        raw["missing"] = list(event.missing)
    if event.answer is not None:
        raw["answer"] = _answer(event.answer)
    if event.application is not None:
        raw["application"] = _application(event.application)
    return raw


def _answer(each: Answer) -> dict[str, object]:
    return {
        "columns": sorted(each.columns), "operations": sorted(each.operations),
        "regions": list(each.regions), "ends": each.ends.isoformat(),
        "reason": each.reason, "basis": each.basis,
    }  # fmt: skip


def _application(each: Application) -> dict[str, object]:
    return {
        "basis": each.basis, "scenario": each.scenario, "scope": each.scope, "mode": each.mode,
        "purpose": each.purpose, "department": each.department, "applicant": each.applicant,
        "subjects": sorted(each.subjects),
        "columns": [[one.name, one.owner, one.open] for one in each.columns],
        "operations": sorted(each.operations), "regions": list(each.regions),
        "starts": each.starts.isoformat(), "ends": each.ends.isoformat(), "lane": str(each.lane),
    }  # fmt: skip


def event_from(raw: Mapping[str, Any]) -> Event:
    """Return the event that ``form`` wrote.

    Raises:
        KeyError: It is none.
        ValueError: The same.
    """
    answer, application = raw.get("answer"), raw.get("application")
    return Event(
        act=Act(raw["act"]),
        at=datetime.fromisoformat(raw["at"]),
        by=raw["by"],
        of=raw["of"],
        department=raw.get("department", ""),
        reason=raw.get("reason", ""),
        basis=raw.get("basis", ""),
        missing=tuple(raw.get("missing", ())),
        days=raw.get("days", 0),
        step=raw.get("step", ""),
        role=raw.get("role", ""),
        answer=None if answer is None else _read_answer(answer),
        application=None if application is None else _read_application(application),
    )


def _read_answer(raw: Mapping[str, Any]) -> Answer:
    return Answer(
        frozenset(raw["columns"]), frozenset(raw["operations"]), tuple(raw["regions"]),
        datetime.fromisoformat(raw["ends"]), raw["reason"], raw["basis"],
    )  # fmt: skip


def _read_application(raw: Mapping[str, Any]) -> Application:
    return Application(
        basis=raw["basis"], scenario=raw["scenario"], scope=raw["scope"], mode=raw["mode"],
        purpose=raw["purpose"], department=raw["department"], applicant=raw["applicant"],
        subjects=frozenset(raw["subjects"]),
        columns=tuple(Column(*each) for each in raw["columns"]),
        operations=frozenset(raw["operations"]), regions=tuple(raw["regions"]),
        starts=datetime.fromisoformat(raw["starts"]), ends=datetime.fromisoformat(raw["ends"]),
        lane=Lane(raw["lane"]),
    )  # fmt: skip
