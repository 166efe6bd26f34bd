"""Types of row expressions and of unit blocks' columns, from the catalogue: what a department's result must have.

Pure and without rows, so the gateway, every node and every engine mean the same type by the same expression.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog, ColumnType, TypeKind
from middleplatform.model.query import (
    Aggregate,
    AggregateKind,
    Arithmetic,
    Band,
    Case,
    Coalesce,
    DateBucket,
    DatePart,
    Field,
    Literal,
    Opaque,
    Relation,
    RowExpression,
    Rows,
    Table,
    UnitBlock,
    Value,
)

__all__ = [
    "MEAN_PLACES",
    "Columns",
    "TypeOf",
    "column_reads",
    "columns_of",
    "decimals",
    "expression_type",
    "relations_in",
    "sum_scale",
    "types_in",
]

TypeOf: TypeAlias = Callable[[Field], ColumnType]
Columns: TypeAlias = Callable[[str, str], ColumnType]
"""Gives the type of a catalogue column by dataset and name."""

MEAN_PLACES = 6
"""Decimal places that a mean or deviation per unit is rounded to."""

_INTEGER = ColumnType(TypeKind.INTEGER)


def types_in(rows: Rows, columns: Columns) -> TypeOf:
    """Return what gives the type of a field of ``rows``, or of a unit block inside: aliases are unique in a statement.

    A field is a catalogue column, or what a unit block offers under that name.
    """
    relations = dict(relations_in(rows))

    def type_of(item: Field) -> ColumnType:
        relation = relations[item.relation]
        if isinstance(relation, Table):
            return columns(relation.dataset, item.name)
        content = next(column.content for column in relation.columns if column.name == item.name)
        if isinstance(content, Aggregate):
            return _aggregate_type(content, type_of)
        return expression_type(content, type_of)

    return type_of


def relations_in(rows: Rows) -> Iterator[tuple[str, Relation]]:
    """Yield every relation of ``rows`` and of the unit blocks inside, with its alias."""
    for relation in (rows.first, *(join.relation for join in rows.joins)):
        yield relation.alias, relation
        if isinstance(relation, UnitBlock):
            yield from relations_in(relation.rows)


def columns_of(catalog: Catalog) -> Columns:
    """Return what gives the type of a catalogue column."""
    return lambda dataset, column: catalog.datasets[dataset].columns[column].type


def column_reads(governed: object, rows: Rows) -> tuple[tuple[str, str], ...]:
    """Return every (dataset, column) that a governed value names, sorted.

    Args:
        governed: A cell, a layout, or anything made of them.
        rows: Whose tables its fields are of.
    """
    tables = {
        alias: relation.dataset
        for alias, relation in relations_in(rows)
        if isinstance(relation, Table)
    }
    found = {
        (tables[item.relation], item.name) for item in _fields(governed) if item.relation in tables
    }
    return tuple(sorted(found))


def _fields(value: object) -> Iterator[Field]:
    if isinstance(value, Field):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _fields(part)
    elif is_dataclass(value):
        for own in fields(value):
            yield from _fields(getattr(value, own.name))


def expression_type(expression: RowExpression, type_of: TypeOf) -> ColumnType:
    """Return the type of a row expression over fields of the given types."""
    match expression:
        case Field():
            return type_of(expression)
        case Literal(value=value):
            return _literal_type(value)
        case Arithmetic(op=op, left=left, right=right):
            return _arithmetic(op, expression_type(left, type_of), expression_type(right, type_of))
        case DateBucket():
            return ColumnType(TypeKind.DATE)
        case DatePart():
            return _INTEGER
        case Band(operand=operand):
            return expression_type(operand, type_of)
        case Coalesce(operand=operand, default=default):
            return _common(_present((operand, default)), type_of)
        case Case(branches=branches, default=default_value):
            return _common(_present([*(then for _, then in branches), default_value]), type_of)
        case Opaque():
            raise AssertionError("an opaque form never runs")


def _present(values: Iterable[RowExpression]) -> list[RowExpression]:
    """Return those that are not the constant NULL, which takes the others' type."""
    return [item for item in values if not (isinstance(item, Literal) and item.value is None)]


def _common(values: list[RowExpression], type_of: TypeOf) -> ColumnType:
    found = [expression_type(item, type_of) for item in values] or [_INTEGER]
    if all(item.numeric for item in found) and {item.kind for item in found} != {TypeKind.INTEGER}:
        return ColumnType(TypeKind.DECIMAL, 38, max(item.scale for item in found))
    return found[0]


def _arithmetic(op: str, left: ColumnType, right: ColumnType) -> ColumnType:
    if left.kind is right.kind is TypeKind.INTEGER:
        return _INTEGER
    scale = left.scale + right.scale if op == "*" else max(left.scale, right.scale)
    return ColumnType(TypeKind.DECIMAL, 38, scale)


def _literal_type(value: Value) -> ColumnType:
    match value:
        case Decimal():
            exponent = value.as_tuple().exponent
            assert isinstance(exponent, int), "a finite number"
            return ColumnType(TypeKind.DECIMAL, 38, max(0, -exponent))
        case str():
            return ColumnType(TypeKind.TEXT)
        case bool():
            return ColumnType(TypeKind.BOOLEAN)
        case None | int():
            return _INTEGER
        case _:
            return ColumnType(TypeKind.DATE)


def _aggregate_type(content: Aggregate, type_of: TypeOf) -> ColumnType:
    if content.kind in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT):
        return _INTEGER
    if content.kind is not AggregateKind.SUM:
        return ColumnType(TypeKind.DECIMAL, 38, MEAN_PLACES)
    return ColumnType(TypeKind.DECIMAL, 38, sum_scale(content, type_of))


def sum_scale(content: Aggregate, type_of: TypeOf) -> int:
    """Return the decimal places of an aggregate's exact sum.

    Raises:
        QueryError: Q031 when it is no finite decimal.
    """
    terms = [term for piece in content.pieces for term in piece.value.terms]
    constants = [piece.value.constant for piece in content.pieces]
    places = [decimals(number) for number in (*(term.coefficient for term in terms), *constants)]
    if min(places) < 0:
        raise QueryError(
            "Q031",
            rule="R3",
            what=("a per-unit sum with a fraction that does not end", "含无限小数系数的逐单位求和"),
        )
    own = max((expression_type(term.operand, type_of).scale for term in terms), default=0)
    return max(places) + own


def decimals(number: Fraction) -> int:
    """Return the decimal places of ``number``, or -1 when they do not end."""
    denominator, places = number.denominator, 0
    while denominator % 10 == 0:
        denominator, places = denominator // 10, places + 1
    while denominator % 2 == 0:
        denominator, places = denominator // 2, places + 1
    while denominator % 5 == 0:
        denominator, places = denominator // 5, places + 1
    return places if denominator == 1 else -1
