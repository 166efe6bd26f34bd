"""What leaves a node of a measured block: labels, the words of what is released, and a mark for the rest.

A word leaves only in cells where an aggregate that is released reads it. Evidence (unit totals, complements) never
leaves.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from middleplatform.disclosure.disclose import Marks
from middleplatform.disclosure.evidence import Flags
from middleplatform.model.catalog import Use
from middleplatform.model.plan import Layout
from middleplatform.model.policy import Bundle
from middleplatform.model.query import (
    Aggregate,
    Boolean,
    CellQuery,
    Compare,
    Field,
    Predicate,
    RowExpression,
    Table,
)
from middleplatform.node.measure import Measured
from middleplatform.policy import evaluate
from middleplatform.sql.extract import fields
from middleplatform.sql.rename import relations

__all__ = ["released_cells", "sensitive_dimensions", "sensitivity"]


def released_cells(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    marks: Marks,
    sensitive: tuple[str, ...],
    telling: Flags,
) -> pa.Table:
    """Return what may leave, one row a cell, in the order of the labels that are shown.

    Args:
        cell: The release block.
        layout: Its layout.
        measured: Its cells.
        marks: Shape (cells, aggregates).
        sensitive: Names of the dimensions whose values are sensitive.
        telling: Cells whose sensitive labels would disclose, shape (cells,).

    Returns:
        Columns: ``d*`` labels (null where the label itself would disclose), ``ml`` (reason why a label is withheld),
        the word columns of ``Layout.words`` (null where withheld), ``m*`` marks, one an aggregate.

    Reveals:
        To the gateway: this table.
    """
    hidden = telling
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
    table = pa.table(columns)
    order = [(item.name, "ascending") for item in cell.dimensions]
    return table.sort_by(order) if order else table


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


def sensitivity(bundle: Bundle) -> Callable[[str, str], bool]:
    """Return what says of (dataset, column) whether a bundle keeps its values from being told by themselves.

    Reveals:
        Nothing.
    """

    def sensitive(dataset: str, column: str) -> bool:
        uses = evaluate.column_rule(bundle, dataset, column).uses
        return bool(uses & {Use.SENSITIVE_DIMENSION, Use.MEASURE}) and Use.DIMENSION not in uses

    return sensitive


def sensitive_dimensions(
    cell: CellQuery, is_sensitive: Callable[[str, str], bool], *, pinned: bool
) -> tuple[str, ...]:
    """Return the names of the dimensions made of sensitive columns.

    Args:
        cell: The release block.
        is_sensitive: Says of (dataset, column) whether its values are.
        pinned: Include dimensions whose column the statement's WHERE fixes to one value.

    Reveals:
        Nothing.
    """
    known = {relation.alias: relation for relation in relations(cell.rows)}
    fixed = set(_pinned(cell.rows.where))

    def sources(target: Field) -> Iterator[Field]:
        relation = known[target.relation]
        if isinstance(relation, Table):
            yield target
            return
        content = next(column.content for column in relation.columns if column.name == target.name)
        if isinstance(content, Aggregate):
            operands = [term.operand for piece in content.pieces for term in piece.value.terms]
            found = [inner for operand in operands for inner in fields(operand)]
        else:
            found = list(fields(content))
        for inner in found:
            yield from sources(inner)

    def sensitive(expression: RowExpression) -> bool:
        for item in fields(expression):
            if item in fixed and not pinned:
                continue
            for source in sources(item):
                table = known[source.relation]
                if isinstance(table, Table) and is_sensitive(table.dataset, source.name):
                    return True
        return False

    return tuple(item.name for item in cell.dimensions if sensitive(item.expression))


def _pinned(where: Predicate | None) -> Iterator[Field]:
    parts = where.operands if isinstance(where, Boolean) and where.op == "and" else (where,)
    for part in parts:
        if isinstance(part, Compare) and part.op == "=" and isinstance(part.left, Field):
            yield part.left
