"""The rows of a department's own side of a private join, each registration once, with the tokens of their keys.

To leave duplicate registrations out is what costs an engine most, and hardly a table has any. So where one would show
as a key that stands twice (``planner.side_statement.shows_doubles``) rows are read as they lie and their tokens looked
through; where two are equal, the engine leaves duplicates out after all, and from then on at once.

Reveals:
    Nothing: tokens and rows stay here until the list is sent. How long a node takes tells who waits for it whether a
    table has duplicate registrations at all.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.crypto.join_party import JoinParty
from middleplatform.errors import LimitError
from middleplatform.model.join import JoinProtocol, Side
from middleplatform.model.physical import PhysicalNames
from middleplatform.node.join_population import rows_of
from middleplatform.node.measure import Source, Sources
from middleplatform.node.service import Node, Task
from middleplatform.planner.evidence import Statement
from middleplatform.planner.join_sides import datasets_in
from middleplatform.planner.layout import layout_of
from middleplatform.planner.side_statement import (
    doubles_statement,
    shows_doubles,
    side_reads,
    side_statement,
)
from middleplatform.wire.join_lists import TOKEN_BYTES

__all__ = ["SideReader", "SideRows", "any_twice"]

Tokens = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SideRows:
    """What a side's statement gave.

    Attributes:
        table: Rows of ``planner.side_statement``, duplicate registrations left out.
        tokens: Of their keys, shape (rows, 16); under the blinded protocol none: (0, 16).
    """

    table: pa.Table
    tokens: Tokens


class SideReader:
    """Reads the rows of own sides; safe between threads.

    Args:
        node: Whose.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._doubled: set[str] = (
            set()
        )  # datasets that had duplicates: a hint, which costs time where it is wrong

    def read(self, task: Task, side: Side, source: Source | Sources, party: JoinParty) -> SideRows:
        """Return the rows of a side.

        Args:
            task: A private join.
            side: The own one.
            source: Ends its statements when nobody waits.
            party: Whose label key is known.

        Raises:
            LimitError: L005 more rows than policy lets a private join have.
            SourceError: The source failed.
            ProtocolError: X004 an identifier is too long.

        Reveals:
            As the module says.
        """
        plan = task.join
        assert plan is not None, "a private join has a plan"
        if plan.protocol is JoinProtocol.BLINDED:
            table = self._table(task, side, source)
            return SideRows(table, np.zeros((0, TOKEN_BYTES), dtype=np.uint8))
        (dataset, *_) = datasets_in(side.rows)
        if dataset not in self._doubled and shows_doubles(side, self._node.catalog):
            found = self._as_they_lie(task, side, source, party)
            if found is not None:
                return found
            self._doubled.add(dataset)
        table = self._table(task, side, source)
        return SideRows(table, party.tokens(table["k"], plan.unit))

    def _as_they_lie(
        self, task: Task, side: Side, source: Source | Sources, party: JoinParty
    ) -> SideRows | None:
        """Return the rows with duplicates left in, if there are none; rows that are too many may be fewer without."""
        assert task.join is not None, "a private join has a plan"
        try:
            table = self._table(task, side, source, doubles=True)
        except LimitError as error:
            if error.code == "L003":  # nobody waits any more
                raise
            return None
        tokens = party.tokens(table["k"], task.join.unit)
        return None if any_twice(tokens) else SideRows(table, tokens)

    def _table(
        self, task: Task, side: Side, source: Source | Sources, *, doubles: bool = False
    ) -> pa.Table:
        plan, catalog = task.join, self._node.catalog
        assert plan is not None, "a private join has a plan"
        cell = rows_of(task, side)
        reads = side_reads(task.layout, plan, side.number, catalog)
        layout = replace(layout_of(cell, catalog), reads=reads)

        def write(dialect: str, names: PhysicalNames) -> Statement:
            statement = doubles_statement if doubles else side_statement
            return statement(task.cell, task.layout, plan, side.number, catalog, dialect, names)

        table = source.rows(cell, layout, write)
        if table.num_rows > self._node.bundle.limits.join_rows_max:
            raise LimitError("L005", limit=self._node.bundle.limits.join_rows_max)
        return table


def any_twice(tokens: Tokens) -> bool:
    """Say whether two tokens may be equal: their first halves are.

    Args:
        tokens: Shape (rows, 16), none missing.

    Returns:
        False only where all differ; that different ones agree in their first half is as likely as a guessed key.

    Reveals:
        Nothing.
    """
    halves = np.ascontiguousarray(tokens).view(np.uint64)[:, 0].copy()
    halves.sort()
    return bool((halves[1:] == halves[:-1]).any())
