"""DuckDB files, read only, with every door to the outside shut.

The engine gets no file system, no network, no extension, no Python variable and no temporary
directory (a spilled block would be a copy of rows that nobody governs), and its configuration is
locked. Each execution has a cursor of its own: on one connection, a second statement silently
discards the first result.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa

from connectors.spi import (
    Capabilities,
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Statement,
    TableDescription,
    TypeKind,
)

__all__ = ["DuckDBConnector"]

_BATCH_ROWS = 2048
_INTERRUPT_EVERY_S = 0.05
_MIB = 1 << 20

_CLOSED_DOORS: Mapping[str, str | bool] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "temp_directory": "",
}
# Known to the Python client only once a connection is open; the lock comes last.
_LOCK = "SET python_enable_replacements = false; SET lock_configuration = true"

_KINDS = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), TypeKind.INTEGER),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), TypeKind.INTEGER),
    "VARCHAR": TypeKind.TEXT,
    "DATE": TypeKind.DATE,
    "BOOLEAN": TypeKind.BOOLEAN,
}

_DESCRIBE = """
SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, is_nullable
FROM duckdb_columns()
WHERE NOT internal AND database_name = current_database() AND schema_name = current_schema()
ORDER BY table_name, column_index
"""


class DuckDBConnector:
    """Reads one DuckDB file.

    Args:
        path: The file.
        threads: Of the engine, at least 1.
        memory_mb: Mebibytes that the engine may use in all; a statement that needs more fails with
            LIMIT.

    Raises:
        ConnectorError: MISSING no such file; LOCKED a process has it open for writing, or this
            process has it open in another way; UNREACHABLE it may not be read; FAILED it is not a
            sound database.
    """

    def __init__(self, path: str | Path, threads: int = 2, memory_mb: int = 1024) -> None:
        path = Path(path)
        if not path.is_file():
            raise ConnectorError(ErrorKind.MISSING, f"no file at {path}")
        config: dict[str, str | bool | int | float | list[str]] = {
            **_CLOSED_DOORS,
            "threads": threads,
            "memory_limit": f"{memory_mb}MiB",
        }
        try:
            self._connection = duckdb.connect(str(path), read_only=True, config=config)
            self._connection.execute(_LOCK)
        except duckdb.Error as error:
            raise ConnectorError(_opening_kind(error), str(error)) from None
        except OSError as error:
            raise ConnectorError(ErrorKind.UNREACHABLE, str(error)) from None
        self._idle = threading.Condition()
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._closed = False

    def describe(self) -> Mapping[str, TableDescription]:
        """Return the tables and views of the file's main schema.

        Raises:
            ConnectorError: The file cannot be read.
        """
        found: dict[str, list[ColumnDescription]] = {}
        with self._cursor() as cursor:
            for table, *column in cursor.execute(_DESCRIBE).fetchall():
                found.setdefault(table, []).append(_column(*column))
        tables = {name: TableDescription(tuple(columns)) for name, columns in found.items()}
        return MappingProxyType(tables)

    def capabilities(self) -> Capabilities:
        """Return the dialect ``duckdb``, streaming."""
        return Capabilities(dialect="duckdb", streaming=True)

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Run one SELECT on a cursor of its own.

        Raises:
            ConnectorError: REFUSED for anything but one SELECT; see the SPI for the other kinds.
        """
        with self._cursor() as cursor, _deadline(cursor, limits.timeout_s):
            _only_select(cursor, statement.sql)
            reader = cursor.sql(statement.sql).to_arrow_reader(_BATCH_ROWS)
            exact = pa.schema([pa.field(item.name, _exact_type(item)) for item in reader.schema])
            return pa.Table.from_batches(_bounded(reader, limits), reader.schema).cast(exact)

    def close(self) -> None:
        """Close the file; what runs in other threads is interrupted, and fails as UNREACHABLE."""
        with self._idle:
            self._closed = True
            # The engine refuses to close under a running call, and may lose an interrupt.
            while self._running:
                for cursor in self._running:
                    with suppress(duckdb.Error):  # closed meanwhile
                        cursor.interrupt()
                self._idle.wait(_INTERRUPT_EVERY_S)
            self._connection.close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._idle:
                if self._closed:
                    raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")
                cursor = self._connection.cursor()
                self._running.add(cursor)
            try:
                yield cursor
            finally:
                with self._idle:
                    self._running.discard(cursor)
                    self._idle.notify_all()
                cursor.close()
        except duckdb.Error as error:
            kind = ErrorKind.UNREACHABLE if self._closed else _running_kind(error)
            raise ConnectorError(kind, str(error)) from None
        except pa.ArrowException as error:
            raise ConnectorError(ErrorKind.FAILED, str(error)) from None


# --- errors -------------------------------------------------------------------------------------

_RUNNING: tuple[tuple[type[duckdb.Error], ErrorKind], ...] = (
    (duckdb.InterruptException, ErrorKind.TIMEOUT),
    (duckdb.OutOfMemoryException, ErrorKind.LIMIT),
    (duckdb.BinderException, ErrorKind.SCHEMA),
    (duckdb.CatalogException, ErrorKind.SCHEMA),
    (duckdb.PermissionException, ErrorKind.REFUSED),
    (duckdb.ParserException, ErrorKind.REFUSED),
    (duckdb.SyntaxException, ErrorKind.REFUSED),
    (duckdb.ConnectionException, ErrorKind.UNREACHABLE),
)


def _running_kind(error: duckdb.Error) -> ErrorKind:
    return next((kind for known, kind in _RUNNING if isinstance(error, known)), ErrorKind.FAILED)


def _opening_kind(error: duckdb.Error) -> ErrorKind:
    """Tell the kinds of a refused opening apart; the engine does so in its text only."""
    text = str(error)
    if isinstance(error, duckdb.ConnectionException) or "lock on file" in text:
        return ErrorKind.LOCKED
    if "Permission denied" in text:
        return ErrorKind.UNREACHABLE
    return ErrorKind.FAILED


# --- bounds -------------------------------------------------------------------------------------


@contextmanager
def _deadline(cursor: duckdb.DuckDBPyConnection, timeout_s: float) -> Iterator[None]:
    """Interrupt ``cursor`` once the time is over.

    One interrupt is not enough: it is lost when it falls between two calls of the engine.
    """
    done = threading.Event()
    late = threading.Event()

    def watch() -> None:
        if done.wait(timeout_s):
            return
        late.set()
        while not done.wait(_INTERRUPT_EVERY_S):
            with suppress(duckdb.Error):  # closed meanwhile
                cursor.interrupt()

    watcher = threading.Thread(target=watch, name="statement deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    if late.is_set():
        raise ConnectorError(ErrorKind.TIMEOUT, f"more than {timeout_s} s")


def _only_select(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what is not one SELECT: the planner writes nothing else."""
    statements = cursor.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise ConnectorError(ErrorKind.REFUSED, "not one SELECT")


def _bounded(reader: pa.RecordBatchReader, limits: ExecutionLimits) -> Iterator[pa.RecordBatch]:
    rows = size = 0
    for batch in reader:
        rows += batch.num_rows
        size += batch.nbytes
        if rows > limits.rows_max:
            raise ConnectorError(ErrorKind.LIMIT, f"more than {limits.rows_max} rows")
        if size > limits.memory_mb * _MIB:
            raise ConnectorError(ErrorKind.LIMIT, f"a result of more than {limits.memory_mb} MiB")
        yield batch


# --- types --------------------------------------------------------------------------------------


def _column(
    name: str,
    data_type: str,
    precision: int | None,
    scale: int | None,
    nullable: bool,  # noqa: FBT001 - a row of the engine's
) -> ColumnDescription:
    if data_type.startswith("DECIMAL("):
        return ColumnDescription(name, TypeKind.DECIMAL, precision or 0, scale or 0, nullable)
    kind = TypeKind.TEXT if data_type.startswith("ENUM(") else _KINDS.get(data_type, TypeKind.OTHER)
    return ColumnDescription(name, kind, nullable=nullable)


def _exact_type(column: pa.Field) -> pa.DataType:
    """Return the type that the SPI has for a result column.

    Raises:
        ConnectorError: SCHEMA when it has none, as for a floating number.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return pa.int64()
    if pa.types.is_decimal(kind):
        return pa.decimal128(38, kind.scale)
    if pa.types.is_date32(kind) or pa.types.is_boolean(kind):
        return kind
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.string()
    raise ConnectorError(ErrorKind.SCHEMA, f"result column {column.name} is {kind}")
