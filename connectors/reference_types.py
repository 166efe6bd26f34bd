"""Types of row expressions, known without a row (for ``connectors.memory`` only)."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from connectors.reference_rows import Node
from connectors.spi import ColumnDescription, TypeKind

__all__ = ["Type", "TypeOf", "aggregate_type", "expression_type", "fraction", "type_of_column"]

Type: TypeAlias = tuple[TypeKind, int]
"""A kind and its decimal places; a whole number of more than 64 bits is a decimal of none."""

TypeOf: TypeAlias = Callable[[str, str], Type]
"""Gives the type of a field by relation and name."""

_INTEGER: Type = (TypeKind.INTEGER, 0)
_MEAN_PLACES = 6


def type_of_column(column: ColumnDescription) -> Type:
    """Return the type of a stored column."""
    return column.kind, column.scale


def expression_type(node: Node, type_of: TypeOf) -> Type:
    """Return the type of a row expression."""
    match node["node"]:
        case "Field":
            return type_of(node["relation"], node["name"])
        case "Literal":
            return _literal_type(str(node["value"]), type(node["value"]).__name__)
        case "Arithmetic":
            return _arithmetic_type(node, type_of)
        case "DateBucket":
            return TypeKind.DATE, 0
        case "DatePart":
            return _INTEGER
        case "Case":
            values = [then for _, then in node["branches"]] + [node["default"]]
            return _common(expression_type(item, type_of) for item in values if not _is_null(item))
        case "Coalesce":
            return _common(expression_type(node[part], type_of) for part in ("operand", "default"))
        case _:
            return expression_type(node["operand"], type_of)


def _is_null(node: Node) -> bool:
    return bool(node["node"] == "Literal" and node["value"] is None)


def _literal_type(text: str, name: str) -> Type:
    if name == "Decimal":
        return TypeKind.DECIMAL, max(0, -int(Decimal(text).as_tuple().exponent))
    kinds = {"str": TypeKind.TEXT, "date": TypeKind.DATE, "bool": TypeKind.BOOLEAN}
    return kinds.get(name, TypeKind.INTEGER), 0


def _arithmetic_type(node: Node, type_of: TypeOf) -> Type:
    left, right = expression_type(node["left"], type_of), expression_type(node["right"], type_of)
    if node["op"] == "/":
        return TypeKind.OTHER, 0  # engines divide in floating point: no label may be made of it
    kind = _common([left, right])[0]
    return kind, left[1] + right[1] if node["op"] == "*" else max(left[1], right[1])


def _common(types: Iterable[Type]) -> Type:
    found = list(types) or [_INTEGER]
    kinds = {kind for kind, _ in found}
    kind = TypeKind.DECIMAL if kinds == {TypeKind.INTEGER, TypeKind.DECIMAL} else found[0][0]
    return kind, max(scale for _, scale in found)


def aggregate_type(node: Node, type_of: TypeOf) -> Type:
    """Return the type of an aggregate per unit."""
    if node["kind"] in ("count", "count_distinct"):
        return _INTEGER
    if node["kind"] != "sum":
        return TypeKind.DECIMAL, _MEAN_PLACES
    forms = [piece["value"] for piece in node["pieces"]]
    terms = [term for form in forms for term in form["terms"]]
    own = max((expression_type(term["operand"], type_of)[1] for term in terms), default=0)
    factors = [*(term["coefficient"] for term in terms), *(form["constant"] for form in forms)]
    return TypeKind.DECIMAL, own + max(_places(fraction(item)) for item in factors)


def fraction(node: Node | int) -> Fraction:
    """Return a coefficient or constant; a whole one may be written as a number."""
    return (
        Fraction(node)
        if isinstance(node, int)
        else Fraction(node["numerator"], node["denominator"])
    )


def _places(number: Fraction) -> int:
    """Return how many decimal places ``number`` has; 18 where they do not end."""
    return next((places for places in range(18) if (number * 10**places).denominator == 1), 18)
