"""What a source of rows must offer: five methods, plain values in, one Arrow table out.

A connector runs inside a department, beside its data. It decides nothing: what may be asked was
decided before, and what leaves the department is decided after. It imports this module only, and
never the platform.

Spec: docs/spec/connector-spi.md
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

__all__ = [
    "Capabilities",
    "ColumnDescription",
    "Connector",
    "ConnectorError",
    "ErrorKind",
    "ExecutionLimits",
    "Kernel",
    "Statement",
    "TableDescription",
    "TypeKind",
]


class TypeKind(StrEnum):
    """Kinds of column types; what is not exact, or has no governed meaning, is OTHER."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    TEXT = "text"
    DATE = "date"
    BOOLEAN = "boolean"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column as the source has it.

    Attributes:
        name: As the source spells it.
        kind: Of its type; INTEGER is at most 64 bits with sign.
        precision: Decimal digits in all, 1 to 38, for DECIMAL; else 0.
        scale: Decimal digits after the point, for DECIMAL; else 0.
        nullable: False only where the source itself refuses missing values.
    """

    name: str
    kind: TypeKind
    precision: int = 0
    scale: int = 0
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class TableDescription:
    """One table or view: its columns, in order."""

    columns: tuple[ColumnDescription, ...]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the platform must know to write statements for a source.

    Attributes:
        dialect: ``"duckdb"``, ``"postgres"``, ``"sqlite"``, ``"spark"``, or ``""`` for a source
            that reads the tree.
        streaming: The result is read in pieces, so that ``rows_max`` stops a large one before it is
            whole.
        fixed: What it reads cannot change while it is open: an answer may be given again unread.
    """

    dialect: str
    streaming: bool
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, twice: as SQL and as data; both mean the same.

    Attributes:
        kind: ``"evidence"``, ``"distinct"``, ``"units"``, ``"totals"``, ``"bounded"`` or ``"rows"``; it fixes the
            result's columns.
        sql: One SELECT in the connector's dialect.
        tree: Mappings with a ``node`` name, lists and scalars (int, Decimal, str, bool, date,
            None), for a source without SQL.
        result: Columns of the result, in order, with the SPI's types: what a connector casts to. A
            label or a count that does not fit is FAILED, never rounded.
    """

    kind: str
    sql: str
    tree: Mapping[str, object]
    result: pa.Schema


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """Bounds on one execution; each is greater than 0.

    Attributes:
        timeout_s: Seconds from the call to the result.
        rows_max: Rows of the result.
        memory_mb: Mebibytes of the result. The engine's working memory is bounded when the
            connector is made.
        stop: Set by another thread when nobody waits for the result any more: the execution ends
            soon and raises CANCELLED.
    """

    timeout_s: float
    rows_max: int
    memory_mb: int
    stop: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)


Kernel: TypeAlias = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""A pure function over a stream of record batches: a source may run several of it, each over a part
of the rows, in other processes. So it is picklable, and its results are partial ones."""


class ErrorKind(StrEnum):
    """Why a connector could not answer; all that the platform is ever told."""

    UNREACHABLE = "unreachable"
    LOCKED = "locked"
    MISSING = "missing"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SCHEMA = "schema"
    LIMIT = "limit"
    REFUSED = "refused"
    FAILED = "failed"


class ConnectorError(Exception):
    """The only exception of a connector.

    Its text is its kind, so that a driver's words (which may quote rows) cannot travel with it.
    Raise it ``from None``.

    Attributes:
        kind: Why.
        detail: For the log of the department's operator only; never sent, never shown to an
            analyst.
    """

    def __init__(self, kind: ErrorKind, detail: str = "") -> None:
        super().__init__(str(kind))
        self.kind = kind
        self.detail = detail


@runtime_checkable
class Connector(Protocol):
    """A source of rows. Methods may be called from several threads at once."""

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the tables and views that a statement may name.

        Args:
            names: Only these, as far as they exist; all when empty.

        Raises:
            ConnectorError: The source cannot be read.
        """
        ...

    def capabilities(self) -> Capabilities:
        """Return what the source can do; the same for its whole life."""
        ...

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Run one statement and return its whole result.

        Returns:
            Rows in any order. Types are int64, decimal128(38, s), string, date32 and bool only.

        Raises:
            ConnectorError: TIMEOUT and LIMIT for the limits; SCHEMA when the source no longer has
                what the statement names; else as the kind says.
        """
        ...

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Stream the rows of a ``rows`` statement through ``kernel``, beside the data.

        Args:
            statement: Its rows reach the kernel as batches of ``statement.result``.
            kernel: Runs where the rows are, on parts of them.
            result: Columns of what the kernel yields.
            limits: Rows and memory bound what the kernel yields, not what it reads.

        Returns:
            What all kernels yielded, in any order.

        Raises:
            ConnectorError: As ``execute``.
        """
        ...

    def close(self) -> None:
        """Let go of the source; twice is harmless. Any other call after it raises UNREACHABLE."""
        ...
