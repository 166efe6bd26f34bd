"""Simulations in the console: a candidate is chosen, audited questions are judged again, and the changes are shown.

No department is asked. A draft is simulated as it stands in its form, without being proposed.

Spec: docs/spec/policy-simulation.md.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request, Response

from middleplatform.access.problems import problem
from middleplatform.errors import ConfigError, LimitError, QueryError
from middleplatform.governance import drafts
from middleplatform.governance.lifecycle import OPEN, Lifecycle
from middleplatform.store.policies import Proposal, Version
from middleplatform.web import problems
from middleplatform.web.checks import few
from middleplatform.web.console import pages
from middleplatform.web.console.drafting import draft_page, sent_files
from middleplatform.web.console.forms import form_of, whole
from middleplatform.web.console.listing import Listing
from middleplatform.web.console.policy import OFFICERS
from middleplatform.web.console.simulated import shown
from middleplatform.web.services import services_of
from middleplatform.web.simulating import begin, moment_of, window_of
from middleplatform.web.simulations import KEPT_MAX, SimulationJob, Simulations, Trial

__all__ = ["register"]

_AT = "/console/policy/simulate"
_JOBS = "/console/policy/simulations"
_AT_ONCE_S = 0.6
"""Seconds that a page waits for a result that is nearly there, so that a quick one needs no second page."""
_VERSIONS = 25
"""Versions that the form offers; an older one is simulated from its own page."""
_STATES: Mapping[str, tuple[str, pages.Pair]] = {
    "running": ("info", ("at work", "进行中")),
    "finished": ("good", ("finished", "已完成")),
    "failed": ("bad", ("failed", "失败")),
    "canceled": ("muted", ("canceled", "已取消")),
}


def register(app: FastAPI) -> None:
    """Add the pages."""
    for method, path, handler in (
        ("GET", _AT, _form_page),
        ("POST", _AT, few(_start, "drafts")),
        ("POST", "/console/policy/draft/simulate", few(_start_draft, "drafts")),
        ("GET", _JOBS + "/{simulation}", _show),
        ("GET", _JOBS + "/{simulation}/progress", _progress),
        ("POST", _JOBS + "/{simulation}/cancel", _cancel),
        ("POST", _JOBS + "/{simulation}/draft", few(_back_to_draft, "drafts")),
    ):
        pages.add(app, method, path, handler, OFFICERS)


def _lifecycle(request: Request) -> Lifecycle:
    return services_of(request).lifecycle


def _table(request: Request) -> Simulations:
    table: Simulations = request.app.state.simulations
    return table


def _job(request: Request) -> SimulationJob:
    """Return the person's own simulation of the page's address.

    Raises:
        QueryError: Q041 there is none.
    """
    return _table(request).find(request.path_params["simulation"], request.state.subject)


# --- asked for ----------------------------------------------------------------------------------------------------


def _form_page(request: Request) -> Response:
    """Show the form, filled in by the page's address: what links of proposals, versions and old results say."""
    asked = request.query_params
    named = [f"{kind}-{asked[kind]}" for kind in ("proposal", "version") if asked.get(kind)]
    trial = _named(named[0]) if named else Trial()
    if named and trial is None:
        raise QueryError("Q041", what=("such a number", "该编号"))
    return _form(request, (trial or Trial()).over(asked.get("window", ""), asked.get("now", "")))


def _form(
    request: Request, trial: Trial, status: int = HTTPStatus.OK, **values: object
) -> Response:
    """Return the form; ``values`` say what was wrong with one that was sent."""
    kept = _table(request).of(request.state.subject)
    said: dict[str, object] = {"wrong": {}, "refusal": None, "spots": ()} | values
    return pages.render(
        request, "policy/simulate.html", status=status, trial=trial, chosen=_value(trial),
        choices=_choices(_lifecycle(request), trial), kept=Listing(kept, len(kept), size=KEPT_MAX),
        states=_STATES, **said,
    )  # fmt: skip


def _choices(lifecycle: Lifecycle, trial: Trial) -> list[tuple[str, pages.Pair]]:
    """Return what can be simulated: open proposals, the latest versions, and what ``trial`` names.

    Raises:
        QueryError: Q041 there is no such proposal or version.
    """
    proposals, versions = lifecycle.proposals(), lifecycle.versions()
    asked = ({trial.proposal} - {None}, {trial.version} - {None})
    if not asked[0] <= {each.number for each in proposals}:
        raise QueryError("Q041", what=("such proposal", "该提案"))
    if not asked[1] <= {each.number for each in versions}:
        raise QueryError("Q041", what=("such version", "该版本"))
    latest = versions[-_VERSIONS:]
    offered = [each for each in proposals if each.state in OPEN or each.number in asked[0]]
    published = [each for each in versions if each in latest or each.number in asked[1]]
    return [
        *(_choice("proposal", ("Proposal", "提案"), each) for each in reversed(offered)),
        *(_choice("version", ("Version", "版本"), each) for each in reversed(published)),
    ]


def _choice(kind: str, words: pages.Pair, each: Proposal | Version) -> tuple[str, pages.Pair]:
    number, label = each.number, each.label
    said = (f"{words[0]} {number}: {label}", f"{words[1]} {number}：{label}")
    return f"{kind}-{number}", said


def _value(trial: Trial) -> str:
    if trial.proposal is not None:
        return f"proposal-{trial.proposal}"
    return "" if trial.version is None else f"version-{trial.version}"


def _named(text: str) -> Trial | None:
    """Return what ``proposal-3`` or ``version-2`` names; None where it is neither."""
    kind, _, said = text.partition("-")
    number = whole(said)
    if number is None or kind not in ("proposal", "version"):
        return None
    return Trial(proposal=number) if kind == "proposal" else Trial(version=number)


async def _start(request: Request) -> Response:
    form = form_of(request)
    named = _named(form.one("candidate"))
    trial = (named or Trial()).over(form.one("window"), form.one("now"))
    said = {"candidate": ("choose one", "请选择")} if named is None else {}
    return await _begun(request, trial, said, lambda **values: _form(request, trial, **values))


async def _start_draft(request: Request) -> Response:
    """Simulate the files of a draft's form; nothing is proposed."""
    form = form_of(request)
    files, reason = sent_files(form), form.text("reason")
    trial = Trial(files=files, reason=reason).over(form.one("window"), form.one("now"))
    return await _begun(
        request, trial, {}, lambda **values: draft_page(request, files, reason=reason, trial=trial, **values)
    )  # fmt: skip


async def _begun(
    request: Request,
    trial: Trial,
    wrong: Mapping[str, pages.Pair],
    again: Callable[..., Response],
) -> Response:
    """Begin a simulation and lead to it; where it cannot begin, show the form again with the reason."""
    lifecycle = _lifecycle(request)
    faults = {**wrong, **_faults(trial, lifecycle)}
    if faults:
        return await asyncio.to_thread(again, wrong=faults, status=HTTPStatus.BAD_REQUEST)
    log = request.app.state.gateway.audit
    try:
        job = await begin(_table(request), request.state.subject, lifecycle, log, trial)
    except ConfigError as error:
        if error.code != "C001":
            raise
        found = drafts.refused(error)
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return await asyncio.to_thread(again, spots=found, status=status)
    except LimitError as error:
        status = HTTPStatus(problems.status_of(error))
        told = problem(error, pages.locale(request), status=status)
        return await asyncio.to_thread(again, refusal=told, status=status)
    return pages.redirect(request, f"{_JOBS}/{job.id}")


def _faults(trial: Trial, lifecycle: Lifecycle) -> dict[str, pages.Pair]:
    """Return what is wrong with the fields, by their names."""
    found = {}
    for name, read in (
        ("window", lambda: window_of(trial, lifecycle)),
        ("now", lambda: moment_of(trial)),
    ):
        try:
            read()
        except QueryError as error:
            found[name] = cast("pages.Pair", error.parts["what"])
    return found


# --- at work, and ended -------------------------------------------------------------------------------------------


async def _show(request: Request) -> Response:
    try:
        job = _job(request)
    except QueryError as error:
        if error.code != "Q041":
            raise
        gone, status = "policy/simulation_gone.html", HTTPStatus.NOT_FOUND
        return pages.render(request, gone, status=status, kept=KEPT_MAX)
    await job.finished(_AT_ONCE_S)
    return await asyncio.to_thread(_page, request, job)


def _page(request: Request, job: SimulationJob) -> Response:
    status = job.status
    values: dict[str, Any] = {"found": None}
    if status == "failed" and job.error is not None:
        code = problems.status_of(job.error)
        values["failure"] = problem(job.error, pages.locale(request), status=code)
    if status == "finished" and job.result is not None:
        values |= shown(request, job.result)
    return pages.render(
        request, "policy/simulation.html", job=job, status_now=status, states=_STATES,
        **_far(job), **values,
    )  # fmt: skip


def _far(job: SimulationJob) -> dict[str, Any]:
    return {"done": job.done, "total": job.total, "progress": f"{_JOBS}/{job.id}/progress"}


async def _progress(request: Request) -> Response:
    """Return the part that says how far it is; the whole page anew once it has ended."""
    job = _job(request)
    await job.finished(_AT_ONCE_S)
    if job.status == "running":
        return pages.render(request, "policy/simulation_progress.html", **_far(job))
    return Response(None, HTTPStatus.NO_CONTENT, {"HX-Refresh": "true"})


async def _cancel(request: Request) -> Response:
    job = _job(request)
    _table(request).cancel(job)
    return pages.redirect(request, f"{_JOBS}/{job.id}")


def _back_to_draft(request: Request) -> Response:
    """Go on with the draft that was simulated."""
    trial = _job(request).trial
    if trial.files is None:
        raise QueryError("Q041", what=("draft of this simulation", "该模拟的草稿"))
    return draft_page(request, trial.files, reason=trial.reason, trial=trial)
