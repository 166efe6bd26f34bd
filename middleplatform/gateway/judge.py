"""Judges a statement by catalogue and policy alone: nothing is run, no department is asked, nothing is logged.

Serves policy test suites, simulations, and whoever asks what a draft bundle would say. ``read`` and ``judged`` are the
halves of ``judge``: a statement that is judged under several bundles of the same limits is read once.
"""

from dataclasses import dataclass
from typing import TypeAlias

from middleplatform.authorization.authorize import Asking
from middleplatform.authorization.refusals import CODES
from middleplatform.authorization.sealed import release_refusals
from middleplatform.disclosure.privacy import Noise
from middleplatform.errors import DisclosureError, MiddleplatformError, PolicyError
from middleplatform.gateway.approved import decided
from middleplatform.gateway.noise import asked_noise, block_noise, block_noises, check_noise
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Plan
from middleplatform.model.policy import Bundle, Limits
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import QueryRequest
from middleplatform.planner.plan import make_plan
from middleplatform.planner.sealed import sealed_outputs
from middleplatform.policy.suite import Case, Verdict
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

__all__ = ["Judgement", "Read", "judge", "judged", "read"]

Read: TypeAlias = QualifiedQuery | Verdict
"""What was made of a statement's text: the statement, or why it is none."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        verdict: As ``judge`` returns it.
        datasets: That the statement reads; empty where it could not be read.
        decision: What authorization said; None where the statement was not read.
        plan: Of a permitted statement that can be answered; None otherwise.
        noises: Of the plan's blocks; empty without noise.
    """

    verdict: Verdict
    datasets: tuple[str, ...] = ()
    decision: Decision | None = None
    plan: Plan | None = None
    noises: tuple[Noise, ...] = ()


def judge(case: Case, catalog: Catalog, bundle: Bundle) -> Verdict:
    """Return what the platform makes of a case at its own moment.

    A permitted statement that no protocol can answer is still permitted: its ``code`` says why no plan exists, or
    why it cannot have the noise that the case asks for. Budgets are each department's: they are not looked at.
    """
    return judged(case, read(case.sql, catalog, bundle.limits), catalog, bundle).verdict


def read(sql: str, catalog: Catalog, limits: Limits) -> Read:
    """Parse and qualify a statement; of a bundle, its limits alone bear on this."""
    try:
        return qualify(parse(sql, limits), catalog)
    except MiddleplatformError as error:
        return Verdict("refuse", error.rule, error.code)


def judged(case: Case, query: Read, catalog: Catalog, bundle: Bundle) -> Judgement:
    """Judge a case whose statement was read under the catalogue and the bundle's limits."""
    if isinstance(query, Verdict):
        return Judgement(query)
    asking = Asking(case.subject, case.purpose, case.now, case.recipient, case.strict, case.project)
    decision = decided(query, asking, bundle, catalog)
    refused = decision.reasons or release_refusals(query.facts, bundle, sealed=case.sealed)
    if not decision.permit or refused:
        rule = refused[0].rule
        verdict = Verdict("refuse", rule, CODES.get(rule, "P001"))
        return Judgement(verdict, query.facts.datasets, decision)
    return _planned(case, query, decision, catalog, bundle)


def _planned(
    case: Case, query: QualifiedQuery, decision: Decision, catalog: Catalog, bundle: Bundle
) -> Judgement:
    datasets = query.facts.datasets
    try:
        plan = make_plan(query, decision, catalog, bundle.limits, bundle=bundle, sealed=case.sealed)
        request = _request(case)
        check_noise(request, decision, plan, catalog, bundle)
        if case.sealed:
            sealed_outputs(query, plan)
    except (PolicyError, DisclosureError) as error:
        return Judgement(Verdict("refuse", error.rule, error.code), datasets, decision)
    except MiddleplatformError as error:
        return Judgement(Verdict("permit", "", error.code), datasets, decision)
    noise = block_noise(request, decision, plan)
    noises = block_noises(plan, decision, bundle, catalog, noise)
    return Judgement(Verdict("permit", "", "", plan.protocol), datasets, decision, plan, noises)


def _request(case: Case) -> QueryRequest:
    return QueryRequest(
        case.id, case.sql, case.subject, case.purpose, case.project, case.now, case.recipient, case.strict,
        case.id if case.sealed else "", asked_noise(case.noise),
    )  # fmt: skip
