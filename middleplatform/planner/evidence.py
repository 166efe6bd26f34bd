"""The statements that a department's engine runs for a release block: answers and evidence in one pass.

Two levels: per (cell, unit) first, then per cell, so that distinct units, the largest unit totals and the sums all
come from one scan. The result never leaves the node as it is.

Columns of the evidence statement, for each cell: ``d*`` labels; ``units_p``, ``rest_p``, ``rows_p`` for each
population p (distinct units with a row in it; with a row outside it; rows in it); ``sum_s``, ``abs_s``, ``neg_s``,
``top1_s`` to ``top3_s`` for each sum s (total; total of absolute unit totals; units with a negative total; largest
absolute unit totals); ``sq_s`` for each squared sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache

import pyarrow as pa
from sqlglot import exp

from middleplatform.model.catalog import Catalog, ColumnType
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames
from middleplatform.model.plan import KeyWord, Layout, Population
from middleplatform.model.query import (
    Boolean,
    CellQuery,
    Coalesce,
    Dimension,
    Field,
    IsNull,
    Not,
    Predicate,
    Rows,
    Table,
)
from middleplatform.planner.results import (
    distinct_result,
    evidence_result,
    rows_result,
    totals_result,
    units_result,
)
from middleplatform.sql.render import predicate, row, rows_from

__all__ = [
    "Statement",
    "condition_of",
    "distinct_statement",
    "evidence_statement",
    "rows_statement",
    "totals_statement",
    "units_statement",
]

_ROWS = "t0"
_NOT_IN_TREE = frozenset({"span", "labels", "unit_type"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for a connector.

    Attributes:
        kind: ``evidence``, ``distinct``, ``units``, ``totals`` or ``rows``.
        sql: In the connector's dialect.
        tree: The same as plain data (mappings with a ``node`` name, lists and scalars), for sources without SQL.
        result: Columns that the connector casts its result to.
    """

    kind: str
    sql: str
    tree: Mapping[str, object]
    result: pa.Schema


@lru_cache(maxsize=512)
def evidence_statement(
    cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames = AS_REGISTERED
) -> Statement:
    """Return the statement that computes every word of ``layout`` and its evidence for each cell."""
    inner = _per_unit(cell, layout)
    outer = exp.Select(expressions=_labels(cell) + _evidence(layout))
    outer.set(
        "from_",
        exp.From(
            this=exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier("per_unit")))
        ),
    )
    if cell.dimensions:
        outer.set(
            "group", exp.Group(expressions=[exp.column(item.name) for item in cell.dimensions])
        )
    return Statement(
        "evidence",
        outer.sql(dialect, comments=False),
        {"cell": _plain(cell), "layout": _plain(layout)},
        evidence_result(cell, layout),
    )


@lru_cache(maxsize=512)
def distinct_statement(
    cell: CellQuery,
    word: KeyWord,
    layout: Layout,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement that counts another key's distinct values: columns ``d*`` and ``keys``."""
    count: exp.Expr = exp.Count(this=exp.Distinct(expressions=[row(word.key)]))
    condition = condition_of(layout.populations[word.population])
    if condition is not None:
        count = exp.Filter(this=count, expression=exp.Where(this=predicate(condition, engine=True)))
    select = rows_from(
        exp.Select(expressions=[*_dimensions(cell), exp.alias_(count, "keys")]),
        cell.rows,
        engine=True,
    )
    if cell.dimensions:
        select.set(
            "group",
            _first(len(cell.dimensions)),
        )
    return Statement(
        "distinct",
        select.sql(dialect, comments=False),
        {"cell": _plain(cell), "layout": _plain(layout), "word": _plain(word)},
        distinct_result(cell, layout),
    )


@lru_cache(maxsize=512)
def units_statement(
    cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames = AS_REGISTERED
) -> Statement:
    """Return the statement that lists each cell's units with their rows: columns ``d*``, ``u`` and ``n``.

    Its rows stay inside the node.
    """
    count = exp.alias_(exp.Count(this=exp.Star()), "n")
    projections = [*_dimensions(cell), exp.alias_(row(layout.unit), "u"), count]
    select = rows_from(exp.Select(expressions=projections), cell.rows, engine=True)
    select.set("group", _first(len(cell.dimensions) + 1))
    return Statement(
        "units",
        select.sql(dialect, comments=False),
        {"cell": _plain(cell), "layout": _plain(layout)},
        units_result(cell, layout),
    )


@lru_cache(maxsize=512)
def totals_statement(
    cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames = AS_REGISTERED
) -> Statement:
    """Return the statement that gives each unit's totals: columns ``d*`` and ``s*``. Its rows stay inside the node."""
    inner = exp.Subquery(
        this=_per_unit(cell, layout), alias=exp.TableAlias(this=exp.to_identifier("per_unit"))
    )
    sums = [
        exp.alias_(_exact(exp.column(f"s{s}"), word.scale), f"s{s}")
        for s, word in enumerate(layout.sums)
    ]
    select = exp.Select(expressions=[*_labels(cell), *sums])
    select.set("from_", exp.From(this=inner))
    return Statement(
        "totals",
        select.sql(dialect, comments=False),
        {"cell": _plain(cell), "layout": _plain(layout)},
        totals_result(cell, layout),
    )


def rows_statement(
    dataset: str,
    columns: tuple[str, ...],
    catalog: Catalog,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the plain projection of one dataset's columns, called as in the catalogue, in the order given.

    For profiles and per-row kernels inside the department: its rows stay there.
    """
    known = catalog.datasets[dataset].columns
    typed = tuple((name, known[name].type) for name in columns)
    return _rows_statement(dataset, typed, dialect, names)


@lru_cache(maxsize=512)
def _rows_statement(
    dataset: str, columns: tuple[tuple[str, ColumnType], ...], dialect: str, names: PhysicalNames
) -> Statement:
    rows = Rows(Table(_ROWS, dataset))
    projected = tuple(Dimension(name, Field(_ROWS, name)) for name, _ in columns)
    select = rows_from(exp.Select(expressions=_projected(projected)), rows, engine=True)
    return Statement(
        "rows",
        select.sql(dialect, comments=False),
        {"rows": _plain(rows), "columns": _plain(projected)},
        rows_result(columns),
    )


def _dimensions(cell: CellQuery) -> list[exp.Expr]:
    return _projected(cell.dimensions)


def _projected(columns: tuple[Dimension, ...]) -> list[exp.Expr]:
    return [
        exp.alias_(row(item.expression, engine=True), item.name, quoted=True) for item in columns
    ]


def _first(count: int) -> exp.Group:
    """Group by the first projections: a constant cannot be grouped by as itself."""
    return exp.Group(expressions=[exp.Literal.number(1 + place) for place in range(count)])


def _labels(cell: CellQuery) -> list[exp.Expr]:
    return [exp.column(item.name) for item in cell.dimensions]


def _per_unit(cell: CellQuery, layout: Layout) -> exp.Select:
    projections = [*_dimensions(cell), exp.alias_(row(layout.unit), "u")]
    projections += [
        exp.alias_(_rows(population), f"r{p}") for p, population in enumerate(layout.populations)
    ]
    for s, word in enumerate(layout.sums):
        population = layout.populations[word.population]
        operand = row(word.operand, engine=True)
        projections.append(
            exp.alias_(_filtered(exp.Sum(this=operand), population, word.operand), f"s{s}")
        )
        if s in layout.squares:
            # The engine keeps a product within 18 digits unless one factor is wider.
            wide = exp.cast(operand.copy(), f"DECIMAL(38, {word.scale})")
            square = exp.Sum(this=exp.Mul(this=wide, expression=operand.copy()))
            projections.append(exp.alias_(_filtered(square, population, word.operand), f"q{s}"))
    select = rows_from(exp.Select(expressions=projections), cell.rows, engine=True)
    select.set("group", _first(len(cell.dimensions) + 1))
    return select


def _rows(population: Population) -> exp.Expr:
    if population.condition is None and len(population.present) == 1:
        return exp.Count(this=row(population.present[0], engine=True))
    return _filtered(exp.Count(this=exp.Star()), population, None)


def _filtered(call: exp.Expr, population: Population, own: Field | Coalesce | None) -> exp.Expr:
    """Restrict ``call`` to a population; a sum skips its own operand's missing values by itself."""
    needed = Population(
        population.condition,
        tuple(item for item in population.present if item != own),
        population.strict,
    )
    condition = condition_of(needed)
    if condition is None:
        return call
    return exp.Filter(this=call, expression=exp.Where(this=predicate(condition, engine=True)))


def condition_of(population: Population) -> Predicate | None:
    """Return the predicate that the rows of a population meet, or None for all rows."""
    parts: list[Predicate] = [] if population.condition is None else [population.condition]
    parts += [Not(IsNull(operand)) for operand in population.present]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Boolean("and", tuple(parts))


def _evidence(layout: Layout) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for p in range(len(layout.populations)):
        inside = exp.GT(this=exp.column(f"r{p}"), expression=exp.Literal.number(0))
        outside = exp.LT(this=exp.column(f"r{p}"), expression=exp.column("r0"))
        units = exp.Count(this=exp.column("u"))
        found.append(exp.alias_(units if p == 0 else _where(units, inside), f"units_{p}"))
        if p:
            found.append(exp.alias_(_where(exp.Count(this=exp.column("u")), outside), f"rest_{p}"))
        found.append(exp.alias_(_exact(exp.Sum(this=exp.column(f"r{p}")), 0), f"rows_{p}"))
    for s, word in enumerate(layout.sums):
        total = exp.column(f"s{s}")
        found.append(exp.alias_(_exact(exp.Sum(this=total), word.scale), f"sum_{s}"))
        found.append(exp.alias_(_exact(_absolute(total), word.scale), f"abs_{s}"))
        negative = exp.LT(this=total.copy(), expression=exp.Literal.number(0))
        found.append(exp.alias_(_where(exp.Count(this=exp.column("u")), negative), f"neg_{s}"))
        largest = exp.func(
            "max", exp.Abs(this=total.copy()), exp.Literal.number(3), dialect="duckdb"
        )
        for place in (1, 2, 3):
            item = exp.Anonymous(
                this="list_extract", expressions=[largest.copy(), exp.Literal.number(place)]
            )
            found.append(exp.alias_(_exact(item, word.scale), f"top{place}_{s}"))
        if s in layout.squares:
            found.append(
                exp.alias_(_exact(exp.Sum(this=exp.column(f"q{s}")), 2 * word.scale), f"sq_{s}")
            )
    return found


def _absolute(total: exp.Column) -> exp.Expr:
    """Sum absolute unit totals as the sum less twice the negative ones: the engine adds, and compares nothing twice."""
    negative = _where(
        exp.Sum(this=total.copy()), exp.LT(this=total.copy(), expression=exp.Literal.number(0))
    )
    once = exp.Coalesce(this=negative, expressions=[exp.Literal.number(0)])
    less = exp.Sub(this=exp.Sum(this=total.copy()), expression=once)
    return exp.paren(exp.Sub(this=less, expression=once.copy()))


def _where(call: exp.Expr, condition: exp.Expr) -> exp.Expr:
    return exp.Filter(this=call, expression=exp.Where(this=condition))


def _exact(node: exp.Expr, scale: int) -> exp.Expr:
    return exp.cast(node, f"DECIMAL(38, {scale})")


def _plain(value: object) -> object:
    """Return a governed value as mappings, lists and scalars."""
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        body = {
            item.name: _plain(getattr(value, item.name))
            for item in fields(value)
            if item.init and item.name not in _NOT_IN_TREE
        }
        return {"node": type(value).__name__, **body}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Fraction):
        return {"node": "Fraction", "numerator": value.numerator, "denominator": value.denominator}
    assert value is None or isinstance(value, bool | int | Decimal | str | date), type(value)
    return value
