"""Release blocks and unit blocks: a SELECT that aggregates rows is cut here, at the release boundary.

Below: grouping expressions and aggregates, a ``CellQuery``. Above: everything else of the SELECT, rewritten to read
the cells' columns; HAVING becomes a filter on released values.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.catalog import TypeKind
from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    Arithmetic,
    Boolean,
    Case,
    CellQuery,
    Clause,
    Coalesce,
    ColumnUse,
    Compare,
    Context,
    Dimension,
    Field,
    Literal,
    Opaque,
    Piece,
    Predicate,
    RowExpression,
    Rows,
    UnitBlock,
)
from middleplatform.sql.affine import affine
from middleplatform.sql.aggregates import aggregate
from middleplatform.sql.convert import Converter, outside
from middleplatform.sql.extract import conditional, fields, opaques
from middleplatform.sql.post import (
    check_frame,
    check_node,
    finish,
    output_name,
    scalar,
    scalar_subquery,
)
from middleplatform.sql.scope import Released, identifier, span_of
from middleplatform.sql.state import State
from middleplatform.sql.subset import POST_AGGREGATES, WINDOW_FUNCTIONS, is_aggregate

_COEFFICIENT_MAX = 8
_CONSTANT_MAX = 10**12

__all__ = ["bind_release", "groups", "is_aggregated"]


def is_aggregated(node: exp.Select) -> bool:
    """Say whether a SELECT over rows aggregates: by GROUP BY, an aggregate outside a window, HAVING or DISTINCT."""
    if (
        node.args.get("group") is not None
        or node.args.get("having") is not None
        or node.args.get("distinct") is not None
    ):
        return True
    order = node.args.get("order")
    parts = [*node.expressions, *([] if order is None else order.expressions)]
    return any(_has_aggregate(part) for part in parts)


def _has_aggregate(node: exp.Expr) -> bool:
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Window):
        # The window's own function is no aggregate of rows; one inside its arguments is.
        inner = node.this.this if isinstance(node.this, exp.Filter) else node.this
        return any(
            _has_aggregate(child)
            for part in (inner, *_window_parts(node))
            for child in part.iter_expressions()
        )
    if is_aggregate(node):
        return True
    return any(_has_aggregate(child) for child in node.iter_expressions())


def _window_parts(node: exp.Window) -> list[exp.Expr]:
    order = node.args.get("order")
    return [
        *([exp.Tuple(expressions=[part.copy() for part in node.args.get("partition_by") or []])]),
        *([] if order is None else [order]),
    ]


def groups(state: State, node: exp.Select, convert: Converter) -> list[RowExpression]:
    """Return the grouping expressions of a SELECT: GROUP BY by expression, alias or ordinal, or DISTINCT."""
    group = node.args.get("group")
    expressions = list(group.expressions) if group is not None else []
    if group is not None:
        _refuse_levels(state, group)
        expressions = [
            item
            for item in expressions
            if not isinstance(item, exp.Rollup | exp.Cube | exp.GroupingSets)
        ]
    found = [_group(node, item, convert) for item in expressions]
    if node.args.get("distinct") is not None:
        found += _distinct(state, node, convert, grouped=group is not None)
    return [_whole(state, expression) for expression in found]


def _whole(state: State, expression: RowExpression) -> RowExpression:
    """Keep arithmetic over dimensions to small whole numbers, which cannot overflow or lose digits on any row."""
    match expression:
        case Arithmetic():
            form = affine(expression)
            if form is None or any(isinstance(part, Opaque) for part in opaques(expression)):
                return expression
            numbers = [term.coefficient for term in form.terms]
            divided = any(part.op == "/" for part in _arithmetic(expression))
            whole = not divided and all(
                number.denominator == 1 for number in (*numbers, form.constant)
            )
            small = (
                all(abs(number) <= _COEFFICIENT_MAX for number in numbers)
                and abs(form.constant) <= _CONSTANT_MAX
            )
            kinds = {state.type_of(field) for field in fields(expression)}
            exact = all(kind is not None and kind.kind is TypeKind.INTEGER for kind in kinds)
            if whole and small and exact:
                return expression
            return Opaque(
                Context.FUNCTION, "arithmetic other than with small whole numbers", (expression,)
            )
        case Case(branches=branches, default=default):
            kept = tuple((when, _whole(state, then)) for when, then in branches)
            return Case(kept, _whole(state, default))
        case _:
            return expression


def _arithmetic(expression: RowExpression) -> Iterator[Arithmetic]:
    if isinstance(expression, Arithmetic):
        yield expression
        yield from _arithmetic(expression.left)
        yield from _arithmetic(expression.right)


def _refuse_levels(state: State, group: exp.Expr) -> None:
    levels = any(group.args.get(part) for part in ("rollup", "cube", "grouping_sets", "totals"))
    if levels or any(
        isinstance(item, exp.Rollup | exp.Cube | exp.GroupingSets) for item in group.expressions
    ):
        state.violate(
            "R5",
            "ROLLUP, CUBE or GROUPING SETS",
            "ROLLUP、CUBE 或 GROUPING SETS",
            group,
            (
                "Ask for one level at a time, or UNION ALL the levels: each is protected against the others.",
                "请逐级查询，或用 UNION ALL 合并各级：各级之间会相互保护。",
            ),
        )


def _distinct(
    state: State, node: exp.Select, convert: Converter, *, grouped: bool
) -> list[RowExpression]:
    if node.args["distinct"].args.get("on") is not None:
        state.violate("R3", "DISTINCT ON", "DISTINCT ON", node)
    if grouped or any(_has_aggregate(item) for item in node.expressions):
        return []
    return [convert.row(item.unalias()) for item in node.expressions if not item.find(exp.Window)]


def _group(node: exp.Select, item: exp.Expr, convert: Converter) -> RowExpression:
    target = item.unnest()
    if isinstance(target, exp.Literal):
        position = (
            int(str(target.this))
            if not target.args.get("is_string") and str(target.this).isdigit()
            else 0
        )
        if not 1 <= position <= len(node.expressions):
            raise QueryError(
                "Q010",
                rule="R0",
                what=("a GROUP BY position that does not exist", "不存在的 GROUP BY 序号"),
            )
        return convert.row(node.expressions[position - 1].unalias())
    if isinstance(target, exp.Column) and not target.table:
        try:
            return convert.row(target)
        except QueryError as error:
            for output in node.expressions:
                if isinstance(output, exp.Alias) and identifier(output.args["alias"]) == identifier(
                    target.this
                ):
                    return convert.row(output.this)
            raise error from None
    return convert.row(target)


# --- units --------------------------------------------------------------------------------------------------------


# --- release ------------------------------------------------------------------------------------------------------


def bind_release(
    state: State,
    node: exp.Select,
    rows: Rows,
    grouping: list[RowExpression],
    convert: Converter,
    subquery: Callable[[exp.Expr], Released | None],
) -> Released:
    """Cut a SELECT at the release boundary: register its cells and return the statement over them."""
    block = _Block(state, rows, grouping, convert, subquery)
    for group in grouping:
        state.use(state.extract.group(group))
    # One CASE over four columns is four grouping columns.
    columns = {field for group in grouping for field in fields(group)}
    grouped = sum(not isinstance(group, Literal) for group in grouping)
    state.group_columns_max = max(state.group_columns_max, grouped, len(columns))
    outputs = [
        (output_name(item), block.above(item.unalias(), Clause.SELECT)) for item in node.expressions
    ]
    having, order = node.args.get("having"), node.args.get("order")
    where = None if having is None else block.above(having.this, Clause.HAVING)
    if having is not None:
        _small_cells(state, having.this)
    names = {name for name, _ in outputs}
    keys = [] if order is None else [_order_key(key, names, block) for key in order.expressions]
    if not any(isinstance(group, Opaque) for group in grouping):
        block.register()
    return finish(node, block.name, outputs, where, keys)


def _order_key(key: exp.Expr, names: set[str], block: "_Block") -> exp.Expr:
    target = key.this
    if isinstance(target, exp.Literal) or (
        isinstance(target, exp.Column) and not target.table and identifier(target.this) in names
    ):
        return exp.Ordered(this=target.copy(), desc=bool(key.args.get("desc")), nulls_first=False)
    return exp.Ordered(
        this=block.above(target, Clause.ORDER_BY),
        desc=bool(key.args.get("desc")),
        nulls_first=False,
    )


def _small_cells(state: State, having: exp.Expr) -> None:
    """Report a HAVING that only cells of at most a few rows could meet (rule R6): it would never show one."""
    for node in having.find_all(exp.EQ, exp.LT, exp.LTE):
        count, literal = node.this.unnest(), node.expression.unnest()
        if (
            isinstance(count, exp.Count)
            and isinstance(literal, exp.Literal)
            and str(literal.this).isdigit()
        ):
            bound = int(str(literal.this)) - (1 if isinstance(node, exp.LT) else 0)
            state.use([_small_cell_use(bound, node)])


def _small_cell_use(bound: int, node: exp.Expr) -> ColumnUse:
    """Return the use that asks for cells of at most ``bound`` rows."""
    return ColumnUse(
        "", "*", Context.SMALL_CELLS, Clause.HAVING, "COUNT", (bound,), span=span_of(node)
    )


def _guarded(piece: Piece, operand: Field | Coalesce) -> bool:
    """Say whether a piece takes only units for which ``operand`` is not zero."""
    guard = Compare("<>", operand, Literal(0))
    condition = piece.condition
    parts = (
        condition.operands
        if isinstance(condition, Boolean) and condition.op == "and"
        else (condition,)
    )
    return guard in parts


class _Block:
    """One release block under construction."""

    def __init__(
        self,
        state: State,
        rows: Rows,
        grouping: list[RowExpression],
        convert: Converter,
        subquery: Callable[[exp.Expr], Released | None],
    ) -> None:
        self.state = state
        self.rows = rows
        self.grouping = grouping
        self.convert = convert
        self.subquery = subquery
        self.aggregates: list[Aggregate] = []
        self.name = f"cells_{len(state.cells)}"
        self.position = len(state.cells)
        state.cells.append(CellQuery(self.name, rows, (), ()))  # reserves the name

    def register(self) -> None:
        dimensions = tuple(Dimension(f"d{i}", group) for i, group in enumerate(self.grouping))
        if not self.aggregates:
            # A bare list of labels is released by the same rules as a count of each.
            self.aggregates.append(
                Aggregate(AggregateKind.COUNT, (Piece(None, Affine((), Fraction(1))),))
            )
            self.state.label_only.append(self.name)
        self.state.cells[self.position] = CellQuery(
            self.name, self.rows, dimensions, tuple(self.aggregates)
        )

    def above(self, node: exp.Expr, clause: Clause) -> exp.Expr:
        """Return ``node`` as an expression over the cells."""
        if isinstance(node, exp.Star):
            raise QueryError("Q010", rule="R0", what=("a star", "星号"))
        if isinstance(node, exp.Window):
            return self._window(node)
        if is_aggregate(node):
            return self._aggregate(node, clause)
        dimension = self._dimension(node)
        if dimension is not None:
            return dimension
        if isinstance(node, exp.Column):
            return self._ungrouped(node, clause)
        if isinstance(node, exp.Subquery | exp.Exists | exp.Any | exp.All) or (
            isinstance(node, exp.In) and node.args.get("query") is not None
        ):
            return self._subquery(node, clause)
        check_node(self.state, node, clause)
        copy = node.copy()
        for child in list(copy.iter_expressions()):
            child.replace(self.above(child, clause))
        return scalar(copy)

    def _window(self, node: exp.Window) -> exp.Expr:
        """Rewrite a window over groups: every part of it by the same rules as the rest."""
        copy = node.copy()
        if any(copy.args.get(part) for part in ("alias", "first")):
            raise outside(node, "R7")
        filtered = isinstance(copy.this, exp.Filter)
        own: exp.Expr = copy.this.this if filtered else copy.this
        if not isinstance(own, (*WINDOW_FUNCTIONS, *POST_AGGREGATES)):
            raise outside(own, "R7")
        order = copy.args.get("order")
        keys = [] if order is None else order.expressions
        parts = [*own.iter_expressions(), *(copy.args.get("partition_by") or [])]
        parts += [key.this for key in keys]
        parts += [copy.this.expression.this] if filtered else []
        for child in parts:
            if not isinstance(child, exp.Star):
                child.replace(self.above(child, Clause.WINDOW))
        for key in keys:
            key.args["nulls_first"] = False
        check_frame(copy)
        return copy

    def _aggregate(self, node: exp.Expr, clause: Clause) -> exp.Expr:
        found = aggregate(node, self.convert)
        if isinstance(found, Opaque):
            uses = list(self.state.extract.opaque(found, clause))
            self.state.use(uses)
            if not uses:
                self.state.violate(
                    "R3" if clause is Clause.SELECT else _CLAUSE_RULES.get(clause, "R3"),
                    f"the aggregate {found.what}",
                    f"聚合函数 {found.what}",
                    node,
                )
            return exp.null()
        found = self._per_unit(found, node)
        self.state.use(self.state.extract.aggregate(found, clause))
        if found not in self.aggregates:
            self.aggregates.append(found)
        return exp.column(f"a{self.aggregates.index(found)}", self.name)

    def _per_unit(self, found: Aggregate, node: exp.Expr) -> Aggregate:
        """Split a sum of conditional aggregates per unit into the units that have a value and those that have none.

        So the condition inside the unit block has a threshold of its own, and a complement (R5).
        """
        open_ones = [
            piece
            for piece in found.pieces
            for term in piece.value.terms
            if self._conditional(term.operand) and not _guarded(piece, term.operand)
        ]
        if not open_ones:
            return found
        (piece, *more) = found.pieces
        single = not more and len(piece.value.terms) == 1 and not piece.value.constant
        if not single or found.kind not in (AggregateKind.SUM, AggregateKind.AVG):
            self.state.violate(
                "R5",
                "this use of a conditional aggregate per unit",
                "对逐单位条件聚合的这种用法",
                node,
            )
            return found
        operand, zero = piece.value.terms[0].operand, Literal(0)
        some: Predicate = Compare("<>", operand, zero)
        none: Predicate = Compare("=", operand, zero)
        if piece.condition is not None:
            some, none = (Boolean("and", (piece.condition, each)) for each in (some, none))
        pieces = (Piece(some, piece.value), Piece(none, Affine((), Fraction(0))))
        return replace(found, pieces=pieces)

    def _conditional(self, operand: Field | Coalesce) -> bool:
        target = operand.operand if isinstance(operand, Coalesce) else operand
        assert isinstance(target, Field)
        relation = self.state.relations[target.relation]
        if not isinstance(relation, UnitBlock):
            return False
        return conditional(
            next(each.content for each in relation.columns if each.name == target.name)
        )

    def _dimension(self, node: exp.Expr) -> exp.Expr | None:
        """Return the cells' column that ``node`` is, when it is a grouping expression or a constant."""
        if isinstance(node, exp.Literal | exp.Null | exp.Boolean | exp.Star):
            return None
        if any(
            is_aggregate(part) or isinstance(part, exp.Window | exp.Query) for part in node.walk()
        ):
            return None
        before = len(self.state.violations)
        try:
            expression = self.convert.row(node)
        except QueryError:
            if isinstance(node, exp.Column):
                raise
            return None
        del self.state.violations[before:]
        if expression in self.grouping:
            return exp.column(f"d{self.grouping.index(expression)}", self.name)
        return None

    def _ungrouped(self, node: exp.Column, clause: Clause) -> exp.Expr:
        if isinstance(node.this, exp.Star):
            raise QueryError("Q010", rule="R0", what=("a star", "星号"))
        expression = self.convert.row(node)
        context = Context.ORDER if clause is Clause.ORDER_BY else Context.OUTPUT
        self.state.use(self.state.extract.all(expression, context, clause))
        self.state.violate(
            "R4" if clause is not Clause.WINDOW else "R7",
            f"the column {node.sql('postgres')[:80]} outside GROUP BY and aggregates",
            f"列 {node.sql('postgres')[:80]} 不在 GROUP BY 或聚合函数中",
            node,
            ("Group by it or aggregate it.", "请对其分组或聚合。"),
        )
        return exp.null()

    def _subquery(self, node: exp.Expr, clause: Clause) -> exp.Expr:
        if isinstance(node, exp.Subquery) and clause is Clause.SELECT:
            found = self.subquery(node.this)
            if found is not None:
                return scalar_subquery(found)
        if clause is Clause.SELECT or not isinstance(node, exp.Subquery):
            rule = _CLAUSE_RULES.get(clause, "R12")
            self.state.violate(rule, "a subquery here", "此处的子查询", node)
        if not isinstance(node, exp.Subquery):
            inner = node.args.get("query") if isinstance(node, exp.In) else node.this
            if inner is not None and clause is Clause.SELECT:
                self.subquery(inner)
        elif clause is not Clause.SELECT:
            self.state.violate(
                _CLAUSE_RULES.get(clause, "R12"), "a subquery here", "此处的子查询", node
            )
        return exp.null()


_CLAUSE_RULES = {Clause.HAVING: "R6", Clause.ORDER_BY: "R8", Clause.WINDOW: "R7"}
