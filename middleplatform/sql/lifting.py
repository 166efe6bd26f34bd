"""Joins on keys: put where a join has none, and in the place of a subquery that asks for one (R10, R12)."""

from collections.abc import Iterator

from sqlglot import exp

from middleplatform.model.catalog import Catalog
from middleplatform.sql.edits import condition_around, drop_condition

__all__ = ["join_on_keys", "lift"]


def join_on_keys(join: exp.Join, catalog: Catalog) -> bool:
    """Have a join match the key of its table with one of a table before it that names the same units."""
    select = join.parent
    if not isinstance(select, exp.Select) or not isinstance(join.this, exp.Table):
        return False
    before = _before(select, join)
    for left in before:
        for first, second in _pairs(left, join.this, catalog):
            left_key = exp.column(first, left.alias_or_name)
            right_key = exp.column(second, join.this.alias_or_name)
            for part in ("method", "using", "kind"):
                join.set(part, None)
            join.set("on", exp.EQ(this=left_key, expression=right_key))
            if str(join.args.get("side") or "").upper() != "LEFT":
                join.set("side", None)
            return True
    return False


def _before(select: exp.Select, join: exp.Join) -> list[exp.Table]:
    """Return the tables that stand before a join, those of the same name left out: nothing tells them apart."""
    targets: list[exp.Expr] = []
    clause = select.args.get("from_")
    if clause is not None:
        targets.append(clause.this)
    for each in select.args.get("joins") or []:
        if each is join:
            break
        targets.append(each.this)
    own = join.this.alias_or_name
    return [each for each in targets if isinstance(each, exp.Table) and each.alias_or_name != own]


def _pairs(left: exp.Table, right: exp.Table, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Yield the pairs of keys of two tables that name the same units, those of one name first."""
    one, other = (catalog.datasets.get(_dataset(each)) for each in (left, right))
    if one is None or other is None:
        return
    found = [
        (first.name, second.name)
        for first in one.columns.values()
        for second in other.columns.values()
        if first.unit and first.unit == second.unit
    ]
    yield from sorted(found, key=lambda pair: pair[0] != pair[1])


def _dataset(table: exp.Table) -> str:
    return f"{table.db}.{table.name}".lower()


def lift(query: exp.Expr) -> bool:
    """Make a join of a subquery over one table whose rows are found by an equality with a column outside.

    ``x IN (SELECT y …)``, ``EXISTS (… WHERE y = x)`` and ``(SELECT SUM(…) … WHERE y = x)`` become ``JOIN … ON y = x``.
    """
    inner = query.find(exp.Select)
    table = _only_table(inner)
    around = _outer(query)
    if inner is None or table is None or around is None:
        return False
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
    if isinstance(query, exp.In):
        key = inner.expressions[0].unalias()
        equality: exp.Expr | None = exp.EQ(this=key.copy(), expression=query.this.copy())
    else:
        equality = _taken(inner, table.alias)
    if equality is None:
        return False
    _joined(around, table, equality, inner.args.get("where"))
    return _replaced(query, inner)


def _only_table(inner: exp.Select | None) -> exp.Table | None:
    if inner is None or inner.args.get("joins") or inner.args.get("group"):
        return None
    clause = inner.args.get("from_")
    return clause.this if clause is not None and isinstance(clause.this, exp.Table) else None


def _outer(query: exp.Expr) -> exp.Select | None:
    found = query.parent_select
    return found if isinstance(found, exp.Select) else None


def _taken(inner: exp.Select, alias: str) -> exp.Expr | None:
    """Take the equality between the subquery's own table and another out of its WHERE."""
    where = inner.args.get("where")
    found: list[exp.Expr] = list(where.find_all(exp.EQ)) if where is not None else []
    for each in found:
        sides = {
            side.table for side in (each.this, each.expression) if isinstance(side, exp.Column)
        }
        if len(sides) > 1 and alias in sides and condition_around(each) is each:
            copied = each.copy()
            drop_condition(each)
            return copied
    return None


def _joined(around: exp.Select, table: exp.Table, on: exp.Expr, where: exp.Expr | None) -> None:
    around.append("joins", exp.Join(this=table.copy(), on=on))
    if where is None or where.parent is None:
        return
    condition = where.this.copy()
    for column in condition.find_all(exp.Column):
        if not column.table:
            column.set("table", exp.to_identifier(table.alias))
    around.where(condition, copy=False)


def _replaced(query: exp.Expr, inner: exp.Select) -> bool:
    if isinstance(query, exp.Subquery):  # a value: what it shows is shown over the join
        query.replace(inner.expressions[0].unalias().copy())
        return True
    return drop_condition(query)
