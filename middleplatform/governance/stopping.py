"""What may happen after an answer: stopping it, disputing it, and the emergency lane. Pure, as ``acts``.

Stopping works at once and by one person; letting go on is for those who may stop the same. A dispute
goes up step by step (art. 28). An emergency needs two people beside the applicant, ends by itself, and
stays an open task until the data bureau has reviewed it.

Spec: docs/spec/grants.md. Decree 809 art. 27 and 28.
"""

from datetime import datetime

from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance.acts import names_law
from middleplatform.governance.applications import STEPS, Act, Event, Lane, Part, Phase, State
from middleplatform.governance.terms import Rules, answer_term, was_in_force
from middleplatform.model.request import Role, Subject, same_person

__all__ = ["approve", "escalate", "object_to", "resume", "review", "settle", "suspend", "withdraw"]


def suspend(state: State, reason: str, who: Subject, now: datetime, basis: str = "") -> Event:
    """Stop access at once: a provider its own part, with the law; bureau and security officer the whole (art. 27).

    Raises:
        PolicyError: P004.
        QueryError: Q040 without a reason or basis, or it is stopped already.
    """
    department = _stopper(state, who)
    _want(bool(reason.strip()), "a suspension needs a reason", "暂停须说明理由")
    if department:
        _lawful(basis)
    _living(state, now)
    _want(not _scope(state, department).suspended, "it is suspended already", "已暂停")
    return Event(Act.SUSPENDED, now, who.id, who.department, department, reason, basis)


def resume(state: State, reason: str, who: Subject, now: datetime) -> Event:
    """End a suspension: the provider its own, bureau or officer the whole's.

    Raises:
        PolicyError: P004.
        QueryError: Q040 without a reason, or it is not suspended.
    """
    department = _stopper(state, who)
    _want(bool(reason.strip()), "it needs a reason", "须说明理由")
    _living(state, now)
    _want(_scope(state, department).suspended, "it is not suspended", "未暂停")
    return Event(Act.RESUMED, now, who.id, who.department, department, reason)


def withdraw(state: State, reason: str, who: Subject, now: datetime, basis: str = "") -> Event:
    """End it for good: the applying side and the bureau all of it, a provider its part (art. 27).

    All but the applying side must name the law.

    Raises:
        PolicyError: P004.
        QueryError: Q040 without a reason or basis, or it is over already.
    """
    applicant = _applies(state, who)
    department = "" if applicant else _stopper(state, who, officer=False)
    _want(bool(reason.strip()), "a withdrawal needs a reason", "撤回须说明理由")
    if not applicant:
        _lawful(basis)
    _living(state, now)
    _want(not _scope(state, department).withdrawn, "it is withdrawn already", "已撤回")
    return Event(Act.WITHDRAWN, now, who.id, who.department, department, reason, basis)


# --- disputes -----------------------------------------------------------------------------------------------------


def object_to(
    state: State, department: str, reason: str, who: Subject, now: datetime, rules: Rules
) -> Event:
    """Dispute a provider's refusal, lateness or suspension; it begins with negotiation (art. 28).

    Raises:
        PolicyError: P004 not of the applying department.
        QueryError: Q040 there is nothing to dispute, or a dispute is open.
    """
    _applicant(state, who)
    _want(bool(reason.strip()), "an objection needs a reason", "异议须说明理由")
    _living(state, now)
    part = state.parts.get(department)
    _want(part is not None, "there is no such provider", "没有该提供部门")
    assert part is not None, "just checked"
    late = (
        part.answer is None
        and state.accepted_at is not None
        and answer_term(state, part, rules).overdue(now)
    )
    ground = not part.withdrawn and (part.refused or late or part.suspended)
    _want(ground, "nothing was refused, late or suspended", "没有被拒绝、逾期或暂停的事项")
    _want(not state.step, "a dispute is open already", "已有争议在处理")
    return Event(Act.OBJECTED, now, who.id, who.department, department, reason, step=STEPS[0])


def escalate(state: State, reason: str, who: Subject, now: datetime) -> Event:
    """Take a dispute one step up; no step can be left out (art. 28).

    Raises:
        PolicyError: P004 of neither side, and not the data bureau.
        QueryError: Q040 there is no dispute, or it lies at the last step.
    """
    _side(state, who)
    _want(bool(reason.strip()), "it needs a reason", "须说明理由")
    _want(state.step != "", "there is no dispute", "没有争议")
    _want(state.step != STEPS[-1], "it lies with the government already", "已提交本级政府")
    step = STEPS[STEPS.index(state.step) + 1]
    return Event(Act.ESCALATED, now, who.id, who.department, state.disputed, reason, step=step)


def settle(state: State, reason: str, who: Subject, now: datetime) -> Event:
    """End a dispute: the applying department by agreement, the data bureau by what was decided from step two on.

    Raises:
        PolicyError: P004.
        QueryError: Q040 there is no dispute.
    """
    _want(state.step != "", "there is no dispute", "没有争议")
    decided = state.step != STEPS[0] and Role.DATA_BUREAU in who.roles
    if not decided:
        _applicant(state, who)
    _want(bool(reason.strip()), "it needs a reason", "须说明理由")
    return Event(Act.SETTLED, now, who.id, who.department, state.disputed, reason, step=state.step)


# --- the emergency lane -------------------------------------------------------------------------------------------


def approve(state: State, who: Subject, now: datetime) -> Event:
    """Approve an emergency, as security officer or for a provider's own columns; two people, neither the applicant.

    Raises:
        PolicyError: P004 in no such role, the applicant, or the same person twice.
        QueryError: Q040 it is no emergency, over, or approved already.
    """
    officer = Role.SECURITY_OFFICER in who.roles
    department = "" if officer else who.department
    if not officer and (Role.DEPARTMENT_STEWARD not in who.roles or department not in state.parts):
        raise _not("approve this emergency", "批准该应急申请")
    _want(state.application.lane is Lane.EMERGENCY, "it is no emergency", "不是应急申请")
    _living(state, now)
    others = {state.application.applicant, state.officer}
    others |= {part.approved_by for part in state.parts.values()} if officer else set()
    if any(same_person(each, who.id) for each in others):
        raise _not("approve twice or for oneself", "重复批准或自行批准")
    done = state.officer if officer else state.parts[department].approved_by
    _want(not done, "it is approved already", "已批准")
    role = "officer" if officer else "provider"
    return Event(Act.APPROVED, now, who.id, who.department, department, role=role)


def review(state: State, finding: str, who: Subject, now: datetime) -> Event:
    """Close the open task that every emergency grant leaves: the bureau says what came of it.

    Raises:
        PolicyError: P004 not the bureau, or one of those who applied or approved.
        QueryError: Q040 it never held, has not ended, or is reviewed.
    """
    involved = {state.application.applicant, state.officer}
    involved |= {part.approved_by for part in state.parts.values()}
    own = any(same_person(each, who.id) for each in involved)
    if Role.DATA_BUREAU not in who.roles or own:
        raise _not("review this emergency", "复核该应急授权")
    _want(bool(finding.strip()), "a review says what it found", "复核须写明结论")
    over = state.phase(now) in (Phase.EXPIRED, Phase.WITHDRAWN)
    _want(was_in_force(state) and over, "there is nothing to review yet", "尚无可复核事项")
    _want(not state.reviewed_by, "it is reviewed already", "已复核")
    return Event(Act.REVIEWED, now, who.id, who.department, reason=finding)


# --- who and when -------------------------------------------------------------------------------------------------


def _stopper(state: State, who: Subject, *, officer: bool = True) -> str:
    """Return whose part ``who`` may stop: empty for the whole."""
    whole = {Role.DATA_BUREAU, Role.SECURITY_OFFICER} if officer else {Role.DATA_BUREAU}
    if whole & who.roles:
        return ""
    if Role.DEPARTMENT_STEWARD in who.roles and who.department in state.parts:
        return who.department
    raise _not("stop or resume this grant", "暂停、恢复或撤回该授权")


def _scope(state: State, department: str) -> State | Part:
    return state.parts[department] if department else state


def _applies(state: State, who: Subject) -> bool:
    own = state.application
    if who.department != own.department:
        return False
    return same_person(who.id, own.applicant) or Role.DEPARTMENT_STEWARD in who.roles


def _applicant(state: State, who: Subject) -> None:
    if not _applies(state, who):
        raise _not("act for the applying department", "代申请部门操作")


def _side(state: State, who: Subject) -> None:
    provider = Role.DEPARTMENT_STEWARD in who.roles and who.department == state.disputed
    if not (provider or Role.DATA_BUREAU in who.roles):
        _applicant(state, who)


def _living(state: State, now: datetime) -> None:
    phase = state.phase(now)
    over = phase in (Phase.WITHDRAWN, Phase.EXPIRED)
    _want(not over, f"the application is {phase}", f"申请当前状态为 {phase}")


def _lawful(basis: str) -> None:
    _want(names_law(basis), "it needs the law it rests on (art. 27)", "须引用依据（条例第27条）")


def _want(good: bool, english: str, chinese: str) -> None:  # noqa: FBT001 - a condition and what is said without it
    if not good:
        raise QueryError("Q040", what=(english, chinese))


def _not(english: str, chinese: str) -> PolicyError:
    return PolicyError("P004", what=(english, chinese))
