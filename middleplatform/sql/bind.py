"""Binding: from a parsed statement to release blocks below the boundary and ordinary SQL above it.

Each SELECT is bound inside out. What it yields is rows (only passed on), units (pre-aggregated by a key) or a release;
only a release may reach the analyst.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog
from middleplatform.model.query import (
    Boolean,
    Clause,
    Context,
    Field,
    IsNull,
    JoinKind,
    Opaque,
    Predicate,
    RowExpression,
    Rows,
    Table,
    UnitBlock,
)
from middleplatform.sql.convert import Converter, outside
from middleplatform.sql.extract import fields
from middleplatform.sql.joins import join_condition
from middleplatform.sql.post import bind_post, output_name, tailed, union_all
from middleplatform.sql.release import bind_release, groups, is_aggregated
from middleplatform.sql.rename import relations, with_aliases
from middleplatform.sql.scope import Item, Released, RowSource, Scope, identifier, span_of
from middleplatform.sql.state import State
from middleplatform.sql.subset import SELECT_PARTS
from middleplatform.sql.units import bind_units

__all__ = ["Binder"]

_PART_RULES = {"qualify": "R7", "windows": "R7", "sample": "R9", "laterals": "R10"}


@dataclass
class Binder:
    """Binds one statement against a catalogue; all findings go to ``state``."""

    catalog: Catalog
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = State(self.catalog)

    def statement(self, tree: exp.Expr) -> Released:
        """Bind a whole statement; rows or units at its top are reported as output."""
        relation = self.query(tree, {}, None)
        if isinstance(relation, Released):
            return relation
        self._output(relation)
        return Released(exp.select(exp.null().as_("refused")), ("refused",))

    def _output(self, relation: RowSource) -> None:
        state = self.state
        for expression in relation.columns.values():
            state.use(state.extract.all(expression, Context.OUTPUT, Clause.SELECT))
        first = relation.rows.first
        if isinstance(first, UnitBlock):
            for key in first.keys:
                state.use(state.extract.all(key, Context.OUTPUT, Clause.GROUP_BY))
        state.violate(
            "R4",
            "rows in the answer",
            "答案中出现数据行",
            hint=("Group by dimensions and aggregate.", "请按维度分组并聚合。"),
        )

    # --- queries ---

    def query(
        self, node: exp.Expr, tables: Mapping[str, "RowSource | Released"], outer: Scope | None
    ) -> RowSource | Released:
        """Bind a SELECT, a set operation or a parenthesized query."""
        match node:
            case exp.Subquery():
                if node.args.get("sample") is not None or node.args.get("pivots"):
                    raise outside(node, "R9")
                return self._parenthesized(node, self._with(node, tables, outer), outer)
            case exp.Select():
                return self._select(node, self._with(node, tables, outer), outer)
            case exp.SetOperation():
                return self._set_operation(node, self._with(node, tables, outer), outer)
            case _:
                raise outside(node)

    def _parenthesized(
        self,
        node: exp.Subquery,
        tables: Mapping[str, "RowSource | Released"],
        outer: Scope | None,
    ) -> RowSource | Released:
        """Bind ``(SELECT ...) ORDER BY ... LIMIT ...``."""
        relation = self.query(node.this, tables, outer)
        if not any(node.args.get(part) for part in ("order", "limit", "offset")):
            return relation
        if isinstance(relation, RowSource):
            raise outside(node, "R9")
        return tailed(node, relation)

    def _with(
        self, node: exp.Expr, tables: Mapping[str, "RowSource | Released"], outer: Scope | None
    ) -> Mapping[str, "RowSource | Released"]:
        clause = node.args.get("with_")
        if clause is None:
            return tables
        if clause.args.get("recursive"):
            raise QueryError("Q010", rule="R0", what=("WITH RECURSIVE", "WITH RECURSIVE"))
        known = dict(tables)
        bare = {name.split(".")[1] for name in self.catalog.datasets}
        for part in clause.expressions:
            name = identifier(part.args["alias"].this)
            if name in bare or name in self.catalog.departments:
                raise QueryError(
                    "Q010",
                    rule="R0",
                    what=(
                        f"a CTE that bears the name of a table ({name})",
                        f"与数据表同名的 CTE（{name}）",
                    ),
                )
            if part.args["alias"].args.get("columns"):
                raise QueryError("Q010", rule="R0", what=("a column-alias list", "列别名列表"))
            if not isinstance(part.this, exp.Query):
                raise outside(part.this)
            relation = self.query(part.this, known, outer)
            if isinstance(relation, RowSource):
                self.state.use(self.state.extract.passed(relation.columns.values(), Clause.SELECT))
            known[name] = relation
        return known

    def _set_operation(
        self,
        node: exp.SetOperation,
        tables: Mapping[str, "RowSource | Released"],
        outer: Scope | None,
    ) -> RowSource | Released:
        left, right = (
            self.query(node.this, tables, outer),
            self.query(node.expression, tables, outer),
        )
        if not isinstance(node, exp.Union) or node.args.get("distinct") is not False:
            self.state.violate(
                "R11",
                "a set operation other than UNION ALL",
                "UNION ALL 以外的集合运算",
                node,
                ("Use UNION ALL of aggregated blocks.", "请对聚合后的结果使用 UNION ALL。"),
            )
        for side in (left, right):
            if isinstance(side, RowSource):
                self._output(side)
                self.state.violate("R11", "a UNION of rows", "对数据行做 UNION", node)
        if isinstance(left, RowSource) or isinstance(right, RowSource):
            return Released(exp.select(exp.null().as_("refused")), ("refused",))
        if len(left.columns) != len(right.columns):
            raise QueryError(
                "Q010", rule="R0", what=("a UNION of different column counts", "列数不同的 UNION")
            )
        return union_all(node, left, right)

    # --- one SELECT ---

    def _select(
        self, node: exp.Select, tables: Mapping[str, "RowSource | Released"], outer: Scope | None
    ) -> RowSource | Released:
        self._check_parts(node)
        if not node.expressions:
            raise QueryError("Q010", rule="R0", what=("a SELECT of nothing", "没有列的 SELECT"))
        scope = Scope(outer=outer)
        rows, released = self._from(node, tables, scope)
        if rows is None:
            return bind_post(
                self.state, node, scope, released, lambda query: self._scalar(query, tables, scope)
            )
        convert = self.converter(scope, tables)
        if node.args.get("where") is not None:
            where = convert.predicate(node.args["where"].this)
            rows = _add_where(rows, where)
            self.state.use(self.state.extract.predicate(where, Clause.WHERE))
            rows = _anti_join(rows)
        if not is_aggregated(node):
            return self._rows(node, rows, convert)
        grouping = groups(self.state, node, convert)
        if any(isinstance(group, Field) and self.state.is_key(group) for group in grouping):
            return bind_units(self.state, node, rows, grouping, convert)
        return bind_release(
            self.state,
            node,
            rows,
            grouping,
            convert,
            lambda query: self._scalar(query, tables, scope),
        )

    def _check_parts(self, node: exp.Select) -> None:
        for part, value in node.args.items():
            if part in SELECT_PARTS or not value:
                continue
            raise QueryError(
                "Q010",
                rule=_PART_RULES.get(part, "R0"),
                what=(f"the clause {part.upper().strip('_')}", f"{part.upper().strip('_')} 子句"),
            )

    def _rows(self, node: exp.Select, rows: Rows, convert: Converter) -> RowSource:
        """Bind a SELECT that only passes rows on: no order, no limit, no window (R7, R8, R9)."""
        state = self.state
        columns: dict[str, RowExpression] = {}
        for item in node.expressions:
            if item.find(exp.Window) is not None:
                self._windows(item, convert)
                columns[output_name(item)] = Opaque(Context.FUNCTION, "a window over rows")
                continue
            expression = convert.row(item.unalias())
            name = output_name(item)
            if name in columns:
                raise QueryError("Q022", rule="R0", name=name)
            columns[name] = expression
            for inner in [expression] if isinstance(expression, Opaque) else []:
                state.use(state.extract.opaque(inner, Clause.SELECT))
        state.use(state.extract.passed(columns.values(), Clause.SELECT))
        self._row_order(node, columns, convert)
        return RowSource(rows, columns)

    def _windows(self, item: exp.Expr, convert: Converter) -> None:
        state = self.state
        state.violate(
            "R7",
            "a window over rows",
            "对数据行使用窗口函数",
            item,
            (
                "Group first; windows act on released groups.",
                "请先分组；窗口函数只作用于已发布的分组。",
            ),
        )
        for column in item.find_all(exp.Column):
            if not isinstance(column.this, exp.Star):
                state.use(state.extract.all(convert.row(column), Context.ORDER, Clause.WINDOW))

    def _row_order(
        self, node: exp.Select, columns: Mapping[str, RowExpression], convert: Converter
    ) -> None:
        state = self.state
        if node.args.get("limit") is not None or node.args.get("offset") is not None:
            state.violate(
                "R9",
                "LIMIT or FETCH over rows",
                "对数据行使用 LIMIT 或 FETCH",
                hint=("Limit the released groups instead.", "请对已发布的分组使用 LIMIT。"),
            )
        if node.args.get("order") is not None:
            state.violate(
                "R8",
                "ORDER BY over rows",
                "对数据行排序",
                hint=("Order the released groups instead.", "请对已发布的分组排序。"),
            )
            for key in node.args["order"].expressions:
                target = key.this
                named = (
                    isinstance(target, exp.Column)
                    and not target.table
                    and identifier(target.this) in columns
                )
                if named or isinstance(target, exp.Literal) or target.find(exp.Query) is not None:
                    continue
                state.use(state.extract.all(convert.row(target), Context.ORDER, Clause.ORDER_BY))

    def _scalar(
        self, query: exp.Expr, tables: Mapping[str, "RowSource | Released"], scope: Scope
    ) -> Released | None:
        """Bind a subquery in an expression; None when it is not a release of its own (R12)."""
        before = len(self.state.cells)
        relation = self.query(query, tables, scope)
        if isinstance(relation, RowSource):
            self.state.use(self.state.extract.passed(relation.columns.values(), Clause.SUBQUERY))
            del self.state.cells[before:]
            return None
        return relation

    # --- FROM ---

    def _from(
        self, node: exp.Select, tables: Mapping[str, "RowSource | Released"], scope: Scope
    ) -> tuple[Rows | None, list[tuple[exp.Expr | None, Released, str]]]:
        clause = node.args.get("from_")
        if clause is None:
            return None, []
        rows: Rows | None = None
        released: list[tuple[exp.Expr | None, Released, str]] = []
        for join, target in [
            (None, clause.this),
            *((join, join.this) for join in node.args.get("joins") or []),
        ]:
            if join is not None:
                self.state.joins += 1
            name, dataset, relation = self._relation(target, tables, scope)
            if isinstance(relation, Released):
                scope.add(Item(name, "", dict.fromkeys(relation.columns), released=True))
                released.append((join, relation, name))
                continue
            scope.add(Item(name, dataset, relation.columns, released=False))
            rows = (
                relation.rows
                if rows is None and not released
                else self._join(join, rows, relation, scope, tables)
            )
        if rows is not None and released:
            raise QueryError(
                "Q010",
                rule="R10",
                what=("a join of rows with released cells", "数据行与已发布单元格的连接"),
            )
        return rows, released

    def _relation(
        self, target: exp.Expr, tables: Mapping[str, "RowSource | Released"], scope: Scope
    ) -> tuple[str, str, "RowSource | Released"]:
        alias = target.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            raise QueryError(
                "Q010",
                rule="R10" if isinstance(target, exp.Values | exp.Unnest | exp.Lateral) else "R0",
                what=("a column-alias list", "列别名列表"),
            )
        match target:
            case exp.Table():
                return self._table(target, tables)
            case exp.Subquery() if alias is not None:
                relation = self.query(target, tables, scope.outer)
                return identifier(alias.this), "", relation
            case exp.Values():
                raise QueryError(
                    "Q010", rule="R10", what=("a join with VALUES", "与 VALUES 的连接")
                )
            case _:
                raise outside(
                    target, "R10" if isinstance(target, exp.Lateral | exp.Unnest) else "R0"
                )

    def _table(
        self, target: exp.Table, tables: Mapping[str, "RowSource | Released"]
    ) -> tuple[str, str, "RowSource | Released"]:
        for part, value in target.args.items():
            if value and part not in ("this", "db", "alias", "catalog"):
                raise QueryError(
                    "Q010",
                    rule="R9" if part == "sample" else "R10" if part == "joins" else "R0",
                    what=(f"the clause {part.upper()}", f"{part.upper()} 子句"),
                )
        if not isinstance(target.this, exp.Identifier) or target.args.get("catalog") is not None:
            raise QueryError("Q021", rule="R0", name=target.sql("postgres")[:80])
        bare = identifier(target.this)
        alias = (
            identifier(target.args["alias"].this) if target.args.get("alias") is not None else bare
        )
        if target.args.get("db") is None:
            if bare not in tables:
                raise QueryError("Q021", rule="R0", name=bare)
            return alias, "", self._fresh(tables[bare])
        name = f"{identifier(target.args['db'])}.{bare}"
        if name not in self.catalog.datasets:
            raise QueryError("Q021", rule="R0", name=name)
        inner = self.state.alias()
        table = Table(inner, name, span_of(target))
        self.state.relations[inner] = table
        columns: dict[str, RowExpression] = {
            column: Field(inner, column) for column in self.catalog.datasets[name].columns
        }
        has_alias = target.args.get("alias") is not None
        return alias, "" if has_alias else name, RowSource(Rows(table), columns)

    def _fresh(self, relation: "RowSource | Released") -> "RowSource | Released":
        """Give a CTE's rows new aliases, so that two references do not share them."""
        if isinstance(relation, Released):
            return relation
        return _fresh_rows(self.state, relation)

    def _join(
        self,
        join: exp.Expr | None,
        left: Rows | None,
        right: RowSource,
        scope: Scope,
        tables: Mapping[str, "RowSource | Released"],
    ) -> Rows:
        if left is None or join is None:
            raise QueryError(
                "Q010",
                rule="R10",
                what=("a join of rows with released cells", "数据行与已发布单元格的连接"),
            )
        convert = self.converter(scope, tables)
        return join_condition(self.state, join, left, right, convert, scope)

    # --- names ---

    def converter(self, scope: Scope, tables: Mapping[str, "RowSource | Released"]) -> Converter:
        """Return the converter of expressions over ``scope``."""

        def subquery(query: exp.Expr) -> None:
            self.state.violate(
                "R12",
                "a subquery in a predicate",
                "谓词中的子查询",
                query,
                (
                    "Put it in FROM, aggregated, and join by key.",
                    "请将其聚合后放入 FROM，并按主键连接。",
                ),
            )
            inner = query.this if isinstance(query, exp.Exists | exp.Any | exp.All) else query
            if isinstance(inner, exp.Query):
                self._scalar(inner, tables, scope)

        def unknown(function: exp.Expr) -> None:
            name = (
                function.sql_name()
                if isinstance(function, exp.Func) and not isinstance(function, exp.Anonymous)
                else str(function.this)
            )
            self.state.violate(
                "R0", f"the function {name.upper()}", f"函数 {name.upper()}", function
            )

        return Converter(
            lambda column: self._resolve(column, scope), self.state.type_of, subquery, unknown
        )

    def _resolve(self, column: exp.Column, scope: Scope) -> RowExpression:
        if isinstance(column.this, exp.Star):
            raise QueryError("Q010", rule="R0", what=("a star", "星号"))
        found = scope.find(column)
        if found is not None:
            item, name = found
            expression = item.columns[name]
            if expression is None:
                raise QueryError(
                    "Q010",
                    rule="R10",
                    what=("released cells among rows", "数据行中混用已发布单元格"),
                )
            return _placed(expression, column)
        return self._resolve_outer(column, scope)

    def _resolve_outer(self, column: exp.Column, scope: Scope) -> RowExpression:
        name, outer = identifier(column.this), scope.outer
        while outer is not None:
            found = outer.find(column)
            if found is not None:
                self.state.violate("R12", "a correlated subquery", "相关子查询", column)
                expression = found[0].columns[found[1]]
                return Opaque(
                    Context.CORRELATED,
                    name,
                    () if expression is None else (expression,),
                    span_of(column),
                )
            outer = outer.outer
        if not column.table and scope.is_relation(name):
            raise QueryError("Q010", rule="R0", what=(f"the whole row {name}", f"整行引用 {name}"))
        raise QueryError("Q020", rule="R0", name=column.sql("postgres")[:80])


def _placed(expression: RowExpression, column: exp.Column) -> RowExpression:
    """Give a field the place where the outer statement names it."""
    return (
        replace(expression, span=span_of(column)) if isinstance(expression, Field) else expression
    )


def _add_where(rows: Rows, where: Predicate) -> Rows:
    if rows.where is None:
        return replace(rows, where=where)
    return replace(rows, where=Boolean("and", (rows.where, where)))


def _anti_join(rows: Rows) -> Rows:
    """Turn ``LEFT JOIN r ... WHERE r.key IS NULL`` into an anti join."""
    if rows.where is None or not any(join.kind is JoinKind.LEFT for join in rows.joins):
        return rows
    parts = (
        list(rows.where.operands)
        if isinstance(rows.where, Boolean) and rows.where.op == "and"
        else [rows.where]
    )
    joins = list(rows.joins)
    for position, join in enumerate(joins):
        keys = {right for _, right in join.on}
        tests = [
            part
            for part in parts
            if isinstance(part, IsNull) and isinstance(part.operand, Field) and part.operand in keys
        ]
        if join.kind is JoinKind.LEFT and tests:
            rest = [part for part in parts if part not in tests]
            used = {inner.relation for part in rest for inner in fields(part)}
            if join.relation.alias not in used:
                joins[position] = replace(join, kind=JoinKind.ANTI)
                parts = rest
    where: Predicate | None = (
        None if not parts else parts[0] if len(parts) == 1 else Boolean("and", tuple(parts))
    )
    return Rows(rows.first, tuple(joins), where)


def _fresh_rows(state: State, relation: RowSource) -> RowSource:
    """Copy a CTE's rows under new aliases, so that two references to it do not share them."""
    aliases: dict[str, str] = {}
    for old in relations(relation.rows):
        aliases[old.alias] = state.alias()
        state.relations[aliases[old.alias]] = old  # reserves the alias
    rows = with_aliases(relation.rows, aliases)
    for new in relations(rows):
        state.relations[new.alias] = new
    return RowSource(
        rows, {name: with_aliases(item, aliases) for name, item in relation.columns.items()}
    )
