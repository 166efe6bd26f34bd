"""What PostgreSQL and Spark mean by the same words, and how their statements are made to mean what ours do.

PostgreSQL: every table is read through a projection whose text columns are ``text`` of collation "C", so that all
comparisons and groups above it are by bytes, and padding of ``char(n)`` is gone; numbers are computed as ``numeric``,
which has no width to overflow; a bucket is cut from a timestamp without a zone.

Spark: a decimal has 38 digits at most and silently gives up places of a product or sum that would need more, so every
factor and addend is first cast to digits that leave room; a sum of whole numbers is one of decimals; a bucket is
put together from the date's parts.

Neither has a list of the three largest, so units are ranked in a level between.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from sqlglot import exp

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.physical import PhysicalTable
from middleplatform.model.query import (
    Affine,
    Arithmetic,
    Coalesce,
    Field,
    Literal,
    Predicate,
    RowExpression,
    Table,
    UnitBlock,
)
from middleplatform.planner.column_types import MEAN_PLACES, expression_type
from middleplatform.planner.engine_sql import (
    EngineSql,
    Scope,
    added,
    decimal,
    finite,
    number,
    places_of,
)
from middleplatform.sql.render import ARITHMETIC

__all__ = ["DIALECTS", "EngineSqlPostgres", "EngineSqlSpark", "engine_sql"]

_DIGITS = 38
_WHOLE_DIGITS = 19  # of 64 bits with sign
_COUNT_DIGITS = 20  # of twice as many rows
_FACTOR = 7  # digits of two million
_DOUBLED_MICRO = 2 * 10**MEAN_PLACES


def engine_sql(dialect: str, scope: Scope) -> EngineSql:
    """Return what writes for a dialect.

    Raises:
        KeyError: No such dialect.
    """
    return DIALECTS[dialect](scope)


class _Ranking(EngineSql):
    """Finds the largest unit totals by their rank."""

    def ranked(self, per_unit: exp.Select, labels: Sequence[str], sums: int) -> exp.Select:
        """Add ``k*``: a unit's place by its absolute total among its cell's, missing ones last."""
        if not sums:
            return per_unit
        places = [exp.alias_(_rank(s, labels), f"k{s}", copy=False) for s in range(sums)]
        select = exp.Select(expressions=[exp.Star(), *places])
        alias = exp.TableAlias(this=exp.to_identifier("unranked"))
        select.set("from_", exp.From(this=exp.Subquery(this=per_unit, alias=alias)))
        return select

    def largest(self, s: int, place: int) -> exp.Expr:
        """Return the absolute total of the unit with that rank."""
        where = exp.Where(this=exp.EQ(this=exp.column(f"k{s}"), expression=number(place)))
        return exp.Filter(this=exp.Max(this=exp.Abs(this=exp.column(f"s{s}"))), expression=where)


def _rank(s: int, labels: Sequence[str]) -> exp.Expr:
    order = exp.Ordered(this=exp.Abs(this=exp.column(f"s{s}")), desc=True, nulls_first=False)
    return exp.Window(
        this=exp.RowNumber(),
        partition_by=[exp.column(label) for label in labels],
        order=exp.Order(expressions=[order]),
    )


class EngineSqlPostgres(_Ranking):
    """Writes for PostgreSQL 13 and later."""

    name = "postgres"

    def keeps(self, relation: Table, table: PhysicalTable) -> bool:
        """Name a table as it is only where no text is read from it."""
        read = self._scope.reads.get(relation.dataset, {})
        text = any(kind.kind is TypeKind.TEXT for kind in read.values())
        return not text and super().keeps(relation, table)

    def stored_column(self, node: exp.Expr, kind: ColumnType) -> exp.Expr:
        """Return text by bytes and without padding."""
        if kind.kind is not TypeKind.TEXT:
            return node
        binary = exp.to_identifier("C", quoted=True)
        return exp.Collate(this=exp.cast(node, "TEXT", copy=False), expression=binary)

    def arithmetic(self, node: Arithmetic) -> exp.Expr:
        """Compute in numeric: a whole number of the engine's would overflow."""
        left, right = _numeric(self.row(node.left)), _numeric(self.row(node.right))
        return exp.paren(ARITHMETIC[node.op](this=left, expression=right), copy=False)

    def bucket(self, unit: str, operand: exp.Expr) -> exp.Expr:
        """Cut a timestamp without a zone: a date alone would become one with the session's zone."""
        return super().bucket(unit, exp.cast(operand, "TIMESTAMP", copy=False))

    def date_part(self, unit: str, operand: exp.Expr) -> exp.Expr:
        """Return a whole number: the engine's own is a numeric, and a double before version 14."""
        return exp.cast(super().date_part(unit, operand), "INT", copy=False)

    def band(self, width: int, operand: exp.Expr) -> exp.Expr:
        """Compute in numeric; its remainder has the sign of the dividend too."""
        return super().band(width, _numeric(operand))

    def unlike(self, scales: Sequence[int]) -> bool:  # noqa: ARG002 - a numeric has any
        """Leave numbers as they are: none is rounded to another's type."""
        return False

    def spread(self, argument: exp.Expr) -> exp.Expr:
        """Take variances of numerics, which the engine sums exactly."""
        return _numeric(argument)

    def deviation(self, call: exp.Expr) -> exp.Expr:
        """Round a numeric, half away from zero."""
        return exp.Round(this=call, decimals=number(MEAN_PLACES))

    def mean(self, total: exp.Expr, count: exp.Expr, scale: int) -> exp.Expr:  # noqa: ARG002 - as above
        """Divide whole numbers, as everywhere."""
        total = _numeric(total)
        doubled = exp.Mul(this=exp.Abs(this=total), expression=number(_DOUBLED_MICRO))
        upper = exp.Add(
            this=exp.Floor(this=exp.paren(doubled, copy=False)), expression=count.copy()
        )
        lower = exp.Mul(this=count, expression=number(2))
        whole = exp.Anonymous(this="DIV", expressions=[upper, lower])
        micro = number(Decimal(1).scaleb(-MEAN_PLACES))
        signed = exp.Mul(this=exp.Sign(this=total.copy()), expression=whole)
        return exp.paren(exp.Mul(this=signed, expression=micro), copy=False)

    def affine(self, form: Affine) -> exp.Expr:
        """Compute in numeric; a column alone is summed exactly as it is."""
        if len(form.terms) == 1 and form.terms[0].coefficient == 1 and not form.constant:
            return self.row(form.terms[0].operand)
        parts: list[exp.Expr] = [
            exp.paren(
                exp.Mul(
                    this=_numeric(self.row(term.operand)),
                    expression=number(finite(term.coefficient)),
                ),
                copy=False,
            )
            for term in form.terms
        ]
        if form.constant or not parts:
            parts.append(_numeric(number(finite(form.constant))))
        return added(parts)

    def square(self, operand: RowExpression, scale: int) -> exp.Expr:  # noqa: ARG002 - as above
        """Multiply numerics."""
        return exp.Mul(this=_numeric(self.row(operand)), expression=_numeric(self.row(operand)))

    def exact(self, node: exp.Expr, scale: int) -> exp.Expr:  # noqa: ARG002 - as above
        """Leave a total as it is: a cast here would round what the connector must refuse."""
        return node


def _numeric(node: exp.Expr) -> exp.Expr:
    return exp.cast(node, "DECIMAL", copy=False)


class EngineSqlSpark(_Ranking):
    """Writes for Spark SQL 3.4 and later in ANSI mode, through Spark itself or an engine that speaks it."""

    name = "spark"

    def arithmetic(self, node: Arithmetic) -> exp.Expr:
        """Compute in decimals with room for the result."""
        left, right = self._type(node.left), self._type(node.right)
        if node.op == "*":
            first, second = _factor_digits(node.left, node.right)
            sides = (
                decimal(self.row(node.left), left.scale, first),
                decimal(self.row(node.right), right.scale, second),
            )
        else:
            scale = max(left.scale, right.scale)
            sides = (
                decimal(self.row(node.left), scale, _DIGITS - 1),
                decimal(self.row(node.right), scale, _DIGITS - 1),
            )
        return exp.paren(ARITHMETIC[node.op](this=sides[0], expression=sides[1]), copy=False)

    def _type(self, expression: RowExpression) -> ColumnType:
        return expression_type(expression, self._scope.type_of)

    def bucket(self, unit: str, operand: exp.Expr) -> exp.Expr:
        """Put the date together from its parts: a timestamp would have the session's zone, and end in 2262."""
        month = {
            "month": exp.Month(this=operand.copy()),
            "quarter": exp.Sub(
                this=exp.Mul(this=exp.Quarter(this=operand.copy()), expression=number(3)),
                expression=number(2),
            ),
            "year": number(1),
        }[unit]
        parts = [exp.Year(this=operand), month, number(1)]
        return exp.Anonymous(this="MAKE_DATE", expressions=parts)

    def unlike(self, scales: Sequence[int]) -> bool:  # noqa: ARG002 - always, to be sure
        """Bring all numbers to one type: the engine's own choice may have fewer places."""
        return True

    def is_true(self, condition: exp.Expr) -> exp.Expr:
        """Say false for unknown: an IS TRUE that occurs twice fails in some engines."""
        return exp.Coalesce(this=condition, expressions=[exp.Boolean(this=False)])

    def having(self, select: exp.Select, block: UnitBlock, condition: Predicate) -> exp.Select:
        """Filter the groups by their columns from outside: some engines lose a group's label in HAVING."""
        alias = exp.TableAlias(this=exp.to_identifier(block.alias, quoted=True))
        outer = exp.Select(expressions=[exp.Star()])
        outer.set("from_", exp.From(this=exp.Subquery(this=select, alias=alias)))
        outer.set("where", exp.Where(this=self.predicate(condition)))
        return outer

    def band(self, width: int, operand: exp.Expr) -> exp.Expr:
        """Compute in 64 bits, whatever the column has."""
        return super().band(width, exp.cast(operand, "BIGINT", copy=False))

    def spread(self, argument: exp.Expr) -> exp.Expr:
        """Take variances in double precision, as the engine does anyway."""
        return exp.cast(argument, "DOUBLE", copy=False)

    def mean(self, total: exp.Expr, count: exp.Expr, scale: int) -> exp.Expr:
        """Divide whole numbers; the remainder is taken off before, so that nothing is left to round."""
        size = exp.Abs(this=decimal(total, scale, _DIGITS - _FACTOR - 1))
        doubled = exp.Mul(this=size, expression=decimal(number(_DOUBLED_MICRO), 0, _FACTOR))
        floor = decimal(exp.Floor(this=exp.paren(doubled, copy=False)), 0, _DIGITS - 1)
        upper = exp.paren(
            exp.Add(this=floor, expression=decimal(count, 0, _COUNT_DIGITS)), copy=False
        )
        twice = exp.Nullif(
            this=exp.Mul(this=count.copy(), expression=number(2)), expression=number(0)
        )
        lower = decimal(twice, 0, _COUNT_DIGITS)
        rest = exp.paren(exp.Mod(this=upper.copy(), expression=lower.copy()), copy=False)
        whole = exp.Div(
            this=exp.paren(exp.Sub(this=upper, expression=rest), copy=False), expression=lower
        )
        micro = decimal(number(Decimal(1).scaleb(-MEAN_PLACES)), MEAN_PLACES, MEAN_PLACES)
        mean = exp.Mul(
            this=decimal(exp.paren(whole, copy=False), 0, _DIGITS - MEAN_PLACES - 1),
            expression=micro,
        )
        negative = exp.LT(this=total.copy(), expression=number(0))
        minus = exp.If(this=negative, true=exp.Neg(this=exp.paren(mean.copy(), copy=False)))
        return decimal(exp.Case(ifs=[minus], default=mean), MEAN_PLACES)

    def affine(self, form: Affine) -> exp.Expr:
        """Compute in decimals with room for the coefficient and for each addition."""
        numbers = [term.coefficient for term in form.terms]
        scales = [
            self._type(term.operand).scale + places_of(term.coefficient) for term in form.terms
        ]
        alone = len(form.terms) == 1 and not form.constant
        scale = max([*scales, places_of(form.constant)])
        digits = _DIGITS if alone else _DIGITS - len(numbers)
        parts = [
            decimal(self._scaled(term.operand, finite(term.coefficient)), scale, digits)
            for term in form.terms
        ]
        if form.constant or not parts:
            parts.append(decimal(number(finite(form.constant)), scale, digits))
        return added(parts)

    def _scaled(self, operand: Field | Coalesce, coefficient: int | Decimal) -> exp.Expr:
        if coefficient == 1:
            return self.row(operand)
        digits, places = _digits(coefficient)
        wide = decimal(self.row(operand), self._type(operand).scale, _DIGITS - 1 - digits)
        return exp.Mul(this=wide, expression=decimal(number(coefficient), places, digits))

    def summand(self, operand: Field | Coalesce, scale: int) -> exp.Expr:
        """Sum decimals: a sum of whole numbers would be one of 64 bits."""
        return decimal(self.row(operand), scale)

    def square(self, operand: RowExpression, scale: int) -> exp.Expr:
        """Multiply decimals of 18 digits, or of 19 without places: more would cost places."""
        digits = _WHOLE_DIGITS if scale == 0 else _WHOLE_DIGITS - 1
        side = decimal(self.row(operand), scale, digits)
        return decimal(exp.Mul(this=side, expression=side.copy()), 2 * scale)


def _digits(value: int | Decimal) -> tuple[int, int]:
    """Return the digits in all, and those after the point, of a constant."""
    sign_digits_exponent = Decimal(value).normalize().as_tuple()
    exponent = sign_digits_exponent.exponent
    assert isinstance(exponent, int), "a finite number"
    places = max(0, -exponent)
    return max(len(sign_digits_exponent.digits) + max(0, exponent), places, 1), places


def _factor_digits(left: RowExpression, right: RowExpression) -> tuple[int, int]:
    """Return digits for two factors whose product has at most 38: a constant takes no more than it has."""
    first, second = _constant_digits(left), _constant_digits(right)
    if first:
        return first, _DIGITS - 1 - first
    if second:
        return _DIGITS - 1 - second, second
    return _WHOLE_DIGITS, _WHOLE_DIGITS - 1


def _constant_digits(node: RowExpression) -> int:
    match node:
        case Literal(value=int() | Decimal() as value):
            return _digits(value)[0]
        case _:
            return 0


DIALECTS: Mapping[str, type[EngineSql]] = MappingProxyType(
    {"duckdb": EngineSql, "postgres": EngineSqlPostgres, "spark": EngineSqlSpark}
)
"""What writes for each dialect that a connector may have."""
