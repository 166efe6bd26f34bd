"""What a plan must pass before anything of it is sent."""

from dataclasses import replace

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.errors import ConfigError, DisclosureError
from middleplatform.ledger.history import History
from middleplatform.model.catalog import Catalog
from middleplatform.model.plan import Plan
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import QueryRequest
from middleplatform.sql.qualify import fingerprint

__all__ = ["checked", "count_alike"]


def count_alike(
    questions: History, request: QueryRequest, query: QualifiedQuery, bundle: Bundle
) -> None:
    """Count the question among those of its project and day that are alike but for literals.

    Raises:
        DisclosureError: D011 by rule R14: more than policy lets.
    """
    day = request.received_at.date().isoformat()
    asked = questions.ask(request.project, day, fingerprint(query.parsed.tree), request.sql)
    if asked > bundle.limits.near_duplicates_per_day:
        raise DisclosureError("D011", rule="R14")


def checked(plan: Plan, asking: Asking, bundle: Bundle, catalog: Catalog, query_id: str) -> Plan:
    """Judge what will really be sent, as the departments will; return the plan.

    Raises:
        ConfigError: C099 the planner made a fragment that is not within what was granted.
    """
    for block in plan.blocks:
        again = authorize(block.facts, replace(asking, strict=False), bundle, catalog)
        if not again.permit or {duty.kind for duty in again.obligations} & {"band", "bucket"}:
            detail = f"a fragment is not within what was granted: {block.sql}"
            raise ConfigError("C099", record=query_id, detail=detail)
    return plan
