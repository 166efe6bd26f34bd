"""The rows beneath a unit block: what an aggregate over groups is made of, so that history can compare it.

A block such as ``SELECT SUM(c) FROM (SELECT household_id, COUNT(*) AS c FROM ... GROUP BY household_id)`` counts
households, one row each. Two that differ by one person may have the same households: only the rows beneath them show
it. Spec: docs/spec/disclosure.md, "History".
"""

from collections.abc import Iterator
from dataclasses import replace

from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog
from middleplatform.model.query import (
    Aggregate,
    Boolean,
    CellQuery,
    Compare,
    Field,
    IsNull,
    IsTrue,
    Join,
    JoinKind,
    Predicate,
    Relation,
    Rows,
    Table,
    UnitBlock,
)
from middleplatform.planner.layout import unit_field
from middleplatform.sql.rename import relations, with_aliases

__all__ = ["beneath"]

_WHAT = (
    "groups whose rows cannot be compared with earlier answers",
    "无法与先前答复比较其底层行的分组",
)


def beneath(cell: CellQuery, catalog: Catalog) -> Iterator[CellQuery]:
    """Yield, for each unit block that a release block reads, a block over the rows that are grouped in it.

    Each has the dimensions of ``cell`` and no aggregates: once for all rows, and once for each condition of an
    aggregate inside the unit block. Where a unit block groups another one, only the rows at the bottom count.

    Args:
        cell: A release block; its aggregates do not matter.
        catalog: Says which key names the units of a unit block.

    Raises:
        QueryError: Q031 for a join whose rows cannot be followed: then nothing is known of them.

    Reveals:
        Nothing: it follows from the statement.
    """
    yield from _beneath(cell, _blocks(cell.rows), catalog)


def _beneath(cell: CellQuery, among: tuple[Relation, ...], catalog: Catalog) -> Iterator[CellQuery]:
    for block in among:
        if not isinstance(block, UnitBlock):
            continue
        aliases = {each.alias: f"b{each.alias}" for each in relations(block.rows)}
        opened = with_aliases(block, aliases)
        group = _group_of(block, opened, unit_field(block, catalog).name)
        lower = replace(cell, aggregates=(), rows=_opened(cell.rows, block, opened, group))
        inside = (IsTrue(condition) for condition in dict.fromkeys(_conditions(opened)))
        wheres = (lower.rows.where, *(_and(lower.rows.where, each) for each in inside))
        for where in wheres:
            rows = replace(lower.rows, where=where)
            if isinstance(rows.first, Table):
                yield replace(lower, rows=rows)
            yield from _beneath(replace(lower, rows=rows), _blocks(opened.rows), catalog)


def _blocks(rows: Rows) -> tuple[Relation, ...]:
    """Return the relations that can be read above: of an anti-join nothing is."""
    read = (join.relation for join in rows.joins if join.kind is not JoinKind.ANTI)
    return (rows.first, *read)


def _opened(
    rows: Rows, block: UnitBlock, opened: UnitBlock, of: tuple[Join, tuple[Predicate, ...]]
) -> Rows:
    """Return the rows of ``opened``, each beside its group in ``block`` and what that is joined to."""
    group, same = of
    first, others = rows.first, rows.joins
    where = _and(rows.where, opened.rows.where, *same)
    if first == block:
        return Rows(opened.rows.first, (*opened.rows.joins, group, *others), where)
    joined = next(join for join in others if join.relation == block)
    if any(left.relation != first.alias for left, _ in joined.on):
        raise QueryError("Q031", rule="R14", what=_WHAT)
    turned = Join(JoinKind.INNER, first, tuple((right, left) for left, right in joined.on))
    rest = tuple(join for join in others if join is not joined)
    joins = (*opened.rows.joins, group, turned, *rest)
    return Rows(opened.rows.first, joins, _and(where, joined.condition))


def _group_of(block: UnitBlock, opened: UnitBlock, unit: str) -> tuple[Join, tuple[Predicate, ...]]:
    """Return how a row finds its group: the unit's key as a join, the others by value, missing ones included."""
    names = {column.content: column.name for column in opened.columns}
    group: Join | None = None
    same: list[Predicate] = []
    for key in opened.keys:
        value = Field(block.alias, names.get(key, ""))
        if value.name == unit and isinstance(key, Field):
            group = Join(JoinKind.INNER, block, ((key, value),))
        else:
            missing = Boolean("and", (IsNull(key), IsNull(value)))
            same.append(Boolean("or", (Compare("=", key, value), missing)))
    if group is None or any(key not in names for key in opened.keys):
        raise QueryError("Q031", rule="R14", what=_WHAT)
    return group, tuple(same)


def _conditions(block: UnitBlock) -> Iterator[Predicate]:
    """Yield the conditions of the aggregates inside a unit block."""
    for column in block.columns:
        if not isinstance(column.content, Aggregate):
            continue
        whole = column.content.condition
        for piece in column.content.pieces:
            found = _and(whole, piece.condition)
            if found is not None:
                yield found
        if not column.content.pieces and whole is not None:
            yield whole


def _and(*parts: Predicate | None) -> Predicate | None:
    found = tuple(part for part in parts if part is not None)
    return Boolean("and", found) if len(found) > 1 else found[0] if found else None
