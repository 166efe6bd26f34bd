"""SQLite keeps any value in any column: what is not of the declared type never becomes an answer."""

import sqlite3
import subprocess
import sys
import threading
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.conformance import check
from connectors.spi import (
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Statement,
    TypeKind,
)
from connectors.sqlite import SqliteConnector

LIMITS = ExecutionLimits(timeout_s=30, rows_max=100_000, memory_mb=16)
_DECLARED = {"int64": "INTEGER", "string": "TEXT", "date32[day]": "DATE", "bool": "BOOLEAN"}


def write(path, tables):
    """Write tables; decimals of more than 15 digits as text, the others as SQLite likes."""
    types = {}
    with sqlite3.connect(path) as connection:
        for name, table in tables.items():
            columns = []
            for field in table.schema:
                word = _DECLARED.get(str(field.type))
                if word is None and field.type.scale == 4:
                    word, types[f"{name}.{field.name}"] = (
                        "TEXT",
                        f"decimal({field.type.precision},4)",
                    )
                columns.append(
                    f'"{field.name}" {word or f"DECIMAL({field.type.precision},{field.type.scale})"}'
                )
            connection.execute(f'CREATE TABLE "{name}" ({", ".join(columns)})')
            places = ", ".join("?" * len(columns))
            rows = zip(*(map(_plain, column.to_pylist()) for column in table.columns), strict=True)
            connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', rows)
    connection.close()
    return types


def _plain(value):
    return str(value) if isinstance(value, Decimal | date) else value


@pytest.fixture
def factory(tmp_path):
    made = []

    def make(tables):
        made.append(tmp_path / f"部门 {len(made)}%?#.sqlite")
        types = write(made[-1], tables)
        return SqliteConnector(made[-1], types, threads=1, memory_mb=256)

    return make


def test_sqlite_passes_every_check(factory):
    assert [f"{item.name}: {item.problem}" for item in check(factory) if item.problem] == []
