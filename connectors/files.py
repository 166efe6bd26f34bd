"""A folder of Parquet and CSV files, one table each, read where they lie.

| in the folder | table |
|---|---|
| ``name.parquet`` | its rows |
| ``name/`` with Parquet files | the rows of all; their columns must agree |
| ``name/year=2024/`` with Parquet files | the same, with a column ``year`` that ``name.schema.json`` declares |
| ``name.csv`` and ``name.schema.json`` | its rows, in the declared types |

The engine streams Parquet files, so that they may be larger than memory; a CSV file is loaded for
each statement. The files may be replaced between two statements, never during one.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.calls import Call
from connectors.csv_rows import check_header, csv_batches
from connectors.embedded import EmbeddedConnector
from connectors.engine import identifier, literals
from connectors.folder import Folder, Identity, StoredTable, identity
from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TableDescription, TypeKind

__all__ = ["FilesConnector"]

_SCHEMAS_KEPT = 4096
_PARTITION_TYPES = {TypeKind.TEXT: "VARCHAR", TypeKind.INTEGER: "BIGINT", TypeKind.DATE: "DATE"}


class FilesConnector(EmbeddedConnector):
    """Reads one folder, and nothing outside it.

    Args:
        folder: The folder.
        threads: Of the engine, at least 1.
        memory_mb: Mebibytes that the engine may use in all.

    Raises:
        ConnectorError: MISSING no such folder; UNREACHABLE it may not be read.
    """

    def __init__(self, folder: str | Path, threads: int = 2, memory_mb: int = 1024) -> None:
        super().__init__(threads, memory_mb)
        self._root = Path(folder).absolute()
        Folder(self._root)

    @contextmanager
    def _session(self, _call: Call) -> Iterator["_Session"]:
        yield _Session(Folder(self._root))


class _Session:
    """One listing of the folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._tables: dict[str, StoredTable] = {}

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the tables."""
        found = {}
        for name in names or self._folder.names():
            table = self._folder.table(name)
            if table is not None:
                self._tables[name] = table
                found[name] = _described(table)
        return found

    def files(self, name: str) -> Sequence[str]:
        """Return the Parquet files of a table."""
        table = self._tables[name]
        return () if table.is_csv else tuple(table.files)

    def query(self, name: str, columns: Sequence[ColumnDescription]) -> str:
        """Return what reads the Parquet files of a table."""
        table = self._tables[name]
        if table.is_csv:
            return ""
        selected = ", ".join(identifier(column.name) for column in columns)
        options = "hive_partitioning = false"
        if table.declaration.partitions:
            types = ", ".join(
                f"{identifier(column.name)}: {_PARTITION_TYPES[column.kind]}"
                for column in table.declaration.partitions
            )
            options = f"hive_partitioning = true, hive_types = {{{types}}}"
        files = literals(table.files)
        return f"SELECT {selected} FROM read_parquet({files}, union_by_name = false, {options})"  # noqa: S608 - quoted

    def batches(self, name: str, columns: Sequence[ColumnDescription]) -> Iterator[pa.RecordBatch]:
        """Give the rows of a CSV file."""
        table = self._tables[name]
        for path, known in table.files.items():
            yield from csv_batches(path, known, table.declaration, columns)

    def finish(self) -> None:
        """Check that every file is still the one that was listed.

        Raises:
            ConnectorError: FAILED when one was replaced or written to.
        """
        for table in self._tables.values():
            for path, known in table.files.items():
                try:
                    same = identity(os.lstat(path)) == known
                except OSError:
                    same = False
                if not same:
                    raise ConnectorError(ErrorKind.FAILED, f"{path} changed while it was read")


def _described(table: StoredTable) -> TableDescription:
    if table.is_csv:
        for path, known in table.files.items():
            check_header(path, known, table.declaration)
        return TableDescription(table.declaration.columns)
    schemas = [_schema(path, known) for path, known in table.files.items()]
    first = [(field.name, field.type) for field in schemas[0]]
    for path, schema in zip(table.files, schemas, strict=True):
        if [(field.name, field.type) for field in schema] != first:
            raise ConnectorError(ErrorKind.SCHEMA, f"{path}: its columns are not those of others")
    own = tuple(map(_column, schemas[0]))
    names = {column.name for column in own}
    if names & {column.name for column in table.declaration.partitions}:
        raise ConnectorError(ErrorKind.SCHEMA, "a partition is called like a column")
    return TableDescription(own + table.declaration.partitions)


@lru_cache(maxsize=_SCHEMAS_KEPT)
def _schema(path: str, _known: Identity) -> pa.Schema:
    """Return the columns of a file; read again once it is another one."""
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise ConnectorError(ErrorKind.FAILED, f"{path}: {error}") from None


def _column(field: pa.Field) -> ColumnDescription:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_decimal128(kind) or pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return ColumnDescription(
            field.name, TypeKind.DECIMAL, kind.precision, kind.scale, field.nullable
        )
    return ColumnDescription(field.name, _kind(kind), nullable=field.nullable)


def _kind(kind: pa.DataType) -> TypeKind:
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return TypeKind.INTEGER
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TypeKind.TEXT
    if pa.types.is_date32(kind):
        return TypeKind.DATE
    return TypeKind.BOOLEAN if pa.types.is_boolean(kind) else TypeKind.OTHER
