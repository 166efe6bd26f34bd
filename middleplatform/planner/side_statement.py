"""The statement that a department runs for its side of a private join.

Columns of the statement, one list row a (key, own dimensions):

- ``k``: the key, normalised; never missing: rows without a key take no part, on any side.
- ``d{i}``: each own dimension, ``i`` its number in the cell (``Side.dimensions``).
- ``u{j}``: each second key, ``j`` its number in ``Layout.keys`` (``Side.keys``); may be missing.
- ``rows_0``: table rows of the list row, int64, at least 1; ``rows_p`` for each own population, int64.
- ``sum_s`` (decimal128(38, scale), missing where no row is in its population) and ``sq_s``
  (decimal128(38, 2 * scale)) for each own sum and squared sum; squares are of values within the cap.

Everything else of ``Side.words`` follows from these: see ``side_words.word_columns``.

Spec: docs/spec/private-join.md.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

import pyarrow as pa
from sqlglot import exp

from middleplatform.errors import ProtocolError
from middleplatform.model.catalog import Catalog, ColumnType
from middleplatform.model.join import JoinPlan, Side
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames
from middleplatform.model.plan import Layout, Population
from middleplatform.model.query import (
    Case,
    CellQuery,
    Coalesce,
    Compare,
    Dimension,
    Field,
    IsNull,
    Literal,
    Not,
    RowExpression,
    Table,
)
from middleplatform.planner.column_types import columns_of, types_in
from middleplatform.planner.dialects import engine_sql
from middleplatform.planner.engine_sql import EngineSql, Scope
from middleplatform.planner.evidence import Statement, condition_of, plain_tree
from middleplatform.planner.join_missing import value
from middleplatform.planner.join_normal import prepared
from middleplatform.planner.join_sides import conjuncts, datasets_in, together
from middleplatform.planner.layout import KnownCatalog
from middleplatform.planner.results import arrow_type
from middleplatform.sql.extract import fields

__all__ = [
    "check_side",
    "doubles_statement",
    "missing_labels",
    "shows_doubles",
    "side_reads",
    "side_statement",
]

_COUNT = pa.int64()
_DIGITS = 38


@dataclass(frozen=True)
class _Where:
    """Where a statement is to run, and how its tables are read: ``doubles`` leaves duplicate registrations in."""

    known: KnownCatalog
    dialect: str
    names: PhysicalNames
    doubles: bool = False


def side_statement(
    cell: CellQuery,
    layout: Layout,
    plan: JoinPlan,
    side: int,
    catalog: Catalog,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement of kind ``rows`` that gives a side's list rows; they stay inside the node."""
    return _statement(cell, layout, plan, side, _Where(KnownCatalog(catalog), dialect, names))


def doubles_statement(
    cell: CellQuery,
    layout: Layout,
    plan: JoinPlan,
    side: int,
    catalog: Catalog,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement of a side that leaves duplicate registrations in, which is several times faster.

    Only of a side that ``shows_doubles``. Where no key stands twice among its rows, they are those of
    ``side_statement``; else they may not be used.
    """
    where = _Where(KnownCatalog(catalog), dialect, names, doubles=True)
    return _statement(cell, layout, plan, side, where)


@lru_cache(maxsize=512)
def _statement(
    cell: CellQuery, layout: Layout, plan: JoinPlan, side: int, where: _Where
) -> Statement:
    builder = _Builder(cell, layout, plan, plan.sides[side], where)
    select = builder.select()
    tree = {
        "cell": plain_tree(cell), "layout": plain_tree(layout), "rows": plain_tree(builder.rows),
        "dimensions": list(builder.side.dimensions), "keys": list(builder.side.keys),
    }  # fmt: skip
    text = select.sql(where.dialect, comments=False, copy=False)
    return Statement("rows", text, tree, pa.schema(builder.result))


def shows_doubles(side: Side, catalog: Catalog) -> bool:
    """Say whether duplicate registrations, left in, would show as a key that stands twice.

    So it is where a list row is one row of one table, the key is among what tells its rows apart, and so is all that
    the filter reads: then duplicates have one key, and all of them pass the filter or none.
    """
    first = side.rows.first
    if not (side.unique and side.single and isinstance(first, Table)) or side.rows.joins:
        return False
    apart = {Field(first.alias, name) for name in catalog.datasets[first.dataset].rows_by}
    read = set() if side.rows.where is None else set(fields(side.rows.where))
    return side.key in apart and read <= apart


def side_reads(
    layout: Layout, plan: JoinPlan, side: int, catalog: Catalog
) -> tuple[tuple[str, str, ColumnType], ...]:
    """Return every (dataset, column, type) that a side's statement reads, sorted: ``Layout.reads`` of the side."""
    datasets = set(datasets_in(plan.sides[side].rows))
    named = {(dataset, column) for dataset, column, _ in layout.reads if dataset in datasets}
    named |= {(name, column) for name in datasets for column in catalog.datasets[name].rows_by}
    columns = columns_of(catalog)
    return tuple((*item, columns(*item)) for item in sorted(named))


def missing_labels(
    cell: CellQuery, layout: Layout, plan: JoinPlan, side: int
) -> tuple[object, ...]:
    """Return the own labels of rows that found no match on an outer-joined side, in order of ``Side.dimensions``.

    Of the Python types that ``Table.to_pylist`` gives for the statement's ``d{i}``.
    """
    return tuple(
        pa.scalar(
            value(cell.dimensions[place].expression), arrow_type(layout.labels[place])
        ).as_py()
        for place in plan.sides[side].dimensions
    )


def check_side(plan: JoinPlan, department: str, catalog: Catalog) -> int:
    """Return the number of the department's side, after checking that it holds every dataset that the side reads.

    Raises:
        ProtocolError: X003 where it does not.
    """
    side = plan.side_of(department)
    if side is None:
        raise ProtocolError(
            "X003", rule="R10", department=department, detail="a department without a side"
        )
    for name in datasets_in(side.rows):
        if department not in catalog.datasets[name].held_by:
            raise ProtocolError(
                "X003", rule="R10", department=department, detail=f"{name} is not held here"
            )
    return side.number


class _Builder:
    """Writes one side's statement; ``result`` fills as columns are added."""

    def __init__(
        self,
        cell: CellQuery,
        layout: Layout,
        plan: JoinPlan,
        side: Side,
        where: _Where,
    ) -> None:
        self._cell, self._layout, self._plan, self.side = cell, layout, plan, side
        with_key = [*conjuncts(side.rows.where), Not(IsNull(side.key))]
        self.rows = replace(side.rows, where=together(with_key))
        self._types = types_in(side.rows, columns_of(where.known.catalog))
        self._engine = _engine(side, layout, plan, where)
        self.result: list[tuple[str, pa.DataType]] = []
        self._columns: list[exp.Expr] = []

    def select(self) -> exp.Select:
        """Return the statement: grouped, unless every list row is one table row anyway."""
        labels = self._labels()
        for item in labels:
            self._add(item.name, arrow_type(self._kind(item)), self._engine.row(item.expression))
        own = [p for p, side in enumerate(self._plan.population_sides) if side == self.side.number]
        for p in (0, *own):
            self._add(f"rows_{p}", _COUNT, self._rows(self._layout.populations[p] if p else None))
        for s, side in enumerate(self._plan.sum_sides):
            if side == self.side.number:
                self._sums(s)
        select = self._engine.rows_from(exp.Select(expressions=self._columns), self.rows)
        if not self.side.single:
            places = [exp.Literal.number(1 + place) for place in range(len(labels))]
            select.set("group", exp.Group(expressions=places))
        return select

    def _labels(self) -> list[Dimension]:
        found = [Dimension("k", self.side.key)]
        found += [self._cell.dimensions[place] for place in self.side.dimensions]
        return found + [Dimension(f"u{j}", self._layout.keys[j].key) for j in self.side.keys]

    def _kind(self, item: Dimension) -> ColumnType:
        for place in self.side.dimensions:
            if self._cell.dimensions[place] is item:
                return self._layout.labels[place]
        assert isinstance(item.expression, Field), "a key is a field"
        return self._types(item.expression)

    def _add(self, name: str, kind: pa.DataType, node: exp.Expr) -> None:
        self.result.append((name, kind))
        self._columns.append(exp.alias_(node, name, quoted=True, copy=False))

    def _rows(self, population: Population | None) -> exp.Expr:
        condition = None if population is None else condition_of(population)
        one = exp.Literal.number(1)
        if self.side.single:
            if condition is None:
                return exp.cast(one, "BIGINT", copy=False)
            inside = exp.If(this=self._engine.predicate(condition), true=one)
            return exp.cast(
                exp.Case(ifs=[inside], default=exp.Literal.number(0)), "BIGINT", copy=False
            )
        count = exp.Count(this=exp.Star())
        if condition is None:
            return count
        where = exp.Where(this=self._engine.predicate(condition))
        return exp.Filter(this=count, expression=where)

    def _sums(self, s: int) -> None:
        word = self._layout.sums[s]
        population = self._layout.populations[word.population]
        total = self._total(self._engine.summand(word.operand, word.scale), population)
        kind = pa.decimal128(_DIGITS, word.scale)
        self._add(f"sum_{s}", kind, self._engine.exact(total, word.scale))
        if s in self._layout.squares:
            clamped = _within(word.operand, self._plan.capped[s], word.scale)
            squares = self._total(self._engine.square(clamped, word.scale), population)
            squared = pa.decimal128(_DIGITS, 2 * word.scale)
            self._add(f"sq_{s}", squared, self._engine.exact(squares, 2 * word.scale))

    def _total(self, node: exp.Expr, population: Population) -> exp.Expr:
        condition = condition_of(population)
        inside = None if condition is None else self._engine.predicate(condition)
        if self.side.single:
            return node if inside is None else exp.Case(ifs=[exp.If(this=inside, true=node)])
        call = exp.Sum(this=node)
        return call if inside is None else exp.Filter(this=call, expression=exp.Where(this=inside))


def _engine(side: Side, layout: Layout, plan: JoinPlan, where: _Where) -> EngineSql:
    catalog = where.known.catalog
    reads: dict[str, dict[str, ColumnType]] = {}
    for dataset, column, kind in side_reads(layout, plan, side.number, catalog):
        reads.setdefault(dataset, {})[column] = kind
    types = types_in(side.rows, columns_of(catalog))
    prepare = prepared(catalog, list(reads), doubles=where.doubles)
    return engine_sql(where.dialect, Scope(types, reads, where.names, prepare))


def _within(operand: Field | Coalesce, cap: int, scale: int) -> RowExpression:
    """Return a row's value, brought within plus and minus the cap."""
    if cap < 0:
        return operand
    most = Decimal(cap).scaleb(-scale)
    above = (Compare(">", operand, Literal(most)), Literal(most))
    below = (Compare("<", operand, Literal(-most)), Literal(-most))
    return Case((above, below), operand)
