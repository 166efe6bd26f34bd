"""Is a message exactly what its sender signed, for whom, and in reply to what?"""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.access.system import SystemRng
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.errors import MiddleplatformError, ProtocolError
from middleplatform.wire.frame import CALL, REPLY, Message, decode, encode, pack, unpack

GATEWAY, NODE = IdentityKey.generate(SystemRng()), IdentityKey.generate(SystemRng())
PINS = PinnedKeys({"gateway": GATEWAY.public_key, "ga": NODE.public_key})
ASKED = Message(CALL, "answer", "gateway", "ga", "0" * 32, "2026-11-22T00:00:00+00:00", {"key": "k"}, (b"one", b"", b"three"))  # fmt: skip


def read(raw, **changes):
    return decode(raw, PINS, **{"kind": CALL, "sender": "gateway", "receiver": "ga", **changes})


def test_a_message_comes_back():
    assert read(encode(ASKED, GATEWAY)) == ASKED


@pytest.mark.parametrize(
    "changes", [{"kind": REPLY}, {"sender": "ga"}, {"receiver": "health"}, {"sender": "nobody"}]
)
def test_a_message_for_another_end_is_refused(changes):
    with pytest.raises(ProtocolError) as caught:
        read(encode(ASKED, GATEWAY), **changes)
    assert caught.value.code == "X001"


def test_a_message_that_somebody_else_signed_is_refused():
    with pytest.raises(ProtocolError):
        read(encode(ASKED, NODE))


def test_a_reply_is_never_taken_for_a_call():
    reply = replace(ASKED, kind=REPLY)
    raw = encode(reply, GATEWAY).replace(b'"kind":"reply"', b'"kind":"call" ')
    with pytest.raises(ProtocolError):
        read(raw)


@given(st.integers(0, len(encode(ASKED, GATEWAY)) - 1), st.integers(1, 255))
def test_every_changed_byte_is_noticed(place, change):
    raw = bytearray(encode(ASKED, GATEWAY))
    raw[place] ^= change
    with pytest.raises(ProtocolError):
        read(bytes(raw))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(raw):
    with pytest.raises(MiddleplatformError):
        read(b"mpw1" + raw)


@pytest.mark.parametrize("cut", [1, 4, 40])
def test_a_message_that_is_cut_or_longer_is_refused(cut):
    raw = encode(ASKED, GATEWAY)
    for wrong in (raw[:-cut], raw + b"x" * cut):
        with pytest.raises(ProtocolError):
            read(wrong)


def signed(header):
    raw = (
        header
        if isinstance(header, bytes)
        else json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    )
    return b"mpw1" + len(raw).to_bytes(4, "big") + raw + GATEWAY.sign("wire call", raw)


GOOD = {"kind": "call", "name": "answer", "sender": "gateway", "receiver": "ga", "nonce": "0" * 32, "at": "x", "fields": {}, "parts": []}  # fmt: skip


def test_the_forms_of_a_header():
    assert read(signed(GOOD)).name == "answer"
    wrong = [
        {**GOOD, "more": 1}, {**GOOD, "nonce": "zz"}, {**GOOD, "nonce": 5}, {**GOOD, "name": "../x"}, {**GOOD, "fields": []}, {**GOOD, "parts": [[1]]},
        {**GOOD, "parts": [[-1, "x"]]}, {**GOOD, "parts": [[True, "x"]]}, {**GOOD, "at": 3}, {key: GOOD[key] for key in GOOD if key != "at"},
        b" " + json.dumps(GOOD, sort_keys=True, separators=(",", ":")).encode(), b"[]", b"\xff", b"[" * 60000, b"null",
        {**GOOD, "parts": [[0, "x"]] * 17},
    ]  # fmt: skip
    for header in wrong:
        with pytest.raises(ProtocolError):
            read(signed(header))


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_packed_items_come_back(items):
    assert unpack(pack(items), 10) == tuple(items)


def test_packed_items_are_bounded():
    with pytest.raises(ProtocolError):
        unpack(pack([b""] * 11), 10)
    with pytest.raises(ProtocolError):
        unpack(pack([b"abc"])[:-1], 10)
