"""Row expressions and predicates of the statement tree (for ``connectors.memory`` only).

Numbers are ``int`` or ``Fraction``: exact, so nothing here rounds but a mean or deviation per unit,
as the statement says. A missing value is ``None``; a predicate is True, False or None, as in SQL.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

__all__ = ["Node", "Row", "Value", "scalar", "truth", "value"]

Value: TypeAlias = int | Fraction | str | bool | date | None
Node: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Mapping[tuple[str, str], Value]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": Fraction,
}


def scalar(plain: int | Decimal | str | bool | date | None) -> Value:  # noqa: FBT001 - a value
    """Return a stored or literal value in the form that is computed with."""
    return Fraction(plain) if isinstance(plain, Decimal) else plain


def value(node: Node, row: Row) -> Value:
    """Return the value of a row expression."""
    match node["node"]:
        case "Field":
            return row[node["relation"], node["name"]]
        case "Literal":
            return scalar(node["value"])
        case "Arithmetic":
            left, right = value(node["left"], row), value(node["right"], row)
            return None if left is None or right is None else _number(node["op"], left, right)
        case "Coalesce":
            operand = value(node["operand"], row)
            return value(node["default"], row) if operand is None else operand
        case "Case":
            for condition, then in node["branches"]:
                if truth(condition, row):
                    return value(then, row)
            return value(node["default"], row)
        case _:
            return _generalized(node, row)


def _number(op: str, left: Value, right: Value) -> Value:
    result: Value = _ARITHMETIC[op](left, right)
    return result


def _generalized(node: Node, row: Row) -> Value:
    operand = value(node["operand"], row)
    if operand is None:
        return None
    match node["node"]:
        case "Band" if isinstance(operand, int):
            return operand - operand % int(node["width"])
        case "DateBucket" if isinstance(operand, date):
            return _bucket(node["unit"], operand)
        case "DatePart" if isinstance(operand, date):
            return {
                "month": operand.month,
                "quarter": (operand.month + 2) // 3,
                "year": operand.year,
            }[node["unit"]]
    raise TypeError(node["node"])


def _bucket(unit: str, day: date) -> date:
    first_months = {"month": day.month, "quarter": day.month - (day.month - 1) % 3, "year": 1}
    return date(day.year, first_months[unit], 1)


def truth(node: Node, row: Row) -> bool | None:
    """Return whether a predicate holds: True, False, or None where it is unknown."""
    match node["node"]:
        case "Compare":
            return _compare(node["op"], value(node["left"], row), value(node["right"], row))
        case "Between":
            operand = value(node["operand"], row)
            low, high = value(node["low"], row), value(node["high"], row)
            return _all([_compare(">=", operand, low), _compare("<=", operand, high)])
        case "InList":
            operand = value(node["operand"], row)
            return _any([_compare("=", operand, value(item, row)) for item in node["values"]])
        case "IsNull":
            return value(node["operand"], row) is None
        case "IsTrue":
            return truth(node["operand"], row) is True
        case "Not":
            return _not(truth(node["operand"], row))
        case "Boolean":
            operands = [truth(item, row) for item in node["operands"]]
            return _all(operands) if node["op"] == "and" else _any(operands)
        case _:
            found = value(node, row)
            assert found is None or isinstance(found, bool)
            return found


def _compare(op: str, left: Value, right: Value) -> bool | None:
    return None if left is None or right is None else _COMPARISONS[op](left, right)


def _not(known: bool | None) -> bool | None:  # noqa: FBT001 - a truth value is what it negates
    return None if known is None else not known


def _all(known: list[bool | None]) -> bool | None:
    if any(item is False for item in known):
        return False
    return None if None in known else True


def _any(known: list[bool | None]) -> bool | None:
    if any(item is True for item in known):
        return True
    return None if None in known else False
