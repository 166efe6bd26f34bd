"""A session lets in whom it was begun for, as long as it holds, and nobody else."""

import dataclasses
from datetime import timedelta

import pytest

from middleplatform.errors import QueryError
from middleplatform.login.sessions import Bounds, How, Sessions
from middleplatform.model.request import Role, Subject

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
WANG = Subject("wang", "ss", frozenset({Role.AUDITOR}))


def test_secret_gives_back_the_whole_subject(sessions):
    assert sessions.subject(sessions.begin(LIN)) == LIN


def test_secrets_are_256_bits_and_never_the_same(sessions):
    first, second = sessions.begin(LIN), sessions.begin(LIN)
    assert len(first) == 43
    assert first != second


def test_no_secret_is_in_the_store(sessions, tmp_path):
    secret = sessions.begin(LIN)
    found = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"990101" in found
    assert secret.encode() not in found
    assert sessions.csrf(secret).encode() not in found


@pytest.mark.parametrize("forged", ["", "x", "A" * 43, "A" * 44, "\ud800" * 43, "中" * 43])
def test_any_other_text_lets_nobody_in(sessions, forged):
    sessions.begin(LIN)
    assert sessions.subject(forged) is None


def test_idle_session_ends_and_a_used_one_does_not(sessions, clock):
    idle, used = sessions.begin(LIN), sessions.begin(WANG)
    for _ in range(4):
        clock.advance(minutes=10)
        assert sessions.subject(used) == WANG
    assert sessions.subject(idle) is None
    assert [each.subject for each in sessions.listed()] == [WANG]


def test_used_session_ends_when_its_time_is_over(sessions, clock):
    secret = sessions.begin(LIN)
    for _ in range(39):
        clock.advance(minutes=15)
        assert sessions.subject(secret) == LIN
    clock.advance(minutes=15)
    assert sessions.subject(secret) is None


def test_session_does_not_outlast_what_it_was_begun_with(sessions, clock):
    secret = sessions.begin(LIN, until=clock.now() + timedelta(minutes=5))
    clock.advance(minutes=4)
    assert sessions.subject(secret) == LIN
    clock.advance(minutes=1)
    assert sessions.subject(secret) is None


def test_clock_set_back_lets_nobody_in(sessions, clock):
    secret = sessions.begin(LIN)
    clock.advance(minutes=-1)
    assert sessions.subject(secret) is None


def test_ended_session_stays_ended_and_others_go_on(sessions):
    first, second = sessions.begin(LIN), sessions.begin(LIN)
    sessions.end(first)
    sessions.end(first)
    assert sessions.subject(first) is None
    assert sessions.subject(second) == LIN


def test_login_in_the_same_browser_ends_the_session_before(sessions):
    before = sessions.begin(LIN)
    after = sessions.begin(WANG, instead_of=before)
    assert sessions.subject(before) is None
    assert sessions.subject(after) == WANG


def test_all_sessions_of_one_login_end_together(sessions):
    lin = [sessions.begin(LIN) for _ in range(3)]
    wang = sessions.begin(WANG)
    assert sessions.end_all("lin") == 3
    assert [sessions.subject(each) for each in lin] == [None] * 3
    assert sessions.subject(wang) == WANG
    assert sessions.end_all("lin") == 0


def test_sessions_of_one_credential_end_together(sessions):
    one = sessions.begin(LIN, How.TOKEN, credential="00ff")
    other = sessions.begin(LIN, How.TOKEN, credential="00fe")
    assert sessions.end_credential(How.TOKEN, "00ff") == 1
    assert sessions.subject(one) is None
    assert sessions.subject(other) == LIN


def test_one_session_is_ended_by_its_public_id(sessions):
    secret = sessions.begin(LIN)
    (record,) = sessions.listed("lin")
    assert sessions.end_id(record.id)
    assert not sessions.end_id(record.id)
    assert sessions.subject(secret) is None


def test_one_login_has_so_many_sessions_and_the_oldest_gives_way(store, clock, rng):
    sessions = Sessions(store, clock, rng, Bounds(per_login=2))
    made = []
    for _ in range(3):
        made.append(sessions.begin(LIN))
        clock.advance(seconds=1)
    assert [sessions.subject(each) for each in made] == [None, LIN, LIN]


def test_what_does_not_stand_any_more_ends_for_good(store, clock, rng):
    withdrawn = []
    sessions = Sessions(store, clock, rng, stands=lambda record: record.credential not in withdrawn)
    secret = sessions.begin(LIN, credential="t1")
    assert sessions.subject(secret) == LIN
    withdrawn.append("t1")
    assert sessions.subject(secret) is None
    withdrawn.clear()
    assert sessions.subject(secret) is None


def test_conflicting_roles_begin_no_session(sessions):
    both = dataclasses.replace(LIN, roles=frozenset({Role.AUDITOR, Role.ANALYST}))
    with pytest.raises(QueryError, match="together"):
        sessions.begin(both)
    assert sessions.listed() == ()


def test_form_text_is_the_sessions_own_and_not_its_secret(sessions):
    first, second = sessions.begin(LIN), sessions.begin(LIN)
    assert sessions.is_csrf(first, sessions.csrf(first))
    assert not sessions.is_csrf(second, sessions.csrf(first))
    assert not sessions.is_csrf(first, "")
    assert sessions.csrf(first) != first


def test_sessions_outlive_the_process_and_are_shared(store, clock, rng):
    secret = Sessions(store, clock, rng).begin(LIN)
    assert Sessions(store, clock, rng).subject(secret) == LIN


def test_sessions_long_over_are_forgotten(sessions, clock):
    sessions.begin(LIN)
    clock.advance(days=8)
    sessions.begin(WANG)
    assert [each.subject for each in sessions.listed()] == [WANG]
