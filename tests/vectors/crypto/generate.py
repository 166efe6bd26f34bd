"""Produce ``secure_sum.json``: one whole round of three departments from fixed random bytes.

Run from the repository: ``python tests/vectors/crypto/generate.py > tests/vectors/crypto/secure_sum.json``.
"""

import hashlib
import json
import sys

import numpy as np
import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt
from middleplatform.crypto.round_context import SUITE, RoundContext
from middleplatform.crypto.secure_sum import Party, agreed_digest
from middleplatform.crypto.secure_total import merge_codes, merge_labels, unmask
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.crypto.word_layout import Measure, WordLayout

COHORT = ("amr_990101", "amr_990102", "amr_990103")
GROUPS = {
    "amr_990101": {"制造业": (12, 5_000_000_000_000_000_001), "零售业": (3, -7)},
    "amr_990102": {"制造业": (30, 9), "采矿业": (2, 2**100)},
    "amr_990103": {"零售业": (4, 0), "采矿业": (1, -(2**100) - 1)},
}
LAYOUT = WordLayout((Measure("a0", 1), Measure("a1", 2)))


class RecordedRng:
    """Gives SHA-256 of name and counter, and keeps what it gave."""

    def __init__(self, name):
        self.name, self.given = name, []

    def token_bytes(self, count):
        token = hashlib.sha256(f"secure-sum vector {self.name} {len(self.given)}".encode()).digest()
        assert count == len(token)
        self.given.append(token.hex())
        return token


def agree(context, rngs):
    keys = {name: IdentityKey.generate(rngs[name]) for name in COHORT}
    pins = PinnedKeys({name: key.public_key for name, key in keys.items()})
    used = {name: MemoryUsedRounds() for name in COHORT}
    started = {n: Party.start(context, n, keys[n], rngs[n], used=used[n]) for n in COHORT}
    parties = {name: pair[0] for name, pair in started.items()}
    hellos = {name: pair[1] for name, pair in started.items()}
    sealed = {}
    for name, party in parties.items():
        sealed |= party.agree(list(hellos.values()), pins)
        if name != context.leader:
            party.accept_label_key(sealed[name])
    return keys, pins, parties, hellos, sealed


def words_of(party, name, codes):
    labels = [label.encode() for label in GROUPS[name]]
    rows = list(GROUPS[name].values())
    columns = {
        "a0": pa.array([row[0] for row in rows], pa.int64()),
        "a1": pa.array([row[1] for row in rows], pa.decimal128(38, 0)),
    }
    return LAYOUT.encode(
        columns, positions=party.place(labels, codes), cells=len(codes), parties=len(COHORT)
    )


def receipt_of(key, context, total):
    fields = ReceiptFields(
        query_id=context.query_id,
        fragment_digest=hashlib.sha256(b"fragment").hexdigest(),
        policy_digest=context.policy_digest,
        protocol="secure_sum",
        cells=3,
        result_digest=hashlib.sha256(total.tobytes()).hexdigest(),
    )
    return sign_receipt(key, fields)


def produce():
    policy = hashlib.sha256(b"policy").hexdigest()
    context = RoundContext(SUITE, 1, "q-20240101-0001", 1, COHORT, LAYOUT.digest, policy)
    rngs = {name: RecordedRng(name) for name in COHORT}
    keys, pins, parties, hellos, sealed = agree(context, rngs)
    lists = {n: p.code_list([label.encode() for label in GROUPS[n]]) for n, p in parties.items()}
    codes = merge_codes(context, list(lists.values()), pins)
    agreed = agreed_digest(b"".join(codes))
    words = {name: words_of(party, name, codes) for name, party in parties.items()}
    vectors = {n: p.mask(words[n], phase="cells", agreed=agreed) for n, p in parties.items()}
    total = unmask(context, list(vectors.values()), pins, phase="cells", agreed=agreed)
    answers = {name: party.reveal(codes) for name, party in parties.items()}
    labels = merge_labels(context, list(answers.values()), pins, codes)
    decoded = LAYOUT.decode(total, cells=len(codes))

    def messages(by_name):
        return {name: message.to_bytes().hex() for name, message in by_name.items()}

    return {
        "provenance": "tests/vectors/crypto/generate.py; random bytes are SHA-256 of "
        "'secure-sum vector <name> <counter>'; the leader's order of draws is identity, label key, "
        "exchange key, everybody else's identity, exchange key; names and labels are made up",
        "specification": "docs/spec/secure-sum.md",
        "random": {name: rng.given for name, rng in rngs.items()},
        "public_keys": {name: key.public_key.hex() for name, key in keys.items()},
        "layout_digest": LAYOUT.digest.hex(),
        "context": context.to_bytes().hex(),
        "context_digest": context.digest.hex(),
        "hellos": messages(hellos),
        "sealed_keys": messages(sealed),
        "code_lists": messages(lists),
        "codes": [code.hex() for code in codes],
        "agreed": agreed.hex(),
        "words": {name: [int(word) for word in part] for name, part in words.items()},
        "vectors": messages(vectors),
        "total": [int(word) for word in total],
        "label_lists": messages(answers),
        "labels": [label.decode() for label in labels.values()],
        "decoded": {
            name: [int(value) for value in column.to_pylist()] for name, column in decoded.items()
        },
        "receipt": receipt_of(keys[COHORT[0]], context, np.asarray(total)),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(produce(), ensure_ascii=False, indent=1) + "\n")
