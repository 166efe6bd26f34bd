"""What would happen to a statement, stage by stage, for the person who asks."""

from middleplatform.errors import MiddleplatformError
from middleplatform.gateway.flows import flows
from middleplatform.gateway.join_explain import join_steps
from middleplatform.gateway.noise import noise_limits
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision, Reason
from middleplatform.model.plan import Block, Plan
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Explanation, Step

__all__ = ["RELEASED_ONLY", "explanation"]

RELEASED_ONLY = (
    "aggregates and windows over groups were computed over released cells only",
    "对分组的聚合与窗口只基于已发布的单元格计算",
)

Judged = tuple[QualifiedQuery, Decision, Plan]


def explanation(
    request: QueryRequest,
    outcome: Judged | MiddleplatformError,
    catalog: Catalog,
    bundle: Bundle,
    key_holder: str = "",
) -> Explanation:
    """Return the explanation of a statement that was judged and planned, or refused on the way.

    Args:
        request: What was asked.
        outcome: What became of it.
        catalog: For names.
        bundle: Of the policy.
        key_holder: Party that removes the masks of private joins, or empty where the platform has none.
    """
    if isinstance(outcome, MiddleplatformError):
        return _refused(outcome)
    query, decision, plan = outcome
    steps = [
        Step(
            "parse",
            "gateway",
            ("one SELECT of the PostgreSQL dialect", "一条 PostgreSQL 方言的 SELECT"),
            request.sql,
        ),
        Step(
            "qualify",
            "gateway",
            (
                f"{len(query.cells)} release block(s) over {', '.join(query.facts.datasets) or 'no table'}",
                f"{len(query.cells)} 个发布块，涉及 {'、'.join(query.facts.datasets) or '无表'}",
            ),
        ),
        Step(
            "authorize",
            "gateway",
            (
                f"permitted by policy {bundle.name} {bundle.version}",
                f"策略 {bundle.name} {bundle.version} 允许",
            ),
            ", ".join(decision.grants),
        ),
    ]
    for block in plan.blocks:
        sealed = bool(request.sealed_for)
        steps += _block_steps(block, decision, catalog, key_holder, sealed=sealed)
    steps.append(
        Step(
            "combine",
            "gateway",
            (
                "runs what stands above the release boundary, on released cells",
                "在已发布单元格上执行发布边界以上的部分",
            ),
            plan.post_sql,
        )
    )
    steps.append(
        Step(
            "disclose",
            "gateway",
            ("logs the release; no receipt, no answer", "记录发布；无回执不应答"),
        )
    )
    limits = (*_limits(decision), *noise_limits(request, decision, plan, catalog, bundle))
    moved = flows(request, plan, catalog, bundle, key_holder)
    return Explanation("permit", "", (), plan.protocol, tuple(steps), plan.notes, limits, moved)


def _refused(error: MiddleplatformError) -> Explanation:
    reasons = tuple(reason for reason in error.reasons if isinstance(reason, Reason))
    if not reasons:
        reasons = (
            Reason(
                error.rule,
                (error.message("en"), error.message("zh")),
                hint=(error.hint("en"), error.hint("zh")),
            ),
        )
    return Explanation("refuse", error.code, reasons, "", ())


def _block_steps(
    block: Block, decision: Decision, catalog: Catalog, key_holder: str, *, sealed: bool
) -> list[Step]:
    least = decision.disclosure.min_units
    if block.protocol == "local":
        (department,) = block.departments
        learns = (
            "the question, nothing of other departments",
            "只知道问题本身，不知道其他部门的任何内容",
        )
        return [
            Step(
                "dispatch",
                department,
                (
                    f"{_name(department, catalog)[0]} runs this and judges it by its own policy",
                    f"{_name(department, catalog)[1]}执行该语句并按自身策略审查",
                ),
                block.sql,
                learns,
            ),
            Step(
                "dispatch",
                "gateway",
                (
                    f"receives cells over at least {least} units, the others marked",
                    f"收到不少于 {least} 个单元的单元格，其余为抑制标记",
                ),
                "",
                ("released cells", "已发布的单元格"),
            ),
        ]
    if block.join is not None:
        return join_steps(block, block.join, key_holder, catalog, sealed=sealed)
    names = ", ".join(block.departments)
    return [
        Step("dispatch", names, (
            "each runs this, adds pairwise masks and sends masked words", "各部门分别执行，加上成对掩码后发出"),
            block.sql, ("how many groups exist in all", "全部分组的数量")),
        Step("dispatch", "gateway", ("adds the masked words; only totals show", "将掩码值相加，只有合计可见"), "", (
            ("totals of nameless groups, and labels of those that survive; no department's own numbers"
            " (unless it colludes with all others)"),
            "无名分组的合计，以及保留分组的标签；不知道任何一个部门自己的数字（除非与其余全部部门合谋）")),
        Step("disclose", "gateway", (
            f"withholds totals over fewer than {least} units", f"抑制不足 {least} 个单元的合计")),
    ]  # fmt: skip


def _name(code: str, catalog: Catalog) -> tuple[str, str]:
    department = catalog.departments.get(code)
    return (department.name_en, department.name_zh) if department else (code, code)


def _limits(decision: Decision) -> tuple[tuple[str, str], ...]:
    least, owner = decision.disclosure.min_units, decision.threshold_owner
    return (
        (
            f"threshold of {least} distinct units, imposed by {owner or 'the platform'}",
            f"最小单元数 {least}，由 {owner or '平台'} 规定",
        ),
    )
