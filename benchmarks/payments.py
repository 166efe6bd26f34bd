"""Made payments as Parquet, with a catalogue: a hundred million rows of ten million persons, three years of months.

Deterministic: whole-number mixing of the row's number, no generator of the engine. Persons' numbers have 18 characters
and lie in region 9901xx (assigned to nobody), without a check digit. A person stays in one region; category
and month change by row.
"""

from datetime import date
from pathlib import Path

import duckdb

from middleplatform.model.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Level,
    Sharing,
    TypeKind,
    Use,
)

__all__ = ["ROWS", "TABLE", "build", "catalog"]

ROWS = 100_000_000
TABLE = "payment"
_ROWS_PER_PERSON = 10
_FILES = 10

_MIX = """
CREATE MACRO mixed(v) AS xor(v, v >> 15) * 1540483477 % 4294967296;
CREATE MACRO draw(r, salt) AS
    xor(mixed(mixed((r + salt * 10000019) * 1274126177 % 4294967296)), 1013904223);
"""
_PART = """
COPY (
    SELECT '9901' || lpad((unit % 17)::VARCHAR, 2, '0') || lpad(unit::VARCHAR, 12, '0') AS unit_id,
        'R' || lpad((unit % 31)::VARCHAR, 2, '0') AS region,
        DATE '2022-01-01' + INTERVAL 1 MONTH * (draw(r, 2) % 36)::INTEGER AS month,
        'C' || (draw(r, 3) % 12)::VARCHAR AS category,
        (draw(r, 4) % 500000 / 100)::DECIMAL(12, 2) AS amount
    FROM (SELECT r, draw(r, 1) % $persons AS unit FROM range($begin, $end) AS t(r))
) TO '$path' (FORMAT parquet, COMPRESSION zstd)
"""
_TEXT, _DATE = ColumnType(TypeKind.TEXT), ColumnType(TypeKind.DATE)
_COLUMNS = {
    "unit_id": (_TEXT, Use.KEY, "person"),
    "region": (_TEXT, Use.DIMENSION, ""),
    "month": (_DATE, Use.DATE, ""),
    "category": (_TEXT, Use.DIMENSION, ""),
    "amount": (ColumnType(TypeKind.DECIMAL, 12, 2), Use.MEASURE, ""),
}


def catalog() -> Catalog:
    """Return the catalogue: dataset ``ga.payment``."""
    name = f"ga.{TABLE}"
    columns = {
        column: Column(
            column, column, column, kind, Level.GENERAL_2, Sharing.UNCONDITIONAL, "无条件",
            frozenset({use}), unit,
        )
        for column, (kind, use, unit) in _COLUMNS.items()
    }  # fmt: skip
    dataset = Dataset(
        name, name, name, "ga", "张三", "ga", "测试", "daily", "部门", "table", "query service",
        "统计", date(2026, 1, 1), "李四", 1.0, "person", "unit_id", ("ga",), "", columns,
    )  # fmt: skip
    return Catalog({}, {name: dataset})


def build(folder: Path, rows: int) -> Path:
    """Write ten Parquet files of ``rows`` rows in all into a folder of its own; return it, kept where it is there."""
    place = folder / f"payments-{rows}" / TABLE
    if (place.parent / "whole").exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GiB"}) as engine:
        engine.execute("SET enable_progress_bar = false")
        engine.execute(_MIX)
        for part in range(_FILES):
            engine.execute(
                _PART.replace("$persons", str(max(1, rows // _ROWS_PER_PERSON)))
                .replace("$begin", str(rows * part // _FILES))
                .replace("$end", str(rows * (part + 1) // _FILES))
                .replace("$path", str(place / f"{part}.parquet"))
            )
    (place.parent / "whole").touch()
    return place
