"""What the history sees of a private join: the filtered rows of the own side, as if they were counted.

Which of them match is known to nobody; so the whole filtered set is compared with what was released before, and kept,
before the list leaves. Spec: docs/spec/private-join.md, "History"; docs/spec/disclosure.md, "History".
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from middleplatform.errors import DisclosureError
from middleplatform.model.join import Side
from middleplatform.model.query import (
    Affine,
    Aggregate,
    AggregateKind,
    CellQuery,
    Piece,
)
from middleplatform.node.measure import Source, Sources
from middleplatform.node.service import Node, Task
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


def check_population(node: Node, task: Task, side: Side, source: Source | Sources) -> None:
    """Compare the side's rows with what was released before, and keep them.

    Args:
        node: Whose history.
        task: A private join.
        side: The own one.
        source: Ends its statements when nobody waits.

    Raises:
        DisclosureError: D010 where they differ from an earlier population by fewer than k units, or would show one
            that was withheld.

    Reveals:
        To the gateway: that this is so; not from which population, or by how many.
    """
    parameters = task.decision.disclosure
    if not parameters.history:
        return
    # Read back as a fragment of its own: the text is what other statements over the same rows have.
    cell, _ = read_fragment(fragment(rows_of(task, side)), node.catalog)
    layout = layout_of(cell, node.catalog)
    measured = source.measure(cell, layout)
    marks = np.full((1, 1), None, dtype=object)
    overlap = node.overlap(task, source)
    overlap.check(cell, layout, measured, marks, node.moment())
    if marks[0, 0] is not None:
        raise DisclosureError("D010", rule="R14")
