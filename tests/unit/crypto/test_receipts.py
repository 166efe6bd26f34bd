import base64
import hashlib
from dataclasses import replace

import pytest

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt, verify_receipt
from middleplatform.errors import ProtocolError

FIELDS = ReceiptFields(
    query_id="q-1",
    fragment_digest=hashlib.sha256(b"fragment").hexdigest(),
    policy_digest=hashlib.sha256(b"policy").hexdigest(),
    protocol="secure_sum",
    cells=17,
    result_digest=hashlib.sha256(b"result").hexdigest(),
)


@pytest.fixture
def identity(seeded_rng):
    return IdentityKey.generate(seeded_rng("a"))


@pytest.fixture
def pins(identity, seeded_rng):
    other = IdentityKey.generate(seeded_rng("b"))
    return PinnedKeys({"a": identity.public_key, "b": other.public_key})


def test_a_receipt_gives_back_its_fields(identity, pins):
    assert verify_receipt(sign_receipt(identity, FIELDS), "a", pins) == FIELDS


def test_a_receipt_of_another_department_is_refused(identity, pins):
    with pytest.raises(ProtocolError):
        verify_receipt(sign_receipt(identity, FIELDS), "b", pins)


def test_a_receipt_with_any_character_changed_is_refused(identity, pins):
    receipt = sign_receipt(identity, FIELDS)
    for at in range(len(receipt)):
        for other in ("A" if receipt[at] != "A" else "B", "=", "\n"):
            with pytest.raises(ProtocolError):
                verify_receipt(receipt[:at] + other + receipt[at + 1 :], "a", pins)


@pytest.mark.parametrize("suffix", ["=", "A", "AA", "AAA", "AAAA", "\n", " ", "é", "A" * 4096])
def test_a_receipt_with_a_suffix_is_refused(identity, pins, suffix):
    with pytest.raises(ProtocolError):
        verify_receipt(sign_receipt(identity, FIELDS) + suffix, "a", pins)


def test_a_signature_for_another_purpose_is_no_receipt(identity, pins):
    raw = FIELDS.to_bytes() + identity.sign("secure-sum V", FIELDS.to_bytes())
    text = "mpr1." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    with pytest.raises(ProtocolError):
        verify_receipt(text, "a", pins)


@pytest.mark.parametrize(
    "changes",
    [
        {"query_id": ""},
        {"query_id": "q 1"},
        {"protocol": "x" * 129},
        {"cells": -1},
        {"cells": 2**63},
        {"result_digest": "A" * 64},
        {"fragment_digest": ""},
        {"policy_digest": "0" * 63},
    ],
)
def test_a_value_outside_its_range_is_refused(changes):
    with pytest.raises(ProtocolError):
        replace(FIELDS, **changes)
