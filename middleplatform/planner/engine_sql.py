"""Rows, predicates, joins and unit blocks as a department's engine runs them: exact, without our schemas.

The fragment's text (``sql.render``) has one meaning; an engine has habits. ``EngineSql`` writes for DuckDB, and each
place where another engine means something else is a method of its own, overridden on purpose in ``dialects``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from sqlglot import exp

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.physical import PhysicalNames, PhysicalTable
from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    Arithmetic,
    Band,
    Between,
    Boolean,
    Case,
    Coalesce,
    Compare,
    DateBucket,
    DatePart,
    Field,
    InList,
    IsNull,
    IsTrue,
    Join,
    JoinKind,
    Literal,
    Not,
    Opaque,
    Piece,
    Predicate,
    Relation,
    RowExpression,
    Rows,
    Table,
    UnitBlock,
)
from middleplatform.planner.column_types import MEAN_PLACES, TypeOf, expression_type, sum_scale
from middleplatform.sql.affine import plain
from middleplatform.sql.render import ARITHMETIC, COMPARISON, column, literal

__all__ = ["EngineSql", "Scope", "added", "decimal", "finite", "number", "places_of"]

_FUNCTIONS: dict[AggregateKind, type[exp.Func]] = {
    AggregateKind.SUM: exp.Sum, AggregateKind.VAR_SAMP: exp.Variance, AggregateKind.VAR_POP: exp.VariancePop,
    AggregateKind.STDDEV_SAMP: exp.StddevSamp, AggregateKind.STDDEV_POP: exp.StddevPop,
    AggregateKind.COUNT: exp.Count,
}  # fmt: skip
_MICRO = 10**MEAN_PLACES


Prepare: TypeAlias = Callable[[exp.Select, Mapping[str, ColumnType]], exp.Select]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement reads.

    Attributes:
        type_of: Type of every field of the statement; aliases are unique in it.
        reads: By dataset, the columns that the statement names, with their types.
        names: Where they lie in the source.
        prepared: By dataset, what makes another read of a plain one, with the same columns; a dataset that is not named
            here is read as it is.
    """

    type_of: TypeOf
    reads: Mapping[str, Mapping[str, ColumnType]]
    names: PhysicalNames
    prepared: Mapping[str, Prepare] = field(default_factory=dict)


def number(value: int | Decimal) -> exp.Expr:
    """Return a numeric constant."""
    return literal(value)


def decimal(node: exp.Expr, scale: int, precision: int = 38) -> exp.Cast:
    """Return a cast to a decimal of so many digits and places."""
    return exp.cast(node, f"DECIMAL({precision}, {scale})", copy=False)


class EngineSql:
    """Writes for DuckDB.

    Args:
        scope: What the statement reads.
    """

    name = "duckdb"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    # --- rows ---------------------------------------------------------------------------------------------------

    def row(self, expression: RowExpression) -> exp.Expr:
        """Return a row expression as a tree."""
        match expression:
            case Field(relation=relation, name=name):
                return column(relation, name)
            case Literal(value=value):
                return literal(value)
            case Arithmetic():
                return self.arithmetic(expression)
            case DateBucket(unit=unit, operand=operand):
                return self.bucket(unit, self.row(operand))
            case DatePart(unit=unit, operand=operand):
                return self.date_part(unit, self.row(operand))
            case Band(width=width, operand=operand):
                return self.band(width, self.row(operand))
            case Coalesce():
                return self._coalesce(expression)
            case Case():
                return self._case(expression)
            case Opaque():
                raise AssertionError("an opaque form never runs")

    def _coalesce(self, node: Coalesce) -> exp.Expr:
        operand, default = self._alike((node.operand, node.default))
        return exp.Coalesce(this=operand, expressions=[default])

    def _case(self, node: Case) -> exp.Expr:
        *values, default = self._alike((*(then for _, then in node.branches), node.default))
        ifs = [
            exp.If(this=self.predicate(when), true=value)
            for (when, _), value in zip(node.branches, values, strict=True)
        ]
        return exp.Case(ifs=ifs, default=default)

    def _alike(self, values: Sequence[RowExpression]) -> list[exp.Expr]:
        """Return values of one expression, decimals of several places brought to the most of them."""
        kinds = [expression_type(value, self._scope.type_of) for value in values]
        telling = [
            kind.scale
            for value, kind in zip(values, kinds, strict=True)
            if kind.numeric and not _whole_constant(value)
        ]
        rows = [self.row(value) for value in values]
        if not any(kind.kind is TypeKind.DECIMAL for kind in kinds) or not self.unlike(telling):
            return rows
        scale = max(kind.scale for kind in kinds)
        return [decimal(item, scale) for item in rows]

    def unlike(self, scales: Sequence[int]) -> bool:
        """Say whether the engine would round values of these places to one type: a wide one's places win."""
        return len(set(scales)) > 1

    def arithmetic(self, node: Arithmetic) -> exp.Expr:
        """Return ``left op right`` in parentheses."""
        return exp.paren(
            ARITHMETIC[node.op](this=self.row(node.left), expression=self.row(node.right)),
            copy=False,
        )

    def bucket(self, unit: str, operand: exp.Expr) -> exp.Expr:
        """Return the first day of a month, quarter or year, as a date."""
        return exp.cast(
            exp.TimestampTrunc(this=operand, unit=exp.Var(this=unit.upper())), "DATE", copy=False
        )

    def date_part(self, unit: str, operand: exp.Expr) -> exp.Expr:
        """Return the number of a month, quarter or year."""
        return exp.Extract(this=exp.Var(this=unit.upper()), expression=operand)

    def band(self, width: int, operand: exp.Expr) -> exp.Expr:
        """Return the lower end of a band: exact for negative numbers too."""
        once = exp.paren(exp.Mod(this=operand.copy(), expression=number(width)), copy=False)
        twice = exp.Mod(
            this=exp.paren(exp.Add(this=once, expression=number(width)), copy=False),
            expression=number(width),
        )
        return exp.paren(exp.Sub(this=operand, expression=exp.paren(twice, copy=False)), copy=False)

    # --- predicates ---------------------------------------------------------------------------------------------

    def predicate(self, condition: Predicate) -> exp.Expr:
        """Return a predicate as a tree, in parentheses where it needs them."""
        match condition:
            case Boolean(op=op, operands=operands):
                parts = [self.predicate(operand) for operand in operands]
                return exp.paren(
                    exp.and_(*parts, copy=False) if op == "and" else exp.or_(*parts, copy=False),
                    copy=False,
                )
            case Not(operand=inner):
                return exp.paren(exp.Not(this=self.predicate(inner)), copy=False)
            case IsTrue(operand=inner):
                return self.is_true(self.predicate(inner))
            case Field() | Literal():
                return self.row(condition)
            case Opaque():
                raise AssertionError("an opaque form never runs")
            case _:
                return exp.paren(self._test(condition), copy=False)

    def is_true(self, condition: exp.Expr) -> exp.Expr:
        """Return whether a predicate holds, neither false nor unknown."""
        return exp.paren(exp.Is(this=condition, expression=exp.Boolean(this=True)), copy=False)

    def _test(self, condition: Compare | Between | InList | IsNull) -> exp.Expr:
        match condition:
            case Compare(op=op, left=left, right=right):
                return COMPARISON[op](this=self.row(left), expression=self.row(right))
            case Between(operand=operand, low=low, high=high):
                return exp.Between(
                    this=self.row(operand), low=literal(low.value), high=literal(high.value)
                )
            case InList(operand=operand, values=values):
                listed = [literal(item.value) for item in values]
                return exp.In(this=self.row(operand), expressions=listed)
            case IsNull(operand=operand):
                return exp.Is(this=self.row(operand), expression=exp.null())

    # --- relations ----------------------------------------------------------------------------------------------

    def rows_from(self, select: exp.Select, rows: Rows) -> exp.Select:
        """Give ``select`` the FROM, joins and WHERE of ``rows``."""
        select.set("from_", exp.From(this=self._relation(rows.first)))
        extra: list[exp.Expr] = []
        for join in rows.joins:
            select.append("joins", self._join(join))
            if join.kind is JoinKind.ANTI:
                extra.append(self.predicate(IsNull(join.on[0][1])))
        if rows.where is not None:
            extra.insert(0, self.predicate(rows.where))
        if extra:
            select.set("where", exp.Where(this=exp.and_(*extra, copy=False)))
        return select

    def _join(self, join: Join) -> exp.Join:
        on: list[exp.Expr] = [
            exp.EQ(this=self.row(left), expression=self.row(right)) for left, right in join.on
        ]
        if join.condition is not None:
            on.append(self.predicate(join.condition))
        side = {} if join.kind is JoinKind.INNER else {"side": "LEFT"}
        return exp.Join(this=self._relation(join.relation), on=exp.and_(*on, copy=False), **side)

    def _relation(self, relation: Relation) -> exp.Expr:
        alias = exp.TableAlias(this=exp.to_identifier(relation.alias, quoted=True))
        if isinstance(relation, UnitBlock):
            return exp.Subquery(this=self._unit_block(relation), alias=alias)
        table = self._scope.names.table(relation.dataset)
        stored = _stored(table)
        prepare = self._scope.prepared.get(relation.dataset)
        if prepare is None and self.keeps(relation, table):
            stored.set("alias", alias)
            return stored
        read = self._scope.reads[relation.dataset]
        columns = [
            exp.alias_(
                self.stored_column(exp.column(_quoted(table.physical(name))), kind),
                name,
                quoted=True,
                copy=False,
            )
            for name, kind in read.items()
        ]
        inner = exp.Select(expressions=columns)
        inner.set("from_", exp.From(this=stored))
        return exp.Subquery(this=inner if prepare is None else prepare(inner, read), alias=alias)

    def keeps(self, relation: Table, table: PhysicalTable) -> bool:
        """Say whether a table can be named as it is: its columns are called and compared as in the catalogue."""
        read = self._scope.reads.get(relation.dataset, {})
        return all(table.physical(name) == name for name in read)

    def stored_column(self, node: exp.Expr, kind: ColumnType) -> exp.Expr:  # noqa: ARG002 - for those who need it
        """Return a source's column as the catalogue has it."""
        return node

    def _unit_block(self, block: UnitBlock) -> exp.Select:
        projections = [
            exp.alias_(
                self._content(unit_column.content), unit_column.name, quoted=True, copy=False
            )
            for unit_column in block.columns
        ]
        select = self.rows_from(exp.Select(expressions=projections), block.rows)
        positions = [_position(block, key) for key in block.keys]
        select.set("group", exp.Group(expressions=[number(place) for place in positions]))
        return select if block.having is None else self.having(select, block, block.having)

    def _content(self, content: RowExpression | Aggregate) -> exp.Expr:
        return self.aggregate(content) if isinstance(content, Aggregate) else self.row(content)

    def having(self, select: exp.Select, block: UnitBlock, condition: Predicate) -> exp.Select:
        """Keep the units that meet a condition: it names the block's columns, HAVING the expressions behind them."""
        contents = {item.name: item.content for item in block.columns}

        def expand(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Column) and node.table == block.alias:
                return self._content(contents[node.name])
            return node

        select.set("having", exp.Having(this=self.predicate(condition).transform(expand)))
        return select

    # --- aggregates per unit ------------------------------------------------------------------------------------

    def aggregate(self, content: Aggregate) -> exp.Expr:
        """Return an aggregate per unit; a mean or deviation is rounded to six places, so that sums of it are exact."""

        def filtered(call: exp.Expr) -> exp.Expr:
            if content.condition is None:
                return call
            where = exp.Where(this=self.predicate(content.condition))
            return exp.Filter(this=call, expression=where)

        if content.key is not None:
            return filtered(exp.Count(this=exp.Distinct(expressions=[self.row(content.key)])))
        if content.kind is AggregateKind.COUNT and _every_row(content.pieces):
            return filtered(exp.Count(this=exp.Star()))
        argument = self._argument(content.pieces)
        if content.kind is AggregateKind.AVG:
            count = filtered(exp.Count(this=argument.copy()))
            total = filtered(exp.Sum(this=argument))
            return self.mean(total, count, sum_scale(content, self._scope.type_of))
        if content.kind in (AggregateKind.COUNT, AggregateKind.SUM):
            return filtered(_FUNCTIONS[content.kind](this=argument))
        return self.deviation(filtered(_FUNCTIONS[content.kind](this=self.spread(argument))))

    def spread(self, argument: exp.Expr) -> exp.Expr:
        """Return what a variance or deviation is taken of."""
        return argument

    def deviation(self, call: exp.Expr) -> exp.Expr:
        """Return a variance or deviation at six places, computed in double precision."""
        places = number(MEAN_PLACES)
        rounded = exp.Round(this=exp.cast(call, "DOUBLE", copy=False), decimals=places)
        return decimal(rounded, MEAN_PLACES)

    def mean(self, total: exp.Expr, count: exp.Expr, scale: int) -> exp.Expr:
        """Return an exact total over a count at six places, half away from zero, in whole numbers."""
        # A floor of the engine's own whole numbers would be one in floating point.
        size = exp.Abs(this=decimal(total.copy(), scale))
        doubled = exp.Mul(this=size, expression=number(2 * _MICRO))
        upper = exp.cast(exp.Floor(this=exp.paren(doubled, copy=False)), "HUGEINT", copy=False)
        upper_half = exp.paren(exp.Add(this=upper, expression=count.copy()), copy=False)
        lower = exp.paren(exp.Mul(this=count, expression=number(2)), copy=False)
        whole = exp.IntDiv(this=upper_half, expression=lower)
        signed = decimal(
            exp.Mul(this=exp.Sign(this=total), expression=exp.paren(whole, copy=False)), 0
        )
        micro = decimal(number(Decimal(1).scaleb(-MEAN_PLACES)), MEAN_PLACES)
        return exp.paren(exp.Mul(this=signed, expression=micro), copy=False)

    def _argument(self, pieces: Sequence[Piece]) -> exp.Expr:
        if len(pieces) == 1 and pieces[0].condition is None:
            return self.affine(pieces[0].value)
        scales = [self._affine_scale(piece.value) for piece in pieces]
        telling = [
            scale for piece, scale in zip(pieces, scales, strict=True) if piece.value.terms or scale
        ]
        wide = self.unlike(telling)

        def value(piece: Piece) -> exp.Expr:
            found = self.affine(piece.value)
            return decimal(found, max(scales)) if wide else found

        ifs = [
            exp.If(this=self.predicate(piece.condition), true=value(piece))
            for piece in pieces
            if piece.condition is not None
        ]
        rest = [value(piece) for piece in pieces if piece.condition is None]
        return exp.Case(ifs=ifs, default=rest[-1] if rest else None)

    def _affine_scale(self, form: Affine) -> int:
        own = [
            expression_type(term.operand, self._scope.type_of).scale + places_of(term.coefficient)
            for term in form.terms
        ]
        return max([*own, places_of(form.constant)])

    def affine(self, form: Affine) -> exp.Expr:
        """Return an affine form in decimals so wide that no row overflows."""
        wide = len(form.terms) > 1 or bool(form.constant)
        parts = [
            self.row(term.operand)
            if term.coefficient == 1 and not wide
            else exp.paren(
                exp.Mul(this=self.row(term.operand), expression=_wide(term.coefficient)), copy=False
            )
            for term in form.terms
        ]
        if form.constant or not parts:
            parts.append(number(finite(form.constant)))
        return added(parts)

    # --- measures -----------------------------------------------------------------------------------------------

    def summand(self, operand: Field | Coalesce, scale: int) -> exp.Expr:  # noqa: ARG002 - for those who need it
        """Return what is summed for a unit, of so many decimal places."""
        return self.row(operand)

    def square(self, operand: RowExpression, scale: int) -> exp.Expr:
        """Return the square of a row's value."""
        # The engine keeps a product within 18 digits unless one factor is wider.
        return exp.Mul(this=decimal(self.row(operand), scale), expression=self.row(operand))

    def exact(self, node: exp.Expr, scale: int) -> exp.Expr:
        """Return a total in the result's type; nothing is rounded, for it has no more places."""
        return decimal(node, scale)

    def ranked(self, per_unit: exp.Select, labels: Sequence[str], sums: int) -> exp.Select:  # noqa: ARG002 - as above
        """Return what ``largest`` reads: the rows of ``per_unit``, with more columns where the engine needs them."""
        return per_unit

    def largest(self, s: int, place: int) -> exp.Expr:
        """Return the absolute unit total number ``place`` of sum ``s``, missing where there are fewer."""
        found = exp.func("max", exp.Abs(this=exp.column(f"s{s}")), number(3), dialect="duckdb")
        return exp.Anonymous(this="list_extract", expressions=[found, number(place)])


def _whole_constant(value: RowExpression) -> bool:
    return isinstance(value, Literal) and not isinstance(value.value, Decimal)


def _every_row(pieces: Sequence[Piece]) -> bool:
    return len(pieces) == 1 and pieces[0].condition is None


def _position(block: UnitBlock, key: RowExpression) -> int:
    """Return the place of a key among the projections: a constant cannot be grouped by as itself."""
    return 1 + next(place for place, item in enumerate(block.columns) if item.content == key)


def _quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _stored(table: PhysicalTable) -> exp.Table:
    parts = dict(zip(("this", "db", "catalog"), map(_quoted, reversed(table.path)), strict=False))
    assert len(parts) == len(table.path), "a table is named by at most three parts"
    return exp.Table(**parts)


def finite(value: Fraction) -> int | Decimal:
    """Return a finite number as a whole number or a decimal."""
    found = plain(value)
    assert isinstance(found, int | Decimal)
    assert Fraction(found) == value, "a fraction that does not end is refused before"
    return found


def _wide(value: Fraction) -> exp.Expr:
    """Return a finite number as a decimal of 38 digits: the engine keeps that width in a product."""
    return decimal(number(finite(value)), places_of(value))


def places_of(value: Fraction) -> int:
    """Return the decimal places of a finite number."""
    exponent = Decimal(finite(value)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def added(parts: Sequence[exp.Expr]) -> exp.Expr:
    """Return a sum of parts, in parentheses where there are several."""
    total = parts[0]
    for part in parts[1:]:
        total = exp.Add(this=total, expression=part)
    return total if len(parts) == 1 else exp.paren(total, copy=False)
