"""Every endpoint of the table × every role, every kind of bad token, and what belongs to somebody else.

All of it follows from ``guard.ENDPOINTS``, so an endpoint that is added is tested without a line here.
"""

import asyncio
import re
from datetime import timedelta

import pytest

from middleplatform.model.request import Role, Subject
from middleplatform.web.guard import ENDPOINTS, GuardedRoute

ROWS = sorted(ENDPOINTS)
PROTECTED = [row for row in ROWS if ENDPOINTS[row] is not None]
OPEN = [row for row in ROWS if ENDPOINTS[row] is None]
PLACES = {
    "number": "GX999", "ticket": "YY999", "decision": "0" * 32, "key_id": "0" * 64, "dataset": "ga.population",
    "code": "P001", "token": "0" * 16,
}  # fmt: skip
"""What stands for a parameter of a path; ``1`` for any other."""
ASK = {"sql": "SELECT 1", "purpose": "statistics"}
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
    "columns": ["tax.individual_income.income_total"], "operations": ["aggregate"], "ends": "2026-12-31",
}  # fmt: skip


def path_of(path, **places):
    return re.sub(r"{(\w+)}", lambda found: (PLACES | places).get(found[1], "1"), path)


def each(governed, rows, token="", headers=(), **places):
    """Send a request to every one of ``rows``, in one event loop."""

    async def all_of_them():
        return [
            await governed.send(method, path_of(path, **places), token, {"no": "field"} if method == "POST" else None, headers)
            for method, path in rows
        ]  # fmt: skip

    return dict(zip(rows, asyncio.run(all_of_them()), strict=True))


def test_the_table_lists_exactly_the_routes(governed):
    routes = {
        (method, route.path)
        for route in governed.app.routes
        if isinstance(route, GuardedRoute)
        for method in route.methods
    }
    assert routes == set(ENDPOINTS)


@pytest.mark.parametrize("role", list(Role))
def test_a_role_passes_exactly_where_the_table_says(governed, role):
    for row, seen in each(governed, ROWS, governed.by_role(role)).items():
        allowed = ENDPOINTS[row]
        if allowed is None or role in allowed:
            assert seen.status not in (401, 403), row
            assert seen.status < 500, row
        else:
            assert (seen.status, seen.value["code"], seen.reads) == (403, "P004", 0), row
            assert "it needs the role" in seen.value["detail"], row


def test_nobody_holds_all_roles_of_governance():
    acts = [row for row in PROTECTED if row[0] != "GET" and "queries" not in row[1]]
    for role in Role:
        assert {row for row in acts if role not in ENDPOINTS[row]}, role
    for row in acts:
        assert not ENDPOINTS[row] & {Role.AUDITOR}, row
        if "/policy/" in row[1] or "/applications" in row[1]:
            assert Role.SYSTEM_ADMINISTRATOR not in ENDPOINTS[row], row


TOKENS = {
    "none": lambda _: {},
    "forged": lambda token: {"Authorization": f"Bearer {token[:-2]}zz"},
    "cut": lambda token: {"Authorization": f"Bearer {token[:-1]}"},
    "longer": lambda token: {"Authorization": f"Bearer {token}a"},
    "two": lambda token: {"Authorization": f"Bearer {token} {token}"},
    "another scheme": lambda token: {"Authorization": f"Basic {token}"},
    "no scheme": lambda token: {"Authorization": token},
    "empty": lambda _: {"Authorization": "Bearer "},
    "no ASCII": lambda _: {"Authorization": "Bearer \xff\xfe"},
    "very long": lambda _: {"Authorization": "Bearer mpt_" + "a" * 60_000},
    "in a cookie": lambda token: {"Cookie": f"Authorization=Bearer {token}; session={token}"},
    "under another name": lambda token: {"X-Authorization": f"Bearer {token}"},
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_bad_token_is_refused_alike_everywhere(governed, kind):
    token = governed.by_role(Role.AUDITOR)
    check_refused(governed, TOKENS[kind](token).items())


@pytest.mark.parametrize("kind", ["expired", "revoked"])
def test_a_token_that_held_once_is_refused_alike_everywhere(governed, kind):
    for role in Role:
        person = Subject("once", "drc", frozenset({role}))
        token, record = governed.tokens.add(person, timedelta(hours=1))
        headers = (("Authorization", f"Bearer {token}"),)
        assert governed.ask("GET", "/v1/me", headers=headers).status == 200
        if kind == "revoked":
            governed.tokens.revoke(record.id)
        else:
            governed.clock.advance(hours=2)
        check_refused(governed, headers)


def check_refused(governed, headers):
    told = set()
    for row, seen in each(governed, PROTECTED, headers=headers).items():
        assert (seen.status, seen.value["code"], seen.reads) == (401, "P005", 0), row
        assert seen.headers["www-authenticate"].startswith("Bearer")
        told.add(seen.body)
    assert len(told) == 1, "nothing tells one refusal from another"
    for row, seen in each(governed, OPEN, headers=headers).items():
        assert seen.status == 200, row


def test_a_body_that_is_too_long_is_refused_only_to_who_may_call(governed):
    long = [("Content-Length", "99999999")]
    for method, path in PROTECTED:
        assert governed.ask(method, path_of(path), headers=long).status == 401, path
        for role in set(Role) - ENDPOINTS[method, path]:
            seen = governed.ask(method, path_of(path), governed.by_role(role), headers=long)
            assert (seen.status, seen.reads) == (403, 0), path
    seen = governed.ask("POST", "/v1/queries", governed.by_role(Role.ANALYST), headers=long)
    assert (seen.status, seen.reads, seen.value["code"]) == (413, 0, "Q040")


def test_a_token_in_the_address_is_none(governed):
    token = governed.by_role(Role.AUDITOR)
    for name in ("access_token", "token", "authorization"):
        seen = governed.ask("GET", f"/v1/me?{name}={token}")
        assert (seen.status, seen.value["code"]) == (401, "P005")


def test_no_other_method_reaches_anything(governed):
    token, paths = governed.by_role(Role.ANALYST), {path for _, path in ROWS}
    for path in sorted(paths):
        known = {method for method, other in ROWS if other == path}
        for method in sorted(
            {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD"} - known
        ):
            seen = governed.ask(method, path_of(path), token)
            assert seen.status == 405, (method, path)
            assert set(seen.headers["allow"].split(", ")) <= known


def with_parameter(name):
    return [row for row in PROTECTED if f"{{{name}}}" in row[1]]


@pytest.mark.parametrize("role", [Role.ANALYST, Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU])
def test_nobody_sees_or_ends_the_question_of_another(governed, role):
    async def scene():
        mine = governed.by_role(role)
        taken = await governed.send("POST", "/v1/queries?wait=5", mine, ASK)
        query_id = taken.value["query_id"]
        for department, other in (("drc", "other"), ("ga", "other_ga")):
            theirs = governed.token(f"{other}_{role}", department, role)
            for method, path in with_parameter("query_id"):
                found = await governed.send(method, path_of(path, query_id=query_id), theirs)
                none = await governed.send(method, path_of(path, query_id="0" * 32), theirs)
                assert (found.status, found.value["code"]) == (404, "Q041"), path
                assert found.body == none.body, path
        assert (await governed.send("GET", f"/v1/queries/{query_id}", mine)).status == 200

    assert len(with_parameter("query_id")) == 4
    asyncio.run(scene())


def test_a_login_of_the_same_name_elsewhere_is_another(governed):
    async def scene():
        mine = governed.token("namesake", "drc", Role.ANALYST)
        asked = await governed.send("POST", "/v1/queries?wait=5", mine, ASK)
        other, _ = governed.tokens.add(
            Subject("namesake", "ga", frozenset({Role.ANALYST})), timedelta(days=1)
        )
        return await governed.send("GET", f"/v1/queries/{asked.value['query_id']}", other)

    assert asyncio.run(scene()).status == 404


def test_an_application_that_one_may_not_see_is_as_none(governed):
    applicant = governed.token("drc_steward", "drc", Role.DEPARTMENT_STEWARD)
    made = governed.ask("POST", "/v1/applications", applicant, WISH)
    assert made.status == 201, made.body
    rows = with_parameter("number")
    assert len(rows) >= 17
    for role, login in ((Role.DEPARTMENT_STEWARD, "amr_steward"), (Role.ANALYST, "amr_analyst")):
        stranger = governed.token(login, "amr", role)
        listed = governed.ask("GET", "/v1/applications", stranger).value
        assert listed == {"applications": [], "next": None}
        for method, path in rows:
            if role not in ENDPOINTS[method, path]:
                continue
            act = path.rpartition("/")[2]
            found, none = (
                governed.ask(method, path_of(path, number=number), stranger, BODIES.get(act))
                for number in (made.value["number"], "GX998")
            )
            assert (found.status, found.value["code"]) == (404, "Q041"), (path, found.body)
            assert found.body.replace(made.value["number"].encode(), b"GX998") == none.body


BODIES = {
    "complete": WISH, "return": {"missing": ["附件"]}, "extend": {"days": 5, "reason": "核对"},
    "consent": {"department": "tax"}, "answer": {"grant": "all"}, "object": {"department": "tax", "reason": "不同意"},
    **{act: {"reason": "核查", "basis": "条例第二十七条"} for act in ("suspend", "withdraw")},
    **{act: {"reason": "说明"} for act in ("resume", "escalate", "settle", "review")},
}  # fmt: skip
"""What each act takes, so that nothing but visibility stands in the way."""


def test_a_simulation_of_another_officer_is_as_none(governed):
    async def scene():
        mine = governed.token("han", "db", Role.SECURITY_OFFICER)
        theirs = governed.token("lu", "db", Role.SECURITY_OFFICER)
        files = {"manifest.yaml": "name: x"}
        refused = await governed.send("POST", "/v1/policy/simulations", mine, {"files": files})
        assert (refused.status, refused.value["code"]) == (422, "C001")
        job = governed.app.state.simulations.start(
            Subject("han", "db", frozenset({Role.SECURITY_OFFICER})), lambda hear: hear("", 1, 1)
        )
        await job.ended.wait()
        for method, path in with_parameter("simulation"):
            found = await governed.send(method, path_of(path, simulation=job.id), theirs)
            none = await governed.send(method, path_of(path, simulation="0" * 32), theirs)
            assert (found.status, found.body) == (404, none.body)
        return await governed.send("GET", f"/v1/policy/simulations/{job.id}", mine)

    assert asyncio.run(scene()).status == 200


def test_an_application_without_a_store_says_that_there_is_none(service):
    for (method, path), allowed in ENDPOINTS.items():
        if method == "GET" and "/policy" in path and allowed and Role.AUDITOR in allowed:
            answer = service.ask(method, path_of(path) + "?old=0&new=1", "auditor")
            assert (answer.status_code, answer.json()["code"]) == (404, "Q041")
