"""Produce ``private_join.json``: one whole round of two departments and a key holder from fixed random bytes.

Run from the repository: ``python tests/vectors/crypto/generate_join.py > tests/vectors/crypto/private_join.json``.
"""

import hashlib
import json
import sys

import numpy as np
import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.join_party import JoinParty, join_context
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject

COHORT = ("civil_990101", "hrss_990101", "keyholder")
DEPARTMENTS = COHORT[:2]
OWNER, OTHER, HELPER = COHORT
SQL = "SELECT h.grade, COUNT(*), SUM(i.wage) FROM ..."
PEOPLE = [f"99010119800101{n:04}" for n in (11, 28, 36, 44, 52)] + ["E0123456789", "王", None]
NUMBERS = [0, 42, -1, None]
LABELS = ["低保", "特困", ""]
ROWS = [(1, 5000), (1, 2**64 - 7), (2, 0), (1, 12), (3, 41), (1, 9), (1, 2**63), (4, 1)]
GROUPS = [[6, 1, 3], [0, 7]]


class RecordedRng:
    """Gives SHA-256 of name and counter, and keeps what it gave."""

    def __init__(self, name):
        self.name, self.given = name, []

    def token_bytes(self, count):
        token = hashlib.sha256(
            f"private-join vector {self.name} {len(self.given)}".encode()
        ).digest()
        assert count == len(token)
        self.given.append(token.hex())
        return token


def fragment():
    subject = Subject("a01", "audit_990101", frozenset({Role.ANALYST}), ("990101",))
    policy = hashlib.sha256(b"policy").hexdigest()
    return Fragment(
        "q-20240101-0002", 1, 0, OWNER, "private_join", COHORT, SQL, subject, "audit", "p1", policy,
        "2024-01-01T00:00:00Z",
    )  # fmt: skip


def agree(context, rngs):
    keys = {name: IdentityKey.generate(rngs[name]) for name in COHORT}
    pins = PinnedKeys({name: key.public_key for name, key in keys.items()})
    started = {
        name: JoinParty.start(
            context, name, keys[name], rngs[name], used=MemoryUsedRounds(), departments=DEPARTMENTS
        )
        for name in COHORT
    }
    parties = {name: pair[0] for name, pair in started.items()}
    hellos = {name: pair[1] for name, pair in started.items()}
    sealed = parties[OWNER].agree(list(hellos.values()), pins)
    for name in COHORT[1:]:
        assert parties[name].agree(list(hellos.values()), pins) == {}
    parties[OTHER].accept_key(sealed[OTHER])
    return parties, hellos, sealed


def produce():
    context = join_context(fragment(), DEPARTMENTS)
    rngs = {name: RecordedRng(name) for name in COHORT}
    parties, hellos, sealed = agree(context, rngs)
    owner, other, helper = (parties[name] for name in COHORT)
    people, numbers = pa.array(PEOPLE, pa.string()), pa.array(NUMBERS, pa.int64())
    labels = [label.encode() for label in LABELS]
    words = np.array(ROWS, dtype=np.uint64)
    order = owner.permutation(len(ROWS))
    masked = owner.mask(words[order], 0, HELPER)
    note = owner.count_note(0, HELPER, *masked.shape)
    assert helper.accept_count_note(OWNER, 0, note) == words.shape
    starts = np.cumsum([0, *map(len, GROUPS)], dtype=np.uint32)
    positions = np.concatenate(GROUPS).astype(np.uint32)
    sums = helper.side_sums(0, [OWNER], {OWNER: (positions, starts)}, least=2)
    relayed = other.seal_for(OWNER, "points", b"what only the owner reads")
    assert owner.open_from(OTHER, "points", relayed) == b"what only the owner reads"
    return {
        "provenance": "tests/vectors/crypto/generate_join.py; random bytes are SHA-256 of "
        "'private-join vector <name> <counter>'; order of draws: identity, the leader's label key, exchange key, "
        "own secret, order of rows; names, numbers and labels are made up",
        "specification": "docs/spec/private-join.md",
        "random": {name: rng.given for name, rng in rngs.items()},
        "sql": SQL,
        "layout_hash": context.layout_hash.hex(),
        "context": context.to_bytes().hex(),
        "context_digest": context.digest.hex(),
        "hellos": {name: hello.to_bytes().hex() for name, hello in hellos.items()},
        "sealed_key": sealed[OTHER].to_bytes().hex(),
        "people": PEOPLE,
        "numbers": NUMBERS,
        "labels": LABELS,
        "tokens": hexed(owner.tokens(people, "person")),
        "number_tokens": hexed(other.tokens(numbers, "firm")),
        "second_tokens": {
            "alone": hexed(owner.second_tokens(people, "person", 0, 1, shared=False)),
            "shared": hexed(owner.second_tokens(people, "person", 0, 1, shared=True)),
        },
        "codes": {
            "alone": [code.hex() for code in owner.codes(labels, 1, shared=False)],
            "shared": [code.hex() for code in owner.codes(labels, 1, shared=True)],
        },
        "order": [int(at) for at in order],
        "words": [[int(word) for word in row] for row in words],
        "masked": masked.tobytes().hex(),
        "count_note": note.hex(),
        "groups": GROUPS,
        "sums": sums.astype("<u8").tobytes().hex(),
        "totals": [
            [int(total) for total in masked[group].sum(axis=0, dtype=np.uint64) + sums[at]]
            for at, group in enumerate(GROUPS)
        ],
        "relayed": relayed.hex(),
    }


def hexed(tokens):
    return [row.tobytes().hex() for row in tokens]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(produce(), ensure_ascii=False, indent=1) + "\n")
