"""Stage 4: who answers which release block, by which protocol, and what is asked of them.

Each fragment is written as text and read back before it is used, so that both sides work from the same words, and
the facts that are judged again are the facts of what is really sent.
"""

from collections.abc import Sequence
from functools import lru_cache

from sqlglot import exp

from middleplatform.errors import QueryError, SourceError
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Layout, Plan
from middleplatform.model.policy import Limits
from middleplatform.model.query import CellQuery, QualifiedQuery, QueryFacts
from middleplatform.planner.layout import KnownCatalog, layout_of
from middleplatform.planner.rewrite import apply_obligations
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify
from middleplatform.sql.render import fragment

__all__ = ["FRAGMENT_LIMITS", "make_plan", "read_fragment"]

FRAGMENT_LIMITS = Limits(sql_characters_max=400_000, depth_max=1_200, joins_max=64)
"""Bounds on a fragment's text: wider than an analyst's, since rewriting makes it longer; one set for every reader."""


def make_plan(query: QualifiedQuery, decision: Decision, catalog: Catalog, limits: Limits) -> Plan:
    """Plan a permitted statement.

    Raises:
        QueryError: Q004 too many joins once written out, Q030 rows of several departments would have to be
            joined, Q031 no protocol answers the form.
        SourceError: S011 a column is registered but not connected.
    """
    assert decision.permit, "only a permitted statement is planned"
    blocks = tuple(_block(cell, decision, catalog, limits) for cell in query.cells)
    protocols = sorted({block.protocol for block in blocks}) or ["released"]
    return Plan(
        blocks=blocks,
        post_sql=query.post.sql("duckdb", comments=False),
        outputs=query.outputs,
        notes=tuple(duty.told for duty in decision.obligations),
        protocol="+".join(protocols),
        folds=query.post.find(exp.Window, exp.AggFunc) is not None,
    )


def read_fragment(
    sql: str, catalog: Catalog, limits: Limits = FRAGMENT_LIMITS
) -> tuple[CellQuery, QueryFacts]:
    """Read a fragment's text back as one release block with its facts.

    Raises:
        QueryError: It is not exactly one release block.
    """
    return _read(sql, KnownCatalog(catalog), limits)


@lru_cache(maxsize=1024)
def _read(sql: str, known: KnownCatalog, limits: Limits) -> tuple[CellQuery, QueryFacts]:
    """Read a fragment; the same text means the same under the same catalogue."""
    query = qualify(parse(sql, limits), known.catalog)
    if len(query.cells) != 1:
        raise QueryError(
            "Q010",
            rule="R0",
            what=("a fragment that is not one release block", "不是单个发布块的片段"),
        )
    return query.cells[0], query.facts


def _block(cell: CellQuery, decision: Decision, catalog: Catalog, limits: Limits) -> Block:
    governed = apply_obligations(cell, decision.obligations)
    text = fragment(governed)
    read, facts = read_fragment(text, catalog)
    if facts.joins > limits.joins_max:
        # A subquery that is named several times joins as often.
        raise QueryError("Q004", rule="R0", limit=limits.joins_max)
    departments = _departments(facts.datasets, catalog)
    _check_connected(facts, catalog)
    layout = layout_of(read, catalog)
    protocol = "local" if len(departments) == 1 else "secure_sum"
    if protocol == "secure_sum":
        _check_additive(layout)
    return Block(read, cell.name, layout, departments, protocol, text, facts)


def _departments(datasets: Sequence[str], catalog: Catalog) -> tuple[str, ...]:
    """Return who holds the rows of a block: one department, or all that hold parts of its tables."""
    holders = {catalog.datasets[name].held_by for name in datasets}
    if len(holders) != 1:
        names = ", ".join(sorted({department for held in holders for department in held}))
        raise QueryError("Q030", rule="R10", departments=names)
    return tuple(sorted(holders.pop()))


def _check_connected(facts: QueryFacts, catalog: Catalog) -> None:
    for use in facts.uses:
        if use.column != "*" and not catalog.datasets[use.dataset].columns[use.column].held:
            raise SourceError("S011", name=f"{use.dataset}.{use.column}")
    for name in facts.datasets:
        if not catalog.datasets[name].held_by:
            raise SourceError("S011", name=name)


def _check_additive(layout: Layout) -> None:
    """A unit's rows all lie in one part; nothing is known of other keys, so their distinct counts do not add up."""
    if layout.keys or layout.others:
        raise QueryError(
            "Q031",
            rule="R5",
            what=(
                "a distinct count of another unit over several departments",
                "跨多个部门对其他单元去重计数",
            ),
        )
