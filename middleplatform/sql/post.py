"""Above the release boundary: ordinary SQL over released cells, by allow-list and made total.

Every output column travels with a mark column that says by which reason its value is withheld (null when it is not).
A value that depends on a withheld one of its own row is withheld with the same reason. Aggregates and windows over
groups see released cells only, and the answer says so when any cell is withheld.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.query import Clause
from middleplatform.sql.convert import outside
from middleplatform.sql.scope import Released, Scope, identifier
from middleplatform.sql.state import State
from middleplatform.sql.subset import POST_AGGREGATES, POST_NODES, POST_TYPES, is_aggregate

__all__ = [
    "MARK",
    "bind_post",
    "check_frame",
    "check_node",
    "finish",
    "output_name",
    "scalar",
    "scalar_subquery",
    "tailed",
    "union_all",
]

MARK = "__mark_"

Subquery = Callable[[exp.Expr], Released | None]


def output_name(item: exp.Expr) -> str:
    """Return the name that PostgreSQL gives an output column."""
    if isinstance(item, exp.Alias):
        name = identifier(item.args["alias"])
        if name.startswith(MARK):
            raise QueryError(
                "Q010", rule="R0", what=(f"a name that begins with {MARK}", f"以 {MARK} 开头的名称")
            )
        return name
    node = item.unnest()
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        return identifier(node.this)
    if isinstance(node, exp.Filter | exp.Window | exp.WithinGroup):
        return output_name(node.this)
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    if isinstance(node, exp.Case):
        return "case"
    return node.sql_name().lower() if isinstance(node, exp.Func) else "column"


def check_node(state: State, node: exp.Expr, clause: Clause) -> None:
    """Refuse a node that may not stand above the boundary.

    Raises:
        QueryError: Q010 for a form without any meaning here; a function that is not allowed is reported instead.
    """
    if type(node) in POST_NODES:
        if isinstance(node, exp.Cast):
            _check_cast(node)
        if isinstance(node, exp.In) and not node.expressions:
            raise outside(node, "R12")
        return
    if isinstance(node, exp.Func) and not isinstance(node, exp.Cast | exp.Query):
        name = str(node.this) if isinstance(node, exp.Anonymous) else node.sql_name()
        rule = (
            {Clause.HAVING: "R6", Clause.ORDER_BY: "R8"}.get(clause, "R3")
            if is_aggregate(node)
            else "R0"
        )
        state.violate(rule, f"the function {name.upper()}", f"函数 {name.upper()}", node)
        return
    raise outside(node)


def check_frame(window: exp.Window) -> None:
    """Refuse a frame of anything but numbers and keywords.

    Raises:
        QueryError: Q010.
    """
    spec = window.args.get("spec")
    for part in () if spec is None else spec.args.values():
        if isinstance(part, exp.Expr) and not isinstance(part, exp.Literal | exp.Var):
            raise outside(part, "R7")


def _check_cast(node: exp.Cast) -> None:
    target = node.to.this
    if not isinstance(target, exp.DType) or target.name not in POST_TYPES:
        raise outside(node)


def scalar(node: exp.Expr) -> exp.Expr:
    """Rewrite one node so that it cannot fail on any value (rule R13)."""
    match node:
        case exp.Div():
            return exp.Div(
                this=node.this, expression=_not_zero(node.expression), typed=False, safe=False
            )
        case exp.Mod():
            return exp.Mod(this=node.this, expression=_not_zero(node.expression))
        case exp.Cast() if type(node) is exp.Cast:
            return exp.TryCast(this=node.this, to=node.to)
        case _:
            return node


def _not_zero(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Literal) and float(str(node.this) or 0) != 0:
        return node
    return exp.Nullif(this=node, expression=exp.Literal.number(0))


# --- building a SELECT with marks ---------------------------------------------------------------------------------


def finish(
    node: exp.Select,
    source: str,
    outputs: Sequence[tuple[str, exp.Expr]],
    where: exp.Expr | None,
    order: Sequence[exp.Expr],
) -> Released:
    """Build the statement over one block's cells."""
    tree = exp.Select(from_=exp.From(this=exp.to_table(source)))
    return _finished(tree, node, outputs, where, order)


def _finished(
    tree: exp.Select,
    node: exp.Select,
    outputs: Sequence[tuple[str, exp.Expr]],
    where: exp.Expr | None,
    order: Sequence[exp.Expr],
    *,
    aggregated: bool = False,
) -> Released:
    names = _unique([name for name, _ in outputs])
    projections: list[exp.Expr] = []
    for name, (_, expression) in zip(names, outputs, strict=True):
        value, mark = _value_and_mark(expression, aggregated=aggregated)
        projections.append(exp.alias_(value, name, quoted=True, copy=False))
        projections.append(exp.alias_(mark, MARK + name, quoted=True, copy=False))
    tree.set("expressions", projections)
    if where is not None:
        tree.set("where", exp.Where(this=where))
    if node.args.get("distinct") is not None and not node.args["distinct"].args.get("on"):
        tree.set("distinct", exp.Distinct())
    _tail(tree, node, order, names)
    return Released(tree, tuple(names))


def _tail(tree: exp.Query, node: exp.Expr, order: Sequence[exp.Expr], names: Sequence[str]) -> None:
    if order:
        keys: list[exp.Expr] = []
        for key in order:
            target = key.this
            if isinstance(target, exp.Literal):
                position = int(str(target.this)) if str(target.this).isdigit() else 0
                if not 1 <= position <= len(names):
                    raise QueryError(
                        "Q010",
                        rule="R0",
                        what=("an ORDER BY position that does not exist", "不存在的 ORDER BY 序号"),
                    )
                target = exp.column(exp.to_identifier(names[position - 1], quoted=True))
            elif isinstance(target, exp.Column) and not target.table:
                target = exp.column(exp.to_identifier(identifier(target.this), quoted=True))
            keys.append(
                exp.Ordered(this=target, desc=bool(key.args.get("desc")), nulls_first=False)
            )
        tree.set("order", exp.Order(expressions=keys))
    for part in ("limit", "offset"):
        clause = node.args.get(part)
        if clause is not None:
            tree.set(part, _limit(part, clause))


def _limit(part: str, clause: exp.Expr) -> exp.Expr:
    if isinstance(clause, exp.Fetch):
        options = clause.args.get("limit_options")
        if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
            raise QueryError(
                "Q010", rule="R9", what=("FETCH WITH TIES or PERCENT", "FETCH WITH TIES 或 PERCENT")
            )
        count = clause.args.get("count") or exp.Literal.number(1)
    else:
        count = clause.expression
    if not isinstance(count, exp.Literal) or not str(count.this).isdigit():
        raise QueryError(
            "Q010",
            rule="R9",
            what=(f"{part.upper()} by anything but a number", f"{part.upper()} 不是数字常量"),
        )
    kind = exp.Limit if part == "limit" else exp.Offset
    return kind(expression=count.copy())


def _value_and_mark(expression: exp.Expr, *, aggregated: bool) -> tuple[exp.Expr, exp.Expr]:
    marks = [
        exp.column(exp.to_identifier(MARK + column.name, quoted=True), column.args.get("table"))
        for column in _outer_columns(expression)
    ]
    unique: list[exp.Expr] = list({mark.sql(): mark for mark in marks}.values())
    inner = list(_subquery_marks(expression))
    if not unique and not inner:
        return expression, exp.cast(exp.null(), "TEXT", copy=False)
    if aggregated:
        found = _coalesce([*(exp.Max(this=mark) for mark in unique), *inner])
        return expression, exp.Case(
            ifs=[
                exp.If(
                    this=exp.Is(
                        this=exp.paren(expression.copy(), copy=False), expression=exp.null()
                    ),
                    true=found,
                )
            ]
        )
    found = _coalesce([*unique, *inner])
    value = exp.Case(
        ifs=[exp.If(this=exp.Is(this=found.copy(), expression=exp.null()), true=expression)]
    )
    return (expression if isinstance(expression, exp.Column) else value), found


def _outer_columns(expression: exp.Expr) -> Iterable[exp.Column]:
    if isinstance(expression, exp.Column):
        yield expression
        return
    if isinstance(expression, exp.Query | exp.Subquery):
        return
    for child in expression.iter_expressions():
        yield from _outer_columns(child)


def scalar_subquery(found: Released) -> exp.Expr:
    """Return a released statement of one column as a scalar expression.

    Raises:
        QueryError: Q010 when it has several columns.
    """
    if len(found.columns) != 1:
        raise QueryError(
            "Q010", rule="R12", what=("a scalar subquery of several columns", "多列的标量子查询")
        )
    return _picked(found.tree, found.columns[0])


def _picked(tree: exp.Expr, name: str) -> exp.Subquery:
    alias = exp.TableAlias(this=exp.to_identifier("__scalar"))
    source = exp.Subquery(this=tree.copy(), alias=alias)
    column = exp.column(exp.to_identifier(name, quoted=True), "__scalar")
    return exp.Subquery(this=exp.select(column).from_(source))


def _subquery_marks(expression: exp.Expr) -> Iterable[exp.Expr]:
    """Yield, for each scalar subquery in ``expression``, the subquery of its mark."""
    if isinstance(expression, exp.Subquery):
        picked = expression.this
        name = picked.expressions[0].name
        yield _picked(picked.args["from_"].this.this, MARK + name)
        return
    for child in expression.iter_expressions():
        yield from _subquery_marks(child)


def _coalesce(parts: Sequence[exp.Expr]) -> exp.Expr:
    return parts[0] if len(parts) == 1 else exp.Coalesce(this=parts[0], expressions=list(parts[1:]))


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


def tailed(node: exp.Expr, inner: Released) -> Released:
    """Build a parenthesized statement with its own ORDER BY, LIMIT and OFFSET."""
    source = exp.Subquery(this=inner.tree, alias=exp.TableAlias(this=exp.to_identifier("__inner")))
    tree = exp.select("*").from_(source)
    order = node.args.get("order")
    _tail(tree, node, [] if order is None else order.expressions, inner.columns)
    return Released(tree, inner.columns)


def union_all(node: exp.SetOperation, left: Released, right: Released) -> Released:
    """Build UNION ALL of two released statements; ORDER BY and LIMIT of the whole are kept."""
    order = node.args.get("order")
    sides = [
        exp.select("*").from_(
            exp.Subquery(this=side.tree, alias=exp.TableAlias(this=exp.to_identifier(f"__u{i}")))
        )
        for i, side in enumerate((left, right))
    ]
    tree = exp.Union(this=sides[0], expression=sides[1], distinct=False)
    _tail(tree, node, [] if order is None else order.expressions, left.columns)
    return Released(tree, left.columns)


# --- SELECT over released relations -------------------------------------------------------------------------------


def bind_post(
    state: State,
    node: exp.Select,
    scope: Scope,
    released: Sequence[tuple[exp.Expr | None, Released, str]],
    subquery: Subquery,
) -> Released:
    """Bind a SELECT all of whose FROM is released (or that has no FROM): ordinary SQL over released cells."""
    post = _Post(state, scope, subquery)
    tree = exp.Select()
    for join, relation, name in released:
        source = exp.Subquery(
            this=relation.tree.copy(),
            alias=exp.TableAlias(this=exp.to_identifier(name, quoted=True)),
        )
        if join is None:
            tree.set("from_", exp.From(this=source))
        else:
            tree.append("joins", post.join(join, source, name))
    aggregated = node.args.get("group") is not None or any(
        _aggregates(item) for item in node.expressions
    )
    names = [output_name(item) for item in node.expressions]
    outputs = [
        (name, post.above(item.unalias(), Clause.SELECT))
        for name, item in zip(names, node.expressions, strict=True)
    ]
    where = (
        None
        if node.args.get("where") is None
        else post.above(node.args["where"].this, Clause.WHERE)
    )
    _group_and_having(tree, node, post, outputs, aggregated=aggregated)
    order = node.args.get("order")
    keys = [] if order is None else [post.order_key(key, set(names)) for key in order.expressions]
    if node.args.get("distinct") is not None and node.args["distinct"].args.get("on") is not None:
        raise QueryError("Q010", rule="R0", what=("DISTINCT ON", "DISTINCT ON"))
    return _finished(tree, node, outputs, where, keys, aggregated=aggregated)


def _group_and_having(
    tree: exp.Select,
    node: exp.Select,
    post: "_Post",
    outputs: Sequence[tuple[str, exp.Expr]],
    *,
    aggregated: bool,
) -> None:
    group, having = node.args.get("group"), node.args.get("having")
    if group is not None:
        if any(group.args.get(part) for part in ("rollup", "cube", "grouping_sets", "totals")):
            raise QueryError(
                "Q010",
                rule="R5",
                what=("ROLLUP, CUBE or GROUPING SETS", "ROLLUP、CUBE 或 GROUPING SETS"),
            )
        keys = [
            _ordinal(item, outputs, node) or post.above(item, Clause.GROUP_BY)
            for item in group.expressions
        ]
        tree.set("group", exp.Group(expressions=keys))
    if having is not None:
        if not aggregated:
            raise QueryError("Q010", rule="R6", what=("HAVING without groups", "没有分组的 HAVING"))
        tree.set("having", exp.Having(this=post.above(having.this, Clause.HAVING)))


def _ordinal(
    item: exp.Expr, outputs: Sequence[tuple[str, exp.Expr]], node: exp.Select
) -> exp.Expr | None:
    if (
        isinstance(item, exp.Literal)
        and str(item.this).isdigit()
        and 1 <= int(str(item.this)) <= len(node.expressions)
    ):
        return outputs[int(str(item.this)) - 1][1].copy()
    return None


def _aggregates(node: exp.Expr) -> bool:
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Window):
        return any(_aggregates(child) for child in node.this.iter_expressions())
    return is_aggregate(node) or any(_aggregates(child) for child in node.iter_expressions())


class _Post:
    """Expressions over released relations."""

    def __init__(self, state: State, scope: Scope, subquery: Subquery) -> None:
        self.state = state
        self.scope = scope
        self.subquery = subquery

    def join(self, join: exp.Expr, source: exp.Subquery, name: str) -> exp.Join:
        """Return a join of released relations; joins of released aggregates are free (R10)."""
        if join.args.get("method") or join.args.get("match_condition"):
            raise QueryError("Q010", rule="R10", what=("a NATURAL join", "NATURAL 连接"))
        kept = {part: join.args[part] for part in ("side", "kind") if join.args.get(part)}
        if join.args.get("using"):
            return exp.Join(this=source, on=self._using(join, name), **kept)
        on = join.args.get("on")
        if on is None and str(join.args.get("kind") or "").upper() != "CROSS":
            kept["kind"] = "CROSS"
        condition = None if on is None else self.above(on, Clause.ON)
        return exp.Join(this=source, on=condition, **kept)

    def _using(self, join: exp.Expr, name: str) -> exp.Expr:
        """Return the equalities that USING means."""
        parts: list[exp.Expr] = []
        before = [item for item in self.scope.items if item.name != name]
        for column in join.args["using"]:
            key = identifier(column.this if isinstance(column, exp.Column) else column)
            left = next((item for item in before if key in item.columns), None)
            right = next(item for item in self.scope.items if item.name == name)
            if left is None or key not in right.columns:
                raise QueryError("Q020", rule="R0", name=key)
            self.scope.merged.add(key)
            sides = [
                exp.column(
                    exp.to_identifier(key, quoted=True), exp.to_identifier(each.name, quoted=True)
                )
                for each in (left, right)
            ]
            parts.append(exp.EQ(this=sides[0], expression=sides[1]))
        return exp.and_(*parts, copy=False)

    def order_key(self, key: exp.Expr, names: set[str]) -> exp.Expr:
        """Return an ORDER BY key: an output by name or position, or an expression."""
        target = key.this
        if isinstance(target, exp.Literal) or (
            isinstance(target, exp.Column) and not target.table and identifier(target.this) in names
        ):
            return exp.Ordered(this=target.copy(), desc=bool(key.args.get("desc")))
        return exp.Ordered(
            this=self.above(target, Clause.ORDER_BY), desc=bool(key.args.get("desc"))
        )

    def above(self, node: exp.Expr, clause: Clause) -> exp.Expr:
        """Return ``node`` with its names resolved, checked and made total."""
        if isinstance(node, exp.Star):
            raise QueryError("Q010", rule="R0", what=("a star", "星号"))
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Query | exp.Exists | exp.Any | exp.All) or (
            isinstance(node, exp.In) and node.args.get("query") is not None
        ):
            return self._subquery(node, clause)
        check_node(self.state, node, clause)
        if isinstance(node, POST_AGGREGATES) and isinstance(node.this, exp.Star):
            return node.copy()
        copy = node.copy()
        for child in list(copy.iter_expressions()):
            child.replace(self.above(child, clause))
        if isinstance(copy, exp.Ordered):
            copy.args["nulls_first"] = False
        if isinstance(copy, exp.Window):
            check_frame(copy)
        return scalar(copy)

    def _column(self, node: exp.Column) -> exp.Expr:
        if isinstance(node.this, exp.Star):
            raise QueryError("Q010", rule="R0", what=("a star", "星号"))
        found = self.scope.find(node)
        if found is not None:
            item, name = found
            return exp.column(
                exp.to_identifier(name, quoted=True), exp.to_identifier(item.name, quoted=True)
            )
        if self._outer(node):
            self.state.violate("R12", "a correlated subquery", "相关子查询", node)
            return exp.null()
        name = identifier(node.this)
        if not node.table and self.scope.is_relation(name):
            raise QueryError("Q010", rule="R0", what=(f"the whole row {name}", f"整行引用 {name}"))
        raise QueryError("Q020", rule="R0", name=node.sql("postgres")[:80])

    def _outer(self, node: exp.Column) -> bool:
        outer = self.scope.outer
        while outer is not None:
            if outer.find(node) is not None:
                return True
            outer = outer.outer
        return False

    def _subquery(self, node: exp.Expr, clause: Clause) -> exp.Expr:
        if isinstance(node, exp.Subquery) and clause is Clause.SELECT:
            found = self.subquery(node.this)
            if found is not None:
                return scalar_subquery(found)
            self.state.violate("R12", "a subquery that is not aggregated", "未聚合的子查询", node)
            return exp.null()
        rule = {Clause.HAVING: "R6", Clause.ORDER_BY: "R8"}.get(clause, "R12")
        self.state.violate(rule, "a subquery in a predicate", "谓词中的子查询", node)
        if rule == "R12":
            inner = (
                node.args.get("query")
                if isinstance(node, exp.In)
                else node.this
                if not isinstance(node, exp.Select)
                else node
            )
            if isinstance(inner, exp.Query):
                self.subquery(inner)
        return exp.null()
