"""Every connector of ours passes the kit, and the kit tells a connector that lies."""

import subprocess
import sys
import threading
from dataclasses import replace

import generate
import pyarrow as pa
import pytest

from connectors.conformance import cases, check, data_sets, main
from connectors.conformance_behavior import BEHAVIORS
from connectors.memory import MemoryConnector
from connectors.spi import Connector, ConnectorError, ErrorKind


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
    assert {case.kind for case in cases()} == {
        "evidence",
        "distinct",
        "units",
        "totals",
        "bounded",
        "rows",
    }
    assert all(set(case.sql) == {"duckdb", "postgres", "spark"} for case in cases())
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
            return super().execute(statement, type(limits)(60, 10**6, 10**6, limits.stop))

    assert [problem.split(":")[0] for problem in problems(Limitless)] == ["rows_max"]


def test_kit_tells_a_connector_that_answers_after_close():
    class Undying(MemoryConnector):
        def close(self):
            pass

    assert any(
        problem.startswith("closed") and ErrorKind.UNREACHABLE in problem
        for problem in problems(Undying)
    )


def told(factory):
    """Return the names of the checks of behavior that a connector fails."""
    return {outcome.name for outcome in check(factory) if outcome.problem} & {
        *(behavior.__name__ for behavior in BEHAVIORS),
        "stop_while_running",
    }


class _Deaf(MemoryConnector):
    """Goes on for who has gone."""

    def execute(self, statement, limits):
        return super().execute(statement, replace(limits, stop=threading.Event(), timeout_s=1))

    def scan(self, statement, kernel, result, limits):
        return super().scan(statement, kernel, result, replace(limits, stop=threading.Event()))


class _Twice(MemoryConnector):
    """Reads rows twice, as a retry that forgets what it has done."""

    def scan(self, statement, kernel, result, limits):
        found = super().scan(statement, kernel, result, limits)
        return pa.concat_tables([found, found])


class _Rounding(MemoryConnector):
    """Makes every result fit."""

    def execute(self, statement, limits):
        try:
            return super().execute(statement, limits)
        except ConnectorError as error:
            if error.kind not in (ErrorKind.FAILED, ErrorKind.SCHEMA):
                raise
            return statement.result.empty_table()


class _Talkative(MemoryConnector):
    """Describes more than it was asked for."""

    def describe(self, names=()):  # noqa: ARG002 - it does not listen
        return super().describe()


@pytest.mark.parametrize(
    ("liar", "checks"),
    [
        (_Deaf, {"stop_before", "stop_while_running"}),
        (_Twice, {"scan_counts"}),
        (_Rounding, {"schema_drift", "missing_table", "result_of_another_kind", "result_that_does_not_fit"}),
        (_Talkative, {"describe_names"}),
    ],
)  # fmt: skip
def test_kit_tells_a_connector_that_is_deaf_counts_twice_rounds_or_talks(liar, checks):
    assert told(liar) == checks


def test_kit_runs_from_a_shell_and_its_exit_code_tells(capsys):
    assert main(["connectors.memory:MemoryConnector"]) == 0
    assert "0 problems" in capsys.readouterr().out
    assert main(["connectors.memory:Nobody"]) == 2
    assert main(["no.such.module:factory"]) == 2
    assert main(["connectors.memory"]) == 2


def test_kit_runs_as_a_module(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from connectors.memory import MemoryConnector\n"
        "def factory(tables):\n    return MemoryConnector({'other': tables['person']})\n"
    )
    command = [sys.executable, "-m", "connectors.conformance", "mine:factory"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "describe usual: tables ['other']" in done.stdout
