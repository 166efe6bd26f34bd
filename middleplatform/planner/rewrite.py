"""Obligations applied: bands, coarser dates, region filters and withheld codes, on the governed form."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from middleplatform.model.decision import Obligation
from middleplatform.model.policy import LAST_CODE
from middleplatform.model.query import (
    Arithmetic,
    Band,
    Between,
    Boolean,
    Case,
    CellQuery,
    Coalesce,
    DateBucket,
    Dimension,
    Field,
    IsTrue,
    Join,
    JoinKind,
    Literal,
    Not,
    Predicate,
    Relation,
    RowExpression,
    Rows,
    Table,
    UnitBlock,
)

__all__ = ["apply_obligations"]


def apply_obligations(cell: CellQuery, duties: Sequence[Obligation]) -> CellQuery:
    """Return ``cell`` with every obligation met; applying twice changes nothing more."""
    for duty in duties:
        if duty.kind in ("band", "bucket"):
            cell = _coarsen(cell, duty)
        else:
            condition = _filter(duty)
            cell = replace(cell, rows=_restrict(cell.rows, duty.dataset, condition))
    return cell


# --- coarser groups -----------------------------------------------------------------------------------------------


def _coarsen(cell: CellQuery, duty: Obligation) -> CellQuery:
    tables = {
        relation.alias
        for relation in _relations(cell.rows)
        if isinstance(relation, Table) and relation.dataset == duty.dataset
    }

    def change(target: Field) -> RowExpression:
        if target.relation not in tables or target.name != duty.column:
            return target
        return (
            Band(int(duty.argument[0]), target)
            if duty.kind == "band"
            else DateBucket(duty.argument[0], target)
        )

    dimensions = tuple(
        Dimension(item.name, _grouped(item.expression, change)) for item in cell.dimensions
    )
    return replace(cell, dimensions=dimensions, rows=_coarsen_units(cell.rows, change))


def _coarsen_units(rows: Rows, change: Callable[[Field], RowExpression]) -> Rows:
    first = _coarsen_relation(rows.first, change)
    joins = tuple(
        replace(join, relation=_coarsen_relation(join.relation, change)) for join in rows.joins
    )
    return Rows(first, joins, rows.where)


def _coarsen_relation(relation: Relation, change: Callable[[Field], RowExpression]) -> Relation:
    if isinstance(relation, Table):
        return relation
    columns = tuple(
        column
        if not isinstance(column.content, Field | Arithmetic | Case | Coalesce)
        else replace(column, content=_grouped(column.content, change))
        for column in relation.columns
    )
    keys = tuple(_grouped(key, change) for key in relation.keys)
    return UnitBlock(
        relation.alias, _coarsen_units(relation.rows, change), keys, columns, relation.having
    )


def _grouped(expression: RowExpression, change: Callable[[Field], RowExpression]) -> RowExpression:
    """Coarsen the fields whose values would be shown; conditions of a CASE are not shown."""
    match expression:
        case Field():
            return change(expression)
        case Arithmetic(op=op, left=left, right=right):
            return Arithmetic(op, _grouped(left, change), _grouped(right, change))
        case Coalesce(operand=operand, default=default):
            return Coalesce(_grouped(operand, change), default)
        case Case(branches=branches, default=default_value):
            kept = tuple((when, _grouped(then, change)) for when, then in branches)
            return Case(kept, _grouped(default_value, change))
        case _:
            return expression


def _relations(rows: Rows) -> list[Relation]:
    found: list[Relation] = []
    for relation in (rows.first, *(join.relation for join in rows.joins)):
        found.append(relation)
        if isinstance(relation, UnitBlock):
            found += _relations(relation.rows)
    return found


# --- row filters --------------------------------------------------------------------------------------------------


def _filter(duty: Obligation) -> Callable[[str], Predicate]:
    def condition(alias: str) -> Predicate:
        target = Field(alias, duty.column)
        if duty.kind == "region":
            parts: list[Predicate] = [_region(target, code) for code in duty.argument]
        else:
            parts = [_code_range(target, codes) for codes in duty.argument]
        found = parts[0] if len(parts) == 1 else Boolean("or", tuple(parts))
        return found if duty.kind == "region" else Not(IsTrue(found))

    return condition


def _region(target: Field, code: str) -> Predicate:
    stem = code
    while stem.endswith("00"):
        stem = stem[:-2]
    return Between(target, Literal(stem.ljust(6, "0")), Literal(stem.ljust(6, "9")))


def _code_range(target: Field, codes: str) -> Predicate:
    first, last = codes.split("-")
    return Between(target, Literal(first), Literal(last + LAST_CODE))


def _restrict(rows: Rows, dataset: str, condition: Callable[[str], Predicate]) -> Rows:
    """Add a condition to every reference to ``dataset``."""
    where = rows.where
    first = rows.first
    if isinstance(first, Table) and first.dataset == dataset:
        where = _and(where, condition(first.alias))
    elif isinstance(first, UnitBlock):
        first = replace(first, rows=_restrict(first.rows, dataset, condition))
    joins: list[Join] = []
    for join in rows.joins:
        relation = join.relation
        if isinstance(relation, UnitBlock):
            joins.append(
                replace(
                    join,
                    relation=replace(relation, rows=_restrict(relation.rows, dataset, condition)),
                )
            )
        elif relation.dataset != dataset:
            joins.append(join)
        elif join.kind is JoinKind.INNER:
            where = _and(where, condition(relation.alias))
            joins.append(join)
        else:
            joins.append(replace(join, condition=_and(join.condition, condition(relation.alias))))
    return Rows(first, tuple(joins), where)


def _and(left: Predicate | None, right: Predicate) -> Predicate:
    if left is None:
        return right
    parts = left.operands if isinstance(left, Boolean) and left.op == "and" else (left,)
    return left if right in parts else Boolean("and", (*parts, right))
