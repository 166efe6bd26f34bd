"""What a differentially private question costs, whether it may be asked so, and what ``explain`` says of it.

Made from question and policy alone. Whether the budget reaches is each department's to say, from its own ledger.

Spec: docs/spec/privacy-budget.md.
"""

from fractions import Fraction
from math import sqrt

from middleplatform.disclosure.privacy import Noise, expected_error, noise_of
from middleplatform.errors import DisclosureError, QueryError
from middleplatform.model.budget import POLICY, epsilon_at, is_share, read_rho, rho_text
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Plan
from middleplatform.model.policy import Bundle, PrivacyRule
from middleplatform.model.request import QueryRequest
from middleplatform.planner.bounded import bounds_of, check_private, public_labels

__all__ = ["asked_noise", "block_noise", "block_noises", "check_noise", "noise_limits", "spent"]

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


def check_noise(
    request: QueryRequest, decision: Decision, plan: Plan, catalog: Catalog, bundle: Bundle
) -> None:
    """Return only if a question may be answered in the way that it asks for; departments check again.

    Raises:
        DisclosureError: D012 policy answers with noise only; D014 policy offers no noise, or a measure has no cap.
        QueryError: Q040 more than policy lets one answer spend, or shares that no ledger takes; Q031 sealed, joined in
            private, or of a form that cannot be bounded.
    """
    if not request.noise:
        if decision.disclosure.method == "noise":
            raise DisclosureError("D012", rule="R5")
        return
    if decision.disclosure.privacy is None:
        found = {name for block in plan.blocks for name in block.facts.datasets}
        names = ", ".join(sorted(found))
        raise DisclosureError("D014", what=(names or "this", names or "该查询"))
    most, rho = decision.disclosure.privacy.rho, spent(request, decision)
    if rho > most:
        what = (f"noise: one answer may spend {most} at most", f"noise：单次作答最多 {most}")
        raise QueryError("Q040", what=what)
    if not is_share(rho / max(len(plan.blocks), 1), most):
        what = ("noise: the statement has too many parts", "noise：语句包含的部分过多")
        raise QueryError("Q040", what=what)
    if request.sealed_for or any(block.join is not None for block in plan.blocks):
        what = (
            "differential privacy of sealed answers and private joins",
            "密封结果与隐私连接的差分隐私作答",
        )
        raise QueryError("Q031", rule="R10", what=what)
    for block in plan.blocks:
        check_private(block.cell, block.layout, catalog)
    _noises(request, decision, plan, catalog, bundle)  # a measure without a cap is refused here


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


def block_noises(
    plan: Plan, decision: Decision, bundle: Bundle, catalog: Catalog, noise: str
) -> tuple[Noise, ...]:
    """Return the noise of each block, as its departments compute it; none where none is asked for.

    Raises:
        DisclosureError: D014 a measure has no cap.
    """
    rule = decision.disclosure.privacy
    if not noise or rule is None:
        return ()
    return tuple(
        noise_of(
            block.layout, rule, Fraction(noise),
            bounds_of(block.layout, block.cell.rows, bundle, rule.rows).caps, _cells(block, catalog),
        )
        for block in plan.blocks
    )  # fmt: skip


def _cells(block: Block, catalog: Catalog) -> int | None:
    labels = public_labels(block.cell, catalog)
    return None if labels is None else len(labels)


def _noises(
    request: QueryRequest, decision: Decision, plan: Plan, catalog: Catalog, bundle: Bundle
) -> tuple[Noise, ...]:
    """Return the noise of each block, as its departments will make it."""
    return block_noises(plan, decision, bundle, catalog, block_noise(request, decision, plan))


def noise_limits(
    request: QueryRequest, decision: Decision, plan: Plan, catalog: Catalog, bundle: Bundle
) -> tuple[Note, ...]:
    """Return the sentences of ``explain`` on the cost of an answer and on its error; none without noise."""
    rule, rho = decision.disclosure.privacy, spent(request, decision)
    if rule is None or not rho:
        return ()
    made = _noises(request, decision, plan, catalog, bundle)
    half = min([noise.delta_epsilon for noise in made], default=rule.delta)
    # Each block that shows labels by a noisy count spends a part of delta of its own.
    delta = half + sum(noise.delta - noise.delta_epsilon for noise in made)
    errors = [_errors(block, noise) for block, noise in zip(plan.blocks, made, strict=True)]
    return (_cost(rule, rho, (half, delta), len(plan.blocks)), *errors)


def _errors(block: Block, noise: Noise) -> Note:
    """Tell what noise changes each aggregate by; each department of a secure sum adds its own."""
    found = expected_error(block.layout, noise)
    parties = sqrt(len(block.departments))
    kinds = [formula.kind.value for formula in block.layout.formulas]
    known = [
        (kind, None if error is None else f"{error * parties:,.1f}")
        for kind, error in zip(kinds, found, strict=True)
    ]
    english = ", ".join(f"{kind} {value or 'by the cell'}" for kind, value in known)
    chinese = "，".join(f"{kind} {value or '随单元格而定'}" for kind, value in known)
    few = noise.threshold
    hidden = "" if few is None else f"; labels are shown from a noisy count of {few} units"
    kept = "" if few is None else f"；带噪单元数达到 {few} 才显示标签"
    return (
        f"expected absolute error of each cell of {block.name}: {english}{hidden}",
        f"{block.name} 各单元格的预期绝对误差：{chinese}{kept}",
    )


def _cost(rule: PrivacyRule, rho: Fraction, deltas: tuple[Fraction, Fraction], blocks: int) -> Note:
    epsilon, delta = f"{epsilon_at(rho, deltas[0]):.3f}", deltas[1]
    each = f", {rho_text(rho / blocks)} a block" if blocks > 1 else ""
    told = f"，每个发布块 {rho_text(rho / blocks)}" if each else ""
    return (
        (
            f"differentially private: spends rho {rho} of every dataset that is read{each}; that is epsilon"
            f" {epsilon} at delta {delta}, for at most {rule.groups} groups a unit, {rule.rows} rows a group"
        ),
        (
            f"差分隐私：对所涉每个数据集消耗 rho {rho}{told}；即 delta {delta} 时 epsilon {epsilon}，"
            f"每单元最多计入 {rule.groups} 个分组、每组 {rule.rows} 行"
        ),
    )
