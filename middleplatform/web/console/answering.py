"""Applications for data, from the side of those who answer and watch over: providers, data bureau, security officers.

Every form does one act of ``governance.acts`` or ``stopping``; a refusal is shown at the form that met it.

Spec: docs/spec/grants.md. Decree 809 art. 21, 22, 25, 27 and 28.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.governance.applications import Lane, State
from middleplatform.governance.handling import number_of
from middleplatform.governance.terms import Rules, Term, left, terms
from middleplatform.governance.told import told
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.request import Role, Subject
from middleplatform.web.console import acting, pages
from middleplatform.web.console.acting import PHASES, handling_of, moment_of
from middleplatform.web.console.listing import listed
from middleplatform.web.console.offering import WAITS, extendable, offered, waits_for
from middleplatform.web.services import services_of

__all__ = ["HANDLERS", "HOME", "READERS", "register"]

_OFFICERS = frozenset({Role.SECURITY_OFFICER})
_ANSWERERS = frozenset({Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU})
HANDLERS = _ANSWERERS | _OFFICERS
READERS = HANDLERS | {Role.AUDITOR}
_ALL_OF_THEM = READERS - {Role.DEPARTMENT_STEWARD}
HOME = "/console/department/applications"
_ACTS = frozenset({
    "return", "accept", "consent", "extend", "answer", "deliver", "approve", "suspend", "resume",
    "withdraw", "escalate", "settle", "review",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """An application in the list.

    Attributes:
        told: With everything that both sides may know.
        waits: For what it waits with this person; empty for nothing.
        term: The deadline that runs next; None where none does.
        left: Working days until it is over; negative beyond it.
        late: Whether one is over and not met.
        certain: Whether the holidays up to its end are known.
    """

    told: Mapping[str, Any]
    waits: str
    term: Term | None
    left: int
    late: bool
    certain: bool


# --- what waits ---------------------------------------------------------------------------------------------------


def _concerned(states: tuple[State, ...], who: Subject) -> list[State]:
    """Return those that ``who`` handles: all, or as a steward those for the own department's columns."""
    if _ALL_OF_THEM & who.roles:
        return list(states)
    return [
        each for each in states if who.department in {one.owner for one in each.application.columns}
    ]


def _row(request: Request, state: State, rules: Rules, now: datetime) -> Row:
    who = request.state.subject
    every = bool(_ALL_OF_THEM & who.roles)
    open_now = [
        each
        for each in terms(state, rules, now)
        if each.met_at is None and (every or each.department == who.department)
    ]
    if state.withdrawn:
        open_now = [each for each in open_now if each.name == "emergency_review"]
    first = min(open_now, key=lambda each: each.due.date, default=None)
    days, certain = (0, True) if first is None else left(first, rules, now)
    return Row(
        told(state, rules, now),
        waits_for(state, who, rules, now),
        first,
        days,
        first is not None and first.overdue(now),
        certain,
    )


def _order(row: Row) -> tuple[bool, bool, str]:
    """What waits for the person comes first, of that what is due first."""
    due = row.term.due.date.isoformat() if row.term is not None else "9999"
    return not row.waits, not row.late, due


def _rows(request: Request) -> list[Row]:
    rules, now = services_of(request).rules, moment_of(request)
    found = _concerned(handling_of(request).listed(request.state.subject), request.state.subject)
    return sorted((_row(request, each, rules, now) for each in reversed(found)), key=_order)


def _waiting(request: Request) -> int:
    """Return how many applications wait for this person."""
    who = request.state.subject
    found = _concerned(handling_of(request).listed(who), who)
    rules, now = services_of(request).rules, moment_of(request)
    return sum(bool(waits_for(each, who, rules, now)) for each in found)


_ENTRIES = (
    pages.Entry(
        HOME, ("Applications to answer", "待答复申请"),
        ("What other departments ask for, until when it must be answered, and what you granted.",
         "其他部门的申请、答复期限与已作出的授权。"),
        _ANSWERERS, 41, _waiting,
    ),
    pages.Entry(
        HOME, ("Applications and emergencies", "申请与应急授权"),
        ("Emergencies that need your approval; grants that you may stop.", "需你批准的应急申请与可暂停的授权。"),
        _OFFICERS, 41, _waiting,
    ),
    pages.Entry(
        HOME, ("Applications and grants", "申请与授权"),
        ("Who applied for what, and what became of it.", "各部门的申请及其办理结果。"),
        frozenset({Role.AUDITOR}), 41,
    ),
)  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages."""
    for entry in _ENTRIES:
        pages.navigate(app, entry)
    pages.add(app, "GET", HOME, _list, READERS)
    pages.add(app, "GET", HOME + "/{number}", _show, READERS)
    pages.add(app, "POST", HOME + "/{number}/{act}", _act, HANDLERS)


# --- pages --------------------------------------------------------------------------------------------------------


def _list(request: Request) -> Response:
    view = request.query_params.get("view", "")
    rows = _rows(request)
    kept = {
        "waiting": [each for each in rows if each.waits],
        "overdue": [each for each in rows if each.late],
        "emergency": [each for each in rows if each.told["lane"] == Lane.EMERGENCY],
    }
    return pages.render(
        request,
        "department/applications.html",
        rows=listed(request, kept.get(view, rows), _words),
        view=view if view in kept else "",
        counts={name: len(each) for name, each in kept.items()},
        answers=bool(_ANSWERERS & request.state.subject.roles),
        waits=WAITS,
        phases=PHASES,
        purposes=request.app.state.gateway.bundle.purposes,
        departments=request.app.state.gateway.catalog.departments,
    )


def _words(row: Row) -> str:
    one = row.told
    names = " ".join(each["name"] for each in one["columns"])
    return f"{one['number']} {one['department']} {one['applicant']} {one['purpose']} {one['phase']} {names}"


def _show(request: Request) -> Response:
    number = number_of(request.path_params["number"])
    return _page(request, handling_of(request).show(number, request.state.subject))


def _act(request: Request) -> Response:
    return acting.perform(request, _ACTS, HOME, _page)


def _page(request: Request, state: State, refused: acting.Refused = acting.NOTHING) -> Response:
    """Return the page of an application; after a refusal with the form that met it, as it was filled in."""
    who, now, rules = request.state.subject, moment_of(request), services_of(request).rules
    catalog = request.app.state.gateway.catalog
    form, part = refused.form, state.parts.get(who.department)
    return pages.render(
        request,
        "department/application.html",
        **acting.shown(request, state, refused),
        row=_row(request, state, rules, now),
        part=part if Role.DEPARTMENT_STEWARD in who.roles else None,
        officer=Role.SECURITY_OFFICER in who.roles,
        columns=[
            (each, catalog.datasets[name].columns[column])
            for each in state.application.columns
            for name, _, column in (each.name.rpartition("."),)
            if name in catalog.datasets and column in catalog.datasets[name].columns
        ],
        can=offered(state, who, rules, now) & _ACTS,
        seen=state.events,
        chosen=lambda name, value: form is None or value in form.many(name),
        ends=state.application.ends.astimezone(SHANGHAI).date().isoformat(),
        days=rules.regulation.deadlines["answer_conditional"].extension,
        asking=[each for each in state.parts.values() if extendable(state, each, rules, now)],
        waits=WAITS,
    )
