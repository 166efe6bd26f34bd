"""The checks that a connector must pass, for its author to run: no test framework needed.

>>> from connectors.conformance import check
>>> from connectors.memory import MemoryConnector
>>> [outcome for outcome in check(MemoryConnector) if outcome.problem]
[]

Every case is a statement that the platform's planner wrote, over every data set; the answer must be
that of ``connectors.memory``, in values and in types. The cases are data
(``conformance_cases.json``), generated from the planner when the package is made.

From a shell: ``python -m connectors.conformance package.module:factory``.

Spec: docs/spec/connector-spi.md
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import pyarrow as pa

from connectors.conformance_behavior import BEHAVIORS, stop_while_running, unchanged
from connectors.memory import MemoryConnector
from connectors.spi import (
    Connector,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Statement,
    TableDescription,
)

__all__ = ["Case", "Factory", "Outcome", "cases", "check", "compare", "data_sets", "main"]

Tables: TypeAlias = Mapping[str, pa.Table]
Factory: TypeAlias = Callable[[Tables], Connector]
"""Makes a connector that holds exactly these tables; called many times, and each one is closed."""

_LIMITS = ExecutionLimits(timeout_s=60, rows_max=100_000, memory_mb=64)
_MANY = 1500


@dataclass(frozen=True, slots=True)
class Case:
    """A statement of the planner.

    Attributes:
        name: What it is about.
        kind: Of the statement.
        sql: By dialect.
        tree: The same as data.
        result: Columns of the result.
    """

    name: str
    kind: str
    sql: Mapping[str, str]
    tree: Mapping[str, object]
    result: pa.Schema

    def statement(self, dialect: str) -> Statement:
        """Return the statement for ``dialect``.

        Raises:
            KeyError: No planner writes this dialect yet.
        """
        sql = self.sql[dialect] if dialect else ""
        return Statement(self.kind, sql, self.tree, self.result)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: its name, and what is wrong (empty when nothing is)."""

    name: str
    problem: str


def check(factory: Factory, *, every: int = 1) -> tuple[Outcome, ...]:
    """Run every check on the connectors that ``factory`` makes and return one outcome for each.

    Args:
        factory: Makes a connector over given tables.
        every: Ask each data set only every so manyth case, others than the data set before: for a second driver or
            file format of a connector that has passed them all with the first.
    """
    return tuple(_checks(factory, every))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kit on a factory that is named on the command line, and tell each problem.

    Returns:
        0 when there is none, 1 when there are some, 2 when there is no such factory.
    """
    parser = argparse.ArgumentParser(prog="python -m connectors.conformance", description=_HELP)
    parser.add_argument("factory", help=_HELP_FACTORY)
    parser.add_argument("--all", action="store_true", help=_HELP_ALL)
    options = parser.parse_args(arguments)
    try:
        factory = _named(options.factory)
    except (ImportError, AttributeError, ValueError) as error:
        sys.stderr.write(f"{options.factory}: {error}\n")
        return 2
    bad = total = 0
    for outcome in _checks(factory, 1):
        total += 1
        bad += bool(outcome.problem)
        if outcome.problem or options.all:
            sys.stdout.write(f"{outcome.name}: {outcome.problem or 'ok'}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total} checks, {bad} problems / {total} 项检查，{bad} 个问题\n")
    return 1 if bad else 0


_HELP = (
    "Run every check that a connector must pass, over shipped statements and tables. "
    "Exit code 0: it conforms; 1: problems, one a line; 2: no such factory. "
    "对连接器运行全部一致性检查；退出码 0 表示符合，1 表示有问题（每行一个），2 表示找不到工厂函数。"
)
_HELP_FACTORY = (
    "package.module:name of a function that takes Arrow tables by name and returns a connector "
    "that holds exactly these / 接受按名称给出的 Arrow 表、返回恰好包含这些表的连接器的函数"
)
_HELP_ALL = "tell the checks that passed too / 同时列出已通过的检查"


def _named(text: str) -> Factory:
    module, _, name = text.partition(":")
    if not module or not name:
        raise ValueError("not of the form package.module:name")
    # A factory may stand in the folder that the command is given in, as for ``python -m``.
    sys.path.insert(0, str(Path.cwd()))
    found: Factory = getattr(importlib.import_module(module), name)
    return found


@cache
def cases() -> tuple[Case, ...]:
    """Return the shipped cases, read once."""
    return tuple(
        Case(
            item["name"], item["kind"], item["sql"], _decoded(item["tree"]), _schema(item["result"])
        )
        for item in _shipped()["cases"]
    )


@cache
def data_sets() -> Mapping[str, Tables]:
    """Return the shipped data sets: tables by name, read once."""
    sets = {
        name: MappingProxyType({table: _arrow(content) for table, content in tables.items()})
        for name, tables in _shipped()["data"].items()
    }
    return MappingProxyType(sets)


def compare(found: pa.Table, expected: pa.Table) -> str:
    """Return how ``found`` differs from ``expected``, or an empty string.

    Columns, types and rows must agree; the order of rows need not.
    """
    if not found.schema.equals(expected.schema):
        return f"columns {_columns(found)}, expected {_columns(expected)}"
    rows, wanted = _sorted(found), _sorted(expected)
    if len(rows) != len(wanted):
        return f"{len(rows)} rows, expected {len(wanted)}"
    return next((f"row {a}, expected {b}" for a, b in zip(rows, wanted, strict=True) if a != b), "")


def _columns(table: pa.Table) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in table.schema)


def _sorted(table: pa.Table) -> list[tuple[object, ...]]:
    columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return sorted(zip(*columns, strict=True), key=repr)


def _plain(value: object) -> object:
    return Fraction(value) if isinstance(value, Decimal) else value


# --- checks -------------------------------------------------------------------------------------


def _checks(factory: Factory, every: int) -> Iterator[Outcome]:
    for number, (name, tables) in enumerate(data_sets().items()):
        with closing(factory(tables)) as connector, closing(MemoryConnector(tables)) as reference:
            yield Outcome(f"describe {name}", _guarded(partial(_described, connector, reference)))
            for case in cases()[number % every :: every]:
                answered = partial(_answered, connector, name, case)
                yield Outcome(f"{case.name} / {name}", _guarded(answered))
    usual = data_sets()["usual"]
    for behavior in BEHAVIORS:
        with closing(factory(usual)) as connector:
            check_one = partial(behavior, connector, _Cases())
            yield Outcome(behavior.__name__, _guarded(check_one))
    with closing(factory(_many(usual))) as connector:
        check_stop = partial(stop_while_running, connector, _Cases())
        yield Outcome(stop_while_running.__name__, _guarded(check_stop))


def _guarded(run: Callable[[], str]) -> str:
    try:
        return run()
    except ConnectorError as error:
        return f"ConnectorError {error.kind}: {error.detail}"
    except Exception as error:  # noqa: BLE001 - any other exception is itself the finding
        return f"raised {type(error).__name__}, which is no ConnectorError: {error}"


def _described(connector: Connector, reference: Connector) -> str:
    found, wanted = connector.describe(), reference.describe()
    if set(found) != set(wanted):
        return f"tables {sorted(found)}, expected {sorted(wanted)}"
    wrong = [name for name in wanted if _kinds(found[name]) != _kinds(wanted[name])]
    return f"columns of {wrong}" if wrong else ""


def _kinds(table: TableDescription) -> list[tuple[object, ...]]:
    """Return what must agree; a source may know less about missing values than the table did."""
    return [(column.name, column.kind, column.precision, column.scale) for column in table.columns]


def _answered(connector: Connector, data_set: str, case: Case) -> str:
    statement = case.statement(connector.capabilities().dialect)
    found, expected = _result(connector, statement), _expected(data_set, case.name)
    if isinstance(found, pa.Table) and isinstance(expected, pa.Table):
        return compare(found, expected) or _scanned(connector, statement, expected)
    return "" if found == expected else f"{_told(found)}, expected {_told(expected)}"


def _scanned(connector: Connector, statement: Statement, expected: pa.Table) -> str:
    """Return how the rows that reach a kernel differ from those that are read."""
    if statement.kind != "rows":
        return ""
    found = connector.scan(statement, unchanged, statement.result, _LIMITS)
    problem = compare(found, expected)
    return f"scan: {problem}" if problem else ""


def _result(connector: Connector, statement: Statement) -> pa.Table | ErrorKind:
    """Return the answer, or why there is none, which must agree too: failing tells something."""
    try:
        return connector.execute(statement, _LIMITS)
    except ConnectorError as error:
        return error.kind


@cache
def _expected(data_set: str, name: str) -> pa.Table | ErrorKind:
    """Return the answer of ``connectors.memory``, which is the same for every connector."""
    with closing(MemoryConnector(data_sets()[data_set])) as reference:
        return _result(reference, _by_name()[name].statement(""))


def _told(result: pa.Table | ErrorKind) -> str:
    return f"error {result}" if isinstance(result, ErrorKind) else "an answer"


class _Cases:
    """Gives the checks of behavior their statements."""

    def statement(self, connector: Connector, name: str, **renamed: str) -> Statement:
        """Return a shipped statement, with names put in place of others."""
        case = _by_name()[name]
        for old, new in renamed.items():
            case = _renamed(case, old, new)
        return case.statement(connector.capabilities().dialect)


@cache
def _by_name() -> Mapping[str, Case]:
    return MappingProxyType({case.name: case for case in cases()})


def _renamed(case: Case, old: str, new: str) -> Case:
    """Return a case whose table or column has gone away."""
    tree = json.loads(
        json.dumps(case.tree).replace(f'"{old}"', f'"{new}"').replace(f".{old}", f".{new}")
    )
    sql = {
        dialect: text.replace(f'"{old}"', f'"{new}"').replace(f"`{old}`", f"`{new}`")
        for dialect, text in case.sql.items()
    }
    return Case(case.name, case.kind, sql, tree, case.result)


def _many(tables: Tables) -> Tables:
    """Return tables whose rows all belong to one person: a join of them goes on for long."""
    return {name: _repeated(table.slice(0, 1)) for name, table in tables.items()}


def _repeated(row: pa.Table) -> pa.Table:
    return row.take(pa.array([0] * _MANY))


# --- the shipped data ---------------------------------------------------------------------------


def _shipped() -> Any:  # noqa: ANN401 - JSON
    return json.loads(
        files("connectors").joinpath("conformance_cases.json").read_text(encoding="utf-8")
    )


def _decoded(plain: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a tree with the scalars that JSON does not have."""
    match plain:
        case {"node": "Decimal", "text": text}:
            return Decimal(text)
        case {"node": "Date", "text": text}:
            return date.fromisoformat(text)
        case dict():
            return {key: _decoded(item) for key, item in plain.items()}
        case list():
            return [_decoded(item) for item in plain]
        case _:
            return plain


_ARROW = {"integer": pa.int64(), "text": pa.string(), "date": pa.date32(), "boolean": pa.bool_()}


def _schema(plain: Any) -> pa.Schema:  # noqa: ANN401 - JSON
    """Return columns from their names and types: a number is a decimal of 38 digits, its scale."""
    return pa.schema(
        [
            (name, pa.decimal128(38, kind) if isinstance(kind, int) else _ARROW[kind])
            for name, kind in plain.items()
        ]
    )


def _arrow(content: Any) -> pa.Table:  # noqa: ANN401 - JSON
    fields = [
        pa.field(name, pa.decimal128(*kind) if isinstance(kind, list) else _ARROW[kind])
        for name, kind in content["columns"].items()
    ]
    columns = [[_decoded(row[place]) for row in content["rows"]] for place in range(len(fields))]
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, fields, strict=True)],
        schema=pa.schema(fields),
    )


if __name__ == "__main__":
    sys.exit(main())
