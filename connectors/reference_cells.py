"""The six statements over rows, in plain Python (for ``connectors.memory`` only).

Each function says in its own words what the SQL of the same kind says; columns are as in the SPI's
specification.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import pyarrow as pa

from connectors.reference_relations import Joined, Source, grouped, joined, typed
from connectors.reference_rows import Node, Row, Value, truth, value
from connectors.reference_types import Type
from connectors.spi import ConnectorError, ErrorKind, TypeKind

__all__ = ["bounded", "distinct", "evidence", "rows", "totals", "units"]

Column: TypeAlias = tuple[str, Type]
Cell: TypeAlias = tuple[Value, ...]

_COUNT: Type = (TypeKind.INTEGER, 0)
_FLAG: Type = (TypeKind.BOOLEAN, 0)
_TOTAL: Type = (TypeKind.DECIMAL, 0)
_LARGEST = 3


def units(tree: Node, source: Source) -> pa.Table:
    """Return each cell's distinct units with their rows in it: ``d*``, ``u``, ``n``; where asked ``r*``, ``c*``."""
    scope = joined(tree["cell"]["rows"], source)
    unit = tree["layout"]["unit"]
    keys = [*_dimensions(tree), unit]
    columns = [*_labels(tree, scope), ("u", typed(unit, scope)), ("n", _COUNT)]
    counted = tree["layout"]["populations"][1:] if tree.get("populations") else []
    columns += [(f"r{place}", _COUNT) for place, _ in enumerate(counted, start=1)]
    summed = tree["layout"]["sums"] if tree.get("contributors") else []
    columns += [(f"c{place}", _FLAG) for place, _ in enumerate(summed)]
    found = [
        (
            *key,
            len(rows),
            *(sum(_within(each, row) for row in rows) for each in counted),
            *(_contributes(word, tree["layout"], rows) for word in summed),
        )
        for key, rows in grouped(scope.rows, keys).items()
    ]
    return _table(columns, found)


def rows(tree: Node, source: Source) -> pa.Table:
    """Return the rows of one table: the columns that were asked for, as they are."""
    scope = joined(tree["rows"], source)
    expressions = [item["expression"] for item in tree["columns"]]
    columns = [(item["name"], typed(item["expression"], scope)) for item in tree["columns"]]
    return _table(columns, [tuple(value(node, row) for node in expressions) for row in scope.rows])


def distinct(tree: Node, source: Source) -> pa.Table:
    """Return each cell's count of another key: ``d*`` and ``keys``."""
    scope = joined(tree["cell"]["rows"], source)
    population = tree["layout"]["populations"][tree["word"]["population"]]
    found: list[Cell] = []
    for label, rows in _cells(tree, scope).items():
        counted = {value(tree["word"]["key"], row) for row in rows if _within(population, row)}
        found.append((*label, len(counted - {None})))
    return _table([*_labels(tree, scope), ("keys", _COUNT)], found)


def totals(tree: Node, source: Source) -> pa.Table:
    """Return each unit's totals in each cell, without the unit: ``d*`` and ``s*``."""
    scope = joined(tree["cell"]["rows"], source)
    layout = tree["layout"]
    columns = [
        (f"s{s}", (TypeKind.DECIMAL, word["scale"])) for s, word in enumerate(layout["sums"])
    ]
    found: list[Cell] = []
    for (*label, _), rows in grouped(scope.rows, [*_dimensions(tree), layout["unit"]]).items():
        numbers = [
            _numbers(word, layout["populations"][word["population"]], rows)
            for word in layout["sums"]
        ]
        found.append((*label, *(_sum(own) for own in numbers)))
    return _table([*_labels(tree, scope), *columns], found)


def bounded(tree: Node, source: Source) -> pa.Table:
    """Return what each unit adds to each cell, clamped: ``d*``, ``u``, ``r*``, ``s*``, ``q*``."""
    scope = joined(tree["cell"]["rows"], source)
    layout, caps = tree["layout"], tree["caps"]
    columns = [*_labels(tree, scope), ("u", typed(layout["unit"], scope))]
    columns += [(f"r{p}", _COUNT) for p in range(len(layout["populations"]))]
    for s, word in enumerate(layout["sums"]):
        columns.append((f"s{s}", (TypeKind.DECIMAL, word["scale"])))
        if s in layout["squares"]:
            columns.append((f"q{s}", (TypeKind.DECIMAL, 2 * word["scale"])))
    found: list[Cell] = []
    for key, rows in grouped(scope.rows, [*_dimensions(tree), layout["unit"]]).items():
        own: list[Value] = [
            min(tree["rows"], sum(_within(population, row) for row in rows))
            for population in layout["populations"]
        ]
        for s, word in enumerate(layout["sums"]):
            numbers = _numbers(word, layout["populations"][word["population"]], rows)
            cap = Fraction(caps[s], 10 ** word["scale"])
            own.append(_within_bounds(_sum(numbers), -cap, cap))
            if s in layout["squares"]:
                squares = _sum([number * number for number in numbers])
                own.append(_within_bounds(squares, Fraction(0), cap * cap))
        found.append((*key, *own))
    return _table(columns, found)


def _within_bounds(total: Fraction | None, low: Fraction, high: Fraction) -> Fraction | None:
    return None if total is None else max(low, min(high, total))


def evidence(tree: Node, source: Source) -> pa.Table:
    """Return each cell's words and the evidence about the units behind them."""
    scope = joined(tree["cell"]["rows"], source)
    layout = tree["layout"]
    columns = _labels(tree, scope)
    for p in range(len(layout["populations"])):
        columns += [
            (f"units_{p}", _COUNT),
            *([(f"rest_{p}", _COUNT)] if p else []),
            (f"rows_{p}", _TOTAL),
        ]
    for s, word in enumerate(layout["sums"]):
        total: Type = (TypeKind.DECIMAL, word["scale"])
        columns += [(f"sum_{s}", total), (f"abs_{s}", total), (f"neg_{s}", _COUNT)]
        columns += [(f"top{place + 1}_{s}", total) for place in range(_LARGEST)]
        columns += (
            [(f"sq_{s}", (TypeKind.DECIMAL, 2 * word["scale"]))] if s in layout["squares"] else []
        )
    found: list[Cell] = []
    for label, rows in _cells(tree, scope).items():
        by_unit = [(unit, own) for (unit,), own in grouped(rows, [layout["unit"]]).items()]
        found.append((*label, *_evidence(layout, by_unit)))
    return _table(columns, found)


def _evidence(layout: Node, by_unit: list[tuple[Value, list[Row]]]) -> list[Value]:
    """Return one cell's evidence; a unit without a name counts in totals, and not as a unit."""
    populations = layout["populations"]
    rows = [
        [sum(_within(population, row) for row in own) for _, own in by_unit]
        for population in populations
    ]
    named = [unit is not None for unit, _ in by_unit]
    found: list[Value] = []
    for p, counts in enumerate(rows):
        if p == 0:
            found.append(sum(named))
        else:
            found.append(_count(named, [count > 0 for count in counts]))
            found.append(
                _count(
                    named,
                    [count < all_rows for count, all_rows in zip(counts, rows[0], strict=True)],
                )
            )
        found.append(sum(counts) if counts else None)
    for s, word in enumerate(layout["sums"]):
        values = [_numbers(word, populations[word["population"]], own) for _, own in by_unit]
        totals = [_sum(numbers) for numbers in values]
        sizes = sorted((abs(total) for total in totals if total is not None), reverse=True)
        found += [
            _sum(totals),
            _sum(sizes),
            _count(named, [total is not None and total < 0 for total in totals]),
        ]
        found += [*sizes, *[None] * _LARGEST][:_LARGEST]
        if s in layout["squares"]:
            found.append(_sum([number * number for numbers in values for number in numbers]))
    return found


def _numbers(word: Node, population: Node, rows: list[Row]) -> list[Fraction]:
    found = [value(word["operand"], row) for row in rows if _within(population, row)]
    return [Fraction(number) for number in found if isinstance(number, int | Fraction)]


def _contributes(word: Node, layout: Node, rows: list[Row]) -> bool | None:
    """Say whether the total is other than zero."""
    total = _sum(_numbers(word, layout["populations"][word["population"]], rows))
    return None if total is None else total != 0


def _sum(values: Sequence[Fraction | None]) -> Fraction | None:
    present = [item for item in values if item is not None]
    return sum(present, Fraction(0)) if present else None


def _count(named: list[bool], chosen: list[bool]) -> int:
    return sum(name and choice for name, choice in zip(named, chosen, strict=True))


def _within(population: Node, row: Row) -> bool:
    condition = population["condition"]
    present = all(value(operand, row) is not None for operand in population["present"])
    return present and (condition is None or truth(condition, row) is True)


# --- cells --------------------------------------------------------------------------------------


def _dimensions(tree: Node) -> list[Node]:
    return [item["expression"] for item in tree["cell"]["dimensions"]]


def _labels(tree: Node, scope: Joined) -> list[Column]:
    return [(item["name"], typed(item["expression"], scope)) for item in tree["cell"]["dimensions"]]


def _cells(tree: Node, scope: Joined) -> dict[Cell, list[Row]]:
    """Return rows by label; without dimensions there is one cell, also where there is no row."""
    keys = _dimensions(tree)
    return dict(grouped(scope.rows, keys)) if keys else {(): list(scope.rows)}


# --- result -------------------------------------------------------------------------------------


def _table(columns: list[Column], rows: Iterable[Cell]) -> pa.Table:
    found = list(rows)
    arrays = []
    for place, (_, (kind, scale)) in enumerate(columns):
        values = [row[place] for row in found]
        arrays.append(_array(values, kind, scale))
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])


def _array(values: list[Value], kind: TypeKind, scale: int) -> pa.Array:
    types = {
        TypeKind.INTEGER: pa.int64(),
        TypeKind.TEXT: pa.string(),
        TypeKind.DATE: pa.date32(),
        TypeKind.BOOLEAN: pa.bool_(),
    }
    if kind is TypeKind.OTHER:
        raise ConnectorError(ErrorKind.SCHEMA, "a result column of a type that is not exact")
    if kind is not TypeKind.DECIMAL:
        return pa.array(
            [int(item) if isinstance(item, Fraction) else item for item in values], types[kind]
        )
    return pa.array([_decimal(item, scale) for item in values], pa.decimal128(38, scale))


def _decimal(number: Value, scale: int) -> Decimal | None:
    if number is None:
        return None
    assert isinstance(number, int | Fraction)
    units = number * 10**scale
    if units != int(units):
        raise ConnectorError(ErrorKind.FAILED, f"a number with more than {scale} decimal places")
    return Decimal((int(units) < 0, tuple(int(digit) for digit in str(abs(int(units)))), -scale))
