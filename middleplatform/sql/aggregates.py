"""Aggregate calls: from the library's nodes to ``Aggregate``, or to an opaque use that no rule permits."""

from fractions import Fraction

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    Boolean,
    Case,
    Context,
    Field,
    IsNull,
    IsTrue,
    Literal,
    Not,
    Opaque,
    Piece,
    Predicate,
    RowExpression,
)
from middleplatform.sql.affine import affine
from middleplatform.sql.convert import Converter
from middleplatform.sql.scope import span_of

__all__ = ["aggregate"]

_KINDS: dict[type[exp.Expr], AggregateKind] = {
    exp.Sum: AggregateKind.SUM,
    exp.Avg: AggregateKind.AVG,
    exp.Variance: AggregateKind.VAR_SAMP,
    exp.VariancePop: AggregateKind.VAR_POP,
    exp.Stddev: AggregateKind.STDDEV_SAMP,
    exp.StddevSamp: AggregateKind.STDDEV_SAMP,
    exp.StddevPop: AggregateKind.STDDEV_POP,
}
_ONE = Affine((), Fraction(1))


def aggregate(node: exp.Expr, convert: Converter) -> Aggregate | Opaque:
    """Return what ``node``, an aggregate call, asks for.

    Raises:
        QueryError: Q010 for a form that is no aggregate of rows at all.
    """
    condition: Predicate | None = None
    if isinstance(node, exp.Filter):
        condition = convert.predicate(node.expression.this)
        node = node.this
    call: exp.Expr = node
    if isinstance(call, exp.Count):
        return _count(call, condition, convert)
    kind = _KINDS.get(type(call))
    if kind is None or isinstance(call.this, exp.Distinct):
        return _other(call, convert)
    argument = convert.row(call.this)
    pieces = _pieces(argument)
    if pieces is None:
        return _not_affine(argument, call)
    if kind not in (AggregateKind.SUM, AggregateKind.AVG) and not _single(pieces):
        return Opaque(
            Context.AGGREGATE_OTHER, f"{kind} of several terms", (argument,), span_of(call)
        )
    return Aggregate(kind, pieces, condition=condition)


def _count(call: exp.Count, condition: Predicate | None, convert: Converter) -> Aggregate | Opaque:
    if call.expressions:
        return _other(call, convert)
    argument = call.this
    if isinstance(argument, exp.Star):
        if argument.args.get("except_") or argument.args.get("replace"):
            raise QueryError("Q010", rule="R0", what=("a star with modifiers", "带修饰的星号"))
        return Aggregate(AggregateKind.COUNT, (Piece(None, _ONE),), condition=condition)
    if isinstance(argument, exp.Distinct):
        return _count_distinct(argument, condition, convert)
    return _count_expression(convert.row(argument), condition, call)


def _count_distinct(
    argument: exp.Distinct, condition: Predicate | None, convert: Converter
) -> Aggregate | Opaque:
    values = [convert.row(item) for item in argument.expressions]
    if len(values) != 1:
        return Opaque(
            Context.DISTINCT, "COUNT(DISTINCT) of several", tuple(values), span_of(argument)
        )
    value = values[0]
    if isinstance(value, Case) and len(value.branches) == 1 and value.default == Literal(None):
        when, value = value.branches[0]
        condition = when if condition is None else Boolean("and", (condition, when))
    if isinstance(value, Field):
        return Aggregate(AggregateKind.COUNT_DISTINCT, key=value, condition=condition)
    return Opaque(Context.DISTINCT, "COUNT(DISTINCT)", (value,), span_of(argument))


def _count_expression(
    argument: RowExpression, condition: Predicate | None, call: exp.Expr
) -> Aggregate | Opaque:
    match argument:
        case Literal(value=value):
            rows = None if value is not None else IsNull(Literal(value))
            found = Piece(None if rows is None else Not(rows), _ONE)
            return Aggregate(AggregateKind.COUNT, (found,), condition=condition)
        case Field():
            return Aggregate(
                AggregateKind.COUNT, (Piece(Not(IsNull(argument)), _ONE),), condition=condition
            )
        case Case(branches=branches, default=default) if _constants(argument):
            pieces: list[Piece] = []
            earlier: list[Predicate] = []
            for when, branch in branches:
                if branch != Literal(None):
                    pieces.append(Piece(_first(when, earlier), _ONE))
                earlier.append(when)
            if default != Literal(None):
                pieces.append(Piece(_first(None, earlier), _ONE))
            return (
                Aggregate(AggregateKind.COUNT, tuple(pieces), condition=condition)
                if pieces
                else Opaque(Context.FUNCTION, "CASE")
            )
        case Opaque():
            return argument
        case _:
            form = affine(argument)
            if form is None:
                return Opaque(Context.FUNCTION, "COUNT", (argument,), span_of(call))
            present: tuple[Predicate, ...] = tuple(Not(IsNull(term.operand)) for term in form.terms)
            wanted = present[0] if len(present) == 1 else Boolean("and", present)
            return Aggregate(AggregateKind.COUNT, (Piece(wanted, _ONE),), condition=condition)


def _constants(case: Case) -> bool:
    return all(
        isinstance(value, Literal)
        for value in (*(value for _, value in case.branches), case.default)
    )


def _pieces(argument: RowExpression) -> tuple[Piece, ...] | None:
    """Return the argument as exclusive affine pieces, or None when it is not piecewise affine."""
    if not isinstance(argument, Case):
        form = affine(argument)
        return None if form is None else (Piece(None, form),)
    pieces: list[Piece] = []
    earlier: list[Predicate] = []
    for when, value in (*argument.branches, (None, argument.default)):
        if value != Literal(None):
            form = affine(value)
            if form is None:
                return None
            pieces.append(Piece(_first(when, earlier), form))
        if when is not None:
            earlier.append(when)
    return tuple(pieces) or None


def _first(when: Predicate | None, earlier: list[Predicate]) -> Predicate:
    """Return the predicate that ``when`` holds and none of ``earlier`` did, in two-valued logic."""
    parts: list[Predicate] = [] if when is None else [when]
    parts += [Not(IsTrue(condition)) for condition in earlier]
    return parts[0] if len(parts) == 1 else Boolean("and", tuple(parts))


def _single(pieces: tuple[Piece, ...]) -> bool:
    return len(pieces) == 1 and len(pieces[0].value.terms) == 1


def _not_affine(argument: RowExpression, call: exp.Expr) -> Opaque:
    if isinstance(argument, Opaque):
        return argument
    return Opaque(Context.AGGREGATE_OTHER, "a form that is not affine", (argument,), span_of(call))


def _other(call: exp.Expr, convert: Converter) -> Opaque:
    """Report every column inside an aggregate that is not allowed."""
    columns = [
        column for column in call.find_all(exp.Column) if not isinstance(column.this, exp.Star)
    ]
    name = (
        call.this.sql_name()
        if isinstance(call, exp.WithinGroup)
        else str(call.this)
        if isinstance(call, exp.Anonymous)
        else call.sql_name()
        if isinstance(call, exp.Func)
        else type(call).__name__
    )
    operands = tuple(convert.row(column) for column in columns)
    return Opaque(Context.AGGREGATE_OTHER, name.upper(), operands, span_of(call))
