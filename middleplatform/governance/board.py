"""The classification board: every column of the catalogue with the class that is in force, unclassified ones first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from middleplatform.model.catalog import Catalog, Column, Dataset
from middleplatform.model.policy import Bundle, ColumnRule

__all__ = ["Classed", "board", "written_rule"]


@dataclass(frozen=True, slots=True)
class Classed:
    """One column.

    Attributes:
        dataset: That has it.
        column: As the catalogue registers it.
        rule: In force; None for a column that policy does not name, which is denied.
    """

    dataset: Dataset
    column: Column
    rule: ColumnRule | None


def board(catalog: Catalog, bundle: Bundle) -> tuple[Classed, ...]:
    """Return all columns: first those without a rule, then by dataset in the catalogue's order."""
    found = []
    for name, dataset in sorted(catalog.datasets.items()):
        rules = bundle.datasets[name].columns if name in bundle.datasets else {}
        found += [Classed(dataset, each, rules.get(key)) for key, each in dataset.columns.items()]
    return tuple(sorted(found, key=lambda each: each.rule is not None))


def written_rule(bundle: Bundle, dataset: str, column: str) -> Mapping[str, object]:
    """Return what the bundle's files say of a column, empty where they say nothing."""
    found: object = bundle.raw
    for key in ("datasets", dataset, "columns", column):
        found = cast("Mapping[str, object]", found).get(key, {})
    return cast("Mapping[str, object]", found)
