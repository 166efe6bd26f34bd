"""Every connector of ours passes the kit, and the kit tells a connector that lies."""

import generate
import pyarrow as pa
import pytest

from connectors.conformance import cases, check, data_sets
from connectors.memory import MemoryConnector
from connectors.spi import Connector, ErrorKind


def problems(factory):
    return [f"{outcome.name}: {outcome.problem}" for outcome in check(factory) if outcome.problem]


def test_duckdb_passes_every_check(duckdb_factory):
    assert problems(duckdb_factory) == []


def test_memory_passes_every_check():
    assert problems(MemoryConnector) == []


def test_connectors_have_the_five_methods(duckdb_factory):
    for factory in (duckdb_factory, MemoryConnector):
        connector = factory({})
        assert isinstance(connector, Connector)
        assert connector.describe() == {}
        connector.close()


def test_shipped_cases_are_what_the_planner_writes_today():
    assert generate.SHIPPED.read_text(encoding="utf-8") == generate.text(), (
        "run tests/conformance/generate.py"
    )


def test_cases_cover_every_kind_and_data_has_the_hard_rows():
    assert {case.kind for case in cases()} == {"evidence", "distinct", "units", "totals"}
    assert len({case.name for case in cases()}) == len(cases())
    assert all(table.num_rows == 0 for table in data_sets()["empty"].values())
    assert pa.compute.max(data_sets()["edges"]["person"]["household"]).as_py() == 2**63 - 1


class _Wrong(MemoryConnector):
    """Answers wrongly in one way."""

    def __init__(self, tables, change):
        super().__init__(tables)
        self._change = change

    def execute(self, statement, limits):
        return self._change(super().execute(statement, limits))


def _raise_driver_words(_table):
    raise RuntimeError("could not convert '990101198001010011'")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.slice(1), "rows"),
        (
            lambda table: table.cast(
                pa.schema([pa.field(item.name, pa.string()) for item in table.schema])
            ),
            "columns",
        ),
        (lambda table: table.drop_columns([table.schema[-1].name]), "columns"),
        (_raise_driver_words, "no ConnectorError"),
    ],
)
def test_kit_tells_a_connector_that_loses_rows_types_columns_or_tempers(change, told):
    found = problems(lambda tables: _Wrong(tables, change))
    assert len(found) > len(cases())
    assert any(told in problem for problem in found)


def test_kit_tells_a_connector_that_forgets_its_limits():
    class Limitless(MemoryConnector):
        def execute(self, statement, limits):
            return super().execute(statement, type(limits)(60, 10**6, 10**6))

    assert [problem.split(":")[0] for problem in problems(Limitless)] == ["rows_max"]


def test_kit_tells_a_connector_that_answers_after_close():
    class Undying(MemoryConnector):
        def close(self):
            pass

    assert any(
        problem.startswith("closed") and ErrorKind.UNREACHABLE in problem
        for problem in problems(Undying)
    )
