"""Whether a statement's aggregates may leave in the way that was asked for: shown, or encrypted for a key.

The same function serves the gateway and, on its own bundle, every node.
"""

from middleplatform.model.decision import Reason
from middleplatform.model.policy import Bundle
from middleplatform.model.query import ColumnUse, Context, QueryFacts
from middleplatform.policy import evaluate

__all__ = ["release_refusals"]

_AGGREGATED = frozenset({Context.SUM, Context.COUNT, Context.COUNT_DISTINCT})
_GROUPED = frozenset({Context.GROUP, Context.GROUP_BUCKET, Context.GROUP_BAND})


def release_refusals(facts: QueryFacts, bundle: Bundle, *, sealed: bool) -> tuple[Reason, ...]:
    """Return why a statement may not be answered in this way; empty where it may.

    A column of ``release: sealed`` may be aggregated only under a key, and not grouped by: labels are always shown. A
    measure of ``release: plain`` may not be sealed. Counts of rows are no column's value and may be either.

    Args:
        facts: Of the statement.
        bundle: Of the party that asks.
        sealed: Whether the values would leave encrypted.

    Reveals:
        Nothing of data: it follows from statement and policy.
    """
    found = [_refusal(use, bundle, sealed=sealed) for use in dict.fromkeys(facts.uses)]
    return tuple(reason for reason in found if reason is not None)


def _refusal(use: ColumnUse, bundle: Bundle, *, sealed: bool) -> Reason | None:
    if use.column == "*" or not use.dataset:
        return None
    release = evaluate.column_rule(bundle, use.dataset, use.column).release
    name = f"{use.dataset}.{use.column}"
    if release == "sealed" and use.context in _GROUPED:
        what = (
            f"{name} leaves sealed only, and labels are shown",
            f"{name} 只能密封发布，而标签是明文",
        )
        return _reason(use, bundle, "R4", what, ("", ""))
    if release == "sealed" and not sealed and use.context in _AGGREGATED:
        what = (f"aggregates of {name} leave sealed only", f"{name} 的汇总值只能密封发布")
        hint = (
            "Ask with the id of a published key: --sealed-for KEY",
            "请指定已登记公钥的编号：--sealed-for KEY",
        )
        return _reason(use, bundle, "R3", what, hint)
    if release == "plain" and sealed and use.context is Context.SUM:
        what = (f"aggregates of {name} may not be sealed", f"{name} 的汇总值不得密封发布")
        return _reason(
            use, bundle, "R3", what, ("Ask without --sealed-for.", "请去掉 --sealed-for 再查询。")
        )
    return None


def _reason(
    use: ColumnUse, bundle: Bundle, rule: str, what: tuple[str, str], hint: tuple[str, str]
) -> Reason:
    owner = bundle.datasets[use.dataset].owner if use.dataset in bundle.datasets else ""
    return Reason(rule, what, f"{use.dataset}.{use.column}", owner, bundle.version, use.span, hint)
