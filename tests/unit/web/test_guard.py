"""Every endpoint by every role, and every kind of token that must not pass."""

from datetime import timedelta

import pytest

from middleplatform.model.request import Role, Subject
from middleplatform.web.guard import ENDPOINTS, GuardedRoute

CALLS = {
    ("POST", "/v1/queries"): ("/v1/queries?wait=5", {"json": {"sql": "SELECT 1", "purpose": "statistics"}}, 200),
    ("GET", "/v1/queries/{query_id}"): ("/v1/queries/00", {}, 404),
    ("GET", "/v1/queries/{query_id}/result"): ("/v1/queries/00/result", {}, 404),
    ("POST", "/v1/explain"): ("/v1/explain", {"json": {"sql": "SELECT 1", "purpose": "statistics"}}, 200),
    ("GET", "/v1/budget"): ("/v1/budget", {}, 200),
    ("POST", "/v1/keys"): ("/v1/keys", {"json": {"key": "AA==", "proof": "AA=="}}, 404),
    ("GET", "/v1/keys"): ("/v1/keys", {}, 404),
    ("POST", "/v1/keys/{key_id}/revoke"): (f"/v1/keys/{'0' * 64}/revoke", {"json": {}}, 404),
    ("GET", "/v1/catalog"): ("/v1/catalog", {}, 200),
    ("GET", "/v1/catalog/{dataset}"): ("/v1/catalog/ga.population", {}, 200),
    ("GET", "/v1/audit/checkpoint"): ("/v1/audit/checkpoint", {}, 200),
    ("GET", "/v1/audit/proof/{index}"): ("/v1/audit/proof/0", {}, 200),
    ("GET", "/v1/audit/consistency"): ("/v1/audit/consistency?old=0&new=1", {}, 200),
    ("GET", "/v1/audit/entries"): ("/v1/audit/entries", {}, 200),
    ("GET", "/v1/health"): ("/v1/health", {}, 200),
    ("GET", "/v1/errors/{code}"): ("/v1/errors/P001", {}, 200),
}  # fmt: skip
"""How to call each endpoint so that only the guard stands in the way, and what comes then."""

PROTECTED = sorted(endpoint for endpoint, roles in ENDPOINTS.items() if roles is not None)
OPEN = sorted(endpoint for endpoint, roles in ENDPOINTS.items() if roles is None)


def call(service, endpoint, role, **headers):
    path, settings, _ = CALLS[endpoint]
    return service.ask(
        endpoint[0], path, role, **settings, **({"headers": headers} if headers else {})
    )


def test_table_lists_exactly_the_routes_of_the_application(service):
    routes = {
        (method, route.path)
        for route in service.app.routes
        if isinstance(route, GuardedRoute)
        for method in route.methods
    }
    assert routes == set(ENDPOINTS) == set(CALLS)
    others = {route.path for route in service.app.routes if not isinstance(route, GuardedRoute)}
    assert others == {"/v1/openapi.json"}


def test_only_the_auditor_reads_entries_and_only_askers_ask():
    assert ENDPOINTS["GET", "/v1/audit/entries"] == {Role.AUDITOR}
    for endpoint in CALLS:
        if "quer" in endpoint[1] or "explain" in endpoint[1]:
            assert not ENDPOINTS[endpoint] & {Role.AUDITOR, Role.SECURITY_OFFICER}


def test_route_that_the_table_does_not_list_cannot_be_registered(service):
    with pytest.raises(KeyError):
        service.app.add_api_route("/v1/forgotten", lambda: None, methods=["GET"])


@pytest.mark.parametrize("role", [str(role) for role in Role])
@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
def test_role_passes_exactly_where_the_table_says(service, endpoint, role):
    service.gateway.record()
    answer = call(service, endpoint, role)
    allowed = ENDPOINTS[endpoint]
    if allowed is None or Role(role) in allowed:
        assert answer.status_code == CALLS[endpoint][2]
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "P004")
        assert service.gateway.asked == []


@pytest.mark.parametrize("endpoint", OPEN)
def test_open_endpoint_needs_no_token(service, endpoint):
    assert call(service, endpoint, "").status_code == 200


@pytest.mark.parametrize("endpoint", PROTECTED)
@pytest.mark.parametrize(
    "kind", ["missing", "forged", "expired", "revoked", "basic", "empty", "query"]
)
def test_bad_token_is_refused_alike_everywhere(service, endpoint, kind):
    token, record = service.tokens.add(
        Subject("all", "drc", frozenset({Role.AUDITOR})), timedelta(hours=1)
    )
    headers = {"Authorization": f"Bearer {token}"}
    match kind:
        case "missing" | "query":
            headers = {}
        case "forged":
            headers = {"Authorization": f"Bearer {token[:-2]}zz"}
        case "expired":
            service.clock.advance(hours=2)
        case "revoked":
            service.tokens.revoke(record.id)
        case "basic":
            headers = {"Authorization": f"Basic {token}"}
        case "empty":
            headers = {"Authorization": "Bearer "}
    path, settings, _ = CALLS[endpoint]
    if kind == "query":
        path += ("&" if "?" in path else "?") + f"access_token={token}"
    answer = service.ask(endpoint[0], path, "", headers=headers, **settings)
    assert (answer.status_code, answer.json()["code"]) == (401, "P005")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["detail"] == "A valid service token is needed."
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
