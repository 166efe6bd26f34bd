"""What must be done to a permitted statement: bands, coarser dates, region filters, withheld codes.

Each one is told to the analyst; asked strictly, it refuses instead.
"""

from collections.abc import Sequence

from middleplatform.model.catalog import Catalog, Level, Use
from middleplatform.model.decision import Obligation, Reason
from middleplatform.model.policy import Bundle, ColumnRule, Grant
from middleplatform.model.query import ColumnUse, Context, QueryFacts
from middleplatform.model.request import Subject
from middleplatform.policy import evaluate, regions

__all__ = ["obligations"]


def obligations(
    facts: QueryFacts, subject: Subject, used: Sequence[Grant], bundle: Bundle, catalog: Catalog
) -> tuple[tuple[Obligation, ...], list[Reason]]:
    """Return the obligations of a statement, and as reasons those that change what was asked."""
    found: dict[tuple[str, str, str], Obligation] = {}
    reasons: list[Reason] = []
    for use in facts.uses:
        rule = evaluate.column_rule(bundle, use.dataset, use.column)
        duty = _grouped(use, rule)
        if duty is not None and (duty.kind, duty.dataset, duty.column) not in found:
            found[duty.kind, duty.dataset, duty.column] = duty
            reasons.append(
                Reason(
                    "R4",
                    duty.told,
                    f"{use.dataset}.{use.column}",
                    bundle.datasets[use.dataset].owner,
                    bundle.version,
                    use.span,
                )
            )
    for duty in _withheld(facts, bundle, catalog):
        found[duty.kind, duty.dataset, duty.column] = duty
    for duty in _region_filters(facts, subject, used, catalog):
        found[duty.kind, duty.dataset, duty.column] = duty
    return tuple(found.values()), reasons


def _grouped(use: ColumnUse, rule: ColumnRule) -> Obligation | None:
    if use.context is not Context.GROUP or use.per_unit:
        return None
    if rule.generalise and Use.DIMENSION in rule.uses:
        width = rule.generalise
        return Obligation(
            "band",
            use.dataset,
            use.column,
            (str(width),),
            (
                f"{use.column} was grouped in bands of {width} (shown by their lower ends)",
                f"{use.column} 已按 {width} 分段分组（显示各段下限）",
            ),
        )
    if rule.bucket and Use.DATE in rule.uses:
        return Obligation(
            "bucket",
            use.dataset,
            use.column,
            (rule.bucket,),
            (
                f"{use.column} was grouped by {rule.bucket}",
                f"{use.column} 已按{_CHINESE.get(rule.bucket, rule.bucket)}分组",
            ),
        )
    return None


_CHINESE = {"month": "月", "quarter": "季度", "year": "年"}


def _withheld(facts: QueryFacts, bundle: Bundle, catalog: Catalog) -> list[Obligation]:
    """Leave withheld codes out of every question to the dataset: else a total would tell them by subtraction."""
    named = {(use.dataset, use.column) for use in facts.uses}
    found: list[Obligation] = []
    for name in facts.datasets:
        dataset = evaluate.dataset_rule(bundle, name)
        for column, rule in () if dataset is None else dataset.columns.items():
            held = catalog.datasets[name].columns[column].held
            if not rule.withheld or not (held or (name, column) in named):
                continue
            ranges = tuple(f"{each.first}-{each.last}" for each in rule.withheld)
            told = ", ".join(ranges)
            found.append(
                Obligation(
                    "withhold",
                    name,
                    column,
                    ranges,
                    (
                        f"rows with {column} {told} were left out: not shared by law",
                        f"已排除 {column} 为 {told} 的行：依法不予共享",
                    ),
                )
            )
    return found


def _region_filters(
    facts: QueryFacts, subject: Subject, used: Sequence[Grant], catalog: Catalog
) -> list[Obligation]:
    scope = evaluate.region_scope(subject, used)
    if scope == (regions.ALL,):
        return []
    found = []
    for name in facts.datasets:
        dataset = catalog.datasets[name]
        if not dataset.region_column or all(
            column.level is Level.GENERAL_1 for column in dataset.columns.values()
        ):
            continue
        shown = ", ".join(scope)
        found.append(
            Obligation(
                "region",
                name,
                dataset.region_column,
                scope,
                (f"{name} was cut to region {shown}", f"{name} 已限定在区域 {shown}"),
            )
        )
    return found
