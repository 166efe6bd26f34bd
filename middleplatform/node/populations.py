"""Populations as bitmaps: which units, with how many rows each, stand in which cell.

Two populations are compared unit by unit *and* row by row: one that leaves out a single row of a unit differs from
the other by that unit. Spec: docs/spec/history.md, "Sets".
"""

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from hashlib import sha256
from itertools import zip_longest
from operator import or_

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from middleplatform.node.units import UnitNumbers, Units

__all__ = ["SKETCH", "Cells", "Population", "covering", "label_texts"]

SKETCH = 64
"""Classes of units, by their numbers, in a sketch."""

_NONE = BitMap()
_LENGTH_BYTES = 4


@dataclass(frozen=True, eq=False)
class Population:
    """One population as bit planes: plane b has the units whose number of rows has bit b.

    Attributes:
        planes: The last one is not empty.

    Reveals:
        Nothing: stays in the node.
    """

    planes: tuple[BitMap, ...]

    @staticmethod
    def of(units: Units, rows: Units) -> "Population":
        """Return the population of units, distinct, with at least one row each."""
        bits = int(rows.max(initial=0)).bit_length()
        return Population(tuple(_bitmap(units[(rows >> bit) & 1 == 1]) for bit in range(bits)))

    @staticmethod
    def read(planes: bytes) -> "Population":
        """Return what ``to_bytes`` wrote."""
        found = []
        while planes:
            end = _LENGTH_BYTES + int.from_bytes(planes[:_LENGTH_BYTES], "big")
            found.append(BitMap.deserialize(planes[_LENGTH_BYTES:end]))
            planes = planes[end:]
        return Population(tuple(found))

    def to_bytes(self) -> bytes:
        """Return the planes one after the other, each behind its length."""
        found = bytearray()
        for plane in self.planes:
            packed = plane.copy()
            packed.run_optimize()
            content = packed.serialize()
            found += len(content).to_bytes(_LENGTH_BYTES, "big") + content
        return bytes(found)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256, the same for equal populations however they came to be."""
        found = sha256()
        for plane in self.planes:
            content = plane.to_array().tobytes()
            found.update(len(content).to_bytes(8, "big") + content)
        return found.digest()

    @cached_property
    def units(self) -> BitMap:
        """All units with a row."""
        return reduce(or_, self.planes, BitMap())

    @cached_property
    def sketch(self) -> npt.NDArray[np.int16]:
        """Numbers of units in each of ``SKETCH`` classes, modulo 2**16: see ``apart``."""
        units = np.frombuffer(self.units.to_array(), dtype=np.uint32)
        return np.bincount(units % SKETCH, minlength=SKETCH).astype(np.uint16).view(np.int16)

    @cached_property
    def size(self) -> int:
        """How many units."""
        return len(self.units)

    @property
    def rows(self) -> int:
        """How many rows."""
        return sum(len(plane) << bit for bit, plane in enumerate(self.planes))

    def near(self, other: "Population", least: int) -> bool:
        """Say whether 1 to ``least`` - 1 units have different rows in the two."""
        pairs = list(zip_longest(self.planes, other.planes, fillvalue=_NONE))
        apart = [one.symmetric_difference_cardinality(two) for one, two in pairs]
        if max(apart, default=0) >= least or not any(apart):
            return False
        return len(reduce(or_, (one ^ two for one, two in pairs))) < least

    def without(self, other: "Population") -> "Population":
        """Return the rows of this population that the other has not: bit by bit, with what is borrowed."""
        borrow = BitMap()
        found = []
        for one, two in zip_longest(self.planes, other.planes, fillvalue=_NONE):
            found.append(one ^ two ^ borrow)
            borrow = ((two | borrow) - one) | (two & borrow)
        found = [plane - borrow for plane in found]
        while found and not found[-1]:
            found.pop()
        return Population(tuple(found))

    def inside(self, other: "Population") -> bool:
        """Say whether each unit has at least as many rows in the other."""
        if not self.units.issubset(other.units):
            return False
        if len(self.planes) == len(other.planes) == 1:
            return True
        return not self.without(other).planes

    def crosses(self, other: "Population") -> bool:
        """Say whether the two have units in common, and each has units that the other has not."""
        common = self.units.intersection_cardinality(other.units)
        return 0 < common < min(self.size, other.size)

    def apart(self, sketches: npt.NDArray[np.int16]) -> Units:
        """Return how many units at least are in only one of this and each other population.

        Args:
            sketches: Of the others, shape (populations, SKETCH).
        """
        # A unit in one of two sets moves one class by one; what 2**16 cuts off makes the number smaller only.
        classes = np.abs((sketches - self.sketch).astype(np.int64))
        return np.asarray(classes.sum(axis=1), dtype=np.int64)

    @staticmethod
    def together(parts: Iterable["Population"]) -> BitMap:
        """Return the units of all of some populations."""
        return reduce(or_, (part.units for part in parts), BitMap())


def _bitmap(units: Units) -> BitMap:
    # Of all sequences an ``array`` is taken as a whole.
    return BitMap(array("I", units.astype(np.uint32).tobytes()))


@dataclass(frozen=True)
class Cells:
    """The cells of one release block.

    Attributes:
        labels: Canonical text of each cell's labels, distinct.
        names: Names of its dimensions.
        cell: Cell of each (cell, unit) pair, rising, shape (pairs,).
        units: Unit of each pair, rising within a cell.
        rows: Rows of each pair.

    Reveals:
        Nothing: stays in the node.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    cell: npt.NDArray[np.int64]
    units: Units
    rows: Units

    @staticmethod
    def read(table: pa.Table, dataset: str, numbers: UnitNumbers) -> "Cells":
        """Read the result of a ``units`` statement: columns ``d*``, ``u``, ``n``."""
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
        found = np.asarray(cell[order], dtype=np.int64)
        return Cells(tuple(labels), tuple(names), found, units[order], rows[order])

    @cached_property
    def sizes(self) -> Units:
        """Units of each cell."""
        return np.bincount(self.cell, minlength=len(self.labels))

    def at(self, place: int) -> Population:
        """Return the population of one cell."""
        found = self._cells.get(place)
        if found is None:
            begin, end = self._ends[place], self._ends[place + 1]
            found = Population.of(self.units[begin:end], self.rows[begin:end])
            self._cells[place] = found
        return found

    @cached_property
    def _cells(self) -> dict[int, Population]:
        return {}

    @cached_property
    def _ends(self) -> Units:
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def whole(self) -> Population:
        """All cells together."""
        total = np.bincount(self.units, weights=self.rows).astype(np.int64)
        distinct = np.flatnonzero(total)
        return Population.of(distinct, total[distinct])

    def place_of(self) -> dict[str, int]:
        """Return where the cell of each label is."""
        return {label: place for place, label in enumerate(self.labels)}


def covering(parts: Sequence[Population], total: Population) -> list[int] | None:
    """Return the places of the parts whose rows add up to a population exactly; None where none do.

    Args:
        parts: Cells of one block.
        total: What they may add up to.

    Reveals:
        Nothing: stays in the node.
    """
    found = []
    for place, part in enumerate(parts):
        if part.inside(total):
            found.append(place)
        elif part.units.intersect(total.units):
            return None
    return found if sum(parts[place].rows for place in found) == total.rows else None


def label_texts(table: pa.Table, names: Sequence[str] | None = None) -> list[str]:
    """Return the canonical text of each row's labels.

    Args:
        table: Cells.
        names: Columns of labels; all ``d*`` where not given.

    Reveals:
        Nothing: stays in the node.
    """
    if names is None:
        names = [name for name in table.column_names if name.startswith("d")]
    if not names:
        return [""] * int(table.num_rows)
    columns = [table[name].to_pylist() for name in names]
    return [
        json.dumps([None if value is None else str(value) for value in row], ensure_ascii=False)
        for row in zip(*columns, strict=True)
    ]
