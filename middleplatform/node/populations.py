"""Populations as arrays: which units, with how many rows each, stand in which cell.

Two populations are compared unit by unit *and* row by row: one that leaves out a single row of a unit differs from
the other by that unit. Spec: docs/spec/disclosure.md, "History".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.node.units import UnitNumbers, Units

__all__ = ["Cells", "Members", "label_texts"]


@dataclass(frozen=True)
class Members:
    """One population: its units in rising order, and the number of rows of each.

    Attributes:
        units: Shape (units,), distinct.
        rows: Shape (units,).
    """

    units: Units
    rows: Units

    def distance(self, other: "Members") -> int:
        """Return how many units have different rows in the two populations.

        Reveals:
            Nothing: stays in the node.
        """
        rows = _spread(self, max(_reach(self), _reach(other)))
        rows[other.units] -= other.rows
        return int(np.count_nonzero(rows))

    def without(self, other: "Members") -> "Members":
        """Return the rows of this population that the other has not.

        Reveals:
            Nothing: stays in the node.
        """
        rows = _spread(self, max(_reach(self), _reach(other)))
        rows[other.units] -= other.rows
        kept = np.flatnonzero(rows > 0)
        return Members(kept, rows[kept])


def _reach(population: Members) -> int:
    """Return one more than the highest unit."""
    return int(population.units[-1]) + 1 if population.units.size else 0


def _spread(population: Members, size: int) -> Units:
    """Return the rows of every unit from 0 on: an array by unit is compared without sorting."""
    rows = np.zeros(size, dtype=np.int64)
    rows[population.units] = population.rows
    return rows


@dataclass(frozen=True)
class Cells:
    """The cells of one release block.

    Attributes:
        labels: Canonical text of each cell's labels, distinct.
        cell: Cell of each (cell, unit) pair, rising, shape (pairs,).
        units: Unit of each pair, rising within a cell.
        rows: Rows of each pair.
    """

    labels: tuple[str, ...]
    cell: npt.NDArray[np.int64]
    units: Units
    rows: Units

    @staticmethod
    def read(table: pa.Table, dataset: str, numbers: UnitNumbers) -> "Cells":
        """Read the result of a ``units`` statement: columns ``d*``, ``u``, ``n``.

        Reveals:
            Nothing: stays in the node.
        """
        known = table.filter(pc.is_valid(table["u"]))
        names = [name for name in known.column_names if name not in ("u", "n")]
        codes = np.zeros(known.num_rows, dtype=np.int64)
        for name in names:
            encoded = known[name].combine_chunks().dictionary_encode(null_encoding="encode")
            codes = codes * max(1, len(encoded.dictionary)) + encoded.indices.to_numpy()
        _, first, cell = np.unique(codes, return_index=True, return_inverse=True)
        units = numbers.numbers(dataset, known["u"])
        rows = np.asarray(known["n"].to_numpy(), dtype=np.int64)
        order = np.lexsort((units, cell))
        labels = (
            label_texts(known.select(names).take(pa.array(first)))
            if names
            else [""] * min(1, known.num_rows)
        )
        return Cells(
            tuple(labels), np.asarray(cell[order], dtype=np.int64), units[order], rows[order]
        )

    def members(self, chosen: Sequence[int] | None = None) -> Members:
        """Return the population of some cells together; of all when None.

        Reveals:
            Nothing: stays in the node.
        """
        if chosen is None:
            return self._whole
        if len(chosen) == 1:  # a slice: units rise within a cell
            begin, end = np.searchsorted(self.cell, [chosen[0], chosen[0] + 1])
            return Members(self.units[begin:end], self.rows[begin:end])
        kept = np.isin(self.cell, np.asarray(chosen, dtype=np.int64))
        return _gathered(self.units[kept], self.rows[kept])

    @cached_property
    def _whole(self) -> Members:
        return _gathered(self.units, self.rows)

    def sizes(self) -> Units:
        """Return each cell's rows.

        Reveals:
            Nothing: stays in the node.
        """
        return np.bincount(self.cell, weights=self.rows, minlength=len(self.labels)).astype(
            np.int64
        )

    def inside(self, other: "Cells") -> npt.NDArray[np.bool_]:
        """Return which of these cells lie wholly in which cells of the other block.

        Returns:
            Shape (own cells, other cells). A cell lies in another when each of its units has at least as many
            rows there.

        Reveals:
            Nothing: stays in the node.
        """
        found = np.zeros((len(self.labels), len(other.labels)), dtype=np.bool_)
        units = np.bincount(self.cell, minlength=len(self.labels))
        for column in range(len(other.labels)):
            there = other.members([column])
            own = int(self.units.max(initial=-1)) + 1
            match = _spread(there, max(_reach(there), own))[self.units] >= self.rows
            found[:, column] = np.bincount(self.cell[match], minlength=len(self.labels)) == units
        return found


def _gathered(units: Units, rows: Units) -> Members:
    """Add up the rows of each unit."""
    total = np.bincount(units, weights=rows).astype(np.int64)
    distinct = np.flatnonzero(total)
    return Members(distinct, total[distinct])


def label_texts(table: pa.Table) -> list[str]:
    """Return the canonical text of each row's labels.

    Reveals:
        Nothing: stays in the node.
    """
    names = [name for name in table.column_names if name.startswith("d")]
    if not names:
        return [""] * int(table.num_rows)
    columns = [table[name].to_pylist() for name in names]
    return [
        json.dumps([None if value is None else str(value) for value in row], ensure_ascii=False)
        for row in zip(*columns, strict=True)
    ]
