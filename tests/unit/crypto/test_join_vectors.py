"""The committed private join, checked by our code and by the specification written out anew."""

import hashlib
import hmac
import json
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = Path(__file__).parents[3]
SPECIFICATION = (ROOT / "docs/spec/private-join.md").read_text()
FOLDER = ROOT / "tests/vectors/crypto"
OWNER, OTHER, HELPER = "civil_990101", "hrss_990101", "keyholder"


@pytest.fixture(scope="module")
def vector():
    return json.loads((FOLDER / "private_join.json").read_text())


def lp(*parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def expand(secret, *info):
    return hmac.digest(secret, lp(*info) + b"\x01", "sha256")


def ctx(vector):
    return bytes.fromhex(vector["context_digest"])


def pair_secret(vector, own, other):
    """Key agreement by the text of the secure sum's specification, from raw random bytes."""
    drawn = vector["random"][own][2 if own == OWNER else 1]
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(drawn))
    shared = private.exchange(
        X25519PublicKey.from_public_bytes(bytes.fromhex(vector["hellos"][other])[-96:-64])
    )
    hellos = [bytes.fromhex(vector["hellos"][name]) for name in sorted(vector["hellos"])]
    transcript = hashlib.sha256(lp(b"middleplatform secure-sum hellos v1", *hellos)).digest()
    low, high = sorted((own.encode(), other.encode()))
    extracted = hmac.digest(transcript, shared, "sha256")
    return hmac.digest(
        extracted, lp(b"secure-sum pair", ctx(vector), low, high) + b"\x01", "sha256"
    )


def pair_key(vector, own, other, *purpose):
    return expand(pair_secret(vector, own, other), b"pair key", ctx(vector), *purpose)


def group_key(vector, *purpose):
    label_key = bytes.fromhex(vector["random"][OWNER][1])
    return expand(label_key, b"group key", ctx(vector), b"private-join", *purpose)


def side_key(vector, shared, *purpose):
    group = group_key(vector, *purpose)
    return group if shared else expand(bytes.fromhex(vector["random"][OWNER][3]), group)


def keystream(key, count):
    encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * count)), dtype="<u8")


def token(key, domain, value):
    digest = hashlib.sha256(b"middleplatform/join-token/1/" + domain.encode()).digest()

    def encrypted(block):
        return Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(block)

    if value is None:
        return bytes(16)
    if isinstance(value, int):
        return encrypted(b"\x01" + digest[:7] + value.to_bytes(8, "big", signed=True))
    text = value.encode()
    message = b"\x02" + digest[:5] + len(text).to_bytes(2, "big") + text
    message += bytes(-len(message) % 16)
    chain = bytes(16)
    for start in range(0, len(message), 16):
        block = message[start : start + 16]
        chain = encrypted(bytes(a ^ b for a, b in zip(chain, block, strict=True)))
    return chain


def mask_key(vector, own, other):
    rows, width = len(vector["words"]), len(vector["words"][0])
    told = (
        bytes(4),
        OWNER.encode(),
        HELPER.encode(),
        rows.to_bytes(8, "big"),
        width.to_bytes(4, "big"),
    )
    return pair_key(vector, own, other, b"private-join mask", *told)


def opened(vector, kind, purpose, sender, recipient, raw):
    names = (sender.encode(), recipient.encode())
    bound = lp(b"private-join sealed", ctx(vector), kind, purpose, *names)
    key = pair_key(vector, recipient, sender, bound)
    return AESGCM(key).decrypt(bytes(12), bytes.fromhex(raw), bound)


def test_our_code_produces_the_committed_bytes(vector):
    assert runpy.run_path(str(FOLDER / "generate_join.py"))["produce"]() == vector


def test_the_context_binds_fragment_and_departments_under_a_suite_of_its_own(vector):
    tag = b"middleplatform private-join layout v1"
    names = (OWNER.encode(), OTHER.encode())
    layout = hashlib.sha256(lp(tag, vector["fragment"].encode(), *names)).hexdigest()
    assert vector["layout_hash"] == layout
    raw = bytes.fromhex(vector["context"])
    assert raw.startswith(lp(b"MPJN1-X25519-Ed25519-HKDFSHA256-AES256"))
    assert layout in vector["context"]
    content = lp(b"middleplatform secure-sum context v1", raw)
    assert hashlib.sha256(content).hexdigest() == vector["context_digest"]


@pytest.mark.parametrize(
    ("tokens", "values", "domain"),
    [
        ("tokens", "people", "person"),
        ("other_tokens", "others", "person"),
        ("number_tokens", "numbers", "firm"),
    ],
)
def test_tokens_are_cipher_blocks_of_identifiers(vector, tokens, values, domain):
    key = group_key(vector, b"tokens")
    assert vector[tokens] == [token(key, domain, each).hex() for each in vector[values]]


@pytest.mark.parametrize(("name", "shared"), [("", False), ("shared_", True)])
def test_second_tokens_and_codes_have_keys_of_their_own(vector, name, shared):
    key = side_key(vector, shared, b"second tokens", bytes(4), (1).to_bytes(4, "big"))
    found = [token(key, "second", each).hex() for each in vector["households"]]
    assert vector[f"{name}second_tokens"] == found
    key = side_key(vector, shared, b"codes", bytes(4))
    codes = [hmac.digest(key, label.encode(), "sha256")[:16].hex() for label in vector["labels"]]
    assert vector[f"{name}codes"] == codes


def test_the_order_sorts_words_of_a_keystream_with_row_numbers_in_their_low_bits(vector):
    words = keystream(bytes.fromhex(vector["random"][OWNER][4]), 8)
    assert vector["order"] == sorted(range(8), key=lambda row: int(words[row]) >> 3)


def test_a_list_is_its_columns_one_after_another_in_the_secret_order(vector):
    order, codes = vector["order"], sorted(vector["codes"])
    note = lp(bytes.fromhex(vector["count_note"])).hex()
    head = struct.pack("<5scHBxQIHHI", b"MPJL1", b"H", 0, 0, 8, 1, 2, 1, 3).hex()
    assert vector["list_head"] == head + "".join(codes) + note
    part = struct.pack("<5scHIIHHB11x", b"MPJL1", b"P", 0, 0, 8, 2, 1, 1).hex()
    part += "".join(vector["tokens"][row] for row in order)
    part += "".join(vector["second_tokens"][row] for row in order) + vector["masked"]
    label_of_row = runpy.run_path(str(FOLDER / "generate_join.py"))["LABEL_OF_ROW"]
    places = [codes.index(vector["codes"][label_of_row[row]]) for row in order]
    assert vector["list_part"] == part + struct.pack("<8I", *places).hex()


def test_groups_and_their_sums_are_places_and_words(vector):
    note, name = bytes.fromhex(vector["count_note"]), OWNER.encode()
    asked = struct.pack("<5scHxxII", b"MPJL1", b"G", 0, 1, 2)
    asked += struct.pack("<HHQ", len(name), len(note), 5) + name + note
    asked += struct.pack("<3I", 0, 3, 5) + struct.pack(
        "<5I", *(at for group in vector["groups"] for at in group)
    )
    assert vector["group_lists"] == asked.hex()
    answer = struct.pack("<5scHIHxxQQ", b"MPJL1", b"S", 0, 2, 2, 0, 0)
    assert vector["group_sums"] == answer.hex() + vector["sums"]


def test_words_go_out_less_the_keystream_and_come_back_by_group(vector):
    words = np.array(vector["words"], dtype=np.uint64)[vector["order"]]
    stream = keystream(mask_key(vector, OWNER, HELPER), words.size).reshape(words.shape)
    assert (words - stream).astype("<u8").tobytes().hex() == vector["masked"]
    stream = keystream(mask_key(vector, HELPER, OWNER), words.size).reshape(words.shape)
    sums = np.array([stream[group].sum(axis=0) for group in vector["groups"]])
    assert sums.astype("<u8").tobytes().hex() == vector["sums"]
    pooled = [words[group].sum(axis=0).tolist() for group in vector["groups"]]
    assert pooled == vector["totals"]


def test_sealed_messages_open_under_their_one_key(vector):
    note = opened(vector, b"count note", bytes(4), OWNER, HELPER, vector["count_note"])
    assert note == (8).to_bytes(8, "big") + (2).to_bytes(4, "big")
    relayed = opened(vector, b"relay", b"points", OTHER, OWNER, vector["relayed"])
    assert relayed == b"what only the owner reads"


def test_the_specification_shows_these_bytes(vector):
    shown = "".join(SPECIFICATION.split())
    for name in (
        "layout_hash", "context", "context_digest", "sealed_key", "masked", "count_note", "list_head", "list_part",
        "group_lists", "group_sums", "relayed",
    ):  # fmt: skip
        assert vector[name] in shown, name
    assert vector["hellos"][HELPER] in shown
    assert "".join(vector["fragment"].split()) in shown
    for name in ("tokens", "codes"):
        assert all(each in shown for each in vector[name]), name
    assert str(vector["order"]).replace(" ", "") in shown
    assert str(vector["totals"]).replace(" ", "") in shown
