"""A release block with all its margins: every combination of its dimensions, at every level of each.

Each combination is measured as if it had been asked for, so that what would be withheld of it is known exactly.
Spec: docs/spec/disclosure.md, "Exact tables".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from middleplatform.disclosure.disclose import Marks, disclose
from middleplatform.disclosure.evidence import CellEvidence
from middleplatform.disclosure.groups import single_sensitive
from middleplatform.errors import LimitError, SourceError
from middleplatform.model.catalog import Catalog
from middleplatform.model.plan import Formula, Layout, Part
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import AggregateKind, CellQuery, Dimension, Value
from middleplatform.node.measure import Measured, Source, Sources
from middleplatform.node.table_levels import Level, levels_of

__all__ = [
    "CELLS_MAX",
    "Cube",
    "Family",
    "Link",
    "Margins",
    "Side",
    "cube_of",
    "families_of",
    "shows_all",
]

CELLS_MAX = 10_000
"""Cells of a block and all its margins together: what is judged within about two seconds a word."""

Vector = tuple[int, ...]
Keys = list[tuple[Value, ...]]


@dataclass(frozen=True)
class Margins:
    """What margins are measured with.

    Attributes:
        source: Of the block.
        catalog: Says which codes lie in which.
        sensitive: Names of the block's dimensions whose values are sensitive.
    """

    source: Source | Sources
    catalog: Catalog
    sensitive: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """Words that are withheld together: of one population, one sum, or one other key.

    Attributes:
        kind: ``count``, ``sum`` or ``key``.
        number: Of the population, the sum or the key.
        population: Which rows it is of.
        formula: The plainest aggregate that reads it.
    """

    kind: str
    number: int
    population: int
    formula: Formula


@dataclass(frozen=True)
class Link:
    """A cell and the cells that add up to it, by their rows in two tables."""

    total: int
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """One combination of levels: a table of its own.

    Attributes:
        evidence: Of its cells.
        marks: What the primary rules withhold, shape (cells, families).
    """

    evidence: CellEvidence
    marks: Marks


@dataclass(frozen=True)
class Cube:
    """All combinations, coarsest first; by how coarse each dimension is: 0 as asked, the last not at all.

    Attributes:
        sides: By combination.
        links: By (combination, coarser combination one step up).
    """

    sides: dict[Vector, Side]
    links: dict[tuple[Vector, Vector], list[Link]]

    def above(self, vector: Vector) -> list[Vector]:
        """Return the combinations that are as coarse or coarser in every dimension, itself included.

        Reveals:
            Nothing.
        """
        return [
            each for each in self.sides if all(a >= b for a, b in zip(each, vector, strict=True))
        ]


def families_of(layout: Layout) -> list[Family]:
    """Return the families of words of a layout, counts first.

    Reveals:
        Nothing.
    """
    one, none = Fraction(1), Fraction(0)
    found = [
        Family("count", p, p, Formula(AggregateKind.COUNT, (Part(p, one, ()),)))
        for p in range(len(layout.populations))
    ]
    for s, word in enumerate(layout.sums):
        part = Part(word.population, none, ((one, s),))
        found.append(Family("sum", s, word.population, Formula(AggregateKind.SUM, (part,))))
    for i, key in enumerate(layout.keys):
        part = Part(key.population, none, ())
        formula = Formula(AggregateKind.COUNT_DISTINCT, (part,), key=i)
        found.append(Family("key", i, key.population, formula))
    return found


def shows_all(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    parameters: DisclosureParameters,
    margins: Margins,
) -> bool:
    """Say whether the primary rules withhold nothing of a block, and so of none of its margins either.

    False also where that does not follow: a sensitive label may stand alone at a coarser level only, and totals of a
    unit with two signs may cancel. Else a rule that some cells pass is passed by their union: numbers of units only
    grow, and what the p % rule and dominance compare is subadditive.

    Source: L. H. Cox, Linear sensitivity measures in statistical disclosure control (1981).

    Reveals:
        Nothing: the caller decides what leaves.
    """
    if margins.sensitive or any(
        (each.total != each.absolute).any() for each in measured.evidence.magnitudes
    ):
        return False
    builder = _Builder(cell, layout, parameters, margins, [()] * len(cell.dimensions))
    marks = builder.side((0,) * len(cell.dimensions), measured).marks
    return all(mark is None for mark in marks.flat)


def cube_of(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    parameters: DisclosureParameters,
    margins: Margins,
) -> Cube:
    """Measure a block's margins.

    Raises:
        LimitError: L002 more cells than can be judged.
        SourceError: S003 the source's data changed between two statements.
        MiddleplatformError: What the source's failure maps to.

    Reveals:
        Nothing: the caller decides what leaves.
    """
    labels = [measured.table[item.name].to_pylist() for item in cell.dimensions]
    levels = [
        levels_of(item, column, cell, margins.catalog)
        for item, column in zip(cell.dimensions, labels, strict=True)
    ]
    keys: Keys = list(zip(*labels, strict=True)) if labels else [()]
    builder = _Builder(cell, layout, parameters, margins, levels)
    vectors = list(product(*(range(len(each) + 2) for each in levels)))
    vectors.sort(key=lambda vector: (-sum(vector), vector))
    sides: dict[Vector, Side] = {}
    places: dict[Vector, dict[tuple[Value, ...], int]] = {}
    total = measured.table.num_rows
    for vector in vectors:
        if any(vector):
            found, own = builder.measured(vector)
            total += len(own)
        else:
            found, own = measured, keys
        if total > CELLS_MAX:
            raise LimitError("L002", limit=CELLS_MAX, detail="a table with its margins")
        sides[vector] = builder.side(vector, found)
        places[vector] = {key: row for row, key in enumerate(own)}
    links = {
        (vector, upper): _links(keys, builder, places, vector, upper)
        for vector in vectors
        for upper in _steps(vector, vectors[0])
    }
    return Cube(sides, links)


def _steps(vector: Vector, top: Vector) -> list[Vector]:
    """Return the combinations that are one step coarser in one dimension."""
    return [
        (*vector[:index], vector[index] + 1, *vector[index + 1 :])
        for index in range(len(vector))
        if vector[index] < top[index]
    ]


def _links(
    keys: Keys,
    builder: "_Builder",
    places: dict[Vector, dict[tuple[Value, ...], int]],
    vector: Vector,
    upper: Vector,
) -> list[Link]:
    parts: dict[int, dict[int, None]] = {}
    try:
        for key in keys:
            total = places[upper][builder.raised(key, upper)]
            parts.setdefault(total, {})[places[vector][builder.raised(key, vector)]] = None
    except KeyError:
        raise builder.changed() from None
    if len(parts) != len(places[upper]):
        raise builder.changed()
    return [Link(total, tuple(inside)) for total, inside in sorted(parts.items())]


@dataclass(frozen=True)
class _Builder:
    cell: CellQuery
    layout: Layout
    parameters: DisclosureParameters
    margins: Margins
    levels: Sequence[Sequence[Level]]

    def raised(self, key: tuple[Value, ...], vector: Vector) -> tuple[Value, ...]:
        """Return a cell's labels at coarser levels; a dimension that is left out has none."""
        return tuple(
            label if not step else levels[step - 1].of[label]
            for label, step, levels in zip(key, vector, self.levels, strict=True)
            if step <= len(levels)
        )

    def measured(self, vector: Vector) -> tuple[Measured, Keys]:
        """Run one combination."""
        kept: list[Dimension] = []
        types = []
        for index, (item, step) in enumerate(zip(self.cell.dimensions, vector, strict=True)):
            if step > len(self.levels[index]):
                continue
            expression = self.levels[index][step - 1].expression if step else item.expression
            kept.append(Dimension(item.name, expression))
            types.append(self.layout.labels[index])
        cell = replace(self.cell, dimensions=tuple(kept))
        layout = replace(self.layout, labels=tuple(types))
        found = self.margins.source.measure(cell, layout)
        columns = [found.table[item.name].to_pylist() for item in kept]
        return found, list(zip(*columns, strict=True)) if columns else [()]

    def side(self, vector: Vector, found: Measured) -> Side:
        """Apply the primary rules to one combination, to each family's plainest aggregate."""
        layout = replace(
            self.layout, formulas=tuple(family.formula for family in families_of(self.layout))
        )
        marks = disclose(layout, found.evidence, self.parameters)
        names = [
            item.name
            for item, step, levels in zip(self.cell.dimensions, vector, self.levels, strict=True)
            if step <= len(levels)
        ]
        if self.parameters.homogeneity and self.parameters.min_units > 1 and names:
            sensitive = [name for name in self.margins.sensitive if name in names]
            alone = single_sensitive(found.table.select(names), sensitive)
            marks[alone[:, None] & (marks == None)] = "homogeneity"  # noqa: E711 - of an array
        return Side(found.evidence, marks)

    def changed(self) -> SourceError:
        """Return the error of a table whose margins do not add up."""
        department = getattr(self.margins.source, "department", "")
        return SourceError(
            "S003", department=department, detail="data changed between two statements"
        )
