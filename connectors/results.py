"""Brings what an engine returned to the exact columns that a statement asks for, or fails.

For every connector: an engine has types of its own for a count or a label, and a driver may hand a
number over as text. A value is kept whole or the statement fails; nothing is rounded, and a type of
another kind is a drifted source, not something to convert.
"""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Kernel, Statement

__all__ = ["bounded", "check_columns", "fitted", "fitted_batch", "scanned"]

_MIB = 1 << 20

_WIDE_64 = pa.decimal128(20, 0)


def fitted(table: pa.Table, result: pa.Schema) -> pa.Table:
    """Return ``table`` with exactly the columns ``result``.

    Args:
        table: As the engine named and typed it; whole numbers of any width, decimals of any scale,
            dictionaries and large strings are understood.
        result: Names, order and types that are wanted.

    Raises:
        ConnectorError: SCHEMA when columns are missing, in another order or of another kind, or
            floating; FAILED when a value does not fit its type.
    """
    check_columns(table.schema, result)
    columns = [_cast(table.column(place), field) for place, field in enumerate(result)]
    return pa.Table.from_arrays(columns, schema=result)


def fitted_batch(batch: pa.RecordBatch, result: pa.Schema) -> pa.RecordBatch:
    """Return a record batch with exactly the columns ``result``.

    Raises:
        ConnectorError: As ``fitted``.
    """
    if batch.schema.equals(result):
        return batch
    check_columns(batch.schema, result)
    columns = [_cast(batch.column(place), field) for place, field in enumerate(result)]
    return pa.RecordBatch.from_arrays(columns, schema=result)


def bounded(batches: Iterable[pa.RecordBatch], limits: ExecutionLimits) -> Iterator[pa.RecordBatch]:
    """Pass batches on while they are within the limits of rows and memory.

    Raises:
        ConnectorError: LIMIT, before the result is whole.
    """
    rows = size = 0
    for batch in batches:
        rows += batch.num_rows
        size += batch.nbytes
        if rows > limits.rows_max:
            raise ConnectorError(ErrorKind.LIMIT, f"more than {limits.rows_max} rows")
        if size > limits.memory_mb * _MIB:
            raise ConnectorError(ErrorKind.LIMIT, f"a result of more than {limits.memory_mb} MiB")
        yield batch


def scanned(
    batches: Iterable[pa.RecordBatch],
    statement: Statement,
    kernel: Kernel,
    result: pa.Schema,
    limits: ExecutionLimits,
) -> pa.Table:
    """Run a kernel over batches in this process: what ``scan`` is for a source that only reads.

    Args:
        batches: Rows of ``statement``, as the engine typed them.
        statement: Its ``result`` is what the kernel sees.
        kernel: Of the caller.
        result: Columns of what the kernel yields.
        limits: Rows and memory of what the kernel yields.

    Raises:
        ConnectorError: As ``fitted`` and ``bounded``; FAILED for what the kernel raises.
    """
    try:
        yielded = kernel(fitted_batch(batch, statement.result) for batch in batches)
        kept = [fitted_batch(batch, result) for batch in bounded(yielded, limits)]
    except ConnectorError:
        raise
    except Exception as error:  # noqa: BLE001 - a kernel is the caller's, and may raise anything
        raise ConnectorError(ErrorKind.FAILED, f"{type(error).__name__}: {error}") from None
    return pa.Table.from_batches(kept, result)


def check_columns(found: pa.Schema, result: pa.Schema) -> None:
    """Check, before anything is read, that an engine's columns can become those of ``result``.

    Raises:
        ConnectorError: SCHEMA when columns are missing, in another order or of another kind, or
            floating.
    """
    if found.names != result.names:
        raise ConnectorError(ErrorKind.SCHEMA, f"columns {found.names}, wanted {result.names}")
    for has, wanted in zip(found, result, strict=True):
        if not (pa.types.is_null(has.type) or _kind(has.type) == _kind(wanted.type)):
            raise ConnectorError(
                ErrorKind.SCHEMA, f"column {has.name} is {has.type}, wanted {wanted.type}"
            )


def _cast(column: pa.Array | pa.ChunkedArray, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    if column.type == field.type:
        return column
    try:
        return _exact(column, field.type)
    except pa.ArrowException as error:
        raise ConnectorError(ErrorKind.FAILED, f"column {field.name}: {error}") from None


def _exact(column: pa.Array | pa.ChunkedArray, wanted: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_integer(column.type) and pa.types.is_decimal(wanted):
        # Arrow asks for digits that the type could need; what counts is what the values need.
        column = pc.cast(column, _WIDE_64)
    return pc.cast(column, wanted)


_KINDS: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("number", pa.types.is_integer),
    ("number", pa.types.is_decimal),
    ("text", pa.types.is_string),
    ("text", pa.types.is_large_string),
    ("text", pa.types.is_string_view),
    ("date", pa.types.is_date32),
    ("boolean", pa.types.is_boolean),
)


def _kind(of: pa.DataType) -> str:
    """Return what must agree: numbers of all widths are of one kind when they are exact."""
    if pa.types.is_dictionary(of):
        return _kind(of.value_type)
    return next((name for name, is_one in _KINDS if is_one(of)), str(of))
