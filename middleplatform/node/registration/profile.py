"""The profile of a connector: what keeps to the data standards, and what class is proposed for each column.

Inside the department every count is shown. It is kept in ``NAME.profile.json``, written when all is counted and not
before, and belongs to the registration whose fingerprint it bears.

Reveals:
    To the department's engineer: counts of any size. To nobody else: anything.
"""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.spi import ColumnDescription, Connector, ConnectorError
from middleplatform.model.catalog import Catalog, Column, ColumnType, Dataset, Use
from middleplatform.model.catalog import TypeKind as Declared
from middleplatform.node.registration.files import (
    incomplete,
    load_one,
    profile_path,
    read_json,
    staged,
)
from middleplatform.node.registration.kernel import ColumnCheck
from middleplatform.node.registration.mapping import held
from middleplatform.node.registration.options import opened, said
from middleplatform.node.registration.proposals import Proposal, Values, proposed
from middleplatform.node.registration.record import MappedDataset, Registration
from middleplatform.node.registration.schema import type_text
from middleplatform.node.registration.survey import TableSurvey
from middleplatform.ports import Clock, Progress

__all__ = ["faults", "make_profile", "profile_of", "quality", "stricter"]

_STANDARDS = {"person": "identity", "firm": "credit"}
_INVALID = (
    "bad_form", "bad_region", "bad_birth", "bad_check", "outside_codes", "outside_range",
    "outside_scale", "future", "before_1900",
)  # fmt: skip
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a column's values, each value in one class at most.

    Attributes:
        rows: All of them.
        missing: Null or blank.
        normalisable: Right but for letter case, width, blanks, or an identity number of 15 digits.
        invalid: Otherwise outside the standard, the code table or the declared type.
    """

    rows: int
    missing: int
    normalisable: int
    invalid: int


def faults(rows: int, counts: Mapping[str, int]) -> Faults:
    """Return the faults of a column from its counts.

    Reveals:
        Counts of any size, for the department's engineer.
    """
    missing = counts.get("missing", 0)
    present = rows - missing
    if "outside_type" in counts:
        return Faults(rows, missing, 0, present)
    invalid = min(present, sum(counts.get(name, 0) for name in _INVALID))
    normalisable = counts.get("normalisable", 0) + counts.get("old_form", 0)
    return Faults(rows, missing, min(present - invalid, normalisable), invalid)


def quality(found: Faults) -> float:
    """Return completeness times validity, 0 to 1, cut to two places; an empty table proposes 0.

    Reveals:
        What the counts given reveal.
    """
    present = found.rows - found.missing
    if not found.rows or not present:
        return 0.0
    valid = present - found.normalisable - found.invalid
    return int(100 * valid / found.rows) / 100


def profile_of(state: Path, registration: Registration) -> dict[str, Any] | None:
    """Return the profile of exactly this registration, or None where there is none.

    Reveals:
        To the department's engineer: counts of any size.
    """
    found = read_json(profile_path(state, registration.name))
    return found if found and found.get("fingerprint") == registration.digest else None


def make_profile(
    state: Path,
    name: str,
    catalog: Catalog,
    clock: Clock,
    progress: Progress | None = None,
    allowed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Count everything, write the profile and return it.

    Args:
        state: The node's folder.
        name: Of the connector.
        catalog: The department's copy.
        clock: For the moment, and the day that is today.
        progress: Hears ``("profile", statements done, statements in all)``.
        allowed: Third-party connectors by name, each with its distribution.

    Raises:
        ConfigError: C013 there is no such registration, or its source cannot be read.
        KeyboardInterrupt: Passed on once the source has let go; nothing is written then.

    Reveals:
        To the department's engineer: counts of any size.
    """
    registration = load_one(state, name)
    now = clock.now()
    datasets = held(catalog, registration.department)
    with closing(opened(name, registration.kind, registration.options, allowed)) as connector:
        found = _interruptible(
            name,
            lambda stop: _counted(registration, connector, datasets, now, _Told(progress, stop)),
        )
    document = {
        "format": 1,
        "name": name,
        "at": now.isoformat(),
        "fingerprint": registration.digest,
        "datasets": found,
    }
    with staged() as files:
        files.add(
            profile_path(state, name), json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        )
        files.move()
    return document


@dataclass
class _Told:
    """Tells how far it is, and whether anybody still waits."""

    progress: Progress | None
    stop: threading.Event
    done: int = 0
    total: int = 0

    def step(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress("profile", self.done, self.total)


def _interruptible(name: str, work: Callable[[threading.Event], dict[str, Any]]) -> dict[str, Any]:
    """Run ``work`` in another thread, so that an interrupt is heard while the engine is busy."""
    stop = threading.Event()
    found: list[dict[str, Any]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work(stop))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            failed.append(error)

    worker = threading.Thread(target=run, name="profile", daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_WAIT_S)
    except BaseException:
        stop.set()
        worker.join()
        raise
    if failed and isinstance(failed[0], ConnectorError):
        raise said(name, failed[0]) from None
    if failed:
        raise failed[0]
    return found[0]


def _counted(
    registration: Registration,
    connector: Connector,
    datasets: Mapping[str, Dataset],
    now: datetime,
    told: _Told,
) -> dict[str, Any]:
    present = connector.describe([each.table.physical for each in registration.datasets.values()])
    surveys = {}
    for name, mapped in registration.datasets.items():
        table = mapped.table.physical
        if name not in datasets or table not in present:
            raise incomplete(
                registration.name,
                f"{name} is not in the catalogue, or table {table} is gone: run connector test",
                f"目录中没有 {name}，或表 {table} 已不存在：请运行 connector test",
            )
        surveys[name] = TableSurvey(connector, table, present[table]).until(told.stop)
    told.total = sum(2 + len(each.countable()) for each in surveys.values())
    return {
        name: _dataset(survey, registration.datasets[name], datasets[name], now, told)
        for name, survey in surveys.items()
    }


def _dataset(
    survey: TableSurvey, mapped: MappedDataset, dataset: Dataset, now: datetime, told: _Told
) -> dict[str, Any]:
    physical = {each.physical: name for name, each in mapped.columns.items()}
    checks = {
        own: check_of(dataset.columns[name])
        for own, name in physical.items()
        if name in dataset.columns
    }
    rows, counts = survey.counts(checks, now.date())
    told.step()
    unit = mapped.columns.get(dataset.unit_column)
    readable = {each.name for each in survey.readable}
    most = survey.rows_per_unit(unit.physical) if unit and unit.physical in readable else 0
    told.step()
    distinct = {}
    for each in survey.countable():
        distinct[each] = survey.distinct(each)
        told.step()
    columns = [
        _column(each, dataset.columns.get(physical.get(each.name, "")), rows, counts, distinct)
        for each in survey.description.columns
    ]
    for found in columns:
        if "normal" in found["counts"]:
            steps = dataset.columns[found["name"]].normalise
            different = survey.distinct_normal(found["physical"], steps)
            if different >= 0:
                found["duplicates_normal"] = found["counts"]["normal"] - different
    scores = [each["quality"] for each in columns if each["name"]]
    return {
        "table": survey.table,
        "rows": rows,
        "rows_per_unit": most,
        "quality": int(100 * sum(scores) / len(scores)) / 100 if scores else 0.0,
        "columns": columns,
    }


def check_of(column: Column) -> ColumnCheck:
    """Return what to count of a catalogue's column.

    Reveals:
        Nothing.
    """
    standard = _STANDARDS.get(column.unit, "") if Use.KEY in column.uses else ""
    return ColumnCheck("", _ANY, column.type, standard, tuple(column.codes), column.normalise)


_ANY = ColumnType(Declared.TEXT)


def _column(
    column: ColumnDescription,
    declared: Column | None,
    rows: int,
    counts: Mapping[str, Mapping[str, int]],
    distinct: Mapping[str, int],
) -> dict[str, Any]:
    own = counts.get(column.name, {})
    different = distinct.get(column.name, -1)
    like = {name: count for name, count in own.items() if name.startswith("like_")}
    values = Values(own.get("present", rows - own.get("missing", 0)), like, different)
    names = (
        (column.name, declared.name, declared.name_zh, declared.name_en)
        if declared
        else (column.name,)
    )
    proposal = proposed(column, names, values)
    found: dict[str, Any] = {
        "name": declared.name if declared else "",
        "physical": column.name,
        "type": type_text(column),
        "counts": dict(own),
        "distinct": different if different >= 0 else None,
        "quality": quality(faults(rows, own)) if own else 0.0,
        "proposal": proposal.plain(),
        "stricter_than_catalogue": stricter(proposal, declared),
    }
    if declared is not None and Use.KEY in declared.uses and different >= 0:
        # Blanks are counted as missing, and as values by the engine.
        empty = 1 if own.get("blank", 0) else 0
        found["duplicates"] = rows - own.get("missing", 0) - (different - empty)
    return found


def stricter(proposal: Proposal, declared: Column | None) -> bool:
    """Say whether a proposal is stricter than the catalogue: then an officer should look.

    Reveals:
        Nothing.
    """
    return declared is not None and proposal.level > declared.level
