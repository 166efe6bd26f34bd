"""What nodes are told is what the store says, signed; and it is told without a question, once for each change."""

import asyncio
import logging
from contextlib import suppress

import pytest
from doors import CountingRng
from policy_world import HAN, configured, files, world

from middleplatform.crypto.identity import IdentityKey, verify
from middleplatform.errors import ConfigError
from middleplatform.governance.grants_in_force import GrantsInForce
from middleplatform.governance.telling import FRESH_S, VALID_S, Telling
from middleplatform.governance.watching import spread
from middleplatform.wire.policies import GRANTS, POLICY, GrantsDocument, PolicyDocument


class Told:
    def __init__(self, made):
        self.made, self.key = made, IdentityKey.generate(CountingRng())
        self.telling = self.again()

    def again(self):
        """Return what another process on the same store would tell."""
        grants = GrantsInForce(self.made.store)
        return Telling(self.made.life, grants, self.key, self.made.clock)

    def publish(self, **how):
        life = self.made.life
        return life.publish(HAN, life.propose(HAN, files(**how), "a test"))

    def policies(self, after=0):
        found = self.telling.policies(after)
        for each in found:
            verify(self.key.public_key, POLICY, each.raw, each.signature)
        return [PolicyDocument.from_bytes(each.raw) for each in found]

    def grants(self, after=0):
        found = self.telling.grants(after)
        if found is None:
            return None
        verify(self.key.public_key, GRANTS, found.raw, found.signature)
        return GrantsDocument.from_bytes(found.raw)


@pytest.fixture
def told(tmp_path):
    with world(tmp_path) as made:
        yield Told(made)


def test_the_last_two_versions_are_told_each_naming_the_one_before(told):
    assert told.policies() == []
    assert told.telling.covers(configured())
    for tax in (30, 31, 32):
        told.publish(tax=tax)
    assert told.policies() == []  # nothing is read for a fragment
    told.telling.read()
    second, third = told.policies()
    assert (second.number, third.number, third.previous) == (2, 3, second.content)
    assert dict(third.files) == files(tax=32)
    assert [each.number for each in told.policies(2)] == [3]
    assert told.policies(3) == []
    assert told.telling.covers(told.made.life.standing().bundle)
    assert not told.telling.covers(configured())


def test_every_gateway_on_one_store_makes_the_same_document(told):
    told.publish(tax=30)
    told.telling.read()
    assert told.telling.policies(0) == told.again().policies(0)


def test_grants_are_told_anew_before_the_document_ends(told):
    first = told.grants()
    assert (first.until - told.made.clock.now()).total_seconds() == VALID_S
    assert told.grants(first.number) is None
    told.made.clock.advance(seconds=FRESH_S)
    second = told.grants(first.number)
    assert second.number > first.number
    assert (second.until - told.made.clock.now()).total_seconds() == VALID_S


def test_who_cannot_read_the_store_renews_no_grants(told):
    """What was stopped meanwhile would else count at the nodes for longer than a document does."""
    told.telling.look()
    first = told.grants()
    reading = told.made.store.reading

    def refuses():
        raise ConfigError("C015", what="gone")

    told.made.store.reading = refuses
    with pytest.raises(ConfigError):
        told.telling._grants.current()
    told.made.clock.advance(seconds=FRESH_S)
    assert told.grants() == first
    told.made.store.reading = reading
    told.telling.look()
    assert told.grants().number > first.number


def test_each_change_is_looked_at_once(told):
    assert told.telling.look()
    assert not told.telling.look()
    told.publish(tax=30)
    assert told.telling.look()
    assert not told.telling.look()


def test_nodes_are_told_without_a_question_and_a_failure_is_told_once(caplog):
    looks = iter([True, False, ConfigError("C015", what="gone"), ConfigError("C015", what="gone"), True])  # fmt: skip
    calls = []

    async def both():
        twice = asyncio.Event()

        def changed():
            found = next(looks, False)
            if isinstance(found, Exception):
                raise found
            return found

        async def tell():
            calls.append("told")
            if len(calls) == 2:
                twice.set()

        spreading = asyncio.create_task(spread(changed, tell, 0.001))
        await twice.wait()
        spreading.cancel()
        with suppress(asyncio.CancelledError):
            await spreading

    with caplog.at_level(logging.ERROR):
        asyncio.run(both())
    assert calls == ["told", "told"]
    assert sum("C015" in each.message for each in caplog.records) == 1
