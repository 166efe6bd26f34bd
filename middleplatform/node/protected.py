"""Secondary suppression of a measured block (method ``table``).

The attacker knows every margin of the block that can be asked for: over each subset of its dimensions, at each level of
a hierarchy. Margins are judged coarsest first, each by what is coarser, so that a later question for one of them
withholds the same cells; what is finer adds to what is withheld.

Spec: docs/spec/disclosure.md, "Exact tables".
"""

from dataclasses import dataclass

import numpy as np

from middleplatform.disclosure.disclose import Marks
from middleplatform.disclosure.evidence import CellEvidence, Exact, Flags
from middleplatform.disclosure.secondary import Covered, protection, secondary, share
from middleplatform.disclosure.table_attack import NO_BOUND, Needs, Probe, Relation, Table, Whole
from middleplatform.model.plan import Formula, Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import AggregateKind, CellQuery
from middleplatform.node.measure import Measured
from middleplatform.node.table_cube import (
    Cube,
    Family,
    Margins,
    Side,
    cube_of,
    families_of,
    shows_all,
)

__all__ = ["Margins", "protect"]

Vector = tuple[int, ...]


def protect(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    marks: Marks,
    parameters: DisclosureParameters,
    margins: Margins,
) -> None:
    """Mark further values until no withheld one can be told more closely than policy says; changes ``marks``.

    Args:
        cell: The release block.
        layout: Its layout.
        measured: Its cells.
        marks: Of the primary rules, shape (cells, aggregates); changed in place.
        parameters: Of the policy.
        margins: To measure its margins.

    Raises:
        LimitError: L002 more cells than can be judged.
        MiddleplatformError: As ``cube_of``.

    Reveals:
        Nothing: the caller decides what leaves.
    """
    if not measured.evidence.cells:
        return  # a table without a cell withholds none
    if shows_all(cell, layout, measured, parameters, margins):
        return
    families = families_of(layout)
    cube = cube_of(cell, layout, measured, parameters, margins)
    judged: list[_Judged] = []
    for number, family in enumerate(families):
        outer = _outer(judged, families, family)
        judged.append(_Pattern(layout, parameters, cube, family, number, outer).judged())
    bottom = (0,) * len(cell.dimensions)
    _one_with_another(layout, families, judged, bottom)
    for column, formula in enumerate(layout.formulas):
        for family, found in zip(families, judged, strict=True):
            if _reads(formula, family):
                _mark(marks[:, column], found.hidden[bottom], whole=bottom in found.whole)


def _mark(column: Marks, hidden: Flags, *, whole: bool) -> None:
    """Mark what is withheld besides; where all of a table is, one mark for all, since the others would tell."""
    for row in np.flatnonzero(hidden):
        if whole or column[row] is None:
            column[row] = "secondary"


def _reads(formula: Formula, family: Family) -> bool:
    """Say whether an aggregate tells a family's words: those that it is put together from, rows included."""
    if family.kind == "key":
        return formula.kind is AggregateKind.COUNT_DISTINCT and formula.key == family.number
    if family.kind == "count":
        other_key = formula.kind is AggregateKind.COUNT_DISTINCT and formula.key >= 0
        return not other_key and any(part.population == family.number for part in formula.parts)
    return any(number == family.number for part in formula.parts for _, number in part.terms)


@dataclass
class _Judged:
    """What is withheld of one family, by combination of levels; and the combinations that are withheld as a whole."""

    hidden: dict[Vector, Flags]
    whole: set[Vector]


def _outer(judged: list[_Judged], families: list[Family], family: Family) -> _Judged | None:
    """Return the family that a family's values are never shown without: of a sum its rows, of a condition the cell."""
    if family.kind == "count":
        return judged[0] if family.number else None
    number = next(
        index for index, each in enumerate(families)
        if each.kind == "count" and each.number == family.population
    )  # fmt: skip
    return judged[number]


def _one_with_another(
    layout: Layout, families: list[Family], judged: list[_Judged], bottom: Vector
) -> None:
    """Withhold all conditions of a cell together: that they add up to the cell may be known."""
    strict = [
        found
        for family, found in zip(families, judged, strict=True)
        if layout.populations[family.population].strict
    ]
    if strict:
        counts = [
            found.hidden[bottom]
            for family, found in zip(families, judged, strict=True)
            if family.kind == "count" and layout.populations[family.population].strict
        ]
        any_hidden = np.logical_or.reduce(counts)
        for found in strict:
            found.hidden[bottom] = found.hidden[bottom] | any_hidden


@dataclass
class _Word:
    """One number of every cell of one combination: its value, what is known beforehand, and what it needs."""

    values: Exact
    least: Exact
    most: Exact
    width: Exact
    above: Exact
    wish: Exact


class _Pattern:
    """Chooses what is withheld of one family in every combination of levels."""

    def __init__(
        self,
        layout: Layout,
        parameters: DisclosureParameters,
        cube: Cube,
        family: Family,
        number: int,
        outer: _Judged | None,
    ) -> None:
        self._layout, self._parameters, self._cube = layout, parameters, cube
        self._family, self._number, self._outer = family, number, outer
        self._found = _Judged({}, set())
        self._words: dict[Vector, list[_Word]] = {}

    def judged(self) -> _Judged:
        """Judge every combination, coarsest first."""
        for vector, side in self._cube.sides.items():
            primary = np.array(
                [mark is not None for mark in side.marks[:, self._number]], dtype=np.bool_
            )
            if self._outer is not None:
                primary |= self._outer.hidden[vector]
            self._found.hidden[vector] = primary
            self._words[vector] = self._words_of(vector, side)
            whole = self._outer is not None and vector in self._outer.whole
            if whole or not self._protected(vector):
                self._withhold(vector)
        return self._found

    # --- one combination ------------------------------------------------------------------------------------------

    def _protected(self, vector: Vector) -> bool:
        """Withhold what is needed of one combination; say whether everything withheld is protected then."""
        system = self._cube.above(vector)
        covered = self._covered(system)
        places = np.concatenate(
            [np.full(len(self._found.hidden[each]), each == vector) for each in system]
        )
        numbers = range(2 if self._same(system) else len(self._words[vector]))
        tables = [self._table(system, index) for index in numbers]
        fine, turn = 0, 0
        while fine < len(tables):
            table, needs = tables[turn % len(tables)]
            hidden = np.concatenate([self._found.hidden[each] for each in system])
            if not hidden.any():
                break
            found, lacking = secondary(table, hidden, places, needs, covered)
            self._found.hidden[vector] = found[places]
            if lacking.any():
                return False
            fine, turn = fine + 1 if (found == hidden).all() else 1, turn + 1
        return True

    def _withhold(self, vector: Vector) -> None:
        """Withhold one combination as a whole, under one mark; of the rest no more can be asked than there is left."""
        self._found.whole.add(vector)
        self._found.hidden[vector] = np.ones_like(self._found.hidden[vector])
        self._words[vector] = self._words_of(vector, self._cube.sides[vector])
        system = self._cube.above(vector)
        for index in range(len(self._words[vector])):
            table, needs = self._table(system, index)
            probe = Probe(table, needs)
            probe.look(np.concatenate([self._found.hidden[each] for each in system]))
            begin = 0
            for each in system:
                word = self._words[each][index]
                end = begin + len(word.values)
                reached = (probe.high - probe.low)[begin:end].astype(object) * probe.step
                word.width = np.minimum(word.width, reached)
                word.above = np.minimum(
                    word.above, probe.high[begin:end].astype(object) * probe.step
                )
                begin = end

    def _same(self, system: list[Vector]) -> bool:
        """Say whether rows and units are the same numbers: then one search serves both."""
        return self._family.kind == "count" and all(
            (self._words[each][0].values == self._words[each][-1].values).all() for each in system
        )

    # --- tables ---------------------------------------------------------------------------------------------------

    def _table(self, system: list[Vector], index: int) -> tuple[Table, Needs]:
        words = [self._words[each][index] for each in system]

        def joined(name: str) -> Exact:
            return np.concatenate([getattr(word, name) for word in words])

        values = joined("values")
        table = Table(values, joined("least"), joined("most"), self._relations(system, values))
        return table, Needs(joined("width"), joined("above"), joined("wish"))

    def _relations(self, system: list[Vector], values: Exact) -> list[Relation]:
        begins: dict[Vector, int] = {}
        begin = 0
        for each in system:
            begins[each] = begin
            begin += len(self._found.hidden.get(each, self._cube.sides[each].marks))
        found = []
        for (vector, upper), links in self._cube.links.items():
            if vector not in begins:
                continue
            for link in links:
                total = begins[upper] + link.total
                parts = tuple(begins[vector] + part for part in link.parts)
                equal = sum(values[part] for part in parts) == values[total]
                found.append(Relation(total, parts, equal=bool(equal)))
        return found

    def _covered(self, system: list[Vector]) -> Covered:
        if self._family.kind == "key":
            return Covered(np.zeros(0, dtype=np.int64), 0)
        units = np.concatenate(
            [self._cube.sides[each].evidence.units[:, self._family.population] for each in system]
        )
        least = self._parameters.min_units
        return Covered(units, least, self._relations(system, units.astype(object)))

    # --- words ----------------------------------------------------------------------------------------------------

    def _words_of(self, vector: Vector, side: Side) -> list[_Word]:
        evidence, family = side.evidence, self._family
        if family.kind == "sum":
            return self._sums(evidence)
        if family.kind == "key":
            return self._counts(vector, side, evidence.keys[:, family.number], small=True)
        rows, units = evidence.rows[:, family.number], evidence.units[:, family.number]
        single = bool((rows == units).all())
        by_rows = self._counts(vector, side, rows, small=single)
        return by_rows + self._counts(vector, side, units, small=True)

    def _sums(self, evidence: CellEvidence) -> list[_Word]:
        magnitude = evidence.magnitudes[self._family.number]
        signed = bool((magnitude.total != magnitude.absolute).any())
        found = [
            self._magnitude(magnitude.total, protection(magnitude, self._parameters), signed=signed)
        ]
        if magnitude.squares is not None:
            none = np.zeros(len(magnitude.squares), dtype=object)
            found.append(self._magnitude(magnitude.squares, none, signed=False))
        return found

    def _magnitude(self, values: Exact, above: Exact, *, signed: bool) -> _Word:
        width = share(values, self._parameters.interval_percent)
        least = np.full(len(values), -NO_BOUND if signed else 0, dtype=object)
        most = np.full(len(values), NO_BOUND, dtype=object)
        return _Word(values, least, most, width, above, width)

    def _counts(self, vector: Vector, side: Side, counted: Whole, *, small: bool) -> list[_Word]:
        """Bound counts twice: for who reads marks (fewer than k, or k at least), and for who does not."""
        k, family = self._parameters.min_units, self._family
        values = counted.astype(object)
        mark = side.marks[:, self._number]
        whole = vector in self._found.whole
        told = np.array([each is not None for each in mark], dtype=np.bool_) | whole
        below = (mark == "threshold") & (values < k) & small & (not whole)
        base = int(not family.population)
        least = np.where(told, _exact(base), np.maximum(base, np.minimum(values, k)))
        most = np.where(below, _exact(k - 1), _exact(NO_BOUND))
        if family.population:
            inside = self._outer_shown(vector)
            rows = side.evidence.rows[:, 0].astype(object)
            rest = np.where(
                told, _exact(0), np.minimum(k, rows - side.evidence.rows[:, family.population])
            )
            most = np.where(inside, np.minimum(most, rows - np.minimum(rest, rows - values)), most)
            few = inside & (mark == "complement") & small & (not whole)
            least = np.where(few, np.maximum(base, rows - (k - 1)), least)
        least = np.minimum(least, values)
        width = share(values, self._parameters.interval_percent)
        wish = np.where(told & (k > 1), np.maximum(width, k - 1), width)
        width, wish = np.minimum(width, most - least), np.minimum(wish, most - least)
        none = np.zeros(len(values), dtype=object)
        # What is withheld for another's sake could have been shown: that marks tell more of it harms nobody.
        sensitive = np.where(told, width, none)
        by_marks = _Word(values, least, most, sensitive, none, np.where(told, wish, none))
        most = np.where(most == k - 1, _exact(NO_BOUND), most)
        return [by_marks, _Word(values, none, most, width, none, width)]

    def _outer_shown(self, vector: Vector) -> Flags:
        assert self._outer is not None, "a condition lies within its cell"
        return ~self._outer.hidden[vector]


def _exact(value: int) -> Exact:
    return np.array(value, dtype=object)
