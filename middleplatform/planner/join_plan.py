"""Stage 4, private joins: a release block over several departments, taken apart into sides.

A side is what one department (or the holders of one logical table) brings: its own relations and filter, its own
dimensions and words. Everything is decided from the statement, the catalogue and the policy, never from data.

Spec: docs/spec/private-join.md.
"""

from middleplatform.model.catalog import Catalog
from middleplatform.model.join import JoinPlan
from middleplatform.model.plan import Layout
from middleplatform.model.policy import Bundle, DisclosureParameters
from middleplatform.model.query import CellQuery

__all__ = ["join_plan"]


def join_plan(
    cell: CellQuery,
    layout: Layout,
    catalog: Catalog,
    bundle: Bundle,
    parameters: DisclosureParameters,
    *,
    sealed: bool,
) -> JoinPlan:
    """Return how a release block over several departments is joined; gateway and nodes derive the same.

    Args:
        cell: As read back from the fragment's text.
        layout: Of its words.
        catalog: Says who holds what, and what identifies a row.
        bundle: For ``join``, ``cap`` and ``release``.
        parameters: Of disclosure control, the strictest of the statement's datasets.
        sealed: Whether values leave encrypted only.

    Raises:
        QueryError: Q031 for a form that no private join answers, with the form that would pass; Q030 where rows of
            several departments would have to be joined inside a subquery.
        PolicyError: P001, rule R10, where a dataset's policy forbids private joins; P001, rule R3, where a measure's
            ``release`` does not allow what was asked.
    """
    raise NotImplementedError
