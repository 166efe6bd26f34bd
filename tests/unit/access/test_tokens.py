"""Service tokens let in whom they name, while they hold, and nobody else."""

import json
import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from middleplatform.access.roles import check_separation
from middleplatform.access.tokens import TokenStore
from middleplatform.errors import ConfigError, PolicyError, QueryError
from middleplatform.model.request import Role, Subject
from tests.fakes.doors import CountingRng, HandClock

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def store(tmp_path, clock):
    with TokenStore(tmp_path / "state" / "tokens.sqlite", clock, CountingRng()) as opened:
        yield opened


def refused(store: TokenStore, token: str) -> bool:
    with pytest.raises(PolicyError) as caught:
        store.authenticate(token)
    return caught.value.code == "P005"


def test_token_gives_back_the_whole_subject(store):
    token, record = store.add(LIN, DAY, "nightly report")
    assert store.authenticate(token) == LIN
    assert store.records() == (record,)
    assert store.record(record.id) == record
    assert store.record("0" * 16) is None
    assert record.note == "nightly report"


def test_a_record_as_json_has_neither_token_nor_digest(store):
    token, record = store.add(LIN, DAY, "nightly report")
    told = record.plain()
    assert (told["login"], told["roles"], told["revoked_at"]) == (LIN.id, sorted(LIN.roles), None)
    assert set(told) == {
        "id", "login", "department", "roles", "regions", "note", "created_at", "expires_at", "revoked_at",
    }  # fmt: skip
    assert token not in json.dumps(told)
    assert store.revoke(record.id).plain()["revoked_at"] == record.created_at.isoformat()


def test_token_carries_256_random_bits_and_its_public_id(store):
    token, record = store.add(LIN, DAY)
    prefix, public, secret = token.split("_", 2)
    assert (prefix, public, len(secret)) == ("mpt", record.id, 43)
    assert token != store.add(LIN, DAY)[0]


def test_store_never_holds_the_token_and_is_private(store, tmp_path):
    token, _ = store.add(LIN, DAY)
    secret = token.rsplit("_", 1)[1].encode()
    for file in (tmp_path / "state").iterdir():
        assert secret not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


FORGERIES = (
    "", "x", "{0}A", "{1}", "{1}?", "mpt_0000{2}", "mpt_0000000000000000_" + "A" * 43,
    "{0}\udc80", "{0}\n", " {0}", "' OR 1=1 --",
)  # fmt: skip


@pytest.mark.parametrize("forged", FORGERIES)
def test_forged_token_is_refused(store, forged):
    token, _ = store.add(LIN, DAY)
    assert refused(store, forged.format(token, token[:-1], token[4:]))


@pytest.mark.parametrize("place", range(4, 64))
def test_token_with_one_character_changed_is_refused(store, place):
    token, _ = store.add(LIN, DAY)
    other = "0" if token[place] != "0" else "1"
    assert refused(store, token[:place] + other + token[place + 1 :])


def test_token_of_one_id_with_anothers_secret_is_refused(store):
    one, _ = store.add(LIN, DAY)
    two, _ = store.add(LIN, DAY)
    assert refused(store, "_".join([*one.split("_")[:2], two.split("_", 2)[2]]))


def test_token_holds_until_it_expires(store, clock):
    token, record = store.add(LIN, DAY)
    clock.moment = record.expires_at - timedelta(microseconds=1)
    assert store.authenticate(token) == LIN
    clock.moment = record.expires_at
    assert refused(store, token)


def test_token_does_not_hold_before_it_was_made(store, clock):
    token, _ = store.add(LIN, DAY)
    clock.advance(seconds=-1)
    assert refused(store, token)


def test_revoked_token_is_refused_at_once_also_through_another_opening(store, tmp_path, clock):
    token, record = store.add(LIN, DAY)
    with TokenStore(tmp_path / "state" / "tokens.sqlite", clock, CountingRng()) as other:
        other.revoke(record.id)
    assert refused(store, token)


def test_revoking_twice_keeps_the_first_moment(store, clock):
    _, record = store.add(LIN, DAY)
    first = store.revoke(record.id).revoked_at
    clock.advance(hours=1)
    assert store.revoke(record.id).revoked_at == first


def test_revoking_an_unknown_token_is_told(store):
    with pytest.raises(QueryError, match="no such token"):
        store.revoke("0" * 16)


@pytest.mark.parametrize("subject", [
    Subject("", "drc", frozenset({Role.ANALYST})),
    Subject("lin\n", "drc", frozenset({Role.ANALYST})),
    Subject("lin", "D R C", frozenset({Role.ANALYST})),
    Subject("lin", "drc", frozenset({Role.ANALYST}), ()),
    Subject("lin", "drc", frozenset({Role.ANALYST}), ("99",)),
    Subject("lin", "drc", frozenset()),
])  # fmt: skip
def test_malformed_subject_gets_no_token(store, subject):
    with pytest.raises(QueryError) as caught:
        store.add(subject, DAY)
    assert caught.value.code == "Q040"
    assert store.records() == ()


@pytest.mark.parametrize("days", [-1, 0, 367])
def test_duration_out_of_range_is_refused(store, days):
    with pytest.raises(QueryError, match="days"):
        store.add(LIN, timedelta(days=days))


@pytest.mark.parametrize("roles", [
    {Role.AUDITOR, Role.SECURITY_OFFICER}, {Role.AUDITOR, Role.ANALYST},
    {Role.AUDITOR, Role.DEPARTMENT_STEWARD}, {Role.AUDITOR, Role.DATA_BUREAU},
    {Role.SECURITY_OFFICER, Role.ANALYST}, {Role.SECURITY_OFFICER, Role.DEPARTMENT_STEWARD},
    {Role.SECURITY_OFFICER, Role.DATA_BUREAU}, {Role.DATA_BUREAU, Role.DEPARTMENT_STEWARD},
    set(Role),
])  # fmt: skip
def test_conflicting_roles_get_no_token(store, roles):
    with pytest.raises(QueryError, match="together"):
        store.add(Subject("lin", "drc", frozenset(roles)), DAY)


@pytest.mark.parametrize("roles", [
    *({role} for role in Role), {Role.ANALYST, Role.DEPARTMENT_STEWARD}, {Role.ANALYST, Role.DATA_BUREAU},
])  # fmt: skip
def test_compatible_roles_pass(roles):
    check_separation(roles)


def test_store_that_cannot_be_opened_is_one_clear_error(tmp_path, clock):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError) as caught:
        TokenStore(tmp_path / "file" / "tokens.sqlite", clock, CountingRng())
    assert caught.value.code == "C011"


def test_damaged_store_is_one_clear_error(tmp_path: Path, clock):
    (tmp_path / "tokens.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError) as caught:
        TokenStore(tmp_path / "tokens.sqlite", clock, CountingRng())
    assert caught.value.code == "C011"
    assert "database" not in caught.value.public_message


def test_digest_of_another_length_cannot_be_stored(store, tmp_path):
    store.add(LIN, DAY)
    raw = sqlite3.connect(tmp_path / "state" / "tokens.sqlite")
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute("UPDATE token SET digest = x''")
    raw.close()
