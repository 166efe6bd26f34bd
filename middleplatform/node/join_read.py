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

__all__ = ["First", "SideReader", "SideRows", "any_twice"]

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


@dataclass(frozen=True, eq=False)
class First:
    """What a side's first statement gave.

    Attributes:
        table: Rows of ``planner.side_statement``.
        as_they_lie: Whether duplicate registrations, if there are any, were left in.
    """

    table: pa.Table
    as_they_lie: bool = False


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

    def first(self, task: Task, side: Side, source: Source | Sources) -> First:
        """Return what is read first: it hangs on no key, so it can be read before the parties have agreed.

        Args:
            task: A private join.
            side: The own one.
            source: Ends its statements when nobody waits.

        Raises:
            LimitError: L005 more rows than policy lets a private join have.
            SourceError: The source failed.

        Reveals:
            Nothing: what is read stays here.
        """
        plan = task.join
        assert plan is not None, "a private join has a plan"
        (dataset, *_) = datasets_in(side.rows)
        hopeful = plan.protocol is not JoinProtocol.BLINDED and dataset not in self._doubled
        if not hopeful or not shows_doubles(side, self._node.catalog):
            return First(self._table(task, side, source))
        try:
            return First(self._table(task, side, source, doubles=True), as_they_lie=True)
        except LimitError as error:
            if error.code == "L003":  # nobody waits any more
                raise
            # Rows that are too many may be fewer without doubles.
            return First(self._table(task, side, source))

    def read(
        self, task: Task, side: Side, source: Source | Sources, party: JoinParty, first: First
    ) -> SideRows:
        """Return the rows of a side.

        Args:
            task: A private join.
            side: The own one.
            source: Ends its statements when nobody waits.
            party: Whose label key is known.
            first: What ``first`` gave.

        Raises:
            LimitError: L005 more rows than policy lets a private join have.
            SourceError: The source failed.
            ProtocolError: X004 an identifier is too long.

        Reveals:
            As the module says.
        """
        plan, table = task.join, first.table
        assert plan is not None, "a private join has a plan"
        if plan.protocol is JoinProtocol.BLINDED:
            return SideRows(table, np.zeros((0, TOKEN_BYTES), dtype=np.uint8))
        tokens = party.tokens(table["k"], plan.unit)
        if not first.as_they_lie or not any_twice(tokens):
            return SideRows(table, tokens)
        self._doubled.add(datasets_in(side.rows)[0])
        table = self._table(task, side, source)
        return SideRows(table, party.tokens(table["k"], plan.unit))

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
        if table.num_rows > task.bundle.limits.join_rows_max:
            raise LimitError("L005", limit=task.bundle.limits.join_rows_max)
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
