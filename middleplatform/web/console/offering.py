"""What an application waits for with a person, and which acts its page offers them; whoever tries is judged again.

Pages leave out what would be refused; nothing here allows anything. Spec: docs/spec/grants.md, "States".
"""

from collections.abc import Mapping
from datetime import datetime

from middleplatform.governance.applications import STEPS, Lane, Part, Phase, State
from middleplatform.governance.terms import Rules, answer_term, terms
from middleplatform.model.request import Role, Subject

__all__ = ["WAITS", "disputable", "extendable", "for_applicant", "for_handler", "waits_for"]

WAITS: Mapping[str, tuple[str, str]] = {
    "answer": ("your answer", "待你部门答复"),
    "approve": ("your approval (emergency)", "待你批准（应急）"),
    "deliver": ("your delivery", "待你部门提供"),
    "dispute": ("a dispute with you", "与你部门的争议"),
    "check": ("the desk check", "待材料审核"),
    "consent": ("consent to an extension", "待同意延期"),
    "settle": ("a dispute to settle", "待裁决争议"),
    "review": ("review of an emergency", "待复核应急授权"),
}
_OVER = frozenset({Phase.WITHDRAWN, Phase.EXPIRED})


def waits_for(state: State, who: Subject, rules: Rules, now: datetime) -> str:
    """Return for what an application waits with ``who``: a key of ``WAITS``, empty for nothing."""
    found = ""
    if Role.DATA_BUREAU in who.roles:
        found = _for_bureau(state, rules, now)
    if not found and Role.SECURITY_OFFICER in who.roles:
        found = "approve" if _officer_may_approve(state, who, now) else ""
    part = state.parts.get(who.department)
    if not found and Role.DEPARTMENT_STEWARD in who.roles and part is not None:
        found = _for_provider(state, part, who, now)
    return found


def _for_bureau(state: State, rules: Rules, now: datetime) -> str:
    phase = state.phase(now)
    if phase is Phase.CHECKING:
        return "check"
    if phase is Phase.ANSWERING and any(
        extendable(state, part, rules, now) for part in state.parts.values()
    ):
        return "consent"
    if state.step not in ("", STEPS[0]):
        return "settle"
    review = any(
        each.name == "emergency_review" and each.met_at is None for each in terms(state, rules, now)
    )
    return "review" if review else ""


def extendable(state: State, part: Part, rules: Rules, now: datetime) -> bool:
    """Say whether an extension was asked for that can still be consented to."""
    asked = part.asked_days > 0 and not part.extended_days
    open_yet = part.answer is None and not part.withdrawn and state.accepted_at is not None
    return asked and open_yet and not answer_term(state, part, rules).overdue(now)


def _officer_may_approve(state: State, who: Subject, now: datetime) -> bool:
    if state.application.lane is not Lane.EMERGENCY or state.phase(now) in _OVER or state.officer:
        return False
    involved = {state.application.applicant, *(each.approved_by for each in state.parts.values())}
    return who.id not in involved


def _for_provider(state: State, part: Part, who: Subject, now: datetime) -> str:
    phase = state.phase(now)
    if part.withdrawn or phase not in (Phase.ANSWERING, Phase.ANSWERED):
        return ""
    if state.application.lane is Lane.EMERGENCY:
        own = who.id in (state.application.applicant, state.officer)
        return "" if part.approved_by or own else "approve"
    if part.answer is None:
        return "answer"
    if state.step and state.disputed == part.department:
        return "dispute"
    return "deliver" if part.answer.columns and part.delivered_at is None else ""


# --- those who answer and watch over --------------------------------------------------------------------------------


def for_handler(state: State, who: Subject, rules: Rules, now: datetime) -> set[str]:
    """Return the acts that are offered to a provider's steward, the data bureau or a security officer."""
    over = state.phase(now) in _OVER
    found = set()
    if Role.DATA_BUREAU in who.roles:
        found |= _bureau_can(state, rules, now)
        found |= set() if over else {"resume" if state.suspended else "suspend", "withdraw"}
    if Role.SECURITY_OFFICER in who.roles and not over:
        found.add("resume" if state.suspended else "suspend")
        found |= {"approve"} if _officer_may_approve(state, who, now) else set()
    part = state.parts.get(who.department)
    if Role.DEPARTMENT_STEWARD in who.roles and part is not None and not over:
        found |= _provider_can(state, part, who, rules, now)
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


def _provider_can(state: State, part: Part, who: Subject, rules: Rules, now: datetime) -> set[str]:
    found, waits = set(), _for_provider(state, part, who, now)
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


# --- those who apply ------------------------------------------------------------------------------------------------


def for_applicant(state: State, who: Subject, rules: Rules, now: datetime) -> set[str]:
    """Return the acts that are offered to the applicant and the applying department's steward."""
    phase, own = state.phase(now), state.application.department == who.department
    steward = own and Role.DEPARTMENT_STEWARD in who.roles
    if not (steward or (own and state.application.applicant == who.id)):
        return set()
    found = {"again"}
    if steward:
        found |= {Phase.UNSIGNED: {"sign"}, Phase.RETURNED: {"complete"}}.get(phase, set())
    if phase not in _OVER:
        found.add("withdraw")
        found |= {"object"} if disputable(state, rules, now) else set()
    if state.step:
        found |= {"settle"} | ({"escalate"} if state.step != STEPS[-1] else set())
    return found


def disputable(state: State, rules: Rules, now: datetime) -> list[str]:
    """Return the providers that have refused, are late or have suspended, while no dispute is open (art. 28)."""
    if state.step or state.phase(now) in _OVER:
        return []
    return [
        part.department
        for part in state.parts.values()
        if not part.withdrawn and (part.refused or part.suspended or _late(state, part, rules, now))
    ]


def _late(state: State, part: Part, rules: Rules, now: datetime) -> bool:
    waits = part.answer is None and state.accepted_at is not None
    return waits and answer_term(state, part, rules).overdue(now)
