"""Policy in the console: what is in force, what is proposed, and the acts on it.

Every page shows what the life-cycle says, every form does one of its acts; who may do what is judged there.

Spec: docs/spec/policy-lifecycle.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.errors import ConfigError, QueryError
from middleplatform.governance.diff import Change, Difference, Direction, diff
from middleplatform.governance.drafts import refused
from middleplatform.governance.examined import loaded
from middleplatform.governance.lifecycle import OPEN, Lifecycle, Weighed
from middleplatform.model.request import Role, same_person
from middleplatform.store.policies import Proposal, State
from middleplatform.web.console import pages
from middleplatform.web.console.forms import Form, form_of, whole
from middleplatform.web.console.listing import listed
from middleplatform.web.policy_routes import unprocessable
from middleplatform.web.services import services_of

__all__ = ["OFFICERS", "READERS", "number_of", "register", "said_changes"]

OFFICERS = frozenset({Role.SECURITY_OFFICER})
READERS = OFFICERS | {Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU, Role.AUDITOR}
_APPROVERS = OFFICERS | {Role.DEPARTMENT_STEWARD}

_HOME = "/console/policy"
_WEIGHED_MAX = 20
"""Proposals that are weighed for the number of what waits."""
_STATES: Mapping[State, tuple[str, tuple[str, str]]] = {
    State.PROPOSED: ("info", ("proposed", "待批准")),
    State.APPROVED: ("good", ("approved", "已批准")),
    State.REJECTED: ("bad", ("rejected", "已驳回")),
    State.WITHDRAWN: ("muted", ("withdrawn", "已撤回")),
    State.PUBLISHED: ("good", ("published", "已发布")),
}
"""Color and words of each state."""

_DIRECTIONS: Mapping[Direction, tuple[str, tuple[str, str]]] = {
    Direction.LOOSENS: ("warn", ("loosens", "放宽")),
    Direction.TIGHTENS: ("good", ("tightens", "收紧")),
    Direction.BOTH: ("warn", ("loosens and tightens", "放宽并收紧")),
}
_OTHER = ("muted", ("changes no verdict", "不影响判定"))


@dataclass(frozen=True, slots=True)
class Said:
    """One change, as the page shows it.

    Attributes:
        kind: Color of its word.
        word: (English, Chinese): what it does.
        change: As ``governance.diff`` found it.
    """

    kind: str
    word: tuple[str, str]
    change: Change


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.add(app, "GET", _HOME, _overview, READERS)
    pages.add(app, "GET", _HOME + "/versions/{version}", _version, READERS)
    pages.add(app, "POST", _HOME + "/versions/{version}/restore", unprocessable(_restore), OFFICERS)
    pages.add(app, "GET", _HOME + "/proposals/{proposal}", _proposal, READERS)
    for act, (does, roles) in _ACTS.items():
        pages.add(
            app,
            "POST",
            f"{_HOME}/proposals/{{proposal}}/{act}",
            unprocessable(_acting(does)),
            roles,
        )
    pages.navigate(app, pages.Entry(
        _HOME, ("Policy", "策略"),
        ("What may be done with each column: what is in force, what is proposed, and whose approval is missing.",
         "每一列可以做什么：现行策略、待批准提案、尚缺的批准。"),
        READERS, 10, _waiting,
    ))  # fmt: skip


def said_changes(difference: Difference) -> list[Said]:
    """Return the changes of a difference with their words: what loosens comes first."""
    both = set(map(id, difference.loosens))
    changes = [
        *difference.loosens,
        *(each for each in difference.tightens if id(each) not in both),
        *difference.other,
    ]
    return [Said(*_DIRECTIONS.get(each.direction, _OTHER), each) for each in changes]


def number_of(text: str) -> int:
    """Return the number of a proposal or a version, as an address says it.

    Raises:
        QueryError: Q041 it is none.
    """
    number = whole(text)
    if number is None:
        raise QueryError("Q041", what=("such a number", "该编号"))
    return number


def _lifecycle(request: Request) -> Lifecycle:
    return services_of(request).lifecycle


def _waiting(request: Request) -> int:
    """Return how many of the latest proposals want an approval that this person could give."""
    person, lifecycle = request.state.subject, _lifecycle(request)
    if not person.roles & _APPROVERS:
        return 0
    standing = lifecycle.compared().number
    found = [
        each
        for each in lifecycle.proposals()
        if each.state is State.PROPOSED and each.base == standing
        and not same_person(each.author, person.id)
    ]  # fmt: skip
    return sum(_wants(request, each.number) for each in found[-_WEIGHED_MAX:])


def _wants(request: Request, number: int) -> bool:
    """Say whether a proposal wants this person's approval; one that no longer loads wants nobody's."""
    try:
        return "approve" in _may(request, _lifecycle(request).weigh(number))
    except ConfigError as error:
        if error.code != "C001":
            raise
        return False


# --- pages --------------------------------------------------------------------------------------------------------


def _overview(request: Request) -> Response:
    lifecycle = _lifecycle(request)
    wanted = request.query_params.get("state", "")
    proposals = [each for each in lifecycle.proposals() if wanted in ("", each.state)]
    return pages.render(
        request,
        "policy/overview.html",
        standing=lifecycle.compared(),
        catalog=lifecycle.catalog,
        versions=list(reversed(lifecycle.versions()))[:10],
        proposals=listed(request, proposals[::-1], _words),
        states=_STATES,
        wanted=wanted,
        officer=bool(request.state.subject.roles & OFFICERS),
    )


def _words(each: Proposal) -> str:
    return f"{each.number} {each.label} {each.author} {each.reason} {each.state}"


def _version(request: Request) -> Response:
    lifecycle, number = _lifecycle(request), number_of(request.path_params["version"])
    files = lifecycle.files(number)
    versions = {each.number: each for each in lifecycle.versions()}
    difference = _since_before(lifecycle, number)
    changes = [] if difference is None else said_changes(difference)
    return pages.render(
        request,
        "policy/version.html",
        version=versions[number],
        newest=max(versions),
        files=files,
        difference=difference,
        changes=listed(request, changes, _text),
        officer=bool(request.state.subject.roles & OFFICERS),
    )


def _since_before(lifecycle: Lifecycle, number: int) -> Difference | None:
    """Return what a version changed; None where one of the two no longer loads over today's catalogue.

    Raises:
        QueryError: Q041 there is no such version.
    """
    try:
        new = loaded(lifecycle.files(number), lifecycle.catalog)
        before = lifecycle.configured
        if number > 1:
            before = loaded(lifecycle.files(number - 1), lifecycle.catalog)
    except ConfigError as error:
        if error.code != "C001":
            raise
        return None
    return diff(before, new, lifecycle.catalog, lifecycle.desk.clock.now())


def _text(each: Said) -> str:
    return " ".join((*each.word, *each.change.sentence))


def _proposal(request: Request) -> Response:
    lifecycle, number = _lifecycle(request), number_of(request.path_params["proposal"])
    try:
        weighed = lifecycle.weigh(number)
    except ConfigError as error:
        if error.code != "C001":
            raise
        return _outgrown(request, lifecycle.proposal(number), error)
    return _shown(
        request,
        weighed.proposal,
        weighed=weighed,
        stale=weighed.proposal.state in OPEN
        and weighed.proposal.base != lifecycle.compared().number,
        view=request.query_params.get("view", "changes"),
        changes=listed(request, said_changes(weighed.difference), _text),
        may=_may(request, weighed),
    )


def _outgrown(request: Request, proposal: Proposal, error: ConfigError) -> Response:
    """Return the page of a proposal that no longer loads over today's catalogue."""
    person = request.state.subject
    officer = bool(person.roles & OFFICERS)
    own = officer and same_person(person.id, proposal.author)
    offered = {"withdraw": own and proposal.state in OPEN, "draft": officer}
    return _shown(
        request, proposal, weighed=None, spots=refused(error), tried=None, changes=None,
        may=frozenset(name for name, there in offered.items() if there),
    )  # fmt: skip


def _shown(
    request: Request,
    proposal: Proposal,
    **values: Any,  # noqa: ANN401 - for the template
) -> Response:
    return pages.render(
        request,
        "policy/proposal.html",
        proposal=proposal,
        states=_STATES,
        files=_lifecycle(request).proposed(proposal.number),
        **values,
    )


def _may(request: Request, weighed: Weighed) -> frozenset[str]:
    """Return the acts that the page offers the person; the life-cycle judges each once more."""
    person, proposal = request.state.subject, weighed.proposal
    if proposal.state not in OPEN:
        return frozenset()
    own, officer = same_person(person.id, proposal.author), bool(person.roles & OFFICERS)
    gave = any(same_person(each.person, person.id) for each in weighed.approvals)
    steward = (
        Role.DEPARTMENT_STEWARD in person.roles and person.department in weighed.required.owners
    )
    wanted = (officer and not own) or steward
    offered = {
        "approve": wanted and not gave and bool(weighed.missing),
        "reject": wanted,
        "withdraw": own and officer,
        "publish": officer and not weighed.missing,
        "simulate": officer,
        "draft": officer,
    }
    return frozenset(name for name, there in offered.items() if there)


# --- acts ---------------------------------------------------------------------------------------------------------

_Done = tuple[str, tuple[str, str]]
"""Where to go on, and what was done, (English, Chinese)."""


def _acting(
    does: Callable[[Request, Lifecycle, int, Form], _Done],
) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        number = number_of(request.path_params["proposal"])
        where, said = does(request, _lifecycle(request), number, form_of(request))
        return pages.redirect(request, where, said)

    return handle


def _approve(request: Request, lifecycle: Lifecycle, number: int, form: Form) -> _Done:
    weighed = lifecycle.approve(request.state.subject, number, form.text("comment"))
    if weighed.missing:
        return _at(number), ("Approved. More approvals are missing.", "已批准，尚缺其他批准。")
    return _at(number), ("Approved. It can be published now.", "已批准，现可发布。")


def _reject(request: Request, lifecycle: Lifecycle, number: int, form: Form) -> _Done:
    lifecycle.reject(request.state.subject, number, form.text("comment"))
    return _at(number), ("Rejected.", "已驳回。")


def _withdraw(request: Request, lifecycle: Lifecycle, number: int, form: Form) -> _Done:
    lifecycle.withdraw(request.state.subject, number, form.text("comment"))
    return _at(number), ("Withdrawn.", "已撤回。")


def _publish(request: Request, lifecycle: Lifecycle, number: int, _: Form) -> _Done:
    made = lifecycle.publish(request.state.subject, number)
    return f"{_HOME}/versions/{made}", (f"Version {made} is in force.", f"版本 {made} 已生效。")


def _restore(request: Request) -> Response:
    lifecycle, number = _lifecycle(request), number_of(request.path_params["version"])
    reason = form_of(request).text("reason")
    proposal, made = lifecycle.roll_back(request.state.subject, number, reason)
    if made:
        said = (f"Version {made} is in force, as version {number} was.",
                f"版本 {made} 已生效，内容同版本 {number}。")  # fmt: skip
        return pages.redirect(request, f"{_HOME}/versions/{made}", said)
    said = ("Proposed. It loosens, so approvals are needed.", "已提出。内容有所放宽，须经批准。")
    return pages.redirect(request, _at(proposal), said)


def _at(number: int) -> str:
    return f"{_HOME}/proposals/{number}"


_ACTS = {
    "approve": (_approve, _APPROVERS),
    "reject": (_reject, _APPROVERS),
    "withdraw": (_withdraw, OFFICERS),
    "publish": (_publish, OFFICERS),
}
