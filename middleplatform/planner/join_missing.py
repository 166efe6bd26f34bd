"""Expressions over rows that are not there: what a LEFT JOIN gives where it found nothing, worked out without data."""

from datetime import date
from decimal import Decimal

from middleplatform.model.query import (
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
    Literal,
    Not,
    Opaque,
    Predicate,
    RowExpression,
    Value,
)

__all__ = ["holds", "value"]


def value(expression: RowExpression) -> Value:  # noqa: C901, PLR0911, PLR0912 - one line a form
    """Return what a row expression is where every field is missing."""
    match expression:
        case Field():
            return None
        case Literal(value=constant):
            return constant
        case Arithmetic(op=op, left=left, right=right):
            return _arithmetic(op, value(left), value(right))
        case DateBucket(unit=unit, operand=operand):
            return _bucket(unit, value(operand))
        case DatePart(unit=unit, operand=operand):
            return _part(unit, value(operand))
        case Band(width=width, operand=operand):
            found = value(operand)
            return found // width * width if isinstance(found, int) else None
        case Coalesce(operand=operand, default=default):
            found = value(operand)
            return default.value if found is None else found
        case Case(branches=branches, default=default_value):
            for when, then in branches:
                if holds(when):
                    return value(then)
            return value(default_value)
        case Opaque():
            raise AssertionError("an opaque form never runs")


def holds(condition: Predicate) -> bool | None:
    """Return whether a predicate holds where every field is missing; None for unknown."""
    match condition:
        case Compare(op=op, left=left, right=right):
            return _compared(op, value(left), value(right))
        case Between(operand=operand, low=low, high=high):
            found = value(operand)
            return _and(_compared(">=", found, low.value), _compared("<=", found, high.value))
        case InList(operand=operand, values=values):
            found = value(operand)
            return _or(*(_compared("=", found, each.value) for each in values))
        case IsNull(operand=operand):
            return value(operand) is None
        case IsTrue(operand=inner):
            return holds(inner) is True
        case Not(operand=inner):
            return _not(holds(inner))
        case Boolean(op=op, operands=operands):
            found_each = [holds(each) for each in operands]
            return _and(*found_each) if op == "and" else _or(*found_each)
        case Field() | Literal():
            found = value(condition)
            return None if found is None else bool(found)
        case Opaque():
            raise AssertionError("an opaque form never runs")


def _and(*parts: bool | None) -> bool | None:
    if any(part is False for part in parts):
        return False
    return None if any(part is None for part in parts) else True


def _or(*parts: bool | None) -> bool | None:
    return _not(_and(*(_not(part) for part in parts)))


def _not(part: bool | None) -> bool | None:  # noqa: FBT001 - a truth value is the matter
    return None if part is None else not part


def _compared(op: str, left: Value, right: Value) -> bool | None:
    if left is None or right is None:
        return None
    if op in ("=", "<>"):
        return (left == right) is (op == "=")
    less, equal = left < right, left == right  # type: ignore[operator]  # of one type, as the binder has checked
    return {"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[op]


def _arithmetic(op: str, left: Value, right: Value) -> Value:
    if not isinstance(left, int | Decimal) or not isinstance(right, int | Decimal):
        return None
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case _:
            return left * right


def _bucket(unit: str, found: Value) -> Value:
    if not isinstance(found, date):
        return None
    month = {"month": found.month, "quarter": (found.month - 1) // 3 * 3 + 1, "year": 1}[unit]
    return date(found.year, month, 1)


def _part(unit: str, found: Value) -> Value:
    if not isinstance(found, date):
        return None
    return {"month": found.month, "quarter": (found.month - 1) // 3 + 1, "year": found.year}[unit]
