"""DuckDB files, read only, with every door to the outside shut.

The engine gets no file system, no network, no extension, no Python variable and no temporary
directory (a spilled block would be a copy of rows that nobody governs), and its configuration is
locked. Each execution has a cursor of its own: on one connection, a second statement silently
discards the first result.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa

from connectors.results import bounded, check_columns, fitted, scanned
from connectors.spi import (
    Capabilities,
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Kernel,
    Statement,
    TableDescription,
    TypeKind,
)

__all__ = ["DuckDBConnector"]

_BATCH_ROWS = 2048
_SCAN_ROWS = 65_536  # a kernel works on whole columns: fewer and longer ones
_INTERRUPT_EVERY_S = 0.05

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
AND (? OR list_contains(?, table_name))
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

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the tables and views of the file's main schema.

        Raises:
            ConnectorError: The file cannot be read.
        """
        found: dict[str, list[ColumnDescription]] = {}
        with self._cursor() as cursor:
            for table, *column in cursor.execute(_DESCRIBE, [not names, list(names)]).fetchall():
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
        with self._cursor() as cursor, _deadline(cursor, limits):
            _only_select(cursor, statement.sql)
            reader = cursor.sql(statement.sql).to_arrow_reader(_BATCH_ROWS)
            check_columns(reader.schema, statement.result)
            table = pa.Table.from_batches(bounded(reader, limits), reader.schema)
            return fitted(table, statement.result)

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Run one SELECT on a cursor of its own and stream its rows through ``kernel``, here.

        Raises:
            ConnectorError: As ``execute``; FAILED also for what the kernel raises.
        """
        with self._cursor() as cursor, _deadline(cursor, limits) as check:
            _only_select(cursor, statement.sql)
            reader = cursor.sql(statement.sql).to_arrow_reader(_SCAN_ROWS)
            return scanned(self._read(reader, check), statement, kernel, result, limits)

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
        except (duckdb.Error, pa.ArrowException) as error:
            raise ConnectorError(self._kind(error), str(error)) from None

    def _read(
        self, reader: pa.RecordBatchReader, check: Callable[[], None]
    ) -> Iterator[pa.RecordBatch]:
        """Pass batches on; the engine's errors become ours here, so that no kernel sees them."""
        try:
            for batch in reader:
                check()
                yield batch
        except (duckdb.Error, pa.ArrowException) as error:
            raise ConnectorError(self._kind(error), str(error)) from None

    def _kind(self, error: Exception) -> ErrorKind:
        return ErrorKind.UNREACHABLE if self._closed else _running_kind(error)


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


def _running_kind(error: Exception) -> ErrorKind:
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
def _deadline(
    cursor: duckdb.DuckDBPyConnection, limits: ExecutionLimits
) -> Iterator[Callable[[], None]]:
    """Interrupt ``cursor`` once the time is over or nobody waits, and give what checks for both.

    One interrupt is not enough: it is lost when it falls between two calls of the engine.
    """
    ends = time.monotonic() + limits.timeout_s
    done, over = threading.Event(), threading.Event()

    def check() -> None:
        if limits.stop.is_set():
            raise ConnectorError(ErrorKind.CANCELLED, "stopped") from None
        if time.monotonic() >= ends:
            raise ConnectorError(ErrorKind.TIMEOUT, f"more than {limits.timeout_s} s") from None

    def watch() -> None:
        while not done.wait(_INTERRUPT_EVERY_S):
            if limits.stop.is_set() or time.monotonic() >= ends:
                over.set()
                with suppress(duckdb.Error):  # closed meanwhile
                    cursor.interrupt()

    check()
    watcher = threading.Thread(target=watch, name="statement deadline", daemon=True)
    watcher.start()
    try:
        yield check
    finally:
        done.set()
        watcher.join()
        if over.is_set():
            check()


def _only_select(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what is not one SELECT: the planner writes nothing else."""
    statements = cursor.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise ConnectorError(ErrorKind.REFUSED, "not one SELECT")


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
