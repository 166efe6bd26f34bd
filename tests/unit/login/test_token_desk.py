"""The desk of tokens, where the log does not take an entry, and where the process dies in between."""

from datetime import timedelta

import pytest

from middleplatform.access.tokens import TokenStore
from middleplatform.errors import AuditError, PolicyError, QueryError
from middleplatform.login.token_desk import TokenDesk
from middleplatform.model.request import Role, Subject
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
