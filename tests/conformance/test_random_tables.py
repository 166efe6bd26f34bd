"""DuckDB and the reference agree on tables that nobody thought of."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import small_world
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.conformance import cases, compare
from connectors.duckdb import DuckDBConnector
from connectors.memory import MemoryConnector
from connectors.spi import ExecutionLimits

LIMITS = ExecutionLimits(60, 100_000, 64)

_names = st.sampled_from(["P1", "P2", "P3", "P4", "", "公民"])
_dates = st.integers(0, (date.max - date.min).days).map(lambda days: date.min + timedelta(days))
_near = st.integers(0, 800).map(lambda days: date(2023, 1, 1) + timedelta(days))
_labels = st.sampled_from(
    ["东区", "西区", "養老", "工伤", "\uffff", "\U0001f004", "a", "A", "'", ""]
)


def _missing(values):
    return st.none() | values


def _money(places, largest):
    return st.integers(-largest, largest).map(lambda units: Decimal(units).scaleb(-places))


_VALUES = {
    "person": (_names, st.integers(1, 3), _labels, st.sampled_from("12"), _dates | _near, st.integers(-120, 120), st.booleans()),
    "income": (_names, st.sampled_from("FGH"), st.sampled_from([2023, 2024]), _dates | _near, _money(2, 10**8), _money(4, 5000), st.integers(-50, 50)),
    "参保": (_names, _labels, _money(2, 500)),
}  # fmt: skip
_rows = st.fixed_dictionaries({
    table: st.lists(st.tuples(*(_missing(value) for value in values)), max_size=8) for table, values in _VALUES.items()
})  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=_rows,
    chosen=st.lists(
        st.sampled_from(cases()), min_size=20, max_size=20, unique_by=lambda case: case.name
    ),
)
def test_both_connectors_give_the_same_tables(rows, chosen):
    tables = small_world.tables(rows)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.duckdb"
        with duckdb.connect(str(path)) as connection:
            for name, table in tables.items():
                connection.register("arrow", table)
                connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arrow')
                connection.unregister("arrow")
        real, reference = DuckDBConnector(path, threads=1, memory_mb=128), MemoryConnector(tables)
        for case in chosen:
            found, expected = (
                real.execute(case.statement("duckdb"), LIMITS),
                reference.execute(case.statement(""), LIMITS),
            )
            assert compare(found, expected) == "", case.name
        real.close()
