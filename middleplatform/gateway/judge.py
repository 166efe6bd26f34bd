"""Judges a statement by catalogue and policy alone: nothing is run, no department is asked, nothing is logged.

Serves policy test suites, and whoever asks what a draft bundle would say.
"""

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.refusals import CODES
from middleplatform.errors import MiddleplatformError
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.planner.plan import make_plan
from middleplatform.policy.suite import Case, Verdict
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

__all__ = ["judge"]

_PRIVATE_JOIN = "Q030"


def judge(case: Case, catalog: Catalog, bundle: Bundle) -> Verdict:
    """Return what the platform makes of a case at its own moment.

    A permitted statement that no protocol can answer yet is still permitted: its ``protocol`` says what it
    needs (``private_join``), or its ``code`` why no plan exists.
    """
    asking = Asking(case.subject, case.purpose, case.now, case.recipient, case.strict, case.project)
    try:
        query = qualify(parse(case.sql, bundle.limits), catalog)
    except MiddleplatformError as error:
        return Verdict("refuse", error.rule, error.code)
    decision = authorize(query.facts, asking, bundle, catalog)
    if not decision.permit:
        rule = decision.reasons[0].rule
        return Verdict("refuse", rule, CODES.get(rule, "P001"))
    try:
        plan = make_plan(query, decision, catalog, bundle.limits)
    except MiddleplatformError as error:
        needs_join = error.code == _PRIVATE_JOIN
        return Verdict("permit", "", error.code, "private_join" if needs_join else "")
    return Verdict("permit", "", "", plan.protocol)
