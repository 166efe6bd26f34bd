"""Papers from outside are refused with typed errors, whatever their bytes."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_parties import DEPARTMENTS

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.crypto.certificates import check_authority, read_issued, read_request
from middleplatform.crypto.identity import IdentityKey, fingerprint
from middleplatform.enrolment.documents import canonical, parse, seal, unseal
from middleplatform.enrolment.folder import Peers
from middleplatform.enrolment.papers import read_admission, read_request_paper
from middleplatform.enrolment.roster import read_roster
from middleplatform.errors import ProtocolError

KEY = IdentityKey.generate(SystemRng())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=8),
    max_leaves=12,
)  # fmt: skip
READERS = (
    read_request_paper,
    read_admission,
    lambda raw: read_roster(raw, KEY.public_key, "mp.internal"),
)


def refuses(reader, raw):
    with pytest.raises(ProtocolError) as caught:
        reader(raw)
    assert caught.value.code in ("X001", "X006")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(raw):
    for reader in READERS:
        refuses(reader, raw)
    refuses(lambda der: read_issued(der, ""), raw)


@given(st.text(max_size=200))
def test_arbitrary_text_is_no_certificate(text):
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    refuses(check_authority, text)
    refuses(check_authority, pem)
    refuses(read_request, text)


@given(
    st.sampled_from(["roster", "request", "admission"]), st.dictionaries(st.text(max_size=12), JSON)
)
def test_signed_documents_of_another_form_are_refused(kind, body):
    raw = seal(kind, body | {"identity": KEY.public_key.hex()}, KEY)
    for reader in READERS:
        refuses(reader, raw)


@given(data=st.data())
def test_a_roster_with_one_field_replaced_is_refused_or_stays_well_formed(data, real_body):
    """Signed by the right key, so that the form alone decides."""
    body = json.loads(json.dumps(real_body))
    place = data.draw(st.sampled_from(sorted(body)))
    if place == "parties" and data.draw(st.booleans()):
        line = body["parties"][data.draw(st.integers(0, len(body["parties"]) - 1))]
        line[data.draw(st.sampled_from(sorted(line)))] = data.draw(JSON)
    else:
        body[place] = data.draw(JSON)
    with suppress(ProtocolError):
        found = read_roster(seal("roster", body, KEY), KEY.public_key, "mp.internal")
        assert canonical(body) in found.sealed(KEY)


@pytest.fixture(scope="module")
def real_body(enrolled):
    raw = (enrolled / "platform" / "registrar" / "roster.json").read_bytes()
    return parse(raw, "roster")["body"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1.5}', b'{"a":NaN}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}', b'{"a":"\\ud800"}',
        b"[" * 100_000, b"[]", b"", b"\xff", b'{"a":' + b"9" * 10_000 + b"}", b'{"a":"\\u0061"}',
    ],
)  # fmt: skip
def test_only_the_one_canonical_encoding_of_an_object_is_read(raw):
    refuses(lambda bad: parse(bad, "roster"), raw)


def test_a_document_of_one_kind_does_not_pass_for_another():
    raw = seal("request", {"a": "b"}, KEY)
    unseal("request", raw, lambda _: KEY.public_key)
    refuses(lambda bad: unseal("roster", bad, lambda _: KEY.public_key), raw)
    renamed = canonical({**json.loads(raw), "kind": "roster"})
    refuses(lambda bad: unseal("roster", bad, lambda _: KEY.public_key), renamed)


def test_a_request_under_another_fingerprint_platform_or_key_is_not_admitted(world, other_world):
    office, member = world.office(), world.member("ga")
    raw = member.folder.request_file.read_bytes()
    refuses(lambda bad: office.admit(bad, "0" * 64, ""), raw)
    stranger = other_world.folder("ga").request_file.read_bytes()
    refuses(lambda bad: office.admit(bad, None, ""), stranger)
    taken = IdentityKey.load(member.folder.identity_file)
    request = read_request_paper(raw)
    other_name = type(request)(
        "new", request.platform, request.identity, request.made_at, request.signing_request
    ).sealed(taken)
    refuses(lambda bad: office.admit(bad, taken.fingerprint, "h:1"), other_name)


@pytest.mark.parametrize("address", ["", "nohost", "h:0", "h:70000", "h:1 ", "http://h:1", "h:1\n"])
def test_a_node_is_admitted_only_with_an_address(world, tmp_path, address):
    office = world.office()
    member = type(world.member("ga"))(
        type(world.folder("ga"))(tmp_path / "new"), None, SystemClock(), SystemRng()
    )
    key = member.create("new", "mp.internal", Peers.PINNED)
    raw = member.folder.request_file.read_bytes()
    refuses(lambda bad: office.admit(bad, key.fingerprint, address), raw)
    office.admit(raw, key.fingerprint, "[::1]:9000")


def test_an_admission_under_another_fingerprint_or_for_another_is_not_installed(world, other_world):
    admission = world.rotate("ga")
    refuses(lambda bad: world.member("ga").install(bad, "0" * 64), admission)
    refuses(lambda bad: world.member("tax").install(bad, None), admission)
    refuses(lambda bad: other_world.member("ga").install(bad, None), admission)
    refuses(
        lambda bad: other_world.member("ga").install(bad, world.office().fingerprint), admission
    )


def test_the_fingerprints_are_those_of_the_keys(world):
    roster = world.office().roster()
    for party in ("gateway", *DEPARTMENTS):
        key = IdentityKey.load(world.folder(party).identity_file)
        assert key.fingerprint == fingerprint(roster.parties[party].identity)
