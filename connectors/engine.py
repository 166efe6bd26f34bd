"""What every connector on DuckDB shares: shut doors, one SELECT, the engine's errors and results.

The engine gets no network, no extension, no Python variable and no temporary directory (a spilled
block would be a copy of rows that nobody governs), no file but those that are named, and its
configuration is locked.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

import duckdb
import pyarrow as pa

from connectors.results import bounded, check_columns, fitted, scanned
from connectors.spi import (
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Kernel,
    Statement,
    TypeKind,
)

__all__ = [
    "EXTENSIONS_OFF",
    "answered",
    "column_of",
    "identifier",
    "in_memory",
    "interrupt_of",
    "literals",
    "only_select",
    "read_batches",
    "running_kind",
    "shut_doors",
    "streamed",
    "translated",
]

EXTENSIONS_OFF: Mapping[str, str | bool] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "enable_external_file_cache": False,
    "temp_directory": "",
}
"""Settings that an engine is opened with; the file system is shut by ``shut_doors``."""

_BATCH_ROWS = 65_536  # rows are worked on by whole columns: fewer and longer ones

_KINDS = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), TypeKind.INTEGER),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), TypeKind.INTEGER),
    "VARCHAR": TypeKind.TEXT,
    "DATE": TypeKind.DATE,
    "BOOLEAN": TypeKind.BOOLEAN,
}

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


def in_memory(threads: int, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """Return a new engine without a file; its doors are still to be shut."""
    return duckdb.connect(
        ":memory:",
        config={**EXTENSIONS_OFF, "threads": threads, "memory_limit": f"{memory_mb}MiB"},
    )


def shut_doors(engine: duckdb.DuckDBPyConnection, files: Collection[str] = ()) -> None:
    """Let ``engine`` read ``files`` and nothing else from now on, and lock its configuration.

    Args:
        engine: Just opened.
        files: Absolute paths.
    """
    if files:
        engine.execute(f"SET allowed_paths = {literals(files)}")
    if engine.execute("SELECT current_setting('enable_external_access')").fetchall() != [(False,)]:
        engine.execute("SET enable_external_access = false")
    # Known to the Python client only once a connection is open; the lock comes last.
    engine.execute("SET python_enable_replacements = false")
    engine.execute("SET lock_configuration = true")


_SELECTS: set[str] = set()
_SELECTS_MAX = 512


def only_select(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what is not one SELECT: the planner writes nothing else.

    Raises:
        ConnectorError: REFUSED.
    """
    if sql in _SELECTS:  # what a text is does not hang on the engine
        return
    statements = engine.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise ConnectorError(ErrorKind.REFUSED, "not one SELECT")
    if len(_SELECTS) >= _SELECTS_MAX:
        _SELECTS.clear()
    _SELECTS.add(sql)


def answered(
    engine: duckdb.DuckDBPyConnection,
    statement: Statement,
    limits: ExecutionLimits,
    check: Callable[[], None],
) -> pa.Table:
    """Run ``statement`` and return its whole result.

    Raises:
        ConnectorError: As the SPI says.
    """
    reader = engine.sql(statement.sql).to_arrow_reader(_BATCH_ROWS)
    check_columns(reader.schema, statement.result)
    batches = bounded(read_batches(reader, check), limits)
    return fitted(pa.Table.from_batches(batches, reader.schema), statement.result)


def streamed(
    engine: duckdb.DuckDBPyConnection,
    statement: Statement,
    kernel: Kernel,
    result: pa.Schema,
    limits: ExecutionLimits,
    check: Callable[[], None],
) -> pa.Table:
    """Run ``statement`` and stream its rows through ``kernel``, here.

    Raises:
        ConnectorError: As the SPI says.
    """
    reader = engine.sql(statement.sql).to_arrow_reader(_BATCH_ROWS)
    return scanned(read_batches(reader, check), statement, kernel, result, limits)


def read_batches(
    reader: pa.RecordBatchReader, check: Callable[[], None]
) -> Iterator[pa.RecordBatch]:
    """Pass batches on; the engine's errors become ours here, so that no kernel sees them.

    Raises:
        ConnectorError: Of ``check``, or of the engine.
    """
    with translated():
        for batch in reader:
            check()
            yield batch


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the engine and of Arrow into ours.

    Raises:
        ConnectorError: With the engine's words as its detail.
    """
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        raise ConnectorError(running_kind(error), str(error)) from None


def running_kind(error: Exception) -> ErrorKind:
    """Return the kind of an error of a running engine."""
    # Out of memory while it commits, the engine says so in its text only.
    if isinstance(error, duckdb.TransactionException) and "could not allocate" in str(error):
        return ErrorKind.LIMIT
    return next((kind for known, kind in _RUNNING if isinstance(error, known)), ErrorKind.FAILED)


def interrupt_of(engine: duckdb.DuckDBPyConnection) -> Callable[[], None]:
    """Return what interrupts ``engine`` from another thread."""

    def interrupt() -> None:
        with suppress(duckdb.Error):  # closed meanwhile
            engine.interrupt()

    return interrupt


def column_of(
    name: str,
    data_type: str,
    precision: int | None,
    scale: int | None,
    nullable: bool,  # noqa: FBT001 - a row of the engine's
) -> ColumnDescription:
    """Return the description of a column as ``duckdb_columns()`` has it."""
    if data_type.startswith("DECIMAL("):
        return ColumnDescription(name, TypeKind.DECIMAL, precision or 0, scale or 0, nullable)
    kind = TypeKind.TEXT if data_type.startswith("ENUM(") else _KINDS.get(data_type, TypeKind.OTHER)
    return ColumnDescription(name, kind, nullable=nullable)


def identifier(*path: str) -> str:
    """Quote the parts of a name."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in path)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Collection[str]) -> str:
    """Write a list of texts as the engine reads it."""
    return "[" + ", ".join(map(_literal, texts)) + "]"
