"""Applications for data, from the applicant's side: apply, follow, complete, withdraw; the department's steward signs.

Spec: docs/spec/grants.md.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.acts import MODE
from middleplatform.governance.applications import Event, Lane, State
from middleplatform.governance.handling import Handling, number_of
from middleplatform.governance.told import told
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.request import Role, Subject
from middleplatform.policy import wishes
from middleplatform.policy.entitled import CLOSED, entitled, purposes_of
from middleplatform.web.console import pages
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.services import services_of

__all__ = ["APPLICANTS", "HOME", "register"]

APPLICANTS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD})
HOME = "/console/my/applications"
_COLUMNS_MAX = 500
_YEAR_DAYS = 365
OPERATIONS = {
    "group": ("group by", "分组"), "filter": ("filter", "筛选"), "aggregate": ("sum and average", "聚合"),
    "count": ("count", "计数"), "join": ("join", "连接"),
}  # fmt: skip
PHASES: Mapping[str, tuple[str, tuple[str, str]]] = {
    "unsigned": ("warn", ("waits for its signature", "待签署")),
    "checking": ("info", ("desk check", "材料审核")),
    "returned": ("warn", ("returned for completion", "待补正")),
    "answering": ("info", ("with the providers", "待答复")),
    "answered": ("good", ("answered", "已答复")),
    "suspended": ("warn", ("suspended", "已暂停")),
    "withdrawn": ("muted", ("withdrawn", "已撤回")),
    "expired": ("muted", ("expired", "已到期")),
}
OUTCOMES: Mapping[str, tuple[str, tuple[str, str]]] = {
    "waiting": ("info", ("waits", "待答复")), "refused": ("bad", ("refused", "不予共享")),
    "granted": ("good", ("granted", "同意共享")), "granted_in_part": ("warn", ("granted in part", "部分同意")),
    "approved": ("good", ("approved", "已批准")), "suspended": ("warn", ("suspended", "已暂停")),
    "withdrawn": ("muted", ("withdrawn", "已撤回")),
}  # fmt: skip


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
        ("GET", HOME + "/{number}", _show),
        ("POST", HOME + "/{number}/{act}", _act),
    ):
        pages.add(app, method, path, handler, APPLICANTS)


def _handling(request: Request) -> Handling:
    return services_of(request).handling()


def _own(request: Request) -> list[State]:
    """Return the applications of the person's own department, the newest first."""
    subject = request.state.subject
    found = _handling(request).listed(subject)
    return [each for each in reversed(found) if each.application.department == subject.department]


def _waiting(request: Request) -> int:
    """Return how many applications wait for this person."""
    platform = getattr(services_of(request), "platform", None)
    if platform is None or platform.lifecycle is None:
        return 0
    subject, now = request.state.subject, _now(request)
    steward = Role.DEPARTMENT_STEWARD in subject.roles
    wanted = {"unsigned", "returned"} if steward else {"returned"}
    return sum(str(each.phase(now)) in wanted for each in _own(request))


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.gateway.clock.now()
    return now


def _list(request: Request) -> Response:
    rules, now = services_of(request).rules, _now(request)
    rows = [told(each, rules, now) for each in _own(request)]
    return pages.render(
        request,
        "analyst/applications.html",
        rows=listed(request, rows, _words),
        phases=PHASES,
        purposes=request.app.state.gateway.bundle.purposes,
    )  # fmt: skip


def _words(one: Mapping[str, Any]) -> str:
    return f"{one['number']} {one['purpose']} {one['phase']} {one['columns']}"


# --- applying -----------------------------------------------------------------------------------------------------


def _new(request: Request) -> Response:
    asked = request.query_params
    columns = asked.getlist("column")[:_COLUMNS_MAX]
    ends = (_now(request).astimezone(SHANGHAI) + timedelta(days=_YEAR_DAYS)).date().isoformat()
    values = {
        "columns": columns, "purpose": asked.get("purpose", ""), "operations": [*OPERATIONS],
        "ends": ends, "regions": "", "everyone": False, "basis": "", "scenario": "", "scope": "",
    }  # fmt: skip
    return _form(request, values)


def _form(
    request: Request,
    values: Mapping[str, Any],
    *,
    error: str = "",
    number: str = "",
    status: int = 200,
) -> Response:
    gateway, subject = request.app.state.gateway, request.state.subject
    bundle, now = gateway.rules(), gateway.clock.now()
    place = 1 if pages.locale(request) == "zh" else 0
    choices = {
        name: [
            (f"{name}.{each.column}", _label(dataset.columns[each.column], place))
            for each in entitled(bundle, subject, dataset, now)
            if each.state == CLOSED or f"{name}.{each.column}" in values["columns"]
        ]
        for name, dataset in gateway.catalog.datasets.items()
    }
    purposes = [bundle.purposes[code] for code in purposes_of(bundle, subject)]
    return pages.render(
        request,
        "analyst/apply.html",
        status=status,
        values=values,
        error=error,
        number=number,
        choices={name: each for name, each in choices.items() if each},
        titles={
            name: (each.name_en, each.name_zh)[place]
            for name, each in gateway.catalog.datasets.items()
        },
        purposes=[(each.code, (each.name_en, each.name_zh)[place]) for each in purposes],
        operations=[(name, words[place]) for name, words in OPERATIONS.items()],
        steward=Role.DEPARTMENT_STEWARD in subject.roles,
    )


def _label(column: Any, place: int) -> str:  # noqa: ANN401 - catalog.Column, for its names only
    return str(column.name_zh if place else column.name_en)


def _values(form: Form) -> dict[str, Any]:
    """Return the fields as they were filled in, to show them again."""
    plain = {name: form.text(name) for name in ("basis", "scenario", "scope")}
    return {
        **plain, "purpose": form.one("purpose"), "ends": form.one("ends"), "regions": form.one("regions"),
        "columns": form.many("column"), "operations": form.many("operation"),
        "everyone": form.ticked("everyone"),
    }  # fmt: skip


def _wish(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the application as the schema has it.

    Raises:
        QueryError: Q040, with every problem.
    """
    regions = [
        each for each in values["regions"].replace("，", ",").replace(",", " ").split() if each
    ]
    raw: dict[str, Any] = {
        "basis": values["basis"], "scenario": values["scenario"], "scope": values["scope"], "mode": MODE,
        "purpose": values["purpose"], "columns": list(dict.fromkeys(values["columns"])),
        "operations": list(dict.fromkeys(values["operations"])), "ends": values["ends"],
    }  # fmt: skip
    if regions:
        raw["regions"] = regions
    if values["everyone"]:
        raw["everyone"] = True
    return wishes.checked(raw)


def _apply(request: Request) -> Response:
    """Take the application in, or show the form again with what is wrong."""
    form, subject = form_of(request), request.state.subject
    values, number = _values(form), form.one("number")
    try:
        raw, handling = _wish(values), _handling(request)
        if number:
            state = handling.complete(number_of(number), raw, subject)
        else:
            state = handling.apply(raw, subject, Lane.ORDINARY)
    except MiddleplatformError as error:
        if error.prefix not in "QP":
            raise
        request.app.state.operator_log.detail(error)
        said = error.message(pages.locale(request))
        return _form(request, values, error=said, number=number, status=422)
    told_so = (f"Application {state.number} is submitted.", f"申请 {state.number} 已提交。")
    return pages.redirect(request, f"{HOME}/{state.number}", told_so)


# --- one application ----------------------------------------------------------------------------------------------


def _show(request: Request) -> Response:
    subject, now = request.state.subject, _now(request)
    state = _handling(request).show(number_of(request.path_params["number"]), subject)
    one = told(state, services_of(request).rules, now)
    return pages.render(
        request,
        "analyst/application.html",
        one=one,
        phases=PHASES,
        outcomes=OUTCOMES,
        operations=OPERATIONS,
        purposes=request.app.state.gateway.bundle.purposes,
        can=_can(state, subject, now),
        closed=str(state.phase(now)) in ("withdrawn", "expired"),
    )


def _can(state: State, who: Subject, now: datetime) -> set[str]:
    """Return what the person may do now; whoever tries is judged again."""
    phase, own = str(state.phase(now)), state.application.department == who.department
    steward = own and Role.DEPARTMENT_STEWARD in who.roles
    applicant = own and state.application.applicant == who.id
    found = set()
    if steward and phase == "unsigned":
        found.add("sign")
    if steward and phase == "returned":
        found.add("complete")
    if (steward or applicant) and phase not in ("withdrawn", "expired"):
        found.add("withdraw")
    if applicant or steward:
        found.add("again")
    return found


def _act(request: Request) -> Response:
    subject, number = request.state.subject, number_of(request.path_params["number"])
    form, handling = form_of(request), _handling(request)
    act = request.path_params["act"]
    if act in ("complete", "again"):
        return _filled_again(request, number, completing=act == "complete")
    if act not in _DONE:
        raise QueryError("Q041", what=("such address", "该地址"))

    def make(state: State, now: datetime) -> Event:
        if act == "sign":
            return acts.sign(state, subject, now)
        return stopping.withdraw(state, form.text("reason"), subject, now, form.one("basis"))

    state = handling.act(number, subject, make)
    return pages.redirect(request, f"{HOME}/{state.number}", _DONE[act])


_DONE = {
    "sign": ("The application is signed.", "申请已签署。"),
    "withdraw": ("The application is withdrawn.", "申请已撤回。"),
}


def _filled_again(request: Request, number: int, *, completing: bool) -> Response:
    """Show the form with what an application says: to complete it, or to apply for an extension of its time."""
    state = _handling(request).show(number, request.state.subject)
    wanted = state.application
    ends = (
        wanted.ends if completing else max(wanted.ends, _now(request)) + timedelta(days=_YEAR_DAYS)
    )
    values = {
        "columns": [each.name for each in wanted.columns], "purpose": wanted.purpose,
        "operations": sorted(wanted.operations), "ends": ends.astimezone(SHANGHAI).date().isoformat(),
        "regions": "" if wanted.regions == ("*",) else " ".join(wanted.regions),
        "everyone": not wanted.subjects, "basis": wanted.basis, "scenario": wanted.scenario,
        "scope": wanted.scope,
    }  # fmt: skip
    return _form(request, values, number=state.number if completing else "")
