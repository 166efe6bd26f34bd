"""DuckDB files, read only, with every door to the outside shut (``connectors.engine``).

Each execution has a cursor of its own: on one connection, a second statement silently discards the
first result.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa

from connectors.calls import Call, Calls
from connectors.engine import (
    EXTENSIONS_OFF,
    answered,
    column_of,
    interrupt_of,
    only_select,
    shut_doors,
    streamed,
    translated,
)
from connectors.spi import (
    Capabilities,
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Kernel,
    Statement,
    TableDescription,
)

__all__ = ["DuckDBConnector"]

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
            "enable_external_access": False,
            **EXTENSIONS_OFF,
            "threads": threads,
            "memory_limit": f"{memory_mb}MiB",
        }
        try:
            self._connection = duckdb.connect(str(path), read_only=True, config=config)
            shut_doors(self._connection)
        except duckdb.Error as error:
            raise ConnectorError(_opening_kind(error), str(error)) from None
        except OSError as error:
            raise ConnectorError(ErrorKind.UNREACHABLE, str(error)) from None
        self._calls = Calls()
        self._tables: Mapping[str, TableDescription] | None = None

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the tables and views of the file's main schema.

        Raises:
            ConnectorError: The file cannot be read.
        """
        with self._calls.running(None):
            # Read once: while this process has the file open, no other can write to it.
            if self._tables is None:
                self._tables = self._read_tables()
            tables = self._tables
        kept = {name: tables[name] for name in names if name in tables} if names else tables
        return MappingProxyType(dict(kept))

    def _read_tables(self) -> Mapping[str, TableDescription]:
        found: dict[str, list[ColumnDescription]] = {}
        with self._cursor(None) as (cursor, _):
            for table, *column in cursor.execute(_DESCRIBE).fetchall():
                found.setdefault(table, []).append(column_of(*column))
        return {name: TableDescription(tuple(columns)) for name, columns in found.items()}

    def capabilities(self) -> Capabilities:
        """Return the dialect ``duckdb``, streaming, fixed: nobody can write to a file that is open here."""
        return Capabilities(dialect="duckdb", streaming=True, fixed=True)

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Run one SELECT on a cursor of its own.

        Raises:
            ConnectorError: REFUSED for anything but one SELECT; see the SPI for the other kinds.
        """
        with self._cursor(limits) as (cursor, call):
            only_select(cursor, statement.sql)
            return answered(cursor, statement, limits, call.check)

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Run one SELECT on a cursor of its own and stream its rows through ``kernel``, here.

        Raises:
            ConnectorError: As ``execute``; FAILED also for what the kernel raises.
        """
        with self._cursor(limits) as (cursor, call):
            only_select(cursor, statement.sql)
            return streamed(cursor, statement, kernel, result, limits, call.check)

    def close(self) -> None:
        """Close the file; what runs in other threads is interrupted, and fails as UNREACHABLE."""
        self._calls.close()  # the engine refuses to close under a running call
        self._connection.close()

    @contextmanager
    def _cursor(
        self, limits: ExecutionLimits | None
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, Call]]:
        with (
            self._calls.running(limits) as call,
            translated(),
            self._connection.cursor() as cursor,
        ):
            call.interrupted_by(interrupt_of(cursor))
            yield cursor, call


def _opening_kind(error: duckdb.Error) -> ErrorKind:
    """Tell the kinds of a refused opening apart; the engine does so in its text only."""
    text = str(error)
    if isinstance(error, duckdb.ConnectionException) or "lock on file" in text:
        return ErrorKind.LOCKED
    if "Permission denied" in text:
        return ErrorKind.UNREACHABLE
    return ErrorKind.FAILED
