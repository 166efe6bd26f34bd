"""One registration: a connector, what its source looked like, and which dataset lies where in it.

A value without behavior but its digest, which covers everything that a test or a publication rests on: whoever edits
the file afterwards has to test and publish again.

Reveals:
    Nothing: it stays in the department's own state folder. Names and types only, never a value of a row.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from connectors.spi import TableDescription
from middleplatform.model.physical import PhysicalNames, PhysicalTable

__all__ = [
    "How",
    "Mapped",
    "MappedDataset",
    "Mark",
    "Registration",
    "Tested",
    "plain_table",
    "schema_fingerprint",
]


class How(StrEnum):
    """How a name of the source was found for a name of the catalogue."""

    EXACT = "exact"
    LETTERS = "letters"
    NAME_ZH = "name_zh"
    NAME_EN = "name_en"
    HAND = "hand"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A name of the source for a name of the catalogue.

    Attributes:
        physical: As the source spells it.
        how: How it was found.
        accepted: False while it is a proposal that nobody has confirmed; equal names and names set by hand need no
            confirmation.
    """

    physical: str
    how: How
    accepted: bool


@dataclass(frozen=True, slots=True)
class MappedDataset:
    """A dataset of the catalogue in the source.

    Attributes:
        table: Its table.
        columns: By catalogue name, in catalogue order; those that are not here are not mapped.
    """

    table: Mapped
    columns: Mapping[str, Mapped]

    def proposed(self) -> Iterator[tuple[str, Mapped]]:
        """Yield what nobody has confirmed yet: (column or "", mapping)."""
        if not self.table.accepted:
            yield "", self.table
        for name, mapped in self.columns.items():
            if not mapped.accepted:
                yield name, mapped

    def accepted(self) -> "MappedDataset":
        """Return the same with every proposal confirmed."""
        columns = {name: replace(each, accepted=True) for name, each in self.columns.items()}
        return MappedDataset(replace(self.table, accepted=True), columns)


@dataclass(frozen=True, slots=True)
class Tested:
    """The last test.

    Attributes:
        at: ISO 8601 with offset.
        digest: Of the registration that was tested.
        passed: Whether everything held.
    """

    at: str
    digest: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """The publication.

    Attributes:
        at: ISO 8601 with offset.
        by: Who published.
        digest: Of the registration that was published (the file's ``fingerprint``).
    """

    at: str
    by: str
    digest: str


@dataclass(frozen=True)
class Registration:
    """A connector as its department's engineer registered it.

    Attributes:
        name: Of the connector, and of its file.
        department: Code.
        kind: Of the connector, as ``connectors.registry`` knows it.
        options: As given; a secret stands as the file or the variable that holds it.
        added_at: ISO 8601 with offset.
        tables: The source's tables that datasets are mapped to, as read when they were registered.
        datasets: By catalogue name.
        tested: The last test, or None.
        published: The publication, or None.
    """

    name: str
    department: str
    kind: str
    options: Mapping[str, str]
    added_at: str
    tables: Mapping[str, TableDescription] = field(default_factory=dict)
    datasets: Mapping[str, MappedDataset] = field(default_factory=dict)
    tested: Tested | None = None
    published: Mark | None = None

    @property
    def schema(self) -> str:
        """Return the fingerprint of the source's registered tables."""
        return schema_fingerprint(self.tables)

    @property
    def digest(self) -> str:
        """Return SHA-256 over all that a test rests on, hexadecimal."""
        mapped = {
            name: {
                "table": each.table.physical,
                "columns": {column: item.physical for column, item in each.columns.items()},
            }
            for name, each in self.datasets.items()
        }
        return _digest(
            {
                "name": self.name,
                "department": self.department,
                "kind": self.kind,
                "options": dict(self.options),
                "schema": self.schema,
                "datasets": mapped,
            }
        )

    @property
    def is_published(self) -> bool:
        """Say whether it was published, and has not been altered since."""
        return self.published is not None and self.published.digest == self.digest

    def table_of(self, dataset: str) -> TableDescription:
        """Return the registered description of a mapped dataset's table."""
        return self.tables[self.datasets[dataset].table.physical]

    def names(self) -> PhysicalNames:
        """Return where each mapped dataset lies, for the planner."""
        return PhysicalNames.of(
            {
                name: PhysicalTable(
                    path_of(each.table.physical),
                    tuple((column, item.physical) for column, item in each.columns.items()),
                )
                for name, each in self.datasets.items()
            }
        )

    def changed(self, **changes: object) -> "Registration":
        """Return it altered, its test and publication forgotten."""
        return replace(self, tested=None, published=None, **changes)  # type: ignore[arg-type]  # fields of its own


def path_of(table: str) -> tuple[str, ...]:
    """Return the name parts of a table as a connector describes it."""
    return (table,)


def plain_table(table: TableDescription) -> list[dict[str, object]]:
    """Return a table's columns as plain values, in order."""
    return [
        {
            "name": each.name,
            "kind": str(each.kind),
            "precision": each.precision,
            "scale": each.scale,
            "nullable": each.nullable,
        }
        for each in table.columns
    ]


def schema_fingerprint(tables: Mapping[str, TableDescription]) -> str:
    """Return SHA-256 over tables' names, columns and types, hexadecimal."""
    return _digest({name: plain_table(table) for name, table in tables.items()})


def _digest(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
