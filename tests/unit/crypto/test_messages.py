import pytest

from middleplatform.crypto.messages import CodeList, Hello, LabelList, MaskedVector, SealedKey
from middleplatform.errors import ProtocolError

DIGEST, SIGNATURE = bytes(range(32)), bytes(64)
CODES = (b"a" * 16, b"b" * 16)
MESSAGES = [
    Hello(DIGEST, "d0", SIGNATURE, b"k" * 32),
    SealedKey(DIGEST, "d0", SIGNATURE, "d1", b"s" * 48),
    CodeList(DIGEST, "d0", SIGNATURE, CODES),
    CodeList(DIGEST, "d0", SIGNATURE, ()),
    MaskedVector(DIGEST, "d0", SIGNATURE, "cells", DIGEST, b"12345678" * 3),
    LabelList(DIGEST, "d0", SIGNATURE, CODES, ("甲".encode(), b"")),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_bytes_round_trip(message):
    assert type(message).from_bytes(message.to_bytes()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_prefix_and_a_suffix_are_refused(message):
    raw = message.to_bytes()
    for bad in [raw[:at] for at in range(len(raw))] + [raw + b"\x00"]:
        with pytest.raises(ProtocolError):
            type(message).from_bytes(bad)


def test_a_message_of_one_kind_is_none_of_another():
    for message in MESSAGES:
        for other in MESSAGES:
            if type(message) is not type(other):
                with pytest.raises(ProtocolError):
                    type(other).from_bytes(message.to_bytes())


@pytest.mark.parametrize(
    "codes", [(b"b" * 16, b"a" * 16), (b"a" * 16, b"a" * 16), (b"a" * 15,), (b"a" * 17,)]
)
def test_codes_that_are_not_strictly_ascending_are_refused(codes):
    with pytest.raises(ProtocolError):
        CodeList(DIGEST, "d0", SIGNATURE, codes)
    with pytest.raises(ProtocolError):
        LabelList(DIGEST, "d0", SIGNATURE, codes, tuple(b"" for _ in codes))


def test_labels_must_be_as_many_as_codes_and_short():
    for labels in [(), (b"x",), (b"x", b"y", b"z"), (b"x", b"y" * 4097)]:
        with pytest.raises(ProtocolError):
            LabelList(DIGEST, "d0", SIGNATURE, CODES, labels)


@pytest.mark.parametrize(
    ("phase", "agreed", "payload"),
    [
        ("", DIGEST, bytes(8)),
        ("Cells", DIGEST, bytes(8)),
        ("c" * 33, DIGEST, bytes(8)),
        ("cells\n", DIGEST, bytes(8)),
        ("cells", DIGEST[:31], bytes(8)),
        ("cells", DIGEST, bytes(7)),
        ("cells", DIGEST, b""),
    ],
)
def test_a_malformed_vector_is_refused(phase, agreed, payload):
    with pytest.raises(ProtocolError):
        MaskedVector(DIGEST, "d0", SIGNATURE, phase, agreed, payload)


def test_a_name_that_is_not_utf8_or_too_long_is_refused():
    raw = MESSAGES[0].to_bytes()
    for name in (b"\xff\xfe", b"d" * 65):
        bad = raw[:38] + len(name).to_bytes(4, "big") + name + raw[44:]
        with pytest.raises(ProtocolError):
            Hello.from_bytes(bad)


def test_words_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        MESSAGES[4].words[0] = 1
