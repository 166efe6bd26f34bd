"""From governed values back to SQL: always regenerated, never the analyst's text.

``fragment`` writes what is sent to a department: plain PostgreSQL that ``parse`` and ``qualify`` read back.
The row-level functions also serve the evidence queries that a department runs, on any engine.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from sqlglot import exp

from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    Arithmetic,
    Band,
    Between,
    Boolean,
    Case,
    CellQuery,
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
    Value,
)
from middleplatform.sql.affine import plain

__all__ = ["fragment", "predicate", "row", "rows_from"]

_COMPARISON: dict[str, type[exp.Expr]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
_ARITHMETIC: dict[str, type[exp.Expr]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div}


def _column(relation: str, name: str) -> exp.Column:
    return exp.column(
        exp.to_identifier(name, quoted=True), exp.to_identifier(relation, quoted=True)
    )


def _literal(value: Value) -> exp.Expr:
    match value:
        case None:
            return exp.null()
        case bool():
            return exp.Boolean(this=value)
        case int() | Decimal():
            number = exp.Literal.number(format(Decimal(value).copy_abs(), "f"))
            return exp.Neg(this=number) if value < 0 else number
        case date():
            return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
        case str():
            return exp.Literal.string(value)


def row(expression: RowExpression, *, engine: bool = False) -> exp.Expr:
    """Return a row expression as a tree.

    Args:
        expression: Without opaque parts.
        engine: True for a department's engine, where a band must be exact for negative numbers too; False for the
            fragment's text, where it must be read back as a band.
    """
    match expression:
        case Field(relation=relation, name=name):
            return _column(relation, name)
        case Literal(value=value):
            return _literal(value)
        case Arithmetic(op=op, left=left, right=right):
            return exp.paren(
                _ARITHMETIC[op](this=row(left, engine=engine), expression=row(right, engine=engine))
            )
        case DateBucket(unit=unit, operand=operand):
            trunc = exp.TimestampTrunc(
                this=row(operand, engine=engine), unit=exp.Var(this=unit.upper())
            )
            return exp.cast(trunc, "DATE") if engine else trunc
        case DatePart(unit=unit, operand=operand):
            return exp.Extract(
                this=exp.Var(this=unit.upper()), expression=row(operand, engine=engine)
            )
        case Band(width=width, operand=operand):
            return _band(width, row(operand, engine=engine), engine=engine)
        case Coalesce(operand=operand, default=default):
            return exp.Coalesce(
                this=row(operand, engine=engine), expressions=[_literal(default.value)]
            )
        case Case(branches=branches, default=default_value):
            ifs = [
                exp.If(this=predicate(when, engine=engine), true=row(then, engine=engine))
                for when, then in branches
            ]
            return exp.Case(ifs=ifs, default=row(default_value, engine=engine))
        case Opaque():
            raise AssertionError("an opaque form never runs")


def _band(width: int, operand: exp.Expr, *, engine: bool) -> exp.Expr:
    number = exp.Literal.number(width)
    if not engine:
        floor = exp.Floor(this=exp.Div(this=operand, expression=number))
        return exp.Mul(this=floor, expression=number.copy())
    once = exp.paren(exp.Mod(this=operand.copy(), expression=number))
    twice = exp.Mod(
        this=exp.paren(exp.Add(this=once, expression=number.copy())), expression=number.copy()
    )
    return exp.paren(exp.Sub(this=operand, expression=exp.paren(twice)))


def predicate(condition: Predicate, *, engine: bool = False) -> exp.Expr:
    """Return a predicate as a tree, in parentheses where it needs them."""
    match condition:
        case Compare(op=op, left=left, right=right):
            return exp.paren(
                _COMPARISON[op](this=row(left, engine=engine), expression=row(right, engine=engine))
            )
        case Between(operand=operand, low=low, high=high):
            return exp.paren(
                exp.Between(
                    this=row(operand, engine=engine),
                    low=_literal(low.value),
                    high=_literal(high.value),
                )
            )
        case InList(operand=operand, values=values):
            return exp.paren(
                exp.In(
                    this=row(operand, engine=engine),
                    expressions=[_literal(item.value) for item in values],
                )
            )
        case IsNull(operand=operand):
            return exp.paren(exp.Is(this=row(operand, engine=engine), expression=exp.null()))
        case IsTrue(operand=inner):
            return exp.paren(
                exp.Is(this=predicate(inner, engine=engine), expression=exp.Boolean(this=True))
            )
        case Not(operand=inner):
            return exp.paren(exp.Not(this=predicate(inner, engine=engine)))
        case Boolean(op=op, operands=operands):
            parts = [predicate(operand, engine=engine) for operand in operands]
            return exp.paren(exp.and_(*parts) if op == "and" else exp.or_(*parts))
        case Field() | Literal():
            return row(condition, engine=engine)
        case Opaque():
            raise AssertionError("an opaque form never runs")


# --- relations ----------------------------------------------------------------------------------------------------


def rows_from(select: exp.Select, rows: Rows, *, engine: bool = False) -> exp.Select:
    """Give ``select`` the FROM, joins and WHERE of ``rows``."""
    select.set("from_", exp.From(this=_relation(rows.first, engine=engine)))
    extra: list[exp.Expr] = []
    for join in rows.joins:
        select.append("joins", _join(join, engine=engine))
        if join.kind is JoinKind.ANTI:
            extra.append(predicate(IsNull(join.on[0][1]), engine=engine))
    if rows.where is not None:
        extra.insert(0, predicate(rows.where, engine=engine))
    if extra:
        select.set("where", exp.Where(this=exp.and_(*extra)))
    return select


def _join(join: Join, *, engine: bool) -> exp.Join:
    on: list[exp.Expr] = [exp.EQ(this=row(left), expression=row(right)) for left, right in join.on]
    if join.condition is not None:
        on.append(predicate(join.condition, engine=engine))
    side = "" if join.kind is JoinKind.INNER else "LEFT"
    return exp.Join(
        this=_relation(join.relation, engine=engine),
        on=exp.and_(*on),
        **({"side": side} if side else {}),
    )


def _relation(relation: Relation, *, engine: bool) -> exp.Expr:
    alias = exp.TableAlias(this=exp.to_identifier(relation.alias, quoted=True))
    if isinstance(relation, Table):
        schema, name = relation.dataset.split(".")
        # A department's engine knows its own tables, not the platform's schemas.
        parts = {"this": exp.to_identifier(name, quoted=True)}
        return (
            exp.Table(**parts, alias=alias)
            if engine
            else exp.Table(**parts, db=exp.to_identifier(schema, quoted=True), alias=alias)
        )
    return exp.Subquery(this=_unit_block(relation, engine=engine), alias=alias)


def _unit_block(block: UnitBlock, *, engine: bool) -> exp.Select:
    projections = []
    aggregates: dict[str, exp.Expr] = {}
    for column in block.columns:
        if isinstance(column.content, Aggregate):
            rendered = aggregate(column.content, engine=engine)
            aggregates[column.name] = rendered
        else:
            rendered = row(column.content, engine=engine)
        projections.append(exp.alias_(rendered, column.name, quoted=True))
    select = rows_from(exp.Select(expressions=projections), block.rows, engine=engine)
    positions = [_position(block, key) for key in block.keys]
    select.set("group", exp.Group(expressions=[exp.Literal.number(place) for place in positions]))
    if block.having is not None:
        select.set("having", exp.Having(this=_having(block, engine=engine)))
    return select


def _position(block: UnitBlock, key: RowExpression) -> int:
    """Return the place of a key among the projections: a constant cannot be grouped by as itself."""
    return 1 + next(place for place, column in enumerate(block.columns) if column.content == key)


def _having(block: UnitBlock, *, engine: bool) -> exp.Expr:
    """HAVING speaks of the block's own columns; SQL wants the expressions behind them."""
    contents = {column.name: column.content for column in block.columns}
    assert block.having is not None

    def expand(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table == block.alias:
            content = contents[node.name]
            return (
                aggregate(content, engine=engine)
                if isinstance(content, Aggregate)
                else row(content, engine=engine)
            )
        return node

    return predicate(block.having, engine=engine).transform(expand)


# --- aggregates ---------------------------------------------------------------------------------------------------

_FUNCTIONS: dict[AggregateKind, type[exp.Func]] = {
    AggregateKind.SUM: exp.Sum, AggregateKind.AVG: exp.Avg, AggregateKind.VAR_SAMP: exp.Variance,
    AggregateKind.VAR_POP: exp.VariancePop, AggregateKind.STDDEV_SAMP: exp.StddevSamp,
    AggregateKind.STDDEV_POP: exp.StddevPop, AggregateKind.COUNT: exp.Count,
}  # fmt: skip


def aggregate(content: Aggregate, *, engine: bool = False) -> exp.Expr:
    """Return an aggregate call as a tree."""
    if content.key is not None:
        call: exp.Expr = exp.Count(this=exp.Distinct(expressions=[row(content.key)]))
    elif (
        content.kind is AggregateKind.COUNT
        and len(content.pieces) == 1
        and content.pieces[0].condition is None
    ):
        call = exp.Count(this=exp.Star())
    else:
        call = _FUNCTIONS[content.kind](this=_argument(content.pieces, engine=engine))
    if content.condition is not None:
        call = exp.Filter(
            this=call, expression=exp.Where(this=predicate(content.condition, engine=engine))
        )
    if engine and content.kind not in (
        AggregateKind.COUNT,
        AggregateKind.COUNT_DISTINCT,
        AggregateKind.SUM,
    ):
        # A mean or deviation per unit is rounded to six places, so that sums of it are exact.
        return exp.cast(
            exp.Round(this=exp.cast(call, "DOUBLE"), decimals=exp.Literal.number(6)),
            "DECIMAL(38, 6)",
        )
    return call


def _argument(pieces: Sequence[Piece], *, engine: bool) -> exp.Expr:
    if len(pieces) == 1 and pieces[0].condition is None:
        return affine(pieces[0].value, engine=engine)
    ifs: list[exp.If] = []
    default: exp.Expr | None = None
    for piece in pieces:
        if piece.condition is None:
            default = affine(piece.value, engine=engine)
        else:
            ifs.append(
                exp.If(
                    this=predicate(piece.condition, engine=engine),
                    true=affine(piece.value, engine=engine),
                )
            )
    return exp.Case(ifs=ifs, default=default)


def affine(form: Affine, *, engine: bool = False) -> exp.Expr:
    """Return an affine form as a tree; for an engine, in decimals so wide that no row overflows."""
    parts: list[exp.Expr] = []
    wide = engine and (len(form.terms) > 1 or bool(form.constant))
    for term in form.terms:
        operand = row(term.operand)
        plain_term = term.coefficient == 1 and not wide
        parts.append(operand if plain_term else _scaled(operand, term.coefficient, engine=engine))
    if form.constant or not parts:
        parts.append(_fraction(form.constant))
    total = parts[0]
    for part in parts[1:]:
        total = exp.Add(this=total, expression=part)
    return total if len(parts) == 1 else exp.paren(total)


def _scaled(operand: exp.Expr, coefficient: Fraction, *, engine: bool) -> exp.Expr:
    if engine:
        return exp.paren(exp.Mul(this=operand, expression=_wide(coefficient)))
    product = exp.Mul(this=operand, expression=_literal(coefficient.numerator))
    if coefficient.denominator == 1:
        return exp.paren(product)
    return exp.paren(exp.Div(this=exp.paren(product), expression=_literal(coefficient.denominator)))


def _wide(number: Fraction) -> exp.Expr:
    """Return a finite number as a decimal of 38 digits: the engine keeps that width in a product."""
    value = plain(number)
    assert isinstance(value, int | Decimal)
    assert Fraction(value) == number, "a fraction that does not end is refused before"
    exponent = Decimal(value).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exp.cast(_literal(value), f"DECIMAL(38, {max(0, -exponent)})")


def _fraction(number: Fraction) -> exp.Expr:
    value = plain(number)
    assert isinstance(value, int | Decimal)
    if Fraction(value) == number:
        return _literal(value)
    return exp.paren(
        exp.Div(this=_literal(number.numerator), expression=_literal(number.denominator))
    )


# --- fragments ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def fragment(cell: CellQuery) -> str:
    """Return the text that asks a department for one release block.

    Reading it back with ``parse`` and ``qualify`` gives one release block that means the same.
    """
    projections = [
        exp.alias_(row(dimension.expression), dimension.name, quoted=True)
        for dimension in cell.dimensions
    ]
    projections += [
        exp.alias_(aggregate(item), f"a{i}", quoted=True) for i, item in enumerate(cell.aggregates)
    ]
    if not projections:
        projections = [exp.alias_(exp.Count(this=exp.Star()), "a0", quoted=True)]
    select = rows_from(exp.Select(expressions=projections), cell.rows)
    if cell.dimensions:
        select.set(
            "group",
            exp.Group(expressions=[exp.Literal.number(1 + i) for i in range(len(cell.dimensions))]),
        )
    return select.sql("postgres", comments=False)
