"""History at the node (R14): a population too close to an earlier one is not answered again in another cut.

Base populations, which follow from the text and from columns that are not sensitive, are compared under every method of
release, so that what is refused tells no sensitive value. Where exact values leave, the populations themselves are
compared too. Earlier ones are kept as sets of units, whatever the snapshot.

Spec: docs/spec/history.md.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import RLock

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import DisclosureError
from middleplatform.ledger.history import WHOLE, History
from middleplatform.ledger.released import BASE, FULL, LISTED, Holder
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Obligation
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import (
    Band,
    Boolean,
    CellQuery,
    DateBucket,
    DatePart,
    Field,
    IsTrue,
    JoinKind,
    Predicate,
    Rows,
    Table,
    UnitBlock,
)
from middleplatform.node.base_populations import Sensitive, bases, readings
from middleplatform.node.beneath import beneath
from middleplatform.node.comparison import Comparison, Kept
from middleplatform.node.measure import Measured, Source, Sources
from middleplatform.node.populations import Cells, Population, covering, label_texts
from middleplatform.node.units import UnitNumbers
from middleplatform.planner.evidence import condition_of
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.planner.rewrite import apply_obligations
from middleplatform.sql.rename import relations
from middleplatform.sql.render import fragment

__all__ = ["Memory", "Overlap"]

_CELLS_KEPT = 64
_EXACT = ("exact", "table")
_PLAIN = (Field, Band, DateBucket, DatePart)
"""Dimensions as they lie, or in policy's own forms: their cells are not chosen by who asks."""


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
        sensitive: Says which columns are.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - all that a decision depends on
        self,
        history: History,
        source: Source | Sources,
        catalog: Catalog,
        parameters: DisclosureParameters,
        project: str,
        memory: Memory,
        duties: Sequence[Obligation],
        sensitive: Sensitive,
    ) -> None:
        self._sets = history.released
        self._source = source
        self._catalog = catalog
        self._parameters = parameters
        self._least = parameters.min_units
        self._project = project
        self._memory = memory
        self._lately: dict[str, Cells] = {}
        self._duties = [duty for duty in duties if duty.kind in ("region", "withhold")]
        self._sensitive = sensitive

    def check(
        self,
        cell: CellQuery,
        layout: Layout,
        measured: Measured,
        marks: Marks,
        moment: str,
        *,
        listed: bool = False,
        least: int | None = None,
    ) -> None:
        """Mark cells that overlap, withhold further ones where a total is out, and keep what is released.

        Args:
            cell: The release block.
            layout: Its layout.
            measured: Its cells.
            marks: Shape (cells, aggregates); changed in place.
            moment: ISO 8601.
            listed: Whether the cells are not released, but listed for a private join: their sizes are not known, so
                they are no parts of a total.
            least: Fewest units of a base population of which something may be told; the threshold where not given.

        Raises:
            DisclosureError: D010 when the block's whole population is too close to an earlier one; D012 when only
                noise may answer it: it overlaps too many, or is too small.
            QueryError: Q031 when its base populations are too many.

        Reveals:
            That a population differs from some earlier one by fewer than k units, not from which or by how many; under
            ``perturb`` and ``noise`` of its rows only what columns that are not sensitive say.
        """
        if self._least <= 1:
            return  # public by law: there is no unit to protect
        # One question at a time from the look to the note: two asked together would each miss the other.
        with self._memory.lock, self._sets.writing():
            for whole in _cuts(cell, layout, listed=listed):
                for cut in self._rows_of(whole):
                    view = _View(cut, self._dataset(cut.cell), measured, marks)
                    for found in readings(cut.cell, self._sensitive):
                        fewest = 1 if len(found) > 1 or least == 0 else self._least
                        for base in found:
                            self._base(view, base, fewest, moment, ways=len(found))
                    exact = self._parameters.method in _EXACT
                    if exact and (view.free() or not cut.beneath):
                        self._full(view, moment)

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

    # --- base populations -----------------------------------------------------------------------------------------

    def _base(self, view: "_View", base: CellQuery, fewest: int, moment: str, *, ways: int) -> None:
        """Compare and keep a base population of a cut's rows, one of so many, and those of its cells."""
        compared = self._comparison(base, BASE)
        cells = self._cells(base)
        kept: list[Kept] = []
        for item, place in _candidates(base, cells):
            # Of fewer units nothing is released, whatever the sensitive values.
            if item.population.size < fewest:
                continue
            self._enough(item, whole=place is None)
            if not compared.seen(item.population):
                # One of several ways with few units: without them the question would be another, and as large.
                few = ways > 1 and item.population.size < self._least
                if few or compared.close(item.population):
                    _stop(view, base, None if place is None else item.label)
                    continue
                self._uncrossed(compared, item)
            kept.append(item)
        compared.keep(fragment(base), kept, moment)

    def _enough(self, item: Kept, *, whole: bool) -> None:
        if (whole or item.counted) and item.population.size < self._parameters.noise_below:
            raise DisclosureError("D012", rule="R14")

    def _uncrossed(self, compared: Comparison, item: Kept) -> None:
        most = self._parameters.overlaps_max
        if item.counted and most and compared.crossed(item.population, most):
            raise DisclosureError("D012", rule="R14")

    # --- the rows themselves --------------------------------------------------------------------------------------

    def _full(self, view: "_View", moment: str) -> None:
        """Compare and keep a cut's own rows and cells: exact values of them leave."""
        kinds = (LISTED, FULL) if view.cut.listed else (FULL, LISTED)
        compared = self._comparison(view.cut.cell, *kinds)
        cells = self._cells(view.cut.cell)
        places = cells.place_of()
        self._whole(view, compared, cells)
        if view.grouped:
            for row in view.among(places):
                own = cells.at(places[view.labels[row]])
                if not compared.seen(own) and compared.close(own):
                    view.mark([row], "overlap")
        self._coarser(view, compared, cells)
        # How large the cells of a list are nobody is told: no total less these gives one away.
        if view.hidden() and not view.cut.listed:
            self._finer(view, compared, cells)
        free = {view.labels[row] for row in view.free()}
        kept = [
            Kept(label, cells.at(place), shown=label in free) for label, place in places.items()
        ]
        if free and view.grouped:
            kept.append(Kept(WHOLE, cells.whole))
        if free:
            compared.keep(view.cut.text, kept, moment)

    @staticmethod
    def _whole(view: "_View", compared: Comparison, cells: Cells) -> None:
        """Refuse, or mark, a whole population that is too close to an earlier one, or to two of them subtracted."""
        own = cells.whole
        if compared.seen(own):
            return
        if compared.close(own) or (not view.grouped and compared.between(own)):
            _stop(view, view.cut.cell, None)

    def _coarser(self, view: "_View", compared: Comparison, cells: Cells) -> None:
        """Mark a cell that is the sum of earlier cells, the withheld ones of which cover 1 to k-1 units."""
        blocks: dict[int, list[int]] = {}
        for block, shape, content in self._sets.withheld(
            self._holder(view.dataset, FULL), self._least
        ):
            if shape != view.cut.text:
                blocks.setdefault(block, []).append(content)
        places = cells.place_of()
        for block, contents in blocks.items():
            small = [each for each in map(compared.get, contents) if each.inside(cells.whole)]
            if not small:
                continue
            parts = [(compared.get(content), shown) for content, shown in self._sets.cells(block)]
            for row in view.among(places):
                total = cells.at(places[view.labels[row]])
                if any(each.inside(total) for each in small):
                    inside = covering([part for part, _ in parts], total) or []
                    out = [parts[place][0] for place in inside if not parts[place][1]]
                    if out and len(Population.together(out)) < self._least:
                        view.mark([row], "overlap")

    def _finer(self, view: "_View", compared: Comparison, cells: Cells) -> None:
        """Withhold further cells, smallest first, until those left out of an earlier value cover k units."""
        places = cells.place_of()
        hidden = [
            cells.at(places[view.labels[row]])
            for row in view.hidden()
            if view.labels[row] in places
        ]
        small = [each for each in hidden if each.size < self._least]
        least = min((each.size for each in small), default=0)
        holder = self._holder(view.dataset, FULL)
        for content in self._sets.shown(holder, view.cut.text, least) if small else ():
            total = compared.get(content)
            if any(each.inside(total) for each in small):
                within = covering([cells.at(place) for place in range(len(cells.labels))], total)
                self._pad(view, cells, within or [])

    def _pad(self, view: "_View", cells: Cells, within: Sequence[int]) -> None:
        row_of = {label: row for row, label in enumerate(view.labels)}
        rows = {
            row_of[cells.labels[place]]: place for place in within if cells.labels[place] in row_of
        }
        for row in sorted(rows, key=lambda each: (int(cells.sizes[rows[each]]), each)):
            hidden = set(view.hidden())
            out = [cells.at(place) for each, place in rows.items() if each in hidden]
            if not out or len(Population.together(out)) >= self._least:
                return
            view.mark([row], "secondary")

    # --- populations ----------------------------------------------------------------------------------------------

    def _holder(self, dataset: str, kind: str) -> Holder:
        return Holder(self._project, dataset, kind)

    def _comparison(self, cell: CellQuery, *kinds: str) -> Comparison:
        dataset = self._dataset(cell)
        holders = [self._holder(dataset, kind) for kind in kinds]
        return Comparison(self._sets, holders, self._universe(dataset), self._least)

    def _dataset(self, cell: CellQuery) -> str:
        return _key_of(layout_of(cell, self._catalog).unit, cell)

    def _universe(self, dataset: str) -> Population:
        name, column = dataset.split("|")
        text = f'SELECT COUNT(DISTINCT u."{column}") AS a0 FROM {name} AS u'  # noqa: S608 - catalogue names
        cell, _ = read_fragment(text, self._catalog)
        # Of the rows that this subject may be told of: others must not bear on what is answered.
        scoped = apply_obligations(replace(cell, aggregates=()), self._duties)
        return self._cells(bases(scoped, self._sensitive)[0]).whole

    def _cells(self, cell: CellQuery) -> Cells:
        text = fragment(cell)
        # Of a source that may change, what was read for an earlier question is of an earlier snapshot.
        kept = self._memory.cells if self._source.fixed(cell) else self._lately
        found = kept.get(text)
        if found is None:
            layout = layout_of(cell, self._catalog)
            table = self._source.units(cell, layout)
            found = Cells.read(table, _key_of(layout.unit, cell), self._memory.numbers)
            kept[text] = found
            while len(self._memory.cells) > _CELLS_KEPT:
                self._memory.cells.popitem(last=False)
        return found


def _candidates(base: CellQuery, cells: Cells) -> Iterator[tuple[Kept, int | None]]:
    """Yield all rows of a block, then each cell with its place."""
    chosen = _filtered(base.rows)
    label = WHOLE if base.dimensions else ""
    yield Kept(label, cells.whole, counted=chosen), None
    if base.dimensions:
        made = any(not isinstance(item.expression, _PLAIN) for item in base.dimensions)
        for place, text in enumerate(cells.labels):
            yield Kept(text, cells.at(place), counted=made), place


def _filtered(rows: Rows) -> bool:
    """Say whether a condition chooses among the rows."""
    inner = [
        each.rows
        for each in (rows.first, *(join.relation for join in rows.joins))
        if isinstance(each, UnitBlock)
    ]
    return (
        rows.where is not None
        or any(join.condition is not None or join.kind is JoinKind.ANTI for join in rows.joins)
        or any(map(_filtered, inner))
    )


def _stop(view: "_View", block: CellQuery, label: str | None) -> None:
    """Withhold a cell, or all of them: where that is the whole answer it is refused."""
    if label is not None and set(block.dimensions) <= set(view.cut.cell.dimensions):
        texts = label_texts(view.measured.table, [item.name for item in block.dimensions])
        view.mark([row for row, text in enumerate(texts) if text == label], "overlap")
    elif view.cut.population == 0:
        raise DisclosureError("D010", rule="R14")
    else:
        view.mark(range(len(view.labels)), "overlap")


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
    """The marks of one cut: its cells, and the aggregates that read it."""

    cut: _Cut
    dataset: str
    measured: Measured
    marks: Marks

    @cached_property
    def labels(self) -> list[str]:
        return label_texts(self.measured.table)

    @property
    def grouped(self) -> bool:
        return bool(self.cut.cell.dimensions)

    def free(self) -> list[int]:
        """Return the cells of which something is released."""
        return [
            row
            for row in range(len(self.labels))
            if any(self.marks[row, column] is None for column in self.cut.readers)
        ]

    def among(self, places: Mapping[str, int]) -> list[int]:
        """Return those of them that have a unit."""
        return [row for row in self.free() if self.labels[row] in places]

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
