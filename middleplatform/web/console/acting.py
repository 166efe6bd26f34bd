"""Acts on applications as forms do them: both sides' pages send one form for each act of ``governance``.

A refusal is shown at the form that met it, with what was filled in. Spec: docs/spec/grants.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request, Response

from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import Answer, Event, State
from middleplatform.governance.handling import Handling, number_of
from middleplatform.governance.terms import Rules
from middleplatform.governance.timeline import HAPPENED, running, timeline
from middleplatform.governance.told import told
from middleplatform.governance.wanting import when
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.request import Subject
from middleplatform.web.console import pages
from middleplatform.web.console.forms import Form, form_of, whole
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = [
    "NOTHING",
    "OPERATIONS",
    "PHASES",
    "Refused",
    "handling_of",
    "moment_of",
    "perform",
    "refused_by",
    "shown",
    "words_in",
]

OPERATIONS: Mapping[str, pages.Pair] = {
    "group": ("group by", "分组"), "filter": ("filter", "筛选"), "aggregate": ("sum and average", "聚合"),
    "count": ("count", "计数"), "join": ("join", "连接"),
}  # fmt: skip
PHASES: Mapping[str, tuple[str, pages.Pair]] = {
    "unsigned": ("warn", ("waits for its signature", "待签署")),
    "checking": ("info", ("desk check", "材料审核")),
    "returned": ("warn", ("returned for completion", "待补正")),
    "answering": ("info", ("with the providers", "待答复")),
    "answered": ("good", ("answered", "已答复")),
    "suspended": ("warn", ("suspended", "已暂停")),
    "withdrawn": ("muted", ("withdrawn", "已撤回")),
    "expired": ("muted", ("expired", "已到期")),
}
_OUTCOMES: Mapping[str, tuple[str, pages.Pair]] = {
    "waiting": ("info", ("waits", "待答复")), "refused": ("bad", ("refused", "不予共享")),
    "granted": ("good", ("granted", "同意共享")), "granted_in_part": ("warn", ("granted in part", "部分同意")),
    "approved": ("good", ("approved", "已批准")), "suspended": ("warn", ("suspended", "已暂停")),
    "withdrawn": ("muted", ("withdrawn", "已撤回")),
}  # fmt: skip
_STEP_NAMES: Mapping[str, pages.Pair] = {
    "negotiation": ("negotiation of both sides", "双方协商"),
    "same_level_authority": ("data bureau of the same level", "同级主管部门"),
    "common_superior": ("common superior data bureau", "共同的上级主管部门"),
    "government": ("government of this level", "本级政府"),
}
"""Where a dispute may lie (art. 28)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that was refused.

    Attributes:
        act: Its name.
        error: Why, in the reader's language.
        form: As it was filled in.
        status: Of the answer.
    """

    act: str = ""
    error: str = ""
    form: Form | None = None
    status: int = 200

    def said(self, name: str, default: str = "") -> str:
        """Return a field as it was filled in, else a default."""
        return default if self.form is None else self.form.text(name)


NOTHING = Refused()
"""No form was refused: the page is only looked at."""

Page = Callable[[Request, State, Refused], Response]
"""Makes the page of an application, with a refusal at its form."""


def handling_of(request: Request) -> Handling:
    """Return the desk of applications."""
    return services_of(request).handling()


def moment_of(request: Request) -> datetime:
    """Return the moment by the gateway's clock."""
    now: datetime = request.app.state.gateway.clock.now()
    return now


def words_in(text: str) -> list[str]:
    """Return codes or logins that somebody typed, apart from each other by spaces, commas or new lines."""
    return list(dict.fromkeys(text.replace("，", " ").replace("、", " ").replace(",", " ").split()))


def refused_by(
    request: Request, error: MiddleplatformError, act: str = "", form: Form | None = None
) -> Refused:
    """Return the refusal of a form, to be shown at it; the operator log has it in full.

    Raises:
        MiddleplatformError: It is nobody's mistake: the log's or the store's.
    """
    if error.prefix not in "QP":
        raise error
    request.app.state.operator_log.detail(error)
    return Refused(act, error.message(pages.locale(request)), form, status_of(error))


def shown(request: Request, state: State, refused: Refused) -> dict[str, Any]:
    """Return what both sides' pages of an application show, and the status of the answer."""
    gateway, rules, now = request.app.state.gateway, services_of(request).rules, moment_of(request)
    events = handling_of(request).history(number_of(state.number), request.state.subject)
    return {
        "status": refused.status, "refused": refused.act, "error": refused.error, "said": refused.said,
        "one": told(state, rules, now),
        "past": timeline(events, state, rules, now), "ahead": running(state, rules, now), "happened": HAPPENED,
        "steps": _STEP_NAMES, "phases": PHASES, "outcomes": _OUTCOMES, "operations": OPERATIONS,
        "purposes": gateway.bundle.purposes, "departments": gateway.catalog.departments,
    }  # fmt: skip


def perform(request: Request, offered: frozenset[str], home: str, page: Page) -> Response:
    """Do the act that the page's address names, or show the page again with the refusal at its form.

    Args:
        request: Its path has ``number`` and ``act``.
        offered: Acts that this side may do.
        home: Address of the side's list.
        page: Makes the application's page.

    Raises:
        QueryError: Q041 the side has no such act, or the person may see no such application.
        MiddleplatformError: What is nobody's mistake: the log or the store.
    """
    act, who, form = request.path_params["act"], request.state.subject, form_of(request)
    if act not in offered:
        raise QueryError("Q041", what=("such address", "该地址"))
    make, done = _MAKES[act]
    handling, number = handling_of(request), number_of(request.path_params["number"])
    handling.show(number, who)
    try:
        state = handling.act(
            number, who, lambda state, now: make(_Asked(state, who, now, handling.rules, form))
        )
    except MiddleplatformError as error:
        refused = refused_by(request, error, act, form)
        return page(request, handling.show(number, who), refused)
    return pages.redirect(request, f"{home}/{state.number}", done)


# --- the acts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an act is decided on: the newest state, the person, the moment, the deadlines and the form."""

    state: State
    who: Subject
    now: datetime
    rules: Rules
    form: Form


def _sign(asked: _Asked) -> Event:
    return acts.sign(asked.state, asked.who, asked.now)


def _return(asked: _Asked) -> Event:
    missing = asked.form.text("missing").splitlines()
    return acts.send_back(asked.state, missing, asked.who, asked.now)


def _accept(asked: _Asked) -> Event:
    """Accept what the page showed: of an application that was completed meanwhile nobody has seen the new file."""
    seen = asked.form.one("seen")
    if seen and seen != str(asked.state.events):
        what = ("it has changed since this page was opened: look at it again",
                "打开本页之后该申请已有变动，请重新查看")  # fmt: skip
        raise QueryError("Q042", what=what)
    return acts.accept(asked.state, asked.who, asked.now)


def _consent(asked: _Asked) -> Event:
    department = asked.form.one("department")
    return acts.consent(asked.state, department, asked.who, asked.now, asked.rules)


def _extend(asked: _Asked) -> Event:
    days, reason = whole(asked.form.one("days")) or 0, asked.form.text("extend-reason")
    return acts.extend(asked.state, days, reason, asked.who, asked.now, asked.rules)


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
    day = wanted.ends.astimezone(SHANGHAI).date().isoformat()
    ends = form.one("ends") or day
    return Answer(
        frozenset(form.many("column")),
        frozenset(form.many("operation")),
        tuple(sorted(words_in(form.text("regions")))) or wanted.regions,
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


def _object(asked: _Asked) -> Event:
    form = asked.form
    return stopping.object_to(
        asked.state, form.one("department"), form.text("object-reason"), asked.who, asked.now, asked.rules
    )  # fmt: skip


def _escalate(asked: _Asked) -> Event:
    return stopping.escalate(asked.state, asked.form.text("escalate-reason"), asked.who, asked.now)


def _settle(asked: _Asked) -> Event:
    return stopping.settle(asked.state, asked.form.text("settle-reason"), asked.who, asked.now)


def _review(asked: _Asked) -> Event:
    return stopping.review(asked.state, asked.form.text("review-reason"), asked.who, asked.now)


_MAKES: Mapping[str, tuple[Callable[[_Asked], Event], pages.Pair]] = {
    "sign": (_sign, ("The application is signed.", "申请已签署。")),
    "return": (_return, ("It is returned with the list.", "已一次性告知并退回。")),
    "accept": (_accept, ("It is complete: the terms to answer run.", "材料齐全，答复期限开始计算。")),
    "consent": (_consent, ("The extension is given.", "已同意延期。")),
    "extend": (_extend, ("The data bureau is asked for more time.", "已向主管部门申请延期。")),
    "answer": (_answer, ("It is answered.", "已答复。")),
    "deliver": (_deliver, ("Your node serves it now.", "本部门节点已提供。")),
    "approve": (_approve, ("You approved the emergency.", "已批准该应急申请。")),
    "suspend": (_suspend, ("Access is stopped.", "已暂停。")),
    "resume": (_resume, ("Access goes on.", "已恢复。")),
    "withdraw": (_withdraw, ("It is withdrawn for good.", "已撤回。")),
    "object": (_object, ("The objection is made: it begins with negotiation.", "已提出异议，进入协商环节。")),
    "escalate": (_escalate, ("The dispute lies one step up.", "争议已提交上一级。")),
    "settle": (_settle, ("The dispute is settled.", "争议已了结。")),
    "review": (_review, ("The review is written down.", "复核结论已记录。")),
}  # fmt: skip
"""What each form makes, and what the page says when it is done."""
