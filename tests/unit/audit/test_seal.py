"""Sealed parts: only the auditor opens them, only where they were put, and any RFC 9180 tool can."""

import base64
import pickle

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from middleplatform.audit.keys import read_private
from middleplatform.audit.proof import check_receipt
from middleplatform.audit.seal import RECIPE, AuditorKey, AuditorPublicKey, is_sealed, seal_fields
from middleplatform.errors import AuditError, ConfigError
from middleplatform.model.record import AuditRecord

SQL = "SELECT count(*) FROM ga.population WHERE age > 80"


@pytest.fixture
def auditor(tmp_path, make_rng):
    return AuditorKey.create(tmp_path / "auditor.key", make_rng("auditor"))


def test_the_auditor_opens_what_was_sealed(auditor):
    for value in (SQL, "", ["甲", 1, None], {"a": {"b": "x" * 1000}}):
        box = auditor.public.seal(value, context="q1", field="sql")
        assert is_sealed(box)
        assert auditor.open(box, context="q1", field="sql") == value


def test_a_box_opens_nowhere_else_for_nobody_else_and_not_altered(tmp_path, auditor, make_rng):
    box = auditor.public.seal(SQL, context="q1", field="sql")
    other = AuditorKey.create(tmp_path / "other.key", make_rng("other"))
    raw = bytearray(base64.b64decode(box["box"]))
    raw[-1] ^= 1
    altered = box | {"box": base64.b64encode(raw).decode()}
    cases = [
        (auditor, box, "q2", "sql"), (auditor, box, "q1", "rewritten"), (other, box, "q1", "sql"),
        (other, box | {"to": other.public.key_id}, "q1", "sql"), (auditor, altered, "q1", "sql"),
        (auditor, box | {"sealed": "none"}, "q1", "sql"), (auditor, box | {"more": ""}, "q1", "sql"),
        (auditor, box | {"box": ""}, "q1", "sql"), (auditor, box | {"box": "AA"}, "q1", "sql"),
        (auditor, box | {"box": 5}, "q1", "sql"), (auditor, SQL, "q1", "sql"), (auditor, None, "q1", "sql"),
    ]  # fmt: skip
    messages = set()
    for key, value, context, field in cases:
        with pytest.raises(AuditError) as caught:
            key.open(value, context=context, field=field)
        messages.add((caught.value.code, caught.value.public_message, caught.value.detail))
    assert len(messages) == 1


def test_a_box_shows_neither_its_text_nor_its_exact_length(auditor):
    boxes = [
        auditor.public.seal("x" * length, context="q1", field="sql")["box"]
        for length in (0, 40, 250)
    ]
    assert len({len(box) for box in boxes}) == 1
    again = auditor.public.seal("", context="q1", field="sql")["box"]
    assert again not in boxes


def test_the_box_is_plain_rfc_9180(tmp_path, auditor):
    """Open a box by RFC 9180 sections 4 and 5 written out here: suite 0x0020, 0x0001, 0x0002, base mode."""
    box = auditor.public.seal(SQL, context="q1", field="sql")
    raw = base64.b64decode(box["box"])
    seed = base64.b64decode(read_private(tmp_path / "auditor.key").split(":")[1])
    info = f'["{RECIPE}","{auditor.public.key_id}","q1","sql"]'.encode()
    assert (
        open_rfc_9180(X25519PrivateKey.from_private_bytes(seed), raw, info).rstrip(b" ")
        == f'"{SQL}"'.encode()
    )


def open_rfc_9180(private: X25519PrivateKey, raw: bytes, info: bytes) -> bytes:
    enc, sealed = raw[:32], raw[32:]
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"

    def extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
        mac.update(b"HPKE-v1" + suite_id + label + ikm)
        return mac.finalize()

    def expand(suite_id: bytes, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + context
        return HKDFExpand(hashes.SHA256(), length, labeled).derive(secret)

    shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
    eae = extract(kem, b"", b"eae_prk", shared)
    secret = expand(kem, eae, b"shared_secret", enc + private.public_key().public_bytes_raw(), 32)
    context = (
        b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    )
    schedule = extract(suite, secret, b"secret", b"")
    key = expand(suite, schedule, b"key", context, 32)
    nonce = expand(suite, schedule, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def test_the_leaf_covers_the_sealed_form(log, auditor, record):
    plain = record(1)
    sealed = AuditRecord("released", seal_fields(plain.body, ["sql"], auditor.public))
    receipt = log.append(sealed)
    check_receipt(sealed, receipt, log.keys)
    held = log.entry(receipt.index)
    assert b"population WHERE" not in held.leaf
    box = held.record.body["sql"]
    assert auditor.open(box, context=str(plain.body["query_id"]), field="sql") == plain.body["sql"]
    with pytest.raises(AuditError, match="not the one that was logged"):
        check_receipt(plain, receipt, log.keys)


def test_sealing_needs_the_query_that_it_binds_to(auditor):
    for body in ({"sql": SQL}, {"sql": SQL, "query_id": ""}, {"sql": SQL, "query_id": 5}):
        with pytest.raises(ValueError, match="query_id"):
            seal_fields(body, ["sql"], auditor.public)


def test_key_texts_have_one_spelling(tmp_path, auditor):
    text = auditor.public.text()
    assert AuditorPublicKey.parse(text) == auditor.public
    for bad in (
        "",
        text[:-4],
        text + "\n",
        text.replace("public", "private"),
        "audit-seal-public-v1:AA==",
    ):
        with pytest.raises(ConfigError) as caught:
            AuditorPublicKey.parse(bad)
        assert caught.value.code == "C006"
    assert AuditorKey.load(tmp_path / "auditor.key").public == auditor.public
    (tmp_path / "auditor.key").write_text("audit-seal-private-v1:AA\n")
    with pytest.raises(ConfigError):
        AuditorKey.load(tmp_path / "auditor.key")


def test_the_auditors_private_key_shows_in_no_text(tmp_path, auditor):
    secret = read_private(tmp_path / "auditor.key").split(":")[1]
    assert secret not in repr(auditor) + str(auditor)
    with pytest.raises(TypeError):
        pickle.dumps(auditor)
