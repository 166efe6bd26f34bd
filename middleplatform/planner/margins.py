"""The statement above the release boundary with the margins of the aggregates that it shows as they are.

A margin is a column of the cells like another. What is computed above (ratios, windows, folded cells) has none.
"""

from collections.abc import Sequence
from functools import lru_cache

import sqlglot
from sqlglot import exp

__all__ = ["MARGIN", "with_margins"]

MARGIN = "__margin_"
"""Put before a column's name to name its margin."""


@lru_cache(maxsize=512)
def with_margins(
    post_sql: str, outputs: Sequence[str], names: Sequence[str]
) -> tuple[str, tuple[int, ...]]:
    """Return the statement with a margin and an empty mark for each output that is an aggregate of a cell.

    Args:
        post_sql: As planned: a value and a mark an output, DuckDB dialect.
        outputs: Their names.
        names: Of the cells' tables.

    Returns:
        The statement, and the places of the outputs whose margins follow, in their order.
    """
    tree = sqlglot.parse_one(post_sql, read="duckdb")
    if not isinstance(tree, exp.Select) or tree.args.get("distinct") or tree.args.get("group"):
        return post_sql, ()
    read = {table.alias_or_name: table.name for table in _tables(tree)}
    found: list[int] = []
    for place in range(len(outputs)):
        value = tree.expressions[2 * place].unalias()
        if not isinstance(value, exp.Column) or value.name[:1] != "a":
            continue
        if read.get(value.table) in names:
            margin = exp.column(f"{MARGIN}{value.name}", table=value.table, quoted=True)
            tree.append(
                "expressions", exp.alias_(margin, f"{MARGIN}{place}", quoted=True, copy=False)
            )
            empty = exp.cast(exp.null(), "TEXT", copy=False)
            tree.append(
                "expressions", exp.alias_(empty, f"__unmarked_{place}", quoted=True, copy=False)
            )
            found.append(place)
    return tree.sql("duckdb", comments=False), tuple(found)


def _tables(tree: exp.Select) -> list[exp.Table]:
    from_, joins = tree.args.get("from_"), tree.args.get("joins") or ()
    relations = [*([from_.this] if from_ is not None else []), *(join.this for join in joins)]
    return [relation for relation in relations if isinstance(relation, exp.Table)]
