"""The endpoints. Each takes what the guard let through and calls the gateway."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response

from middleplatform import catalog as browsing
from middleplatform.access import shapes
from middleplatform.errors import CODES, MiddleplatformError, QueryError
from middleplatform.gateway.budgets import budgets
from middleplatform.model.record import Receipt
from middleplatform.model.request import QueryRequest
from middleplatform.web import (
    account_routes,
    application_routes,
    arrow,
    bodies,
    freeze_routes,
    policy_routes,
    problems,
    saved_routes,
    sealing_routes,
    simulation_routes,
    template_routes,
    ticket_routes,
    token_routes,
)
from middleplatform.web.checks import Checks
from middleplatform.web.guard import subject_of
from middleplatform.web.jobs import Job, JobTable
from middleplatform.web.language import media_type_of
from middleplatform.web.query_events import cancel_query, progress, query_events
from middleplatform.web.replies import JSON, PAGE_MAX, After, Limit, Route, json_reply, locale

if TYPE_CHECKING:
    from middleplatform.gateway import Gateway

__all__ = ["register"]

_WAIT_S_MAX = 30

Index = Annotated[int, Path(ge=0, le=2**53 - 1)]
Size = Annotated[int, Query(ge=0, le=2**53 - 1)]
Wait = Annotated[
    float,
    Query(ge=0, le=_WAIT_S_MAX, description="Seconds to wait for the answer before giving the id."),
]


def register(app: FastAPI) -> None:
    """Add every endpoint to ``app``."""
    any_problem: dict[str, Any] = {
        "description": "Problem",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
    areas = (
        policy_routes, simulation_routes, application_routes, freeze_routes, account_routes,
        ticket_routes, template_routes, saved_routes, token_routes,
    )  # fmt: skip
    for each in (*_routes(), *(route for area in areas for route in area.ROUTES)):
        told: dict[int | str, dict[str, Any]] = {"default": any_problem}
        if each.model is not None:
            told[int(each.status)] = {"model": each.model}
        app.add_api_route(
            each.path,
            each.handler,
            methods=[each.method],
            status_code=int(each.status),
            response_model=None,
            operation_id=(name := each.handler.__name__.removeprefix("_")),
            summary=name.replace("_", " ").capitalize(),
            responses=told | {code: dict(more) for code, more in each.more.items()},
        )


def _routes() -> tuple[Route, ...]:
    """Return the endpoints of questions, catalogue and log."""
    answered: Mapping[int | str, Mapping[str, Any]] = {
        HTTPStatus.OK.value: {
            "model": bodies.AnswerBody,
            "content": {arrow.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        HTTPStatus.ACCEPTED.value: {"model": bodies.StatusBody, "description": "Not yet"},
    }
    status = {"$ref": "#/components/schemas/StatusBody"}
    data = {"type": "string", "contentMediaType": JSON, "contentSchema": status}
    event = {"type": "object", "required": ["data"], "properties": {"data": data}}
    told: Mapping[int | str, Mapping[str, Any]] = {
        HTTPStatus.OK.value: {"content": {"text/event-stream": {"schema": event}}}
    }
    return (
        Route("POST", "/v1/queries", _submit, None, more=answered),
        Route("GET", "/v1/queries/{query_id}", _status, bodies.StatusBody),
        Route("DELETE", "/v1/queries/{query_id}", cancel_query, bodies.StatusBody),
        Route("GET", "/v1/queries/{query_id}/result", _result, None, more=answered),
        Route("GET", "/v1/queries/{query_id}/events", query_events, None, more=told),
        Route("POST", "/v1/explain", _explain, bodies.ExplanationBody),
        Route("GET", "/v1/budget", _budget, bodies.BudgetsBody),
        Route("GET", "/v1/me", _me, bodies.PersonBody),
        Route("POST", "/v1/keys", sealing_routes.publish_key, bodies.KeyBody),
        Route("GET", "/v1/keys", sealing_routes.list_keys, bodies.KeysBody),
        Route("POST", "/v1/keys/{key_id}/revoke", sealing_routes.revoke_key, bodies.KeyBody),
        Route("GET", "/v1/catalog", _catalog, bodies.SearchBody),
        Route("GET", "/v1/catalog/{dataset}", _dataset, None),
        Route("GET", "/v1/audit/checkpoint", _checkpoint, bodies.CheckpointBody),
        Route("GET", "/v1/audit/proof/{index}", _proof, bodies.ReceiptBody),
        Route("GET", "/v1/audit/consistency", _consistency, bodies.ConsistencyBody),
        Route("GET", "/v1/audit/entries", _entries, bodies.EntriesBody),
        Route("GET", "/v1/health", _health, bodies.HealthBody),
        Route("GET", "/v1/errors/{code}", _code, bodies.CodeBody),
    )


async def _submit(request: Request, statement: bodies.Statement, wait: Wait = 0) -> Response:
    """Submit a question; with ``wait``, give the answer if it is there in time."""
    wanted = _wanted(request)
    table: JobTable = request.app.state.jobs
    job = table.submit(_asked(request, statement))
    await table.accepted(job)
    if wait:
        await table.wait(job, wait)
    return _outcome(request, job, wanted)


async def _status(request: Request, query_id: str) -> Response:
    """Say how far one of your questions is."""
    return json_reply(progress(request, await _own(request, query_id)))


async def _result(request: Request, query_id: str) -> Response:
    """Give the answer of one of your questions, as JSON or as an Arrow stream."""
    wanted = _wanted(request)
    return _outcome(request, await _own(request, query_id), wanted)


async def _explain(request: Request, statement: bodies.Statement) -> Response:
    """Say what would happen to a question, and what near it would pass; nothing is run."""
    asked = _asked(request, statement)
    checks: Checks = request.app.state.checks
    async with checks.one(asked.subject):
        found = await asyncio.to_thread(_gateway(request).advise, asked)
    return json_reply(shapes.advice(found, locale(request)))


async def _budget(
    request: Request,
    project: Annotated[str, Query(max_length=100)] = "",
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """Say what you may still spend on differentially private answers, dataset by dataset."""
    found = await budgets(_gateway(request), subject_of(request), project, after, limit)
    following = after + limit if after + limit < found.total else None
    return json_reply({**shapes.budgets(found), "next": following})


async def _me(request: Request) -> Response:
    """Say who you are to the platform: what your token says."""
    subject = subject_of(request)
    return json_reply({
        "id": subject.id, "department": subject.department,
        "roles": sorted(str(role) for role in subject.roles), "regions": list(subject.regions),
    })  # fmt: skip


async def _catalog(
    request: Request, text: Annotated[str, Query(max_length=200, alias="q")] = ""
) -> Response:
    """Search the catalogue; without words, list the datasets."""
    catalog = _gateway(request).catalog
    matches = [asdict(each) for each in browsing.search(catalog, text)]
    return json_reply({"digest": catalog.digest, "matches": matches})


async def _dataset(request: Request, dataset: str) -> Response:
    """Give all that is registered of a dataset, department or column."""
    try:
        return json_reply(browsing.describe(_gateway(request).catalog, dataset))
    except QueryError as error:
        return problems.response(request, error, status=HTTPStatus.NOT_FOUND)


def _checkpoint(request: Request) -> Response:
    """Give the newest signed checkpoint of the audit log."""
    log = _gateway(request).audit
    return json_reply({
        "size": log.size, "origin": log.origin, "checkpoint": log.checkpoint(),
        "keys": [key.text() for key in log.keys],
    })  # fmt: skip


def _proof(request: Request, index: Index) -> Response:
    """Prove that an entry is in the log."""
    log = _gateway(request).audit
    size = log.size
    entry = log.entry(index)
    proof = tuple(part.hex() for part in log.inclusion_proof(index, size))
    leaf_hash = log.profile.leaf(entry.leaf).hex()
    return json_reply(shapes.receipt(Receipt(index, leaf_hash, log.checkpoint_at(size), proof)))


def _consistency(request: Request, old: Size, new: Size) -> Response:
    """Prove that the log only grew."""
    proof = _gateway(request).audit.consistency_proof(old, new)
    return json_reply({"old": old, "new": new, "proof": [part.hex() for part in proof]})


def _entries(
    request: Request,
    start: Size = 0,
    count: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> Response:
    """Read the log; for auditors."""
    log = _gateway(request).audit
    entries = [
        shapes.entry(each.index, log.profile.leaf(each.leaf).hex(), each.leaf)
        for each in log.entries(start, start + count)
    ]
    return json_reply({"size": log.size, "entries": entries})


async def _health(request: Request) -> Response:  # noqa: ARG001 - the framework's signature
    """Say that the service runs."""
    return json_reply({"status": "ok", "version": version("middleplatform")})


async def _code(request: Request, code: str) -> Response:  # noqa: ARG001 - the framework's signature
    """Describe an error code: the type of a problem document points here."""
    found = CODES.get(code)
    if found is None:
        raise QueryError("Q041", what=("such code", "该代码"))
    kind = next(
        each for each in MiddleplatformError.__subclasses__() if code.startswith(each.prefix)
    )
    return json_reply({
        "code": code, "name": found.name,
        "status": problems.status_by(code, kind.http_status), "retry": kind.retry,
        "message": {"en": found.message_en, "zh": found.message_zh},
        "hint": {"en": found.hint_en, "zh": found.hint_zh},
    })  # fmt: skip


def _gateway(request: Request) -> "Gateway":
    gateway: Gateway = request.app.state.gateway
    return gateway


def _asked(request: Request, statement: bodies.Statement) -> QueryRequest:
    return _gateway(request).request(
        statement.sql,
        subject_of(request),
        statement.purpose,
        project=statement.project,
        recipient=statement.recipient,
        strict=statement.strict,
        sealed_for=statement.sealed_for,
        noise=statement.noise,
    )


async def _own(request: Request, query_id: str) -> Job:
    table: JobTable = request.app.state.jobs
    return await table.find(query_id, subject_of(request))


def _wanted(request: Request) -> str:
    """Return the media type of an answer; an empty one when the client takes neither."""
    return media_type_of(request.headers.get("accept", ""), (JSON, arrow.MEDIA_TYPE))


def _outcome(request: Request, job: Job, wanted: str) -> Response:
    where = f"/v1/queries/{job.id}"
    if job.error is not None:
        return problems.response(request, job.error, instance=where)
    if job.answer is None and job.kept is None:
        made = json_reply(progress(request, job), HTTPStatus.ACCEPTED)
        made.headers["Location"] = where
        made.headers["Retry-After"] = "1"
        return made
    if not wanted:
        what = ("an answer is JSON or an Arrow stream", "结果仅提供 JSON 或 Arrow 流")
        error = QueryError("Q040", what=what)
        return problems.response(request, error, status=HTTPStatus.NOT_ACCEPTABLE)
    if wanted == JSON:
        return _document(job)
    stream = _stream(job)
    if stream is None:
        error = QueryError("Q040", what=("a sealed answer is JSON", "密封结果仅提供 JSON"))
        return problems.response(request, error, status=HTTPStatus.NOT_ACCEPTABLE)
    return Response(stream, media_type=wanted)


def _document(job: Job) -> Response:
    if job.answer is None:
        assert job.kept is not None, "it was answered"
        return Response(job.kept.document, media_type=JSON)
    return json_reply(shapes.answer(job.answer))


def _stream(job: Job) -> bytes | None:
    """Return an answer as an Arrow stream; None for a sealed one."""
    if job.answer is None:
        return None if job.kept is None else job.kept.stream
    return None if job.answer.sealed is not None else arrow.stream(job.answer)
