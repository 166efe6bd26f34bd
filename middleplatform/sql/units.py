"""Unit blocks: rows pre-aggregated by a key, one row a unit, to be aggregated again (rule R2).

A unit block offers its keys, its other grouping expressions and plain aggregates per unit; expressions over these
(bands, ratios with a constant) are put together in the block around it, where they are judged like any other.
"""

from collections.abc import Callable

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Aggregate,
    Clause,
    Context,
    Field,
    Literal,
    Predicate,
    RowExpression,
    Rows,
    UnitBlock,
    UnitColumn,
)
from middleplatform.sql.aggregates import aggregate
from middleplatform.sql.convert import Converter
from middleplatform.sql.post import output_name
from middleplatform.sql.scope import RowSource, span_of
from middleplatform.sql.state import State
from middleplatform.sql.subset import is_aggregate

__all__ = ["bind_units"]

_UNIT_MAX = 10**9
_UNIT_PLACES = 10**6
_SCOPE = "__unit"


def bind_units(
    state: State, node: exp.Select, rows: Rows, grouping: list[RowExpression], convert: Converter
) -> RowSource:
    """Bind a SELECT that groups by a key."""
    builder = _Builder(state, rows, grouping, convert)
    for group in grouping:
        if isinstance(group, Field) and state.is_key(group):
            state.use(state.extract.field(group, Context.UNIT_GROUP, Clause.GROUP_BY))
        else:
            state.use(state.extract.group(group))
    shown: dict[str, RowExpression] = {}
    for item in node.expressions:
        name = output_name(item)
        if name in shown:
            raise QueryError("Q022", rule="R0", name=name)
        # The analyst's own names stay above: engines fold letters in ways of their own.
        shown[name] = builder.row(item.unalias())
    having = node.args.get("having")
    condition = None if having is None else builder.predicate(having.this)
    for group in grouping:
        builder.column(group)
    builder.finish(condition)
    if condition is not None:
        state.use(state.extract.predicate(condition, Clause.HAVING))
    for part, rule in (("limit", "R9"), ("offset", "R9"), ("order", "R8")):
        if node.args.get(part) is not None:
            state.violate(rule, f"{part.upper()} over units", f"对逐单位结果使用 {part.upper()}")
    return RowSource(Rows(builder.block), shown)


class _Builder:
    """A unit block under construction."""

    def __init__(
        self, state: State, rows: Rows, grouping: list[RowExpression], convert: Converter
    ) -> None:
        self._state = state
        self._grouping = grouping
        self._convert = convert
        self._alias = state.alias()
        self._columns: list[UnitColumn] = []
        self.block = UnitBlock(self._alias, rows, tuple(grouping), ())
        state.relations[self._alias] = self.block
        self._over = Converter(self._resolve, state.type_of, _no_subquery, _unknown(state))

    def finish(self, having: Predicate | None) -> None:
        """Fix the block's columns and its HAVING."""
        block = self.block
        self.block = UnitBlock(block.alias, block.rows, block.keys, tuple(self._columns), having)
        self._state.relations[self._alias] = self.block

    def column(self, content: RowExpression | Aggregate) -> Field:
        """Return the block's column with this content, a new one where it has none."""
        for known in self._columns:
            if known.content == content:
                return Field(self._alias, known.name)
        self._columns.append(UnitColumn(f"c{len(self._columns)}", content))
        self.finish(None)
        return Field(self._alias, self._columns[-1].name)

    def row(self, node: exp.Expr) -> RowExpression:
        """Return what a projection means to the block around: an expression over the block's columns."""
        if node.find(exp.Window) is not None:
            self._state.violate("R7", "a window over rows", "对数据行使用窗口函数", node)
            return Literal(None)
        if not any(is_aggregate(part) for part in node.walk()):
            content = self._convert.row(node)
            if isinstance(content, Literal) or content in self._grouping:
                return self.column(content)
        return self._over.row(self._cut(node))

    def predicate(self, node: exp.Expr) -> Predicate:
        """Return HAVING as a predicate over the block's columns."""
        return self._over.predicate(self._cut(node))

    def _cut(self, node: exp.Expr) -> exp.Expr:
        """Replace every aggregate in ``node`` by the block's column that holds it."""

        def change(inner: exp.Expr) -> exp.Expr:
            if not is_aggregate(inner):
                return inner
            name = self.column(self._content(inner)).name
            return exp.column(exp.to_identifier(name, quoted=True), _SCOPE)

        return node.copy().transform(change)

    def _content(self, node: exp.Expr) -> RowExpression | Aggregate:
        found = aggregate(node, self._convert)
        if isinstance(found, Aggregate):
            self._state.use(self._state.extract.aggregate(found, Clause.SELECT))
            self._bounded(found, node)
            return found
        self._state.use(self._state.extract.opaque(found, Clause.SELECT))
        return Literal(None)

    def _bounded(self, found: Aggregate, node: exp.Expr) -> None:
        """Report coefficients that could overflow the engine, or that it could not hold exactly."""
        for piece in found.pieces:
            numbers = [term.coefficient for term in piece.value.terms] + [piece.value.constant]
            if any(
                abs(number) > _UNIT_MAX or _UNIT_PLACES % number.denominator for number in numbers
            ):
                english, chinese = (
                    "coefficients of this size per unit",
                    "逐单位聚合中过大或无限的系数",
                )
                self._state.violate("R13", english, chinese, node)

    def _resolve(self, column: exp.Column) -> RowExpression:
        if column.table == _SCOPE:
            return Field(self._alias, column.name, span_of(column))
        found = self._convert.row(column)
        if found in self._grouping:
            return self.column(found)
        self._state.use(self._state.extract.all(found, Context.OUTPUT, Clause.SELECT))
        return Literal(None)


def _no_subquery(node: exp.Expr) -> None:
    del node
    raise QueryError("Q010", rule="R12", what=("a subquery here", "此处的子查询"))


def _unknown(state: State) -> Callable[[exp.Expr], None]:
    def report(node: exp.Expr) -> None:
        name = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__
        state.violate("R0", f"the function {name.upper()}", f"函数 {name.upper()}", node)

    return report
