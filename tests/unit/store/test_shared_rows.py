"""Tokens, published keys and questions in a shared store: what one gateway keeps, the other goes by."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from doors import CountingRng, HandClock
from sealed_world import opening_key

from middleplatform.access.tokens import TokenStore
from middleplatform.errors import ConfigError, PolicyError, QueryError
from middleplatform.ledger.history import Population, SharedHistory
from middleplatform.ledger.keys import KeyRegistry
from middleplatform.model.request import Role, Subject
from middleplatform.store.alike import SharedQuestions
from middleplatform.store.database import Store
from middleplatform.store.sealing_keys import SharedKeys
from middleplatform.store.tokens import SharedTokens

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
AT = "2026-03-01T08:00:00+00:00"
DAY = timedelta(days=1)
ALL, NONE = (0, 1 << 62), (1, 0)


@pytest.fixture
def other(kept, kept_url):
    """Return the store as another gateway has it open."""
    assert kept is not None
    with Store.open(kept_url) as opened:
        yield opened


def test_a_token_of_one_gateway_lets_in_at_the_other_until_either_withdraws_it(kept, other):
    clock = HandClock()
    here = TokenStore(SharedTokens(kept), clock, CountingRng())
    there = TokenStore(SharedTokens(other), clock, CountingRng())
    token, record = here.add(LIN, DAY, "nightly report")
    assert there.authenticate(token) == LIN
    assert there.records() == here.records() == (record,)
    for forged in (
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.replace(record.id, "0" * 16),
        "",
    ):
        with pytest.raises(PolicyError):
            there.authenticate(forged)
    first = there.revoke(record.id).revoked_at
    clock.advance(minutes=1)
    assert here.revoke(record.id).revoked_at == first
    for each in (here, there):
        with pytest.raises(PolicyError):
            each.authenticate(token)
    with pytest.raises(QueryError):
        here.revoke("0" * 16)


def test_two_gateways_at_once_give_one_person_no_roles_that_exclude_each_other(kept, other):
    clock, rng = HandClock(), CountingRng()
    stores = [TokenStore(SharedTokens(each), clock, rng) for each in (kept, other)]
    roles = (Role.AUDITOR, Role.SECURITY_OFFICER)
    for number in range(10):
        planned = [
            store.planned(Subject(f"p{number}", "db", frozenset({role})), DAY)
            for store, role in zip(stores, roles, strict=True)
        ]  # each was judged before the other was kept
        ready = Barrier(2)

        def keep(place, planned=planned, ready=ready):
            ready.wait()
            try:
                stores[place].keep(planned[place])
            except QueryError as error:
                return error.code
            return ""

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(keep, range(2))) == ["", "Q040"]
    assert len(stores[0].records()) == 10


def test_closing_tokens_closes_a_store_of_their_own_only(kept, kept_url):
    TokenStore(SharedTokens(kept), HandClock(), CountingRng()).close()
    own = TokenStore(SharedTokens(Store.open(kept_url), owned=True), HandClock(), CountingRng())
    assert own.records() == ()
    own.close()
    assert TokenStore(SharedTokens(kept), HandClock(), CountingRng()).records() == ()


def test_a_published_key_serves_at_both_gateways_and_is_replaced_for_both(kept, other):
    here, there = KeyRegistry(SharedKeys(kept)), KeyRegistry(SharedKeys(other))
    first, second = opening_key(), opening_key("li", 1)
    found = here.publish(first.public.to_bytes(), first.prove().to_bytes(), "li", "drc", AT)
    assert there.find(found.id) == found
    with pytest.raises(QueryError):  # published before, at the other gateway
        there.publish(first.public.to_bytes(), first.prove().to_bytes(), "li", "drc", AT)
    new = there.publish(
        second.public.to_bytes(), second.prove().to_bytes(), "li", "drc", AT, found.id
    )
    assert [each.id for each in here.all()] == sorted((found.id, new.id))
    assert here.find(found.id).revoked_at == AT
    revoked = here.revoke(new.id, "li", AT, "lost")
    assert there.revoke(new.id, "li", "later", "again") == revoked
    with pytest.raises(QueryError):
        here.find("0" * 64)


def test_questions_alike_are_counted_across_gateways(kept, other):
    here, there = SharedHistory(SharedQuestions(kept)), SharedHistory(SharedQuestions(other))
    asked = [(here, "a"), (there, "b"), (there, "a"), (here, "c")]
    assert [each.ask("p", "2026-03-01", "f", text) for each, text in asked] == [1, 2, 2, 3]
    assert there.ask("p", "2026-03-02", "f", "a") == here.ask("q", "2026-03-01", "f", "a") == 1
    here.close()


def test_sizes_that_one_gateway_released_are_near_at_the_other(kept, other):
    here, there = SharedHistory(SharedQuestions(kept)), SharedHistory(SharedQuestions(other))
    assert not there.any("p", "d")
    here.add("p", "d", [Population("S", "x", 10, 20), Population("S" * 9000, "y", 50, 50)], AT)
    assert there.any("p", "d")
    assert not there.any("q", "d")
    assert there.near("p", "d", (20, 30), NONE) == [Population("S", "x", 10, 20)]
    assert len(there.near("p", "d", ALL, NONE)) == 2
    there.add("p", "d", [Population("S", "x", 70, 70)], AT)
    assert here.near("p", "d", NONE, (70, 70)) == [Population("S", "x", 70, 70)]
    here.add("p", "d", [], AT)
    with here.alone():
        assert len(here.near("p", "d", ALL, NONE)) == 2
        here.add("p", "d", [Population("T", "z", 1, 1)], AT)
    assert len(there.near("p", "d", ALL, NONE)) == 3


def test_what_was_added_alone_counts_whole_or_not_at_all(kept, other):
    here, there = SharedHistory(SharedQuestions(kept)), SharedHistory(SharedQuestions(other))

    def ends_early():
        with here.alone():
            here.add("p", "d", [Population("S", "x", 10, 20)], AT)
            raise KeyError

    with pytest.raises(KeyError):
        ends_early()
    assert not there.any("p", "d")


def test_a_store_that_refuses_is_told_and_nothing_leaves(store):
    history = SharedHistory(SharedQuestions(store))
    with store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE populations")
    with pytest.raises(ConfigError) as caught:
        history.near("p", "d", ALL, NONE)
    assert caught.value.code == "C015"
