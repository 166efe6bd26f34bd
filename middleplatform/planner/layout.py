"""What a department computes for a release block: populations, sums and counts from which every aggregate follows.

Coefficients, constants and ratios never reach a department: it sums plain columns, and the affine forms are put
together above (so a constant cannot hide a dominant unit, and literals cannot overflow a sum).
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache

from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog, TypeKind
from middleplatform.model.plan import SQUARED, Formula, KeyWord, Layout, Part, Population, SumWord
from middleplatform.model.query import (
    Aggregate,
    AggregateKind,
    Boolean,
    CellQuery,
    Coalesce,
    Field,
    IsNull,
    JoinKind,
    Not,
    Predicate,
    Relation,
    Rows,
    Table,
)
from middleplatform.planner.column_types import (
    column_reads,
    columns_of,
    decimals,
    expression_type,
    types_in,
)

__all__ = ["KnownCatalog", "layout_of", "unit_field", "unit_name"]

_PLACES_MAX = 36  # of 38 digits


def layout_of(cell: CellQuery, catalog: Catalog) -> Layout:
    """Return the layout of a release block.

    Raises:
        QueryError: Q031 when its rows have no protected unit to count, or a number has more places than are exact.
    """
    return _layout(cell, KnownCatalog(catalog))


class KnownCatalog:
    """A catalogue as a cache key: equal where the digest is; without one, only to itself."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._key = catalog.digest or id(catalog)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownCatalog) and self._key == other._key


@lru_cache(maxsize=1024)
def _layout(cell: CellQuery, known: KnownCatalog) -> Layout:
    catalog = known.catalog
    builder = _Builder(catalog, cell.rows, unit_field(cell.rows.first, catalog))
    formulas = tuple(builder.formula(item) for item in cell.aggregates)
    columns = columns_of(catalog)
    types = types_in(cell.rows, columns)
    layout = Layout(
        unit=builder.unit,
        populations=tuple(builder.populations),
        sums=tuple(builder.sums),
        squares=tuple(builder.squares),
        keys=tuple(builder.keys),
        others=tuple(_others(builder, cell.rows, catalog)),
        formulas=formulas,
        labels=tuple(expression_type(item.expression, types) for item in cell.dimensions),
        unit_type=types(builder.unit),
    )
    read = column_reads((cell, layout), cell.rows)
    layout = replace(layout, reads=tuple((*item, columns(*item)) for item in read))
    places = [
        *(word.scale for word in layout.sums),
        *(2 * layout.sums[s].scale for s in layout.squares),
        *(label.scale for label in layout.labels),
    ]
    if max(places, default=0) > _PLACES_MAX:
        what = ("numbers of more than 36 decimal places", "超过 36 位小数的数值")
        raise QueryError("Q031", rule="R3", what=what)
    return layout


def unit_field(relation: Relation, catalog: Catalog) -> Field:
    """Return the field that names the protected unit of a relation's rows."""
    if isinstance(relation, Table):
        return Field(relation.alias, catalog.datasets[relation.dataset].unit_column)
    inner = unit_field(relation.rows.first, catalog)
    keys = [
        column
        for column in relation.columns
        if isinstance(column.content, Field) and column.content in relation.keys
    ]
    for column in keys:
        if column.content == inner:
            return Field(relation.alias, column.name)
    for column in keys:
        if isinstance(column.content, Field) and unit_name(column.content, relation.rows, catalog):
            return Field(relation.alias, column.name)
    raise QueryError("Q031", rule="R5", what=("units that cannot be counted", "无法计数的单元"))


def unit_name(target: Field, rows: Rows, catalog: Catalog) -> str:
    """Return the protected unit that ``target`` names, or an empty string."""
    for relation in (rows.first, *(join.relation for join in rows.joins)):
        if relation.alias != target.relation:
            continue
        if isinstance(relation, Table):
            return catalog.datasets[relation.dataset].columns[target.name].unit
        content = next(column.content for column in relation.columns if column.name == target.name)
        return unit_name(content, relation.rows, catalog) if isinstance(content, Field) else ""
    return ""


def _others(builder: "_Builder", rows: Rows, catalog: Catalog) -> list[KeyWord]:
    """Return the units of further tables that contribute, where they are not the cell's own (R5, per source)."""
    joined_by_unit = {builder.unit}
    found: list[KeyWord] = []
    for join in rows.joins:
        if join.kind is JoinKind.ANTI:
            continue
        unit = unit_field(join.relation, catalog)
        same = any(left in joined_by_unit and right == unit for left, right in join.on)
        if same:
            joined_by_unit.add(unit)
        if not same or join.kind is JoinKind.LEFT:
            found.append(KeyWord(unit, 0))
    return found


@dataclass
class _Builder:
    catalog: Catalog
    rows: Rows
    unit: Field
    populations: list[Population] = field(
        default_factory=lambda: [Population(None, (), strict=False)]
    )
    sums: list[SumWord] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)
    keys: list[KeyWord] = field(default_factory=list)

    def formula(self, aggregate: Aggregate) -> Formula:
        if aggregate.kind is AggregateKind.COUNT_DISTINCT:
            return self._count_distinct(aggregate)
        parts: list[Part] = []
        for piece in aggregate.pieces:
            present = tuple(term.operand for term in piece.value.terms)
            population = self._population(aggregate.condition, piece.condition, present)
            terms = (
                []
                if aggregate.kind is AggregateKind.COUNT
                else [
                    (term.coefficient, self._sum(term.operand, population))
                    for term in piece.value.terms
                ]
            )
            if aggregate.kind in SQUARED:
                self.squares += [index for _, index in terms if index not in self.squares]
            parts.append(Part(population, piece.value.constant, tuple(terms)))
        scale, integer = _scale(parts, self.sums, [self._kind(word.operand) for word in self.sums])
        return Formula(aggregate.kind, tuple(parts), scale=scale, integer=integer)

    def _count_distinct(self, aggregate: Aggregate) -> Formula:
        assert aggregate.key is not None
        population = self._population(aggregate.condition, None, (aggregate.key,))
        part = Part(population, Fraction(0), ())
        if aggregate.key == self.unit:
            return Formula(aggregate.kind, (part,))
        word = KeyWord(aggregate.key, population)
        if word not in self.keys:
            self.keys.append(word)
        return Formula(aggregate.kind, (part,), key=self.keys.index(word))

    def _population(
        self,
        filtered: Predicate | None,
        piece: Predicate | None,
        present: tuple[Field | Coalesce, ...],
    ) -> int:
        conditions = [condition for condition in (filtered, piece) if condition is not None]
        strict = any(not _only_presence(condition) for condition in conditions)
        condition = (
            None
            if not conditions
            else conditions[0]
            if len(conditions) == 1
            else Boolean("and", tuple(conditions))
        )
        needed = tuple(
            operand
            for operand in present
            if not isinstance(operand, Coalesce) and self._nullable(operand)
        )
        population = Population(condition, needed, strict, self._outer(needed))
        if population not in self.populations:
            self.populations.append(population)
        return self.populations.index(population)

    def _outer(self, operands: tuple[Field | Coalesce, ...]) -> bool:
        joined = {join.relation.alias for join in self.rows.joins if join.kind is JoinKind.LEFT}
        return any(isinstance(each, Field) and each.relation in joined for each in operands)

    def _sum(self, operand: Field | Coalesce, population: int) -> int:
        word = SumWord(operand, population, self._type_scale(operand))
        if word not in self.sums:
            self.sums.append(word)
        return self.sums.index(word)

    def _nullable(self, operand: Field) -> bool:
        """Say whether a field may be missing: a column of an outer-joined relation always may."""
        for join in self.rows.joins:
            if join.relation.alias == operand.relation and join.kind is JoinKind.LEFT:
                return True
        relation = self._relation(operand)
        if isinstance(relation, Table):
            return (
                self.catalog.datasets[relation.dataset].columns[operand.name].nullable
                and operand != self.unit
            )
        content = next(column.content for column in relation.columns if column.name == operand.name)
        return not (isinstance(content, Aggregate) and content.kind is AggregateKind.COUNT)

    def _relation(self, operand: Field) -> Relation:
        for relation in (self.rows.first, *(join.relation for join in self.rows.joins)):
            if relation.alias == operand.relation:
                return relation
        raise AssertionError("a field without a relation")

    def _type_scale(self, operand: Field | Coalesce) -> int:
        return expression_type(operand, types_in(self.rows, columns_of(self.catalog))).scale

    def _kind(self, operand: Field | Coalesce) -> TypeKind:
        return TypeKind.INTEGER if self._type_scale(operand) == 0 else TypeKind.DECIMAL


def _scale(parts: list[Part], sums: list[SumWord], kinds: list[TypeKind]) -> tuple[int, bool]:
    scale, integer = 0, True
    for part in parts:
        for coefficient, number in ((part.constant, None), *part.terms):
            places = decimals(coefficient)
            if places < 0:
                return -1, False
            own = 0 if number is None else sums[number].scale
            scale = max(scale, places + own)
            integer = (
                integer and places == 0 and (number is None or kinds[number] is TypeKind.INTEGER)
            )
    return (scale, integer) if scale <= 30 else (-1, False)  # noqa: PLR2004 - a decimal128 has 38 digits


def _only_presence(condition: Predicate) -> bool:
    match condition:
        case Not(operand=IsNull()):
            return True
        case Boolean(op="and", operands=operands):
            return all(_only_presence(operand) for operand in operands)
        case _:
            return False
