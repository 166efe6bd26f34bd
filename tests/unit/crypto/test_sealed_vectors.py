"""The committed sealed sum, checked by our code and by the specification written out anew with plain integers."""

import hashlib
import hmac
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests/vectors/crypto"
SPECIFICATION = (ROOT / "docs/spec/sealed-sum.md").read_text(encoding="utf-8")
SLOTS = 31


@pytest.fixture(scope="module")
def vector():
    return json.loads((FOLDER / "sealed_sum.json").read_text(encoding="utf-8"))


def lp(*parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def tagged(tag, *parts):
    return hashlib.sha256(lp(tag.encode(), *parts)).digest()


def modulus(vector):
    return int(vector["p"], 16) * int(vector["q"], 16)


def ciphertexts(raw):
    return [int.from_bytes(raw[at : at + 512], "big") for at in range(50, len(raw), 512)]


def opened(vector, raw):
    """Return the plaintext of one ciphertext by Paillier's first formula."""
    p, q = int(vector["p"], 16), int(vector["q"], 16)
    n, (c,) = p * q, ciphertexts(raw)
    order = (p - 1) * (q - 1)
    m = (pow(c, order, n * n) - 1) // n * pow(order, -1, n) % n
    return m - n if m > n // 2 else m


def digits(number, width, offset):
    number += offset * sum(256 ** (width * at) for at in range(2040 // (8 * width)))
    return [number // 256 ** (width * at) % 256**width - offset for at in range(4)]


def test_generating_anew_gives_the_committed_bytes(vector):
    produced = runpy.run_path(str(FOLDER / "generate_sealed.py"))["produce"]()
    assert json.loads(json.dumps(produced)) == vector


def test_the_key_is_its_fields_and_its_id_their_hash(vector):
    raw = bytes.fromhex(vector["sealing_key"])
    n = modulus(vector).to_bytes(256, "big")
    assert raw == lp(b"MPSK1", b"audit_office", b"2026-01-01T00:00:00Z", n, b"")
    assert tagged("middleplatform sealing key v1", raw).hex() == vector["key_id"]


def test_a_fourth_root_of_the_proof_is_one(vector):
    n = modulus(vector)
    seed = tagged("middleplatform key proof seed v1", bytes.fromhex(vector["sealing_key"]))

    def challenges(kind, count):
        raw = hashlib.shake_256(b"middleplatform key proof v1" + kind + seed).digest(272 * count)
        return [int.from_bytes(raw[at : at + 272], "big") % n for at in range(0, len(raw), 272)]

    def is_square(value):
        primes = (int(vector["p"], 16), int(vector["q"], 16))
        return [pow(value, (p - 1) // 2, p) == 1 for p in primes]

    y = challenges(b"b", 1)[0]
    # Jacobi symbol -1: a square modulo one of the primes only.
    w = next(each for each in challenges(b"w", 256) if sum(is_square(each)) == 1)
    root = int(vector["proof_first_fourth_root"], 16)
    assert pow(root, 4, n) in {y, n - y, w * y % n, -w * y % n}
    assert all(is_square(root))


def test_a_sealed_vector_is_the_formula(vector):
    n, width, own, other = modulus(vector), 8, "amr_990101", "amr_990102"
    raw = bytes.fromhex(vector["sealed"][own])
    head = b"MPSW1B" + bytes([1, 8]) + (2048).to_bytes(2, "big") + bytes([0, 2, 0, 1])
    assert raw[:50] == head + (4).to_bytes(4, "big") + bytes.fromhex(vector["key_id"])
    info = lp(
        b"sealed-sum mask",
        bytes.fromhex(vector["bound"]),
        bytes.fromhex(vector["key_id"]),
        bytes([width]),
        (1).to_bytes(4, "big"),
    )
    mask_key = hmac.digest(bytes.fromhex(vector["pair_secret"]), info + b"\x01", "sha256")
    stream = Cipher(algorithms.AES256(mask_key), modes.CTR(bytes(16))).encryptor()
    mask = int.from_bytes(stream.update(bytes(272)), "little")
    plain = sum(v * 2 ** (64 * at) for at, v in enumerate(vector["words"][own]))
    masked = plain + mask if own < other else plain - mask
    seed = b"middleplatform sealed-sum base v1" + n.to_bytes(256, "big")
    x = int.from_bytes(hashlib.shake_256(seed).digest(272), "big") % n
    drawn = bytes.fromhex(vector["digits"][own][0])
    exponent = sum((b >> i & 1) << (i * 128 + at) for at, b in enumerate(drawn) for i in range(8))
    factor = pow(pow(-x * x % n, n, n * n), exponent, n * n)
    assert ciphertexts(raw) == [(1 + masked % n * n) * factor % (n * n)]


def test_the_total_is_the_product_and_opens_to_the_sums(vector):
    n, raw = modulus(vector), bytes.fromhex(vector["total"])
    product = 1
    for each in vector["sealed"].values():
        product = product * ciphertexts(bytes.fromhex(each))[0] % (n * n)
    assert ciphertexts(raw) == [product]
    sums = [sum(column) for column in zip(*vector["words"].values(), strict=True)]
    assert digits(opened(vector, raw), 8, 2**63) == sums == vector["opened"]


def test_a_part_of_the_total_opens_to_noise(vector):
    # Of 2048 bits 1984 hold cells: a uniform plaintext is one of 2**64.
    parts = [abs(opened(vector, bytes.fromhex(raw))) for raw in vector["sealed"].values()]
    assert all(part > 2 ** (64 * SLOTS) for part in parts)


def test_residues_are_reduced_after_opening(vector):
    raw = bytes.fromhex(vector["residues"])
    sums = digits(opened(vector, raw), 9, 0)[:2]
    assert sums == [2**64 - 1 + 2, 5 + 7]
    assert [each % 2**64 for each in sums] == vector["residues_opened"]


def test_the_ticket_is_signed_by_all(vector):
    raw = bytes.fromhex(vector["ticket"])
    names = sorted(vector["words"])
    subject = b"".join(
        (
            lp(b"MPTK1", b"q-20260101-0001"),
            (1).to_bytes(4, "big"),
            (2).to_bytes(4, "big"),
            lp(*(name.encode() for name in names)),
            hashlib.sha256(b"layout").digest(),
            bytes.fromhex(vector["key_id"]),
        )
    )
    assert raw.startswith(subject)

    def digest(words):
        return tagged("middleplatform sealed words v1", bytes.fromhex(words))

    def check(name, purpose, message, signature):
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(vector["public_keys"][name]))
        key.verify(signature, lp(b"middleplatform signature v1", purpose.encode(), message))

    at = len(subject)
    for name in names:
        entry = raw[at : at + 4 + len(name) + 96]
        told = tagged("middleplatform sealed-sum input v1", digest(vector["sealed"][name]))
        assert entry[:-64] == lp(name.encode()) + told
        check(name, "sealed-sum input", subject + entry[:-64], entry[-64:])
        at += len(entry)
    rest = (1).to_bytes(4, "big") + digest(vector["total"]) + lp(b"gateway")
    assert raw[at:-64] == rest
    check("gateway", "sealed-sum ticket", raw[:-64], raw[-64:])


def test_the_specification_shows_these_bytes(vector):
    shown = "".join(SPECIFICATION.split())
    for name in ("sealing_key", "key_id", "total", "residues", "ticket"):
        assert vector[name] in shown
    assert vector["sealed"]["amr_990101"] in shown
    assert f"key {vector['key_id']}\n" in SPECIFICATION


def test_the_words_of_the_vector_are_within_range(vector):
    words = np.array(list(vector["words"].values()))
    assert (abs(words) < 2**62).all()
