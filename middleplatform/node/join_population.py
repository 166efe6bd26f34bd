"""What the history sees of a private join: the filtered rows of the own side, as if they were counted.

Which of them match is known to nobody; so what the side's own dimensions and conditions count is compared with what was
released before, cell by cell, and kept, before the list leaves. Cells of fewer than k units are not: no match of theirs
can be shown. Where none is left out, the cells add up to all rows, and these are compared too.
Spec: docs/spec/private-join.md, "History"; docs/spec/disclosure.md, "History".
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import DisclosureError
from middleplatform.model.join import Side
from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    CellQuery,
    Dimension,
    Piece,
)
from middleplatform.node.measure import Source, Sources
from middleplatform.node.service import Node, Task
from middleplatform.planner.evidence import condition_of
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.sql.render import fragment

__all__ = ["check_population", "rows_of"]

_COUNT = Aggregate(AggregateKind.COUNT, (Piece(None, Affine((), Fraction(1))),))


def rows_of(task: Task, side: Side) -> CellQuery:
    """Return a bare count of a side's rows.

    Reveals:
        Nothing: it follows from the fragment.
    """
    return replace(task.cell, rows=side.rows, dimensions=(), aggregates=(_COUNT,))


def _counted(task: Task, side: Side) -> CellQuery:
    """Return a count of a side's rows by its own dimensions, and one under each of its own conditions."""
    plan = task.join
    assert plan is not None, "a private join has a plan"
    own = [task.cell.dimensions[place].expression for place in side.dimensions]
    dimensions = tuple(Dimension(f"d{place}", item) for place, item in enumerate(own))
    conditions = [
        condition_of(task.layout.populations[p])
        for p, number in enumerate(plan.population_sides)
        if number == side.number and p
    ]
    under = [replace(_COUNT, condition=each) for each in dict.fromkeys(conditions) if each]
    return replace(rows_of(task, side), dimensions=dimensions, aggregates=(_COUNT, *under))


def _read(cells: CellQuery, node: Node) -> CellQuery:
    """Return a block read back as a fragment of its own: with the text that other statements over the rows have."""
    found, _ = read_fragment(fragment(cells), node.catalog)
    return found


def check_population(node: Node, task: Task, side: Side, source: Source | Sources) -> None:
    """Compare the side's rows with what was released before, and keep them.

    Args:
        node: Whose history.
        task: A private join.
        side: The own one.
        source: Ends its statements when nobody waits.

    Raises:
        DisclosureError: D010 where they, or a cell or condition of them, differ from an earlier population by fewer
            than k units, or would show one that was withheld.

    Reveals:
        To the gateway: that this is so; not from which population, or by how many.
    """
    if not task.decision.disclosure.history:
        return
    cell = _read(_counted(task, side), node)
    # Of a part of a table that several departments hold, small cells count as well: together they may be large.
    least = task.decision.disclosure.min_units if len(side.departments) == 1 else 0
    if _compared(node, task, cell, source, least) and cell.dimensions:
        _compared(node, task, _read(rows_of(task, side), node), source, least)


def _compared(
    node: Node, task: Task, cell: CellQuery, source: Source | Sources, least: int
) -> bool:
    """Compare and keep a block's cells of at least so many units; say whether these are all."""
    layout = layout_of(cell, node.catalog)
    measured = source.measure(cell, layout)
    marks: Marks = np.full((measured.evidence.cells, len(layout.formulas)), None, dtype=object)
    for column, formula in enumerate(layout.formulas):
        for number in {0, *[part.population for part in formula.parts]}:
            few = measured.evidence.units[:, number] < least
            marks[few, column] = "threshold"
    free = _free(marks)
    overlap = node.overlap(task, source)
    overlap.check(cell, layout, measured, marks, node.moment(), listed=True, least=least)
    if free != _free(marks):
        raise DisclosureError("D010", rule="R14")
    return all((row, 0) in free for row in range(len(marks)))


def _free(marks: Marks) -> set[tuple[int, int]]:
    return {place for place, mark in np.ndenumerate(marks) if mark is None}
