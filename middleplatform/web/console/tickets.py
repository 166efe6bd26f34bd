"""Tickets in the browser: data is objected to, its provider verifies and answers (decree 809 art. 26).

Spec: docs/spec/accountability.md, "Tickets".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.accountability import ticket_acts
from middleplatform.accountability.ticket_desk import TicketDesk, number_of, told
from middleplatform.accountability.tickets import Event, Outcome, Phase, Ticket, term
from middleplatform.accountability.tickets import Subject as About
from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.governance.terms import Rules
from middleplatform.model.catalog import Dataset
from middleplatform.model.request import Role, Subject, same_person
from middleplatform.web.console import pages
from middleplatform.web.console.acting import NOTHING, Refused, moment_of, refused_by
from middleplatform.web.console.forms import Form, form_of, whole
from middleplatform.web.console.listing import listed
from middleplatform.web.console.offering import passes
from middleplatform.web.services import services_of

__all__ = ["HOME", "OPENERS", "READERS", "register"]

HOME = "/console/tickets"
OPENERS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD})
READERS = OPENERS | {Role.DATA_BUREAU, Role.SECURITY_OFFICER, Role.AUDITOR}
_ACTING = OPENERS | {Role.DATA_BUREAU}
_INDEX_DIGITS_MAX = 15

_PHASES: Mapping[str, tuple[str, tuple[str, str]]] = {
    "open": ("warn", ("waits for the provider", "待受理")),
    "taken": ("info", ("being verified", "核实中")),
    "answered": ("good", ("answered", "已答复")),
    "closed": ("muted", ("closed", "已办结")),
    "withdrawn": ("muted", ("withdrawn", "已撤回")),
}
_KINDS: Mapping[str, tuple[str, str]] = {
    "objection": ("objection: I doubt that it is right", "异议：对数据有疑义"),
    "correction": ("correction: it is wrong, and I know how", "校核：数据有误并可说明"),
}
_OUTCOMES: Mapping[str, tuple[str, str]] = {
    "corrected": ("corrected", "已更正"),
    "partly": ("corrected in part", "部分更正"),
    "unfounded": ("unfounded", "异议不成立"),
}
_VIEWS: Mapping[str, tuple[str, str]] = {
    "": ("All", "全部"), "waiting": ("Waiting for me", "待我处理"), "overdue": ("Overdue", "逾期"),
}  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.navigate(app, pages.Entry(
        HOME, ("Tickets", "异议与校核"),
        ("Object to data or ask for its correction, and see what its provider answers.",
         "对数据提出异议或校核申请，并查看提供部门的答复。"),
        READERS, 45, _waiting,
    ))  # fmt: skip
    pages.add(app, "GET", HOME, _list, READERS)
    pages.add(app, "GET", HOME + "/new", _new, OPENERS)
    pages.add(app, "POST", HOME + "/new", _open, OPENERS)
    pages.add(app, "GET", HOME + "/{ticket}", _show, READERS)
    pages.add(app, "POST", HOME + "/{ticket}/{act}", _act, _ACTING)


def _desk(request: Request) -> TicketDesk:
    return services_of(request).tickets()


# --- the list -----------------------------------------------------------------------------------------------------


def _waits(ticket: Ticket, who: Subject) -> bool:
    """Say whether the next act is this person's: the provider's steward's, or the opener's on an answer."""
    if ticket.phase in (Phase.OPEN, Phase.TAKEN):
        return Role.DEPARTMENT_STEWARD in who.roles and who.department == ticket.department
    opened = same_person(who.id, ticket.opened_by) and who.department == ticket.opened_for
    return ticket.phase is Phase.ANSWERED and opened


def _waiting(request: Request) -> int:
    """Return how many tickets wait for this person."""
    who = request.state.subject
    return sum(_waits(each, who) for each in _desk(request).listed(who))


def _list(request: Request) -> Response:
    desk, who, now = _desk(request), request.state.subject, moment_of(request)
    view, dataset = request.query_params.get("view", ""), request.query_params.get("dataset", "")
    found = [
        each
        for each in reversed(desk.listed(who, overdue=view == "overdue"))
        if dataset in ("", each.about.dataset) and (view != "waiting" or _waits(each, who))
    ]
    rows = [told(each, desk.rules, now) | {"waits": _waits(each, who)} for each in found]
    return pages.render(
        request,
        "department/tickets.html",
        rows=listed(request, rows, _words),
        view=view,
        views=_VIEWS,
        dataset=dataset[:200],
        opens=bool(who.roles & OPENERS),
        phases=_PHASES,
        departments=desk.catalog.departments,
    )


def _words(one: Mapping[str, Any]) -> str:
    names = ("number", "dataset", "column", "provider", "department", "opened_by", "phase", "text")
    return " ".join(str(one[name]) for name in names)


# --- opening ------------------------------------------------------------------------------------------------------


def _new(request: Request) -> Response:
    asked = request.query_params
    values = {name: asked.get(name, "")[:300] for name in ("about", "release")}
    return _form(request, values | {"kind": "objection", "text": ""})


def _form(
    request: Request, values: Mapping[str, str], *, error: str = "", status: int = 200
) -> Response:
    place = 1 if pages.locale(request) == "zh" else 0
    datasets = request.app.state.gateway.catalog.datasets
    return pages.render(
        request,
        "department/ticket_new.html",
        status=status,
        values=values,
        error=error,
        kinds=[(name, words[place]) for name, words in _KINDS.items()],
        choices={name: _choices(each, place) for name, each in datasets.items()},
    )


def _choices(dataset: Dataset, place: int) -> list[tuple[str, str]]:
    """Return what a ticket may be about: the dataset as a whole, or one of its columns."""
    whole = ("as a whole", "整个数据集")[place]
    names = (dataset.name_en, dataset.name_zh)
    return [
        (dataset.name, f"{names[place]} ({whole})"),
        *(
            (f"{dataset.name}.{each.name}", f"{each.name} · {(each.name_en, each.name_zh)[place]}")
            for each in dataset.columns.values()
        ),
    ]


def _open(request: Request) -> Response:
    """Open the ticket, or show the form again with what is wrong."""
    form, desk, who = form_of(request), _desk(request), request.state.subject
    values = {name: form.text(name) for name in ("about", "release", "kind", "text")}
    try:
        made = desk.open(values["kind"], _about(desk, values), values["text"], who)
    except MiddleplatformError as error:
        refused = refused_by(request, error)
        return _form(request, values, error=refused.error, status=refused.status)
    told_so = (f"Ticket {made.number} is open.", f"工单 {made.number} 已提交。")
    return pages.redirect(request, f"{HOME}/{made.number}", told_so)


def _about(desk: TicketDesk, values: Mapping[str, str]) -> About:
    """Return what the form is about.

    Raises:
        QueryError: Q040 the release is no number.
    """
    about, release = values["about"].strip(), values["release"].strip()
    index = whole(release, _INDEX_DIGITS_MAX) if release else -1
    if index is None:
        what = ("the release is no number of an entry", "发布记录须为日志序号")
        raise QueryError("Q040", what=what)
    if about in desk.catalog.datasets:
        return About(about, "", index)
    return About(about.rpartition(".")[0], about, index)


# --- one ticket ---------------------------------------------------------------------------------------------------


def _show(request: Request) -> Response:
    number = number_of(request.path_params["ticket"])
    return _page(request, _desk(request).show(number, request.state.subject))


def _page(request: Request, ticket: Ticket, refused: Refused = NOTHING) -> Response:
    """Return the page of a ticket; after a refusal with the form that met it, as it was filled in."""
    desk, who, now = _desk(request), request.state.subject, moment_of(request)
    due = term(ticket, desk.rules)
    last = desk.rules.calendar.end_of(due.due) - timedelta(seconds=1)
    return pages.render(
        request,
        "department/ticket.html",
        status=refused.status,
        one=told(ticket, desk.rules, now),
        left=0 if due.overdue(now) else desk.rules.calendar.between(now, last)[0],
        can=_can(ticket, who, desk.rules, now),
        refused=refused.act,
        error=refused.error,
        said=refused.said,
        days=desk.rules.regulation.deadlines["correct"].extension,
        phases=_PHASES,
        kinds=_KINDS,
        outcomes=_OUTCOMES,
        departments=desk.catalog.departments,
    )


_WORD, _LAW = "-", "《-》"
_TRIES: Mapping[str, Callable[[Ticket, Subject, Rules, datetime], object]] = {
    "take": lambda ticket, who, _, now: ticket_acts.take(ticket, who, now),
    "answer": lambda ticket, who, _, now: ticket_acts.answer(
        ticket, Outcome.UNFOUNDED, _WORD, _LAW, who, now
    ),
    "close": lambda ticket, who, _, now: ticket_acts.close(ticket, who, now),
    "reopen": lambda ticket, who, _, now: ticket_acts.reopen(ticket, _WORD, who, now),
    "extend": lambda ticket, who, rules, now: ticket_acts.extend(ticket, 1, _WORD, who, now, rules),
    "withdraw": lambda ticket, who, _, now: ticket_acts.withdraw(ticket, _WORD, who, now),
}
"""Each act as somebody would do it who fills in every field; nothing comes of trying."""


def _can(ticket: Ticket, who: Subject, rules: Rules, now: datetime) -> set[str]:
    """Return the acts that the page offers, found by trying; whoever does one is judged again."""
    return {name for name, do in _TRIES.items() if passes(partial(do, ticket, who, rules, now))}


# --- acts ---------------------------------------------------------------------------------------------------------


def _act(request: Request) -> Response:
    """Do one act, or show the page again with the refusal at its form."""
    act, who, form = request.path_params["act"], request.state.subject, form_of(request)
    if act not in _MAKES:
        raise QueryError("Q041", what=("such address", "该地址"))
    make, done = _MAKES[act]
    desk, number = _desk(request), number_of(request.path_params["ticket"])
    desk.show(number, who)
    try:
        ticket = desk.act(
            number, who, lambda ticket, now: make(_Asked(ticket, who, now, desk.rules, form))
        )
    except MiddleplatformError as error:
        refused = refused_by(request, error, act, form)
        return _page(request, desk.show(number, who), refused)
    return pages.redirect(request, f"{HOME}/{ticket.number}", done)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an act is decided on."""

    ticket: Ticket
    who: Subject
    now: datetime
    rules: Rules
    form: Form


def _take(asked: _Asked) -> Event:
    return ticket_acts.take(asked.ticket, asked.who, asked.now)


def _extend(asked: _Asked) -> Event:
    days, reason = whole(asked.form.one("days")) or 0, asked.form.text("extend-reason")
    return ticket_acts.extend(asked.ticket, days, reason, asked.who, asked.now, asked.rules)


def _answer(asked: _Asked) -> Event:
    form = asked.form
    return ticket_acts.answer(
        asked.ticket, form.one("outcome"), form.text("text"), form.text("basis"), asked.who, asked.now
    )  # fmt: skip


def _reopen(asked: _Asked) -> Event:
    return ticket_acts.reopen(asked.ticket, asked.form.text("reopen-reason"), asked.who, asked.now)


def _close(asked: _Asked) -> Event:
    return ticket_acts.close(asked.ticket, asked.who, asked.now, asked.form.text("close-text"))


def _withdraw(asked: _Asked) -> Event:
    reason = asked.form.text("withdraw-reason")
    return ticket_acts.withdraw(asked.ticket, reason, asked.who, asked.now)


_MAKES: Mapping[str, tuple[Callable[[_Asked], Event], pages.Pair]] = {
    "take": (_take, ("You verify it.", "已受理，由你核实。")),
    "extend": (_extend, ("The term is longer.", "已延长办理期限。")),
    "answer": (_answer, ("It is answered.", "已答复。")),
    "reopen": (_reopen, ("It is open again; the term begins anew.", "已重新提出，期限重新计算。")),
    "close": (_close, ("It is closed.", "已办结。")),
    "withdraw": (_withdraw, ("It is withdrawn.", "已撤回。")),
}
