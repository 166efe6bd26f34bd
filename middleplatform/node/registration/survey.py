"""Reads a source for a profile, table by table: counts by the kernel, distinct values by the engine.

The statements are the planner's, over a catalogue made for the occasion that has the source's own types: a column that
the catalogue declares otherwise is then counted as such, instead of failing. Rows reach the kernel and nothing else.

Reveals:
    Nothing by itself: counts of any size, for the department's own engineer.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any

import pyarrow as pa

from connectors.spi import (
    ColumnDescription,
    Connector,
    ExecutionLimits,
    Statement,
    TableDescription,
    TypeKind,
)
from middleplatform.model.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Level,
    Sharing,
    Use,
)
from middleplatform.model.catalog import TypeKind as Declared
from middleplatform.model.physical import PhysicalNames, PhysicalTable
from middleplatform.model.plan import KeyWord
from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    CellQuery,
    Field,
    Piece,
    Rows,
    Table,
    Term,
    UnitBlock,
    UnitColumn,
)
from middleplatform.node.registration.kernel import RESULT, ColumnCheck, ProfileKernel, added_up
from middleplatform.node.registration.record import path_of
from middleplatform.planner.evidence import Statement as Planned
from middleplatform.planner.evidence import distinct_statement, evidence_statement, rows_statement
from middleplatform.planner.layout import layout_of
from middleplatform.planner.normal_count import normal_count_statement

__all__ = ["LIMITS", "TableSurvey"]

LIMITS = ExecutionLimits(timeout_s=3600, rows_max=1_000_000, memory_mb=256)
"""Of each statement of a profile: an hour, and counts only as the result."""

_DATASET = "survey.rows"
_ROWS = "t0"
_ONE = Affine((), Fraction(1))
_COUNTABLE = (TypeKind.TEXT, TypeKind.INTEGER)


@dataclass(frozen=True)
class TableSurvey:
    """One table of a source, ready to be counted.

    Attributes:
        connector: That reads it.
        table: Its name.
        description: Its columns.
        limits: Of each statement.
    """

    connector: Connector
    table: str
    description: TableDescription
    limits: ExecutionLimits = LIMITS

    def until(self, stop: threading.Event) -> "TableSurvey":
        """Return the same survey, which ends as CANCELLED once ``stop`` is set."""
        return replace(self, limits=replace(self.limits, stop=stop))

    @cached_property
    def readable(self) -> tuple[ColumnDescription, ...]:
        """Return the columns of a type that the platform reads."""
        return tuple(each for each in self.description.columns if each.kind is not TypeKind.OTHER)

    def counts(
        self, checks: Mapping[str, ColumnCheck], today: date
    ) -> tuple[int, dict[str, dict[str, int]]]:
        """Return the number of rows, and the counts of each physical column.

        Args:
            checks: What the catalogue declares, by physical name; other columns are looked at for their shape only.
            today: The last day that is not the future.

        Raises:
            ConnectorError: As the SPI says.
        """
        if not self.readable:
            return self.rows(), {}
        asked = tuple(
            replace(
                checks.get(each.name, ColumnCheck("", _type(each))),
                name=self._names[each.name],
                found=_type(each),
            )
            for each in self.readable
        )
        columns = tuple(self._names[each.name] for each in self.readable)
        planned = rows_statement(
            _DATASET, columns, self._catalog(columns[0]), self._dialect, self._physical
        )
        kernel = ProfileKernel(asked, today)
        found = added_up(self.connector.scan(_asked(planned), kernel, RESULT, self.limits))
        rows = found.get("", {}).get("rows", 0)
        return rows, {name: found.get(own, {}) for name, own in self._names.items()}

    def rows(self) -> int:
        """Return the number of rows: a trial that any table answers.

        Raises:
            ConnectorError: As the SPI says.
        """
        count = Aggregate(AggregateKind.COUNT, (Piece(None, _ONE),))
        unit = self._names[self.readable[0].name] if self.readable else ""
        if not unit:
            return 0
        cell = CellQuery("cells_0", Rows(Table(_ROWS, _DATASET)), (), (count,))
        layout = layout_of(cell, self._catalog(unit))
        found = self._run(evidence_statement(cell, layout, self._dialect, self._physical))
        return _number(found, "rows_0")

    def distinct(self, column: str) -> int:
        """Return how many different values a physical column has: counted by the engine, exact, only the number comes.

        Raises:
            ConnectorError: As the SPI says.
        """
        own = self._names[column]
        field = Field(_ROWS, own)
        count = Aggregate(AggregateKind.COUNT_DISTINCT, key=field)
        cell = CellQuery("cells_0", Rows(Table(_ROWS, _DATASET)), (), (count,))
        layout = layout_of(cell, self._catalog(own))
        word = KeyWord(field, 0)
        found = self._run(distinct_statement(cell, word, layout, self._dialect, self._physical))
        return _number(found, "keys")

    def distinct_normal(self, column: str, steps: tuple[str, ...]) -> int:
        """Return how many different values a text column has in its normal form, as a private join sees them.

        Args:
            column: Its physical name.
            steps: As ``Column.normalise``.

        Returns:
            Their number, or -1 for a source without SQL.

        Raises:
            ConnectorError: As the SPI says.
        """
        if not self.connector.capabilities().dialect:
            return -1
        own = self._names[column]
        planned = normal_count_statement(
            _DATASET, own, steps, self._catalog(own), self._dialect, self._physical
        )
        return _number(self._run(planned), "keys")

    def rows_per_unit(self, column: str) -> int:
        """Return the largest number of rows with one value of a physical column, 0 for an empty table.

        Raises:
            ConnectorError: As the SPI says.
        """
        own = self._names[column]
        key = Field(_ROWS, own)
        rows = Aggregate(AggregateKind.COUNT, (Piece(None, _ONE),))
        block = UnitBlock(
            "b", Rows(Table(_ROWS, _DATASET)), (key,), (UnitColumn("u", key), UnitColumn("n", rows))
        )
        total = Affine((Term(Fraction(1), Field("b", "n")),))
        largest = Aggregate(AggregateKind.SUM, (Piece(None, total),))
        cell = CellQuery("cells_0", Rows(block), (), (largest,))
        layout = layout_of(cell, self._catalog(own))
        found = self._run(evidence_statement(cell, layout, self._dialect, self._physical))
        return _number(found, "top1_0")

    def countable(self) -> tuple[str, ...]:
        """Return the physical columns whose different values are worth counting."""
        return tuple(each.name for each in self.readable if each.kind in _COUNTABLE)

    def _run(self, planned: Planned) -> pa.Table:
        return self.connector.execute(_asked(planned), self.limits)

    @property
    def _dialect(self) -> str:
        return self.connector.capabilities().dialect or "duckdb"

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Names of our own: what the source calls its columns may be no name in SQL."""
        return {each.name: f"c{place}" for place, each in enumerate(self.readable)}

    @cached_property
    def _physical(self) -> PhysicalNames:
        columns = tuple((own, name) for name, own in self._names.items())
        return PhysicalNames.of({_DATASET: PhysicalTable(path_of(self.table), columns)})

    def _catalog(self, unit: str) -> Catalog:
        columns = {
            self._names[each.name]: _column(self._names[each.name], _type(each))
            for each in self.readable
        }
        return Catalog({}, {_DATASET: _dataset(columns, unit)})


def _asked(planned: Planned) -> Statement:
    return Statement(planned.kind, planned.sql, planned.tree, planned.result)


def _number(table: pa.Table, name: str) -> int:
    values = table[name].to_pylist()
    return int(values[0] or 0) if values else 0


def _type(column: ColumnDescription) -> ColumnType:
    if column.kind is TypeKind.DECIMAL:
        return ColumnType(Declared.DECIMAL, column.precision, column.scale)
    return ColumnType(Declared(str(column.kind)))


def _column(name: str, kind: ColumnType) -> Column:
    uses = frozenset({Use.KEY, Use.MEASURE})
    return Column(name, name, name, kind, Level.CORE, Sharing.NOT_SHARED, "", uses, unit="row")


def _dataset(columns: Mapping[str, Column], unit: str) -> Dataset:
    """Return a dataset for statements that stay inside: only names, types and the unit matter."""
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "name_zh", "name_en", "owner", "steward", "source_department", "collection_basis",
            "update_frequency", "library", "format", "sharing_mode", "use_conditions", "head_approval",
            "region_column",
        ),
        "",
    )  # fmt: skip
    return Dataset(
        name=_DATASET,
        risk_assessed_on=date.min,
        quality=0.0,
        unit="row",
        unit_column=unit,
        held_by=(),
        columns=columns,
        **nothing,
    )
