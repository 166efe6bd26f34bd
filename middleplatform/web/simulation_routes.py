"""The endpoints of simulation: audited questions judged again under a candidate; no department is asked.

Spec: docs/spec/policy-simulation.md.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request, Response

from middleplatform.access.problems import problem
from middleplatform.errors import ConfigError
from middleplatform.governance.simulation import Kind, Outcome, Simulation, Tally
from middleplatform.policy.suite import Verdict
from middleplatform.web import bodies_policy as bodies
from middleplatform.web import problems
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import After, Limit, Route, governed, json_reply, locale, page
from middleplatform.web.simulating import begin
from middleplatform.web.simulations import SimulationJob, Simulations, Trial

__all__ = ["ROUTES"]

_AT = "/v1/policy/simulations"
_Wait = Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the result.")]


async def start_simulation(
    request: Request, draft: bodies.SimulationDraft, wait: _Wait = 0
) -> Response:
    """Judge audited questions again under a candidate; with ``wait``, give the result if it is there in time."""
    lifecycle = governed(request).lifecycle
    trial = Trial(draft.proposal, draft.version, draft.files, draft.window, draft.now)
    log = request.app.state.gateway.audit
    who, places = subject_of(request), request.app.state.drafts
    try:
        async with places.one(who):
            job = await begin(_table(request), who, lifecycle, log, trial)
    except ConfigError as error:
        if error.code != "C001":
            raise
        return problems.response(request, error, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    await job.finished(wait)
    made = json_reply(_status(request, job, 0, 100), HTTPStatus.ACCEPTED)
    made.headers["Location"] = f"{_AT}/{job.id}"
    return made


async def show_simulation(
    request: Request, simulation: str, after: After = 0, limit: Limit = 100
) -> Response:
    """Say how far one of your simulations is, and what came of it."""
    job = _table(request).find(simulation, subject_of(request))
    return json_reply(_status(request, job, after, limit))


async def cancel_simulation(request: Request, simulation: str) -> Response:
    """End one of your simulations; one that has ended stays as it is."""
    table = _table(request)
    job = table.find(simulation, subject_of(request))
    table.cancel(job)
    return json_reply(_status(request, job, 0, 100))


def _table(request: Request) -> Simulations:
    table: Simulations = request.app.state.simulations
    return table


# --- shapes -------------------------------------------------------------------------------------------------------


def _status(request: Request, job: SimulationJob, after: int, limit: int) -> Mapping[str, object]:
    value: dict[str, object] = {
        "id": job.id, "status": job.status, "done": job.done, "total": job.total,
    }  # fmt: skip
    if job.error is not None:
        status = int(problems.status_of(job.error))
        value["problem"] = problem(job.error, locale(request), status=status)
    if job.result is not None:
        value["result"] = _result(job.result, after, limit)
    return value


def _result(found: Simulation, after: int, limit: int) -> Mapping[str, object]:
    numbered = list(enumerate(found.changes, start=1))
    shown, following = page(numbered, lambda each: each[0], after, limit)
    return {
        "current": found.current, "candidate": found.candidate,
        "questions": len(found.outcomes) + len(found.unjudged), "judged": len(found.outcomes),
        "counts": {str(kind): len(found.of(kind)) for kind in Kind},
        "not_judged": {str(why): count for why, count in found.by_reason().items()},
        "by_rule": _tallies(found.by_rule()), "by_analyst": _tallies(found.by_analyst()),
        "by_dataset": _tallies(found.by_dataset()),
        "size": len(numbered), "changes": [_outcome(each) for _, each in shown],
        "next": following,
    }  # fmt: skip


def _tallies(found: Iterable[Tally]) -> list[Mapping[str, object]]:
    return [
        {
            "name": each.name,
            "counts": {str(kind): count for kind, count in each.counts.items() if count},
        }
        for each in found
    ]


def _outcome(each: Outcome) -> Mapping[str, object]:
    asked = each.asked
    return {
        "index": asked.index, "query_id": asked.query_id, "subject": asked.subject,
        "at": asked.at.isoformat(), "ended": asked.ended.event, "kind": str(each.kind),
        "names": list(each.names), "datasets": list(each.datasets),
        "before": _verdict(each.before), "after": _verdict(each.after),
    }  # fmt: skip


def _verdict(said: Verdict) -> Mapping[str, str]:
    return {"verdict": said.verdict, "rule": said.rule, "code": said.code}


ROUTES = (
    Route("POST", _AT, start_simulation, bodies.SimulationStatus, HTTPStatus.ACCEPTED),
    Route("GET", f"{_AT}/{{simulation}}", show_simulation, bodies.SimulationStatus),
    Route("DELETE", f"{_AT}/{{simulation}}", cancel_simulation, bodies.SimulationStatus),
)
