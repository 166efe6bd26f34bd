"""Stage 3: facts, subject, purpose and bundle in; a decision out. Pure and total: what is unknown is denied.

The same function runs at the gateway, on the fragments that the gateway generates, and in every node on its own
bundle. Spec: docs/spec/policy-bundle.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from middleplatform.authorization.contexts import judge_use
from middleplatform.authorization.obligations import obligations
from middleplatform.model.catalog import Catalog, Level
from middleplatform.model.decision import Decision, Reason
from middleplatform.model.policy import Bundle, DisclosureParameters, Grant
from middleplatform.model.query import Clause, ColumnUse, Context, QueryFacts
from middleplatform.model.request import Subject
from middleplatform.policy import evaluate, regions

__all__ = ["Asking", "authorize", "counted", "operation_of"]

# Which of several reasons is told: the first of these. A refusal always has at least one.
_PRIORITY = (
    "R1",
    "R10",
    "R7",
    "R12",
    "R11",
    "R5",
    "R2",
    "R13",
    "R3",
    "R9",
    "R6",
    "R8",
    "R4",
    "R0",
    "G2",
    "G1",
    "G3",
    "G4",
    "G5",
)

_OPERATIONS = {
    Context.GROUP: "group", Context.GROUP_BUCKET: "group", Context.GROUP_BAND: "group",
    Context.COMPARE: "filter", Context.COMPARE_BUCKET: "filter", Context.NULL_TEST: "filter",
    Context.JOIN_KEY: "join", Context.COUNT: "count", Context.COUNT_DISTINCT: "count", Context.UNIT_GROUP: "count",
    Context.SUM: "aggregate",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asking:
    """The circumstances of a statement.

    Attributes:
        subject: Who asks.
        purpose: Why.
        now: When, UTC.
        recipient: Department that receives the answer; the subject's own when empty.
        strict: Refuse instead of rewriting.
        inside: Asked inside the owning department, past no gateway: its stewards may see their own small cells.
        project: What history is kept for; empty or the department's own, or one that policy lists.
    """

    subject: Subject
    purpose: str
    now: datetime
    recipient: str = ""
    strict: bool = False
    project: str = ""
    inside: bool = False


def authorize(facts: QueryFacts, asking: Asking, bundle: Bundle, catalog: Catalog) -> Decision:
    """Decide whether a statement with these facts may run.

    Returns:
        A decision; when it permits, its obligations must be met before anything runs. ``reasons`` are ordered, the
        one that is told first.
    """
    grants = evaluate.active_grants(bundle, asking.subject, asking.purpose, asking.now)
    # Through the gateway nobody sees small cells, not even of his own data: the gateway would see them too.
    own = (
        evaluate.own_data(bundle, asking.subject, grants, facts.datasets) if asking.inside else None
    )
    parameters, owner = _disclosure(facts, bundle, own)
    reasons = [*_forms(facts, bundle), *_columns(facts, bundle), *_shape(facts, bundle, parameters)]
    reasons += _purposes(facts, asking, bundle)
    used, refused = _grants(facts, grants, bundle, catalog)
    reasons += [
        *refused,
        *_regions(facts, asking, used, catalog, bundle),
        *_recipient(asking, bundle),
        *_project(asking, bundle),
    ]
    duties, told = obligations(facts, asking.subject, used, bundle, catalog)
    if asking.strict:
        reasons += told
    order = {rule: place for place, rule in enumerate(_PRIORITY)}
    reasons.sort(key=lambda reason: order.get(reason.rule, len(order)))
    return Decision(
        permit=not reasons,
        reasons=tuple(reasons),
        obligations=duties if not reasons else (),
        bundle_digest=bundle.digest,
        grants=tuple(dict.fromkeys(grant.id for grant in (*used, *([own] if own else [])))),
        disclosure=parameters,
        threshold_owner=owner,
    )


def _disclosure(
    facts: QueryFacts, bundle: Bundle, own: Grant | None
) -> tuple[DisclosureParameters, str]:
    if own is not None:
        return DisclosureParameters(1, (), 0, homogeneity=False, history=False), own.id
    pairs = [(use.dataset, use.column) for use in facts.uses if use.dataset and use.column != "*"]
    found = evaluate.threshold(bundle, pairs, facts.datasets)
    return evaluate.disclosure(bundle, pairs, facts.datasets), found.owner


def _forms(facts: QueryFacts, bundle: Bundle) -> Iterator[Reason]:
    for violation in facts.violations:
        yield Reason(
            violation.rule,
            violation.what,
            policy_version=bundle.version,
            span=violation.span,
            hint=violation.hint,
        )


def _columns(facts: QueryFacts, bundle: Bundle) -> Iterator[Reason]:
    for name in facts.datasets:
        if evaluate.dataset_rule(bundle, name) is None:
            yield Reason(
                "R0", (f"{name} has no policy", f"{name} 没有策略"), policy_version=bundle.version
            )
    for use in dict.fromkeys(facts.uses):
        dataset = evaluate.dataset_rule(bundle, use.dataset)
        if dataset is None or use.context is Context.SMALL_CELLS:
            continue
        rule = evaluate.column_rule(bundle, use.dataset, use.column)
        if use.column == "*":
            # A count per unit is the value of no column; only the dataset's own breakpoints bear on it.
            rule = evaluate.column_rule(bundle, use.dataset, _any_permitted(bundle, use.dataset))
        refusal = judge_use(use, rule, dataset)
        if refusal is not None:
            yield _reason(use, refusal[0], refusal[1], refusal[2], bundle)


def _any_permitted(bundle: Bundle, dataset: str) -> str:
    rule = bundle.datasets[dataset]
    return next((name for name, column in rule.columns.items() if not evaluate.denied(column)), "")


def _reason(
    use: ColumnUse, rule: str, what: tuple[str, str], hint: tuple[str, str], bundle: Bundle
) -> Reason:
    owner = bundle.datasets[use.dataset].owner if use.dataset in bundle.datasets else ""
    return Reason(rule, what, f"{use.dataset}.{use.column}", owner, bundle.version, use.span, hint)


def _shape(facts: QueryFacts, bundle: Bundle, parameters: DisclosureParameters) -> Iterator[Reason]:
    levels = [
        evaluate.column_rule(bundle, use.dataset, use.column).level
        for use in facts.uses
        if use.column != "*" and use.dataset
    ]
    high = max(levels, default=Level.GENERAL_1) >= Level.GENERAL_4
    limit = bundle.limits.group_columns_max_level_4 if high else bundle.limits.group_columns_max
    if facts.group_columns_max > limit:
        yield Reason(
            "R4",
            (f"more than {limit} grouping columns", f"分组列超过 {limit} 个"),
            policy_version=bundle.version,
            hint=("Group by fewer columns.", "请减少分组列。"),
        )
    for use in facts.uses:
        if (
            use.context is Context.SMALL_CELLS
            and isinstance(use.literals[0], int)
            and use.literals[0] < parameters.min_units
        ):
            yield Reason(
                "R6",
                (
                    "HAVING that only withheld cells could meet",
                    "只有被抑制的单元格才能满足的 HAVING",
                ),
                policy_version=bundle.version,
                span=use.span,
                hint=(
                    f"HAVING COUNT(*) >= {parameters.min_units}",
                    f"HAVING COUNT(*) >= {parameters.min_units}",
                ),
            )


def _purposes(facts: QueryFacts, asking: Asking, bundle: Bundle) -> Iterator[Reason]:
    stated = evaluate.purpose(bundle, asking.purpose)
    if stated is None or not stated.roles & asking.subject.roles:
        yield Reason(
            "G2",
            ("the purpose is unknown or not open to this role", "目的未登记或不适用于该角色"),
            policy_version=bundle.version,
        )
        return
    for name in facts.datasets:
        if not evaluate.purpose_permits(bundle, asking.subject, asking.purpose, name):
            rule = evaluate.dataset_rule(bundle, name)
            yield Reason(
                "G2",
                (f"{name} may not be asked for this purpose", f"{name} 不得用于该目的"),
                owner=rule.owner if rule else "",
                policy_version=bundle.version,
            )


def _grants(
    facts: QueryFacts, active: Sequence[Grant], bundle: Bundle, catalog: Catalog
) -> tuple[list[Grant], list[Reason]]:
    used: list[Grant] = []
    refused: list[Reason] = []
    for use in dict.fromkeys((*facts.uses, *counted(facts, catalog))):
        operation = operation_of(use)
        rule = evaluate.column_rule(bundle, use.dataset, use.column)
        if (
            operation is None
            or use.column == "*"
            or evaluate.denied(rule)
            or not evaluate.needs_grant(rule)
        ):
            continue
        grant = evaluate.covers(active, use.dataset, use.column, operation)
        if grant is not None:
            used.append(grant)
            continue
        refused.append(
            _reason(
                use,
                "G1",
                (
                    f"no grant in force covers {operation} on {use.dataset}.{use.column}",
                    f"没有有效授权允许对 {use.dataset}.{use.column} 执行该操作（{operation}）",
                ),
                ("Apply to the data owner for a grant.", "请向数据提供部门申请授权。"),
                bundle,
            )
        )
    return list(dict.fromkeys(used)), refused


def operation_of(use: ColumnUse) -> str | None:
    """Return the operation that a grant must permit for a use, or None where no grant bears on it."""
    return _OPERATIONS.get(use.context)


def counted(facts: QueryFacts, catalog: Catalog) -> Iterator[ColumnUse]:
    """Yield a use for each dataset: one that is read at all has its units counted, though no column may be named."""
    for name in facts.datasets:
        unit = catalog.datasets[name].unit_column
        yield ColumnUse(name, unit, Context.COUNT_DISTINCT, Clause.SELECT)


def _regions(
    facts: QueryFacts, asking: Asking, used: Sequence[Grant], catalog: Catalog, bundle: Bundle
) -> Iterator[Reason]:
    """Refuse what asks outside the region scope; what merely does not say is filtered (see obligations)."""
    scope = evaluate.region_scope(asking.subject, used)
    if scope == (regions.ALL,):
        return
    for name in facts.datasets:
        dataset = catalog.datasets[name]
        public = all(column.level is Level.GENERAL_1 for column in dataset.columns.values())
        if not dataset.region_column:
            if not public:
                yield Reason(
                    "G3",
                    (f"{name} cannot be cut to a region", f"{name} 无法按区域限定"),
                    owner=dataset.owner,
                    policy_version=bundle.version,
                )
            continue
        if not scope and not public:
            yield Reason(
                "G3",
                ("no region is in the scope", "授权范围内没有任何区域"),
                owner=dataset.owner,
                policy_version=bundle.version,
            )
            continue
        for use in facts.uses:
            outside = (
                use.dataset == name
                and use.column == dataset.region_column
                and use.context is Context.COMPARE
                and use.clause is not Clause.SELECT
            )
            if (
                outside
                and any(
                    not any(regions.covers(one, str(value)) for one in scope)
                    for value in use.literals
                )
                and not public
            ):
                yield _reason(
                    use,
                    "G3",
                    ("a region outside the scope", "超出授权的区域范围"),
                    ("", ""),
                    bundle,
                )


def _recipient(asking: Asking, bundle: Bundle) -> Iterator[Reason]:
    if asking.recipient and asking.recipient != asking.subject.department:
        yield Reason(
            "G4",
            (
                "the answer may go only to the asking department (decree 809 art. 25)",
                "结果只能提供给申请部门本身（条例第25条）",
            ),
            policy_version=bundle.version,
        )


def _project(asking: Asking, bundle: Bundle) -> Iterator[Reason]:
    """A project of the analyst's own naming would have no history: only those that officers list count."""
    known = {"", asking.subject.department, *bundle.limits.projects}
    if asking.project not in known and "*" not in known:
        yield Reason(
            "G5",
            ("the project is not registered", "项目未登记"),
            policy_version=bundle.version,
            hint=("Ask within your department's own project.", "请在本部门项目下查询。"),
        )
