"""Who may do what to an application, and when: each function gives the event, or refuses. Pure.

Nothing is remembered here: an event that comes out was allowed at that moment, by that person, under
those rules; ``applications.fold`` takes it as it is.

Spec: docs/spec/grants.md, "Who may do what". Decree 809 art. 20, 21, 22, 25, 27 and 28.
"""

import re
from collections.abc import Iterable
from datetime import datetime

from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance.applications import (
    OPERATIONS,
    Act,
    Answer,
    Application,
    Event,
    Lane,
    Part,
    Phase,
    State,
)
from middleplatform.governance.terms import Rules, answer_term
from middleplatform.model.request import Role, Subject, same_person
from middleplatform.policy import regions

__all__ = [
    "MODE", "accept", "answer", "complete", "consent", "deliver", "extend", "names_law", "send_back",
    "sign", "submit", "what_is_missing",
]  # fmt: skip

Said = tuple[str, str]
MODE = "service"
"""服务接口: the one mode of sharing that the platform offers; no row leaves, so nothing else can be offered."""

_LAW = re.compile(
    r"《[^》]+》|第 ?[〇零一二三四五六七八九十百千\d]+ ?条|\b[Aa]rt(?:icle|\.)? ?\d|§ ?\d|[法例] ?\d"
)


def names_law(text: str) -> bool:
    """Say whether ``text`` names a law at all: a title, or an article."""
    return _LAW.search(text) is not None


def what_is_missing(application: Application) -> tuple[str, ...]:
    """Return the particulars of art. 20 that an application does not state."""
    said = {
        "basis": application.basis, "scenario": application.scenario, "scope": application.scope,
        "purpose": application.purpose,
    }  # fmt: skip
    return tuple(name for name, text in said.items() if not text.strip())


# --- the applicant ------------------------------------------------------------------------------------------------


def submit(
    application: Application, who: Subject, now: datetime, rules: Rules
) -> tuple[Event, ...]:
    """Take an application in; a steward who applies signs at once.

    An incomplete file is taken: it is returned with a list, not refused (art. 21).

    Raises:
        PolicyError: P004 not an analyst or steward of the applying department.
        QueryError: Q040 it asks for nothing, for no time, or outside what exists.
    """
    may = {Role.ANALYST, Role.DEPARTMENT_STEWARD} & who.roles
    own = (application.department, application.applicant) == (who.department, who.id)
    if not may or not own:
        raise _not("apply for another department or role", "以其他部门或角色提出申请")
    _check_wish(application, now)
    if application.lane is Lane.EMERGENCY:
        _check_emergency(application, now, rules)
    event = Event(Act.SUBMITTED, now, who.id, who.department, application=application)
    needs_answer = any(not each.open for each in application.columns)
    steward = Role.DEPARTMENT_STEWARD in who.roles
    if steward and needs_answer and application.lane is Lane.ORDINARY:
        return event, Event(Act.SIGNED, now, who.id, who.department)
    return (event,)


def _check_wish(application: Application, now: datetime) -> None:
    _want(bool(application.columns), "no column is applied for", "未申请任何列")
    known = bool(application.operations) and application.operations <= OPERATIONS
    _want(known, "operations are unknown or missing", "操作未知或缺失")
    _want(bool(application.regions), "no region is applied for", "未申请任何区域")
    _want(application.mode == MODE, "the mode of sharing is service", "共享方式只能是服务接口")
    good = max(now, application.starts) < application.ends
    _want(good, "the time limit is over or ends before it starts", "使用时限已过或早于开始")


def _check_emergency(application: Application, now: datetime, rules: Rules) -> None:
    most = rules.regulation.emergency_hours_max
    _want(most > 0, "there is no emergency lane", "未开设应急通道")
    hours = (application.ends - now).total_seconds() / 3600
    _want(hours <= most, f"an emergency lasts {most} hours at most", f"应急授权最长 {most} 小时")
    _want(not what_is_missing(application), "an emergency states all particulars",
          "应急申请须写明全部事项")  # fmt: skip
    _want(any(not each.open for each in application.columns),
          "unconditional data needs no emergency", "无条件共享数据无需应急申请")  # fmt: skip


def sign(state: State, who: Subject, now: datetime) -> Event:
    """Have the applying department's steward sign (art. 20).

    Raises:
        PolicyError: P004.
        QueryError: Q040 it is not waiting for a signature.
    """
    _steward(who, state.application.department)
    _in(state, now, Phase.UNSIGNED)
    return Event(Act.SIGNED, now, who.id, who.department)


def complete(state: State, application: Application, who: Subject, now: datetime) -> Event:
    """Take the completed file after the one return; the steward signs by it.

    Raises:
        PolicyError: P004.
        QueryError: Q040 it was not returned, still lacks a particular, or became another application.
    """
    _steward(who, state.application.department)
    _in(state, now, Phase.RETURNED)
    _check_wish(application, now)
    _lacking(what_is_missing(application))
    old = state.application
    same = (old.department, old.applicant, old.lane) == (
        application.department, application.applicant, application.lane,
    )  # fmt: skip
    _want(same, "it is another application", "不是同一申请")
    _want(any(not each.open for each in application.columns),
          "only unconditional data is left: apply anew", "仅剩无条件共享数据，请重新申请")  # fmt: skip
    return Event(Act.COMPLETED, now, who.id, who.department, application=application)


# --- the data bureau ----------------------------------------------------------------------------------------------


def send_back(state: State, missing: Iterable[str], who: Subject, now: datetime) -> Event:
    """Return an application once, with the list of all that is missing (art. 21 一次性告知).

    Raises:
        PolicyError: P004.
        QueryError: Q040 it was returned before, is not being checked, or the list is empty.
    """
    _bureau(state, who)
    _in(state, now, Phase.CHECKING)
    _want(state.returned_at is None, "it was returned once already", "已一次性告知，不得再次退回")
    listed = tuple(dict.fromkeys(each.strip() for each in missing if each.strip()))
    _want(bool(listed), "the list of what is missing is empty", "未列明需要补充的材料")
    return Event(Act.RETURNED, now, who.id, who.department, missing=listed)


def accept(state: State, who: Subject, now: datetime) -> Event:
    """Find an application complete: the providers' timers start.

    Raises:
        PolicyError: P004.
        QueryError: Q040 it is not being checked, or a particular of art. 20 is missing.
    """
    _bureau(state, who)
    _in(state, now, Phase.CHECKING)
    _lacking(what_is_missing(state.application))
    return Event(Act.ACCEPTED, now, who.id, who.department)


def consent(state: State, department: str, who: Subject, now: datetime, rules: Rules) -> Event:
    """Consent to an extension that a provider asked for, while its term still runs.

    Raises:
        PolicyError: P004.
        QueryError: Q040 nobody asked, it was given, or the term is over.
    """
    _bureau(state, who)
    part = _unanswered(state, department, now, rules)
    good = part.asked_days > 0 and not part.extended_days
    _want(good, "no extension was asked for", "没有待同意的延期申请")
    return Event(
        Act.EXTENDED, now, who.id, who.department, department,
        reason=part.asked_reason, days=part.asked_days,
    )  # fmt: skip


# --- a provider ---------------------------------------------------------------------------------------------------


def extend(
    state: State, days: int, reason: str, who: Subject, now: datetime, rules: Rules
) -> Event:
    """Ask for an extension of the own answer, once, within the regulation's bounds.

    Raises:
        PolicyError: P004.
        QueryError: Q040 too many days, no reason, asked before, answered, or the term is over.
    """
    _steward(who, who.department)
    part = _unanswered(state, who.department, now, rules)
    most = rules.regulation.deadlines["answer_conditional"].extension
    _want(
        1 <= days <= most,
        f"an extension has 1 to {most} working days",
        f"延期为 1 至 {most} 个工作日",
    )
    _want(bool(reason.strip()), "an extension needs a reason", "延期须说明理由")
    _want(not part.asked_days, "an extension was asked for already", "已申请过延期")
    return Event(
        Act.EXTENSION_ASKED, now, who.id, who.department, who.department, reason=reason, days=days
    )


def answer(state: State, given: Answer, who: Subject, now: datetime) -> Event:
    """Answer for the own columns: all, a part, or nothing of what was applied for.

    Less than all needs a reason and the law it rests on (art. 15 and 21). A dispute reopens an answer.

    Raises:
        PolicyError: P004 not the steward of a provider.
        QueryError: Q040 it is not to be answered now, more than was applied for, or a refusal without its basis.
    """
    _steward(who, who.department)
    part = _own(state, who.department)
    _in(state, now, Phase.ANSWERING, Phase.ANSWERED, Phase.SUSPENDED)
    _want(state.application.lane is Lane.ORDINARY and state.accepted_at is not None,
          "it is not to be answered", "该申请不在答复阶段")  # fmt: skip
    disputed = state.step != "" and state.disputed == who.department
    _want(part.answer is None or disputed, "it is answered", "已答复")
    _want(not part.withdrawn, "it is withdrawn", "已撤回")
    _check_within(given, part, state.application, now)
    if _all(given, part, state.application):
        given = Answer(given.columns, given.operations, given.regions, given.ends)
    else:
        law = bool(given.reason.strip()) and names_law(given.basis)
        _want(law, "granting less than all needs a reason and the law it rests on",
              "不予或部分同意须说明理由并引用依据")  # fmt: skip
    return Event(
        Act.ANSWERED, now, who.id, who.department, who.department,
        reason=given.reason, basis=given.basis, answer=given,
    )  # fmt: skip


def _check_within(given: Answer, part: Part, wanted: Application, now: datetime) -> None:
    inside = all(any(regions.covers(out, one) for out in wanted.regions) for one in given.regions)
    good = given.columns <= part.columns and given.operations <= wanted.operations and inside
    _want(good and given.ends <= wanted.ends, "more than was applied for", "超出申请范围")
    if given.columns:
        some = bool(given.operations and given.regions) and given.ends > max(now, wanted.starts)
        _want(some, "a grant of nothing is a refusal", "授权内容为空，应作不予处理")


def _all(given: Answer, part: Part, wanted: Application) -> bool:
    return (
        given.columns == part.columns
        and given.operations == wanted.operations
        and frozenset(given.regions) == frozenset(wanted.regions)
        and given.ends == wanted.ends
    )


def deliver(state: State, who: Subject, now: datetime) -> Event:
    """Say that the own node serves what was granted (art. 22).

    Raises:
        PolicyError: P004.
        QueryError: Q040 nothing was granted, or it was said already.
    """
    _steward(who, who.department)
    part = _own(state, who.department)
    _in(state, now, Phase.ANSWERING, Phase.ANSWERED)
    granted = part.answer is not None and bool(part.answer.columns)
    _want(granted and part.delivered_at is None, "there is nothing to deliver", "没有待提供的数据")
    return Event(Act.DELIVERED, now, who.id, who.department, who.department)


# --- shared with ``stopping`` -------------------------------------------------------------------------------------


def _unanswered(state: State, department: str, now: datetime, rules: Rules) -> Part:
    part = _own(state, department)
    _in(state, now, Phase.ANSWERING)
    ordinary = state.application.lane is Lane.ORDINARY and part.answer is None
    _want(ordinary and not part.withdrawn, "it is answered", "已答复")
    late = answer_term(state, part, rules).overdue(now)
    _want(not late, "the term is over", "答复期限已过")
    return part


def _own(state: State, department: str) -> Part:
    part = state.parts.get(department)
    if part is None:
        raise _not("answer for data of another department", "代其他部门答复")
    return part


def _steward(who: Subject, department: str) -> None:
    if Role.DEPARTMENT_STEWARD not in who.roles or who.department != department:
        raise _not(f"act as steward of {department}", f"以 {department} 共享工作机构负责人身份操作")


def _bureau(state: State, who: Subject) -> None:
    """Nobody checks what he wrote or signed himself, whatever roles the login has."""
    signers = (state.application.applicant, state.signed_by)
    own = any(same_person(each, who.id) for each in signers)
    if Role.DATA_BUREAU not in who.roles or own:
        raise _not("act as the data bureau here", "以政务数据共享主管部门身份处理该申请")


def _in(state: State, now: datetime, *phases: Phase) -> None:
    stands = state.phase(now)
    _want(stands in phases, f"the application is {stands}", f"申请当前状态为 {stands}")


def _lacking(missing: tuple[str, ...]) -> None:
    names = ", ".join(missing)
    _want(not missing, f"{names} missing", f"缺少 {names}")


def _want(good: bool, english: str, chinese: str) -> None:  # noqa: FBT001 - a condition and what is said without it
    if not good:
        raise QueryError("Q040", what=(english, chinese))


def _not(english: str, chinese: str) -> PolicyError:
    return PolicyError("P004", what=(english, chinese))
