"""Find the catalogue's names in a source: equal names count, alike ones are proposed, nothing is guessed silently.

Order: equal; equal but for letter case, underscores, blanks and hyphens; equal to the Chinese name; equal to the
English name. Where two names of the source fit alike, neither is taken. What is left over is listed, with the columns
of a fitting type as a hint.

Reveals:
    Nothing: names and types only, inside the department.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.spi import ColumnDescription, TableDescription
from middleplatform.model.catalog import Catalog, Column, Dataset
from middleplatform.node.registration.files import incomplete
from middleplatform.node.registration.record import How, Mapped, MappedDataset, Registration
from middleplatform.node.registration.schema import fits

__all__ = ["Unmapped", "apply", "held", "propose", "unmapped", "with_tables"]

_LOOSE = re.compile(r"[\s_\-]+")
_DATASET_PARTS, _COLUMN_PARTS = 2, 3


@dataclass(frozen=True, slots=True)
class Unmapped:
    """What of the catalogue has no place in the source yet.

    Attributes:
        dataset: Its name.
        column: Its name; empty for a whole dataset.
        hints: Physical columns that nothing is mapped to and whose type fits.
    """

    dataset: str
    column: str
    hints: tuple[str, ...] = ()


def held(catalog: Catalog, department: str) -> dict[str, Dataset]:
    """Return the datasets of which ``department`` holds a part, by name."""
    return {name: each for name, each in catalog.datasets.items() if department in each.held_by}


def propose(
    datasets: Mapping[str, Dataset], tables: Mapping[str, TableDescription]
) -> dict[str, MappedDataset]:
    """Return what the names say, for every dataset with a table that fits."""
    found = {}
    for name, dataset in datasets.items():
        short = name.partition(".")[2]
        table = _match(short, dataset.name_zh, dataset.name_en, tuple(tables))
        if table is not None:
            found[name] = MappedDataset(table, _columns(dataset, tables[table.physical]))
    return found


def _columns(dataset: Dataset, table: TableDescription) -> dict[str, Mapped]:
    physical = tuple(each.name for each in table.columns)
    found: dict[str, Mapped] = {}
    for name, column in dataset.columns.items():
        mapped = _match(name, column.name_zh, column.name_en, physical)
        if mapped is not None:
            found[name] = mapped
    return _once(found)


def _once(found: Mapping[str, Mapped]) -> dict[str, Mapped]:
    """Drop proposals that share a physical column with another mapping: one of them is wrong."""
    takers: dict[str, list[str]] = {}
    for name, each in found.items():
        takers.setdefault(each.physical, []).append(name)
    return {
        name: each
        for name, each in found.items()
        if each.how is How.EXACT or len(takers[each.physical]) == 1
    }


def _match(name: str, name_zh: str, name_en: str, physical: Sequence[str]) -> Mapped | None:
    if name in physical:
        return Mapped(name, How.EXACT, accepted=True)
    for how, wanted in ((How.LETTERS, name), (How.NAME_ZH, name_zh), (How.NAME_EN, name_en)):
        alike = [each for each in physical if _loose(each) == _loose(wanted)]
        if len(alike) == 1 and _loose(wanted):
            return Mapped(alike[0], how, accepted=False)
        if alike:
            return None
    return None


def _loose(name: str) -> str:
    return _LOOSE.sub("", name).casefold()


def unmapped(registration: Registration, datasets: Mapping[str, Dataset]) -> Iterator[Unmapped]:
    """Yield what the catalogue says this department holds and the registration does not map."""
    for name, dataset in datasets.items():
        mapped = registration.datasets.get(name)
        if mapped is None:
            yield Unmapped(name, "")
            continue
        taken = {each.physical for each in mapped.columns.values()}
        free = [each for each in registration.table_of(name).columns if each.name not in taken]
        for key, column in dataset.columns.items():
            if key not in mapped.columns:
                yield Unmapped(name, key, _hints(column, free))


def _hints(column: Column, free: Sequence[ColumnDescription]) -> tuple[str, ...]:
    return tuple(each.name for each in free if not fits(column.type, each))


def apply(
    registration: Registration,
    settings: Sequence[str],
    datasets: Mapping[str, Dataset],
    tables: Mapping[str, TableDescription],
) -> Registration:
    """Return the registration with mappings set by hand.

    Args:
        registration: As it was.
        settings: ``dataset=table`` (its columns are proposed anew), ``dataset.column=physical``, and the same
            with nothing after ``=`` to take a mapping away.
        datasets: Of the department.
        tables: Of the source, as it is now.

    Raises:
        ConfigError: C013 naming every setting that fits nothing; then nothing is changed.
    """
    mapped = dict(registration.datasets)
    problems: list[tuple[str, str]] = []
    for setting in settings:
        left, separator, physical = setting.partition("=")
        parts = left.split(".")
        if not separator or len(parts) not in (_DATASET_PARTS, _COLUMN_PARTS):
            problems.append(
                (
                    f"{setting}: write dataset=table or dataset.column=physical",
                    f"{setting}：应写成 数据集=表 或 数据集.列=物理列",
                )
            )
            continue
        name, column = ".".join(parts[:2]), parts[2] if len(parts) == _COLUMN_PARTS else ""
        if name not in datasets or (column and column not in datasets[name].columns):
            problems.append(
                (
                    f"{left} is not in the catalogue of department {registration.department}",
                    f"部门 {registration.department} 的目录中没有 {left}",
                )
            )
        elif column:
            problems += _set_column(mapped, name, column, physical, tables)
        else:
            problems += _set_table(mapped, datasets[name], physical, tables)
    if problems:
        raise incomplete(
            registration.name,
            "; ".join(each[0] for each in problems),
            "；".join(each[1] for each in problems),
        )
    return with_tables(replace(registration, datasets=mapped), tables, datasets)


def _set_table(
    mapped: dict[str, MappedDataset],
    dataset: Dataset,
    physical: str,
    tables: Mapping[str, TableDescription],
) -> list[tuple[str, str]]:
    if not physical:
        mapped.pop(dataset.name, None)
        return []
    if physical not in tables:
        return [(f"the source has no table {physical}", f"数据源中没有表 {physical}")]
    table = Mapped(physical, How.HAND, accepted=True)
    mapped[dataset.name] = MappedDataset(table, _columns(dataset, tables[physical]))
    return []


def _set_column(
    mapped: dict[str, MappedDataset],
    name: str,
    column: str,
    physical: str,
    tables: Mapping[str, TableDescription],
) -> list[tuple[str, str]]:
    if name not in mapped:
        return [(f"map {name} to a table first", f"请先为 {name} 指定表")]
    before = mapped[name]
    table = before.table.physical
    columns = dict(before.columns)
    if not physical:
        columns.pop(column, None)
    elif table not in tables or physical not in {each.name for each in tables[table].columns}:
        return [(f"table {table} has no column {physical}", f"表 {table} 中没有列 {physical}")]
    else:
        columns[column] = Mapped(physical, How.HAND, accepted=True)
    mapped[name] = MappedDataset(before.table, columns)
    return []


def with_tables(
    registration: Registration,
    tables: Mapping[str, TableDescription],
    datasets: Mapping[str, Dataset],
) -> Registration:
    """Return the registration with the present description of the tables that it maps, in catalogue order."""
    mapped = {
        name: MappedDataset(
            registration.datasets[name].table,
            {
                column: registration.datasets[name].columns[column]
                for column in dataset.columns
                if column in registration.datasets[name].columns
            },
        )
        for name, dataset in datasets.items()
        if name in registration.datasets
    }
    used = {each.table.physical for each in mapped.values()}
    return registration.changed(
        datasets=mapped, tables={name: tables[name] for name in sorted(used) if name in tables}
    )
