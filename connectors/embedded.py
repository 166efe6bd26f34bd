"""An engine inside the department's process, for sources that cannot run the platform's statements.

Every statement gets an empty DuckDB in memory with all doors shut (``connectors.engines``). What the
statement reads is told by the engine's own parser (``connectors.reads``); those columns of those
tables are loaded, and the statement runs on them. A source has to describe its tables and to hand
rows over, exactly.

A table or column that the source does not have under the name in the statement is SCHEMA: the
engine holds nothing else that the name could mean.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import Protocol

import duckdb
import pyarrow as pa

from connectors.calls import Call, Calls
from connectors.engine import (
    answered,
    column_of,
    identifier,
    interrupt_of,
    only_select,
    streamed,
    translated,
)
from connectors.engines import Engines
from connectors.reads import Reads, reads
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

__all__ = ["EmbeddedConnector", "Session"]

_TYPES = {
    TypeKind.INTEGER: "BIGINT",
    TypeKind.TEXT: "VARCHAR",
    TypeKind.DATE: "DATE",
    TypeKind.BOOLEAN: "BOOLEAN",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_PATH_MAX = 2
_DESCRIBE_S = 60.0


class Session(Protocol):
    """A source, open for one call."""

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the tables, or those among ``names``; a schema and its table are one name with a point."""
        ...

    def files(self, name: str) -> Sequence[str]:
        """Return the files that the engine has to read itself for this table, if any."""
        ...

    def query(self, name: str, columns: Sequence[ColumnDescription]) -> str:
        """Return what the engine selects from those files, or "" to have ``batches`` loaded."""
        ...

    def batches(self, name: str, columns: Sequence[ColumnDescription]) -> Iterator[pa.RecordBatch]:
        """Give all rows: these columns, in their exact types."""
        ...

    def finish(self) -> None:
        """Check, once the answer is there, that the source held still."""
        ...


class EmbeddedConnector(ABC):
    """What connectors with an embedded engine have in common.

    Args:
        threads: Of the engine, at least 1.
        memory_mb: Mebibytes that the engine may use in all, for what it loads too; a statement that
            needs more fails with LIMIT.
    """

    def __init__(self, threads: int = 2, memory_mb: int = 1024) -> None:
        self._engines = Engines(threads, memory_mb)
        self._calls = Calls()

    @abstractmethod
    def _session(self, call: Call) -> AbstractContextManager[Session]:
        """Open the source for one call.

        Raises:
            ConnectorError: As the SPI says.
        """

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the source's tables.

        Raises:
            ConnectorError: The source cannot be read; TIMEOUT not within a minute.
        """
        limits = ExecutionLimits(timeout_s=_DESCRIBE_S, rows_max=1, memory_mb=1)
        with self._calls.running(limits) as call, translated(), self._session(call) as session:
            return MappingProxyType(dict(session.describe(names)))

    def capabilities(self) -> Capabilities:
        """Return the dialect ``duckdb``, streaming: it is the embedded engine that answers."""
        return Capabilities(dialect="duckdb", streaming=True)

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Load what the statement reads, and run it.

        Raises:
            ConnectorError: As the SPI says.
        """
        with self._loaded(statement, limits) as (engine, call):
            return answered(engine, statement, limits, call.check)

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Load what the statement reads, run it and stream its rows through ``kernel``, here.

        Raises:
            ConnectorError: As ``execute``; FAILED also for what the kernel raises.
        """
        with self._loaded(statement, limits) as (engine, call):
            return streamed(engine, statement, kernel, result, limits, call.check)

    def close(self) -> None:
        """End what runs in other threads as UNREACHABLE; of the source nothing is open between calls."""
        self._calls.close()
        self._engines.close()

    @contextmanager
    def _loaded(
        self, statement: Statement, limits: ExecutionLimits
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, Call]]:
        with self._calls.running(limits) as call, translated():
            with self._engines.empty() as engine:
                only_select(engine, statement.sql)
                wanted = reads(engine, statement.sql)
            with self._session(call) as session:
                found = _found(session, wanted)
                files = {file for name in found for file in session.files(name)}
                with self._engines.empty(files) as engine:
                    call.interrupted_by(interrupt_of(engine))
                    _load(engine, session, wanted, found, call)
                    yield engine, call
                session.finish()


def _found(session: Session, wanted: Reads) -> Mapping[str, TableDescription]:
    """Return the tables that are read.

    Raises:
        ConnectorError: SCHEMA when the source does not have them.
    """
    paths = _paths(wanted)
    found = session.describe(tuple(paths)) if paths else {}
    missing = [".".join(path) for path in wanted.tables if ".".join(path) not in found]
    if missing or any(len(path) > _PATH_MAX for path in paths.values()):
        raise ConnectorError(ErrorKind.SCHEMA, f"no table {missing or list(paths)}")
    return found


def _paths(wanted: Reads) -> Mapping[str, tuple[str, ...]]:
    return {".".join(path): path for path in sorted(wanted.tables | wanted.optional)}


def _load(
    engine: duckdb.DuckDBPyConnection,
    session: Session,
    wanted: Reads,
    found: Mapping[str, TableDescription],
    call: Call,
) -> None:
    """Make every table that is read."""
    paths = _paths(wanted)
    for name, table in found.items():
        columns = wanted.columns(table)
        path = paths[name]
        if len(path) == _PATH_MAX:
            engine.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(path[0])}")
        query = session.query(name, columns)
        if query:
            engine.execute(f"CREATE VIEW {identifier(*path)} AS {query}")
            _check_types(engine, path, columns)
        else:
            _fill(engine, path, columns, session.batches(name, columns), call)


def _fill(
    engine: duckdb.DuckDBPyConnection,
    path: Sequence[str],
    columns: Sequence[ColumnDescription],
    batches: Iterator[pa.RecordBatch],
    call: Call,
) -> None:
    """Load a table batch by batch, within the engine's memory."""
    typed = ", ".join(f"{identifier(column.name)} {_type(column)}" for column in columns)
    engine.execute(f"CREATE TABLE {identifier(*path)} ({typed})")
    insert = f'INSERT INTO {identifier(*path)} FROM temp.main."arriving batch"'
    for batch in batches:
        call.check()
        engine.register("arriving batch", batch)
        engine.execute(insert)
        engine.unregister("arriving batch")
    call.check()


def _check_types(
    engine: duckdb.DuckDBPyConnection, path: Sequence[str], columns: Sequence[ColumnDescription]
) -> None:
    """Check that the engine reads the types that the source describes.

    Raises:
        ConnectorError: SCHEMA when it does not.
    """
    # Asked of the view alone: the engine's catalog would bind every view that it has, each time.
    found = engine.execute(f"DESCRIBE {identifier(*path)}").fetchall()
    exact = [(column.name, column.kind, column.precision, column.scale) for column in columns]
    if [_described(name, data_type) for name, data_type, *_ in found] != exact:
        raise ConnectorError(ErrorKind.SCHEMA, f"the engine reads {path[-1]!r} in other types")


def _described(name: str, data_type: str) -> tuple[str, TypeKind, int, int]:
    digits = _DECIMAL.fullmatch(data_type)
    precision, scale = map(int, digits.groups()) if digits else (0, 0)
    column = column_of(name, data_type, precision, scale, nullable=True)
    return column.name, column.kind, column.precision, column.scale


def _type(column: ColumnDescription) -> str:
    if column.kind is TypeKind.DECIMAL:
        return f"DECIMAL({column.precision}, {column.scale})"
    return _TYPES[column.kind]
