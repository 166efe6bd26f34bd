"""System, security and audit administrators are three people, by whatever token each comes."""

from datetime import timedelta

import pytest
from doors import CountingRng, HandClock

from middleplatform.access.roles import check_person, check_role, check_separation
from middleplatform.access.tokens import TokenStore
from middleplatform.errors import PolicyError, QueryError
from middleplatform.model.request import Role, Subject, person_key, same_person

DAY = timedelta(days=1)
THREE = (Role.SYSTEM_ADMINISTRATOR, Role.SECURITY_OFFICER, Role.AUDITOR)


def of(role, login="lin"):
    return Subject(login, "drc", frozenset({role}))


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def store(tmp_path, clock):
    with TokenStore(tmp_path / "tokens.sqlite", clock, CountingRng()) as opened:
        yield opened


@pytest.mark.parametrize("one", THREE)
@pytest.mark.parametrize("other", list(Role))
def test_an_administrator_is_nothing_else(one, other):
    if one is other:
        check_separation({one, other})
    else:
        with pytest.raises(QueryError, match="together"):
            check_separation({one, other})


@pytest.mark.parametrize("login", ["lin", "LIN"])
def test_two_tokens_of_one_person_are_judged_together(store, login):
    store.add(of(Role.SECURITY_OFFICER), DAY)
    store.add(of(Role.SECURITY_OFFICER), DAY)
    with pytest.raises(QueryError, match="together"):
        store.add(of(Role.AUDITOR, login), DAY)
    assert len(store.records()) == 2
    store.add(of(Role.AUDITOR, "other"), DAY)


def test_a_login_in_other_letters_is_not_a_second_person(store):
    store.add(of(Role.SECURITY_OFFICER), DAY)
    with pytest.raises(QueryError, match="this login is written lin"):
        store.add(of(Role.SECURITY_OFFICER, "Lin"), DAY)
    assert len(store.records()) == 1


def test_what_is_revoked_or_over_is_no_conflict(store, clock):
    _, record = store.add(of(Role.SECURITY_OFFICER), DAY)
    store.revoke(record.id)
    store.add(of(Role.AUDITOR), DAY)
    clock.advance(days=2)
    store.add(of(Role.SYSTEM_ADMINISTRATOR), DAY)


def test_a_session_beside_a_token_is_the_same_person():
    held = [("lin", {Role.ANALYST}), ("wu", {Role.AUDITOR})]
    check_person("lin", {Role.DEPARTMENT_STEWARD}, held)
    with pytest.raises(QueryError, match="together"):
        check_person("Wu", {Role.SECURITY_OFFICER}, held)


@pytest.mark.parametrize("other", ["LIN", "Lin", "ｌｉｎ", "ＬＩＮ", "lıN".replace("ı", "i")])
def test_one_person_has_one_key_however_the_login_is_written(other):
    assert same_person("lin", other)
    assert person_key(person_key(other)) == person_key("lin")


@pytest.mark.parametrize(("one", "other"), [("lin", "lin2"), ("", ""), ("lin", ""), ("", "lin")])
def test_others_are_others_and_an_empty_login_is_nobodys(one, other):
    assert not same_person(one, other)


def test_one_of_the_roles_suffices_and_without_any_they_are_named():
    subject = Subject("lin", "drc", frozenset({Role.ANALYST, Role.DATA_BUREAU}))
    check_role(subject, frozenset({Role.DATA_BUREAU, Role.AUDITOR}))
    for allowed in (frozenset({Role.AUDITOR}), frozenset()):
        with pytest.raises(PolicyError) as caught:
            check_role(subject, allowed)
        assert caught.value.code == "P004"
        assert all(str(role) in caught.value.message("en") for role in allowed)
