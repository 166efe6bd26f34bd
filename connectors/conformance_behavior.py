"""Checks of what a connector does around an answer: limits, stops, drift, scans, the end.

Each takes a fresh connector over the usual data, and returns what is wrong, or an empty string.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from connectors.spi import Connector, ConnectorError, ErrorKind, ExecutionLimits, Statement

__all__ = ["BEHAVIORS", "Behavior", "Cases", "counted", "stop_while_running", "unchanged"]

_LIMITS = ExecutionLimits(timeout_s=60, rows_max=100_000, memory_mb=64)
_UNITS, _ROWS = "units: all", "rows: person"
_COUNTED = pa.schema([("rows", pa.int64()), ("named", pa.int64())])
_STOP_AFTER_S = 0.3


class Cases(Protocol):
    """Gives the shipped statements."""

    def statement(self, connector: Connector, name: str, **renamed: str) -> Statement:
        """Return a statement in the connector's dialect, with names put in place of others."""
        ...


class Behavior(Protocol):
    """A check; its name is told."""

    __name__: str

    def __call__(self, connector: Connector, shipped: Cases) -> str:
        """Return what is wrong, or an empty string."""
        ...


# --- kernels ------------------------------------------------------------------------------------


def unchanged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield every row."""
    yield from batches


def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield how many rows came, and how many of them have an id: one partial result."""
    rows = named = 0
    for batch in batches:
        rows += batch.num_rows
        named += batch.num_rows - batch.column("id").null_count
    yield pa.RecordBatch.from_arrays([pa.array([rows]), pa.array([named])], schema=_COUNTED)


def silent(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read every row and yield none."""
    for batch in batches:
        yield batch.slice(0, 0)


def broken(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read a row and fail, as a kernel with a defect does."""
    next(batches)
    raise ValueError("a kernel's own words")
    yield


# --- limits -------------------------------------------------------------------------------------


def rows_max(connector: Connector, shipped: Cases) -> str:
    """More rows than allowed are refused whole."""
    return _executed(connector, shipped.statement(connector, _UNITS), ErrorKind.LIMIT, _few())


def scan_rows_max(connector: Connector, shipped: Cases) -> str:
    """More rows out of a kernel than allowed are refused whole."""
    return _scan(connector, shipped, unchanged, ErrorKind.LIMIT, _few())


def scan_reads_more_than_it_yields(connector: Connector, shipped: Cases) -> str:
    """Limits bound what a kernel yields, not what it reads."""
    statement = shipped.statement(connector, _ROWS)
    found = connector.scan(statement, silent, statement.result, _few())
    return f"{found.num_rows} rows, expected none" if found.num_rows else ""


def stop_before(connector: Connector, shipped: Cases) -> str:
    """Nothing runs for a caller who has gone."""
    limits = replace(_LIMITS, stop=threading.Event())
    limits.stop.set()
    statement = shipped.statement(connector, _UNITS)
    return _executed(connector, statement, ErrorKind.CANCELLED, limits) or _scan(
        connector, shipped, counted, ErrorKind.CANCELLED, limits
    )


def stop_of_another(connector: Connector, shipped: Cases) -> str:
    """A stop ends the execution that it belongs to, and no other."""
    gone = replace(_LIMITS, stop=threading.Event())
    gone.stop.set()
    statement = shipped.statement(connector, _UNITS)
    _executed(connector, statement, ErrorKind.CANCELLED, gone)
    return "" if connector.execute(statement, _LIMITS).num_rows else "no rows"


def stop_while_running(connector: Connector, shipped: Cases) -> str:
    """A statement ends soon after its stop is set: before its time is over, and not by answering."""
    limits = ExecutionLimits(timeout_s=20, rows_max=1000, memory_mb=64)
    timer = threading.Timer(_STOP_AFTER_S, limits.stop.set)
    timer.start()
    try:
        statement = shipped.statement(connector, "evidence: three tables")
        return _executed(connector, statement, ErrorKind.CANCELLED, limits)
    finally:
        timer.cancel()


# --- drift --------------------------------------------------------------------------------------


def describe_names(connector: Connector, shipped: Cases) -> str:  # noqa: ARG001 - a Behavior
    """Only the tables that were asked for are described, as far as they exist."""
    found = connector.describe(("person", "person_of_old"))
    if set(found) != {"person"}:
        return f"tables {sorted(found)}, expected person"
    return "" if found["person"] == connector.describe()["person"] else "described otherwise"


def schema_drift(connector: Connector, shipped: Cases) -> str:
    """A column that is gone is SCHEMA."""
    statement = shipped.statement(connector, "evidence: by text", region="region_of_old")
    return _executed(connector, statement, ErrorKind.SCHEMA)


def missing_table(connector: Connector, shipped: Cases) -> str:
    """A table that is gone is SCHEMA."""
    statement = shipped.statement(connector, "evidence: by text", person="person_of_old")
    return _executed(connector, statement, ErrorKind.SCHEMA)


def result_of_another_kind(connector: Connector, shipped: Cases) -> str:
    """A label of another kind than the result has is SCHEMA, never converted."""
    statement = shipped.statement(connector, "evidence: by text")
    return _executed(connector, _with_type(statement, "d0", pa.date32()), ErrorKind.SCHEMA)


def result_that_does_not_fit(connector: Connector, shipped: Cases) -> str:
    """A total with more places than the result has is FAILED, never rounded."""
    statement = shipped.statement(connector, "evidence: sums")
    narrow = _with_type(statement, "sum_0", pa.decimal128(38, 0))
    return _executed(connector, narrow, ErrorKind.FAILED)


def _with_type(statement: Statement, name: str, kind: pa.DataType) -> Statement:
    place = statement.result.get_field_index(name)
    return replace(statement, result=statement.result.set(place, pa.field(name, kind)))


# --- scans --------------------------------------------------------------------------------------


def scan_counts(connector: Connector, shipped: Cases) -> str:
    """Partial results of a kernel, taken together, are of every row once."""
    statement = shipped.statement(connector, _ROWS)
    rows = connector.execute(statement, _LIMITS)
    found = connector.scan(statement, counted, _COUNTED, _LIMITS)
    if not found.schema.equals(_COUNTED):
        return f"columns {found.schema.names}"
    sums = (pc.sum(found["rows"]).as_py(), pc.sum(found["named"]).as_py())
    expected = (rows.num_rows, rows.num_rows - rows["id"].null_count)
    return "" if sums == expected else f"rows and named rows {sums}, expected {expected}"


def scan_of_broken_kernel(connector: Connector, shipped: Cases) -> str:
    """A kernel that fails is FAILED."""
    return _scan(connector, shipped, broken, ErrorKind.FAILED)


def scan_of_other_columns(connector: Connector, shipped: Cases) -> str:
    """A kernel that yields other columns than it says is SCHEMA."""
    return _scan(connector, shipped, unchanged, ErrorKind.SCHEMA, result=_COUNTED)


# --- life ---------------------------------------------------------------------------------------


def second_execution(connector: Connector, shipped: Cases) -> str:
    """A second statement leaves the first result as it is."""
    statement = shipped.statement(connector, _UNITS)
    first = connector.execute(statement, _LIMITS)
    before = first.num_rows
    connector.execute(statement, _LIMITS)
    return "" if before and first.to_pylist() else "the first result is gone"


def closed(connector: Connector, shipped: Cases) -> str:
    """After close, twice, everything is UNREACHABLE."""
    statement = shipped.statement(connector, _UNITS)
    rows = shipped.statement(connector, _ROWS)
    connector.close()
    connector.close()
    return (
        _executed(connector, statement, ErrorKind.UNREACHABLE)
        or _raised(
            lambda: connector.scan(rows, counted, _COUNTED, _LIMITS), ErrorKind.UNREACHABLE, "scan"
        )
        or _raised(connector.describe, ErrorKind.UNREACHABLE, "describe")
    )


# --- common -------------------------------------------------------------------------------------


def _few() -> ExecutionLimits:
    return replace(_LIMITS, rows_max=1, stop=threading.Event())


def _executed(
    connector: Connector, statement: Statement, kind: ErrorKind, limits: ExecutionLimits = _LIMITS
) -> str:
    return _raised(lambda: connector.execute(statement, limits), kind, "execute")


def _scan(
    connector: Connector,
    shipped: Cases,
    kernel: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    kind: ErrorKind,
    limits: ExecutionLimits = _LIMITS,
    result: pa.Schema | None = None,
) -> str:
    statement = shipped.statement(connector, _ROWS)
    wanted = statement.result if result is None else result
    return _raised(lambda: connector.scan(statement, kernel, wanted, limits), kind, "scan")


def _raised(run: Callable[[], object], kind: ErrorKind, what: str) -> str:
    try:
        run()
    except ConnectorError as error:
        if error.kind is kind and str(error) == kind:
            return ""
        return f"{what} raised {error.kind} with text {str(error)!r}, expected {kind}"
    return f"{what} answered, expected {kind}"


BEHAVIORS: tuple[Behavior, ...] = (
    rows_max, scan_rows_max, scan_reads_more_than_it_yields, stop_before, stop_of_another,
    describe_names, schema_drift, missing_table, result_of_another_kind, result_that_does_not_fit,
    scan_counts, scan_of_broken_kernel, scan_of_other_columns, second_execution, closed,
)  # fmt: skip
"""In the order in which they are told."""
