"""The statement that a department runs for its side of a private join, and what its node makes of the rows.

Columns of the statement, one list row a (key, own dimensions):

- ``k``: the key, normalised; never missing: rows without a key take no part, on any side.
- ``d{i}``: each own dimension, ``i`` its number in the cell (``Side.dimensions``).
- ``u{j}``: each second key, ``j`` its number in ``Layout.keys`` (``Side.keys``); may be missing.
- ``rows_0``: table rows of the list row, int64, at least 1; ``rows_p`` for each own population, int64.
- ``sum_s`` (decimal128(38, scale), missing where no row is in its population) and ``sq_s``
  (decimal128(38, 2 * scale)) for each own sum and squared sum.

Everything else of ``Side.words`` follows from these: see ``word_columns``.

Spec: docs/spec/private-join.md.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.model.catalog import Catalog, ColumnType
from middleplatform.model.join import JoinPlan
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames
from middleplatform.model.plan import Layout
from middleplatform.model.query import CellQuery, Value
from middleplatform.planner.evidence import Statement

__all__ = ["check_side", "missing_labels", "side_reads", "side_statement", "word_columns"]


def side_statement(
    cell: CellQuery,
    layout: Layout,
    plan: JoinPlan,
    side: int,
    catalog: Catalog,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement of kind ``rows`` that gives a side's list rows; they stay inside the node."""
    raise NotImplementedError


def side_reads(
    layout: Layout, plan: JoinPlan, side: int, catalog: Catalog
) -> tuple[tuple[str, str, ColumnType], ...]:
    """Return every (dataset, column, type) that a side's statement reads, sorted: ``Layout.reads`` of the side."""
    raise NotImplementedError


def missing_labels(
    cell: CellQuery, layout: Layout, plan: JoinPlan, side: int
) -> tuple[Value, ...]:
    """Return the own labels of rows that found no match on an outer-joined side, in order of ``Side.dimensions``.

    Of the same Python types as ``Table.to_pylist`` gives for the statement's ``d{i}``.
    """
    raise NotImplementedError


def word_columns(plan: JoinPlan, side: int, table: pa.Table) -> npt.NDArray[np.uint64]:
    """Return the words of a side's list rows in two's complement, shape (rows, limbs in all), in order of ``Side.words``.

    Raises:
        ProtocolError: X004 where totals of the side could leave 63 bits.
    """
    raise NotImplementedError


def check_side(plan: JoinPlan, department: str, catalog: Catalog) -> int:
    """Return the number of the department's side, after checking that it holds every dataset that the side reads.

    Raises:
        ProtocolError: X003 where it does not.
    """
    raise NotImplementedError
