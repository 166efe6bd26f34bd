"""Every error is a problem document in the wished language, and nothing else ever leaves."""

import asyncio
import json

import pytest

from middleplatform.errors import CODES, MiddleplatformError
from middleplatform.web import bodies
from middleplatform.web.shell import BODY_BYTES_MAX

GOOD = {"sql": "SELECT 1", "purpose": "statistics"}


def is_problem(answer, status, code):
    assert answer.headers["content-type"] == "application/problem+json"
    value = bodies.ProblemBody.model_validate_json(answer.content)
    assert (answer.status_code, value.status, value.code) == (status, status, code)
    assert value.type == f"/v1/errors/{code}"
    assert value.title
    assert value.detail
    for word in ("Traceback", "pydantic", "starlette", "fastapi", "Error"):
        assert word not in answer.text
    return value


@pytest.mark.parametrize(("method", "path", "settings", "status", "code", "detail"), [
    ("GET", "/", {}, 404, "Q041", "There is no such address."),
    ("GET", "/v1/nothing", {}, 404, "Q041", "There is no such address."),
    ("GET", "/v1/queries/", {}, 404, "Q041", "There is no such address."),
    ("DELETE", "/v1/queries", {}, 405, "Q040", "does not take that method"),
    ("GET", "/v1/queries", {}, 405, "Q040", "does not take that method"),
    ("POST", "/v1/queries", {"json": {"sql": "SELECT 1"}}, 400, "Q040", "purpose is missing"),
    ("POST", "/v1/queries", {"json": {"sql": "SELECT 1", "purpose": ""}}, 400, "Q040", "purpose is empty"),
    ("POST", "/v1/queries", {"json": {"purpose": "x"}}, 400, "Q040", "sql is missing"),
    ("POST", "/v1/queries", {"json": {**GOOD, "sql": 5}}, 400, "Q040", "sql must be text"),
    ("POST", "/v1/queries", {"json": {**GOOD, "purpose": "x" * 101}}, 400, "Q040", "purpose is too long"),
    ("POST", "/v1/queries", {"json": {**GOOD, "strict": "yes"}}, 400, "Q040", "strict must be true or false"),
    ("POST", "/v1/queries", {"json": {**GOOD, "subject": "root"}}, 400, "Q040", "subject is unknown"),
    ("POST", "/v1/queries", {"json": []}, 400, "Q040", "JSON object"),
    ("POST", "/v1/queries", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "Q040", "not JSON"),
    ("POST", "/v1/queries", {"content": b'{"sql": "\\ud800", "purpose": "x"}', "headers": {"Content-Type": "application/json"}}, 400, "Q040", "sql must be text"),
    ("POST", "/v1/queries", {"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 400, "Q040", "not JSON"),
    ("POST", "/v1/queries", {"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "Q040", ""),
    ("POST", "/v1/queries", {"content": b"sql=1", "headers": {"Content-Type": "text/plain"}}, 400, "Q040", "JSON object"),
    ("POST", "/v1/queries", {}, 400, "Q040", "body is missing"),
    ("POST", "/v1/queries?wait=31", {"json": GOOD}, 400, "Q040", "wait is not valid"),
    ("POST", "/v1/queries?wait=nan", {"json": GOOD}, 400, "Q040", "wait is not valid"),
    ("POST", "/v1/queries", {"content": b"x" * (BODY_BYTES_MAX + 1)}, 413, "Q040", "larger than"),
    ("GET", "/v1/catalog/ga.nothing", {}, 404, "Q021", "ga.nothing"),
    ("GET", "/v1/catalog/ga.population.nothing", {}, 404, "Q020", "nothing"),
    ("GET", "/v1/catalog?q=" + "x" * 201, {}, 400, "Q040", "q is too long"),
    ("GET", "/v1/audit/proof/9", {}, 404, "A004", "no entry 9"),
    ("GET", "/v1/audit/proof/-1", {}, 400, "Q040", "index is not valid"),
    ("GET", "/v1/audit/proof/x", {}, 400, "Q040", "index is not valid"),
    ("GET", "/v1/audit/proof/99999999999999999999999", {}, 400, "Q040", "index is not valid"),
    ("GET", "/v1/audit/consistency?old=2&new=1", {}, 404, "A004", ""),
    ("GET", "/v1/audit/consistency?old=0", {}, 400, "Q040", "new is missing"),
    ("GET", "/v1/errors/Z999", {}, 404, "Q041", "no such code"),
])  # fmt: skip
def test_error_is_a_problem(service, method, path, settings, status, code, detail):
    value = is_problem(service.ask(method, path, **settings), status, code)
    assert detail in value.detail


def test_language_follows_the_header(service):
    async def both():
        async with service.client() as client:
            return [
                (await client.get("/v1/x", headers={"Accept-Language": wish})).json()["title"]
                for wish in ("zh-CN,zh;q=0.9,en;q=0.8", "en,zh;q=0.9", "fr", "zh;q=0", "")
            ]

    english = "The request cannot be taken"
    assert asyncio.run(both()) == ["请求无法受理", english, english, english, english]


def test_body_without_a_length_is_bounded_too(service):
    async def endless():
        for _ in range(64):
            yield b"x" * 8192

    async def send():
        async with service.client() as client:
            return await client.post("/v1/queries", content=endless())

    is_problem(asyncio.run(send()), 413, "Q040")
    assert service.gateway.asked == []


def test_unexpected_exception_in_a_handler_tells_nothing(service, tmp_path):
    service.gateway.outcome = RuntimeError("value 990101199001011234")
    answer = service.ask("POST", "/v1/explain", json=GOOD)
    value = is_problem(answer, 500, "C099")
    line = json.loads((tmp_path / "operator.log").read_text())
    assert line["record"] in value.detail
    assert "1101" not in answer.text + json.dumps(line)


def test_every_code_can_be_looked_up(service):
    async def each():
        async with service.client("") as client:
            return [(await client.get(f"/v1/errors/{code}")).json() for code in CODES]

    for value, entry in zip(asyncio.run(each()), CODES.values(), strict=True):
        body = bodies.CodeBody.model_validate(value)
        assert (body.code, body.message.zh) == (entry.code, entry.message_zh)
        kind = next(c for c in MiddleplatformError.__subclasses__() if c.prefix == entry.code[0])
        assert body.retry == kind.retry


@pytest.mark.parametrize("path", ["/v1/health", "/v1/nothing", "/v1/catalog", "/v1/openapi.json"])
def test_safe_headers_are_on_every_response(service, path):
    headers = service.ask("GET", path, headers={"Origin": "https://elsewhere.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]


def test_preflight_of_another_origin_is_refused(service):
    answer = service.ask("OPTIONS", "/v1/queries", headers={
        "Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST",
    })  # fmt: skip
    is_problem(answer, 405, "Q040")
