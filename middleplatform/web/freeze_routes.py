"""The endpoints of freezes and alerts: to stop is one person's, to go on is two people's.

Spec: docs/spec/freezes.md.
"""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Literal

from fastapi import Request, Response

from middleplatform.errors import QueryError
from middleplatform.governance.freezes import Freezing, Standing
from middleplatform.model.freeze import Scope
from middleplatform.model.request import Role, Subject
from middleplatform.store.freezes import Alert
from middleplatform.web import bodies_freeze as bodies
from middleplatform.web.bodies_policy import ReasonBody
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import After, Limit, Number, Route, governed, json_reply, page

__all__ = ["ROUTES"]


def list_freezes(
    request: Request,
    state: Literal["open", "lifted", "ended"] | None = None,
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """List the freezes that you may see, oldest first."""
    found = governed(request).freezes.listed(subject_of(request))
    wanted = [each for each in found if state in (None, each.state)]
    shown, following = page(wanted, lambda each: each.freeze.number, after, limit)
    return json_reply({"freezes": [_freeze(request, each) for each in shown], "next": following})


def show_freeze(request: Request, freeze: Number) -> Response:
    """Give one freeze, and who agreed to its end."""
    return json_reply(
        _freeze(request, _seen(governed(request).freezes, subject_of(request), freeze))
    )


def begin_freeze(request: Request, draft: bodies.FreezeDraft) -> Response:
    """Stop something at once: running questions do not get out."""
    desk, who = governed(request).freezes, subject_of(request)
    ends = None if draft.hours is None else desk.desk.clock.now() + timedelta(hours=draft.hours)
    made = desk.freeze(
        who, Scope(draft.scope), draft.target, draft.reason, ends=ends, drill=draft.drill
    )
    told = json_reply(_freeze(request, _seen(desk, who, made.number)), HTTPStatus.CREATED)
    told.headers["Location"] = f"/v1/freezes/{made.number}"
    return told


def end_freeze(request: Request, freeze: Number, given: ReasonBody) -> Response:
    """Agree to the end of a freeze; it ends with the second of two people."""
    desk, who = governed(request).freezes, subject_of(request)
    _seen(desk, who, freeze)
    return json_reply(_freeze(request, desk.unfreeze(who, freeze, given.reason)))


def list_alerts(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """List the alerts, oldest first."""
    found = governed(request).freezes.alerts(subject_of(request))
    shown, following = page(found, lambda each: each.number, after, limit)
    return json_reply({"alerts": [_alert(each) for each in shown], "next": following})


def _seen(desk: Freezing, who: Subject, number: int) -> Standing:
    """Return a freeze that ``who`` may see; any other is as if there were none."""
    found = next((each for each in desk.listed(who) if each.freeze.number == number), None)
    if found is None:
        raise QueryError("Q041", what=(f"freeze {number}", f"冻结 {number}"))
    return found


def _freeze(request: Request, each: Standing) -> Mapping[str, object]:
    """Return a freeze as the caller may know it: why is for those who govern, not for whom it stops."""
    freeze, knows = each.freeze, bool(subject_of(request).roles - {Role.ANALYST})
    return {
        "number": freeze.number, "scope": freeze.scope, "target": freeze.target,
        "reason": freeze.reason if knows else "", "by": freeze.by if knows else "", "department": freeze.department,
        "capacity": freeze.capacity, "at": freeze.at.isoformat(),
        "ends": freeze.ends.isoformat() if freeze.ends else None, "drill": freeze.drill,
        "state": each.state,
        "consents": [
            {"person": one.person, "department": one.department, "capacity": one.capacity,
             "reason": one.reason, "at": one.at.isoformat()}
            for one in (each.consents if knows else ())
        ],
    }  # fmt: skip


def _alert(each: Alert) -> Mapping[str, object]:
    return {
        "number": each.number, "signal": each.signal, "per": each.per, "target": each.target,
        "measured": each.measured, "most": each.most, "minutes": each.minutes,
        "person": each.person, "department": each.department, "project": each.project,
        "entry": each.entry, "at": each.at.isoformat(), "freeze": each.freeze,
    }  # fmt: skip


ROUTES = (
    Route("GET", "/v1/freezes", list_freezes, bodies.FreezesBody),
    Route("POST", "/v1/freezes", begin_freeze, bodies.FreezeBody, HTTPStatus.CREATED),
    Route("GET", "/v1/freezes/{freeze}", show_freeze, bodies.FreezeBody),
    Route("POST", "/v1/freezes/{freeze}/end", end_freeze, bodies.FreezeBody),
    Route("GET", "/v1/alerts", list_alerts, bodies.AlertsBody),
)
