"""From governed values back to SQL: always regenerated, never the analyst's text.

``fragment`` writes what is sent to a department: plain PostgreSQL that ``parse`` and ``qualify`` read back.
What a department's engine runs is written by ``planner.engine_sql``.
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

__all__ = [
    "ARITHMETIC",
    "COMPARISON",
    "column",
    "fragment",
    "literal",
    "predicate",
    "row",
    "rows_from",
]

COMPARISON: dict[str, type[exp.Expr]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
ARITHMETIC: dict[str, type[exp.Expr]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div}


def column(relation: str, name: str) -> exp.Column:
    """Return a quoted column of a relation."""
    return exp.column(
        exp.to_identifier(name, quoted=True), exp.to_identifier(relation, quoted=True)
    )


def literal(value: Value) -> exp.Expr:
    """Return a constant: a date is typed, a number is written out."""
    match value:
        case None:
            return exp.null()
        case bool():
            return exp.Boolean(this=value)
        case int() | Decimal():
            number = exp.Literal.number(format(Decimal(value).copy_abs(), "f"))
            return exp.Neg(this=number) if value < 0 else number
        case date():
            return exp.cast(exp.Literal.string(value.isoformat()), "DATE", copy=False)
        case str():
            return exp.Literal.string(value)


def row(expression: RowExpression) -> exp.Expr:
    """Return a row expression as a tree.

    Args:
        expression: Without opaque parts.
    """
    match expression:
        case Field(relation=relation, name=name):
            return column(relation, name)
        case Literal(value=value):
            return literal(value)
        case Arithmetic(op=op, left=left, right=right):
            return exp.paren(ARITHMETIC[op](this=row(left), expression=row(right)), copy=False)
        case DateBucket(unit=unit, operand=operand):
            return exp.TimestampTrunc(this=row(operand), unit=exp.Var(this=unit.upper()))
        case DatePart(unit=unit, operand=operand):
            return exp.Extract(this=exp.Var(this=unit.upper()), expression=row(operand))
        case Band(width=width, operand=operand):
            return _band(width, row(operand))
        case Coalesce(operand=operand, default=default):
            return exp.Coalesce(this=row(operand), expressions=[literal(default.value)])
        case Case(branches=branches, default=default_value):
            ifs = [exp.If(this=predicate(when), true=row(then)) for when, then in branches]
            return exp.Case(ifs=ifs, default=row(default_value))
        case Opaque():
            raise AssertionError("an opaque form never runs")


def _band(width: int, operand: exp.Expr) -> exp.Expr:
    number = exp.Literal.number(width)
    floor = exp.Floor(this=exp.Div(this=operand, expression=number))
    return exp.Mul(this=floor, expression=number.copy())


def predicate(condition: Predicate) -> exp.Expr:
    """Return a predicate as a tree, in parentheses where it needs them."""
    match condition:
        case Compare(op=op, left=left, right=right):
            return exp.paren(COMPARISON[op](this=row(left), expression=row(right)), copy=False)
        case Between(operand=operand, low=low, high=high):
            return exp.paren(
                exp.Between(
                    this=row(operand),
                    low=literal(low.value),
                    high=literal(high.value),
                ),
                copy=False,
            )
        case InList(operand=operand, values=values):
            return exp.paren(
                exp.In(
                    this=row(operand),
                    expressions=[literal(item.value) for item in values],
                ),
                copy=False,
            )
        case IsNull(operand=operand):
            return exp.paren(exp.Is(this=row(operand), expression=exp.null()), copy=False)
        case IsTrue(operand=inner):
            return exp.paren(
                exp.Is(this=predicate(inner), expression=exp.Boolean(this=True)), copy=False
            )
        case Not(operand=inner):
            return exp.paren(exp.Not(this=predicate(inner)), copy=False)
        case Boolean(op=op, operands=operands):
            parts = [predicate(operand) for operand in operands]
            return exp.paren(
                exp.and_(*parts, copy=False) if op == "and" else exp.or_(*parts, copy=False),
                copy=False,
            )
        case Field() | Literal():
            return row(condition)
        case Opaque():
            raise AssertionError("an opaque form never runs")


# --- relations ----------------------------------------------------------------------------------------------------


def rows_from(select: exp.Select, rows: Rows) -> exp.Select:
    """Give ``select`` the FROM, joins and WHERE of ``rows``."""
    select.set("from_", exp.From(this=_relation(rows.first)))
    extra: list[exp.Expr] = []
    for join in rows.joins:
        select.append("joins", _join(join))
        if join.kind is JoinKind.ANTI:
            extra.append(predicate(IsNull(join.on[0][1])))
    if rows.where is not None:
        extra.insert(0, predicate(rows.where))
    if extra:
        select.set("where", exp.Where(this=exp.and_(*extra, copy=False)))
    return select


def _join(join: Join) -> exp.Join:
    on: list[exp.Expr] = [exp.EQ(this=row(left), expression=row(right)) for left, right in join.on]
    if join.condition is not None:
        on.append(predicate(join.condition))
    side = "" if join.kind is JoinKind.INNER else "LEFT"
    return exp.Join(
        this=_relation(join.relation),
        on=exp.and_(*on, copy=False),
        **({"side": side} if side else {}),
    )


def _relation(relation: Relation) -> exp.Expr:
    alias = exp.TableAlias(this=exp.to_identifier(relation.alias, quoted=True))
    if isinstance(relation, Table):
        schema, name = relation.dataset.split(".")
        parts = {"this": exp.to_identifier(name, quoted=True)}
        return exp.Table(**parts, db=exp.to_identifier(schema, quoted=True), alias=alias)
    return exp.Subquery(this=_unit_block(relation), alias=alias)


def _unit_block(block: UnitBlock) -> exp.Select:
    projections = [
        exp.alias_(_content(own.content), own.name, quoted=True, copy=False)
        for own in block.columns
    ]
    select = rows_from(exp.Select(expressions=projections), block.rows)
    positions = [_position(block, key) for key in block.keys]
    select.set("group", exp.Group(expressions=[exp.Literal.number(place) for place in positions]))
    if block.having is not None:
        select.set("having", exp.Having(this=_having(block)))
    return select


def _position(block: UnitBlock, key: RowExpression) -> int:
    """Return the place of a key among the projections: a constant cannot be grouped by as itself."""
    return 1 + next(place for place, own in enumerate(block.columns) if own.content == key)


def _having(block: UnitBlock) -> exp.Expr:
    """HAVING speaks of the block's own columns; SQL wants the expressions behind them."""
    contents = {own.name: own.content for own in block.columns}
    assert block.having is not None

    def expand(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table == block.alias:
            return _content(contents[node.name])
        return node

    return predicate(block.having).transform(expand)


def _content(content: RowExpression | Aggregate) -> exp.Expr:
    return aggregate(content) if isinstance(content, Aggregate) else row(content)


# --- aggregates ---------------------------------------------------------------------------------------------------

_FUNCTIONS: dict[AggregateKind, type[exp.Func]] = {
    AggregateKind.SUM: exp.Sum, AggregateKind.AVG: exp.Avg, AggregateKind.VAR_SAMP: exp.Variance,
    AggregateKind.VAR_POP: exp.VariancePop, AggregateKind.STDDEV_SAMP: exp.StddevSamp,
    AggregateKind.STDDEV_POP: exp.StddevPop, AggregateKind.COUNT: exp.Count,
}  # fmt: skip


def aggregate(content: Aggregate) -> exp.Expr:
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
        call = _FUNCTIONS[content.kind](this=_argument(content.pieces))
    if content.condition is not None:
        call = exp.Filter(this=call, expression=exp.Where(this=predicate(content.condition)))
    return call


def _argument(pieces: Sequence[Piece]) -> exp.Expr:
    if len(pieces) == 1 and pieces[0].condition is None:
        return affine(pieces[0].value)
    ifs: list[exp.If] = []
    default: exp.Expr | None = None
    for piece in pieces:
        if piece.condition is None:
            default = affine(piece.value)
        else:
            ifs.append(
                exp.If(
                    this=predicate(piece.condition),
                    true=affine(piece.value),
                )
            )
    return exp.Case(ifs=ifs, default=default)


def affine(form: Affine) -> exp.Expr:
    """Return an affine form as a tree."""
    parts: list[exp.Expr] = []
    for term in form.terms:
        operand = row(term.operand)
        parts.append(operand if term.coefficient == 1 else _scaled(operand, term.coefficient))
    if form.constant or not parts:
        parts.append(_fraction(form.constant))
    total = parts[0]
    for part in parts[1:]:
        total = exp.Add(this=total, expression=part)
    return total if len(parts) == 1 else exp.paren(total, copy=False)


def _scaled(operand: exp.Expr, coefficient: Fraction) -> exp.Expr:
    product = exp.Mul(this=operand, expression=literal(coefficient.numerator))
    if coefficient.denominator == 1:
        return exp.paren(product, copy=False)
    return exp.paren(
        exp.Div(this=exp.paren(product, copy=False), expression=literal(coefficient.denominator)),
        copy=False,
    )


def _fraction(number: Fraction) -> exp.Expr:
    value = plain(number)
    assert isinstance(value, int | Decimal)
    if Fraction(value) == number:
        return literal(value)
    return exp.paren(
        exp.Div(this=literal(number.numerator), expression=literal(number.denominator)), copy=False
    )


# --- fragments ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def fragment(cell: CellQuery) -> str:
    """Return the text that asks a department for one release block.

    Reading it back with ``parse`` and ``qualify`` gives one release block that means the same.
    """
    projections = [
        exp.alias_(row(dimension.expression), dimension.name, quoted=True, copy=False)
        for dimension in cell.dimensions
    ]
    projections += [
        exp.alias_(aggregate(item), f"a{i}", quoted=True, copy=False)
        for i, item in enumerate(cell.aggregates)
    ]
    if not projections:
        projections = [exp.alias_(exp.Count(this=exp.Star()), "a0", quoted=True, copy=False)]
    select = rows_from(exp.Select(expressions=projections), cell.rows)
    if cell.dimensions:
        select.set(
            "group",
            exp.Group(expressions=[exp.Literal.number(1 + i) for i in range(len(cell.dimensions))]),
        )
    return select.sql("postgres", comments=False, copy=False)
