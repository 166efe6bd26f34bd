"""Freezes in the console: to stop is one person's, to go on is two people's; and the alerts.

Spec: docs/spec/freezes.md.
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.access.problems import problem
from middleplatform.errors import AuditError, MiddleplatformError, PolicyError, QueryError
from middleplatform.governance.freezes import Standing, may_end, may_freeze
from middleplatform.model.freeze import Scope
from middleplatform.model.request import Role, same_person
from middleplatform.store.freezes import Alert
from middleplatform.web.console import pages
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = ["register"]

_AT = "/console/freezes"
_STOPPERS = frozenset({Role.SECURITY_OFFICER, Role.DATA_BUREAU, Role.DEPARTMENT_STEWARD})
_READERS = _STOPPERS | {Role.AUDITOR, Role.SYSTEM_ADMINISTRATOR}
_ALERTED = frozenset({Role.SECURITY_OFFICER, Role.AUDITOR})
_HOURS_MAX = 24 * 366
_TOLD = (QueryError, PolicyError, AuditError)
"""Refusals that are shown at the form, with what was typed in it."""
_STATES = {
    "open": ("bad", ("in force", "冻结中")),
    "lifted": ("muted", ("ended by two people", "已由两人解除")),
    "ended": ("muted", ("ended by time", "已到期")),
}
_SCOPES = {
    Scope.PLATFORM: ("platform", "平台"),
    Scope.DEPARTMENT: ("department", "部门"),
    Scope.DATASET: ("dataset", "数据集"),
    Scope.USER: ("user", "用户"),
    Scope.PROJECT: ("project", "项目"),
}


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.add(app, "GET", _AT, _show, _READERS)
    pages.add(app, "POST", _AT, _freeze, _STOPPERS)
    pages.add(app, "POST", f"{_AT}/{{freeze}}/end", _end, _STOPPERS)
    pages.add(app, "GET", f"{_AT}/alerts", _alerts, _ALERTED)
    pages.navigate(app, pages.Entry(
        _AT, ("Freezes", "冻结"),
        ("What is stopped, and who agreed to let it go on.", "哪些被冻结，谁同意解除。"), _READERS, 20,
    ))  # fmt: skip


def _show(request: Request) -> Response:
    return _page(request, Form({}))


def _page(request: Request, typed: Form, refusal: MiddleplatformError | None = None) -> Response:
    """Return the list with the form, and in it what was typed and why it was refused."""
    person, desk = request.state.subject, services_of(request).freezes
    wanted = request.query_params.get("state", "")
    found = [each for each in desk.listed(person)[::-1] if wanted in ("", each.state)]
    departments = sorted(desk.catalog.departments)
    may = {
        each.freeze.number
        for each in found
        if each.state == "open" and may_end(person, each.freeze, desk.catalog)
        and not any(same_person(one.person, person.id) for one in each.consents)
    }  # fmt: skip
    scopes = {
        scope: said
        for scope, said in _SCOPES.items()
        if may_freeze(person, scope, person.department, desk.catalog) or _stewards(request, scope)
    }
    return pages.render(
        request, "policy/freezes.html", typed=typed, **_refused(request, refusal),
        rows=listed(request, found, _words), wanted=wanted,
        states=_STATES, scopes=scopes, names=_SCOPES, departments=departments, may=may,
        stopper=bool(person.roles & _STOPPERS), alerted=bool(person.roles & _ALERTED),
    )  # fmt: skip


def _refused(request: Request, error: MiddleplatformError | None) -> dict[str, Any]:
    """Return status and problem of a page on which a form was refused."""
    if error is None:
        return {"status": HTTPStatus.OK, "problem": None}
    request.app.state.operator_log.detail(error)
    status = status_of(error)
    told = problem(error, pages.locale(request), status=int(status))
    return {"status": status, "problem": told}


def _stewards(request: Request, scope: Scope) -> bool:
    """Say whether a steward may stop a thing of this kind, if it is the own department's."""
    return scope is Scope.DATASET and Role.DEPARTMENT_STEWARD in request.state.subject.roles


def _words(each: Standing) -> str:
    freeze = each.freeze
    return f"{freeze.number} {freeze.scope} {freeze.target} {freeze.reason} {freeze.by}"


def _freeze(request: Request) -> Response:
    form, desk = form_of(request), services_of(request).freezes
    try:
        scope, hours = _asked(form)
        made = desk.freeze(
            request.state.subject, scope, form.one("target"), form.text("reason"),
            ends=desk.desk.clock.now() + timedelta(hours=hours) if hours else None,
            drill=form.ticked("drill"),
        )  # fmt: skip
    except _TOLD as error:
        return _page(request, form, error)
    return pages.redirect(
        request, _AT, (f"Freeze {made.number} is recorded.", f"冻结 {made.number} 已生效。")
    )


def _asked(form: Form) -> tuple[Scope, int]:
    """Return kind and hours; 0 for until two people end it.

    Raises:
        QueryError: Q040 they are none.
    """
    try:
        scope, hours = Scope(form.one("scope")), int(form.one("hours") or "0")
    except ValueError:
        hours, scope = -1, Scope.PLATFORM
    if not 0 <= hours <= _HOURS_MAX:
        what = (f"a kind, and hours from 1 to {_HOURS_MAX}", f"类型与 1 至 {_HOURS_MAX} 小时")
        raise QueryError("Q040", what=what)
    return scope, hours


def _end(request: Request) -> Response:
    text, desk, person = request.path_params["freeze"], services_of(request).freezes, request.state.subject  # fmt: skip
    seen = {str(each.freeze.number): each for each in desk.listed(person)}
    if text not in seen:
        raise QueryError("Q041", what=("such a freeze", "该冻结"))
    form, freeze = form_of(request), seen[text].freeze
    try:
        standing = desk.unfreeze(person, freeze.number, form.text("reason"))
    except _TOLD as error:
        return pages.render(
            request, "policy/unfreeze.html", freeze=freeze, names=_SCOPES, typed=form,
            **_refused(request, error),
        )  # fmt: skip
    over = ("It has ended.", "冻结已解除。")
    more = ("Agreed. A second person must agree.", "已同意，尚需第二人同意。")
    return pages.redirect(request, _AT, more if standing.state == "open" else over)


def _alerts(request: Request) -> Response:
    found = services_of(request).freezes.alerts(request.state.subject)
    return pages.render(
        request, "policy/alerts.html", rows=listed(request, found[::-1], _alert_words)
    )


def _alert_words(each: Alert) -> str:
    return f"{each.number} {each.signal} {each.per} {each.target} {each.person} {each.project}"
