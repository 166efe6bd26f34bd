"""History at the node (R14): a population too close to an earlier one is not answered again in another cut.

Decisions look at units, rows and predicates only, never at measures. Earlier populations are read again from their
fragment's text, so that a comparison is exact for the data as they are now.

Spec: docs/spec/disclosure.md, "History".
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from threading import RLock

import numpy as np
import numpy.typing as npt

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import DisclosureError
from middleplatform.ledger.history import WHOLE, History, Population
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Obligation
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import (
    Boolean,
    CellQuery,
    Field,
    IsTrue,
    Predicate,
    Table,
    UnitBlock,
)
from middleplatform.node.beneath import beneath
from middleplatform.node.measure import Measured, Source, Sources
from middleplatform.node.populations import Cells, Members, label_texts
from middleplatform.node.units import UnitNumbers
from middleplatform.planner.evidence import condition_of
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.planner.rewrite import apply_obligations
from middleplatform.sql.rename import relations
from middleplatform.sql.render import fragment

__all__ = ["Memory", "Overlap"]

_CELLS_KEPT = 64
_PAIRS_MAX = 256


@dataclass
class Memory:
    """What a node remembers between questions, to spare its source: unit numbers and cells read lately."""

    numbers: UnitNumbers = field(default_factory=UnitNumbers)
    cells: OrderedDict[str, Cells] = field(default_factory=OrderedDict)
    lock: AbstractContextManager[bool] = field(default_factory=RLock)


@dataclass(frozen=True)
class _Cut:
    """One set of rows of a block: all of its cells, or those under one condition, and who reads it.

    Where ``beneath``, the rows are those that a unit block of it groups, and the evidence does not count their units.
    Where ``listed``, they are not released but listed for a private join.
    """

    cell: CellQuery
    population: int
    text: str
    readers: tuple[int, ...]
    beneath: bool = False
    listed: bool = False


class Overlap:
    """Checks one release block of one project against what was released before.

    Args:
        history: Of the node.
        source: To read populations.
        catalog: The node's.
        parameters: Of the statement.
        project: Whose history.
        memory: Of the node.
        duties: Obligations of the statement; its row filters bound the universe too.
    """

    def __init__(
        self,
        history: History,
        source: Source | Sources,
        catalog: Catalog,
        parameters: DisclosureParameters,
        project: str,
        memory: Memory,
        duties: Sequence[Obligation],
    ) -> None:
        self._history = history
        self._source = source
        self._catalog = catalog
        self._least = parameters.min_units
        self._project = project
        self._memory = memory
        self._universes: dict[str, Members] = {}
        self._duties = [duty for duty in duties if duty.kind in ("region", "withhold")]

    def check(
        self,
        cell: CellQuery,
        layout: Layout,
        measured: Measured,
        marks: Marks,
        moment: str,
        *,
        listed: bool = False,
    ) -> None:
        """Mark cells that overlap, withhold further ones where a total is out, and keep what is released.

        Args:
            cell: The release block.
            layout: Its layout.
            measured: Its cells.
            marks: Shape (cells, aggregates); changed in place.
            moment: ISO 8601.
            listed: Whether the cells are not released, but listed for a private join: their sizes are not known, so
                they are no parts of a total. Kept with the count that they would have, by which they are told apart.

        Raises:
            DisclosureError: D010 when the block's whole population is too close to an earlier one.

        Reveals:
            That a population differs from some earlier one by fewer than k units, not from which or by how many.
        """
        # One question at a time from the look to the note: two asked together would each miss the other.
        with self._memory.lock:
            self._check(_cuts(cell, layout, listed=listed), measured, marks, moment)

    def _check(self, cuts: Iterable["_Cut"], measured: Measured, marks: Marks, moment: str) -> None:
        labels = label_texts(measured.table)
        for whole in cuts:
            views = [self._view(cut, labels, measured, marks) for cut in self._rows_of(whole)]
            known = [view for view in views if view.free() or not view.cut.beneath]
            for view in known:
                if self._history.any(self._project, view.dataset):
                    self._whole(view, view.dataset)
                    self._each(view, view.dataset)
                    self._linked(view, view.dataset)
            # Kept cut by cut: two conditions of one block are protected against each other.
            for view in known:
                self._history.add(self._project, view.dataset, view.released(), moment)

    def _rows_of(self, whole: _Cut) -> list[_Cut]:
        """Return what is compared of a cut: itself, and the rows beneath its unit blocks.

        Where it reads a unit block first, of the data set's own units, the rows beneath that say all: it is left out.
        """
        found = []
        for lower in beneath(whole.cell, self._catalog):
            # Read back as a node's own statement: names are unique then, and the form is one that runs.
            read, _ = read_fragment(fragment(lower), self._catalog)
            bare = replace(read, aggregates=whole.cell.aggregates)
            found.append(replace(whole, cell=bare, text=fragment(bare), beneath=True))
        grouped = isinstance(whole.cell.rows.first, UnitBlock)
        if grouped and self._dataset(found[0].cell) == self._dataset(whole.cell):
            return found
        return [whole, *found]

    def _view(self, cut: _Cut, labels: list[str], measured: Measured, marks: Marks) -> "_View":
        return _View(
            cut, self._dataset(cut.cell), labels, self._units(cut, labels, measured), marks
        )

    def _dataset(self, cell: CellQuery) -> str:
        return _key_of(layout_of(cell, self._catalog).unit, cell)

    def _units(self, cut: _Cut, labels: Sequence[str], measured: Measured) -> npt.NDArray[np.int64]:
        """Return how many units each cell of a cut has, shape (cells,)."""
        if not cut.beneath:
            return measured.evidence.units[:, cut.population]
        found = self._cells(cut.text)
        counts = np.bincount(found.cell, minlength=len(found.labels))
        by_label = dict(zip(found.labels, counts.tolist(), strict=True))
        return np.array([by_label.get(label, 0) for label in labels], dtype=np.int64)

    # --- one population against one population --------------------------------------------------------------------

    def _whole(self, view: "_View", dataset: str) -> None:
        """Refuse, or mark, a whole population that is too close to an earlier one, or to two of them subtracted."""
        if not view.grouped and self._between(self._cells(view.cut.text).members(), dataset):
            self._stop(view)
        if not self._other(view, dataset, *view.size()):
            return
        own = self._cells(view.cut.text).members()
        for earlier in self._other(view, dataset, own.units.size, own.units.size):
            if not self._close(own, self._members(earlier), dataset):
                continue
            self._stop(view)

    @staticmethod
    def _stop(view: "_View") -> None:
        if view.cut.population == 0:
            raise DisclosureError("D010", rule="R14")
        view.mark(range(len(view.labels)), "overlap")

    def _between(self, own: Members, dataset: str) -> bool:
        """Say whether a population is close to the difference of two earlier ones, one of which holds the other."""
        size, reach = own.units.size, self._least - 1
        sizes = (size - reach, size + reach)
        for larger, smaller in self._history.pairs(self._project, dataset, sizes, _PAIRS_MAX):
            outer, inner = self._members(larger), self._members(smaller)
            if inner.without(outer).units.size or not outer.distance(own):
                # Of the same rows once more, the difference is the smaller population: it was released.
                continue
            if 0 < outer.without(inner).distance(own) < self._least:
                return True
        return False

    def _each(self, view: "_View", dataset: str) -> None:
        """Mark the cells that are too close to an earlier population of another shape."""
        if not view.grouped:
            return
        for row in view.free():
            units = int(view.units[row])
            for earlier in self._other(view, dataset, units, units):
                own = self._cells(view.cut.text)
                members = own.members([own.labels.index(view.labels[row])])
                if self._close(members, self._members(earlier), dataset):
                    view.mark([row], "overlap")
                    break

    # --- cells against sums of cells --------------------------------------------------------------------------------

    def _linked(self, view: "_View", dataset: str) -> None:
        """Protect withheld cells against totals: of this table by earlier ones, of earlier tables by this one."""
        for shape, labels in self._history.shapes(self._project, dataset).items():
            if shape == view.cut.text or self._listed(shape):
                continue
            other = self._cells(shape)
            hidden = [place for place, label in enumerate(other.labels) if label not in labels]
            if hidden:
                self._coarser(view, other, hidden)
            # How large the cells of a list are nobody is told: no total less these gives one away.
            if view.hidden() and not view.cut.listed:
                self._finer(
                    view,
                    other,
                    [place for place, label in enumerate(other.labels) if label in labels],
                )

    def _coarser(self, view: "_View", other: Cells, hidden: Sequence[int]) -> None:
        """Mark a cell that is the sum of earlier cells, the withheld ones of which cover 1 to k-1 units."""
        own = self._cells(view.cut.text)
        inside = other.inside(own)
        covered = _covered(inside, other.sizes(), own.sizes())
        for place in np.flatnonzero(covered):
            among = [each for each in hidden if inside[each, place]]
            if among and other.members(among).units.size < self._least:
                view.mark(
                    [row for row, label in enumerate(view.labels) if label == own.labels[place]],
                    "overlap",
                )

    def _finer(self, view: "_View", other: Cells, shown: Sequence[int]) -> None:
        """Withhold further cells, smallest first, until those left out of an earlier value cover k units."""
        own = self._cells(view.cut.text)
        inside = own.inside(other)
        covered = _covered(inside, own.sizes(), other.sizes())
        place_of = {label: place for place, label in enumerate(own.labels)}
        for total in shown:
            if not covered[total]:
                continue
            within = [
                row
                for row, label in enumerate(view.labels)
                if label in place_of and inside[place_of[label], total]
            ]
            self._pad(view, own, within, place_of)

    def _pad(
        self, view: "_View", own: Cells, within: Sequence[int], place_of: dict[str, int]
    ) -> None:
        for row in sorted(within, key=lambda each: (int(view.units[each]), each)):
            hidden = set(view.hidden())
            out = [place_of[view.labels[each]] for each in within if each in hidden]
            if not out or own.members(out).units.size >= self._least:
                return
            view.mark([row], "secondary")

    # --- populations ----------------------------------------------------------------------------------------------

    def _other(self, view: "_View", dataset: str, low: int, high: int) -> list[Population]:
        """Return earlier populations of other shapes that may be about as large."""
        return [each for each in self._near(dataset, low, high) if each.shape != view.cut.text]

    def _near(self, dataset: str, low: int, high: int) -> Sequence[Population]:
        reach, universe = self._least - 1, self._universe(dataset).units.size
        own = (low - reach, high + reach)
        # A complement is of rows: it may keep rows of units that the population has too, so only its low end is known.
        other = (universe - high - reach, universe)
        return self._history.near(self._project, dataset, own, other)

    def _close(self, one: Members, other: Members, dataset: str) -> bool:
        """Say whether two populations, or one and the other's complement, differ by 1 to k-1 units."""
        mine, theirs = one.units.size, other.units.size
        # What sizes alone exclude is not compared.
        if abs(mine - theirs) < self._least and 0 < one.distance(other) < self._least:
            return True
        universe = self._universe(dataset)
        if universe.units.size - theirs - mine >= self._least:
            return False
        if not universe.distance(one) or not universe.distance(other):
            # Of all rows no complement is left: with them, the other one tells of itself only.
            return False
        return 0 < universe.without(other).distance(one) < self._least

    def _universe(self, dataset: str) -> Members:
        found = self._universes.get(dataset)
        if found is None:
            name, column = dataset.split("|")
            text = f'SELECT COUNT(DISTINCT u."{column}") AS a0 FROM {name} AS u'  # noqa: S608 - catalogue names
            cell, _ = read_fragment(text, self._catalog)
            # Of the rows that this subject may be told of: others must not bear on what is answered.
            scoped = apply_obligations(replace(cell, aggregates=()), self._duties)
            found = self._universes[dataset] = self._cells(fragment(scoped)).members()
        return found

    def _members(self, population: Population) -> Members:
        cells = self._cells(population.shape)
        if population.label == WHOLE:
            return cells.members()
        return cells.members(
            [place for place, label in enumerate(cells.labels) if label == population.label]
        )

    def _listed(self, text: str) -> bool:
        """Say whether groups were kept with a count: those of a list for a private join."""
        cell, _ = read_fragment(text, self._catalog)
        return (
            bool(cell.dimensions)
            and text == fragment(replace(cell, aggregates=cell.aggregates[:1]))
            and text != fragment(replace(cell, aggregates=()))
        )

    def _cells(self, text: str) -> Cells:
        kept = self._memory.cells
        found = kept.get(text)
        if found is None:
            cell, _ = read_fragment(text, self._catalog)
            layout = layout_of(cell, self._catalog)
            table = self._source.units(cell, layout)
            found = Cells.read(table, _key_of(layout.unit, cell), self._memory.numbers)
            kept[text] = found
            while len(kept) > _CELLS_KEPT:
                kept.popitem(last=False)
        return found


def _covered(
    inside: npt.NDArray[np.bool_], parts: npt.NDArray[np.int64], totals: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return which totals are exactly the sum of the parts that lie in them."""
    return np.asarray((inside * parts[:, None]).sum(axis=0) == totals, dtype=np.bool_)


def _cuts(cell: CellQuery, layout: Layout, *, listed: bool) -> list[_Cut]:
    """Return the block's populations as blocks of their own: all rows, and those under each condition."""
    found = []
    for number, population in enumerate(layout.populations):
        if number and not (population.strict or population.joined):
            continue
        bare = replace(cell, aggregates=cell.aggregates[:1] if listed else ())
        condition = condition_of(population)
        if number and condition is not None:
            where: Predicate = IsTrue(condition)
            if cell.rows.where is not None:
                where = Boolean("and", (cell.rows.where, where))
            bare = replace(bare, rows=replace(cell.rows, where=where))
        readers = tuple(
            column
            for column, formula in enumerate(layout.formulas)
            if not number or any(part.population == number for part in formula.parts)
        )
        found.append(_Cut(bare, number, fragment(bare), readers, listed=listed))
    return found


def _key_of(unit: Field, cell: CellQuery) -> str:
    """Return the dataset and column whose values name the units, whatever the statement calls them."""
    known = {relation.alias: relation for relation in relations(cell.rows)}
    while not isinstance(relation := known[unit.relation], Table):
        content = next(column.content for column in relation.columns if column.name == unit.name)
        assert isinstance(content, Field), "a unit is a key"
        unit = content
    return f"{relation.dataset}|{unit.name}"


@dataclass(frozen=True)
class _View:
    """The marks of one cut: its cells, their units, and the aggregates that read it."""

    cut: _Cut
    dataset: str
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

    def released(self) -> list[Population]:
        """Return what of this cut is released, for the history."""
        text, free = self.cut.text, self.free()
        found = [
            Population(text, self.labels[row], int(self.units[row]), int(self.units[row]))
            for row in free
        ]
        if free and self.grouped:
            found.append(Population(text, WHOLE, *self.size()))
        return found
