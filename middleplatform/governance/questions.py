"""What a column can be asked for, as the facts of the smallest statement that asks it and nothing else.

Where policy draws lines (breakpoints, band widths, withheld codes), there is one question at each line of either bundle
and one beside them all; so two bundles that judge these alike judge every literal alike, but for what lies inside a
withheld range, which the difference of settings tells. Spec: docs/spec/policy-diff.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from middleplatform.model.catalog import Column, TypeKind, Use
from middleplatform.model.policy import Bundle, ColumnRule
from middleplatform.model.query import Clause, ColumnUse, Context, QueryFacts, Value
from middleplatform.policy import evaluate

__all__ = ["ASKED", "WHOLE", "Question", "questions"]

WHOLE = "*"
"""Stands for no column: what is asked of a dataset's rows, and of their number for each unit."""

_BUCKETS = (("month", "月"), ("quarter", "季度"), ("year", "年"))
_STARTS = {"month": date(2000, 2, 1), "quarter": date(2000, 4, 1), "year": date(2000, 1, 1)}
_SOME_DAY = date(2000, 1, 15)

ASKED = frozenset({
    Context.GROUP, Context.GROUP_BUCKET, Context.GROUP_BAND, Context.UNIT_GROUP, Context.COMPARE,
    Context.COMPARE_BUCKET, Context.COMPARE_BAND, Context.NULL_TEST, Context.JOIN_KEY, Context.COUNT,
    Context.COUNT_DISTINCT, Context.SUM,
})  # fmt: skip
"""Contexts that some class of column may stand in; the others are refused whatever a bundle says."""

_GROUPS = frozenset({Context.GROUP, Context.GROUP_BUCKET, Context.GROUP_BAND})
_CLAUSES = {
    Context.GROUP: Clause.GROUP_BY, Context.GROUP_BUCKET: Clause.GROUP_BY, Context.GROUP_BAND: Clause.GROUP_BY,
    Context.UNIT_GROUP: Clause.GROUP_BY, Context.COMPARE: Clause.WHERE, Context.COMPARE_BUCKET: Clause.WHERE,
    Context.COMPARE_BAND: Clause.WHERE, Context.NULL_TEST: Clause.WHERE, Context.JOIN_KEY: Clause.ON,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One use of a column.

    Attributes:
        name: In English; unique among the questions of a column.
        chinese: The same in Chinese.
        context: How the column is used; None for a plain ``COUNT(*)``.
        op: Operator, band width or bucket.
        literals: What it is compared with.
        per_unit: Asked of a total (or count) for each unit.
    """

    name: str
    chinese: str
    context: Context | None
    op: str = ""
    literals: tuple[Value, ...] = ()
    per_unit: bool = False

    def facts(self, dataset: str, column: str) -> QueryFacts:
        """Return the facts of a statement that uses ``column`` in this way and does nothing else."""
        if self.context is None:
            return QueryFacts((), (), (dataset,), 0, 0)
        clause = _CLAUSES.get(self.context, Clause.SELECT)
        use = ColumnUse(
            dataset, column, self.context, clause, self.op, self.literals, self.per_unit
        )
        groups = int(self.context in _GROUPS)
        return QueryFacts((use,), (), (dataset,), groups, 0)


_ANY = (
    Question("group", "分组", Context.GROUP),
    Question("compare with a code", "与代码比较", Context.COMPARE, "=", (0,)),
    Question("test for missing", "判断缺失", Context.NULL_TEST),
    Question("join", "连接", Context.JOIN_KEY),
    Question("count", "计数", Context.COUNT),
    Question("count distinct", "去重计数", Context.COUNT_DISTINCT),
    Question("pre-aggregate by unit", "逐单位预聚合", Context.UNIT_GROUP),
    Question("sum, average or variance", "求和、平均或方差", Context.SUM, "sum"),
)
_DATES = (
    *(
        Question(f"group by {unit}", f"按{chinese}分组", Context.GROUP_BUCKET, unit)
        for unit, chinese in _BUCKETS
    ),
    *(
        Question(f"compare by {unit}", f"按{chinese}比较", Context.COMPARE_BUCKET, unit)
        for unit, chinese in _BUCKETS
    ),
    *(
        Question(f"from the start of a {unit}", f"自{chinese}初起", Context.COMPARE, ">=", (_STARTS[unit],))
        for unit, chinese in _BUCKETS
    ),
    Question("from any day", "自任意日期起", Context.COMPARE, ">=", (_SOME_DAY,)),
)  # fmt: skip
_PER_UNIT = (
    Question("sum of unit totals", "逐单位合计再求和", Context.SUM, "sum", per_unit=True),
    Question("count of unit totals", "逐单位合计的计数", Context.COUNT, per_unit=True),
    Question("unit total missing", "逐单位合计缺失", Context.NULL_TEST, per_unit=True),
    Question("unit total = 0", "逐单位合计 = 0", Context.COMPARE, "=", (0,), per_unit=True),
)


def questions(
    dataset: str, column: Column | None, bundles: Sequence[Bundle]
) -> tuple[Question, ...]:
    """Return all that can be asked of a column, the lines that any of ``bundles`` draws included.

    Dates are asked of dates and numbers of numbers: a literal of another type is judged as a code is.

    Args:
        dataset: ``"department.table"``.
        column: Its column as registered, or None for ``WHOLE``.
        bundles: Those that are compared, or the one that is looked at.
    """
    known = [rule for each in bundles if (rule := evaluate.dataset_rule(each, dataset))]
    units = [point for rule in known for point in rule.unit_breakpoints]
    if column is None:
        rows = Question("count rows", "行计数", None)
        return (rows, *_PER_UNIT, *_points(units, per_unit=True))
    rules = [evaluate.column_rule(each, dataset, column.name) for each in bundles]
    uses = column.uses.union(*(rule.uses for rule in rules))
    own = [point for rule in rules for point in rule.breakpoints]
    dates = column.type.kind is TypeKind.DATE or Use.DATE in uses
    numbers = column.type.numeric or own or Use.MEASURE in uses
    return (
        *_ANY,
        *(_DATES if dates else ()),
        *_bands(column, rules),
        *_codes(rules),
        *(_points(own, per_unit=False) if numbers else ()),
        *_PER_UNIT,
        *_points([*own, *units], per_unit=True),
    )


def _points(points: Iterable[Decimal], *, per_unit: bool) -> Iterator[Question]:
    """Yield comparisons with each breakpoint, and with a number that is none."""
    registered = sorted(set(points))
    other = max(registered, default=Decimal(0)) + 1
    what, chinese = ("unit total", "逐单位合计") if per_unit else ("value", "数值")
    for point in (*registered, other):
        shown = ("another number", "其他数") if point == other else (_number(point),) * 2
        for op in ("<", "=") if per_unit and point else ("<",):
            name, said = f"{what} {op} {shown[0]}", f"{chinese} {op} {shown[1]}"
            yield Question(name, said, Context.COMPARE, op, (point,), per_unit)


def _number(point: Decimal) -> str:
    text = format(point, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bands(column: Column, rules: Sequence[ColumnRule]) -> Iterator[Question]:
    """Yield bands of each width that a rule sets, and of one that none of them divides."""
    widths = {rule.generalise for rule in rules if rule.generalise}
    if not column.type.numeric and not widths:
        return
    yield Question("compare in bands", "按分段比较", Context.COMPARE_BAND)
    for width in sorted({1, *widths}):
        name, chinese = f"group in bands of {width}", f"按 {width} 分段分组"
        yield Question(name, chinese, Context.GROUP_BAND, str(width))


def _codes(rules: Sequence[ColumnRule]) -> Iterator[Question]:
    """Yield comparisons with the ends of withheld ranges."""
    ends = {code for rule in rules for each in rule.withheld for code in (each.first, each.last)}
    for code in sorted(ends):
        name, chinese = f"compare with code {code}", f"与代码 {code} 比较"
        yield Question(name, chinese, Context.COMPARE, "=", (code,))
