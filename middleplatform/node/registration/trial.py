"""``connector test``: does the source open, is it as registered, does every dataset answer, do the types fit.

Reveals:
    To the department's engineer: names, types, and what failed. The number of rows that the trial counts is dropped.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.spi import Connector, ConnectorError, ExecutionLimits, TableDescription
from middleplatform.errors import ConfigError
from middleplatform.model.catalog import Catalog
from middleplatform.node.registration.files import load_one, save
from middleplatform.node.registration.mapping import held
from middleplatform.node.registration.options import opened, said
from middleplatform.node.registration.record import Registration, Tested
from middleplatform.node.registration.schema import changes, fits
from middleplatform.node.registration.survey import TableSurvey
from middleplatform.ports import Clock

__all__ = ["LIMITS", "Check", "check_source", "drift_of", "passed", "run_test"]

LIMITS = ExecutionLimits(timeout_s=60, rows_max=10, memory_mb=16)
"""Of the trial statement of each dataset: one row, within a minute."""

_READS = ("it opens; connectors read only", "可以打开；连接器只读")
_ROLE = ("its role may read and do nothing else", "账号仅有读取权限")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: ``connection``, ``schema``, ``types``, ``statement`` or ``mapping``.
        where: Dataset, column, table; empty for the whole source.
        state: ``ok``, ``note`` (worth knowing) or ``failed``.
        said: (English, Chinese).
        seconds: How long it took; 0 where that says nothing.
    """

    what: str
    where: str
    state: str
    said: tuple[str, str]
    seconds: float = 0.0


def passed(checks: tuple[Check, ...]) -> bool:
    """Say whether nothing failed.

    Reveals:
        Nothing.
    """
    return all(each.state != "failed" for each in checks)


def run_test(
    state: Path,
    name: str,
    catalog: Catalog,
    clock: Clock,
    allowed: Mapping[str, str] | None = None,
) -> tuple[Check, ...]:
    """Test a registration and note the outcome in it.

    Args:
        state: The node's folder.
        name: Of the connector.
        catalog: The department's copy.
        clock: For the moment.
        allowed: Third-party connectors by name, each with its distribution.

    Raises:
        ConfigError: C013 there is no such registration; C011 the file system refuses.

    Reveals:
        To the department's engineer: names, types, and what failed.
    """
    registration = load_one(state, name)
    checks = tuple(check_source(registration, catalog, allowed))
    tested = Tested(clock.now().isoformat(), registration.digest, passed(checks))
    save(state, replace(registration, tested=tested))
    return checks


def check_source(
    registration: Registration, catalog: Catalog, allowed: Mapping[str, str] | None = None
) -> Iterator[Check]:
    """Yield what a test looks at; nothing is written.

    Reveals:
        To the department's engineer: names, types, and what failed.
    """
    began = time.monotonic()
    try:
        connector = opened(registration.name, registration.kind, registration.options, allowed)
    except ConfigError as error:
        yield _failed("connection", "", error)
        return
    with closing(connector):
        role = _ROLE if registration.kind == "postgres" else _READS
        yield Check("connection", "", "ok", role, time.monotonic() - began)
        try:
            present = connector.describe(list(registration.tables))
        except ConnectorError as error:
            yield _failed("schema", "", said(registration.name, error))
            return
        yield from _schema(registration, present)
        yield from _types(registration, catalog, present)
        yield from _statements(registration, connector, present)


def drift_of(
    registration: Registration, present: Mapping[str, TableDescription]
) -> list[tuple[str, str]]:
    """Return what of the mapped columns is no longer as registered, one sentence each.

    Reveals:
        Names and types.
    """
    return [
        (
            f"{_place(each.table, each.column)}: {each.what[0]}",
            f"{_place(each.table, each.column)}：{each.what[1]}",
        )
        for each in changes(registration.tables, present, registration.datasets)
        if each.drift
    ]


def _place(table: str, column: str) -> str:
    return f"{table}.{column}" if column else table


def _failed(what: str, where: str, error: ConfigError) -> Check:
    words = error.parts["what"]
    assert isinstance(words, tuple)
    detail = f" ({error.detail})" if error.detail else ""
    return Check(what, where, "failed", (words[0] + detail, words[1] + detail))


def _schema(registration: Registration, present: Mapping[str, TableDescription]) -> Iterator[Check]:
    found = list(changes(registration.tables, present, registration.datasets))
    for each in found:
        state = "failed" if each.drift else "note"
        yield Check("schema", _place(each.table, each.column), state, each.what)
    if not any(each.drift for each in found):
        yield Check("schema", "", "ok", ("as registered", "与登记一致"))


def _types(
    registration: Registration, catalog: Catalog, present: Mapping[str, TableDescription]
) -> Iterator[Check]:
    datasets = held(catalog, registration.department)
    for name, mapped in registration.datasets.items():
        if name not in datasets:
            yield Check("mapping", name, "failed", ("is not in the catalogue", "不在目录中"))
            continue
        table = present.get(mapped.table.physical, TableDescription(()))
        columns = {each.name: each for each in table.columns}
        wrong = False
        for key, item in mapped.columns.items():
            declared = datasets[name].columns.get(key)
            if declared is None:
                wrong = True
                yield Check(
                    "mapping", f"{name}.{key}", "failed", ("is not in the catalogue", "不在目录中")
                )
            elif item.physical in columns:
                why = fits(declared.type, columns[item.physical])
                wrong = wrong or why is not None
                if why is not None:
                    yield Check("types", f"{name}.{key}", "failed", why)
        if not wrong:
            yield Check("types", name, "ok", ("as the catalogue says", "与目录一致"))


def _statements(
    registration: Registration, connector: Connector, present: Mapping[str, TableDescription]
) -> Iterator[Check]:
    for name, mapped in registration.datasets.items():
        table = present.get(mapped.table.physical)
        if table is None:
            continue
        began = time.monotonic()
        try:
            TableSurvey(connector, mapped.table.physical, table, LIMITS).rows()
        except ConnectorError as error:
            yield _failed("statement", name, said(registration.name, error))
        else:
            took = time.monotonic() - began
            yield Check(
                "statement", name, "ok", ("a trial statement was answered", "试查询已应答"), took
            )
