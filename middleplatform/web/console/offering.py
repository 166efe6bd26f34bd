"""What an application waits for with a person, and which acts its page offers them; whoever tries is judged again.

Pages leave out what would be refused; nothing here allows anything. Spec: docs/spec/grants.md, "States".
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from middleplatform.errors import MiddleplatformError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import STEPS, Answer, Lane, Part, Phase, State
from middleplatform.governance.terms import Rules, answer_term, terms
from middleplatform.model.request import Role, Subject, same_person

__all__ = ["WAITS", "disputable", "extendable", "offered", "passes", "waits_for"]

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


def waits_for(state: State, who: Subject, rules: Rules, now: datetime) -> str:
    """Return for what an application waits with ``who``: a key of ``WAITS``, empty for nothing."""
    found = ""
    if Role.DATA_BUREAU in who.roles:
        found = _for_bureau(state, rules, now)
    if not found and Role.SECURITY_OFFICER in who.roles:
        found = "approve" if passes(lambda: stopping.approve(state, who, now)) else ""
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
    if state.application.lane is not Lane.EMERGENCY:
        return ""
    review = any(each.met_at is None for each in terms(state, rules, now))
    return "review" if review else ""


def extendable(state: State, part: Part, rules: Rules, now: datetime) -> bool:
    """Say whether an extension was asked for that can still be consented to."""
    asked = part.asked_days > 0 and not part.extended_days
    open_yet = part.answer is None and not part.withdrawn and state.accepted_at is not None
    return asked and open_yet and not answer_term(state, part, rules).overdue(now)


def _for_provider(state: State, part: Part, who: Subject, now: datetime) -> str:
    phase = state.phase(now)
    if part.withdrawn or phase not in (Phase.ANSWERING, Phase.ANSWERED):
        return ""
    if state.application.lane is Lane.EMERGENCY:
        return "approve" if passes(lambda: stopping.approve(state, who, now)) else ""
    if part.answer is None:
        return "answer"
    if state.step and state.disputed == part.department:
        return "dispute"
    return "deliver" if part.answer.columns and part.delivered_at is None else ""


# --- what is offered ------------------------------------------------------------------------------------------------

_WORD, _LAW = "-", "《-》"
_Try = Callable[[State, Subject, Rules, datetime], object]


def _refusal(state: State) -> Answer:
    return Answer(frozenset(), frozenset(), (), state.application.ends, _WORD, _LAW)


def _of_any(state: State, make: Callable[[str], object]) -> object:
    """Do ``make`` for the first provider for whom it passes; refuse as for the last."""
    *others, last = state.parts or ("",)
    for each in others:
        if passes(partial(make, each)):
            return None
    return make(last)


_TRIES: Mapping[str, _Try] = {
    "sign": lambda state, who, _, now: acts.sign(state, who, now),
    "return": lambda state, who, _, now: acts.send_back(state, [_WORD], who, now),
    "accept": lambda state, who, _, now: acts.accept(state, who, now),
    "extend": lambda state, who, rules, now: acts.extend(state, 1, _WORD, who, now, rules),
    "consent": lambda state, who, rules, now: _of_any(
        state, lambda each: acts.consent(state, each, who, now, rules)
    ),
    "answer": lambda state, who, _, now: acts.answer(state, _refusal(state), who, now),
    "deliver": lambda state, who, _, now: acts.deliver(state, who, now),
    "approve": lambda state, who, _, now: stopping.approve(state, who, now),
    "suspend": lambda state, who, _, now: stopping.suspend(state, _WORD, who, now, _LAW),
    "resume": lambda state, who, _, now: stopping.resume(state, _WORD, who, now),
    "withdraw": lambda state, who, _, now: stopping.withdraw(state, _WORD, who, now, _LAW),
    "object": lambda state, who, rules, now: _of_any(
        state, lambda each: stopping.object_to(state, each, _WORD, who, now, rules)
    ),
    "escalate": lambda state, who, _, now: stopping.escalate(state, _WORD, who, now),
    "settle": lambda state, who, _, now: stopping.settle(state, _WORD, who, now),
    "review": lambda state, who, _, now: stopping.review(state, _WORD, who, now),
}
"""Each act as somebody would do it who fills in every field; nothing comes of trying."""


def offered(state: State, who: Subject, rules: Rules, now: datetime) -> set[str]:
    """Return the acts that ``who`` could do now, found by trying: so no page knows rules of its own.

    Beside them ``complete`` for the steward whose file was returned, and ``again`` for the applying side.
    """
    found = {name for name, do in _TRIES.items() if passes(partial(do, state, who, rules, now))}
    own = state.application.department == who.department
    steward = own and Role.DEPARTMENT_STEWARD in who.roles
    if steward and state.phase(now) is Phase.RETURNED:
        found.add("complete")
    if steward or (own and same_person(state.application.applicant, who.id)):
        found.add("again")
    return found


def disputable(state: State, who: Subject, rules: Rules, now: datetime) -> list[str]:
    """Return the providers that ``who`` could object to: that refused, are late or have suspended (art. 28)."""
    given = (_WORD, who, now, rules)
    return [
        each for each in state.parts if passes(partial(stopping.object_to, state, each, *given))
    ]


def passes(do: Callable[[], object]) -> bool:
    """Say whether an act, tried, is not refused."""
    try:
        do()
    except MiddleplatformError:
        return False
    return True
