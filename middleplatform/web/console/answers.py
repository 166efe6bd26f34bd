"""A question on its way, its answer (table and chart of released cells, files, the proof), and its refusal."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from middleplatform.access.legend import MARKS, mark_of
from middleplatform.access.problems import problem, reasons_of
from middleplatform.access.shapes import half_width, rows
from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.gateway.leaving import remaining_s
from middleplatform.web import problems
from middleplatform.web.console import pages
from middleplatform.web.console.answered import Answered, answered_of
from middleplatform.web.console.ask import asked_as
from middleplatform.web.console.catalog import ASKERS
from middleplatform.web.console.charting import axes, chart
from middleplatform.web.console.completion import form_body
from middleplatform.web.console.exports import FORMATS, SEALED, exported
from middleplatform.web.console.faults import reasons_told, underlined, wanted_columns
from middleplatform.web.console.forms import form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.console.stages import stage_words
from middleplatform.web.jobs import Job, JobTable
from middleplatform.web.services import services_of

__all__ = ["register"]

_AT_ONCE_S = 0.6
"""Seconds that a page waits for an answer that is nearly there, so that a quick one needs no second page."""
_WAIT_S = 2.0
_ROWS = 50


def register(app: FastAPI) -> None:
    """Add the pages of answers."""
    for method, path, handler in (
        ("GET", "/console/answers/{query_id}", _page),
        ("GET", "/console/answers/{query_id}/progress", _progress),
        ("POST", "/console/answers/{query_id}/cancel", _cancel),
        ("GET", "/console/answers/{query_id}/chart", _chart),
        ("GET", "/console/answers/{query_id}/export/{format}", _export),
        ("GET", "/console/answers/{query_id}/report/{format}", _report),
    ):
        pages.add(app, method, path, handler, ASKERS)


async def _job(request: Request) -> Job:
    table: JobTable = request.app.state.jobs
    return await table.find(request.path_params["query_id"], request.state.subject)


async def _page(request: Request) -> Response:
    try:
        job = await _job(request)
    except QueryError as error:
        if error.code != "Q041":
            raise
        return pages.render(request, "analyst/expired.html", status=HTTPStatus.NOT_FOUND)
    await job.finished(_AT_ONCE_S)
    if job.error is not None:
        async with request.app.state.checks.one(job.subject):
            return await asyncio.to_thread(_refused, request, job, job.error)
    found = answered_of(job)
    if found is None:
        await _on_grid(request, job)
        return pages.render(request, "analyst/working.html", job=job, **_state(request, job))
    return await asyncio.to_thread(_answered, request, job, found)


def _state(request: Request, job: Job) -> dict[str, Any]:
    stage = job.stage
    words = stage_words(job.status, stage)
    done, total = (stage[1], stage[2]) if stage is not None else (0, 0)
    return {
        "question": asked_as(job.request),
        "words": words,
        "done": done,
        "total": total,
        "progress": f"/console/answers/{job.id}/progress",
        "locale_words": pages.say(request)(*words),
    }


async def _progress(request: Request) -> Response:
    """Return the part that says how far it is; the whole page anew once it has ended."""
    job = await _job(request)
    await job.changed(job.changes, _WAIT_S)
    await _on_grid(request, job)
    if job.ended is None:
        return pages.render(request, "analyst/progress.html", job=job, **_state(request, job))
    return Response(None, HTTPStatus.NO_CONTENT, {"HX-Refresh": "true"})


async def _on_grid(request: Request, job: Job) -> None:
    """Wait for a whole multiple of the policy's grid after the question came, as its answer does.

    So what departments need for their parts is not told finer than what the whole needs.
    """
    if job.ended is None:  # an end is on the grid already
        grid_ms = request.app.state.gateway.bundle.limits.answer_grid_ms
        await job.finished(remaining_s(asyncio.get_running_loop().time() - job.came, grid_ms))


async def _cancel(request: Request) -> Response:
    job = await _job(request)
    table: JobTable = request.app.state.jobs
    await table.cancel(job)
    form_of(request)
    return pages.redirect(request, f"/console/answers/{job.id}")


# --- refused ------------------------------------------------------------------------------------------------------


def _refused(request: Request, job: Job, error: MiddleplatformError) -> Response:
    """Show a refusal: rule, place, owner, the form that would pass, and the way to a grant."""
    gateway, locale, asked = request.app.state.gateway, pages.locale(request), job.request
    told = problem(error, locale, status=int(problems.status_of(error)))
    reasons = reasons_of(error)
    form = None
    if asked.sql and error.prefix in "QPD":
        advice = gateway.advise(asked)
        if advice.explanation.code == error.code or not reasons:
            reasons = advice.explanation.reasons  # the same, each with its places
        if advice.form is not None:
            place = 1 if locale == "zh" else 0
            body = form_body(asked, advice.form, place)
            form = {"question": asked_as(advice.form.request), **body}
    wanting = wanted_columns(reasons)
    return pages.render(
        request,
        "analyst/refused.html",
        status=int(problems.status_of(error)),
        problem=told,
        job=job,
        question=asked_as(asked),
        told=reasons_told(reasons, asked, gateway, locale),
        marked=underlined(asked.sql, reasons),
        form=form,
        wanting=wanting,
        reports=_reports(request) and error.audit_index is not None,
    )


# --- answered -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table.

    Attributes:
        text: The value as text; empty where it is withheld or missing.
        mark: Sign of why it is withheld, or empty.
        reason: Why, in the reader's language.
        half: Half the width of the 95 % interval, as text, or empty.
    """

    text: str
    mark: str = ""
    reason: str = ""
    half: str = ""


def _answered(request: Request, job: Job, found: Answered) -> Response:
    locale = pages.locale(request)
    place = 1 if locale == "zh" else 0
    columns = found.head["columns"]
    chosen = request.query_params.get("y", "")[:9]
    along, values = axes(found)
    shown = int(chosen) if chosen.isascii() and chosen.isdigit() and int(chosen) in values else None
    used = {each["reason"] for each in found.head["withheld"]}
    used |= {name for name in MARKS if name in _reasons(found)}
    legend = [(*mark_of(each), each) for each in sorted(used)]
    return pages.render(
        request,
        "analyst/answer.html",
        job=job,
        question=asked_as(job.request),
        head=found.head,
        sealed=found.sealed,
        rows=listed(request, _cells(found, place), size=_ROWS),
        columns=columns,
        heads=["#" * _numeric(each["type"]) + each["name"] for each in columns],
        numeric=[_numeric(each["type"]) for each in columns],
        legend=[(sign, meaning[place], name) for sign, meaning, name in legend],
        notes=[each[locale] for each in found.head["notes"]],
        noisy=found.release.intervals is not None,
        along=along,
        values=values,
        y=values[0] if shown is None and values else shown,
        formats=(SEALED,) if found.sealed else tuple(FORMATS),
        way=_way(found.head["protocol"], place),
        reports=_reports(request),
    )


def _reasons(found: Answered) -> set[str]:
    return {each for column in found.release.marks.columns for each in column.to_pylist() if each}


def _numeric(kind: str) -> bool:
    return kind.startswith("decimal") or kind in ("integer", "double")


def _cells(found: Answered, place: int) -> list[list[Cell]]:
    release = found.release
    values = rows(release.table)
    marks = [column.to_pylist() for column in release.marks.columns]
    halves = (
        [column.to_pylist() for column in release.intervals.columns]
        if release.intervals is not None
        else None
    )
    return [
        [
            _cell(value, marks[column][row], None if halves is None else halves[column][row], place)
            for column, value in enumerate(line)
        ]
        for row, line in enumerate(values)
    ]


def _cell(value: object, reason: str | None, half: float | None, place: int) -> Cell:
    if reason is not None:
        sign, meaning = mark_of(reason)
        return Cell("", sign, meaning[place])
    if value is None:
        return Cell("")
    text = format(value, ".10g") if isinstance(value, float) else str(value)
    return Cell(text, half="" if half is None else half_width(half))


_WAYS: Mapping[str, tuple[str, str]] = {
    "local": ("one department computed and disclosed it", "由一个部门计算并执行披露控制"),
    "secure_sum": ("departments added masked values; only totals were seen", "各部门以掩码求和，只可见合计"),
    "private_join": ("departments' rows were matched without being shown", "各部门数据行在不可见状态下匹配"),
    "released": ("computed from released cells", "由已发布的单元格计算"),
}  # fmt: skip


def _way(protocol: str, place: int) -> list[str]:
    return [_WAYS.get(each, (each, each))[place] for each in protocol.split("+")]


async def _chart(request: Request) -> Response:
    found = await _of(request)
    wanted = request.query_params.get("y", "")[:9]
    _, values = axes(found)
    y = int(wanted) if wanted.isascii() and wanted.isdigit() else -1
    if y not in values:
        raise QueryError("Q041", what=("such column to draw", "可绘制的该列"))
    return JSONResponse(await asyncio.to_thread(chart, found, y, pages.locale(request)))


async def _export(request: Request) -> Response:
    """Give the answer as a file."""
    found, wanted = await _of(request), request.path_params["format"]
    made = await asyncio.to_thread(exported, found, wanted, pages.locale(request))
    if made is None:
        raise QueryError("Q041", what=("such file of this answer", "该结果的此类文件"))
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return Response(made.content, HTTPStatus.OK, headers, made.kind)


def _reports(request: Request) -> bool:
    """Say whether decisions are reported: where there is a store."""
    return services_of(request).platform.lifecycle is not None


def _report(request: Request) -> Response:
    """Give the signed report of the decision, to keep: as a page or as JSON."""
    services, query_id = services_of(request), request.path_params["query_id"]
    wanted = request.path_params["format"]
    if wanted not in _REPORTS or not _QUERY_ID.fullmatch(query_id):
        raise QueryError("Q041", what=("such report", "该报告"))
    found = services.accounts().report(query_id, services.report_signer, request.state.subject)
    text = found.html if wanted == "html" else found.json
    name = f"report-{query_id[:12]}.{wanted}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), HTTPStatus.OK, headers, _REPORTS[wanted])


_REPORTS = {"html": "text/html", "json": "application/json"}
_QUERY_ID = re.compile("[0-9a-f]{32}")


async def _of(request: Request) -> Answered:
    """Return the answer.

    Raises:
        QueryError: Q041 it is not there.
    """
    found = answered_of(await _job(request))
    if found is None:
        raise QueryError("Q041", what=("answer yet", "结果"))
    return found
