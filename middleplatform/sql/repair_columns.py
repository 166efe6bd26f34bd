"""Changes where a column stands that may not stand there: by what the column is for (R1 to R4, R6, R8, R13, G1, G3)."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TypeAlias, cast

from sqlglot import exp

from middleplatform.model.catalog import Use
from middleplatform.model.policy import ColumnRule
from middleplatform.sql.edits import (
    aggregate_around,
    clause_of,
    comparison_around,
    condition_around,
    count_rows,
    drop_condition,
    drop_item,
    group_plain,
    ungroup,
)

__all__ = ["Edit", "column_edits"]

Edit: TypeAlias = Callable[[exp.Expr], bool]
Offer: TypeAlias = tuple[int, tuple[str, str], Edit]

_PREFIX = re.compile(r"[^%_\\]+%")


def column_edits(rule: str, name: str, policy: ColumnRule | None) -> Iterator[Offer]:
    """Yield what can be done about the column ``name`` (``dataset.column``) where ``rule`` refuses it.

    Each edit takes the column's node and says whether it could be made.
    """
    column = name.rpartition(".")[2]
    uses = policy.uses if policy is not None else frozenset()
    gone = rule in ("R1", "G1")
    if not gone:
        if Use.KEY in uses:
            yield from _key(column)
        if Use.MEASURE in uses and policy is not None:
            yield from _measure(column, policy)
        if uses & {Use.DIMENSION, Use.SENSITIVE_DIMENSION}:
            yield from _dimension(column)
        if Use.DATE in uses and policy is not None:
            yield from _date(column, policy)
    extra = 4 if rule == "G1" else 0
    yield (
        4 + extra,
        (f"without the condition on {column}", f"去掉对 {column} 的条件"),
        _no_condition,
    )
    yield 5 + extra, (f"{column} left out", f"去掉 {column}"), _left_out
    yield 6 + extra, (f"rows counted, {column} left out", f"去掉 {column}，改为计数"), _counted


# --- keys ---------------------------------------------------------------------------------------------------------


def _key(column: str) -> Iterator[Offer]:
    told = f"{column} counted, not shown", f"对 {column} 去重计数，不输出其值"
    yield 2, told, _count_distinct
    yield 3, (f"not grouped by {column}", f"不按 {column} 分组"), _not_grouped


def _count_distinct(column: exp.Expr) -> bool:
    counted = exp.Count(this=exp.Distinct(expressions=[column.copy()]))
    if condition_around(column) is not None:
        return False
    return _in_place(column, counted)


def _in_place(column: exp.Expr, value: exp.Expr) -> bool:
    """Put an aggregate of the column where the column, or an aggregate around it, is shown or ordered by."""
    select, clause, item = clause_of(column)
    if select is None or clause not in ("expressions", "having", "order"):
        return False
    around = aggregate_around(column)
    if around is not None:
        around.replace(value)
        return True
    if clause != "expressions":
        return False
    ungroup(select, item)
    inner = item.this if isinstance(item, exp.Alias) else item
    inner.replace(value)
    return True


def _not_grouped(column: exp.Expr) -> bool:
    select, clause, item = clause_of(column)
    return select is not None and clause == "group" and drop_item(select, clause, item)


# --- measures -----------------------------------------------------------------------------------------------------


def _measure(column: str, policy: ColumnRule) -> Iterator[Offer]:
    points = policy.breakpoints
    if points:
        yield (
            1,
            (f"{column} compared with a registered breakpoint", f"{column} 改与登记的断点比较"),
            (lambda node: _breakpoint(node, points)),
        )
        yield (
            2,
            (f"{column} in bands at its breakpoints", f"{column} 按登记的断点分段"),
            (lambda node: _bands(node, column, points)),
        )
    yield 2, (f"the average of {column}", f"改为 {column} 的平均值"), _average


def _breakpoint(node: exp.Expr, points: tuple[Decimal, ...]) -> bool:
    comparison = comparison_around(node)
    if comparison is None or isinstance(comparison, exp.In | exp.Like | exp.ILike):
        return False
    numbers = [each for each in comparison.find_all(exp.Literal) if not each.is_string]
    if not numbers:
        return False
    for each in numbers:
        wanted = Decimal(each.this)
        nearest = min(points, key=lambda point: (abs(point - wanted), point))
        each.replace(exp.Literal.number(_plain(nearest)))
    if isinstance(comparison, exp.EQ | exp.NEQ):
        made = exp.GTE(this=comparison.this.copy(), expression=comparison.expression.copy())
        comparison.replace(made)
    return True


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bands(node: exp.Expr, column: str, points: tuple[Decimal, ...]) -> bool:
    """Group by bands: only where the column itself is shown or grouped."""
    select, clause, item = clause_of(node)
    plain = item.unalias() is node
    if select is None or clause not in ("expressions", "group") or not plain:
        return False
    grouped = select.args.get("group")
    words = node.sql()
    shown = next((each for each in select.expressions if each.unalias().sql() == words), None)
    if shown is None or (clause == "expressions" and grouped is None):
        return False
    name = shown.alias or f"{column}_band"
    ungroup(select, shown)
    for each in list(grouped.expressions) if grouped is not None else ():
        if each.sql() == words:
            each.pop()
    shown.replace(exp.alias_(_band_case(node, points), name))
    _group_by(select, exp.column(name))
    return True


def _group_by(select: exp.Select, key: exp.Expr) -> None:
    group = select.args.get("group")
    if group is None:
        select.set("group", exp.Group(expressions=[key]))
    else:
        group.append("expressions", key)


def _band_case(node: exp.Expr, points: tuple[Decimal, ...]) -> exp.Expr:
    made, before = exp.Case(), ""
    numbers = [_plain(point) for point in sorted(points)]
    for number in numbers:
        label = f"{before}-{number}" if before else f"<{number}"
        below = exp.LT(this=node.copy(), expression=exp.Literal.number(number))
        made = made.when(below, exp.Literal.string(label), copy=False)
        before = number
    return cast("exp.Expr", made.else_(exp.Literal.string(f">={before}"), copy=False))


def _average(node: exp.Expr) -> bool:
    if condition_around(node) is not None and clause_of(node)[1] != "having":
        return False
    return _in_place(node, exp.Avg(this=node.copy()))


# --- dimensions and dates -----------------------------------------------------------------------------------------


def _dimension(column: str) -> Iterator[Offer]:
    yield 1, (f"a range of {column} instead of a pattern", f"对 {column} 改用取值范围"), _range
    yield 1, (f"{column} compared as it is", f"{column} 不作类型转换"), _uncast
    yield 2, (f"grouped by {column}, rows counted", f"按 {column} 分组计数"), _grouped
    yield 2, (f"{column} in the bands that policy sets", f"{column} 按策略规定的分段"), _own_bands


def _range(node: exp.Expr) -> bool:
    comparison = comparison_around(node)
    if not isinstance(comparison, exp.Like) or not isinstance(comparison.expression, exp.Literal):
        return False
    pattern = str(comparison.expression.this)
    if not _PREFIX.fullmatch(pattern) or comparison.this is not node:
        return False
    stem = pattern[:-1]
    end = stem[:-1] + chr(ord(stem[-1]) + 1)
    low = exp.GTE(this=node.copy(), expression=exp.Literal.string(stem))
    high = exp.LT(this=node.copy(), expression=exp.Literal.string(end))
    both = exp.And(this=low, expression=high)
    inside = isinstance(comparison.parent, exp.And | exp.Where | exp.Having)
    comparison.replace(both if inside else exp.Paren(this=both))
    return True


def _uncast(node: exp.Expr) -> bool:
    cast_node, comparison = node.parent, comparison_around(node)
    if not isinstance(cast_node, exp.Cast) or comparison is None:
        return False
    for each in comparison.find_all(exp.Literal):
        each.replace(exp.Literal.string(each.this))
    cast_node.replace(node.copy())
    return True


def _grouped(node: exp.Expr) -> bool:
    """Show the column itself, and group by all that is shown and is no aggregate."""
    select, clause, item = clause_of(node)
    if select is None or clause != "expressions" or condition_around(node) is not None:
        return False
    around = aggregate_around(node)
    if around is not None:
        inner = item.this if isinstance(item, exp.Alias) else item
        inner.replace(node.copy())
    elif item.find(exp.Window) is not None:
        return False
    return group_plain(select)


def _own_bands(node: exp.Expr) -> bool:
    select, clause, item = clause_of(node)
    if select is None or clause not in ("expressions", "group") or item.unalias() is node:
        return False
    words = item.unalias().sql()
    group = select.args.get("group")
    if aggregate_around(node) is not None or group is None:
        return False
    for each in (*select.expressions, *group.expressions):
        if each.unalias().sql() == words:
            inner = each.this if isinstance(each, exp.Alias) else each
            inner.replace(node.copy())
    return True


def _date(column: str, policy: ColumnRule) -> Iterator[Offer]:
    finest = policy.finest or "year"
    told = f"{column} by {finest}", f"{column} 按{_UNITS.get(finest, finest)}分段"
    yield 2, told, lambda node: _truncated(node, finest)


_UNITS = {"month": "月", "quarter": "季度", "year": "年"}


def _truncated(node: exp.Expr, finest: str) -> bool:
    select, clause, item = clause_of(node)
    if select is None or clause not in ("expressions", "group") or aggregate_around(node):
        return False
    words = item.unalias().sql()
    made = exp.TimestampTrunc(this=node.copy(), unit=exp.var(finest.upper()))
    group = select.args.get("group")
    for each in (*select.expressions, *(group.expressions if group is not None else ())):
        if each.unalias().sql() == words:
            inner = each.this if isinstance(each, exp.Alias) else each
            inner.replace(made.copy())
    return group is not None or group_plain(select)


# --- leaving out --------------------------------------------------------------------------------------------------


def _no_condition(node: exp.Expr) -> bool:
    condition = condition_around(node)
    return condition is not None and drop_condition(condition)


def _left_out(node: exp.Expr) -> bool:
    select, clause, item = clause_of(node)
    if select is None or condition_around(node) is not None:
        return False
    return drop_item(select, clause, item)


def _counted(node: exp.Expr) -> bool:
    if aggregate_around(node) is None:
        return False
    return _in_place(node, count_rows())
