"""Any ODBC source, shown on two drivers: what a driver changes is noticed, what it says stays inside."""

import sqlite3
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.conformance import check
from connectors.odbc import OdbcConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

from postgres_server import READER, SCHEMA, running_server

LIMITS = ExecutionLimits(timeout_s=30, rows_max=100_000, memory_mb=16)
_DECLARED = {"int64": "BIGINT", "string": "TEXT", "date32[day]": "DATE", "bool": "BOOLEAN"}


def write_sqlite(path, tables):
    """Write tables; decimals as text, which the driver hands over as it is."""
    types = {}
    with sqlite3.connect(path) as connection:
        for name, table in tables.items():
            words = []
            for field in table.schema:
                words.append(_DECLARED.get(str(field.type), "TEXT"))
                if pa.types.is_decimal(field.type):
                    kind = f"decimal({field.type.precision},{field.type.scale})"
                    types[f"{name}.{field.name}"] = kind
            columns = ", ".join(
                f'"{field.name}" {word}' for field, word in zip(table.schema, words, strict=True)
            )
            connection.execute(f'CREATE TABLE "{name}" ({columns})')
            rows = zip(*(map(_plain, column.to_pylist()) for column in table.columns), strict=True)
            places = ", ".join("?" * len(words))
            connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', rows)
    connection.close()
    return types


def _plain(value):
    return str(value) if isinstance(value, Decimal | date) else value


def sqlite_source(path, tables, types=None, **options):
    parts = f"Driver=SQLite3;Database={path};NoCreat=1;ReadOnly=1"
    options = {"threads": 1, "memory_mb": 256, **options}
    return OdbcConnector(parts, tables, types or {}, **options)


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        running.run(f"ALTER ROLE {READER} SET search_path TO {SCHEMA}")
        yield running


def postgres_source(server, tables, **options):
    parts = (
        f"Driver=PostgreSQL Unicode;Server=127.0.0.1;Port={server.port};Database=postgres;ReadOnly=1;"
        "BoolsAsChar=0"
    )
    options = {"user": READER, "threads": 1, "memory_mb": 256, **options}
    return OdbcConnector(parts, tables, casts={"date": "CAST({} AS VARCHAR(32))"}, **options)


def problems(factory):
    return [f"{item.name}: {item.problem}" for item in check(factory) if item.problem]


def test_sqlite_behind_odbc_passes_every_check(tmp_path):
    made = []

    def factory(tables):
        made.append(tmp_path / f"{len(made)}.sqlite")
        types = write_sqlite(made[-1], tables)
        return sqlite_source(made[-1], list(tables), types)

    assert problems(factory) == []


def test_postgres_behind_odbc_passes_every_check(server):
    def factory(tables):
        server.load(tables)
        return postgres_source(server, list(tables))

    assert problems(factory) == []
