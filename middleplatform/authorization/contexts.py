"""Which class of column may stand in which context: rules R1 to R4, R10 and R12 as one function a class.

Each function returns None when the use is permitted, or (rule, (English, Chinese), hint) when it is not. A use that no
function names is refused: the tables are allow-lists.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeAlias

from middleplatform.model.catalog import Sharing, Use
from middleplatform.model.policy import LAST_CODE as LAST
from middleplatform.model.policy import ColumnRule, DatasetRule
from middleplatform.model.query import Clause, ColumnUse, Context, Value
from middleplatform.policy import evaluate

__all__ = ["Refusal", "judge_use"]

Refusal: TypeAlias = tuple[str, tuple[str, str], tuple[str, str]]

_ORDER = {"month": 1, "quarter": 2, "year": 3}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_NO_HINT = ("", "")

# Misuse inside these clauses is told by the clause's own rule.
_CLAUSE_RULES = {Clause.HAVING: "R6", Clause.ORDER_BY: "R8", Clause.WINDOW: "R7"}

_ALWAYS: Mapping[Context, tuple[str, tuple[str, str]]] = {
    Context.PARTIAL: (
        "R13",
        ("an expression that can fail on some rows", "在某些行上会出错的表达式"),
    ),
    Context.CORRELATED: ("R12", ("a correlated or predicate subquery", "相关子查询或谓词子查询")),
    Context.JOIN_OTHER: ("R10", ("a join on a column that is no key", "按非主键的列连接")),
}


def judge_use(use: ColumnUse, rule: ColumnRule, dataset: DatasetRule) -> Refusal | None:
    """Judge one use of one column; None permits.

    Args:
        use: What the statement does with the column.
        rule: What the bundle says of the column (``evaluate.DENIED`` for an unknown one).
        dataset: What it says of the dataset.
    """
    if evaluate.denied(rule):
        because = f" ({rule.law})" if rule.sharing is Sharing.NOT_SHARED else ""
        return (
            "R1",
            (f"{use.column} may not be used{because}", f"{use.column} 不得使用{because}"),
            _NO_HINT,
        )
    if use.context is Context.PASS:
        return None
    refusal = _by_class(use, rule, dataset)
    if refusal is None:
        return None
    own = _CLAUSE_RULES.get(use.clause)
    if own is not None and use.context not in (
        Context.COMPARE,
        Context.COMPARE_BUCKET,
        Context.NULL_TEST,
    ):
        return own, refusal[1], refusal[2]
    return refusal


def _by_class(use: ColumnUse, rule: ColumnRule, dataset: DatasetRule) -> Refusal | None:
    fixed = _ALWAYS.get(use.context)
    if fixed is not None and not (Use.KEY in rule.uses and use.context is Context.PARTIAL):
        return fixed[0], fixed[1], _NO_HINT
    if use.per_unit:
        return _per_unit(use, rule, dataset)
    refusals: list[Refusal] = []
    for kind in sorted(rule.uses):
        refusal = _CLASSES[kind](use, rule)
        if refusal is None:
            return None
        refusals.append(refusal)
    return refusals[-1]


def _key(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    del rule
    if use.context in (
        Context.JOIN_KEY,
        Context.COUNT_DISTINCT,
        Context.UNIT_GROUP,
        Context.NULL_TEST,
    ):
        return None
    return (
        "R2",
        (
            f"{use.column} is a key: it may only join, be counted distinct, or pre-aggregate by unit",
            f"{use.column} 是主键：只能用于连接、去重计数或逐单位预聚合",
        ),
        (f"COUNT(DISTINCT {use.column})", f"COUNT(DISTINCT {use.column})"),
    )


def _measure(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    if use.context in (Context.SUM, Context.COUNT, Context.NULL_TEST):
        return None
    if use.context is Context.COMPARE:
        return _breakpoint(use, rule.breakpoints)
    if use.context in (Context.OUTPUT, Context.GROUP, Context.DISTINCT):
        hint = (f"AVG({use.column}), SUM({use.column})", f"AVG({use.column})、SUM({use.column})")
    else:
        hint = (
            "SUM, AVG, VAR or STDDEV of an affine expression",
            "仿射表达式的 SUM、AVG、VAR、STDDEV",
        )
    return (
        "R3",
        (
            f"{use.column} is a measure: it may only be summed or compared with its breakpoints",
            f"{use.column} 是度量：只能求和类聚合或与登记的断点比较",
        ),
        hint,
    )


def _breakpoint(
    use: ColumnUse, allowed: tuple[Decimal, ...], *, equality: bool = False
) -> Refusal | None:
    operators = ("<", "<=", ">", ">=", *(("=", "<>") if equality else ()))
    if use.op in operators and all(
        _is_number(value) and Decimal(str(value)) in allowed for value in use.literals
    ):
        return None
    points = (
        ", ".join(
            format(point, "f").rstrip("0").rstrip(".") if "." in str(point) else format(point, "f")
            for point in sorted(allowed)
        )
        or "-"
    )
    return (
        "R3",
        (
            f"{use.column} may be compared (<, <=, >, >=) only with its registered breakpoints",
            f"{use.column} 只能与登记的断点比较（<、<=、>、>=）",
        ),
        (f"breakpoints: {points}", f"断点：{points}"),
    )


def _is_number(value: Value) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _dimension(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    if use.context in (Context.GROUP, Context.COUNT, Context.NULL_TEST, Context.COMPARE_BAND):
        return None
    if use.context is Context.COMPARE:
        return _codes(use, rule)
    if use.context is Context.GROUP_BAND:
        if rule.generalise and int(use.op) % rule.generalise:
            return (
                "R4",
                (
                    f"{use.column} is grouped in bands of {rule.generalise} or multiples of it",
                    f"{use.column} 只能按 {rule.generalise} 的倍数分段",
                ),
                _NO_HINT,
            )
        return None
    if use.context is Context.AGGREGATE_OTHER or use.context is Context.SUM:
        return (
            "R3",
            (
                f"{use.op} of {use.column}: no order statistics, no value-collecting aggregates",
                f"对 {use.column} 使用 {use.op}：不允许次序统计或收集取值的聚合",
            ),
            (f"GROUP BY {use.column}", f"GROUP BY {use.column}"),
        )
    return (
        "R4",
        (
            f"{use.column} is a dimension: it may only be grouped or compared with literals",
            f"{use.column} 是维度：只能分组或与常量比较",
        ),
        (f"GROUP BY {use.column}", f"GROUP BY {use.column}"),
    )


def _codes(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    if _own_filter(use, rule):
        return None
    for value in use.literals:
        found = evaluate.withheld(rule, value) if isinstance(value, str) else None
        if found is not None and use.op != "<>":
            return (
                "R1",
                (
                    f"{use.column} {found.first} to {found.last} is not shared ({found.law})",
                    f"{use.column} 的 {found.first} 至 {found.last} 不予共享（{found.law}）",
                ),
                _NO_HINT,
            )
    return None


def _own_filter(use: ColumnUse, rule: ColumnRule) -> bool:
    """Say whether a comparison is one end of the filter that leaves withheld codes out (planner.rewrite).

    Nothing is told by letting it pass: that filter bears on every question to the dataset.
    """
    lower = use.op == ">=" and set(use.literals) <= {each.first for each in rule.withheld}
    upper = use.op == "<=" and set(use.literals) <= {each.last + LAST for each in rule.withheld}
    return lower or upper


def _date(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    finest = rule.finest
    hint = (
        f"DATE_TRUNC('{finest or 'month'}', {use.column})",
        f"DATE_TRUNC('{finest or 'month'}', {use.column})",
    )
    if use.context in (Context.GROUP_BUCKET, Context.COMPARE_BUCKET):
        if _ORDER.get(use.op, 0) >= _ORDER.get(finest, 9):
            return None
    elif (
        use.context in (Context.NULL_TEST, Context.COUNT)
        or (use.context is Context.GROUP and rule.bucket)
        or (
            use.context is Context.COMPARE
            and all(_on_bucket(use.op, value, finest) for value in use.literals)
        )
    ):
        return None
    elif use.context is Context.AGGREGATE_OTHER:
        return (
            "R3",
            (
                f"{use.op} of {use.column}: no order statistics",
                f"对 {use.column} 使用 {use.op}：不允许次序统计",
            ),
            hint,
        )
    return (
        "R4",
        (
            f"{use.column} is a date: only buckets of a {finest or 'coarser unit'} and ranges on their starts",
            f"{use.column} 是日期：只能按 {finest or '更粗的单位'} 分段，区间端点须为分段起点",
        ),
        hint,
    )


def _on_bucket(op: str, value: Value, finest: str) -> bool:
    """Say whether a range literal lies on a bucket start; ``<= last day`` is ``< next start``."""
    if not isinstance(value, date) or finest not in _MONTHS or op not in ("<", "<=", ">", ">="):
        return False
    try:
        start = value + timedelta(days=1) if op in ("<=", ">") else value
    except OverflowError:
        return False
    return start.day == 1 and (start.month - 1) % _MONTHS[finest] == 0


def _sensitive(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    return _dimension(use, rule)


def _denied(use: ColumnUse, rule: ColumnRule) -> Refusal | None:
    del rule
    return "R1", (f"{use.column} may not be used", f"{use.column} 不得使用"), _NO_HINT


def _per_unit(use: ColumnUse, rule: ColumnRule, dataset: DatasetRule) -> Refusal | None:
    """Judge a use of an aggregate per unit: summed, counted, or compared with its own breakpoints (R3)."""
    if use.context in (Context.SUM, Context.COUNT, Context.NULL_TEST):
        return None
    if use.context is Context.COMPARE and use.op in ("=", "<>") and use.literals == (0,):
        return None
    if use.context is Context.COMPARE:
        count = use.column == "*" or Use.MEASURE not in rule.uses
        return _breakpoint(
            use, dataset.unit_breakpoints if count else rule.breakpoints, equality=count
        )
    if use.context is Context.UNIT_FORM:
        return (
            "R5",
            (
                "an aggregate per unit with a condition or arithmetic inside",
                "逐单位聚合内含条件或算术",
            ),
            (
                "Put the condition into the WHERE of the inner block, or the arithmetic outside it.",
                "请将条件放入内层 WHERE，或将算术移到外层。",
            ),
        )
    return (
        "R3",
        (
            "an aggregate per unit may only be summed or compared with its breakpoints",
            "逐单位聚合值只能求和类聚合或与其断点比较",
        ),
        ("AVG of it, or bands at its breakpoints", "求平均，或按其断点分段"),
    )


_CLASSES = {
    Use.KEY: _key,
    Use.MEASURE: _measure,
    Use.DIMENSION: _dimension,
    Use.SENSITIVE_DIMENSION: _sensitive,
    Use.DATE: _date,
    Use.DENIED: _denied,
}
