"""Catalogue, explanation, log and the published description."""

import json
from pathlib import Path

from middleplatform.audit.entry import LogEntry
from middleplatform.audit.proof import check_receipt
from middleplatform.model.record import Receipt
from middleplatform.web import bodies
from middleplatform.web.guard import ENDPOINTS
from middleplatform.web.language import locale_of, media_type_of

GOLDEN = Path(__file__).parents[2] / "golden" / "openapi.json"


def test_catalogue_is_searched_and_described(service):
    listed = bodies.SearchBody.model_validate(service.ask("GET", "/v1/catalog").json())
    assert {each.dataset for each in listed.matches} == set(service.gateway.catalog.datasets)
    found = service.ask("GET", "/v1/catalog", params={"q": "人口"}).json()["matches"]
    assert "ga.population" in {each["dataset"] for each in found}
    shown = service.ask("GET", "/v1/catalog/ga.population").json()
    assert {each["name"] for each in shown["columns"]} == set(
        service.gateway.catalog.datasets["ga.population"].columns
    )


def test_explanation_speaks_the_wished_language(service):
    answer = service.ask(
        "POST", "/v1/explain", json={"sql": "SELECT 1", "purpose": "statistics"},
        headers={"Accept-Language": "zh"},
    )  # fmt: skip
    value = bodies.ExplanationBody.model_validate(answer.json())
    assert (value.steps[0].what, value.rewrites, value.limits) == ("一条 SELECT", ["甲"], ["乙"])


def test_proof_checks_offline_against_the_published_key(service):
    for _ in range(5):
        service.gateway.record()
    log = service.gateway.audit
    body = service.ask("GET", "/v1/audit/proof/3").json()
    receipt = Receipt(body["index"], body["leaf_hash"], body["checkpoint"], tuple(body["proof"]))
    record = LogEntry(3, log.entry(3).leaf).record
    assert check_receipt(record, receipt, log.keys).checkpoint.size == 5
    head = bodies.CheckpointBody.model_validate(service.ask("GET", "/v1/audit/checkpoint").json())
    assert (head.size, head.checkpoint) == (5, body["checkpoint"])
    assert head.keys == [log.keys[0].text()]


def test_consistency_is_proved(service):
    for _ in range(5):
        service.gateway.record()
    body = bodies.ConsistencyBody.model_validate(
        service.ask("GET", "/v1/audit/consistency?old=2&new=5").json()
    )
    wanted = service.gateway.audit.consistency_proof(2, 5)
    assert body.proof == [part.hex() for part in wanted]


def test_auditor_pages_through_the_log(service):
    for _ in range(5):
        service.gateway.record()
    page = service.ask("GET", "/v1/audit/entries?start=3&count=10", "auditor").json()
    value = bodies.EntriesBody.model_validate(page)
    assert value.size == 5
    assert [each.index for each in value.entries] == [3, 4]
    assert value.entries[0].event == "released"


def test_openapi_is_the_reviewed_one(service):
    document = service.ask("GET", "/v1/openapi.json", "").json()
    assert document["openapi"].startswith("3.1")
    assert document == json.loads(GOLDEN.read_text(encoding="utf-8")), (
        "the interface changed: review, then python -m tests.golden.update"
    )


def test_openapi_names_roles_and_problems_of_every_operation(service):
    document = service.ask("GET", "/v1/openapi.json", "").json()
    for (method, path), roles in ENDPOINTS.items():
        operation = document["paths"][path][method.lower()]
        assert operation["x-roles"] == sorted(roles or ())
        assert bool(operation["security"]) == (roles is not None)
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert "422" not in operation["responses"]


def test_languages_and_media_types_are_negotiated_by_weight():
    assert [locale_of(each) for each in ("zh-TW", "en;q=0.5,zh;q=0.6", "zh;q=x", "*")] == [
        "zh",
        "zh",
        "en",
        "en",
    ]
    offered = ("application/json", "application/vnd.apache.arrow.stream")
    wishes = {
        "": offered[0], "*/*": offered[0], "application/*": offered[0], "text/html": "",
        "application/vnd.apache.arrow.stream": offered[1],
        "application/json;q=0.1, application/vnd.apache.arrow.stream": offered[1],
        "application/json;q=0": "",
    }  # fmt: skip
    assert {wish: media_type_of(wish, offered) for wish in wishes} == wishes
