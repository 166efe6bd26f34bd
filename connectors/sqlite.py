"""SQLite files, read only, checked value by value: SQLite itself keeps any value in any column.

Each call has a connection of its own, and one transaction: all its tables are of one moment. What
a column is comes from its declared type, or from the engineer where the declaration does not say;
a value that is not of that type ends the statement.

| declared | kind | what is accepted |
|---|---|---|
| ``INT``, ``INTEGER``, ``BIGINT``... | INTEGER | integers |
| ``TEXT``, ``VARCHAR(n)``, ``CHAR(n)``... | TEXT | text |
| ``DATE`` | DATE | text ``YYYY-MM-DD`` |
| ``BOOLEAN``, ``BOOL`` | BOOLEAN | 0 and 1 |
| ``DECIMAL(p,s)``, ``NUMERIC(p,s)`` | DECIMAL | integers; text of digits and a point; a REAL nearest to a decimal |

Such a REAL is the binary number nearest to a decimal of s places and at most 15 digits in all.
SQLite turns a text of digits in a ``DECIMAL`` column into a REAL, and keeps 15 digits of it: a
column that needs more must be declared as text, and as ``decimal(p,s)`` to the connector.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.calls import Call
from connectors.embedded import EmbeddedConnector
from connectors.engine import identifier
from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TableDescription, TypeKind
from connectors.texts import declared, exact

__all__ = ["SqliteConnector"]

_BATCH_ROWS = 16_384
_WAIT_S = 1.0
_REAL_DIGITS = 15
_REAL_SCALE_MAX = 15

_WORDS = {
    **dict.fromkeys(("INT", "INTEGER", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT"), "integer"),
    **dict.fromkeys(("INT2", "INT4", "INT8"), "integer"),
    **dict.fromkeys(("TEXT", "VARCHAR", "CHAR", "CHARACTER", "NCHAR", "NVARCHAR", "CLOB"), "text"),
    "DATE": "date",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
}
_LENGTH = re.compile(r"([A-Z0-9]+) *(?:\( *[0-9]+ *\))?")
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC) *\( *([0-9]+) *(?:, *([0-9]+) *)?\)")

_KINDS = {
    sqlite3.SQLITE_BUSY: ErrorKind.LOCKED,
    sqlite3.SQLITE_LOCKED: ErrorKind.LOCKED,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.UNREACHABLE,
    sqlite3.SQLITE_PERM: ErrorKind.UNREACHABLE,
    sqlite3.SQLITE_AUTH: ErrorKind.UNREACHABLE,
    sqlite3.SQLITE_NOMEM: ErrorKind.LIMIT,
    sqlite3.SQLITE_INTERRUPT: ErrorKind.TIMEOUT,
    sqlite3.SQLITE_ERROR: ErrorKind.SCHEMA,
    sqlite3.SQLITE_SCHEMA: ErrorKind.SCHEMA,
}
_PRIMARY = 0xFF

_TABLES = """
SELECT m.name, x.name, x.type, x."notnull" FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS x
WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND x.hidden <> 1
AND (? OR m.name IN (SELECT value FROM json_each(?)))
ORDER BY m.name, x.cid
"""


class SqliteConnector(EmbeddedConnector):
    """Reads one SQLite file.

    Args:
        path: The file.
        types: Types by ``table.column`` that overrule what the file declares: ``integer``,
            ``text``, ``date``, ``boolean`` or ``decimal(p,s)``.
        threads: Of the embedded engine, at least 1.
        memory_mb: Mebibytes that the embedded engine may use in all.

    Raises:
        ConnectorError: MISSING no such file; SCHEMA a type that is none.
    """

    def __init__(
        self,
        path: str | Path,
        types: Mapping[str, str] = MappingProxyType({}),
        threads: int = 2,
        memory_mb: int = 1024,
    ) -> None:
        super().__init__(threads, memory_mb)
        self._path = Path(path).absolute()
        self._types = {name: declared(name, word) for name, word in types.items()}
        if not self._path.is_file():
            raise ConnectorError(ErrorKind.MISSING, f"no file at {self._path}")

    @contextmanager
    def _session(self, call: Call) -> Iterator["_Session"]:
        if not self._path.is_file():
            raise ConnectorError(ErrorKind.MISSING, f"no file at {self._path}")
        try:
            opened = sqlite3.connect(
                f"{self._path.as_uri()}?mode=ro",
                uri=True,
                timeout=_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            with closing(opened) as connection:
                call.interrupted_by(_interrupt_of(connection))
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA cell_size_check = ON")
                connection.execute("BEGIN")
                yield _Session(connection, self._types)
        except sqlite3.Error as error:
            raise ConnectorError(_kind(error), str(error)) from None


class _Session:
    """One transaction."""

    def __init__(
        self, connection: sqlite3.Connection, types: Mapping[str, ColumnDescription]
    ) -> None:
        self._connection = connection
        self._types = types

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return tables and views."""
        found: dict[str, list[ColumnDescription]] = {}
        wanted = (not names, json.dumps(list(names)))
        for table, name, word, refuses in self._connection.execute(_TABLES, wanted):
            own = self._types.get(f"{table}.{name}") or _declared(word)
            found.setdefault(table, []).append(
                ColumnDescription(name, own.kind, own.precision, own.scale, not refuses)
            )
        return {name: TableDescription(tuple(columns)) for name, columns in found.items()}

    def files(self, _name: str) -> Sequence[str]:
        """Return none: the engine never opens the file."""
        return ()

    def query(self, _name: str, _columns: Sequence[ColumnDescription]) -> str:
        """Return nothing: rows are handed over."""
        return ""

    def batches(self, name: str, columns: Sequence[ColumnDescription]) -> Iterator[pa.RecordBatch]:
        """Give all rows, checked."""
        places = [_selected(column) for column in columns]
        selected = ", ".join(part for parts in places for part in parts)
        cursor = self._connection.execute(f"SELECT {selected} FROM {identifier(name)}")  # noqa: S608 - quoted names
        while rows := cursor.fetchmany(_BATCH_ROWS):
            raw = iter(zip(*rows, strict=True))
            values = [
                _exact(column, [next(raw) for _ in parts])
                for column, parts in zip(columns, places, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(values, [column.name for column in columns])

    def finish(self) -> None:
        """Do nothing: a transaction holds still."""


def _interrupt_of(connection: sqlite3.Connection) -> Callable[[], None]:
    def interrupt() -> None:
        try:
            connection.interrupt()
        except sqlite3.ProgrammingError:
            return  # closed meanwhile

    return interrupt


def _kind(error: sqlite3.Error) -> ErrorKind:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY
    return _KINDS.get(code, ErrorKind.FAILED)


# --- types --------------------------------------------------------------------------------------


def _declared(word: str) -> ColumnDescription:
    """Return what a declared type says, OTHER when it is no exact one."""
    word = word.upper().strip()
    match = _DECIMAL.fullmatch(word)
    if match:
        word = f"decimal({match[1]},{match[2] or 0})"
    else:
        match = _LENGTH.fullmatch(word)
        word = _WORDS.get(match[1], "") if match else ""
    try:
        return declared("", word)
    except ConnectorError:
        return ColumnDescription("", TypeKind.OTHER)


def _selected(column: ColumnDescription) -> tuple[str, ...]:
    """Return what is selected for a column; a decimal's REALs and the rest come apart."""
    name = identifier(column.name)
    if column.kind is not TypeKind.DECIMAL:
        return (name,)
    rest = (
        f"CASE typeof({name}) WHEN 'real' THEN NULL WHEN 'integer' THEN CAST({name} AS TEXT) "
        f"ELSE {name} END"
    )
    return f"CASE WHEN typeof({name}) = 'real' THEN {name} END", rest


def _exact(column: ColumnDescription, raw: Sequence[tuple[object, ...]]) -> pa.Array:
    match column.kind:
        case TypeKind.INTEGER:
            return _taken(column, raw[0], int, pa.int64())
        case TypeKind.BOOLEAN:
            numbers = _taken(column, raw[0], int, pa.int64())
            return exact(pc.cast(numbers, pa.string()), column)
        case TypeKind.DECIMAL:
            texts = exact(_taken(column, raw[1], str, pa.string()), column)
            reals = _decimals(column, _taken(column, raw[0], float, pa.float64()))
            return pc.coalesce(texts, reals)
        case _:
            return exact(_taken(column, raw[0], str, pa.string()), column)


def _taken(
    column: ColumnDescription, values: tuple[object, ...], kind: type, wanted: pa.DataType
) -> pa.Array:
    """Return values that are all of one Python type, or missing."""
    if not set(map(type, values)) <= {kind, type(None)}:
        raise ConnectorError(ErrorKind.FAILED, f"column {column.name!r}: a value of another type")
    return pa.array(values, wanted)


def _decimals(column: ColumnDescription, reals: pa.Array) -> pa.Array:
    """Return the decimals whose nearest binary numbers ``reals`` are.

    Two decimals of at most 15 digits never have the same nearest binary number (IEEE 754-2019, 5.12.2).
    """
    wanted = pa.decimal128(column.precision, column.scale)
    if reals.null_count == len(reals):
        return pa.nulls(len(reals), wanted)
    if column.scale > _REAL_SCALE_MAX:
        raise ConnectorError(ErrorKind.FAILED, f"column {column.name!r}: REAL of too many places")
    numbers = reals.fill_null(0.0).to_numpy(zero_copy_only=False)
    power = 10.0**column.scale
    with np.errstate(over="ignore"):
        units = np.rint(numbers * power)
    good = (np.abs(units) < 10.0**_REAL_DIGITS) & (units / power == numbers)
    if not bool(good.all()):
        raise ConnectorError(ErrorKind.FAILED, f"column {column.name!r}: a REAL is no decimal")
    whole = pc.cast(pa.array(units.astype(np.int64)), pa.decimal128(19, 0))
    unit = pc.cast(pa.scalar(f"1e-{column.scale}"), pa.decimal128(column.scale + 1, column.scale))
    try:
        exact_ones = pc.cast(pc.multiply(whole, unit), wanted)
    except pa.ArrowException:
        raise ConnectorError(ErrorKind.FAILED, f"column {column.name!r}: too large") from None
    return pc.if_else(pc.is_valid(reals), exact_ones, pa.scalar(None, wanted))
