"""What a differentially private question costs, whether it may be asked so, and what ``explain`` says of it.

Made from question and policy alone. Whether the budget reaches is each department's to say, from its own ledger.

Spec: docs/spec/privacy-budget.md.
"""

from fractions import Fraction

from middleplatform.errors import DisclosureError, QueryError
from middleplatform.model.budget import POLICY, epsilon_at, read_rho, rho_text
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Plan
from middleplatform.model.query import QueryFacts
from middleplatform.model.request import QueryRequest

__all__ = ["asked_noise", "block_noise", "check_noise", "noise_limits", "spent"]

Note = tuple[str, str]


def asked_noise(text: str) -> str:
    """Return what was asked for in its one form: empty, ``policy``, or a reduced fraction.

    Raises:
        QueryError: Q040 it is none of these.
    """
    if not text:
        return ""
    rho = read_rho(text)
    return POLICY if rho is None else rho_text(rho)


def check_noise(request: QueryRequest, decision: Decision, plan: Plan, facts: QueryFacts) -> None:
    """Return only if a question may be answered in the way that it asks for; departments check again.

    Raises:
        DisclosureError: D012 policy answers with noise only, D014 policy offers no noise.
        QueryError: Q040 more than policy lets one answer spend; Q031 sealed, or joined in private.
    """
    if not request.noise:
        if decision.disclosure.method == "noise":
            raise DisclosureError("D012", rule="R5")
        return
    if decision.disclosure.privacy is None:
        names = ", ".join(facts.datasets)
        raise DisclosureError("D014", what=(names or "this", names or "该查询"))
    most = decision.disclosure.privacy.rho
    if spent(request, decision) > most:
        what = (f"noise: one answer may spend {most} at most", f"noise：单次作答最多 {most}")
        raise QueryError("Q040", what=what)
    if request.sealed_for or any(block.join is not None for block in plan.blocks):
        what = (
            "differential privacy of sealed answers and private joins",
            "密封结果与隐私连接的差分隐私作答",
        )
        raise QueryError("Q031", rule="R10", what=what)


def spent(request: QueryRequest, decision: Decision) -> Fraction:
    """Return the privacy loss of a whole answer, 0 without noise; the same of every dataset that it reads.

    Raises:
        QueryError: Q040 the request's noise is no loss.
    """
    if not request.noise or decision.disclosure.privacy is None:
        return Fraction(0)
    asked = read_rho(request.noise)
    return decision.disclosure.privacy.rho if asked is None else asked


def block_noise(request: QueryRequest, decision: Decision, plan: Plan) -> str:
    """Return the loss of each release block, as ``Fragment.noise`` has it: equal shares of the answer's."""
    rho = spent(request, decision)
    return rho_text(rho / max(len(plan.blocks), 1)) if rho else ""


def noise_limits(request: QueryRequest, decision: Decision, plan: Plan) -> tuple[Note, ...]:
    """Return the sentences of ``explain`` on the cost of an answer; none without noise."""
    rule, rho = decision.disclosure.privacy, spent(request, decision)
    if rule is None or not rho:
        return ()
    epsilon = f"{epsilon_at(rho, rule.delta):.3f}"
    each = f", {rho_text(rho / len(plan.blocks))} a block" if len(plan.blocks) > 1 else ""
    told = f"，每个发布块 {rho_text(rho / len(plan.blocks))}" if each else ""
    return (
        (
            (
                f"differentially private: spends rho {rho} of every dataset that is read{each}; that is epsilon"
                f" {epsilon} at delta {rule.delta}, for at most {rule.groups} groups a unit, {rule.rows} rows a group"
            ),
            (
                f"差分隐私：对所涉每个数据集消耗 rho {rho}{told}；即 delta {rule.delta} 时 epsilon {epsilon}，"
                f"每单元最多计入 {rule.groups} 个分组、每组 {rule.rows} 行"
            ),
        ),
    )
