"""PostgreSQL's types: which columns are exact, and how the driver's values become the SPI's.

The driver hands ``numeric`` over as text, and shifts an infinite date to a day far away. Arrow reads
a number of more than 38 digits without complaint, as another number. So both are checked here.
"""

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from connectors.spi import (
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    TableDescription,
    TypeKind,
)

__all__ = ["describe_sql", "described", "exact_batch"]

_DIGITS = 38
# 0001-01-01 and 9999-12-31 as days from 1970-01-01: the dates that the SPI can say.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_TEXTS = (b"text", b"varchar")
_NUMERIC = "numeric"

_KINDS = {
    **dict.fromkeys(("int2", "int4", "int8"), TypeKind.INTEGER),
    # char(n) too: statements read text as ``text``, and so without its padding.
    **dict.fromkeys(("text", "varchar", "bpchar"), TypeKind.TEXT),
    "date": TypeKind.DATE,
    "bool": TypeKind.BOOLEAN,
}

# Readable columns of readable tables; a domain counts as what it is made of. Partitions are part of
# their table. Text under a collation for which different characters are equal is told apart: it
# compares otherwise than by code point. A view never refuses a missing value.
_DESCRIBE = """
WITH RECURSIVE base (oid, typname, typtype, typbasetype, typmod, root) AS (
    SELECT oid, typname, typtype, typbasetype, -1, oid FROM pg_type WHERE typtype <> 'd'
    UNION ALL
    SELECT d.oid, b.typname, b.typtype, d.typbasetype,
        CASE WHEN d.typtypmod >= 0 THEN d.typtypmod ELSE b.typmod END, b.root
    FROM pg_type AS d JOIN base AS b ON b.oid = d.typbasetype WHERE d.typtype = 'd'
)
SELECT c.relname::text AS table_name, a.attname::text AS column_name,
    CASE WHEN n.nspname = 'pg_catalog' THEN t.typname::text ELSE '' END AS type_name,
    CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE b.typmod END AS modifier,
    NOT (a.attnotnull AND c.relkind IN ('r', 'p')) AS nullable,
    COALESCE(l.collisdeterministic, TRUE) AS by_code_point
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN base AS b ON b.oid = a.atttypid
JOIN pg_type AS t ON t.oid = b.root
JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {schema})
AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
AND has_column_privilege(c.oid, a.attnum, 'SELECT') {wanted}
ORDER BY 1, a.attnum
"""


def describe_sql(schema: str, names: Collection[str]) -> str:
    """Return the statement that lists the columns of a schema's readable tables.

    Args:
        schema: That holds them.
        names: Only these tables; all when empty.
    """
    wanted = ", ".join(_literal(name) for name in sorted(names))
    only = f"AND c.relname::text IN ({wanted})" if names else ""
    return _DESCRIBE.format(schema=_literal(schema), wanted=only)


def described(rows: pa.Table) -> Mapping[str, TableDescription]:
    """Return the tables that the rows of ``describe_sql`` tell of."""
    found: dict[str, list[ColumnDescription]] = {}
    for row in rows.to_pylist():
        column = _column(
            row["column_name"],
            row["type_name"] if row["by_code_point"] else "",
            row["modifier"],
            nullable=row["nullable"],
        )
        found.setdefault(row["table_name"], []).append(column)
    return {name: TableDescription(tuple(columns)) for name, columns in found.items()}


def exact_batch(batch: pa.RecordBatch, result: pa.Schema) -> pa.RecordBatch:
    """Return the driver's batch with numbers as numbers and with dates that are dates.

    Args:
        batch: As the driver typed it.
        result: What is wanted; columns that are missing there, or of another kind, are left alone.

    Raises:
        ConnectorError: FAILED for a number or a date that the wanted type cannot say; SCHEMA for
            text of a type that does not compare by code point.
    """
    columns = [
        _exact(batch.column(place), batch.schema.field(place), _wanted(result, field.name))
        for place, field in enumerate(batch.schema)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _wanted(result: pa.Schema, name: str) -> pa.DataType | None:
    place = result.get_field_index(name)
    return None if place < 0 else result.field(place).type


def _exact(column: pa.Array, field: pa.Field, wanted: pa.DataType | None) -> pa.Array:
    kind = column.type
    if isinstance(kind, pa.OpaqueType) and kind.type_name == _NUMERIC and wanted is not None:
        if pa.types.is_decimal128(wanted):
            return _decimals(column.storage, wanted, field.name)
        if pa.types.is_int64(wanted):
            return _decimals(column.storage, pa.decimal128(_DIGITS, 0), field.name)
    if pa.types.is_date32(kind):
        _check_days(column, field.name)
    elif pa.types.is_string(kind):
        told = (field.metadata or {}).get(b"POSTGRESQL:type", b"text")
        if told not in _TEXTS:
            raise ConnectorError(ErrorKind.SCHEMA, f"column {field.name} is {told.decode()}")
    return column


def _decimals(text: pa.Array, wanted: pa.DataType, name: str) -> pa.Array:
    """Read numbers of at most 38 digits; more digits wrap around without an error."""
    number = _number(wanted)
    if not _all_match(text, number):
        # Zeros beyond the places that are wanted say nothing, but count as digits.
        text = pc.replace_substring_regex(text, rf"(\.[0-9]{{{wanted.scale}}})0+$", r"\1")
        text = pc.replace_substring_regex(text, r"\.$", "")
    if not _all_match(text, number):
        raise ConnectorError(ErrorKind.FAILED, f"column {name}: a number that {wanted} cannot say")
    return pc.cast(text, wanted)


def _number(wanted: pa.DataType) -> str:
    whole, places = wanted.precision - wanted.scale, wanted.scale
    fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
    return rf"^-?[0-9]{{1,{whole}}}{fraction}$" if whole else rf"^-?0{fraction}$"


def _all_match(text: pa.Array, pattern: str) -> bool:
    found = pc.match_substring_regex(text, pattern)
    return bool(pc.all(found, min_count=0).as_py())


def _check_days(column: pa.Array, name: str) -> None:
    days = pc.cast(column, pa.int32())
    least = pc.min_max(days).as_py()
    if least["min"] is not None and (least["min"] < _FIRST_DAY or least["max"] > _LAST_DAY):
        raise ConnectorError(
            ErrorKind.FAILED, f"column {name}: a date outside of 0001-01-01 to 9999-12-31"
        )


def _column(name: str, type_name: str, modifier: int, *, nullable: bool) -> ColumnDescription:
    if type_name == _NUMERIC:
        precision, scale = _digits(modifier)
        if 0 <= scale <= precision <= _DIGITS and precision:
            return ColumnDescription(name, TypeKind.DECIMAL, precision, scale, nullable)
        return ColumnDescription(name, TypeKind.OTHER, nullable=nullable)
    return ColumnDescription(name, _KINDS.get(type_name, TypeKind.OTHER), nullable=nullable)


def _digits(modifier: int) -> tuple[int, int]:
    """Return precision and scale of a numeric's type modifier; 0 and 0 where it has none.

    Source: ``numeric_typmod_scale`` in the server: four bytes are added, the scale has 11 bits and
    a sign.
    """
    if modifier < 0:
        return 0, 0
    packed = modifier - 4
    return packed >> 16 & 0xFFFF, (packed & 0x7FF ^ 1024) - 1024


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
