"""Affine forms: what may stand inside SUM and AVG (rule R3), and how a comparison is moved to its column.

Exact throughout: coefficients are fractions, so ``SUM(x / 3)`` loses nothing.
"""

from decimal import Decimal
from fractions import Fraction

from middleplatform.model.query import (
    Affine,
    Arithmetic,
    Coalesce,
    Field,
    Literal,
    RowExpression,
    Term,
    Value,
)

__all__ = ["affine", "constant", "plain", "solve"]

_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


def affine(expression: RowExpression) -> Affine | None:
    """Return ``expression`` as an affine form of fields, or None when it is not one."""
    match expression:
        case Literal(value=value) if isinstance(value, int | Decimal) and not isinstance(
            value, bool
        ):
            return Affine((), Fraction(value))
        case Field() | Coalesce(operand=Field(), default=Literal(value=0)):
            # Any other default would hide how much of a sum the largest unit is.
            assert isinstance(expression, Field | Coalesce)
            return Affine((Term(Fraction(1), expression),))
        case Arithmetic(op=op, left=left, right=right):
            first, second = affine(left), affine(right)
            return None if first is None or second is None else _combine(op, first, second)
        case _:
            return None


def _combine(op: str, left: Affine, right: Affine) -> Affine | None:
    match op:
        case "+":
            return _sum(left, right)
        case "-":
            return _sum(left, _scale(right, Fraction(-1)))
        case "*" if not right.terms:
            return _scale(left, right.constant)
        case "*" if not left.terms:
            return _scale(right, left.constant)
        case "/" if not right.terms and right.constant:
            return _scale(left, 1 / right.constant)
        case _:
            return None


def _scale(form: Affine, factor: Fraction) -> Affine:
    terms = tuple(Term(term.coefficient * factor, term.operand) for term in form.terms)
    return Affine(terms, form.constant * factor)


def _sum(left: Affine, right: Affine) -> Affine:
    total: dict[Field | Coalesce, Fraction] = {}
    for term in left.terms + right.terms:
        total[term.operand] = total.get(term.operand, Fraction(0)) + term.coefficient
    # A term whose coefficient cancels still makes the sum missing where its field is: keep it.
    terms = tuple(Term(coefficient, operand) for operand, coefficient in total.items())
    return Affine(terms, left.constant + right.constant)


def constant(expression: RowExpression) -> Literal | None:
    """Return the constant that ``expression`` is, folded, or None when it depends on a row."""
    if isinstance(expression, Literal):
        return expression
    form = affine(expression)
    if form is None or form.terms:
        return None
    return Literal(plain(form.constant))


def plain(number: Fraction) -> Value:
    """Return ``number`` as an int, or as a Decimal, rounded half even at 18 places when it does not end."""
    if number.denominator == 1:
        return number.numerator
    quotient = Decimal(number.numerator) / Decimal(number.denominator)
    # Written out: a context's precision could refuse a long quotient.
    return quotient if Fraction(quotient) == number else Decimal(f"{round(number * 10**18)}E-18")


def solve(
    expression: RowExpression, op: str, value: Value
) -> tuple[Field | Coalesce, str, Value] | None:
    """Move a comparison of an affine form of ONE field with a number to that field's side.

    Returns:
        (field, operator, number) such that ``field operator number`` holds exactly when ``expression op value``
        does, or None when the form has no or several fields or the number is not exactly representable.
    """
    form = affine(expression)
    if form is None or len(form.terms) != 1 or not isinstance(value, int | Decimal):
        return None
    term = form.terms[0]
    if not term.coefficient:
        return None
    moved = (Fraction(value) - form.constant) / term.coefficient
    result = plain(moved)
    assert isinstance(result, int | Decimal)
    if Fraction(result) != moved:
        return None
    return term.operand, op if term.coefficient > 0 else _MIRROR[op], result
