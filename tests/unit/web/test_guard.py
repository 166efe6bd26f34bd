"""What the guard rests on; test_every_endpoint.py holds every endpoint to it."""

import pytest

from middleplatform.model.request import Role
from middleplatform.web.guard import ENDPOINTS, GuardedRoute


def test_nothing_but_the_description_is_unguarded(service):
    others = {route.path for route in service.app.routes if not isinstance(route, GuardedRoute)}
    assert others == {"/v1/openapi.json"}


def test_only_the_auditor_reads_entries_and_only_askers_ask():
    assert ENDPOINTS["GET", "/v1/audit/entries"] == {Role.AUDITOR}
    for endpoint, roles in ENDPOINTS.items():
        if "quer" in endpoint[1] or "explain" in endpoint[1]:
            assert not roles & {Role.AUDITOR, Role.SECURITY_OFFICER, Role.SYSTEM_ADMINISTRATOR}


def test_route_that_the_table_does_not_list_cannot_be_registered(service):
    with pytest.raises(KeyError):
        service.app.add_api_route("/v1/forgotten", lambda: None, methods=["GET"])


def test_who_may_not_call_reaches_no_gateway(service):
    body = {"json": {"sql": "SELECT 1", "purpose": "statistics"}}
    for role in ("auditor", "security_officer", "system_administrator", ""):
        service.ask("POST", "/v1/queries?wait=5", role, **body)
        service.ask("POST", "/v1/explain", role, **body)
    assert service.gateway.asked == []


def test_token_is_judged_before_the_body_is_read(service):
    answer = service.ask(
        "POST",
        "/v1/queries",
        "",
        content=b"{not json",
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 401


def test_subject_comes_from_the_token_alone(service):
    body = {
        "sql": "SELECT 1",
        "purpose": "statistics",
        "project": "p",
        "recipient": "drc",
        "strict": True,
    }
    service.ask(
        "POST",
        "/v1/queries?wait=5",
        json=body,
        headers={"X-Subject": "root", "X-Forwarded-User": "root"},
    )
    (asked,) = service.gateway.asked
    assert (asked.subject.id, asked.purpose, asked.project, asked.strict) == (
        "user_analyst",
        "statistics",
        "p",
        True,
    )
