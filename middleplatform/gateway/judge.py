"""Judges a statement by catalogue and policy alone: nothing is run, no department is asked, nothing is logged.

Serves policy test suites, and whoever asks what a draft bundle would say.
"""

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.refusals import CODES
from middleplatform.authorization.sealed import release_refusals
from middleplatform.errors import DisclosureError, MiddleplatformError, PolicyError
from middleplatform.gateway.noise import asked_noise, check_noise
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.model.request import QueryRequest
from middleplatform.planner.plan import make_plan
from middleplatform.planner.sealed import sealed_outputs
from middleplatform.policy.suite import Case, Verdict
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

__all__ = ["judge"]


def judge(case: Case, catalog: Catalog, bundle: Bundle) -> Verdict:
    """Return what the platform makes of a case at its own moment.

    A permitted statement that no protocol can answer is still permitted: its ``code`` says why no plan exists, or
    why it cannot have the noise that the case asks for. Budgets are each department's: they are not looked at.
    """
    asking = Asking(case.subject, case.purpose, case.now, case.recipient, case.strict, case.project)
    try:
        query = qualify(parse(case.sql, bundle.limits), catalog)
    except MiddleplatformError as error:
        return Verdict("refuse", error.rule, error.code)
    decision = authorize(query.facts, asking, bundle, catalog)
    refused = decision.reasons or release_refusals(query.facts, bundle, sealed=case.sealed)
    if not decision.permit or refused:
        rule = refused[0].rule
        return Verdict("refuse", rule, CODES.get(rule, "P001"))
    try:
        plan = make_plan(query, decision, catalog, bundle.limits, bundle=bundle, sealed=case.sealed)
        check_noise(_request(case), decision, plan, catalog, bundle)
        if case.sealed:
            sealed_outputs(query, plan)
    except (PolicyError, DisclosureError) as error:
        return Verdict("refuse", error.rule, error.code)
    except MiddleplatformError as error:
        return Verdict("permit", "", error.code)
    return Verdict("permit", "", "", plan.protocol)


def _request(case: Case) -> QueryRequest:
    return QueryRequest(
        case.id, case.sql, case.subject, case.purpose, case.project, case.now, case.recipient, case.strict,
        case.id if case.sealed else "", asked_noise(case.noise),
    )  # fmt: skip
