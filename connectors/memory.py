"""The reference connector: rows in lists, statements read from their tree, nothing clever.

It is what "right" means for every other connector: slow, exact, and short enough to be checked by
eye. The meaning of the tree is in ``reference_rows`` (one row), ``reference_relations`` (joins and
unit blocks) and ``reference_cells`` (the five statements).
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from connectors import reference_cells
from connectors.reference_relations import Source, Stored
from connectors.reference_rows import Node, scalar
from connectors.results import bounded, fitted, scanned
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

__all__ = ["MemoryConnector"]

_KINDS = {
    "evidence": reference_cells.evidence,
    "distinct": reference_cells.distinct,
    "units": reference_cells.units,
    "totals": reference_cells.totals,
    "bounded": reference_cells.bounded,
    "rows": reference_cells.rows,
}
_SCAN_ROWS = 3  # so that every kernel is seen to get more than one batch


class MemoryConnector:
    """Holds tables in memory.

    Args:
        tables: Each an Arrow table, or a description with its rows.
    """

    def __init__(
        self,
        tables: Mapping[str, pa.Table | tuple[TableDescription, Sequence[Mapping[str, Any]]]],
    ) -> None:
        self._tables = {name: _stored(table) for name, table in tables.items()}
        self._closed = False

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the tables.

        Raises:
            ConnectorError: UNREACHABLE after ``close``.
        """
        self._open()
        return MappingProxyType(
            {
                name: stored.description
                for name, stored in self._tables.items()
                if not names or name in names
            }
        )

    def capabilities(self) -> Capabilities:
        """Return no dialect: the tree is read."""
        return Capabilities(dialect="", streaming=False)

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Interpret the statement's tree; its SQL is not looked at.

        Raises:
            ConnectorError: As the SPI says; FAILED also for a total that 38 digits cannot hold.
        """
        table = fitted(self._interpreted(statement, limits), statement.result)
        return pa.Table.from_batches(bounded(table.to_batches(), limits), statement.result)

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Interpret the statement's tree and give its rows to ``kernel`` in short batches, here.

        Raises:
            ConnectorError: As ``execute``; FAILED also for what the kernel raises.
        """
        table = self._interpreted(statement, limits)
        check = _deadline(limits)

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in table.to_batches(_SCAN_ROWS):
                check()
                yield batch

        return scanned(batches(), statement, kernel, result, limits)

    def _interpreted(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        self._open()
        run = _KINDS.get(statement.kind)
        if run is None:
            raise ConnectorError(ErrorKind.REFUSED, f"statement kind {statement.kind}")
        check = _deadline(limits)
        check()
        _check_names(statement.tree, self._tables)
        try:
            return run(statement.tree, Source(self._tables, check))
        except KeyError as error:
            raise ConnectorError(ErrorKind.SCHEMA, f"no {error}") from None
        except TypeError as error:
            raise ConnectorError(
                ErrorKind.SCHEMA, f"types that do not go together: {error}"
            ) from None
        except (pa.ArrowException, OverflowError) as error:
            raise ConnectorError(ErrorKind.FAILED, str(error)) from None

    def close(self) -> None:
        """Forget the tables."""
        self._closed = True
        self._tables = {}

    def _open(self) -> None:
        if self._closed:
            raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")


def _check_names(tree: Node, tables: Mapping[str, Stored]) -> None:
    """Refuse a field that nothing offers, also where no row would ever ask for it."""
    nodes = list(_nodes(tree))
    known: dict[str, set[str]] = {}
    for node in nodes:
        if node["node"] == "UnitBlock":
            known[node["alias"]] = {column["name"] for column in node["columns"]}
        elif node["node"] == "Table":
            stored = tables.get(node["dataset"].split(".")[1])
            known[node["alias"]] = (
                {column.name for column in stored.description.columns} if stored else set()
            )
    for node in nodes:
        if node["node"] == "Field" and node["name"] not in known.get(node["relation"], set()):
            raise ConnectorError(ErrorKind.SCHEMA, f"no column {node['relation']}.{node['name']}")


def _nodes(tree: object) -> Iterator[Node]:
    if isinstance(tree, Mapping):
        if "node" in tree:
            yield tree
        for part in tree.values():
            yield from _nodes(part)
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from _nodes(part)


def _deadline(limits: ExecutionLimits) -> Callable[[], None]:
    ends = time.monotonic() + limits.timeout_s

    def check() -> None:
        if limits.stop.is_set():
            raise ConnectorError(ErrorKind.CANCELLED, "stopped")
        if time.monotonic() > ends:
            raise ConnectorError(ErrorKind.TIMEOUT, f"more than {limits.timeout_s} s")

    return check


def _stored(table: pa.Table | tuple[TableDescription, Sequence[Mapping[str, Any]]]) -> Stored:
    if isinstance(table, pa.Table):
        description = TableDescription(tuple(_column(field) for field in table.schema))
        rows: Sequence[Mapping[str, Any]] = table.to_pylist()
    else:
        description, rows = table
    names = [column.name for column in description.columns]
    # A column of another kind is kept, but never computed with: its description says OTHER.
    return Stored(description, tuple({name: scalar(row[name]) for name in names} for row in rows))


def _column(field: pa.Field) -> ColumnDescription:
    kind = field.type
    if pa.types.is_decimal(kind):
        return ColumnDescription(
            field.name, TypeKind.DECIMAL, kind.precision, kind.scale, field.nullable
        )
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return ColumnDescription(field.name, TypeKind.INTEGER, nullable=field.nullable)
    kinds = {pa.string(): TypeKind.TEXT, pa.date32(): TypeKind.DATE, pa.bool_(): TypeKind.BOOLEAN}
    return ColumnDescription(field.name, kinds.get(kind, TypeKind.OTHER), nullable=field.nullable)
