"""Runs a release block on the department's engine and reads the result as evidence."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.spi import Connector, ConnectorError, ExecutionLimits, TableDescription
from connectors.spi import Statement as SourceStatement
from middleplatform.disclosure.evidence import CellEvidence, Counts, Exact, Magnitude
from middleplatform.errors import QueryError, SourceError
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames
from middleplatform.model.plan import Layout
from middleplatform.model.query import CellQuery, Table
from middleplatform.node.drift import drift, table_name
from middleplatform.node.error_map import mapped
from middleplatform.planner.column_types import relations_in
from middleplatform.planner.evidence import (
    Statement,
    distinct_statement,
    evidence_statement,
    totals_statement,
    units_statement,
)

__all__ = ["Measured", "Source", "Sources", "exact", "merged"]

_LABEL = "d"
_EXACT = Context(prec=100)
_UNITS_MAX = 100_000_000
_NO_LIMITS = ExecutionLimits(timeout_s=1, rows_max=1, memory_mb=1)
_SEVERAL = (
    "rows of tables that the department keeps in several sources, joined",
    "关联同一部门存放于不同数据源的数据表",
)


@dataclass(frozen=True)
class Measured:
    """A release block's cells, sorted by label: never leaves the node as it is.

    Attributes:
        table: Evidence columns of planner.evidence, with ``keys_*`` and ``others_*`` added.
        evidence: The same as arrays.
    """

    table: pa.Table
    evidence: CellEvidence


@dataclass(frozen=True)
class Source:
    """A connector with its limits.

    Attributes:
        department: Whose source it is.
        connector: What reads it.
        limits: Of each statement.
        names: Where the catalogue's tables and columns lie in the source.
        registered: What the source had when it was registered, by dataset.
    """

    department: str
    connector: Connector
    limits: ExecutionLimits
    names: PhysicalNames = AS_REGISTERED
    registered: Mapping[str, TableDescription] | None = None

    def until(self, stop: threading.Event) -> "Source":
        """Return the same source, whose statements end as CANCELLED once ``stop`` is set.

        Reveals:
            Nothing.
        """
        return replace(self, limits=replace(self.limits, stop=stop))

    def fixed(self, cell: CellQuery) -> bool:
        """Say whether what ``cell`` reads cannot change while the source is open.

        Reveals:
            Nothing.
        """
        del cell
        return self.connector.capabilities().fixed

    def check(self, layout: Layout) -> None:
        """Check that the source still has what was registered, of the datasets that a cell reads.

        Raises:
            SourceError: S010, with what changed in the catalogue's names.
            MiddleplatformError: What the source's failure maps to.

        Reveals:
            As ``drift``.
        """
        datasets = sorted({dataset for dataset, _, _ in layout.reads})
        if not datasets:
            return
        tables = [table_name(dataset, self.names) for dataset in datasets]
        try:
            found = self.connector.describe(tables)
        except ConnectorError as error:
            raise mapped(error, self.department, datasets[0]) from None
        changed = drift(layout.reads, self.names, self.registered, found)
        if changed is not None:
            dataset, what = changed
            raise SourceError("S010", department=self.department, dataset=dataset, what=what)

    def measure(self, cell: CellQuery, layout: Layout) -> Measured:
        """Run ``cell`` and return its cells with their evidence.

        Raises:
            MiddleplatformError: What the source's failure maps to.

        Reveals:
            Nothing: the caller decides what leaves.
        """
        dataset = _dataset(cell)
        self.check(layout)
        table = self._run(evidence_statement(cell, layout, self._dialect, self.names), dataset)
        for index, word in enumerate(layout.keys):
            counted = self._run(
                distinct_statement(cell, word, layout, self._dialect, self.names), dataset
            )
            table = merged(table, counted, f"keys_{index}", self.department)
        for index, word in enumerate(layout.others):
            counted = self._run(
                distinct_statement(cell, word, layout, self._dialect, self.names), dataset
            )
            table = merged(table, counted, f"others_{index}", self.department)
        labels = [item.name for item in cell.dimensions]
        if labels:
            table = table.sort_by([(name, "ascending") for name in labels])
        return Measured(table, _evidence(table, layout))

    def units(self, cell: CellQuery, layout: Layout) -> pa.Table:
        """Return each cell's units, columns ``d*`` and ``u``.

        Reveals:
            Nothing: for the node's own history only.
        """
        self.check(layout)
        # One row a unit and cell, more than any answer has; memory bounds them.
        source = replace(self, limits=replace(self.limits, rows_max=_UNITS_MAX))
        return source._run(units_statement(cell, layout, self._dialect, self.names), _dataset(cell))  # noqa: SLF001 - itself

    def rows(
        self,
        cell: CellQuery,
        layout: Layout,
        write: Callable[[str, PhysicalNames], Statement],
    ) -> pa.Table:
        """Run a statement over the tables of ``cell`` that has a row for each of its units, or about so many.

        Args:
            cell: Says which tables.
            layout: Of what the statement reads.
            write: Gives the statement in a dialect, for the names of the source.

        Raises:
            MiddleplatformError: What the source's failure maps to.

        Reveals:
            Nothing: the caller decides what leaves.
        """
        self.check(layout)
        source = replace(self, limits=replace(self.limits, rows_max=_UNITS_MAX))
        return source._run(write(self._dialect, self.names), _dataset(cell))  # noqa: SLF001 - itself

    def unit_totals(self, cell: CellQuery, layout: Layout) -> pa.Table:
        """Return each unit's total of each sum: columns ``cell`` (row of ``measure``) and ``s*``.

        Reveals:
            Nothing: for the share ladder, which leaves masked.
        """
        self.check(layout)
        table = self._run(totals_statement(cell, layout, self._dialect, self.names), _dataset(cell))
        labels = [item.name for item in cell.dimensions]
        if not labels:
            return table.append_column("cell", pa.array(np.zeros(table.num_rows, dtype=np.int64)))
        ordered = table.sort_by([(name, "ascending") for name in labels])
        changed = np.zeros(max(0, ordered.num_rows - 1), dtype=np.bool_)
        for name in labels:
            codes = (
                ordered[name]
                .combine_chunks()
                .dictionary_encode(null_encoding="encode")
                .indices.to_numpy()
            )
            changed |= codes[1:] != codes[:-1]
        cells = np.concatenate(
            [np.zeros(min(1, ordered.num_rows), dtype=np.int64), np.cumsum(changed)]
        )
        return ordered.append_column("cell", pa.array(cells))

    @property
    def _dialect(self) -> str:
        return self.connector.capabilities().dialect or "duckdb"

    def _run(self, statement: Statement, dataset: str) -> pa.Table:
        asked = SourceStatement(
            kind=statement.kind, sql=statement.sql, tree=statement.tree, result=statement.result
        )
        try:
            return self.connector.execute(asked, self.limits)
        except ConnectorError as error:
            raise mapped(error, self.department, dataset) from None


@dataclass(frozen=True)
class Sources:
    """All sources of a department: each cell is answered by the one that has its datasets.

    Attributes:
        department: Whose they are.
        sources: By dataset; one source may have several.
    """

    department: str
    sources: Mapping[str, Source]

    @property
    def limits(self) -> ExecutionLimits:
        """Return the longest limits of the sources.

        Reveals:
            Nothing.
        """
        found = [source.limits for source in self.sources.values()]
        return max(found, key=lambda limits: limits.timeout_s, default=_NO_LIMITS)

    def until(self, stop: threading.Event) -> "Sources":
        """Return the same sources, whose statements end as CANCELLED once ``stop`` is set.

        Reveals:
            Nothing.
        """
        return replace(
            self, sources={name: source.until(stop) for name, source in self.sources.items()}
        )

    def source_of(self, cell: CellQuery) -> Source:
        """Return the source that has all datasets of ``cell``.

        Raises:
            SourceError: S011 for a dataset that no source has.
            QueryError: Q031 when its datasets lie in several sources.

        Reveals:
            Which datasets of the department lie in one source.
        """
        chosen: Source | None = None
        for dataset in _datasets(cell):
            source = self.sources.get(dataset)
            if source is None:
                raise SourceError("S011", name=dataset)
            if chosen is not None and source.connector is not chosen.connector:
                raise QueryError("Q031", rule="R10", what=_SEVERAL)
            chosen = source
        assert chosen is not None, "a cell reads a dataset"
        return chosen

    def fixed(self, cell: CellQuery) -> bool:
        """Say whether what ``cell`` reads cannot change; see ``Source.fixed``.

        Raises:
            MiddleplatformError: As ``source_of``.

        Reveals:
            Nothing.
        """
        return self.source_of(cell).fixed(cell)

    def measure(self, cell: CellQuery, layout: Layout) -> Measured:
        """Run ``cell`` on its source; see ``Source.measure``.

        Raises:
            MiddleplatformError: As ``source_of`` and ``Source.measure``.

        Reveals:
            Nothing: the caller decides what leaves.
        """
        return self.source_of(cell).measure(cell, layout)

    def units(self, cell: CellQuery, layout: Layout) -> pa.Table:
        """Return each cell's units; see ``Source.units``.

        Reveals:
            Nothing: for the node's own history only.
        """
        return self.source_of(cell).units(cell, layout)

    def rows(
        self,
        cell: CellQuery,
        layout: Layout,
        write: Callable[[str, PhysicalNames], Statement],
    ) -> pa.Table:
        """Run a statement with a row for each unit; see ``Source.rows``.

        Reveals:
            Nothing: the caller decides what leaves.
        """
        return self.source_of(cell).rows(cell, layout, write)

    def unit_totals(self, cell: CellQuery, layout: Layout) -> pa.Table:
        """Return each unit's totals; see ``Source.unit_totals``.

        Reveals:
            Nothing: for the share ladder, which leaves masked.
        """
        return self.source_of(cell).unit_totals(cell, layout)


def _datasets(cell: CellQuery) -> list[str]:
    tables = [relation for _, relation in relations_in(cell.rows) if isinstance(relation, Table)]
    return list(dict.fromkeys(table.dataset for table in tables))


def _dataset(cell: CellQuery) -> str:
    return _datasets(cell)[0]


def merged(table: pa.Table, counted: pa.Table, name: str, department: str) -> pa.Table:
    """Add a column of counts to ``table`` by label; nulls are labels like others.

    Raises:
        SourceError: S003 the labels differ: the source's data changed between two statements.
    """
    labels = [column for column in counted.column_names if column.startswith(_LABEL)]
    if not labels:
        return table.append_column(name, counted["keys"])
    order = [(label, "ascending") for label in labels]
    left, right = table.sort_by(order), counted.sort_by(order)
    if not all(left[label].equals(right[label]) for label in labels):
        raise SourceError(
            "S003", department=department, detail="groups changed between two statements"
        )
    return left.append_column(name, right["keys"])


def _evidence(table: pa.Table, layout: Layout) -> CellEvidence:
    populations = range(len(layout.populations))
    cells = table.num_rows
    units = _counts(table, [f"units_{p}" for p in populations], cells)
    rest = _counts(table, [f"rest_{p}" for p in populations if p], cells)
    rest = np.concatenate([np.zeros((cells, 1), dtype=np.int64), rest], axis=1)
    rows = _counts(table, [f"rows_{p}" for p in populations], cells)
    magnitudes = [
        Magnitude(
            total=exact(table[f"sum_{s}"]),
            absolute=exact(table[f"abs_{s}"]),
            top=np.stack([exact(table[f"top{place}_{s}"]) for place in (1, 2, 3)], axis=1),
            squares=exact(table[f"sq_{s}"]) if s in layout.squares else None,
        )
        for s in range(len(layout.sums))
    ]
    keys = _counts(table, [f"keys_{index}" for index in range(len(layout.keys))], cells)
    others = _counts(table, [f"others_{index}" for index in range(len(layout.others))], cells)
    return CellEvidence(units, rest, rows, magnitudes, keys, others)


def _counts(table: pa.Table, names: list[str], cells: int) -> Counts:
    if not names:
        return np.zeros((cells, 0), dtype=np.int64)
    columns = [pc.fill_null(pc.cast(table[name], pa.int64()), 0).to_numpy() for name in names]
    return np.stack(columns, axis=1).astype(np.int64)


def exact(column: pa.ChunkedArray) -> Exact:
    """Return a decimal column as Python integers in units of its last place, missing as zero."""
    scale = column.type.scale if pa.types.is_decimal(column.type) else 0
    values = column.to_pylist()
    found = np.empty(len(values), dtype=object)
    found[:] = [
        0
        if value is None
        else int(value.scaleb(scale, _EXACT))
        if isinstance(value, Decimal)
        else value
        for value in values
    ]
    return found
