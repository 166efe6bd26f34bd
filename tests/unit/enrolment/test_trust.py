"""What a running process trusts, while the files under it change."""

from dataclasses import replace

import pytest
from made_parties import DEPARTMENTS

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.crypto.certificates import der_of
from middleplatform.crypto.identity import IdentityKey, fingerprint
from middleplatform.crypto.key_files import replace_private
from middleplatform.enrolment.folder import Peers
from middleplatform.enrolment.roster import Party, read_roster
from middleplatform.enrolment.trust import Trust
from middleplatform.enrolment.view import certificate_in
from middleplatform.errors import ConfigError, ProtocolError


def certificate(world, party):

    return der_of(certificate_in(world.folder(party).tls_file.read_bytes()))


def code_of(call, *arguments):
    with pytest.raises((ProtocolError, ConfigError)) as caught:
        call(*arguments)
    return caught.value.code


def set_peers(world, party, peers):
    folder = world.folder(party)
    local = folder.local()
    folder.write_local(replace(local, peers=peers))


def signs(trust, name, key):
    """Return whether a message of ``name``, signed with ``key``, counts."""
    try:
        trust.pins.verify(name, "test", b"m", key.sign("test", b"m"))
    except ProtocolError:
        return False
    return True


def test_a_gateway_knows_departments_names_and_addresses(world):
    gateway = world.trust("gateway")
    assert gateway.departments() == tuple(sorted(DEPARTMENTS))
    assert gateway.address("fs") == DEPARTMENTS["fs"]
    assert gateway.server_name("fs") == "fs.node.mp.internal"
    assert gateway.server_name("gateway") == "gateway.mp.internal"
    assert gateway.pins.names == {"gateway", *DEPARTMENTS}


def test_peers_wait_until_the_department_itself_pins_them(world):
    set_peers(world, "ga", Peers.PINNED)
    node = world.trust("ga")
    assert node.pins.names == {"ga", "gateway"}
    pins = node.pins
    known = fingerprint(node.roster.parties["tax"].identity)
    world.folder("ga").pin("tax", known)
    node.refresh()
    assert node.pins is pins
    assert pins.names == {"ga", "gateway", "tax"}
    assert code_of(world.folder("ga").pin, "fs", known) == "X006"


def test_a_roster_neither_changes_a_pin_nor_adds_one_silently(world):
    """The registrar replaces tax by a key of its own: the node goes on with the one it compared."""
    set_peers(world, "ga", Peers.PINNED)
    node = world.trust("ga")
    world.folder("ga").pin("tax", fingerprint(node.roster.parties["tax"].identity))
    office = world.office()

    evil, before = IdentityKey.generate(SystemRng()), office.roster()
    parties = {**before.parties, "tax": Party("tax", evil.public_key, address="127.0.0.1:1")}
    parties["new"] = Party("new", IdentityKey.generate(SystemRng()).public_key, address="h:1")
    forged = replace(before, sequence=before.sequence + 1, parties=parties)
    node.accept_roster(forged.sealed(office.key))
    assert node.roster.parties["tax"].identity == evil.public_key
    honest = key_of(world, "tax")
    assert not signs(node, "tax", evil)
    assert signs(node, "tax", honest)
    assert "new" not in node.pins.names


def key_of(world, party):

    return IdentityKey.load(world.folder(party).identity_file)


def test_a_pin_follows_a_key_that_hands_over_and_nothing_else(world):
    set_peers(world, "ga", Peers.PINNED)
    node, tax = world.trust("ga"), world.trust("tax")
    world.folder("ga").pin("tax", fingerprint(tax.identity.public_key))
    old = key_of(world, "tax")
    identity = tax.identity
    for _ in range(2):
        world.rotate("tax", identity_too=True)
        world.spread()
    node.refresh()
    tax.refresh()
    new = key_of(world, "tax")
    assert new.public_key != old.public_key
    assert signs(node, "tax", new)
    assert not signs(node, "tax", old)
    assert tax.identity is identity, "who holds the object signs with the new key"
    assert identity.public_key == new.public_key
    assert world.folder("ga").local().pins["tax"] == new.public_key


def test_a_running_node_signs_with_the_new_key_as_soon_as_the_roster_lists_it(world):
    """The roster may arrive before the operator installs the admission."""
    tax = world.trust("tax")
    member = world.member("tax")
    fresh = member.rotate(identity_too=True)
    world.office().admit(member.folder.request_file.read_bytes(), None, "")
    tax.refresh()
    assert tax.identity.public_key != fresh.public_key
    tax.accept_roster(world.newest())
    assert tax.identity.public_key == fresh.public_key
    member.rotate()
    assert key_of(world, "tax").public_key == fresh.public_key


def test_a_revoked_party_loses_its_pin_in_a_running_process(world):
    gateway, node = world.trust("gateway"), world.trust("fs")
    world.office().revoke("ga")
    gateway.accept_roster(world.newest())
    node.accept_roster(world.newest())
    for trust in (gateway, node):
        assert "ga" not in trust.pins.names
        assert code_of(trust.check_peer, certificate(world, "ga"), "ga") == "X006"
    assert gateway.departments() == ("fs", "tax")
    assert code_of(gateway.client_context, "ga") == "X006"


def test_a_department_refuses_a_peer_by_its_own_decision(world):
    node = world.trust("ga")
    world.folder("ga").refuse("tax")
    node.refresh()
    assert "tax" not in node.pins.names
    world.folder("ga").refuse("tax", lift=True)
    node.refresh()
    assert "tax" in node.pins.names


def test_a_revoked_department_is_let_in_again_only_with_its_fingerprint(world):
    office, member = world.office(), world.member("ga")
    office.revoke("ga")
    member.rotate()
    request = member.folder.request_file.read_bytes()
    assert code_of(office.admit, request, None, "") == "X006"
    member.install(office.admit(request, member.fingerprint(), ""), None)
    world.spread()
    gateway = world.trust("gateway")
    gateway.check_peer(certificate(world, "ga"), "ga")
    assert "ga" in gateway.departments()


def test_an_older_roster_is_refused_also_after_a_restart(world):
    node = world.trust("ga")
    old = node.roster_document()
    world.office().revoke("tax")
    node.accept_roster(world.newest())
    assert code_of(node.accept_roster, old) == "X006"
    assert "tax" not in node.pins.names

    replace_private(world.folder("ga").roster_file, old)
    assert code_of(node.check_peer, certificate(world, "gateway"), "gateway") == "X006"
    assert code_of(world.trust, "ga") == "X006"


def test_two_rosters_of_one_number_are_refused(world):
    node, office = world.trust("ga"), world.office()
    before = office.roster()
    twin = replace(before, revoked=frozenset({"ab"}))
    assert code_of(node.accept_roster, twin.sealed(office.key)) == "X006"
    node.accept_roster(world.newest())
    assert node.roster.revoked == frozenset()


def test_a_roster_of_another_registrar_or_platform_is_refused(world, other_world):
    node = world.trust("ga")
    before = node.roster
    assert code_of(node.accept_roster, other_world.newest()) == "X006"
    office = world.office()
    moved = replace(before, platform="other.internal", sequence=before.sequence + 1)
    assert code_of(node.accept_roster, moved.sealed(office.key)) == "X006"
    assert code_of(node.accept_roster, moved.sealed(key_of(world, "gateway"))) == "X006"
    assert node.roster == before


def test_every_changed_byte_of_a_roster_is_noticed(world):
    raw, office = world.newest(), world.office()
    for place in range(0, len(raw), 97):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert code_of(read_roster, changed, office.key.public_key, "mp.internal") == "X006"


def test_damaged_decisions_refuse_everything_rather_than_be_forgotten(world):
    node = world.trust("ga")
    world.folder("ga").refuse("gateway")
    world.folder("ga").local_file.write_bytes(b"{}")
    assert code_of(node.check_peer, certificate(world, "gateway"), "gateway") == "X006"


@pytest.mark.parametrize("party", ["ga", "nobody"])
def test_who_is_not_listed_or_shows_another_name_is_refused(world, party):
    node = world.trust("fs")
    assert code_of(node.check_peer, certificate(world, "tax"), party) == "X006"
    assert code_of(node.check_peer, None, party) == "X006"
    assert code_of(node.check_peer, b"\x30\x82", party) == "X006"


def test_a_folder_serves_its_own_party_only(world, tmp_path):

    assert code_of(Trust.open, world.path("ga"), "fs", SystemClock()) == "C012"
    assert code_of(Trust.open, tmp_path, "ga", SystemClock()) == "C012"
