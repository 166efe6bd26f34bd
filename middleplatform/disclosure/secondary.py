"""Which further cells to withhold, so that no withheld value can be told more closely than policy says (R5).

Spec: docs/spec/disclosure.md, "Exact tables".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from middleplatform.disclosure.evidence import Exact, Flags, Magnitude
from middleplatform.disclosure.table_attack import Needs, Probe, Relation, Table, Whole, movement
from middleplatform.model.policy import DisclosureParameters

__all__ = ["Covered", "protection", "secondary", "share"]

_TRIM_MAX = 40
"""Cells that are tried to be shown again after all; each try is a search of its own, so fewer in a large table."""
_TRIM_CELLS = 40_000


@dataclass(frozen=True)
class Covered:
    """A rule beside the intervals: what is withheld under one shown total must cover enough units.

    Attributes:
        units: Distinct units of each cell, shape (cells,).
        least: How many what is withheld must cover together; 1 or less for no rule.
        relations: Between the units; where parts may share units, one part alone must cover enough.
    """

    units: Whole
    least: int
    relations: Sequence[Relation] = ()


def share(values: Exact, percent: int) -> Exact:
    """Return ``percent`` percent of each value without its sign, rounded up, and 1 at least where it is not zero.

    Reveals:
        Nothing: stays in the node.
    """
    return np.array(
        [max(min(1, abs(int(value))), -(-abs(int(value)) * percent // 100)) for value in values],
        dtype=object,
    )


def protection(magnitude: Magnitude, parameters: DisclosureParameters) -> Exact:
    """Return how far above the total the upper end of a magnitude's interval must lie.

    The largest unit must not be told more closely than the rule that withholds the cell would let it.

    Source: Handbook on Statistical Disclosure Control, chapter 4, table of upper protection levels.

    Reveals:
        Nothing: stays in the node.
    """
    total, top = magnitude.absolute, magnitude.top
    found = np.zeros(len(total), dtype=object)
    for number, percent in parameters.dominance:
        largest = top[:, :number].sum(axis=1)
        found = np.maximum(found, _up(100 * largest - percent * total, percent))
    if parameters.p_percent:
        rest = total - top[:, 0] - top[:, 1]
        found = np.maximum(found, _up(parameters.p_percent * top[:, 0] - 100 * rest, 100))
    return found


def _up(numerators: Exact, denominator: int) -> Exact:
    found = np.zeros(len(numerators), dtype=object)
    found[:] = [max(0, -(-int(each) // denominator)) for each in numerators]
    return found


def secondary(
    table: Table, hidden: Flags, open_cells: Flags, needs: Needs, covered: Covered
) -> tuple[Flags, Flags]:
    """Withhold further cells until every withheld one can move as far as it needs.

    For a cell that cannot, the cheapest move of the whole table that would let it is sought (cost of a cell: its
    value), and what moves in it is withheld. In the end those that turn out not to be needed are shown again.

    Args:
        table: With all its margins.
        hidden: What is withheld already.
        open_cells: What may be withheld besides.
        needs: Of each cell while it is withheld.
        covered: Units that what is withheld must cover under each shown total.

    Returns:
        What is withheld then, and which cells of it still cannot move far enough; no others, when it succeeds.

    Reveals:
        Nothing by itself: which cells are withheld shows, and an attacker may know how they are chosen.
    """
    probe = Probe(table, needs)
    found = hidden.copy()
    costs = np.array([float(abs(int(value))) + 1.0 for value in table.values])
    while True:
        _cover(found, open_cells, covered)
        lacking = probe.look(found)
        if not lacking.any():
            return _trimmed(table, found, hidden, probe, covered), lacking
        if probe.spent:
            return found, lacking
        if _extended(probe, found, lacking, open_cells, costs):
            continue
        probe.settle(lacking)
        lacking = probe.short(found)
        if lacking.any() and not _neighbors(table, found, lacking, open_cells):
            return found, lacking


def _extended(
    probe: Probe, found: Flags, lacking: Flags, open_cells: Flags, costs: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> bool:  # fmt: skip
    """Withhold what must move besides for the cells that lack room, largest first; say whether there was any."""
    before = int(found.sum())
    order = sorted(np.flatnonzero(lacking), key=lambda place: (-costs[place], place))
    for place in order:
        if probe.spent or not probe.short(found)[place]:
            continue
        own = int(found.sum())
        up = int(max(probe.above[place], min(probe.width[place], probe.up[place])))
        for sign in (1, -1):
            high = max(up, int(probe.high[place]))
            wanted = up if sign > 0 else int(probe.width[place]) - min(high, int(probe.up[place]))
            moving = None
            if wanted > 0:
                now = np.where(found, 0.0, np.where(open_cells, costs, np.inf))
                moving = movement(probe, int(place), wanted, now, sign)
            if moving is not None:
                found[moving] = True
        if int(found.sum()) == own:  # there is no more room for it than was found
            probe.settle(np.arange(len(found)) == place)
    return int(found.sum()) > before


def _neighbors(table: Table, found: Flags, lacking: Flags, open_cells: Flags) -> bool:
    """Withhold the smallest open cell beside each that lacks room; say whether there was one."""
    before = int(found.sum())
    for relation in table.relations:
        places = [*relation.parts, relation.total]
        if any(lacking[place] for place in places):
            free = [place for place in places if open_cells[place] and not found[place]]
            if free:
                found[min(free, key=lambda place: (abs(int(table.values[place])), place))] = True
    return int(found.sum()) > before


def _cover(found: Flags, open_cells: Flags, covered: Covered) -> None:
    """Withhold the smallest of a sum's parts, until those withheld under a shown total cover enough units."""
    again = covered.least > 1
    while again:
        again = False
        for relation in covered.relations:
            free = [part for part in relation.parts if open_cells[part] and not found[part]]
            if free and not _enough(relation, found, covered):
                found[min(free, key=lambda part: (int(covered.units[part]), part))] = True
                again = True


def _enough(relation: Relation, found: Flags, covered: Covered) -> bool:
    out = [part for part in relation.parts if found[part]]
    if found[relation.total] or not out:
        return True
    units = covered.units[out]
    return int(units.sum() if relation.equal else units.max()) >= covered.least


def _trimmed(table: Table, found: Flags, hidden: Flags, probe: Probe, covered: Covered) -> Flags:
    """Show again, largest first, what need not be withheld."""
    extra = np.flatnonzero(found & ~hidden)
    order = sorted(extra, key=lambda place: (-abs(int(table.values[place])), place))
    tries = min(_TRIM_MAX, _TRIM_CELLS // max(1, len(found)))
    for place in order[:tries]:
        if probe.spent:
            break
        found[place] = False
        fine = all(
            _enough(relation, found, covered)
            for relation in covered.relations
            if place in relation.parts
        )
        gone = probe.without(int(place))
        if not fine or probe.look(found, early=True).any():
            found[place] = True
            probe.take(gone)
    return found
