"""Look into the catalogue: search by words, describe one thing. Metadata only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog, Column, ColumnType, Dataset, Department, TypeKind

__all__ = ["LEVEL_WORDS", "Match", "describe", "search"]

LEVEL_WORDS: Mapping[str, tuple[str, str]] = {
    **{f"general-{number}": (f"general-{number}", f"一般{number}级") for number in range(1, 5)},
    "important": ("important", "重要"),
    "core": ("core", "核心"),
}
"""(English, Chinese) by the level's name in the YAML."""


@dataclass(frozen=True, slots=True)
class Match:
    """One dataset or column that was found.

    Attributes:
        dataset: Its name.
        column: Column name; empty when the dataset itself was found.
        name_zh: 中文名称.
        name_en: English name.
        owner: Department code.
        level: ``general-1`` ... ``core``; the highest of its columns for a dataset.
        sharing: Of the column; for a dataset the strictest of its columns.
        held: False where registered but not connected.
    """

    dataset: str
    column: str
    name_zh: str
    name_en: str
    owner: str
    level: str
    sharing: str
    held: bool


_RANK = ("unconditional", "conditional", "not_shared")


def search(catalog: Catalog, text: str = "") -> tuple[Match, ...]:
    """Return the datasets and columns whose names contain every word of ``text``.

    Args:
        catalog: Where to look.
        text: Words in Chinese or English, any case; empty for the datasets alone.

    Returns:
        In catalogue order, a dataset before its columns.
    """
    words = text.casefold().split()
    return tuple(match for each in catalog.datasets.values() for match in _matches(each, words))


def _matches(dataset: Dataset, words: list[str]) -> Iterator[Match]:
    named = f"{dataset.name} {dataset.name_zh} {dataset.name_en} {dataset.purpose_note}".casefold()
    columns = dataset.columns.values()
    if all(word in named for word in words):
        yield Match(
            dataset.name, "", dataset.name_zh, dataset.name_en, dataset.owner,
            level_name(max(column.level for column in columns)),
            max((str(column.sharing) for column in columns), key=_RANK.index),
            any(column.held for column in columns),
        )  # fmt: skip
    for column in columns if words else ():
        if all(
            word in f"{column.name} {column.name_zh} {column.name_en}".casefold() for word in words
        ):
            yield Match(
                dataset.name, column.name, column.name_zh, column.name_en, dataset.owner,
                level_name(column.level), str(column.sharing), column.held,
            )  # fmt: skip


def level_name(level: int) -> str:
    """Return the name of a level as the YAML writes it, e.g. ``general-3``."""
    return f"general-{level}" if level <= 4 else ("important" if level == 5 else "core")  # noqa: PLR2004 - ranks of model.catalog.Level


def type_name(kind: ColumnType) -> str:
    """Return a type as the YAML writes it, e.g. ``decimal(12,2)``."""
    if kind.kind is TypeKind.DECIMAL:
        return f"decimal({kind.precision},{kind.scale})"
    return str(kind.kind)


def describe(catalog: Catalog, name: str) -> Mapping[str, object]:
    """Return everything registered of a department, a dataset or a column, JSON-ready.

    Args:
        catalog: Where to look.
        name: ``"ga"``, ``"ga.population"`` or ``"ga.population.sex"``.

    Raises:
        QueryError: Q020 for an unknown column of a known dataset, Q021 for any other unknown name.
    """
    if name in catalog.datasets:
        return _dataset(catalog.datasets[name])
    if name in catalog.departments:
        return _department(catalog, catalog.departments[name])
    owner, _, column = name.rpartition(".")
    if owner in catalog.datasets:
        if column not in catalog.datasets[owner].columns:
            raise QueryError("Q020", name=name)
        return _column(owner, catalog.datasets[owner].columns[column])
    raise QueryError("Q021", name=name)


def _department(catalog: Catalog, each: Department) -> dict[str, object]:
    return {
        "kind": "department",
        "code": each.code,
        "name_zh": each.name_zh,
        "name_en": each.name_en,
        "level": each.level,
        "region": each.region,
        "parent": each.parent,
        "owns": [name for name, data in catalog.datasets.items() if data.owner == each.code],
        "holds": [name for name, data in catalog.datasets.items() if each.code in data.held_by],
    }


def _dataset(each: Dataset) -> dict[str, object]:
    return {
        "kind": "dataset",
        "name": each.name,
        "name_zh": each.name_zh,
        "name_en": each.name_en,
        "owner": each.owner,
        "steward": each.steward,
        "source_department": each.source_department,
        "collection_basis": each.collection_basis,
        "update_frequency": each.update_frequency,
        "library": each.library,
        "format": each.format,
        "sharing_mode": each.sharing_mode,
        "use_conditions": each.use_conditions,
        "risk_assessed_on": each.risk_assessed_on.isoformat(),
        "head_approval": each.head_approval,
        "quality": each.quality,
        "unit": each.unit,
        "unit_column": each.unit_column,
        "held_by": list(each.held_by),
        "region_column": each.region_column,
        "purpose_note": each.purpose_note,
        "columns": [_column(each.name, column) for column in each.columns.values()],
    }


def _column(dataset: str, each: Column) -> dict[str, object]:
    return {
        "kind": "column",
        "dataset": dataset,
        "name": each.name,
        "name_zh": each.name_zh,
        "name_en": each.name_en,
        "type": type_name(each.type),
        "level": level_name(each.level),
        "sharing": str(each.sharing),
        "sharing_basis": each.sharing_basis,
        "uses": sorted(str(use) for use in each.uses),
        "unit": each.unit,
        "unit_of_measure": each.unit_of_measure,
        "quality": each.quality,
        "nullable": each.nullable,
        "codes": dict(each.codes),
        "held": each.held,
    }
