"""Applications for data, from the side of those who answer: providers and the data bureau.

Every form does one act of ``governance.acts`` or ``stopping``; a refusal is shown at the form that met it.

Spec: docs/spec/grants.md. Decree 809 art. 21, 22, 25, 27 and 28.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import (
    STEPS,
    Answer,
    Event,
    Lane,
    Part,
    Phase,
    State,
)
from middleplatform.governance.handling import Handling, number_of
from middleplatform.governance.terms import Rules, Term, answer_term, terms
from middleplatform.governance.told import told
from middleplatform.governance.wanting import when
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.request import Role, Subject
from middleplatform.web.console import pages
from middleplatform.web.console.applying import OPERATIONS, OUTCOMES, PHASES
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = ["HANDLERS", "HOME", "register"]

HANDLERS = frozenset({Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU})
HOME = "/console/department/applications"
_SECOND = timedelta(seconds=1)
_VIEWS = ("", "waiting", "overdue")

_WAITS: Mapping[str, tuple[str, str]] = {
    "answer": ("your answer", "待你部门答复"),
    "approve": ("your approval (emergency)", "待你部门批准（应急）"),
    "deliver": ("your delivery", "待你部门提供"),
    "dispute": ("a dispute with you", "与你部门的争议"),
    "check": ("the desk check", "待材料审核"),
    "consent": ("consent to an extension", "待同意延期"),
    "settle": ("a dispute to settle", "待裁决争议"),
    "review": ("review of an emergency", "待复核应急授权"),
}
STEP_NAMES: Mapping[str, tuple[str, str]] = {
    "negotiation": ("negotiation of both sides", "双方协商"),
    "same_level_authority": ("data bureau of the same level", "同级主管部门"),
    "common_superior": ("common superior data bureau", "共同的上级主管部门"),
    "government": ("government of this level", "本级政府"),
}
"""Where a dispute may lie (art. 28)."""


@dataclass(frozen=True, slots=True)
class Row:
    """An application in the list.

    Attributes:
        told: With everything that both sides may know.
        waits: For what it waits with this person; empty for nothing.
        term: The deadline that runs next; None where none does.
        left: Working days until it is over; negative beyond it.
        late: Whether one is over and not met.
    """

    told: Mapping[str, Any]
    waits: str
    term: Term | None
    left: int
    late: bool


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.navigate(app, pages.Entry(
        HOME, ("Applications to answer", "待答复申请"),
        ("What other departments ask for, until when it must be answered, and what you granted.",
         "其他部门的申请、答复期限与已作出的授权。"),
        HANDLERS, 41, _waiting,
    ))  # fmt: skip
    pages.add(app, "GET", HOME, _list, HANDLERS)
    pages.add(app, "GET", HOME + "/{number}", _show, HANDLERS)
    pages.add(app, "POST", HOME + "/{number}/{act}", _act, HANDLERS)


def _handling(request: Request) -> Handling:
    return services_of(request).handling()


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.gateway.clock.now()
    return now


# --- what waits ---------------------------------------------------------------------------------------------------


def _concerned(states: tuple[State, ...], who: Subject) -> list[State]:
    """Return those that ``who`` handles: the bureau all, a steward those for the own department's columns."""
    if Role.DATA_BUREAU in who.roles:
        return list(states)
    return [
        each for each in states if who.department in {one.owner for one in each.application.columns}
    ]


def _waits_for(state: State, who: Subject, rules: Rules, now: datetime) -> str:
    """Return for what an application waits with ``who``: a key of the words above, empty for nothing."""
    found = ""
    if Role.DATA_BUREAU in who.roles:
        found = _for_bureau(state, rules, now)
    part = state.parts.get(who.department)
    if not found and Role.DEPARTMENT_STEWARD in who.roles and part is not None:
        found = _for_provider(state, part, now)
    return found


def _for_bureau(state: State, rules: Rules, now: datetime) -> str:
    phase = state.phase(now)
    if phase is Phase.CHECKING:
        return "check"
    if phase is Phase.ANSWERING and any(
        _extendable(state, part, rules, now) for part in state.parts.values()
    ):
        return "consent"
    if state.step not in ("", STEPS[0]):
        return "settle"
    review = any(
        each.name == "emergency_review" and each.met_at is None for each in terms(state, rules, now)
    )
    return "review" if review else ""


def _extendable(state: State, part: Part, rules: Rules, now: datetime) -> bool:
    """Say whether an extension was asked for that can still be consented to."""
    asked = part.asked_days > 0 and not part.extended_days
    open_yet = part.answer is None and not part.withdrawn and state.accepted_at is not None
    return asked and open_yet and not answer_term(state, part, rules).overdue(now)


def _for_provider(state: State, part: Part, now: datetime) -> str:
    phase = state.phase(now)
    if part.withdrawn or phase not in (Phase.ANSWERING, Phase.ANSWERED):
        return ""
    if state.application.lane is Lane.EMERGENCY:
        return "" if part.approved_by else "approve"
    if part.answer is None:
        return "answer"
    if state.step and state.disputed == part.department:
        return "dispute"
    return "deliver" if part.answer.columns and part.delivered_at is None else ""


def _row(request: Request, state: State, rules: Rules, now: datetime) -> Row:
    who = request.state.subject
    bureau = Role.DATA_BUREAU in who.roles
    running = [
        each
        for each in terms(state, rules, now)
        if each.met_at is None and (bureau or each.department == who.department)
    ]
    if str(state.phase(now)) == "withdrawn":
        running = []
    first = min(running, key=lambda each: each.due.date, default=None)
    return Row(
        told(state, rules, now),
        _waits_for(state, who, rules, now),
        first,
        0 if first is None else _left(rules, first, now),
        first is not None and first.overdue(now),
    )


def _left(rules: Rules, term: Term, now: datetime) -> int:
    """Return the working days that are left of a term; below 0 those by which it is late."""
    if term.overdue(now):
        return -rules.calendar.between(rules.calendar.end_of(term.due) - _SECOND, now)[0]
    return rules.calendar.between(now, rules.calendar.end_of(term.due) - _SECOND)[0]


def _order(row: Row) -> tuple[bool, bool, str]:
    """What waits for the person comes first, of that what is due first."""
    due = row.term.due.date.isoformat() if row.term is not None else "9999"
    return not row.waits, not row.late, due


def _rows(request: Request) -> list[Row]:
    rules, now = services_of(request).rules, _now(request)
    found = _concerned(_handling(request).listed(request.state.subject), request.state.subject)
    return sorted((_row(request, each, rules, now) for each in reversed(found)), key=_order)


def _waiting(request: Request) -> int:
    """Return how many applications wait for this person."""
    if services_of(request).platform.lifecycle is None:
        return 0
    return sum(bool(each.waits) for each in _rows(request))


# --- pages --------------------------------------------------------------------------------------------------------


def _list(request: Request) -> Response:
    view = request.query_params.get("view", "")
    rows = _rows(request)
    kept = {
        "waiting": [each for each in rows if each.waits],
        "overdue": [each for each in rows if each.late],
    }
    return pages.render(
        request,
        "department/applications.html",
        rows=listed(request, kept.get(view, rows), _words),
        view=view if view in _VIEWS else "",
        counts={name: len(each) for name, each in kept.items()},
        waits=_WAITS,
        phases=PHASES,
        purposes=request.app.state.gateway.bundle.purposes,
        departments=request.app.state.gateway.catalog.departments,
    )


def _words(row: Row) -> str:
    one = row.told
    names = " ".join(each["name"] for each in one["columns"])
    return f"{one['number']} {one['department']} {one['applicant']} {one['purpose']} {one['phase']} {names}"


def _show(request: Request) -> Response:
    state = _handling(request).show(number_of(request.path_params["number"]), request.state.subject)
    return _page(request, state)


def _page(
    request: Request,
    state: State,
    *,
    act: str = "",
    error: str = "",
    form: Form | None = None,
    status: int = 200,
) -> Response:
    """Return the page of an application; after a refusal with the form that met it, as it was filled in."""
    gateway, who, now = request.app.state.gateway, request.state.subject, _now(request)
    rules, catalog = services_of(request).rules, gateway.catalog
    part = state.parts.get(who.department)
    return pages.render(
        request,
        "department/application.html",
        status=status,
        one=told(state, rules, now),
        row=_row(request, state, rules, now),
        part=part if Role.DEPARTMENT_STEWARD in who.roles else None,
        columns=[
            (each, catalog.datasets[name].columns[column])
            for each in state.application.columns
            for name, _, column in (each.name.rpartition("."),)
            if name in catalog.datasets and column in catalog.datasets[name].columns
        ],
        can=_can(state, who, rules, now),
        refused=act,
        error=error,
        said=_said(form),
        chosen=lambda name, value: form is None or value in form.many(name),
        ends=state.application.ends.astimezone(SHANGHAI).date().isoformat(),
        days=rules.regulation.deadlines["answer_conditional"].extension,
        asking=[each for each in state.parts.values() if _extendable(state, each, rules, now)],
        waits=_WAITS,
        steps=STEP_NAMES,
        phases=PHASES,
        outcomes=OUTCOMES,
        operations=OPERATIONS,
        purposes=gateway.bundle.purposes,
        departments=catalog.departments,
    )


def _said(form: Form | None) -> Callable[..., str]:
    """Return what gives a field as it was filled in, else a default."""

    def said(name: str, default: str = "") -> str:
        return default if form is None else form.text(name)

    return said


def _can(state: State, who: Subject, rules: Rules, now: datetime) -> set[str]:
    """Return the acts that the page offers; whoever tries is judged again."""
    phase = state.phase(now)
    over = phase in (Phase.WITHDRAWN, Phase.EXPIRED)
    found = set()
    if Role.DATA_BUREAU in who.roles:
        found |= _bureau_can(state, rules, now)
        if not over:
            found |= {"resume" if state.suspended else "suspend", "withdraw"}
    part = state.parts.get(who.department)
    if Role.DEPARTMENT_STEWARD in who.roles and part is not None and not over:
        found |= _provider_can(state, part, rules, now)
    return found


def _bureau_can(state: State, rules: Rules, now: datetime) -> set[str]:
    found = set()
    if state.phase(now) is Phase.CHECKING:
        found |= {"accept"} | ({"return"} if state.returned_at is None else set())
    waits = _for_bureau(state, rules, now)
    found |= {waits} & {"consent", "review"}
    if state.step and state.step != STEPS[-1]:
        found.add("escalate")
    if state.step not in ("", STEPS[0]):
        found.add("settle")
    return found


def _provider_can(state: State, part: Part, rules: Rules, now: datetime) -> set[str]:
    found, waits = set(), _for_provider(state, part, now)
    if waits in ("answer", "dispute"):
        found.add("answer")
    late = waits == "answer" and answer_term(state, part, rules).overdue(now)
    if waits == "answer" and not part.asked_days and not late:
        found.add("extend")
    found |= {waits} & {"deliver", "approve"}
    if part.answer is not None or part.approved_by:
        found.add("resume" if part.suspended else "suspend")
        if not part.withdrawn:
            found.add("withdraw")
    if state.step and state.disputed == part.department and state.step != STEPS[-1]:
        found.add("escalate")
    return found


# --- acts ---------------------------------------------------------------------------------------------------------


def _act(request: Request) -> Response:
    """Do one act, or show the page again with the refusal at its form."""
    act, who, form = request.path_params["act"], request.state.subject, form_of(request)
    if act not in _MAKES:
        raise QueryError("Q041", what=("such address", "该地址"))
    make, done = _MAKES[act]
    handling, number = _handling(request), number_of(request.path_params["number"])
    seen = handling.show(number, who)
    try:
        state = handling.act(
            number, who, lambda state, now: make(_Asked(state, who, now, handling.rules, form))
        )
    except MiddleplatformError as error:
        if error.prefix not in "QP":
            raise
        request.app.state.operator_log.detail(error)
        said = error.message(pages.locale(request))
        return _page(request, seen, act=act, error=said, form=form, status=status_of(error))
    return pages.redirect(request, f"{HOME}/{state.number}", done)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an act is decided on: the newest state, the person, the moment, the deadlines and the form."""

    state: State
    who: Subject
    now: datetime
    rules: Rules
    form: Form


def _return(asked: _Asked) -> Event:
    missing = asked.form.text("missing").splitlines()
    return acts.send_back(asked.state, missing, asked.who, asked.now)


def _accept(asked: _Asked) -> Event:
    return acts.accept(asked.state, asked.who, asked.now)


def _consent(asked: _Asked) -> Event:
    department = asked.form.one("department")
    return acts.consent(asked.state, department, asked.who, asked.now, asked.rules)


def _extend(asked: _Asked) -> Event:
    days = asked.form.one("days")
    whole = int(days) if days.isascii() and days.isdigit() and len(days) < 5 else 0  # noqa: PLR2004 - a few weeks
    reason = asked.form.text("extend-reason")
    return acts.extend(asked.state, whole, reason, asked.who, asked.now, asked.rules)


def _answer(asked: _Asked) -> Event:
    return acts.answer(asked.state, _given(asked), asked.who, asked.now)


def _given(asked: _Asked) -> Answer:
    """Return what the form grants: all, a part, or nothing.

    Raises:
        QueryError: Q040 nothing is chosen, or a date is none.
    """
    form, wanted = asked.form, asked.state.application
    part = asked.state.parts.get(asked.who.department)
    grant, why = form.one("grant"), (form.text("answer-reason"), form.text("answer-basis"))
    if grant == "nothing":
        return Answer(frozenset(), frozenset(), (), wanted.ends, *why)
    if grant == "all":
        columns = frozenset() if part is None else part.columns
        return Answer(columns, wanted.operations, wanted.regions, wanted.ends, *why)
    if grant != "part":
        raise QueryError("Q040", what=("say all, a part or nothing", "须选择全部、部分或不予同意"))
    regions = form.text("regions").replace("，", ",").replace(",", " ").split()
    day = wanted.ends.astimezone(SHANGHAI).date().isoformat()
    ends = form.one("ends") or day
    return Answer(
        frozenset(form.many("column")),
        frozenset(form.many("operation")),
        tuple(sorted(set(regions))) or wanted.regions,
        wanted.ends if ends == day else when(ends),
        *why,
    )


def _deliver(asked: _Asked) -> Event:
    return acts.deliver(asked.state, asked.who, asked.now)


def _approve(asked: _Asked) -> Event:
    return stopping.approve(asked.state, asked.who, asked.now)


def _suspend(asked: _Asked) -> Event:
    reason, basis = asked.form.text("suspend-reason"), asked.form.text("suspend-basis")
    return stopping.suspend(asked.state, reason, asked.who, asked.now, basis)


def _resume(asked: _Asked) -> Event:
    return stopping.resume(asked.state, asked.form.text("resume-reason"), asked.who, asked.now)


def _withdraw(asked: _Asked) -> Event:
    reason, basis = asked.form.text("withdraw-reason"), asked.form.text("withdraw-basis")
    return stopping.withdraw(asked.state, reason, asked.who, asked.now, basis)


def _escalate(asked: _Asked) -> Event:
    return stopping.escalate(asked.state, asked.form.text("escalate-reason"), asked.who, asked.now)


def _settle(asked: _Asked) -> Event:
    return stopping.settle(asked.state, asked.form.text("settle-reason"), asked.who, asked.now)


def _review(asked: _Asked) -> Event:
    return stopping.review(asked.state, asked.form.text("review-reason"), asked.who, asked.now)


_MAKES: Mapping[str, tuple[Callable[[_Asked], Event], pages.Pair]] = {
    "return": (_return, ("It is returned with the list.", "已一次性告知并退回。")),
    "accept": (_accept, ("It is complete: the terms to answer run.", "材料齐全，答复期限开始计算。")),
    "consent": (_consent, ("The extension is given.", "已同意延期。")),
    "extend": (_extend, ("The data bureau is asked for more time.", "已向主管部门申请延期。")),
    "answer": (_answer, ("It is answered.", "已答复。")),
    "deliver": (_deliver, ("Your node serves it now.", "本部门节点已提供。")),
    "approve": (_approve, ("The emergency is approved for your columns.", "已批准本部门数据项的应急申请。")),
    "suspend": (_suspend, ("Access is stopped.", "已暂停。")),
    "resume": (_resume, ("Access goes on.", "已恢复。")),
    "withdraw": (_withdraw, ("It is withdrawn for good.", "已撤回。")),
    "escalate": (_escalate, ("The dispute lies one step up.", "争议已提交上一级。")),
    "settle": (_settle, ("The dispute is settled.", "争议已裁决。")),
    "review": (_review, ("The review is written down.", "复核结论已记录。")),
}  # fmt: skip
