"""The statement that counts a key's different values once they are brought to the form that the catalogue declares."""

from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from middleplatform.model.catalog import Catalog
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames
from middleplatform.model.query import Field, Rows, Table
from middleplatform.planner.column_types import columns_of, types_in
from middleplatform.planner.dialects import engine_sql
from middleplatform.planner.engine_sql import Scope
from middleplatform.planner.evidence import Statement
from middleplatform.planner.join_normal import prepared

__all__ = ["normal_count_statement"]

_ROWS = "t0"


def normal_count_statement(
    dataset: str,
    column: str,
    steps: tuple[str, ...],
    catalog: Catalog,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement of kind ``distinct`` for different normal forms of a column, missing ones left out.

    Normal forms are those of a private join (``join_normal``): what is counted here is what matches there.

    Args:
        dataset: Whose rows.
        column: A key of type text.
        steps: As ``Column.normalise``.
        catalog: That has both; its own ``normalise`` is not used.
        dialect: Of the connector; one without SQL has no such statement.
        names: Where they lie in the source.
    """
    known = catalog.datasets[dataset]
    declared = replace(known.columns[column], normalise=steps)
    told = replace(known, columns={column: declared}, rows_by=())
    of_one = replace(catalog, datasets={dataset: told})
    rows = Rows(Table(_ROWS, dataset))
    reads = {dataset: {column: declared.type}}
    types = types_in(rows, columns_of(of_one))
    engine = engine_sql(dialect, Scope(types, reads, names, prepared(of_one, [dataset])))
    count = exp.Count(this=exp.Distinct(expressions=[engine.row(Field(_ROWS, column))]))
    select = engine.rows_from(
        exp.Select(expressions=[exp.alias_(count, "keys", quoted=True, copy=False)]), rows
    )
    tree = {"dataset": dataset, "column": column, "normalise": list(steps)}
    result = pa.schema([("keys", pa.int64())])
    return Statement("distinct", select.sql(dialect, comments=False), tree, result)
