"""A gateway, a node of the platform's authority (ga) and one of its own (fs), enrolled by the real steps.

Clocks are the machine's, since OpenSSL judges validity by it; a shifted one makes old or early certificates.
"""

import socket
import ssl
import threading
from contextlib import suppress
from datetime import timedelta

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.enrolment import quick
from middleplatform.enrolment.folder import Folder
from middleplatform.enrolment.member import Member
from middleplatform.enrolment.registrar import Registrar
from middleplatform.enrolment.trust import Trust
from middleplatform.errors import MiddleplatformError

DEPARTMENTS = {"ga": "127.0.0.1:9001", "fs": "127.0.0.1:9002", "tax": "127.0.0.1:9003"}


class ShiftedClock:
    def __init__(self, **shift):
        self.shift = timedelta(**shift)

    def now(self):
        return SystemClock().now() + self.shift


class World:
    """One platform in one folder."""

    def __init__(self, root):
        self.root = root

    def path(self, party):
        return (
            quick.gateway_trust(self.root)
            if party == "gateway"
            else quick.node_trust(self.root, party)
        )

    def folder(self, party):
        return Folder(self.path(party))

    def trust(self, party, clock=None):
        return Trust.open(self.path(party), party, clock or SystemClock())

    def office(self, clock=None):
        path = quick.registrar(self.root)
        return Registrar.open(path, None, clock or SystemClock(), SystemRng())

    def member(self, party, clock=None):
        return Member(self.folder(party), None, clock or SystemClock(), SystemRng())

    def rotate(self, party, *, clock=None, days=90, identity_too=False):
        """Renew a party as its operator and the registrar do, and return the admission."""
        member = self.member(party, clock)
        member.rotate(identity_too=identity_too, days=days)
        raw = member.folder.request_file.read_bytes()
        admission = self.office(clock).admit(raw, None, "", days)
        member.install(admission, None)
        return admission

    def newest(self):
        return self.office().roster_file.read_bytes()

    def spread(self):
        for party in ("gateway", *DEPARTMENTS):
            self.folder(party).accept(self.newest())


def raw_client(authority, certificate=None, newest=ssl.TLSVersion.TLSv1_3):
    """A client that does what it likes: it accepts every server, and shows any certificate or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = newest
    context.check_hostname = False
    context.load_verify_locations(cadata=authority)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


class Meeting:
    """What both sides of one connection saw."""

    def __init__(self):
        self.server_errors = []
        self.client_errors = []
        self.replies = []


def meet(server_context, client_context, name, judge_client, judge_server, between=()):
    """Connect over loopback, ask once and then once more after each of ``between``; both judge each time.

    Blocking sockets, so that what OpenSSL says to the other side really arrives there.
    """
    seen = Meeting()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = (listener, server_context, judge_client, seen.server_errors)
        serving = threading.Thread(target=_serve, args=arguments)
        serving.start()
        _ask(listener.getsockname(), client_context, name, judge_server, between, seen)
        serving.join(10)
    assert not serving.is_alive()
    return seen


def _serve(listener, context, judge, errors):
    plain, _ = listener.accept()
    plain.settimeout(10)
    with _wrapped(plain, context, server_side=True) as wrapped:
        try:
            wrapped.do_handshake()
            while wrapped.recv(1):
                judge(wrapped.getpeercert(binary_form=True))
                wrapped.sendall(b"!")
        except (OSError, MiddleplatformError) as error:
            errors.append(error)
            _leave(wrapped)


def _ask(address, context, name, judge, between, seen):
    plain = socket.create_connection(address, 10)
    with _wrapped(plain, context, server_hostname=name) as wrapped:
        try:
            wrapped.do_handshake()
            for act in (lambda: None, *between):
                act()
                judge(wrapped.getpeercert(binary_form=True))
                wrapped.sendall(b"?")
                seen.replies.append(wrapped.recv(1))
                if not seen.replies[-1]:
                    break
        except (OSError, MiddleplatformError) as error:
            seen.client_errors.append(error)
            _leave(wrapped)


def _wrapped(plain, context, **how):
    return context.wrap_socket(plain, do_handshake_on_connect=False, **how)


def _leave(wrapped):
    """Let the other side read what was said: a close with unread bytes would overtake it."""
    with suppress(OSError):
        wrapped.shutdown(
            socket.SHUT_WR
        )  # of the socket itself: from now on reads are not decrypted
        while wrapped.recv(4096):
            pass
