"""The committed round, checked by our code and by the specification written out anew."""

import hashlib
import hmac
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests/vectors/crypto"
SPECIFICATION = (ROOT / "docs/spec/secure-sum.md").read_text()


@pytest.fixture(scope="module")
def vector():
    return json.loads((FOLDER / "secure_sum.json").read_text())


def lp(*parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def expand(secret, *info):
    return hmac.digest(secret, lp(*info) + b"\x01", "sha256")


def pair_secret(vector, own, other):
    """Key agreement by the text of the specification, from raw random bytes."""
    drawn = vector["random"][own]
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(drawn[-1]))
    public = bytes.fromhex(vector["hellos"][other])[-96:-64]
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    hellos = [bytes.fromhex(vector["hellos"][name]) for name in sorted(vector["hellos"])]
    transcript = hashlib.sha256(lp(b"middleplatform secure-sum hellos v1", *hellos)).digest()
    low, high = sorted((own.encode(), other.encode()))
    info = lp(b"secure-sum pair", bytes.fromhex(vector["context_digest"]), low, high)
    extracted = hmac.digest(transcript, shared, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def label_key(vector):
    return bytes.fromhex(vector["random"][min(vector["random"])][1])


def test_our_code_produces_the_committed_bytes(vector):
    assert runpy.run_path(str(FOLDER / "generate.py"))["produce"]() == vector


def test_the_context_digest_is_the_hash_of_its_bytes(vector):
    content = lp(b"middleplatform secure-sum context v1", bytes.fromhex(vector["context"]))
    assert hashlib.sha256(content).hexdigest() == vector["context_digest"]


def test_signatures_are_over_head_and_body_digest(vector):
    for kind, name_of in ((b"H", "hellos"), (b"C", "code_lists"), (b"V", "vectors")):
        for name, message in vector[name_of].items():
            raw, signature = bytes.fromhex(message)[:-64], bytes.fromhex(message)[-64:]
            head = b"MPSS1" + kind + bytes.fromhex(vector["context_digest"]) + lp(name.encode())
            assert raw.startswith(head)
            signed = head + hashlib.sha256(raw[len(head) :]).digest()
            content = lp(b"middleplatform signature v1", b"secure-sum " + kind, signed)
            public = bytes.fromhex(vector["public_keys"][name])
            Ed25519PublicKey.from_public_bytes(public).verify(signature, content)


def test_identities_come_from_the_first_random_bytes(vector):
    for name, drawn in vector["random"].items():
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(drawn[0]))
        assert key.public_key().public_bytes_raw().hex() == vector["public_keys"][name]


def test_the_label_key_opens_under_the_pairwise_secret(vector):
    leader = min(vector["hellos"])
    for name, message in vector["sealed_keys"].items():
        raw = bytes.fromhex(message)
        digest = bytes.fromhex(vector["context_digest"])
        bound = lp(b"secure-sum label key", digest, leader.encode(), name.encode())
        key = expand(pair_secret(vector, name, leader), bound)
        assert AESGCM(key).decrypt(bytes(12), raw[-112:-64], bound) == label_key(vector)


def test_codes_are_keyed_hashes_of_labels(vector):
    key = expand(label_key(vector), b"secure-sum codes", bytes.fromhex(vector["context_digest"]))
    codes = [hmac.digest(key, label.encode(), "sha256")[:16].hex() for label in vector["labels"]]
    assert codes == vector["codes"]
    told = lp(b"middleplatform secure-sum agreed v1", bytes.fromhex("".join(codes)))
    assert hashlib.sha256(told).hexdigest() == vector["agreed"]


def test_masks_are_keystreams_added_by_the_lower_name_and_subtracted_by_the_higher(vector):
    digest = bytes.fromhex(vector["context_digest"])
    confirmation = expand(label_key(vector), b"secure-sum confirmation", digest)
    for own in vector["words"]:
        words = np.array(vector["words"][own], dtype=np.uint64)
        for other in vector["words"].keys() - {own}:
            told = (b"cells", bytes.fromhex(vector["agreed"]), confirmation)
            count = words.size.to_bytes(8, "big")
            key = expand(pair_secret(vector, own, other), b"secure-sum mask", digest, *told, count)
            encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
            mask = np.frombuffer(encryptor.update(bytes(words.nbytes)), dtype="<u8")
            words = words + mask if own < other else words - mask
        assert bytes.fromhex(vector["vectors"][own])[-64 - words.nbytes : -64] == words.tobytes()


def test_totals_are_the_sums_of_what_went_in(vector):
    words = [np.array(part, dtype=np.uint64) for part in vector["words"].values()]
    assert list(sum(words)) == vector["total"]
    groups = runpy.run_path(str(FOLDER / "generate.py"))["GROUPS"]
    for at, label in enumerate(vector["labels"]):
        rows = [department[label] for department in groups.values() if label in department]
        assert vector["decoded"]["a0"][at] == sum(row[0] for row in rows)
        assert vector["decoded"]["a1"][at] == sum(row[1] for row in rows)


def test_the_specification_shows_these_bytes(vector):
    shown = "".join(SPECIFICATION.split())
    leader = min(vector["hellos"])
    for example in (
        vector["context"],
        vector["context_digest"],
        vector["hellos"][leader],
        vector["sealed_keys"]["amr_990102"],
        vector["code_lists"][leader],
        vector["agreed"],
        vector["vectors"][leader],
        vector["label_lists"][leader],
        vector["receipt"],
    ):
        assert example in shown
