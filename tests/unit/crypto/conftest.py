import hashlib
from dataclasses import dataclass, field

import pytest

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.join_party import JoinParty
from middleplatform.crypto.messages import Hello
from middleplatform.crypto.round_context import JOIN_SUITE, SUITE, RoundContext
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.crypto.secure_sum import Party
from middleplatform.crypto.used_rounds import MemoryUsedRounds


class SeededRng:
    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def token_bytes(self, count):
        self.count += 1
        return hashlib.shake_256(f"{self.seed}/{self.count}".encode()).digest(count)


def context_of(cohort, *, query_id="q-1", attempt=1, **changes):
    values = {
        "suite": SUITE,
        "key_epoch": 1,
        "query_id": query_id,
        "attempt": attempt,
        "cohort": tuple(cohort),
        "layout_hash": hashlib.sha256(b"layout").digest(),
        "policy_digest": hashlib.sha256(b"policy").hexdigest(),
    }
    return RoundContext(**(values | changes))


@dataclass
class Round:
    """A cohort whose hellos are out; ``agree_all`` finishes the key agreement."""

    context: RoundContext
    keys: dict[str, IdentityKey]
    parties: dict[str, Party]
    hellos: dict[str, Hello]
    pins: PinnedKeys
    sealed: dict = field(default_factory=dict)

    def agree_all(self):
        leader = self.context.leader
        for name in self.context.cohort:
            self.sealed |= self.parties[name].agree(list(self.hellos.values()), self.pins)
            if name != leader:
                self.parties[name].accept_label_key(self.sealed[name])
        return self


def new_round(size=3, seed="seed", context=None):
    names = [f"d{at:03}" for at in range(size)]
    context = context or context_of(names)
    keys = {name: IdentityKey.generate(SeededRng(f"identity {name}")) for name in context.cohort}
    started = {
        name: Party.start(context, name, key, SeededRng(f"{seed} {name}"), used=MemoryUsedRounds())
        for name, key in keys.items()
    }
    return Round(
        context=context,
        keys=keys,
        parties={name: pair[0] for name, pair in started.items()},
        hellos={name: pair[1] for name, pair in started.items()},
        pins=PinnedKeys({name: key.public_key for name, key in keys.items()}),
    )


@pytest.fixture
def make_round():
    return new_round


@pytest.fixture
def make_context():
    return context_of


@pytest.fixture
def seeded_rng():
    return SeededRng


def new_join(
    departments=("d1", "d2"), holders=("keyholder",), *, seed="seed", context=None, agreed=True
):
    """Return the parties of a private join by name, their hellos, sealed keys and pins, agreed or not."""
    cohort = sorted((*departments, *holders))
    context = context or context_of(cohort, suite=JOIN_SUITE)
    keys = {name: IdentityKey.generate(SeededRng(f"identity {name}")) for name in context.cohort}
    started = {
        name: JoinParty.start(
            context, name, key, SeededRng(f"{seed} {name}"), used=MemoryUsedRounds(), departments=departments
        )
        for name, key in keys.items()
    }  # fmt: skip
    parties = {name: pair[0] for name, pair in started.items()}
    hellos = [pair[1] for pair in started.values()]
    pins = PinnedKeys({name: key.public_key for name, key in keys.items()})
    join = Join(context, keys, parties, hellos, pins)
    return join.agree_all() if agreed else join


@dataclass
class Join:
    """A cohort of a private join; ``agree_all`` finishes the key agreement."""

    context: RoundContext
    keys: dict[str, IdentityKey]
    parties: dict[str, JoinParty]
    hellos: list[Hello]
    pins: PinnedKeys
    sealed: dict = field(default_factory=dict)

    def agree_all(self):
        for party in self.parties.values():
            self.sealed |= party.agree(self.hellos, self.pins)
        for name, sealed in self.sealed.items():
            self.parties[name].accept_key(sealed)
        return self

    def __getitem__(self, name):
        return self.parties[name]


@pytest.fixture(scope="session")
def make_join():
    return new_join


def opening_key_of(seed, *, subgroup=False):
    created = "2026-01-01T00:00:00Z"
    return OpeningKey.generate(2048, "audit_office", created, SeededRng(seed), subgroup=subgroup)


@pytest.fixture(scope="session")
def make_opening_key():
    return opening_key_of


@pytest.fixture(scope="session")
def opening_key():
    """A key of the shorter length that serves every grade, so that tests are quick."""
    return opening_key_of("sealed", subgroup=True)
