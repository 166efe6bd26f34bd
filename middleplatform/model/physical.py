"""Where a catalogue's tables and columns lie in a department's source: names only, written by its engineer."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["AS_REGISTERED", "PhysicalNames", "PhysicalTable"]


@dataclass(frozen=True, slots=True)
class PhysicalTable:
    """One dataset in the source.

    Attributes:
        path: Name parts as the source has them, outermost first, e.g. ``("public", "rkxx")``.
        columns: (catalogue name, physical name) pairs, in catalogue order; columns that are not named here are called
            alike.
    """

    path: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()

    def physical(self, column: str) -> str:
        """Return the source's name of a catalogue column."""
        return dict(self.columns).get(column, column)


@dataclass(frozen=True, slots=True)
class PhysicalNames:
    """All datasets of one source; hashable, so that statements made with it can be remembered.

    Attributes:
        tables: (dataset, table) pairs; a dataset that is not named here is a table of its second name part.
    """

    tables: tuple[tuple[str, PhysicalTable], ...] = ()

    @staticmethod
    def of(tables: Mapping[str, PhysicalTable]) -> "PhysicalNames":
        """Return the names of ``tables``, by dataset."""
        return PhysicalNames(tuple(sorted(tables.items())))

    def table(self, dataset: str) -> PhysicalTable:
        """Return where ``dataset`` lies."""
        return dict(self.tables).get(dataset) or PhysicalTable((dataset.split(".")[1],))


AS_REGISTERED = PhysicalNames()
"""A source that has the catalogue's own names."""
