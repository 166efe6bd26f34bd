"""Sessions, logins under way and waits on both databases, and of two who act at once one acts on the other's result."""

import threading
from datetime import timedelta

import pytest
from doors import CountingRng, HandClock

from middleplatform.access.tokens import TokenStore
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.errors import LimitError, PolicyError
from middleplatform.governance.desk import Desk
from middleplatform.login.claims import ClaimRules
from middleplatform.login.configured import Limits
from middleplatform.login.entrance import Came
from middleplatform.login.failures import Failures
from middleplatform.login.opened import open_login
from middleplatform.login.people import People
from middleplatform.login.sessions import How
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings
from middleplatform.store import logins

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
ADMIN = Subject("admin", "db", frozenset({Role.SYSTEM_ADMINISTRATOR}))
RULES = ClaimRules(("login",), "", (), {}, "drc", ("role",), {"a": Role.ANALYST}, (), {}, ("*",))
HERE = Came("192.0.2.1")


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def desk(store, clock, tmp_path):
    rng = CountingRng()
    signer = CheckpointSigner.create(tmp_path / "log.key", "audit.example/login", rng)
    with AuditLog.open(tmp_path / "audit.db", signer, clock) as log:
        yield Desk(store, clock, rng, log)


def test_who_comes_in_is_known_until_put_out(store, clock, desk, tmp_path):
    with TokenStore(tmp_path / "tokens.sqlite", clock, desk.rng) as tokens:
        login = open_login(Settings(), store, desk, tokens, {"lin": LIN}, clock, desk.rng)
        token, record = tokens.add(LIN, timedelta(hours=2))
        entrance, sessions = login.entrance, login.sessions
        first = entrance.by_token(token, HERE)
        second = entrance.by_token(token, Came("192.0.2.1", first))
        assert [sessions.subject(each) for each in (first, second)] == [None, LIN]
        clock.advance(minutes=29)
        assert sessions.subject(second) == LIN
        assert sessions.listed("LIN")[0].seen_at == clock.now()
        assert sessions.end_credential(How.TOKEN, record.id) == 1
        third = entrance.by_code(login.demo.shown_once()[0].code, HERE)
        assert People(store, desk, clock).end(ADMIN, "lin", "a reason") == 1
        assert sessions.subject(third) is None
        claims = {"sub": "u-1", "login": "lin", "role": "a"}
        entrance.by_claims(claims, RULES, "https://id.example", HERE, entrance.waits("f", HERE))
        with pytest.raises(PolicyError):
            entrance.by_claims(
                claims | {"sub": "u-2"},
                RULES,
                "https://id.example",
                HERE,
                entrance.waits("f", HERE),
            )
        People(store, desk, clock).forget(ADMIN, "lin", "a reason")
        assert sessions.listed() == ()


def at_once(count, act):
    """Run ``act`` in so many threads and return what each gave, or its error's code."""
    found = []

    def run(number):
        try:
            found.append(act(number))
        except LimitError as error:
            found.append(error.code)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return found


def test_login_under_way_is_taken_by_one_of_many(store, clock):
    with store.writing() as connection:
        logins.begun(connection, "ab" * 32, clock.now())

    def take(_):
        with store.writing() as connection:
            return logins.take_flow(connection, "ab" * 32)

    found = at_once(6, take)
    assert sorted(map(str, found)) == ["2026-03-01 08:00:00+00:00", *["None"] * 5]


def test_of_many_attempts_at_once_no_more_than_allowed_are_judged(store, clock):
    failures = Failures(store, clock, Limits(failures=3))
    found = at_once(8, lambda _: failures.attempt("t1", "192.0.2.1").locks)
    assert sorted(map(str, found)) == ["0", "0", "30", *["L008"] * 5]
