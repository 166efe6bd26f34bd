import sys
from pathlib import Path

import duckdb
import pytest

from connectors.duckdb import DuckDBConnector

sys.path.insert(0, str(Path(__file__).parent))
# The Spark client takes a program without a file, as a test worker is, for a run of its own doctests, and ends it.
sys.modules["__main__"].__dict__.setdefault("__file__", __file__)


@pytest.fixture
def stored(tmp_path):
    """Return a function that writes Arrow tables to a fresh DuckDB file and gives its path."""
    made = []

    def write(tables):
        path = tmp_path / f"{len(made)}.duckdb"
        made.append(path)
        with duckdb.connect(str(path)) as connection:
            for name, table in tables.items():
                connection.register("arrow", table)
                connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arrow')
                connection.unregister("arrow")
        return path

    return write


@pytest.fixture
def duckdb_factory(stored):
    return lambda tables: DuckDBConnector(stored(tables), threads=2, memory_mb=256)
