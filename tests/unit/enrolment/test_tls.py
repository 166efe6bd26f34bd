"""Real handshakes over loopback: what each side refuses, and that the sentence says what to do."""

import asyncio
import ssl
from dataclasses import replace

import pytest
from made_parties import ShiftedClock, meet, raw_client

from middleplatform.crypto.certificates import der_of, read_issued
from middleplatform.enrolment.problems import tls_problem
from middleplatform.enrolment.view import certificate_in
from middleplatform.errors import ProtocolError, SourceError


def connect(world, department="ga", *, gateway=None, node=None, client=None, between=()):
    """The gateway connects to a node; each judges the other at every request, as servers do."""
    gateway = gateway or world.trust("gateway")
    node = node or world.trust(department)
    return meet(
        node.server_context(),
        client or gateway.client_context(department),
        gateway.server_name(department),
        lambda der: node.check_peer(der, "gateway"),
        (lambda _: None) if client else (lambda der: gateway.check_peer(der, department)),
        between,
    )


def said(errors, party):
    """Return the sentences of one refusal, in both languages; it must be X006 and name the party."""
    (error,) = errors
    found = error if isinstance(error, ProtocolError) else tls_problem(error, party)
    assert isinstance(found, ProtocolError)
    assert found.code == "X006"
    assert party in found.message("en")
    assert found.message("zh") != found.message("en")
    return found.message("en")


@pytest.mark.parametrize("department", ["ga", "fs"])
def test_an_enrolled_gateway_and_node_talk_whoever_is_the_authority(world, department):
    seen = connect(world, department)
    assert (seen.replies, seen.client_errors, seen.server_errors) == ([b"!"], [], [])


def test_a_gateway_refuses_a_node_of_another_authority(world, other_world):
    seen = connect(world, gateway=world.trust("gateway"), node=other_world.trust("ga"))
    assert "authority that is not in the roster" in said(seen.client_errors, "ga")
    assert "does not know the authority of our" in said(seen.server_errors, "gateway")


def test_a_node_refuses_a_gateway_of_another_authority(world, other_world):
    node = world.trust("ga")
    client = raw_client(
        world.trust("gateway").roster.authority, other_world.folder("gateway").tls_file
    )
    seen = connect(world, node=node, client=client)
    assert "authority that is not in the roster" in said(seen.server_errors, "gateway")
    assert seen.replies in ([], [b""])
    assert "does not know the authority of our" in said(seen.client_errors, "ga")


def test_an_authority_of_one_department_does_not_serve_another(world):
    """fs may issue what it likes: a certificate for ga's name is refused all the same."""
    fs = world.folder("fs")
    member = world.member("fs")
    fs.write_owner(replace(fs.owner(), party="ga"))
    member.rotate()
    forged = raw_server(fs.tls_file)
    gateway = world.trust("gateway")
    seen = meet(
        forged, gateway.client_context("ga"), gateway.server_name("ga"), lambda _: None,
        lambda der: gateway.check_peer(der, "ga"),
    )  # fmt: skip
    assert "authority that is not in the roster" in said(seen.client_errors, "ga")


def raw_server(certificate, newest=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(certificate)
    return context


def test_a_gateway_refuses_an_expired_node(world):
    world.rotate("ga", clock=ShiftedClock(days=-10), days=1)
    world.spread()
    assert "has expired" in said(connect(world).client_errors, "ga")


def test_a_node_refuses_an_expired_gateway(world):
    world.rotate("gateway", clock=ShiftedClock(days=-10), days=1)
    seen = connect(world)
    assert "has expired" in said(seen.server_errors, "gateway")
    told = world.trust("gateway").explain(PermissionError("403"), "ga")
    assert "our own certificate has expired" in said([told], "ga")


def test_a_gateway_refuses_a_node_whose_certificate_holds_only_later(world):
    world.rotate("ga", clock=ShiftedClock(days=10))
    world.spread()
    assert "clocks" in said(connect(world).client_errors, "ga")


def test_a_node_refuses_a_gateway_whose_certificate_holds_only_later(world):
    world.rotate("gateway", clock=ShiftedClock(days=10))
    assert "clocks" in said(connect(world).server_errors, "gateway")


def test_a_gateway_refuses_another_departments_certificate(world):
    seen = connect(world, node=world.trust("tax"), department="ga")
    assert "for another party" in said(seen.client_errors, "ga")


def test_a_node_refuses_a_client_that_is_another_department(world):
    client = raw_client(world.trust("gateway").roster.authority, world.folder("tax").tls_file)
    seen = connect(world, client=client)
    assert "for another party" in said(seen.server_errors, "gateway")
    assert seen.replies == [b""]


def test_a_node_refuses_a_client_without_a_certificate(world):
    seen = connect(world, client=raw_client(world.trust("gateway").roster.authority))
    assert "showed no certificate" in said(seen.server_errors, "gateway")
    assert "we showed none" in said(seen.client_errors, "ga")


def test_a_node_refuses_a_client_that_offers_tls_1_2(world):
    authority = world.trust("gateway").roster.authority
    client = raw_client(authority, world.folder("gateway").tls_file, ssl.TLSVersion.TLSv1_2)
    seen = connect(world, client=client)
    assert "TLS 1.3" in said(seen.server_errors, "gateway")
    assert "TLS 1.3" in said(seen.client_errors, "ga")


def test_a_gateway_refuses_a_node_that_offers_tls_1_2(world):
    gateway = world.trust("gateway")
    server = raw_server(world.folder("ga").tls_file, ssl.TLSVersion.TLSv1_2)
    seen = meet(server, gateway.client_context("ga"), gateway.server_name("ga"), print, print)
    assert "TLS 1.3" in said(seen.client_errors, "ga")


def test_what_speaks_no_tls_is_told_apart(world):
    gateway = world.trust("gateway")
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    assert "does not speak TLS" in said([error], "ga")
    refused = tls_problem(ConnectionRefusedError(111, "refused"), "ga")
    assert isinstance(refused, SourceError)
    assert refused.code == "S001"
    assert gateway.departments() == ("fs", "ga", "tax")


@pytest.mark.parametrize("party", ["gateway", "ga"])
def test_a_revoked_certificate_ends_an_open_connection_at_the_next_request(world, party):
    """The certificate alone is revoked; both rosters are newer by the time of the second request."""

    authority = world.office().roster().authority
    serial = read_issued(
        der_of(certificate_in(world.folder(party).tls_file.read_bytes())), authority
    ).serial

    def revoke():
        world.office().revoke(party, serial)
        world.spread()

    seen = connect(world, between=(revoke,))
    assert seen.replies[0] == b"!"
    errors = seen.server_errors if party == "gateway" else seen.client_errors
    assert "certificate is revoked" in said(errors, party)


def test_a_revoked_department_is_refused_by_the_gateway_on_an_open_connection(world):
    def revoke():
        world.office().revoke("ga")
        world.folder("gateway").accept(world.newest())

    seen = connect(world, between=(revoke,))
    assert seen.replies == [b"!"]
    assert "registrar revoked it" in said(seen.client_errors, "ga")


def test_a_revoked_gateway_is_refused_by_the_node_on_an_open_connection(world):
    def revoke():
        world.office().revoke("gateway")
        world.folder("ga").accept(world.newest())

    seen = connect(world, between=(revoke,))
    assert seen.replies == [b"!", b""]
    assert "registrar revoked it" in said(seen.server_errors, "gateway")


def test_a_department_refuses_the_gateway_by_its_own_decision_at_once(world):
    def refuse():
        world.folder("ga").refuse("gateway")

    seen = connect(world, between=(refuse,))
    assert seen.replies == [b"!", b""]
    assert "own decision" in said(seen.server_errors, "gateway")
    world.folder("ga").refuse("gateway", lift=True)
    assert connect(world).replies == [b"!"]


def test_rotation_of_either_side_needs_no_restart(world):
    gateway, nodes = world.trust("gateway"), {name: world.trust(name) for name in ("ga", "fs")}
    shown = []

    def connected():
        for name, node in nodes.items():
            seen = meet(
                node.server_context(), gateway.client_context(name), gateway.server_name(name),
                lambda der, node=node: (shown.append(der), node.check_peer(der, "gateway")),
                lambda der, name=name: (shown.append(der), gateway.check_peer(der, name)),
            )  # fmt: skip
            assert (seen.replies, seen.client_errors, seen.server_errors) == ([b"!"], [], [])

    fronts = {name: node.server_context() for name, node in nodes.items()}
    connected()
    before = gateway.client_context("ga")
    for party in ("gateway", "ga", "fs"):
        world.rotate(party)
        world.spread()
    connected()
    assert len(set(shown)) == 6, "each of three certificates is another one after rotation"
    assert gateway.client_context("ga") is not before
    assert gateway.client_context("ga") is gateway.client_context("ga")
    assert all(node.server_context() is fronts[name] for name, node in nodes.items())


def test_a_node_hands_out_no_session_to_resume(world):
    node, gateway = world.trust("ga"), world.trust("gateway")
    sessions = []
    meet(
        node.server_context(), gateway.client_context("ga"), gateway.server_name("ga"),
        lambda der: node.check_peer(der, "gateway"), lambda _: None,
        (lambda: sessions.append(gateway.client_context("ga").session_stats()),),
    )  # fmt: skip
    assert node.server_context().num_tickets == 0
    assert sessions[0]["hits"] == 0


@pytest.mark.parametrize(
    ("make_bad", "words"),
    [
        (
            lambda world: world.rotate("gateway", clock=ShiftedClock(days=-10), days=1),
            "has expired",
        ),
        (lambda world: world.rotate("gateway", clock=ShiftedClock(days=10)), "clock"),
        (lambda world: (world.office().revoke("gateway"), world.spread()), "is revoked"),
    ],
)
def test_our_own_bad_certificate_explains_a_connection_that_was_just_reset(world, make_bad, words):
    """An asyncio server hangs up without TLS's reason: the gateway then looks at its own certificate."""
    gateway, reset = world.trust("gateway"), ConnectionResetError(104, "reset")
    assert gateway.explain(reset, "ga").code == "S001"
    make_bad(world)
    gateway.refresh()
    found = gateway.explain(reset, "ga")
    assert (found.code, words in found.message("en")) == ("X006", True)


def test_an_asyncio_server_and_client_talk_through_the_same_contexts(world):
    gateway, node = world.trust("gateway"), world.trust("ga")

    async def ask():
        async def serve(reader, writer):
            node.check_peer(certificate(writer), "gateway")
            writer.write(await reader.readexactly(1))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=node.server_context())
        async with server:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname()[:2],
                ssl=gateway.client_context("ga"), server_hostname=gateway.server_name("ga"),
            )  # fmt: skip
            gateway.check_peer(certificate(writer), "ga")
            writer.write(b"?")
            reply = await reader.read()
            writer.close()
            await writer.wait_closed()
        return reply

    def certificate(writer):
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)

    assert asyncio.run(ask()) == b"?"
