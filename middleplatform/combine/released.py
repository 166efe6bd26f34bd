"""The statement above the release boundary, run on DuckDB over released cells only."""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from middleplatform.errors import LimitError, QueryError
from middleplatform.model.plan import Layout
from middleplatform.model.query import AggregateKind
from middleplatform.model.result import Release, Withholding

__all__ = ["Released", "digest", "release", "run_post"]

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "1GB",
}


POST_SECONDS = 20.0
"""Time for what stands above the release boundary."""


class Released:
    """A database without tables, without files and without network, shared by all queries; one cursor a query."""

    def __init__(self) -> None:
        self._database = duckdb.connect(":memory:", config=_SETTINGS)
        self._database.execute("SET lock_configuration = true")
        self._lock = threading.Lock()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own, whose views nobody else sees."""
        with self._lock:
            return self._database.cursor()

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def run_post(
    database: Released,
    sql: str,
    cells: Mapping[str, tuple[pa.Table, Layout]],
    outputs: Sequence[str],
    deadline_s: float = POST_SECONDS,
) -> tuple[pa.Table, pa.Table]:
    """Run the statement above the boundary.

    Args:
        database: Where.
        sql: DuckDB dialect, written by the planner.
        cells: By name: cells and their layout.
        outputs: Output names, in order.
        deadline_s: Seconds after which it is stopped.

    Returns:
        Values and marks, both with one column an output.

    Raises:
        LimitError: L004 it took too long.
        QueryError: Q031 a type does not fit; DuckDB's words are kept from the analyst.

    Reveals:
        Nothing beyond ``cells``.
    """
    cursor = database.cursor()
    watch = threading.Timer(deadline_s, cursor.interrupt)
    watch.start()
    try:
        for name, (table, layout) in cells.items():
            whole = _whole_numbers(table, layout)
            cursor.register(f"raw_{name}" if whole else name, table)
            if whole:
                view = f'CREATE TEMP VIEW "{name}" AS SELECT {whole} FROM "raw_{name}"'  # noqa: S608 - our own names
                cursor.execute(view)
        found: pa.Table = cursor.sql(sql).to_arrow_table()
    except duckdb.InterruptException:
        raise LimitError("L004", limit=deadline_s) from None
    except duckdb.Error as error:
        raise QueryError(
            "Q031",
            detail=str(error),
            what=(
                "an expression over released values that does not fit their types",
                "对已发布数值的表达式类型不匹配",
            ),
        ) from None
    finally:
        watch.cancel()
        cursor.close()
    names = found.column_names
    values = pa.table([found[index] for index in range(0, len(names), 2)], names=list(outputs))
    marks = pa.table(
        [found[index].cast(pa.string()) for index in range(1, len(names), 2)], names=list(outputs)
    )
    return _blank(values, marks), marks


def _blank(values: pa.Table, marks: pa.Table) -> pa.Table:
    """Withhold every marked value, whatever the statement made of it."""
    columns = [
        pa.compute.if_else(
            pa.compute.is_null(marks.column(index)),
            values.column(index),
            pa.scalar(None, values.column(index).type),
        )
        for index in range(values.num_columns)
    ]
    return pa.table(columns, names=values.column_names)


def _whole_numbers(table: pa.Table, layout: Layout) -> str:
    """Return the projection that gives sums of whole numbers the type of DuckDB's own SUM; empty when there is none."""
    integer = {
        f"a{index}"
        for index, formula in enumerate(layout.formulas)
        if formula.kind is AggregateKind.SUM and formula.integer
    }
    if not integer:
        return ""
    return ", ".join(
        f'CAST("{name}" AS HUGEINT) AS "{name}"' if name in integer else f'"{name}"'
        for name in table.column_names
    )


def digest(values: pa.Table, marks: pa.Table, intervals: pa.Table | None = None) -> str:
    """Return SHA-256 over the canonical JSON of values, marks and, where there are any, intervals, hexadecimal.

    Intervals are in it since they do not follow from the values shown: the width of a mean hangs on the released count.

    Reveals:
        Nothing to who has not got the answer.
    """
    body: dict[str, object] = {
        "columns": [[field.name, str(field.type)] for field in values.schema],
        "rows": [
            [None if value is None else str(value) for value in column.to_pylist()]
            for column in values.columns
        ],
        "marks": [column.to_pylist() for column in marks.columns],
    }
    if intervals is not None:
        body["intervals"] = [column.to_pylist() for column in intervals.columns]
    return hashlib.sha256(
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()


def release(
    values: pa.Table,
    marks: pa.Table,
    withheld: Sequence[Withholding],
    notes: Sequence[tuple[str, str]],
    intervals: pa.Table | None = None,
) -> Release:
    """Put a release together."""
    covered = digest(values, marks, intervals)
    return Release(values, marks, tuple(withheld), tuple(notes), covered, intervals)
