"""Produce ``private_join.json``: one whole round of two departments and a key holder from fixed random bytes.

Run from the repository: ``python tests/vectors/crypto/generate_join.py > tests/vectors/crypto/private_join.json``.
"""

import hashlib
import json
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.join_party import JoinParty, join_context
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject
from middleplatform.wire.join_lists import GroupLists, GroupSums, ListHead, ListPart

COHORT = ("civil_990101", "hrss_990101", "keyholder")
DEPARTMENTS = COHORT[:2]
OWNER, OTHER, HELPER = COHORT
SQL = "SELECT h.grade, COUNT(*), SUM(i.wage) FROM ..."
PEOPLE = [f"99010119800101{n:04}" for n in (11, 28, 36, 44, 52, 60, 79, 87)]
OTHERS = ["E0123456789", "王", "", None]
NUMBERS = [0, 42, -1, None]
HOUSEHOLDS = ["h1", "h1", "h2", None, "h3", "h3", "h3", "h4"]
LABELS = ['["低保"]', '["特困"]', "[null]"]
LABEL_OF_ROW = [0, 0, 1, 2, 1, 0, 0, 1]
WORDS = [
    (1, 5000), (1, 2**64 - 7), (2, 0), (1, 12), (3, 41), (1, 9), (1, 2**63), (4, 1),
]  # fmt: skip
GROUPS = [[6, 1, 3], [0, 7]]
LEAST = 2


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
    people, words = pa.array(PEOPLE), np.array(WORDS, dtype=np.uint64)
    others, numbers = pa.array(OTHERS, pa.string()), pa.array(NUMBERS, pa.int64())
    order = owner.permutation(len(words))
    masked = owner.mask(words[order], 0, HELPER)
    note = owner.count_note(0, HELPER, *words.shape)
    assert helper.accept_count_note(OWNER, 0, note) == words.shape
    starts = np.cumsum([0, *map(len, GROUPS)], dtype=np.uint32)
    positions = np.concatenate(GROUPS).astype(np.uint32)
    sums = helper.side_sums(0, [OWNER], {OWNER: (positions, starts)}, least=LEAST)
    households = pa.array(HOUSEHOLDS, pa.string())
    found = {
        "tokens": owner.tokens(people, "person"),
        "other_tokens": owner.tokens(others, "person"),
        "number_tokens": other.tokens(numbers, "firm"),
        "second_tokens": owner.second_tokens(households, "second", 0, 1, shared=False),
        "shared_second_tokens": owner.second_tokens(households, "second", 0, 1, shared=True),
    }
    labels = [label.encode() for label in LABELS]
    codes = {shared: owner.codes(labels, 0, shared=shared) for shared in (False, True)}
    ranked = sorted(codes[False])
    coded = np.array([ranked.index(codes[False][LABEL_OF_ROW[row]]) for row in order])
    head = ListHead(0, len(words), 1, words.shape[1], 1, False, tuple(ranked), note=note)
    part = ListPart(
        0, 0, found["tokens"][order], coded.astype(np.uint32), (found["second_tokens"][order],), masked
    )  # fmt: skip
    relayed = other.seal_for(OWNER, "points", b"what only the owner reads")
    assert owner.open_from(OTHER, "points", relayed) == b"what only the owner reads"
    return {
        "provenance": "tests/vectors/crypto/generate_join.py; random bytes are SHA-256 of "
        "'private-join vector <name> <counter>'; order of draws: identity, the leader's label key, exchange key, "
        "own secret, order of rows; names, numbers and labels are made up",
        "specification": "docs/spec/private-join.md",
        "random": {name: rng.given for name, rng in rngs.items()},
        "fragment": replace(fragment(), department="", issued_at="", attempt=0).to_bytes().decode(),
        "layout_hash": context.layout_hash.hex(),
        "context": context.to_bytes().hex(),
        "context_digest": context.digest.hex(),
        "hellos": {name: hello.to_bytes().hex() for name, hello in hellos.items()},
        "sealed_key": sealed[OTHER].to_bytes().hex(),
        "people": PEOPLE,
        "others": OTHERS,
        "numbers": NUMBERS,
        "households": HOUSEHOLDS,
        "labels": LABELS,
        **{name: [row.tobytes().hex() for row in rows] for name, rows in found.items()},
        "codes": [code.hex() for code in codes[False]],
        "shared_codes": [code.hex() for code in codes[True]],
        "order": order.tolist(),
        "words": words.tolist(),
        "masked": masked.tobytes().hex(),
        "count_note": note.hex(),
        "list_head": head.to_bytes().hex(),
        "list_part": part.to_bytes().hex(),
        "groups": GROUPS,
        "group_lists": GroupLists(0, (OWNER,), (note,), (starts,), (positions,)).to_bytes().hex(),
        "sums": sums.astype("<u8").tobytes().hex(),
        "group_sums": GroupSums(0, sums).to_bytes().hex(),
        "totals": [
            (masked[group].sum(axis=0, dtype=np.uint64) + sums[at]).tolist()
            for at, group in enumerate(GROUPS)
        ],
        "relayed": relayed.hex(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(produce(), ensure_ascii=False, indent=1) + "\n")
