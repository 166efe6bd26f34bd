"""What leaves a node of a measured block: labels, the words of what is released, and a mark for the rest.

A word leaves only in cells where an aggregate that is released reads it. Evidence (unit totals, complements) never
leaves.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from middleplatform.disclosure.disclose import Marks, small_cells
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import CellQuery, Field, Relation, RowExpression, Table
from middleplatform.node.measure import Measured
from middleplatform.sql.extract import fields

__all__ = ["released_cells", "sensitive_dimensions"]


def released_cells(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    marks: Marks,
    sensitive: tuple[str, ...],
    parameters: DisclosureParameters,
) -> pa.Table:
    """Return what may leave, one row a cell.

    Returns:
        Columns: ``d*`` labels (null where the label itself would disclose), ``ml`` (reason why a label is withheld),
        the word columns of ``Layout.words`` (null where withheld), ``m*`` marks, one an aggregate.

    Reveals:
        To the gateway: this table.
    """
    hidden = small_cells(measured.evidence, parameters)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for item in cell.dimensions:
        column = measured.table[item.name].combine_chunks()
        columns[item.name] = _blank(column, hidden) if item.name in sensitive else column
    masked = hidden if sensitive else np.zeros(len(hidden), dtype=np.bool_)
    columns["ml"] = pa.array(["threshold" if flag else None for flag in masked], pa.string())
    for name, needed in _needed(layout, marks).items():
        columns[name] = _blank(measured.table[name].combine_chunks(), ~needed)
    for index in range(len(layout.formulas)):
        columns[f"m{index}"] = pa.array(list(marks[:, index]), pa.string())
    return pa.table(columns)


def _needed(
    layout: Layout, marks: Marks
) -> dict[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """Return, for each word, the cells in which a released aggregate reads it."""
    needed: dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}
    for index, formula in enumerate(layout.formulas):
        free = np.array([mark is None for mark in marks[:, index]], dtype=np.bool_)
        for name in layout.words(formula):
            needed[name] = needed[name] | free if name in needed else free
    return needed


def _blank(
    column: pa.Array | pa.ChunkedArray, where: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pa.compute.if_else(pa.array(where), pa.scalar(None, column.type), column)


def sensitive_dimensions(
    cell: CellQuery, is_sensitive: Callable[[str, str], bool], *, filtered: bool
) -> tuple[str, ...]:
    """Return the names of the dimensions made of sensitive columns.

    Args:
        cell: The release block.
        is_sensitive: Says of (dataset, column) whether its values are.
        filtered: Include dimensions whose column the statement's WHERE restricts.

    Reveals:
        Nothing.
    """
    tables = {relation.alias: relation.dataset for relation in _tables(cell)}
    restricted = set(fields(cell.rows.where)) if cell.rows.where is not None else set()

    def sensitive(expression: RowExpression) -> bool:
        found: list[Field] = [item for item in fields(expression) if item.relation in tables]
        return any(
            is_sensitive(tables[item.relation], item.name) and (filtered or item not in restricted)
            for item in found
        )

    return tuple(item.name for item in cell.dimensions if sensitive(item.expression))


def _tables(cell: CellQuery) -> list[Table]:
    relations: list[Relation] = [cell.rows.first, *(join.relation for join in cell.rows.joins)]
    return [relation for relation in relations if isinstance(relation, Table)]
