"""The system administrator's pages over a running platform: sessions, tokens, registrations, and who must not see them."""

import re

import pytest
from analyst_world import opened_world, text_of

from middleplatform.audit.browse import Wanted, newest
from middleplatform.demo.runtime import PERSONAS
from middleplatform.errors import PolicyError
from middleplatform.login.sessions import Sessions

SESSIONS, TOKENS, CONNECTORS = (
    f"/console/admin/{name}" for name in ("sessions", "tokens", "connectors")
)
FORMS = (SESSIONS + "/end", SESSIONS + "/end-login", TOKENS, TOKENS + "/revoke")
LIN = {
    "login": "lin", "department": "drc", "role": ["analyst"], "regions": "", "days": "30", "note": "每月统计",
    "reason": "新入职",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("admin"), demo_data) as made:
        yield made


@pytest.fixture
def begin(world):
    """Return what begins a session of a persona and returns its secret and what lists them all."""
    desk = world.platform.lifecycle.desk
    sessions = Sessions(desk.store, desk.clock, desk.rng)
    return lambda name: (sessions.begin(PERSONAS[name], address="10.0.0.7"), sessions)


def last(world, what):
    """Return the body of the newest entry of a login, which must say ``what``."""
    body = newest(world.platform.gateway.audit, Wanted(event="login"), 1).entries[0].record.body
    assert body["what"] == what
    assert body["by"] == "sysadmin"
    return body


@pytest.mark.parametrize("path", [SESSIONS, TOKENS, CONNECTORS])
def test_every_page_opens_in_both_languages(world, path):
    for language, name in (("en", "en"), ("zh", "zh-CN")):
        page = world.get(path, "sysadmin", language)
        assert (page.status_code, page.headers["content-language"]) == (200, name)
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page.text)


@pytest.mark.parametrize("person", ["analyst_drc", "steward_ga", "auditor", "bureau"])
def test_nobody_else_administers(world, person):
    assert {world.get(path, person).status_code for path in (SESSIONS, TOKENS, CONNECTORS)} == {403}
    assert {world.post(path, person, **LIN).status_code for path in FORMS} == {403}


def test_an_officer_ends_sessions_and_makes_no_tokens(world):
    assert world.get(SESSIONS, "officer_a").status_code == 200
    assert world.get(TOKENS, "officer_a").status_code == 403
    assert world.post(TOKENS, "officer_a", **LIN).status_code == 403


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_does_nothing(world, path):
    tokens = world.app.state.tokens
    before, size = tokens.records(), world.platform.gateway.audit.size
    sent = world.ask("POST", path, "sysadmin", data={**LIN, "csrf": ""})
    assert sent.status_code == 403
    assert (tokens.records(), world.platform.gateway.audit.size) == (before, size)


# --- sessions -------------------------------------------------------------------------------------------------------


def test_one_session_is_ended_and_the_other_of_that_login_goes_on(world, begin):
    first, sessions = begin("analyst_drc")
    second, _ = begin("analyst_drc")
    assert "10.0.0.7" in world.get(SESSIONS, "sysadmin").text
    gone = sessions.record(first)
    done = world.post(SESSIONS + "/end", "sysadmin", id=gone.id, reason="设备遗失")
    assert done.status_code == 303
    assert (sessions.subject(first), sessions.subject(second).id) == (None, "analyst_drc")
    body = last(world, "put_out")
    assert (body["session"], body["subject"], body["reason"]) == (
        gone.id,
        "analyst_drc",
        "设备遗失",
    )


def test_every_session_of_a_login_is_ended(world, begin):
    secrets = [begin("bureau")[0] for _ in range(2)]
    _, sessions = begin("auditor")
    done = world.post(SESSIONS + "/end-login", "sysadmin", login="bureau", reason="离岗")
    assert done.status_code == 303
    assert [sessions.subject(each) for each in secrets] == [None, None]
    assert sessions.listed("auditor")
    assert last(world, "put_out")["subject"] == "bureau"


def test_ending_needs_a_reason_and_somebody_who_is_in(world, begin):
    secret, sessions = begin("analyst_stats")
    session_id = sessions.record(secret).id
    assert world.post(SESSIONS + "/end", "sysadmin", id=session_id, reason=" ").status_code == 400
    assert world.post(SESSIONS + "/end", "sysadmin", id="0" * 16, reason="x").status_code == 404
    gone = world.post(SESSIONS + "/end-login", "sysadmin", login="nobody", reason="x")
    assert gone.status_code == 404
    assert sessions.subject(secret) is not None


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_lets_in_and_is_in_the_log_without_its_secret(world):
    page = world.post(TOKENS, "sysadmin", **LIN)
    token = re.search(r"mpt_([0-9a-f]{16})_[\w-]{43}", page.text)
    assert world.app.state.tokens.authenticate(token[0]).id == "lin"
    assert token[0] not in world.get(TOKENS, "sysadmin").text
    body = last(world, "token_made")
    assert (body["token"], body["subject"], body["held"]) == (token[1], "lin", ["analyst"])
    assert token[0] not in str(body)


def test_a_revoked_token_lets_nobody_in_and_the_log_says_who_did_it(world):
    token = re.search(r"mpt_([0-9a-f]{16})_[\w-]{43}", world.post(TOKENS, "sysadmin", **LIN).text)
    done = world.post(TOKENS + "/revoke", "sysadmin", id=token[1], reason="离职")
    assert done.status_code == 303
    with pytest.raises(PolicyError, match="valid service token"):
        world.app.state.tokens.authenticate(token[0])
    assert (last(world, "token_revoked")["token"], last(world, "token_revoked")["reason"]) == (
        token[1],
        "离职",
    )
    again = world.post(TOKENS + "/revoke", "sysadmin", id=token[1], reason="离职")
    assert again.status_code == 400
    assert world.post(TOKENS + "/revoke", "sysadmin", id="f" * 16, reason="x").status_code == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"role": ["analyst", "auditor"]}, "may not hold analyst, auditor together"),
        ({"role": ["security_officer", "system_administrator"]}, "may not hold"),
        ({"role": []}, "needs a role"),
        ({"role": ["king"]}, "no such role"),
        ({"days": "367"}, "days"),
        ({"days": "-1"}, "days"),
        ({"department": "No!"}, "department"),
        ({"regions": "abc"}, "regions"),
        ({"reason": ""}, "a reason"),
        ({"login": ""}, "login"),
    ],
)
def test_a_refused_token_is_told_with_the_form_as_it_was_filled_in(world, change, said):
    tokens, log = world.app.state.tokens, world.platform.gateway.audit
    before, size = len(tokens.records()), log.size
    page = world.post(TOKENS, "sysadmin", **(LIN | change))
    assert page.status_code == 400
    assert said in text_of(page)
    assert 'value="lin"' in page.text or "login" in change
    assert (len(tokens.records()), log.size) == (before, size)


def test_roles_of_one_person_add_up_over_tokens(world):
    page = world.post(TOKENS, "sysadmin", **(LIN | {"login": "zhao"}))
    assert page.status_code == 200
    refused = world.post(TOKENS, "sysadmin", **(LIN | {"login": "ZHAO", "role": ["auditor"]}))
    assert refused.status_code == 400


def test_registration_tells_every_department_of_the_catalogue(world):
    said = text_of(world.get(CONNECTORS, "sysadmin"))
    for code in world.platform.nodes:
        assert f" {code} " in said
    assert "not registered" not in said
