"""Coarser forms of a dimension that a reader may ask for besides: they add up the same cells.

A month lies in a quarter and a year; a region code in a city's and a province's (GB/T 2260); a code of a list in the
code of that list that it begins with. Spec: docs/spec/disclosure.md, "Exact tables".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from middleplatform.model.catalog import Catalog, Column, TypeKind
from middleplatform.model.query import (
    Case,
    CellQuery,
    DateBucket,
    DatePart,
    Dimension,
    Field,
    InList,
    Literal,
    RowExpression,
    Table,
    Value,
)
from middleplatform.sql.rename import relations

__all__ = ["Level", "levels_of"]

_COARSER = {"month": ("quarter", "year"), "quarter": ("year",)}
_MONTHS = 3
_REGION_DIGITS = 6


@dataclass(frozen=True)
class Level:
    """A coarser form of a dimension.

    Attributes:
        expression: What to group by.
        of: Its label, by the dimension's own label; missing stays missing.
    """

    expression: RowExpression
    of: Mapping[Value, Value]


def levels_of(
    dimension: Dimension, labels: Iterable[Value], cell: CellQuery, catalog: Catalog
) -> list[Level]:
    """Return the coarser forms of a dimension, finest first, but those that join nothing or everything.

    Args:
        dimension: Of ``cell``.
        labels: That occur.
        cell: The release block.
        catalog: Says which codes lie in which.

    Reveals:
        Nothing: for the node's own checks.
    """
    known = set(labels)
    found: list[Level] = []
    groups = len(known)
    for level in _coarser(dimension.expression, known, cell, catalog):
        count = len(set(level.of.values()))
        if 1 < count < groups:
            found.append(level)
            groups = count
    return found


def _coarser(
    expression: RowExpression, labels: set[Value], cell: CellQuery, catalog: Catalog
) -> list[Level]:
    match expression:
        case DateBucket(unit=unit, operand=operand):
            return [
                Level(DateBucket(each, operand), _mapped(labels, _bucket(each)))
                for each in _COARSER.get(unit, ())
            ]
        case DatePart(unit="month", operand=operand):
            return [Level(DatePart("quarter", operand), _mapped(labels, _quarter))]
        case Field():
            return _coded(expression, labels, cell, catalog)
        case _:
            return []


def _mapped(labels: Iterable[Value], change: Callable[[Value], Value]) -> dict[Value, Value]:
    return {label: None if label is None else change(label) for label in labels}


def _bucket(unit: str) -> Callable[[Value], Value]:
    def change(label: Value) -> Value:
        assert isinstance(label, date), "a bucket of a date"
        month = 1 if unit == "year" else (label.month - 1) // _MONTHS * _MONTHS + 1
        return date(label.year, month, 1)

    return change


def _quarter(label: Value) -> Value:
    assert isinstance(label, int), "the number of a month"
    return (label - 1) // _MONTHS + 1


# --- codes --------------------------------------------------------------------------------------------------------


def _coded(field: Field, labels: set[Value], cell: CellQuery, catalog: Catalog) -> list[Level]:
    source = _source(field, cell, catalog)
    if source is None:
        return []
    column, is_region = source
    if column.type.kind is not TypeKind.TEXT:
        return []
    found: list[Level] = []
    current = {label: label for label in labels}
    for change in _region_steps() if is_region else _code_steps(column.codes):
        raised = {label: change(code) for label, code in current.items()}
        if raised == current:
            break
        current = raised
        found.append(Level(_case(field, current), current))
    return found


def _source(field: Field, cell: CellQuery, catalog: Catalog) -> tuple[Column, bool] | None:
    """Return the catalogue's column behind a field, and whether it scopes rows by region."""
    known = {relation.alias: relation for relation in relations(cell.rows)}
    while not isinstance(relation := known[field.relation], Table):
        content = next(each.content for each in relation.columns if each.name == field.name)
        if not isinstance(content, Field):
            return None
        field = content
    dataset = catalog.datasets[relation.dataset]
    return dataset.columns[field.name], dataset.region_column == field.name


def _region_steps() -> list[Callable[[Value], Value]]:
    def raised(digits: int) -> Callable[[Value], Value]:
        def change(code: Value) -> Value:
            regular = isinstance(code, str) and len(code) == _REGION_DIGITS and code.isdigit()
            assert code is None or isinstance(code, str), "a code is text"
            return code[:digits].ljust(_REGION_DIGITS, "0") if code and regular else code

        return change

    return [raised(4), raised(2)]


def _code_steps(codes: Mapping[str, str]) -> list[Callable[[Value], Value]]:
    def change(code: Value) -> Value:
        if not isinstance(code, str):
            return code
        stems = [each for each in codes if each != code and code.startswith(each)]
        return max(stems, key=len, default=code)

    return [change] * max((len(each) for each in codes), default=0)


def _case(field: Field, of: Mapping[Value, Value]) -> RowExpression:
    """Return the expression that gives each code its coarser one; codes that have none stay."""
    members: dict[str, list[str]] = {}
    for label, code in of.items():
        if isinstance(label, str) and isinstance(code, str) and label != code:
            members.setdefault(code, []).append(label)
    branches = tuple(
        (InList(field, tuple(map(Literal, sorted(inside)))), Literal(code))
        for code, inside in sorted(members.items())
    )
    return Case(branches, field) if branches else field
