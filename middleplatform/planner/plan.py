"""Stage 4: who answers which release block, by which protocol, and what is asked of them.

Each fragment is written as text and read back before it is used, so that both sides work from the same words, and
the facts that are judged again are the facts of what is really sent.
"""

from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from middleplatform.errors import QueryError, SourceError
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Layout, Plan
from middleplatform.model.policy import Bundle, Limits
from middleplatform.model.query import CellQuery, QualifiedQuery, QueryFacts
from middleplatform.planner.join_caps import check_release
from middleplatform.planner.join_cost import check_size
from middleplatform.planner.join_plan import join_plan
from middleplatform.planner.layout import KnownCatalog, layout_of
from middleplatform.planner.rewrite import apply_obligations
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify
from middleplatform.sql.render import fragment

__all__ = ["FRAGMENT_LIMITS", "make_plan", "read_fragment"]

FRAGMENT_LIMITS = Limits(sql_characters_max=400_000, depth_max=1_200, joins_max=64)
"""Bounds on a fragment's text: wider than an analyst's, since rewriting makes it longer; one set for every reader."""


def make_plan(
    query: QualifiedQuery,
    decision: Decision,
    catalog: Catalog,
    limits: Limits,
    *,
    bundle: Bundle | None = None,
    sealed: bool = False,
) -> Plan:
    """Plan a permitted statement.

    Args:
        query: Permitted.
        decision: What authorization said of it.
        catalog: Says who holds what.
        limits: On one statement.
        bundle: For private joins and for how a column may be released; without it, rows of several departments are
            not joined.
        sealed: Whether values leave encrypted only.

    Raises:
        QueryError: Q004 too many joins once written out, Q030 rows of several departments would have to be
            joined, Q031 no protocol answers the form.
        PolicyError: P001 a dataset is not joined with other departments, or a measure is not released so.
        LimitError: L005 a private join larger than policy allows.
        SourceError: S011 a column is registered but not connected.
    """
    assert decision.permit, "only a permitted statement is planned"
    planner = _Planner(decision, catalog, limits, bundle, sealed)
    blocks = tuple(map(planner.block, query.cells))
    protocols = sorted({block.protocol for block in blocks}) or ["released"]
    told = [duty.told for duty in decision.obligations]
    told += [note for block in blocks if block.join is not None for note in block.join.notes]
    return Plan(
        blocks=blocks,
        post_sql=query.post.sql("duckdb", comments=False),
        outputs=query.outputs,
        notes=tuple(dict.fromkeys(told)),
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


_SEALED_NOISE = (
    "a sealed sum over several departments, of data that policy has perturbed",
    "对须扰动发布的数据作跨部门密封求和",
)
"""Nobody has the exact counts of such a sum whose keys could be looked up."""


@dataclass(frozen=True)
class _Planner:
    decision: Decision
    catalog: Catalog
    limits: Limits
    bundle: Bundle | None
    sealed: bool

    def block(self, cell: CellQuery) -> Block:
        governed = apply_obligations(cell, self.decision.obligations)
        text = fragment(governed)
        read, facts = read_fragment(text, self.catalog)
        if facts.joins > self.limits.joins_max:
            # A subquery that is named several times joins as often.
            raise QueryError("Q004", rule="R0", limit=self.limits.joins_max)
        _check_connected(facts, self.catalog)
        layout = layout_of(read, self.catalog)
        holders = sorted({self.catalog.datasets[name].held_by for name in facts.datasets})
        if len(holders) > 1:
            return self._joined(cell.name, read, layout, text, facts)
        if self.bundle is not None:
            check_release(layout, read.rows, self.bundle, sealed=self.sealed)
        (departments,) = holders
        protocol = "local" if len(departments) == 1 else "secure_sum"
        if protocol == "secure_sum":
            _check_additive(layout)
            if self.sealed and self.decision.disclosure.keyed:
                raise QueryError("Q031", rule="R5", what=_SEALED_NOISE)
        return Block(read, cell.name, layout, tuple(sorted(departments)), protocol, text, facts)

    def _joined(
        self, name: str, cell: CellQuery, layout: Layout, text: str, facts: QueryFacts
    ) -> Block:
        if self.bundle is None:
            held = {each for own in facts.datasets for each in self.catalog.datasets[own].held_by}
            raise QueryError("Q030", rule="R10", departments=", ".join(sorted(held)))
        parameters = self.decision.disclosure
        join = join_plan(cell, layout, self.catalog, self.bundle, parameters, sealed=self.sealed)
        check_size(join, self.catalog, self.bundle.limits.join_rows_max)
        return Block(cell, name, layout, join.departments, "private_join", text, facts, join)


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
