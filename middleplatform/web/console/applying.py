"""Applications for data, from the applicant's side: apply (also in an emergency), follow, complete, dispute, withdraw.

The department's steward signs. Every form does one act; a refusal is shown at the form that met it.

Spec: docs/spec/grants.md.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.errors import MiddleplatformError
from middleplatform.governance.acts import MODE
from middleplatform.governance.applications import Lane, State
from middleplatform.governance.handling import number_of
from middleplatform.governance.told import told
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.request import Role
from middleplatform.policy import wishes
from middleplatform.policy.entitled import CLOSED, entitled, purposes_of
from middleplatform.web.console import acting, pages
from middleplatform.web.console.acting import OPERATIONS, PHASES, handling_of, moment_of, words_in
from middleplatform.web.console.forms import Form, form_of, whole
from middleplatform.web.console.listing import listed
from middleplatform.web.console.offering import disputable, offered
from middleplatform.web.services import services_of

__all__ = ["APPLICANTS", "HOME", "register"]

APPLICANTS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD})
HOME = "/console/my/applications"
_COLUMNS_MAX = 500
_YEAR_DAYS = 365
_EMERGENCY = f"{HOME}/emergency"
_ACTS = frozenset({"sign", "object", "escalate", "settle", "withdraw"})
_FILLED_AGAIN = frozenset({"complete", "again"})
_DIGITS_MAX = 4
"""Of hours; the schema knows the most."""


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.navigate(
        app,
        pages.Entry(
            HOME,
            ("My applications", "我的申请"),
            (
                "Apply for data that needs a grant, and follow what becomes of it.",
                "申请需授权的数据并跟踪办理进度。",
            ),
            APPLICANTS,
            place=40,
            waiting=_waiting,
        ),
    )
    for method, path, handler in (
        ("GET", HOME, _list),
        ("GET", f"{HOME}/new", _new),
        ("POST", f"{HOME}/new", _apply),
        ("GET", _EMERGENCY, _new_emergency),
        ("POST", _EMERGENCY, _apply_emergency),
        ("GET", HOME + "/{number}", _show),
        ("POST", HOME + "/{number}/{act}", _act),
    ):
        pages.add(app, method, path, handler, APPLICANTS)


def _own(request: Request) -> list[State]:
    """Return the applications of the person's own department, the newest first."""
    subject = request.state.subject
    found = handling_of(request).listed(subject)
    return [each for each in reversed(found) if each.application.department == subject.department]


def _waiting(request: Request) -> int:
    """Return how many applications wait for this person."""
    found, now = _own(request), moment_of(request)
    steward = Role.DEPARTMENT_STEWARD in request.state.subject.roles
    wanted = {"unsigned", "returned"} if steward else {"returned"}
    return sum(str(each.phase(now)) in wanted for each in found)


def _list(request: Request) -> Response:
    rules, now = services_of(request).rules, moment_of(request)
    rows = [told(each, rules, now) for each in _own(request)]
    return pages.render(
        request,
        "analyst/applications.html",
        rows=listed(request, rows, _words),
        phases=PHASES,
        purposes=request.app.state.gateway.bundle.purposes,
        hours=services_of(request).rules.regulation.emergency_hours_max,
    )


def _words(one: Mapping[str, Any]) -> str:
    return f"{one['number']} {one['purpose']} {one['phase']} {one['columns']}"


# --- applying -----------------------------------------------------------------------------------------------------


def _new(request: Request) -> Response:
    return _form(request, _asked(request))


def _new_emergency(request: Request) -> Response:
    return _form(request, _asked(request), lane=Lane.EMERGENCY)


def _asked(request: Request) -> Mapping[str, Any]:
    """Return the fields of an empty form, with what the address asks for."""
    asked = request.query_params
    ends = _day(moment_of(request) + timedelta(days=_YEAR_DAYS))
    return {
        "columns": asked.getlist("column")[:_COLUMNS_MAX], "purpose": asked.get("purpose", ""),
        "operations": [*OPERATIONS], "starts": "", "ends": ends, "hours": "",
        "regions": "", "subjects": "", "everyone": False, "basis": "", "scenario": "", "scope": "",
    }  # fmt: skip


def _day(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).date().isoformat()


def _form(
    request: Request,
    values: Mapping[str, Any],
    *,
    error: str = "",
    number: str = "",
    status: int = 200,
    lane: Lane = Lane.ORDINARY,
) -> Response:
    gateway, subject = request.app.state.gateway, request.state.subject
    place = 1 if pages.locale(request) == "zh" else 0
    bundle = gateway.rules()
    purposes = [bundle.purposes[code] for code in purposes_of(bundle, subject)]
    return pages.render(
        request,
        "analyst/apply.html",
        status=status,
        values=values,
        error=error,
        number=number,
        emergency=lane is Lane.EMERGENCY,
        hours_max=services_of(request).rules.regulation.emergency_hours_max,
        choices=_choices(request, values["columns"], place),
        titles={
            name: (each.name_en, each.name_zh)[place]
            for name, each in gateway.catalog.datasets.items()
        },
        purposes=[(each.code, (each.name_en, each.name_zh)[place]) for each in purposes],
        operations=[(name, words[place]) for name, words in OPERATIONS.items()],
        steward=Role.DEPARTMENT_STEWARD in subject.roles,
    )


def _choices(
    request: Request, chosen: list[str], place: int
) -> Mapping[str, list[tuple[str, str]]]:
    """Return the columns that can be applied for, by dataset: those that need a grant, and those chosen already."""
    gateway, subject = request.app.state.gateway, request.state.subject
    bundle, now = gateway.rules(), gateway.clock.now()
    found = {
        name: [
            (f"{name}.{each.column}", _label(dataset.columns[each.column], place))
            for each in entitled(bundle, subject, dataset, now)
            if each.state == CLOSED or f"{name}.{each.column}" in chosen
        ]
        for name, dataset in gateway.catalog.datasets.items()
    }
    return {name: each for name, each in found.items() if each}


def _label(column: Any, place: int) -> str:  # noqa: ANN401 - catalog.Column, for its names only
    return str(column.name_zh if place else column.name_en)


def _values(form: Form) -> dict[str, Any]:
    """Return the fields as they were filled in, to show them again."""
    plain = {
        name: form.text(name) for name in ("basis", "scenario", "scope", "regions", "subjects")
    }
    return {
        **plain, "purpose": form.one("purpose"), "starts": form.one("starts"), "ends": form.one("ends"),
        "hours": form.one("hours"), "columns": form.many("column"), "operations": form.many("operation"),
        "everyone": form.ticked("everyone"),
    }  # fmt: skip


def _wish(values: Mapping[str, Any], lane: Lane) -> Mapping[str, Any]:
    """Return the application as the schema has it; an emergency states hours, all others days.

    Raises:
        QueryError: Q040, with every problem.
    """
    raw: dict[str, Any] = {
        "basis": values["basis"], "scenario": values["scenario"], "scope": values["scope"], "mode": MODE,
        "purpose": values["purpose"], "columns": list(dict.fromkeys(values["columns"])),
        "operations": list(dict.fromkeys(values["operations"])),
    }  # fmt: skip
    if lane is Lane.EMERGENCY:
        raw["hours"] = whole(values["hours"], _DIGITS_MAX) or 0  # which no schema takes
    else:
        raw |= {name: values[name] for name in ("starts", "ends") if values[name] or name == "ends"}
    for name in ("regions", "subjects"):
        if words := words_in(values[name]):
            raw[name] = words
    if values["everyone"]:
        raw["everyone"] = True
    return wishes.checked(raw)


def _apply(request: Request) -> Response:
    return _taken(request, Lane.ORDINARY)


def _apply_emergency(request: Request) -> Response:
    return _taken(request, Lane.EMERGENCY)


def _taken(request: Request, lane: Lane) -> Response:
    """Take the application in, or show the form again with what is wrong."""
    form, subject = form_of(request), request.state.subject
    number = form.one("number") if lane is Lane.ORDINARY else ""
    values = _values(form)
    try:
        raw, handling = _wish(values, lane), handling_of(request)
        state = (
            handling.complete(number_of(number), raw, subject)
            if number
            else handling.apply(raw, subject, lane)
        )
    except MiddleplatformError as error:
        said = acting.refused_by(request, error).error
        return _form(request, values, error=said, number=number, status=422, lane=lane)
    told_so = (f"Application {state.number} is submitted.", f"申请 {state.number} 已提交。")
    return pages.redirect(request, f"{HOME}/{state.number}", told_so)


# --- one application ----------------------------------------------------------------------------------------------


def _show(request: Request) -> Response:
    number = number_of(request.path_params["number"])
    return _page(request, handling_of(request).show(number, request.state.subject))


def _page(request: Request, state: State, refused: acting.Refused = acting.NOTHING) -> Response:
    """Return the page of an application; after a refusal with the form that met it, as it was filled in."""
    subject, now = request.state.subject, moment_of(request)
    rules = services_of(request).rules
    return pages.render(
        request,
        "analyst/application.html",
        **acting.shown(request, state, refused),
        can=offered(state, subject, rules, now) & (_ACTS | _FILLED_AGAIN),
        disputable=disputable(state, subject, rules, now),
    )


def _act(request: Request) -> Response:
    act = request.path_params["act"]
    if act in _FILLED_AGAIN:
        return _filled_again(request, number_of(request.path_params["number"]), act == "complete")
    return acting.perform(request, _ACTS, HOME, _page)


def _filled_again(request: Request, number: int, completing: bool) -> Response:  # noqa: FBT001 - one of two uses
    """Show the form with what an application says: to complete it, or to apply for an extension of its time."""
    state = handling_of(request).show(number, request.state.subject)
    wanted, now = state.application, moment_of(request)
    ends = wanted.ends if completing else max(wanted.ends, now) + timedelta(days=_YEAR_DAYS)
    starts = _day(wanted.starts) if completing and wanted.starts > now else ""
    values = {
        "columns": [each.name for each in wanted.columns], "purpose": wanted.purpose,
        "operations": sorted(wanted.operations), "starts": starts, "hours": "",
        "ends": _day(ends),
        "regions": "" if wanted.regions == ("*",) else " ".join(wanted.regions),
        "everyone": not wanted.subjects, "subjects": " ".join(sorted(wanted.subjects)),
        "basis": wanted.basis, "scenario": wanted.scenario, "scope": wanted.scope,
    }  # fmt: skip
    return _form(request, values, number=state.number if completing else "")
