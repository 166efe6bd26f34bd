"""Texts of a source, as a CSV file or a driver hands them over, to the exact types of the SPI.

A text that does not write a value of its declared type is an error, never the nearest value.

| kind | form |
|---|---|
| INTEGER | ``-?`` digits, within 64 bits |
| DECIMAL | ``-?`` digits, and a point with digits; more decimal places than declared only if they are 0 |
| DATE | ``YYYY-MM-DD``, years 0001 to 9999 |
| BOOLEAN | one of ``true``/``false``, ``t``/``f``, ``1``/``0``; small letters |
| TEXT | anything |
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TypeKind

__all__ = ["arrow_type", "declared", "exact"]

_FORMS = {
    TypeKind.INTEGER: r"^-?[0-9]{1,19}$",
    TypeKind.DECIMAL: r"^-?[0-9]{1,38}(\.[0-9]{1,38})?$",
    TypeKind.DATE: r"^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{2}-[0-9]{2}$",
    TypeKind.BOOLEAN: r"^(true|false|t|f|1|0)$",
}
_TRUE = pa.array(["true", "t", "1"])
_WORDS = {
    "integer": TypeKind.INTEGER,
    "text": TypeKind.TEXT,
    "date": TypeKind.DATE,
    "boolean": TypeKind.BOOLEAN,
}
_DECIMAL = re.compile(r"decimal\(([0-9]{1,2}), ?([0-9]{1,2})\)")
_DIGITS_MAX = 38


def declared(name: str, word: str) -> ColumnDescription:
    """Return the column that an engineer declared.

    Args:
        name: Of the column.
        word: ``integer``, ``text``, ``date``, ``boolean`` or ``decimal(p,s)`` with
            0 <= s <= p <= 38 and p > 0.

    Raises:
        ConnectorError: SCHEMA for any other word.
    """
    if word in _WORDS:
        return ColumnDescription(name, _WORDS[word])
    match = _DECIMAL.fullmatch(word)
    precision, scale = (int(digits) for digits in match.groups()) if match else (0, 0)
    if not 0 < precision <= _DIGITS_MAX or scale > precision:
        raise ConnectorError(ErrorKind.SCHEMA, f"column {name!r}: {word!r} is no type")
    return ColumnDescription(name, TypeKind.DECIMAL, precision, scale)


def arrow_type(column: ColumnDescription) -> pa.DataType:
    """Return the Arrow type of an exact column.

    Raises:
        ConnectorError: SCHEMA for a column of the kind OTHER.
    """
    match column.kind:
        case TypeKind.INTEGER:
            return pa.int64()
        case TypeKind.DECIMAL:
            return pa.decimal128(column.precision, column.scale)
        case TypeKind.TEXT:
            return pa.string()
        case TypeKind.DATE:
            return pa.date32()
        case TypeKind.BOOLEAN:
            return pa.bool_()
        case TypeKind.OTHER:
            raise ConnectorError(ErrorKind.SCHEMA, f"column {column.name!r} is not exact")


def exact(texts: pa.Array, column: ColumnDescription) -> pa.Array:
    """Return the values that ``texts`` write.

    Args:
        texts: Strings; missing ones stay missing.
        column: What they are declared to be.

    Raises:
        ConnectorError: FAILED when a text does not write a value of the type; its detail names the
            column and no value. SCHEMA for a column of the kind OTHER.
    """
    wanted = arrow_type(column)
    if column.kind is TypeKind.TEXT:
        return texts
    form = pc.match_substring_regex(texts, _FORMS[column.kind])
    try:
        if not pc.all(form, min_count=0).as_py():
            raise ConnectorError(ErrorKind.FAILED, f"column {column.name!r}: no {column.kind}")
        if column.kind is TypeKind.BOOLEAN:
            known = pc.is_in(texts, value_set=_TRUE)
            return pc.if_else(pc.is_valid(texts), known, pa.scalar(None, pa.bool_()))
        return pc.cast(texts, wanted)
    except pa.ArrowException:
        raise ConnectorError(
            ErrorKind.FAILED, f"column {column.name!r}: a value does not fit {wanted}"
        ) from None
