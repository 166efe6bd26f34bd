"""Changes of forms that no policy permits, whatever the column: stars, windows, joins, subqueries, names."""

import difflib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from middleplatform.model.catalog import Catalog
from middleplatform.sql.edits import (
    clause_of,
    condition_around,
    count_rows,
    drop_condition,
    drop_item,
    group_plain,
    selects,
)
from middleplatform.sql.lifting import join_on_keys, lift
from middleplatform.sql.parse import DIALECT
from middleplatform.sql.repair_columns import Edit, Offer
from middleplatform.sql.scope import span_of
from middleplatform.sql.subset import is_aggregate

if TYPE_CHECKING:
    from middleplatform.sql.repair import Fault

__all__ = ["form_edits"]

_NAMES_MAX = 3
_CLAUSE = "the clause "


def form_edits(fault: "Fault", catalog: Catalog) -> Iterator[Offer]:
    """Yield what can be done about a form that is refused by code or rule."""
    if fault.code in ("Q020", "Q021", "Q022"):
        yield from _names(fault, catalog)
    elif fault.code == "Q023":
        yield 1, ("grouped by what is shown", "按输出列分组"), _all_selects(_group_missing)
    elif fault.code == "Q010" and fault.what.startswith(_CLAUSE):
        clause = fault.what.removeprefix(_CLAUSE)
        yield 4, (f"without {clause}", f"去掉 {clause}"), lambda tree: _without(tree, clause)
    else:
        yield from _by_rule(fault, catalog)


def _by_rule(fault: "Fault", catalog: Catalog) -> Iterator[Offer]:
    rule = fault.rule
    if rule == "R0":
        yield from _unknown_forms(fault)
    elif rule == "R4":
        yield from _shapes(fault)
    elif rule == "R5":
        yield 2, ("one level of groups", "只保留一级分组"), _all_selects(_one_level)
    elif rule == "R6":
        yield from _small_cells(fault)
    elif rule == "R7":
        yield 3, ("totals by group instead of a window", "以分组合计代替窗口函数"), _unwindowed
        yield 5, ("without the window", "去掉窗口函数"), _no_window
    elif rule in ("R8", "R9"):
        yield from _row_orders(rule)
    elif rule == "R10":
        told = "joined on the key of both tables", "按两表的主键连接"
        yield 2, told, lambda tree: _keyed(tree, catalog)
        yield 7, ("without the last join", "去掉最后一个连接"), _unjoined
    elif rule == "R11":
        yield 1, ("both lists one below the other", "两个结果上下合并"), _union_all
    elif rule == "R12":
        yield 2, ("a join on the key instead of the subquery", "以主键连接代替子查询"), _lifted
        yield 5, ("without the subquery", "去掉子查询"), _no_subquery


# --- names --------------------------------------------------------------------------------------------------------


def _names(fault: "Fault", catalog: Catalog) -> Iterator[Offer]:
    wanted = fault.name
    if fault.code == "Q021":
        for place, near in enumerate(_near_tables(wanted, catalog)):
            told = f"{near} instead of {wanted}", f"将 {wanted} 改为 {near}"
            yield 1 + place, told, partial(_retable, wanted=wanted, near=near)
        return
    if fault.code == "Q022":
        yield (
            1,
            (f"the first table's {wanted}", f"取第一个表的 {wanted}"),
            (lambda tree: _qualified(tree, wanted)),
        )
        return
    names = {name for each in catalog.datasets.values() for name in each.columns}
    bare = wanted.rpartition(".")[2].strip('"').lower()
    for place, near in enumerate(difflib.get_close_matches(bare, sorted(names), _NAMES_MAX)):
        told = f"{near} instead of {wanted}", f"将 {wanted} 改为 {near}"
        yield 1 + place, told, partial(_recolumn, wanted=wanted, near=near)


def _near_tables(wanted: str, catalog: Catalog) -> list[str]:
    names = sorted(catalog.datasets)
    bare = wanted.rpartition(".")[2].lower()
    same = [name for name in names if name.rpartition(".")[2] == bare]
    near = difflib.get_close_matches(wanted.lower(), names, _NAMES_MAX)
    tails = {name.rpartition(".")[2]: name for name in names}
    near += [tails[tail] for tail in difflib.get_close_matches(bare, sorted(tails), _NAMES_MAX)]
    return list(dict.fromkeys([*same, *near]))[:_NAMES_MAX]


def _retable(tree: exp.Expr, wanted: str, near: str) -> bool:
    department, _, name = near.partition(".")
    done = False
    for each in list(tree.find_all(exp.Table)):
        said = f"{each.db}.{each.name}" if each.db else each.name
        if said.lower() == wanted.lower():
            alias = each.alias or each.name
            each.set("db", exp.to_identifier(department))
            each.set("this", exp.to_identifier(name))
            if alias.lower() != name and not each.alias:
                each.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
            done = True
    return done


def _recolumn(tree: exp.Expr, wanted: str, near: str) -> bool:
    done = False
    for each in list(tree.find_all(exp.Column)):
        if each.sql(DIALECT) == wanted:
            each.set("this", exp.to_identifier(near))
            done = True
    return done


def _qualified(tree: exp.Expr, wanted: str) -> bool:
    done = False
    for each in list(tree.find_all(exp.Column)):
        select = each.parent_select
        clause = select.args.get("from_") if select is not None else None
        if each.name.lower() == wanted and not each.table and clause is not None:
            each.set("table", exp.to_identifier(clause.this.alias_or_name))
            done = True
    return done


# --- stars, functions, shapes -------------------------------------------------------------------------------------


def _unknown_forms(fault: "Fault") -> Iterator[Offer]:
    if fault.what.startswith("the whole row "):
        name = fault.what.removeprefix("the whole row ")
        yield 6, ("rows counted", "改为计数"), lambda tree: _no_row(tree, name)
    elif "star" in fault.what.lower():
        yield 6, ("rows counted", "改为计数"), _no_star
    elif fault.span is not None:
        start, end = fault.span.start, fault.span.end
        told = f"without {fault.what}", f"去掉 {fault.what.removeprefix('the ')}"
        yield 5, told, lambda tree: _no_function(tree, start, end)


def _no_star(tree: exp.Expr) -> bool:
    done = False
    for select in selects(tree):
        for each in list(select.expressions):
            if isinstance(each, exp.Star) or (
                isinstance(each, exp.Column) and isinstance(each.this, exp.Star)
            ):
                each.replace(exp.alias_(count_rows(), "n"))
                done = True
    return done


def _no_row(tree: exp.Expr, name: str) -> bool:
    done = False
    for select in selects(tree):
        for each in list(select.expressions):
            inner = each.unalias()
            if isinstance(inner, exp.Column) and not inner.table and inner.name.lower() == name:
                each.replace(exp.alias_(count_rows(), "n"))
                done = True
    return done


def _no_function(tree: exp.Expr, start: int, end: int) -> bool:
    for each in list(tree.find_all(exp.Func)):
        place = span_of(each)
        if place is None or (place.start, place.end) != (start, end):
            continue
        condition = condition_around(each)
        if condition is not None:
            return drop_condition(condition)
        select, clause, item = clause_of(each)
        return select is not None and drop_item(select, clause, item)
    return False


def _shapes(fault: "Fault") -> Iterator[Offer]:
    if fault.what == "rows in the answer":
        yield 1, ("grouped by what is shown, rows counted", "按输出列分组计数"), _group_outer
    elif "grouping columns" in fault.what:
        for place in range(1, 6):
            told = (
                f"one grouping column less (number {place} from the end)",
                f"减少一个分组列（倒数第 {place} 个）",
            )
            yield 2 + place, told, partial(_fewer_groups, place=place)


def _group_outer(tree: exp.Expr) -> bool:
    select = next(selects(tree), None)
    return select is not None and group_plain(select)


def _group_missing(select: exp.Select) -> bool:
    aggregated = any(is_aggregate(part) for each in select.expressions for part in each.walk())
    return (aggregated or select.args.get("group") is not None) and group_plain(select)


def _fewer_groups(tree: exp.Expr, place: int) -> bool:
    grouped = [each for each in selects(tree) if each.args.get("group") is not None]
    if not grouped:
        return False
    widest = max(grouped, key=lambda each: len(each.args["group"].expressions))
    keys = widest.args["group"].expressions
    if place > len(keys) - 1:
        return False
    key = keys[-place]
    number = int(key.this) if isinstance(key, exp.Literal) and not key.is_string else 0
    shown = [
        each
        for count, each in enumerate(widest.expressions, 1)
        if count == number or key.sql() in (each.alias, each.unalias().sql())
    ]
    if shown:
        return drop_item(widest, "expressions", shown[0])
    key.pop()
    return True


def _one_level(select: exp.Select) -> bool:
    group = select.args.get("group")
    if group is None:
        return False
    inner = [
        each
        for part in ("rollup", "cube", "grouping_sets")
        for holder in group.args.get(part) or []
        for each in holder.expressions
    ]
    if not inner:
        return False
    keys = [part for each in inner for part in (each.expressions or [each])]
    columns = {each.sql(): each.copy() for each in keys if isinstance(each, exp.Column)}
    select.set("group", exp.Group(expressions=list(columns.values())))
    return bool(columns)


def _small_cells(fault: "Fault") -> Iterator[Offer]:
    if fault.span is None:
        return
    start, end, hint = fault.span.start, fault.span.end, fault.hint.removeprefix("HAVING ")
    if fault.hint.startswith("HAVING "):
        told = f"only groups that can be shown: {hint}", f"只取可发布的分组：{hint}"
        yield 2, told, lambda tree: _having(tree, start, end, hint)
    yield 3, ("without HAVING", "去掉 HAVING 条件"), lambda tree: _having(tree, start, end, "")


def _having(tree: exp.Expr, start: int, end: int, instead: str) -> bool:
    for having in tree.find_all(exp.Having):
        for each in list(having.walk()):
            place = span_of(each)
            if place is None or not start <= place.start < end:
                continue
            condition = condition_around(each)
            if condition is None:
                continue
            if not instead:
                return drop_condition(condition)
            condition.replace(sqlglot.parse_one(instead, dialect=DIALECT))
            return True
    return False


# --- windows, order, joins, sets, subqueries ----------------------------------------------------------------------


def _unwindowed(tree: exp.Expr) -> bool:
    done = False
    for window in list(tree.find_all(exp.Window)):
        select = window.parent_select
        if isinstance(select, exp.Select) and is_aggregate(window.this):
            window.replace(window.this.copy())
            done = group_plain(select)
    return done


def _no_window(tree: exp.Expr) -> bool:
    done = False
    for select in list(selects(tree)):
        for each in list(select.expressions):
            if each.find(exp.Window) is not None:
                done = drop_item(select, "expressions", each)
        if done:
            group_plain(select)
    return done


def _row_orders(rule: str) -> Iterator[Offer]:
    parts = ("order",) if rule == "R8" else ("limit", "offset")
    told = (
        ("without the order of rows", "去掉对数据行的排序")
        if rule == "R8"
        else ("without the limit on rows", "去掉对数据行的 LIMIT")
    )
    for place in range(3):
        yield 3, told, partial(_cut, parts=parts, place=place)


def _cut(tree: exp.Expr, parts: tuple[str, ...], place: int) -> bool:
    """Take the parts out of one of the statements that have them, the innermost first."""
    holders = [
        each for each in tree.find_all(exp.Query) if any(each.args.get(part) for part in parts)
    ]
    if place >= len(holders):
        return False
    for part in parts:
        holders[-1 - place].set(part, None)
    return True


def _without(tree: exp.Expr, clause: str) -> bool:
    names = {clause.lower(), f"{clause.lower()}_"}
    for node in tree.walk():
        for name in list(node.args):
            if name.lower() in names and node.args[name]:
                node.set(name, None)
                return True
    return False


def _keyed(tree: exp.Expr, catalog: Catalog) -> bool:
    done = False
    for each in list(tree.find_all(exp.Join)):
        done = join_on_keys(each, catalog) or done
    return done


def _unjoined(tree: exp.Expr) -> bool:
    for select in selects(tree):
        joins = select.args.get("joins") or []
        if joins:
            joins[-1].pop()
            return True
    return False


def _union_all(tree: exp.Expr) -> bool:
    done = False
    for each in list(tree.find_all(exp.SetOperation)):
        if isinstance(each, exp.Union) and not each.args.get("distinct"):
            continue
        made = exp.Union(this=each.this.copy(), expression=each.expression.copy(), distinct=False)
        each.replace(made)
        done = True
    return done


def _subqueries(tree: exp.Expr) -> list[exp.Expr]:
    """Return the subqueries in expressions: of IN, of EXISTS, and values."""
    beside = (exp.From, exp.Join, exp.In, exp.SetOperation, exp.CTE)
    found: list[exp.Expr] = []
    for each in tree.walk():
        tested = isinstance(each, exp.Exists) or (
            isinstance(each, exp.In) and bool(each.args.get("query"))
        )
        inside = each.parent is not None and not isinstance(each.parent, beside)
        if tested or (isinstance(each, exp.Subquery) and inside):
            found.append(each)
    return found


def _lifted(tree: exp.Expr) -> bool:
    done = False
    for each in _subqueries(tree):
        select = each.parent_select
        if lift(each):
            done = True
            if isinstance(select, exp.Select) and isinstance(each, exp.Subquery):
                group_plain(select)
    return done


def _no_subquery(tree: exp.Expr) -> bool:
    for each in _subqueries(tree):
        condition = condition_around(each)
        if condition is not None:
            return drop_condition(condition)
        select, clause, item = clause_of(each)
        if select is not None and drop_item(select, clause, item):
            return True
    return False


def _all_selects(edit: Callable[[exp.Select], bool]) -> Edit:
    def each(tree: exp.Expr) -> bool:
        made = [edit(select) for select in list(selects(tree))]
        return any(made)

    return each
