"""Whoever comes in or goes out is an entry of the audit log; whoever cannot be entered does not come in."""

import dataclasses
import json
from datetime import timedelta

import pytest
from sqlalchemy import insert

from middleplatform.access.tokens import TokenStore
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.errors import AuditError, LimitError, PolicyError, QueryError
from middleplatform.governance.desk import Desk
from middleplatform.login.claims import ClaimRules
from middleplatform.login.demo import DemoLogins
from middleplatform.login.entrance import Came
from middleplatform.login.opened import open_login
from middleplatform.login.people import People
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings
from middleplatform.store.freezes import freezes

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
RULES = ClaimRules(
    ("login",), "", (), {}, "drc", ("role",), {"a": Role.ANALYST, "x": Role.AUDITOR}, (), {}, ("*",)
)
ISSUER = "https://id.gov.example"
HERE = Came("192.0.2.1")


@pytest.fixture
def log(tmp_path, clock, rng):
    signer = CheckpointSigner.create(tmp_path / "log.key", "audit.example/login", rng)
    with AuditLog.open(tmp_path / "audit.db", signer, clock) as opened:
        yield opened


@pytest.fixture
def tokens(tmp_path, clock, rng):
    with TokenStore(tmp_path / "tokens.sqlite", clock, rng) as opened:
        yield opened


@pytest.fixture
def login(store, log, tokens, clock, rng):
    desk = Desk(store, clock, rng, log)
    return open_login(Settings(), store, desk, tokens, {"lin": LIN}, clock, rng)


@pytest.fixture
def entrance(login):
    return login.entrance


@pytest.fixture
def token(tokens):
    return tokens.add(LIN, timedelta(hours=2))[0]


def entries(log):
    return [each.record.body for each in log.entries() if each.record.event == "login"]


def by_claims(entrance, claims, issuer=ISSUER):
    attempt = entrance.waits("flow", HERE)
    return entrance.by_claims(claims, RULES, issuer, HERE, attempt)


def test_token_lets_its_subject_in_and_the_log_knows(entrance, token, log):
    secret = entrance.by_token(token, HERE)
    assert entrance.sessions.subject(secret) == LIN
    (entry,) = entries(log)
    assert (entry["what"], entry["subject"]) == ("began", "lin")
    assert entry["credential"] == token.split("_")[1]
    assert entry["address"] == "192.0.2.1"
    assert entry["session"] == entrance.sessions.listed("lin")[0].id


def test_going_out_is_an_entry_and_over_at_once(entrance, token, log):
    secret = entrance.by_token(token, HERE)
    entrance.leave(secret)
    entrance.leave(secret)
    entrance.leave("unknown")
    assert entrance.sessions.subject(secret) is None
    assert [each["what"] for each in entries(log)] == ["began", "ended"]


def test_no_secret_is_in_the_log_or_the_store(entrance, token, login, tmp_path):
    code = login.demo.shown_once()[0].code
    secrets = [
        token.split("_", 2)[2],
        code,
        entrance.by_token(token, HERE),
        entrance.by_code(code, HERE),
    ]
    for wrong in (token[:-1] + "A", "wr-ong"):
        with pytest.raises(PolicyError):
            entrance.by_token(wrong, HERE)
    found = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    assert b"192.0.2.1" in found
    assert [each for each in secrets if each.encode() in found] == []


@pytest.mark.parametrize("wrong", ["", "x", "mpt_0000000000000000_" + "A" * 43, "é" * 50])
def test_wrong_token_is_told_as_every_other(entrance, token, wrong):
    del token
    with pytest.raises(PolicyError) as caught:
        entrance.by_token(wrong, HERE)
    assert (caught.value.code, caught.value.detail) == ("P006", "")


def test_session_ends_with_its_token(entrance, token, tokens, clock):
    secret = entrance.by_token(token, HERE)
    for _ in range(7):
        clock.advance(minutes=15)
        assert entrance.sessions.subject(secret) == LIN
    clock.advance(minutes=15)
    assert entrance.sessions.subject(secret) is None
    second = entrance.by_token(tokens.add(LIN, timedelta(hours=2))[0], HERE)
    tokens.revoke(tokens.records()[-1].id)
    assert entrance.sessions.subject(second) is None


def test_new_login_of_a_browser_ends_what_it_had(entrance, token):
    first = entrance.by_token(token, HERE)
    second = entrance.by_token(token, dataclasses.replace(HERE, before=first))
    assert entrance.sessions.subject(first) is None
    assert entrance.sessions.subject(second) == LIN


def test_wrong_tokens_lead_to_a_wait_which_is_an_entry(entrance, token, log):
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    for _ in range(5):
        with pytest.raises(PolicyError):
            entrance.by_token(wrong, HERE)
    for _ in range(5):
        with pytest.raises(LimitError) as caught:
            entrance.by_token(token, HERE)
        assert caught.value.code == "L008"
    (entry,) = entries(log)
    assert (entry["what"], entry["named"], entry["seconds"]) == ("locked", token.split("_")[1], 30)
    assert entrance.sessions.subject(entrance.by_token(token, Came("192.0.2.2"))) == LIN


def test_full_log_lets_nobody_in_and_still_lets_out(entrance, token, log):
    secret = entrance.by_token(token, HERE)
    log.close()
    with pytest.raises(AuditError):
        entrance.by_token(token, HERE)
    assert len(entrance.sessions.listed("lin")) == 1
    with pytest.raises(AuditError):
        entrance.leave(secret)
    assert entrance.sessions.listed("lin") == ()


def test_code_of_the_demonstration_lets_in_until_the_process_ends(entrance, login, rng):
    secret = entrance.by_code(login.demo.shown_once()[0].code, HERE)
    assert entrance.sessions.subject(secret) == LIN
    login.demo.id = DemoLogins({}, rng).id
    assert entrance.sessions.subject(secret) is None


def test_without_a_demonstration_no_code_lets_in(store, log, tokens, clock, rng):
    desk = Desk(store, clock, rng, log)
    settings = Settings(host="0.0.0.0")
    entrance = open_login(settings, store, desk, tokens, {"lin": LIN}, clock, rng).entrance
    with pytest.raises(PolicyError) as caught:
        entrance.by_code("", HERE)
    assert caught.value.code == "P006"


def test_first_who_comes_by_a_login_keeps_it(entrance):
    """A provider may give the name of somebody who has left to somebody else."""
    first = {"sub": "u-1", "login": "lin", "role": "a"}
    by_claims(entrance, first)
    by_claims(entrance, first)
    for other in (first | {"sub": "u-2"}, first | {"login": "wang"}):
        with pytest.raises(PolicyError) as caught:
            by_claims(entrance, other)
        assert caught.value.code == "P006"
    with pytest.raises(PolicyError):
        by_claims(entrance, first, "https://other.example")
    assert len(entrance.sessions.listed()) == 2


def test_roles_by_claims_and_by_token_must_go_together(entrance, tokens):
    tokens.add(dataclasses.replace(LIN, roles=frozenset({Role.AUDITOR})), timedelta(hours=1))
    with pytest.raises(QueryError) as caught:
        by_claims(entrance, {"sub": "u-1", "login": "lin", "role": "a"})
    assert caught.value.code == "Q040"


def test_sessions_under_former_claims_end_when_the_person_comes_again(entrance):
    first = {"sub": "u-1", "login": "lin", "role": "a"}
    by_claims(entrance, first)
    by_claims(entrance, first)
    (both, _) = entrance.sessions.listed()
    by_claims(entrance, first | {"role": "x"})
    assert [each.subject.roles for each in entrance.sessions.listed()] == [{Role.AUDITOR}]
    assert both.subject.roles == {Role.ANALYST}


def test_sessions_of_one_person_have_roles_that_go_together(entrance, token):
    entrance.by_token(token, HERE)
    for login in ("lin", "LIN"):
        with pytest.raises(QueryError) as caught:
            by_claims(entrance, {"sub": "u-1", "login": login, "role": "x"})
        assert caught.value.code == "Q040"
    assert entrance.sessions.end_all("Lin") == 1
    by_claims(entrance, {"sub": "u-1", "login": "x", "role": "x"})


@pytest.mark.parametrize(("frozen", "holds"), [
    ({"target": "lin"}, False), ({"target": "LIN"}, False), ({"target": "wang"}, True),
    ({"scope": "project"}, True), ({"drill": True}, True), ({"at": -1}, True),
])  # fmt: skip
def test_freeze_ends_the_sessions_that_the_person_has(entrance, token, store, clock, frozen, holds):
    secret = entrance.by_token(token, HERE)
    row = {"scope": "user", "target": "lin", "drill": False, "at": 1} | frozen
    row["at"] = clock.now() + timedelta(seconds=row["at"])
    texts = {"reason": "r", "person": "p", "department": "d", "capacity": "c"}
    with store.writing() as connection:
        connection.execute(insert(freezes).values(number=1, act=1, **row, **texts))
    clock.advance(seconds=2)
    assert (entrance.sessions.subject(secret) == LIN) is holds
    assert entrance.sessions.subject(entrance.by_token(token, HERE)) == LIN


def test_session_by_claims_ends_when_the_provider_is_another(entrance):
    """Here no provider is set at all."""
    secret = by_claims(entrance, {"sub": "u-1", "login": "lin", "role": "a"})
    assert entrance.sessions.subject(secret) is None


def test_entry_is_plain_json_and_names_the_issuer(entrance, log):
    by_claims(entrance, {"sub": "u-1", "login": "lin", "role": ["a", "root"], "name": "somebody"})
    (entry,) = entries(log)
    assert (entry["how"], entry["credential"], entry["roles"]) == ("oidc", ISSUER, ["analyst"])
    assert "somebody" not in json.dumps(dict(entry))


ADMIN = Subject("admin", "db", frozenset({Role.SYSTEM_ADMINISTRATOR}))


@pytest.fixture
def people(store, log, clock, rng):
    return People(store, Desk(store, clock, rng, log), clock)


def test_administrator_sees_who_is_in_and_puts_somebody_out(people, entrance, token, log):
    secret = entrance.by_token(token, HERE)
    assert [each.subject for each in people.sessions(ADMIN)] == [LIN]
    assert people.end(ADMIN, "LIN", "left the department") == 1
    assert entrance.sessions.subject(secret) is None
    entry = entries(log)[-1]
    assert (entry["what"], entry["by"], entry["reason"]) == (
        "put_out",
        "admin",
        "left the department",
    )
    with pytest.raises(QueryError) as caught:
        people.end(ADMIN, "lin", "again")
    assert caught.value.code == "Q041"


def test_login_begins_anew_when_an_administrator_says_so(people, entrance, log):
    first = {"sub": "u-1", "login": "lin", "role": "a"}
    by_claims(entrance, first)
    people.forget(ADMIN, "lin", "the provider renumbered its people")
    assert entrance.sessions.listed() == ()
    by_claims(entrance, first | {"sub": "u-2"})
    assert [each["what"] for each in entries(log)] == ["began", "forgotten", "began"]
    with pytest.raises(QueryError):
        people.forget(ADMIN, "nobody", "a reason")


@pytest.mark.parametrize(
    "role", sorted(set(Role) - {Role.SYSTEM_ADMINISTRATOR, Role.SECURITY_OFFICER})
)
def test_nobody_else_does(people, role, log):
    other = Subject("other", "db", frozenset({role}))
    for act in (
        lambda: people.sessions(other),
        lambda: people.end(other, "lin", "a reason"),
        lambda: people.forget(other, "lin", "a reason"),
    ):
        with pytest.raises(PolicyError) as caught:
            act()
        assert caught.value.code == "P004"
    assert entries(log) == []


def test_act_needs_a_reason(people):
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(QueryError) as caught:
            people.end(ADMIN, "lin", reason)
        assert caught.value.code == "Q040"
