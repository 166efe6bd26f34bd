"""The tests of the policy in force, each case judged as questions are.

Spec: docs/spec/policy-lifecycle.md, "What is checked".
"""

from fastapi import FastAPI, Request, Response

from middleplatform.governance.drafts import files_in_force, judged
from middleplatform.policy.suite import Outcome
from middleplatform.web.console import pages
from middleplatform.web.console.listing import listed
from middleplatform.web.console.policy import READERS
from middleplatform.web.services import services_of

__all__ = ["register"]


def register(app: FastAPI) -> None:
    """Add the page."""
    pages.add(app, "GET", "/console/policy/tests", _tests, READERS)


def _tests(request: Request) -> Response:
    services = services_of(request)
    files = files_in_force(services.lifecycle, services.settings)
    outcomes = judged(files, services.lifecycle)
    failed = request.query_params.get("only", "") == "failed"
    shown = [each for each in outcomes if each.differences or not failed]
    return pages.render(
        request, "policy/tests.html", rows=listed(request, shown, _words), failed=failed,
        total=len(outcomes), wrong=sum(bool(each.differences) for each in outcomes),
    )  # fmt: skip


def _words(each: Outcome) -> str:
    return (
        f"{each.case.id} {each.case.subject.id} {each.case.sql} {each.case.rule} {each.case.note}"
    )
