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
from middleplatform.planner.column_types import types_in
from middleplatform.planner.dialects import engine_sql
from middleplatform.planner.engine_sql import EngineSql, Scope
from middleplatform.planner.results import (
    distinct_result,
    evidence_result,
    members_result,
    rows_result,
    totals_result,
    units_result,
)

__all__ = [
    "Statement",
    "condition_of",
    "distinct_statement",
    "evidence_statement",
    "per_unit",
    "plain_tree",
    "rows_statement",
    "totals_statement",
    "units_statement",
]

_ROWS = "t0"
_NOT_IN_TREE = frozenset({"span", "labels", "unit_type", "reads"})


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
    engine = _engine(cell, layout, dialect, names)
    labels = [item.name for item in cell.dimensions]
    inner = engine.ranked(_per_unit(engine, cell, layout), labels, len(layout.sums))
    outer = exp.Select(expressions=_labels(cell) + _evidence(engine, layout))
    outer.set("from_", _from(inner))
    if cell.dimensions:
        outer.set("group", exp.Group(expressions=_labels(cell)))
    tree = {"cell": plain_tree(cell), "layout": plain_tree(layout)}
    return Statement("evidence", _text(outer, dialect), tree, evidence_result(cell, layout))


@lru_cache(maxsize=512)
def distinct_statement(
    cell: CellQuery,
    word: KeyWord,
    layout: Layout,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement that counts another key's distinct values: columns ``d*`` and ``keys``."""
    engine = _engine(cell, layout, dialect, names)
    count: exp.Expr = exp.Count(this=exp.Distinct(expressions=[engine.row(word.key)]))
    condition = condition_of(layout.populations[word.population])
    if condition is not None:
        count = _where(count, engine.predicate(condition))
    projections = [*_projected(engine, cell.dimensions), exp.alias_(count, "keys", copy=False)]
    select = engine.rows_from(exp.Select(expressions=projections), cell.rows)
    if cell.dimensions:
        select.set("group", _first(len(cell.dimensions)))
    tree = {"cell": plain_tree(cell), "layout": plain_tree(layout), "word": plain_tree(word)}
    return Statement("distinct", _text(select, dialect), tree, distinct_result(cell, layout))


@lru_cache(maxsize=512)
def units_statement(
    cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames = AS_REGISTERED
) -> Statement:
    """Return the statement that lists each cell's units with their rows: columns ``d*``, ``u`` and ``n``.

    Its rows stay inside the node.
    """
    engine = _engine(cell, layout, dialect, names)
    count = exp.alias_(exp.Count(this=exp.Star()), "n", copy=False)
    unit = exp.alias_(engine.row(layout.unit), "u", copy=False)
    projections = [*_projected(engine, cell.dimensions), unit, count]
    select = engine.rows_from(exp.Select(expressions=projections), cell.rows)
    select.set("group", _first(len(cell.dimensions) + 1))
    tree = {"cell": plain_tree(cell), "layout": plain_tree(layout)}
    return Statement("units", _text(select, dialect), tree, units_result(cell, layout))


@lru_cache(maxsize=512)
def members_statement(
    cell: CellQuery,
    layout: Layout,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
    *,
    contributors: bool = False,
) -> Statement:
    """Return the statement that lists each cell's units with their rows in each population.

    Columns ``d*``, ``u``, ``n`` (all rows), ``r1`` and on (further populations). Its rows stay inside the node.

    Args:
        cell: The release block.
        layout: Its layout.
        dialect: Of the connector.
        names: Of the source.
        contributors: Also say, in ``c0`` and on, whether the unit's total of each sum is other than zero; missing
            where it has no value.
    """
    engine = _engine(cell, layout, dialect, names)
    unit = exp.alias_(engine.row(layout.unit), "u", copy=False)
    counts = [
        exp.alias_(_rows(engine, population), f"r{p}" if p else "n", copy=False)
        for p, population in enumerate(layout.populations)
    ]
    projections = [*_projected(engine, cell.dimensions), unit, *counts]
    tree = {"cell": plain_tree(cell), "layout": plain_tree(layout), "populations": True}
    if contributors:
        projections += [_contributes(engine, layout, s) for s in range(len(layout.sums))]
        tree["contributors"] = True
    result = members_result(cell, layout, contributors=contributors)
    select = engine.rows_from(exp.Select(expressions=projections), cell.rows)
    select.set("group", _first(len(cell.dimensions) + 1))
    return Statement("units", _text(select, dialect), tree, result)


@lru_cache(maxsize=512)
def totals_statement(
    cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames = AS_REGISTERED
) -> Statement:
    """Return the statement that gives each unit's totals: columns ``d*`` and ``s*``. Its rows stay inside the node."""
    engine = _engine(cell, layout, dialect, names)
    sums = [
        exp.alias_(engine.exact(exp.column(f"s{s}"), word.scale), f"s{s}", copy=False)
        for s, word in enumerate(layout.sums)
    ]
    select = exp.Select(expressions=[*_labels(cell), *sums])
    select.set("from_", _from(_per_unit(engine, cell, layout)))
    tree = {"cell": plain_tree(cell), "layout": plain_tree(layout)}
    return Statement("totals", _text(select, dialect), tree, totals_result(cell, layout))


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
    engine = _engine_of(rows, tuple((dataset, *item) for item in columns), dialect, names)
    select = engine.rows_from(exp.Select(expressions=_projected(engine, projected)), rows)
    tree = {"rows": plain_tree(rows), "columns": plain_tree(projected)}
    return Statement("rows", _text(select, dialect), tree, rows_result(columns))


def per_unit(
    cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames
) -> tuple[EngineSql, exp.Select]:
    """Return what writes for a dialect, and the rows of each cell's units: ``d*``, ``u``, ``r*``, ``s*``, ``q*``."""
    engine = _engine(cell, layout, dialect, names)
    return engine, _per_unit(engine, cell, layout)


def _engine(cell: CellQuery, layout: Layout, dialect: str, names: PhysicalNames) -> EngineSql:
    return _engine_of(cell.rows, layout.reads, dialect, names)


def _engine_of(
    rows: Rows,
    reads: tuple[tuple[str, str, ColumnType], ...],
    dialect: str,
    names: PhysicalNames,
) -> EngineSql:
    known: dict[str, dict[str, ColumnType]] = {}
    for dataset, column, kind in reads:
        known.setdefault(dataset, {})[column] = kind
    types = types_in(rows, lambda dataset, column: known[dataset][column])
    return engine_sql(dialect, Scope(types, known, names))


def _text(select: exp.Select, dialect: str) -> str:
    return select.sql(dialect, comments=False, copy=False)


def _from(inner: exp.Select) -> exp.From:
    alias = exp.TableAlias(this=exp.to_identifier("per_unit"))
    return exp.From(this=exp.Subquery(this=inner, alias=alias))


def _projected(engine: EngineSql, columns: tuple[Dimension, ...]) -> list[exp.Expr]:
    return [
        exp.alias_(engine.row(item.expression), item.name, quoted=True, copy=False)
        for item in columns
    ]


def _first(count: int) -> exp.Group:
    """Group by the first projections: a constant cannot be grouped by as itself."""
    return exp.Group(expressions=[exp.Literal.number(1 + place) for place in range(count)])


def _labels(cell: CellQuery) -> list[exp.Expr]:
    return [exp.column(item.name) for item in cell.dimensions]


def _per_unit(engine: EngineSql, cell: CellQuery, layout: Layout) -> exp.Select:
    unit = exp.alias_(engine.row(layout.unit), "u", copy=False)
    projections = [*_projected(engine, cell.dimensions), unit]
    projections += [
        exp.alias_(_rows(engine, population), f"r{p}", copy=False)
        for p, population in enumerate(layout.populations)
    ]
    for s, word in enumerate(layout.sums):
        population = layout.populations[word.population]
        total = exp.Sum(this=engine.summand(word.operand, word.scale))
        filtered = _filtered(engine, total, population, word.operand)
        projections.append(exp.alias_(filtered, f"s{s}", copy=False))
        if s in layout.squares:
            squares = exp.Sum(this=engine.square(word.operand, word.scale))
            filtered = _filtered(engine, squares, population, word.operand)
            projections.append(exp.alias_(filtered, f"q{s}", copy=False))
    select = engine.rows_from(exp.Select(expressions=projections), cell.rows)
    select.set("group", _first(len(cell.dimensions) + 1))
    return select


def _contributes(engine: EngineSql, layout: Layout, s: int) -> exp.Expr:
    """Say whether a unit's total is other than zero."""
    word = layout.sums[s]
    total = exp.Sum(this=engine.summand(word.operand, word.scale))
    filtered = _filtered(engine, total, layout.populations[word.population], word.operand)
    zero = exp.Literal.number(0)
    return exp.alias_(
        exp.paren(exp.NEQ(this=filtered, expression=zero), copy=False), f"c{s}", copy=False
    )


def _rows(engine: EngineSql, population: Population) -> exp.Expr:
    if population.condition is None and len(population.present) == 1:
        return exp.Count(this=engine.row(population.present[0]))
    return _filtered(engine, exp.Count(this=exp.Star()), population, None)


def _filtered(
    engine: EngineSql, call: exp.Expr, population: Population, own: Field | Coalesce | None
) -> exp.Expr:
    """Restrict ``call`` to a population; a sum skips its own operand's missing values by itself."""
    needed = Population(
        population.condition,
        tuple(item for item in population.present if item != own),
        population.strict,
    )
    condition = condition_of(needed)
    return call if condition is None else _where(call, engine.predicate(condition))


def condition_of(population: Population) -> Predicate | None:
    """Return the predicate that the rows of a population meet, or None for all rows."""
    parts: list[Predicate] = [] if population.condition is None else [population.condition]
    parts += [Not(IsNull(operand)) for operand in population.present]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Boolean("and", tuple(parts))


def _evidence(engine: EngineSql, layout: Layout) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for p in range(len(layout.populations)):
        inside = exp.GT(this=exp.column(f"r{p}"), expression=exp.Literal.number(0))
        outside = exp.LT(this=exp.column(f"r{p}"), expression=exp.column("r0"))
        units = exp.Count(this=exp.column("u"))
        found.append(
            exp.alias_(units if p == 0 else _where(units, inside), f"units_{p}", copy=False)
        )
        if p:
            found.append(
                exp.alias_(
                    _where(exp.Count(this=exp.column("u")), outside), f"rest_{p}", copy=False
                )
            )
        found.append(
            exp.alias_(engine.exact(exp.Sum(this=exp.column(f"r{p}")), 0), f"rows_{p}", copy=False)
        )
    for s, word in enumerate(layout.sums):
        total = exp.column(f"s{s}")
        found.append(
            exp.alias_(engine.exact(exp.Sum(this=total), word.scale), f"sum_{s}", copy=False)
        )
        found.append(exp.alias_(engine.exact(_absolute(total), word.scale), f"abs_{s}", copy=False))
        negative = exp.LT(this=total.copy(), expression=exp.Literal.number(0))
        found.append(
            exp.alias_(_where(exp.Count(this=exp.column("u")), negative), f"neg_{s}", copy=False)
        )
        for place in (1, 2, 3):
            item = engine.largest(s, place)
            found.append(exp.alias_(engine.exact(item, word.scale), f"top{place}_{s}", copy=False))
        if s in layout.squares:
            found.append(
                exp.alias_(
                    engine.exact(exp.Sum(this=exp.column(f"q{s}")), 2 * word.scale),
                    f"sq_{s}",
                    copy=False,
                )
            )
    return found


def _absolute(total: exp.Column) -> exp.Expr:
    """Sum absolute unit totals as the sum less twice the negative ones: the engine adds, and compares nothing twice."""
    negative = _where(
        exp.Sum(this=total.copy()), exp.LT(this=total.copy(), expression=exp.Literal.number(0))
    )
    once = exp.Coalesce(this=negative, expressions=[exp.Literal.number(0)])
    less = exp.Sub(this=exp.Sum(this=total.copy()), expression=once)
    return exp.paren(exp.Sub(this=less, expression=once.copy()), copy=False)


def _where(call: exp.Expr, condition: exp.Expr) -> exp.Expr:
    return exp.Filter(this=call, expression=exp.Where(this=condition))


def plain_tree(value: object) -> object:
    """Return a governed value as mappings, lists and scalars."""
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        body = {
            item.name: plain_tree(getattr(value, item.name))
            for item in fields(value)
            if item.init and item.name not in _NOT_IN_TREE
        }
        return {"node": type(value).__name__, **body}
    if isinstance(value, tuple | list):
        return [plain_tree(item) for item in value]
    if isinstance(value, Fraction):
        return {"node": "Fraction", "numerator": value.numerator, "denominator": value.denominator}
    assert value is None or isinstance(value, bool | int | Decimal | str | date), type(value)
    return value
