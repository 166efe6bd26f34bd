"""The desk of tokens, where the log does not take an entry, and where the process dies in between."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest

from middleplatform import catalog, policy
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.access.tokens import TokenStore
from middleplatform.errors import AuditError, PolicyError, QueryError
from middleplatform.governance.opened import open_lifecycle
from middleplatform.login.token_desk import TokenDesk
from middleplatform.model.request import Role, Subject
from middleplatform.policy.examples import example
from middleplatform.settings import Settings
from tests.fakes.doors import CountingRng, HandClock

ROOT = Subject("root", "db", frozenset({Role.SYSTEM_ADMINISTRATOR}))
LIN = Subject("lin", "drc", frozenset({Role.ANALYST}))


class Doing:
    """Does acts: keeps what they say, or refuses."""

    def __init__(self, error=None):
        self.error, self.said = error, []

    def perform(self, decide):
        act = decide(None, 1)
        if self.error is not None:
            raise self.error
        self.said.append((act.event, act.body["what"], act.body["token"], act.changes))
        return 1


@pytest.fixture
def tokens(tmp_path):
    with TokenStore(tmp_path / "tokens.sqlite", HandClock(), CountingRng()) as made:
        yield made


def test_a_log_that_takes_no_entry_takes_no_act(tokens):
    kept, record = tokens.add(LIN, timedelta(days=1))
    desk = TokenDesk(tokens, Doing(AuditError("A001")))
    with pytest.raises(AuditError):
        desk.make(ROOT, LIN, 30, "", "why")
    with pytest.raises(AuditError):
        desk.revoke(ROOT, record.id, "why")
    assert tokens.records() == (record,)
    assert tokens.authenticate(kept) == LIN


def test_the_entry_is_there_before_the_token_is(tokens):
    found = []

    class Looking(Doing):
        def perform(self, decide):
            found.append(len(tokens.records()))
            return super().perform(decide)

    doing = Looking()
    made = TokenDesk(tokens, doing).make(ROOT, LIN, 30, "note", "why")
    assert (found, len(tokens.records())) == ([0], 1)
    assert doing.said == [("login", "token_made", made.record.id, ())]
    assert tokens.authenticate(made.token) == LIN


@pytest.mark.parametrize("role", [each for each in Role if each is not Role.SYSTEM_ADMINISTRATOR])
def test_nobody_else_may(tokens, role):
    who = Subject("other", "db", frozenset({role}))
    desk = TokenDesk(tokens, doing := Doing())
    for call in (
        lambda: desk.listed(who),
        lambda: desk.make(who, LIN, 30, "", "why"),
        lambda: desk.revoke(who, "0" * 16, "why"),
    ):
        with pytest.raises(PolicyError, match="it needs the role"):
            call()
    assert (doing.said, tokens.records()) == ([], ())


def test_roles_of_open_sessions_count_as_the_persons_own(tokens):
    desk = TokenDesk(tokens, Doing(), lambda: [("LIN", frozenset({Role.AUDITOR}))])
    with pytest.raises(QueryError, match="may not hold"):
        desk.make(ROOT, LIN, 30, "", "why")
    assert tokens.records() == ()


# --- several at once ------------------------------------------------------------------------------------------------


@pytest.fixture
def office(tmp_path):
    """The desk of acts over a real store and a real log, in the state folder that the command line uses too."""
    settings = Settings(state=tmp_path / "state")
    known = catalog.load(example("demo") / "catalog")
    bundle = policy.load(example("demo"), known)
    with open_lifecycle(settings, known, bundle, SystemClock(), SystemRng()) as lifecycle:
        yield lifecycle.desk


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "state" / "tokens.sqlite"
    with TokenStore(path, SystemClock(), SystemRng()) as made:
        yield made


def entered(desk, what):
    """Return the tokens that the log's entries speak of."""
    records = [each.record for each in desk.log.entries(0) if each.record.event == "login"]
    return [each.body["token"] for each in records if each.body["what"] == what]


def at_once(calls):
    """Do all at once, each in a thread of its own; return what they gave or raised."""
    ready = threading.Barrier(len(calls))

    def one(call):
        ready.wait()
        try:
            return call()
        except (QueryError, AuditError) as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def test_administrators_at_once_lose_none_of_each_others_tokens(office, kept):
    people = [Subject(f"lin{number}", "drc", frozenset({Role.ANALYST})) for number in range(8)]
    calls = [
        lambda who=who: TokenDesk(kept, office).make(ROOT, who, 30, "", "同时") for who in people
    ]
    made = at_once(calls)
    assert {kept.authenticate(each.token).id for each in made} == {each.id for each in people}
    ids = [each.record.id for each in made]
    assert sorted(entered(office, "token_made")) == sorted(ids)
    gone = at_once(
        [lambda one=one: TokenDesk(kept, office).revoke(ROOT, one, "同时") for one in ids]
    )
    assert {each.id for each in gone} == set(ids)
    assert sorted(entered(office, "token_revoked")) == sorted(ids)
    assert kept.holders() == []


def test_one_token_revoked_by_two_at_once_is_revoked_once(office, kept):
    made = TokenDesk(kept, office).make(ROOT, LIN, 30, "", "why")
    call = lambda: TokenDesk(kept, office).revoke(ROOT, made.record.id, "同时")  # noqa: E731 - the same for all
    found = at_once([call] * 4)
    assert sum(isinstance(each, QueryError) for each in found) == 3
    assert entered(office, "token_revoked") == [made.record.id]


def test_roles_that_exclude_each_other_are_given_to_one_person_by_one_of_two_only(office, kept):
    roles = [Role.ANALYST, Role.AUDITOR, Role.SECURITY_OFFICER, Role.SYSTEM_ADMINISTRATOR]
    calls = [
        lambda role=role: TokenDesk(kept, office).make(
            ROOT, Subject("lin", "drc", frozenset({role})), 30, "", "同时"
        )
        for role in roles
    ]
    found = at_once(calls)
    assert sum(isinstance(each, QueryError) for each in found) == 3
    assert len(kept.holders()) == 1
    assert len(entered(office, "token_made")) == 1  # who was refused is not in the log


def test_what_another_process_kept_meanwhile_is_judged_when_the_token_is_kept(tmp_path):
    """Two stores on one file are two processes to each other: nothing but the file is between them."""
    path = tmp_path / "tokens.sqlite"
    auditor = Subject("LIN", "drc", frozenset({Role.AUDITOR}))
    with ExitStack() as opened:
        rng = CountingRng()
        one, other = (opened.enter_context(TokenStore(path, HandClock(), rng)) for _ in range(2))
        planned = one.planned(LIN, timedelta(days=1))
        token, _ = other.add(auditor, timedelta(days=1))
        with pytest.raises(QueryError, match="may not hold"):
            one.keep(planned)
        assert [each.subject for each in one.records()] == [auditor]
        with pytest.raises(PolicyError):
            one.authenticate(planned.token)
        assert one.authenticate(token) == auditor
        # The refusal has left nothing open: both go on.
        assert one.add(Subject("zhao", "drc", frozenset({Role.ANALYST})), timedelta(days=1))


def test_processes_beside_the_holder_of_the_log_lose_none(office, kept, tmp_path):
    """The command line in processes of its own, at once, while this process holds the log and makes tokens too."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'state = "{tmp_path / "state"}"\n')
    ended = threading.Event()

    def hold():
        while not ended.is_set():
            office.finish()
            ended.wait(0.05)

    def add(login, role):
        command = [sys.executable, "-m", "middleplatform", "--settings", str(settings), "token", "add", login,
                   "--department", "drc", "--role", role, "--json"]  # fmt: skip
        while (
            True
        ):  # an act on its way is no reason to lose another: whoever is told so does it again
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if '"code": "Q042"' not in ran.stdout:
                return ran

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        wanted = [("wu", "analyst"), ("xu", "analyst"), ("yan", "analyst"), ("yan", "auditor")]
        with ThreadPoolExecutor(4) as pool:
            ran = list(pool.map(lambda each: add(*each), wanted))
        own = TokenDesk(kept, office).make(ROOT, LIN, 30, "", "beside them")
    finally:
        ended.set()
        holder.join()
    good = [json.loads(each.stdout) for each in ran if each.returncode == 0]
    assert sorted(each["login"] for each in good) == ["wu", "xu", "yan"]
    (refused,) = [each for each in ran if each.returncode]
    assert json.loads(refused.stdout)["code"] == "Q040", refused
    assert {kept.authenticate(each["token"]).id for each in good} == {"wu", "xu", "yan"}
    assert {each["id"] for each in good} | {own.record.id} <= set(entered(office, "token_made"))
