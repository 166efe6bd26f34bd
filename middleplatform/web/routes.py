"""The endpoints. Each takes what the guard let through and calls the gateway."""

import json
from dataclasses import asdict
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response

from middleplatform import catalog as browsing
from middleplatform.access import shapes
from middleplatform.access.problems import problem
from middleplatform.errors import CODES, MiddleplatformError, QueryError
from middleplatform.gateway.budgets import budgets
from middleplatform.model.record import Receipt
from middleplatform.model.request import QueryRequest
from middleplatform.web import arrow, bodies, problems, sealing_routes
from middleplatform.web.guard import subject_of
from middleplatform.web.jobs import Job, JobTable
from middleplatform.web.language import locale_of, media_type_of

if TYPE_CHECKING:
    from middleplatform.gateway import Gateway

__all__ = ["register"]

_JSON = "application/json"
_PAGE_MAX = 1000
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
    refusals: dict[int | str, dict[str, Any]] = {"default": any_problem}
    waiting: dict[int | str, dict[str, Any]] = {
        HTTPStatus.ACCEPTED.value: {"model": bodies.StatusBody, "description": "Not yet"}
    }
    streamed: dict[int | str, dict[str, Any]] = {
        HTTPStatus.OK.value: {
            "model": bodies.AnswerBody,
            "content": {arrow.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    }
    for method, path, handler, model, more in (
        ("POST", "/v1/queries", _submit, None, streamed | waiting),
        ("GET", "/v1/queries/{query_id}", _status, bodies.StatusBody, {}),
        ("GET", "/v1/queries/{query_id}/result", _result, None, streamed | waiting),
        ("POST", "/v1/explain", _explain, bodies.ExplanationBody, {}),
        ("GET", "/v1/budget", _budget, bodies.BudgetsBody, {}),
        ("POST", "/v1/keys", sealing_routes.publish_key, bodies.KeyBody, {}),
        ("GET", "/v1/keys", sealing_routes.list_keys, bodies.KeysBody, {}),
        ("POST", "/v1/keys/{key_id}/revoke", sealing_routes.revoke_key, bodies.KeyBody, {}),
        ("GET", "/v1/catalog", _catalog, bodies.SearchBody, {}),
        ("GET", "/v1/catalog/{dataset}", _dataset, None, {}),
        ("GET", "/v1/audit/checkpoint", _checkpoint, bodies.CheckpointBody, {}),
        ("GET", "/v1/audit/proof/{index}", _proof, bodies.ReceiptBody, {}),
        ("GET", "/v1/audit/consistency", _consistency, bodies.ConsistencyBody, {}),
        ("GET", "/v1/audit/entries", _entries, bodies.EntriesBody, {}),
        ("GET", "/v1/health", _health, bodies.HealthBody, {}),
        ("GET", "/v1/errors/{code}", _code, bodies.CodeBody, {}),
    ):
        described = more or ({HTTPStatus.OK.value: {"model": model}} if model else {})
        app.add_api_route(
            path,
            handler,
            methods=[method],
            response_model=None,
            operation_id=handler.__name__.removeprefix("_"),
            responses=refusals | described,
        )


async def _submit(request: Request, statement: bodies.Statement, wait: Wait = 0) -> Response:
    """Submit a question; with ``wait``, give the answer if it is there in time."""
    wanted = _wanted(request)
    table: JobTable = request.app.state.jobs
    job = table.submit(_asked(request, statement))
    if wait:
        await table.wait(job, wait)
    return _outcome(request, job, wanted)


async def _status(request: Request, query_id: str) -> Response:
    """Say how far one of your questions is."""
    return _json(_progress(request, _own(request, query_id)))


async def _result(request: Request, query_id: str) -> Response:
    """Give the answer of one of your questions, as JSON or as an Arrow stream."""
    wanted = _wanted(request)
    return _outcome(request, _own(request, query_id), wanted)


async def _explain(request: Request, statement: bodies.Statement) -> Response:
    """Say what would happen to a question; nothing is run."""
    found = _gateway(request).explain(_asked(request, statement))
    return _json(shapes.explanation(found, _locale(request)))


async def _budget(
    request: Request, project: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """Say what you may still spend on differentially private answers, dataset by dataset."""
    found = await budgets(_gateway(request), subject_of(request), project)
    return _json(shapes.budgets(found))


async def _catalog(
    request: Request, text: Annotated[str, Query(max_length=200, alias="q")] = ""
) -> Response:
    """Search the catalogue; without words, list the datasets."""
    catalog = _gateway(request).catalog
    matches = [asdict(each) for each in browsing.search(catalog, text)]
    return _json({"digest": catalog.digest, "matches": matches})


async def _dataset(request: Request, dataset: str) -> Response:
    """Give all that is registered of a dataset, department or column."""
    try:
        return _json(browsing.describe(_gateway(request).catalog, dataset))
    except QueryError as error:
        return problems.response(request, error, status=HTTPStatus.NOT_FOUND)


def _checkpoint(request: Request) -> Response:
    """Give the newest signed checkpoint of the audit log."""
    log = _gateway(request).audit
    return _json({
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
    return _json(shapes.receipt(Receipt(index, leaf_hash, log.checkpoint_at(size), proof)))


def _consistency(request: Request, old: Size, new: Size) -> Response:
    """Prove that the log only grew."""
    proof = _gateway(request).audit.consistency_proof(old, new)
    return _json({"old": old, "new": new, "proof": [part.hex() for part in proof]})


def _entries(
    request: Request,
    start: Size = 0,
    count: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 100,
) -> Response:
    """Read the log; for auditors."""
    log = _gateway(request).audit
    entries = [
        shapes.entry(each.index, log.profile.leaf(each.leaf).hex(), each.leaf)
        for each in log.entries(start, start + count)
    ]
    return _json({"size": log.size, "entries": entries})


async def _health(request: Request) -> Response:  # noqa: ARG001 - the framework's signature
    """Say that the service runs."""
    return _json({"status": "ok", "version": version("middleplatform")})


async def _code(request: Request, code: str) -> Response:  # noqa: ARG001 - the framework's signature
    """Describe an error code: the type of a problem document points here."""
    found = CODES.get(code)
    if found is None:
        raise QueryError("Q041", what=("such code", "该代码"))
    kind = next(
        each for each in MiddleplatformError.__subclasses__() if code.startswith(each.prefix)
    )
    return _json({
        "code": code, "name": found.name,
        "status": problems.status_by(code, kind.http_status), "retry": kind.retry,
        "message": {"en": found.message_en, "zh": found.message_zh},
        "hint": {"en": found.hint_en, "zh": found.hint_zh},
    })  # fmt: skip


def _gateway(request: Request) -> "Gateway":
    gateway: Gateway = request.app.state.gateway
    return gateway


def _locale(request: Request) -> str:
    return locale_of(request.headers.get("accept-language", ""))


def _json(value: object, status: int = HTTPStatus.OK) -> Response:
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return Response(content, status, media_type=_JSON)


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


def _own(request: Request, query_id: str) -> Job:
    table: JobTable = request.app.state.jobs
    return table.find(query_id, subject_of(request))


def _wanted(request: Request) -> str:
    """Return the media type of an answer; an empty one when the client takes neither."""
    return media_type_of(request.headers.get("accept", ""), (_JSON, arrow.MEDIA_TYPE))


def _progress(request: Request, job: Job) -> dict[str, object]:
    value: dict[str, object] = {"id": job.id, "status": job.status}
    if job.error is not None:
        status = int(problems.status_of(job.error))
        value["problem"] = problem(job.error, _locale(request), status=status)
    return value


def _outcome(request: Request, job: Job, wanted: str) -> Response:
    where = f"/v1/queries/{job.id}"
    if job.error is not None:
        return problems.response(request, job.error, instance=where)
    if job.answer is None:
        made = _json(_progress(request, job), HTTPStatus.ACCEPTED)
        made.headers["Location"] = where
        made.headers["Retry-After"] = "1"
        return made
    if not wanted:
        what = ("an answer is JSON or an Arrow stream", "结果仅提供 JSON 或 Arrow 流")
        error = QueryError("Q040", what=what)
        return problems.response(request, error, status=HTTPStatus.NOT_ACCEPTABLE)
    if wanted == arrow.MEDIA_TYPE and job.answer.sealed is not None:
        error = QueryError("Q040", what=("a sealed answer is JSON", "密封结果仅提供 JSON"))
        return problems.response(request, error, status=HTTPStatus.NOT_ACCEPTABLE)
    if wanted == arrow.MEDIA_TYPE:
        return Response(arrow.stream(job.answer), media_type=wanted)
    return _json(shapes.answer(job.answer))
