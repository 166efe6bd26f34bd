"""Produce ``sealed_sum.json``: two departments' cells sealed, added, ticketed and opened, from fixed random bytes.

Run from the repository: ``python tests/vectors/crypto/generate_sealed.py > tests/vectors/crypto/sealed_sum.json``.
The key is as short as is allowed, so that the examples fit a page.
"""

import hashlib
import json
import sys

import numpy as np

from middleplatform.crypto.identity import IdentityKey
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.crypto.sealed_pool import RandomPool
from middleplatform.crypto.sealed_sum import ZeroSum, add, add_plain, open_words, seal
from middleplatform.crypto.tickets import TicketSubject, issue_ticket, sign_input

COHORT = ("amr_990101", "amr_990102")
WORDS = {"amr_990101": [12, -7, 5_000_000_000, 0], "amr_990102": [30, 9, -1, 2**62 - 1]}
GATEWAY_WORDS = [1, 2, 3, 4]
SECRET = hashlib.sha256(b"sealed-sum vector pair").digest()
BOUND = b"sealed-sum vector round, words 0"


class RecordedRng:
    """Gives SHAKE-256 of name and counter, and keeps what it gave."""

    def __init__(self, name):
        self.name, self.given = name, []

    def token_bytes(self, count):
        seed = f"sealed-sum vector {self.name} {len(self.given)}"
        self.given.append(hashlib.shake_256(seed.encode()).digest(count))
        return self.given[-1]


def produce():
    opening = OpeningKey.generate(2048, "audit_office", "2026-01-01T00:00:00Z", RecordedRng("key"))
    key, proof = opening.public, opening.prove()
    rngs = {name: RecordedRng(name) for name in COHORT}
    sealed = {}
    for own, other in zip(COHORT, reversed(COHORT), strict=True):
        sealed[own] = seal(
            np.array(WORDS[own], dtype=np.int64),
            key,
            parties=2,
            pool=RandomPool(key, "B", rngs[own]),
            zero_sum=ZeroSum(own, {other: SECRET}, BOUND),
        )
    total = add(list(sealed.values()))
    residues = RecordedRng("residues")
    pool = RandomPool(key, "B", residues)
    first = np.array([2**64 - 1, 5], dtype=np.uint64)
    one = seal(first, key, parties=2, slot_bytes=9, pool=pool)
    both = add_plain(one, np.array([2, 7], dtype=np.uint64), pool=pool)
    layout_hash = hashlib.sha256(b"layout").digest()
    subject = TicketSubject("q-20260101-0001", 1, COHORT, layout_hash, key.key_id)
    identities = {
        n: IdentityKey.generate(RecordedRng(f"identity {n}")) for n in (*COHORT, "gateway")
    }
    inputs = [sign_input(identities[name], subject, name, [sealed[name]]) for name in COHORT]
    ticket = issue_ticket(identities["gateway"], "gateway", subject, inputs, [total])
    numbers = opening.to_phe()
    return {
        "provenance": "tests/vectors/crypto/generate_sealed.py; random bytes are SHAKE-256 of "
        "'sealed-sum vector <name> <counter>'; names and numbers are made up",
        "specification": "docs/spec/sealed-sum.md",
        "p": f"{numbers.p:x}",
        "q": f"{numbers.q:x}",
        "sealing_key": key.to_bytes().hex(),
        "key_id": key.key_id,
        "proof_sha256": hashlib.sha256(proof.to_bytes()).hexdigest(),
        "proof_first_fourth_root": f"{int(proof.fourth[0]):x}",
        "words": WORDS,
        "pair_secret": SECRET.hex(),
        "bound": BOUND.hex(),
        "digits": {name: [each.hex() for each in rng.given] for name, rng in rngs.items()},
        "sealed": {name: each.to_bytes().hex() for name, each in sealed.items()},
        "total": total.to_bytes().hex(),
        "opened": open_words(opening, total).tolist(),
        "residues": both.to_bytes().hex(),
        "residues_opened": open_words(opening, both).tolist(),
        "public_keys": {name: each.public_key.hex() for name, each in identities.items()},
        "ticket": ticket.to_bytes().hex(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(produce(), ensure_ascii=False, indent=1) + "\n")
