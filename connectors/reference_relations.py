"""Tables, joins and unit blocks of the statement tree (for ``connectors.memory`` only)."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from connectors.reference_rows import Node, Row, Value, truth, value
from connectors.reference_types import (
    Type,
    aggregate_type,
    expression_type,
    fraction,
    type_of_column,
)
from connectors.spi import ConnectorError, ErrorKind, TableDescription

__all__ = ["Joined", "Source", "Stored", "grouped", "joined", "typed"]

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A table: its description and its rows."""

    description: TableDescription
    rows: tuple[Mapping[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The tables, and a check that is called for each row so that a statement can be stopped."""

    tables: Mapping[str, Stored]
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows in scope, and the type of each of their fields."""

    types: Mapping[tuple[str, str], Type]
    rows: tuple[Row, ...]


def typed(node: Node, scope: Joined) -> Type:
    """Return the type of a row expression over ``scope``."""
    return expression_type(node, lambda relation, name: scope.types[relation, name])


def joined(node: Node, source: Source) -> Joined:
    """Return the rows that ``Rows`` means: joins in order, then the filter."""
    found = _relation(node["first"], source)
    for join in node["joins"]:
        found = _join(found, join, source)
    missing = [join["on"][0][1] for join in node["joins"] if join["kind"] == "anti"]
    conditions: list[Node] = [{"node": "IsNull", "operand": field} for field in missing]
    conditions += [] if node["where"] is None else [node["where"]]
    rows = tuple(
        row for row in found.rows if all(truth(condition, row) for condition in conditions)
    )
    return Joined(found.types, rows)


def _join(left: Joined, join: Node, source: Source) -> Joined:
    right = _relation(join["relation"], source)
    absent: Row = dict.fromkeys(right.types)
    rows: list[Row] = []
    for first in left.rows:
        matches: list[Row] = []
        for second in right.rows:
            source.check()
            both = {**first, **second}
            if _matches(join, both):
                matches.append(both)
        if not matches and join["kind"] != "inner":
            matches = [{**first, **absent}]
        rows += matches
    return Joined({**left.types, **right.types}, tuple(rows))


def _matches(join: Node, row: Row) -> bool:
    equal = all(
        truth({"node": "Compare", "op": "=", "left": a, "right": b}, row) for a, b in join["on"]
    )
    return equal and (join["condition"] is None or truth(join["condition"], row) is True)


def _relation(node: Node, source: Source) -> Joined:
    return _table(node, source) if node["node"] == "Table" else _units(node, source)


def _table(node: Node, source: Source) -> Joined:
    name = node["dataset"].split(".")[1]
    if name not in source.tables:
        raise ConnectorError(ErrorKind.SCHEMA, f"no table {name}")
    stored, alias = source.tables[name], node["alias"]
    types = {(alias, column.name): type_of_column(column) for column in stored.description.columns}
    return Joined(
        types, tuple({(alias, key): item for key, item in row.items()} for row in stored.rows)
    )


# --- unit blocks --------------------------------------------------------------------------------


def grouped(rows: Iterable[Row], keys: Iterable[Node]) -> Mapping[tuple[Value, ...], list[Row]]:
    """Return rows by the values of ``keys``; missing values are one group, as in GROUP BY."""
    expressions = list(keys)
    found: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(value(key, row) for key in expressions), []).append(row)
    return found


def _units(node: Node, source: Source) -> Joined:
    inner, alias = joined(node["rows"], source), node["alias"]
    types = {
        (alias, column["name"]): _content_type(column["content"], inner)
        for column in node["columns"]
    }
    rows: list[Row] = []
    for group in grouped(inner.rows, node["keys"]).values():
        source.check()
        row = {
            (alias, column["name"]): _content(column["content"], group)
            for column in node["columns"]
        }
        if node["having"] is None or truth(node["having"], row):
            rows.append(row)
    return Joined(types, tuple(rows))


def _content_type(node: Node, inner: Joined) -> Type:
    if node["node"] == "Aggregate":
        return aggregate_type(node, lambda relation, name: inner.types[relation, name])
    return typed(node, inner)


def _content(node: Node, group: list[Row]) -> Value:
    if node["node"] != "Aggregate":
        return value(node, group[0])  # a grouping expression: the same in every row
    rows = [row for row in group if node["condition"] is None or truth(node["condition"], row)]
    if node["key"] is not None:
        return len({value(node["key"], row) for row in rows} - {None})
    found = [number for row in rows if (number := _argument(node["pieces"], row)) is not None]
    return len(found) if node["kind"] == "count" else _aggregate(node["kind"], found)


def _argument(pieces: list[Node], row: Row) -> Fraction | None:
    """Return the first piece whose condition holds; one without a condition is what remains."""
    remains: Node | None = None
    for piece in pieces:
        if piece["condition"] is None:
            remains = piece["value"]
        elif truth(piece["condition"], row):
            return _affine(piece["value"], row)
    return None if remains is None else _affine(remains, row)


def _affine(form: Node, row: Row) -> Fraction | None:
    total = fraction(form["constant"])
    for term in form["terms"]:
        operand = value(term["operand"], row)
        if operand is None:
            return None
        assert isinstance(operand, int | Fraction)
        total += fraction(term["coefficient"]) * operand
    return total


def _aggregate(kind: str, values: list[Fraction]) -> Fraction | None:
    name, _, estimator = kind.partition("_")
    degrees = len(values) - (estimator == "samp")
    if not values or degrees == 0:
        return None
    if name == "sum":
        return sum(values, Fraction(0))
    mean = sum(values, Fraction(0)) / len(values)
    if name == "avg":
        return _six_places(mean)
    variance = float(sum((item - mean) ** 2 for item in values) / degrees)
    return _six_places(math.sqrt(variance) if name == "stddev" else variance)


def _six_places(number: float | Fraction) -> Fraction:
    """Round half away from zero: a mean exactly, a deviation as double precision has it."""
    scaled = (number if number >= 0 else -number) * _MILLION
    whole = math.floor(scaled)
    whole += 2 * (scaled - whole) >= 1
    if whole >= 10**38:
        raise ConnectorError(
            ErrorKind.FAILED, "a mean or deviation per unit of more than 32 digits"
        )
    return Fraction(whole if number >= 0 else -whole, _MILLION)
