"""Changes to a statement's tree, each as small as it can be; every one says whether it could be made.

Used by ``repair`` to look for the nearest form that would pass. Nothing here judges: what comes out is judged like
anything that a person types.
"""

from collections.abc import Iterator

from sqlglot import exp

from middleplatform.sql.subset import is_aggregate

__all__ = [
    "aggregate_around",
    "clause_of",
    "comparison_around",
    "condition_around",
    "count_rows",
    "drop_condition",
    "drop_item",
    "group_plain",
    "selects",
    "tidy",
    "ungroup",
]

_COMPARISONS = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.Like, exp.ILike,
)  # fmt: skip


def selects(tree: exp.Expr) -> Iterator[exp.Select]:
    """Yield every SELECT, the outermost first."""
    yield from tree.find_all(exp.Select)


def clause_of(node: exp.Expr) -> tuple[exp.Select | None, str, exp.Expr]:
    """Return the SELECT that ``node`` stands in, the name of its clause, and the clause's item that holds it."""
    item = node
    while item.parent is not None:
        parent = item.parent
        if isinstance(parent, exp.Select):
            return parent, str(item.arg_key or ""), item
        if isinstance(parent, exp.Group | exp.Order) and isinstance(parent.parent, exp.Select):
            return parent.parent, str(parent.arg_key or ""), item
        item = parent
    return None, "", item


def aggregate_around(node: exp.Expr) -> exp.Expr | None:
    """Return the outermost aggregate call around ``node`` within its SELECT, or None."""
    found, here = None, node
    while here.parent is not None and not isinstance(here, exp.Select):
        here = here.parent
        if is_aggregate(here):
            found = here
    return found


def comparison_around(node: exp.Expr) -> exp.Expr | None:
    """Return the comparison that ``node`` is a part of, or None."""
    here = node.parent
    while here is not None and not isinstance(here, exp.Select):
        if isinstance(here, _COMPARISONS):
            return here
        here = here.parent
    return None


def condition_around(node: exp.Expr) -> exp.Expr | None:
    """Return the whole condition, one of those that AND joins in WHERE, HAVING, ON or FILTER, around ``node``."""
    here: exp.Expr | None = node
    while here is not None and here.parent is not None and not isinstance(here, exp.Select):
        if isinstance(here.parent, exp.And | exp.Where | exp.Having):
            return here
        if isinstance(here.parent, exp.Join) and here.arg_key == "on":
            return here
        here = here.parent
    return None


def drop_condition(node: exp.Expr) -> bool:
    """Take a condition out, with the clause where it was the only one."""
    parent = node.parent
    if isinstance(parent, exp.And):
        other = parent.expression if node is parent.this else parent.this
        parent.replace(other.copy())
        return True
    if isinstance(parent, exp.Where | exp.Having):
        above = parent.parent
        if isinstance(above, exp.Filter):
            above.replace(above.this.copy())
        else:
            parent.pop()
        return True
    return False


def drop_item(select: exp.Select, clause: str, item: exp.Expr) -> bool:
    """Take an item out of a list: of the projections with what groups or orders by it."""
    if clause == "expressions":
        return _drop_projection(select, item)
    if clause not in ("group", "order") or item.parent is None:
        return False
    item.pop()
    return True


def _drop_projection(select: exp.Select, item: exp.Expr) -> bool:
    if item not in select.expressions:
        return False
    place = next(number for number, each in enumerate(select.expressions) if each is item)
    _forget(select, item, place + 1)
    item.pop()
    _renumber(select, place + 1)
    return True


def _forget(select: exp.Select, item: exp.Expr, number: int) -> None:
    """Take out what groups or orders by a projection: by its place, its name, or its own words."""
    words = item.unalias().sql()
    for clause in ("group", "order"):
        part = select.args.get(clause)
        for each in list(part.expressions) if part is not None else ():
            told = each.this if isinstance(each, exp.Ordered) else each
            place = isinstance(told, exp.Literal) and told.this == str(number)
            if place or told.sql() in (words, item.alias):
                each.pop()


def _renumber(select: exp.Select, gone: int) -> None:
    for clause in ("group", "order"):
        part = select.args.get(clause)
        for each in part.expressions if part is not None else ():
            told = each.this if isinstance(each, exp.Ordered) else each
            if isinstance(told, exp.Literal) and not told.is_string and int(told.this) > gone:
                told.replace(exp.Literal.number(int(told.this) - 1))


def ungroup(select: exp.Select, item: exp.Expr) -> None:
    """Take a projection out of GROUP BY and ORDER BY, and leave it where it is shown."""
    number = next((n for n, each in enumerate(select.expressions, 1) if each is item), 0)
    _forget(select, item, number)


def count_rows() -> exp.Expr:
    """Return ``COUNT(*)``."""
    return exp.Count(this=exp.Star(), big_int=True)


def group_plain(select: exp.Select) -> bool:
    """Group by everything that is shown and is no aggregate; count where nothing is aggregated."""
    shown = list(select.expressions)
    plain = [
        (number, each)
        for number, each in enumerate(shown, 1)
        if each.find(exp.Column) is not None and not any(map(is_aggregate, each.walk()))
    ]
    select.set("distinct", None)
    if plain:
        keys = [_key(number, each) for number, each in plain]
        select.set("group", exp.Group(expressions=keys))
    if len(plain) == len(shown):
        select.append("expressions", exp.alias_(count_rows(), "n"))
    return True


def _key(number: int, item: exp.Expr) -> exp.Expr:
    told = item.unalias()
    return told.copy() if isinstance(told, exp.Column) else exp.Literal.number(number)


def tidy(tree: exp.Expr) -> None:
    """Leave no empty list behind: who shows nothing any more counts rows."""
    for select in list(selects(tree)):
        if not select.expressions:
            select.append("expressions", exp.alias_(count_rows(), "n"))
        for clause in ("group", "order"):
            part = select.args.get(clause)
            empty = part is not None and not any(
                value for name, value in part.args.items() if name != "siblings"
            )
            if empty:
                select.set(clause, None)
