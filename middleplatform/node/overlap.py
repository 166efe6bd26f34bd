"""History at the node (R14): a population too close to an earlier one is not answered again in another cut.

Decisions look at units and predicates only, never at measures. A set is compared as a set: earlier populations are
read again from their fragment's text, so the comparison is exact for the data as they are now.

Spec: docs/spec/disclosure.md, "History".
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import DisclosureError
from middleplatform.ledger.history import History, Population
from middleplatform.model.catalog import Catalog
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters, Limits
from middleplatform.model.query import Boolean, CellQuery, IsTrue, Predicate
from middleplatform.node.measure import Measured, Source
from middleplatform.node.units import UnitNumbers, Units
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.sql.render import fragment

__all__ = ["Overlap"]

_LIMITS = Limits(sql_characters_max=1_000_000, depth_max=2_000, joins_max=64)
Sets = dict[str, Units]


@dataclass(frozen=True)
class _Cut:
    """One set of rows of a block: all of its cells, or those under one condition."""

    cell: CellQuery
    population: int
    text: str
    readers: tuple[int, ...]


class Overlap:
    """Checks one release block of one project against what was released before.

    Args:
        history: Of the node.
        source: To compare sets of units.
        catalog: The node's.
        parameters: Of the statement.
        project: Whose history.
        numbers: Of the node's units.
    """

    def __init__(
        self,
        history: History,
        source: Source,
        catalog: Catalog,
        parameters: DisclosureParameters,
        project: str,
        numbers: UnitNumbers,
    ) -> None:
        self._history = history
        self._source = source
        self._catalog = catalog
        self._least = parameters.min_units
        self._project = project
        self._numbers = numbers
        self._units: dict[str, Sets] = {}

    def check(
        self, cell: CellQuery, layout: Layout, measured: Measured, marks: Marks, moment: str
    ) -> None:
        """Mark cells that overlap, withhold further ones where a total is out, and keep what is released.

        Args:
            cell: The release block.
            layout: Its layout.
            measured: Its cells.
            marks: Shape (cells, aggregates); changed in place.
            moment: ISO 8601.

        Raises:
            DisclosureError: D010 when the block's whole population is too close to an earlier one.

        Reveals:
            That a population differs from some earlier one by fewer than k units, not from which or by how many.
        """
        dataset = f"{cell_dataset(cell)}|{layout.unit.name}"
        seen = self._history.any(self._project, dataset)
        released: list[Population] = []
        labels = _labels(measured.table)
        for cut in _cuts(cell, layout):
            view = _View(cut, labels, measured.evidence.units[:, cut.population], marks)
            if seen or released:
                self._whole(view, dataset)
                self._cells(view, dataset)
                self._totals(view, dataset)
            released += _released(view)
        self._history.add(self._project, dataset, released, moment)

    def _whole(self, view: "_View", dataset: str) -> None:
        """Refuse, or mark, a whole population that is too close to an earlier one."""
        for earlier in self._near(dataset, *view.size()):
            same = earlier.shape == view.cut.text
            if (
                same
                or (earlier.kind == "union" and view.grouped)
                or not self._close(self._all(view.cut.text), self._set(earlier), dataset)
            ):
                continue
            if earlier.kind != "union" and view.cut.population == 0:
                raise DisclosureError("D010", rule="R14")
            view.mark(range(len(view.labels)), "overlap")

    def _cells(self, view: "_View", dataset: str) -> None:
        """Mark the cells that are too close to an earlier population of another shape."""
        if not view.grouped:
            return
        for row in view.free():
            units = int(view.units[row])
            for earlier in self._near(dataset, units, units):
                if earlier.shape == view.cut.text:
                    continue
                own = self._sets(view.cut.text).get(view.labels[row], _EMPTY)
                if self._close(own, self._set(earlier), dataset):
                    view.mark([row], "overlap")
                    break

    def _totals(self, view: "_View", dataset: str) -> None:
        """Withhold further cells, smallest first, until those left out cover k units, where the total is known."""
        hidden = view.hidden()
        if not view.grouped or not hidden or not self._total_known(view, dataset):
            return
        sets = self._sets(view.cut.text)
        for row in sorted(view.free(), key=lambda each: (int(view.units[each]), each)):
            shown = _union(sets, [view.labels[each] for each in view.free()])
            out = _union(sets, [view.labels[each] for each in view.hidden()])
            if not 0 < np.setdiff1d(out, shown, assume_unique=True).size < self._least:
                return
            view.mark([row], "secondary")

    def _total_known(self, view: "_View", dataset: str) -> bool:
        return any(
            earlier.kind != "union" and earlier.shape != view.cut.text
            and np.array_equal(self._all(view.cut.text), self._set(earlier))
            for earlier in self._near(dataset, *view.size())
        )  # fmt: skip

    # --- sets -----------------------------------------------------------------------------------------------------

    def _near(self, dataset: str, low: int, high: int) -> Sequence[Population]:
        reach, universe = self._least - 1, self._universe(dataset)
        own = (low - reach, high + reach)
        return self._history.near(
            self._project, dataset, own, (universe - high - reach, universe - low + reach)
        )

    def _universe(self, dataset: str) -> int:
        """Return how many units a dataset has; counted once while the source is open."""
        found = self._numbers.size(dataset)
        if found is None:
            name, unit = dataset.split("|")
            text = f'SELECT COUNT(DISTINCT u."{unit}") AS a0 FROM {name} AS u'
            cell, _ = read_fragment(text, self._catalog, _LIMITS)
            measured = self._source.measure(cell, layout_of(cell, self._catalog))
            found = int(measured.evidence.units[0, 0])
            self._numbers.set_size(dataset, found)
        return found

    def _close(self, one: Units, other: Units, dataset: str) -> bool:
        """Say whether two sets, or one and the other's complement, differ by 1 to k-1 units."""
        distance = int(np.setxor1d(one, other, assume_unique=True).size)
        return 0 < distance < self._least or 0 < self._universe(dataset) - distance < self._least

    def _all(self, text: str) -> Units:
        sets = self._sets(text)
        return _union(sets, list(sets))

    def _set(self, population: Population) -> Units:
        sets = self._sets(population.shape)
        if population.kind == "cell":
            return sets.get(population.label, _EMPTY)
        left_out = set(json.loads(population.label)) if population.kind == "union" else set()
        return _union(sets, [label for label in sets if label not in left_out])

    def _sets(self, text: str) -> Sets:
        if text not in self._units:
            cell, _ = read_fragment(text, self._catalog, _LIMITS)
            layout = layout_of(cell, self._catalog)
            table = self._source.units(cell, layout)
            dataset = f"{cell_dataset(cell)}|{layout.unit.name}"
            self._units[text] = _by_label(table, dataset, self._numbers)
        return self._units[text]


_EMPTY: Units = np.empty(0, dtype=np.int64)


def _union(sets: Sets, labels: Sequence[str]) -> Units:
    parts = [sets[label] for label in labels if label in sets]
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.concatenate(parts)) if parts else _EMPTY


def _by_label(table: pa.Table, dataset: str, numbers: UnitNumbers) -> Sets:
    """Group units by label: numbered, sorted once, then cut where the label changes."""
    known = table.filter(pc.is_valid(table["u"]))
    if not known.num_rows:
        return {}
    units = numbers.numbers(dataset, known["u"])
    codes = np.zeros(known.num_rows, dtype=np.int64)
    names = [name for name in known.column_names if name != "u"]
    for name in names:
        encoded = known[name].combine_chunks().dictionary_encode(null_encoding="encode")
        codes = codes * max(1, len(encoded.dictionary)) + encoded.indices.to_numpy()
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    cuts = np.cumsum(np.bincount(inverse))[:-1]
    labels = _labels(known.select(names).take(pa.array(first))) if names else [""]
    parts = np.split(units[order], cuts)
    return {label: np.unique(part) for label, part in zip(labels, parts, strict=True)}


def _labels(table: pa.Table) -> list[str]:
    names = [name for name in table.column_names if name.startswith("d")]
    columns = [table[name].to_pylist() for name in names]
    return (
        [
            json.dumps([None if value is None else str(value) for value in row], ensure_ascii=False)
            for row in zip(*columns, strict=True)
        ]
        if names
        else [""] * table.num_rows
    )


def _cuts(cell: CellQuery, layout: Layout) -> list[_Cut]:
    """Return the block's populations as blocks of their own: all rows, and those under each condition."""
    found = []
    for number, population in enumerate(layout.populations):
        if number and not population.strict:
            continue
        bare = replace(cell, aggregates=())
        if population.condition is not None:
            where: Predicate = IsTrue(population.condition)
            if cell.rows.where is not None:
                where = Boolean("and", (cell.rows.where, where))
            bare = replace(bare, rows=replace(cell.rows, where=where))
        readers = tuple(
            column for column, formula in enumerate(layout.formulas)
            if not number or any(part.population == number for part in formula.parts)
        )  # fmt: skip
        found.append(_Cut(bare, number, fragment(bare), readers))
    return found


@dataclass(frozen=True)
class _View:
    """The marks of one cut: its cells, their units, and the aggregates that read it."""

    cut: _Cut
    labels: list[str]
    units: npt.NDArray[np.int64]
    marks: Marks

    @property
    def grouped(self) -> bool:
        return bool(self.cut.cell.dimensions)

    def size(self) -> tuple[int, int]:
        """Return bounds on the distinct units of all cells together."""
        return int(self.units.max(initial=0)), int(self.units.sum())

    def free(self) -> list[int]:
        """Return the cells of which something is released."""
        return [
            row
            for row in range(len(self.labels))
            if any(self.marks[row, column] is None for column in self.cut.readers)
        ]

    def hidden(self) -> list[int]:
        """Return the other cells."""
        free = set(self.free())
        return [row for row in range(len(self.labels)) if row not in free]

    def mark(self, rows: Iterable[int], reason: str) -> None:
        """Withhold what is still free."""
        for row in rows:
            for column in self.cut.readers:
                if self.marks[row, column] is None:
                    self.marks[row, column] = reason


def _released(view: _View) -> list[Population]:
    free, (low, high) = view.free(), view.size()
    if not view.grouped:
        return [Population("where", view.cut.text, "", low, high)] if free else []
    text = view.cut.text
    found = [Population("where", text, "", low, high)]
    found += [
        Population("cell", text, view.labels[row], int(view.units[row]), int(view.units[row]))
        for row in free
    ]
    hidden = [view.labels[row] for row in view.hidden()]
    if hidden and free:
        shown = view.units[free]
        label = json.dumps(hidden, ensure_ascii=False)
        found.append(Population("union", text, label, int(shown.max()), int(shown.sum())))
    return found


def cell_dataset(cell: CellQuery) -> str:
    """Return the first dataset of a block."""
    relation = cell.rows.first
    while not hasattr(relation, "dataset"):
        relation = relation.rows.first
    return str(relation.dataset)
