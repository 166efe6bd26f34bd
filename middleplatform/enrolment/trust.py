"""Whom a running process trusts now: its files are read again whenever one of them changed.

A gateway or node holds one ``Trust`` and asks it at every request. What is revoked, refused, pinned,
rotated or newly listed on disk counts from the next request on, also on open connections.
Imported by gateway and node.
Spec: docs/spec/enrolment.md, "A running process".

Reveals:
    To the other side of a connection: this party's certificate, and which authority's certificates it
    accepts. To nobody anything of any data.
"""

import ssl
import threading
from datetime import datetime
from pathlib import Path

from middleplatform.crypto.certificates import CertificateFacts, read_issued
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.key_files import Passphrase, key_invalid, key_password, read_private
from middleplatform.enrolment.documents import refused
from middleplatform.enrolment.folder import Folder, Local, not_enrolled
from middleplatform.enrolment.passphrases import from_surroundings
from middleplatform.enrolment.problems import (
    EXPIRED,
    NONE_SHOWN,
    NOT_YET,
    OTHER_NAME,
    OURS_EXPIRED,
    OURS_NOT_YET,
    OURS_REVOKED,
    REVOKED,
    UNKNOWN_AUTHORITY,
    tls_problem,
)
from middleplatform.enrolment.roster import GATEWAY, Roster, server_name
from middleplatform.enrolment.view import (
    View,
    own_certificate,
    pinned_keys,
    read_view,
    require,
    stamp_of,
    standing,
)
from middleplatform.errors import ConfigError, MiddleplatformError, ProtocolError
from middleplatform.ports import Clock

__all__ = ["Trust"]

_FACTS_KEPT = 256
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h."""


class Trust:
    """Live trust of one party. Safe to use from several threads; use ``open``.

    Args:
        folder: The party's trust folder.
        clock: Judges validity.
        passphrase: Opens the key files.
        view: What the files say now.
    """

    def __init__(
        self, folder: Folder, clock: Clock, passphrase: Passphrase | None, view: View
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._passphrase = passphrase
        self._lock = threading.RLock()
        self._view = view
        self.party = view.owner.party
        self.identity = view.identity
        self.pins = PinnedKeys(pinned_keys(view))
        self._front: ssl.SSLContext | None = None

    @classmethod
    def open(
        cls, folder: Path, party: str, clock: Clock, passphrase: Passphrase | None = None
    ) -> "Trust":
        """Open a party's trust folder.

        Args:
            folder: The gateway's folder, or ``trust`` in a node's state folder.
            party: ``"gateway"`` or the department's code.
            clock: Judges validity.
            passphrase: Opens encrypted key files; unless given, ``passphrases.from_surroundings``.

        Raises:
            ConfigError: C012 when the folder is another party's or not enrolled; C006 when a key
                file cannot be used.
            ProtocolError: X006 when a document in it is damaged or forged.
        """
        files = Folder(folder)
        opened = passphrase or from_surroundings()
        view = read_view(files, opened)
        if view.owner.party != party:
            raise not_enrolled(
                party,
                f"{folder} belongs to {view.owner.party}",
                f"{folder} 属于 {view.owner.party}",
            )
        return cls(files, clock, opened, view)

    @property
    def platform(self) -> str:
        """The platform's name."""
        return self._view.owner.platform

    @property
    def roster(self) -> Roster:
        """The newest roster."""
        return self._view.roster

    @property
    def local(self) -> Local:
        """The party's own decisions."""
        return self._view.local

    def roster_document(self) -> bytes:
        """Return the newest roster as signed, for ``accept_roster`` of others.

        Raises:
            ConfigError: C006 when the file went away.
        """
        return read_private(self._folder.roster_file)

    def refresh(self) -> None:
        """Read the files again if one of them changed: a few microseconds when none did.

        Raises:
            ConfigError: C006, C012 when the files no longer make sense: nothing is trusted then.
            ProtocolError: X006 when a document was replaced by a damaged, older or forged one.
        """
        with self._lock:
            if stamp_of(self._folder) == self._view.stamp:
                return
            view = read_view(self._folder, self._passphrase)
            if view.owner.party != self.party:
                raise not_enrolled(
                    self.party, "its folder became another party's", "其文件夹已属于其他主体"
                )
            self.pins.replace(pinned_keys(view))
            self.identity.replace(view.identity)
            self._view = view

    def accept_roster(self, raw: bytes) -> None:
        """Take a roster that came over the wire; the one that is here already changes nothing.

        Raises:
            ProtocolError: X006 when it is forged, older or another platform's; nothing changes.
        """
        self._folder.accept(raw)
        self.refresh()

    def departments(self) -> tuple[str, ...]:
        """Return the departments that may be asked now, sorted."""
        view = self._current()
        return tuple(
            name for name in sorted(view.roster.parties)
            if name not in (GATEWAY, self.party) and standing(view, name)
        )  # fmt: skip

    def server_name(self, department: str) -> str:
        """Return the DNS name that the department's certificate must have."""
        return server_name(department, self._view.owner.platform)

    def address(self, department: str) -> str:
        """Return ``"host:port"`` of a department's node.

        Raises:
            ProtocolError: X006 when it is not listed, revoked or refused.
        """
        view = self._current()
        require(view, department)
        return view.roster.parties[department].address

    def server_context(self) -> ssl.SSLContext:
        """Return the context of a node's listening socket, the same one all the time.

        Each handshake uses the certificate and authority of that moment, so that rotation needs no
        restart. TLS 1.3 alone; a certificate of the gateway's authority is demanded; no tickets,
        since a resumed session would not show its certificate again.

        Raises:
            ConfigError: C006 when certificate or key cannot be used.
        """
        with self._lock:
            if self._front is None:
                self._current_server()
                self._front = self._make_server(self._view)
                self._front.sni_callback = self._switch
            return self._front

    def client_context(self, department: str) -> ssl.SSLContext:
        """Return the context for a connection to a department, with our own certificate.

        It is another object after files changed: connections of the old one are to be closed.

        Raises:
            ConfigError: C006 when certificate or key cannot be used.
            ProtocolError: X006 when the department is not listed, revoked or refused.
        """
        with self._lock:
            view = self._current()
            require(view, department)
            if department not in view.clients:
                context = _hardened(ssl.PROTOCOL_TLS_CLIENT, view.roster.authority_of(department))
                context.check_hostname = True
                self._load_own(context)
                view.clients[department] = context
            return view.clients[department]

    def check_peer(self, certificate: bytes | None, party: str) -> None:
        """Return only if a connection's certificate is ``party``'s and counts at this moment.

        Args:
            certificate: DER, as the connection shows it; None when it showed none.
            party: Who the other side must be.

        Raises:
            ConfigError: As ``refresh``.
            ProtocolError: X006 with what to do: not listed, revoked, refused, no certificate, of
                another authority or party, not yet valid, expired.
        """
        view = self._current()
        require(view, party)
        if certificate is None:
            raise refused(party, *NONE_SHOWN)
        facts = self._facts(view, certificate, party)
        if facts.name != server_name(party, view.owner.platform):
            raise refused(party, *OTHER_NAME, facts.name)
        if facts.serial in view.roster.revoked:
            raise refused(party, *REVOKED, facts.serial)
        _check_time(party, facts, self._clock.now())

    def explain(self, error: BaseException, party: str) -> MiddleplatformError:
        """Return the error to raise for a connection to ``party`` that failed.

        Our own certificate is looked at first: a server that refuses it may just hang up, since an
        asyncio server does not send TLS's reason.

        Args:
            error: What opening, writing or reading raised.
            party: The other side.

        Returns:
            As ``problems.tls_problem``.
        """
        view = self._view
        now = self._clock.now()
        try:
            facts = own_certificate(self._folder, view)
        except (ConfigError, ProtocolError) as own:
            return own
        if facts.serial in view.roster.revoked or not view.roster.parties[self.party].active:
            return refused(party, *OURS_REVOKED, str(error))
        if now > facts.not_after:
            return refused(party, *OURS_EXPIRED, str(error))
        if now < facts.not_before:
            return refused(party, *OURS_NOT_YET, str(error))
        return tls_problem(error, party)

    def _current(self) -> View:
        self.refresh()
        return self._view

    def _facts(self, view: View, certificate: bytes, party: str) -> CertificateFacts:
        """Return what a certificate says; its signature is checked once for each change of files."""
        key = (party, certificate)
        with self._lock:
            found = view.facts.get(key)
        if found is None:
            try:
                found = read_issued(certificate, view.roster.authority_of(party))
            except ProtocolError as error:
                raise refused(party, *UNKNOWN_AUTHORITY, error.detail) from None
            with self._lock:
                view.facts[key] = found
                while len(view.facts) > _FACTS_KEPT:
                    view.facts.popitem(last=False)
        return found

    def _switch(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _front: ssl.SSLContext
    ) -> int | None:
        try:
            connection.context = self._current_server()
        except (ConfigError, ProtocolError):
            return ssl.ALERT_DESCRIPTION_ACCESS_DENIED
        return None

    def _current_server(self) -> ssl.SSLContext:
        with self._lock:
            view = self._current()
            if view.server is None:
                view.server = self._make_server(view)
            return view.server

    def _make_server(self, view: View) -> ssl.SSLContext:
        context = _hardened(ssl.PROTOCOL_TLS_SERVER, view.roster.authority_of(GATEWAY))
        context.verify_mode = ssl.CERT_REQUIRED
        # ``check_peer`` judges the time: a server that refuses a handshake can tell neither side why.
        context.verify_flags |= _NO_CHECK_TIME
        context.num_tickets = 0
        self._load_own(context)
        return context

    def _load_own(self, context: ssl.SSLContext) -> None:
        path = self._folder.tls_file
        password = key_password(read_private(path), self._passphrase)
        try:
            # A callback also for none, so that OpenSSL never asks at a terminal.
            context.load_cert_chain(path, password=lambda: password or b"")
        except (ssl.SSLError, OSError):
            raise key_invalid(
                "tls.pem holds no certificate with its key, or the passphrase is wrong",
                "tls.pem 中没有配套的证书与密钥，或口令错误",
            ) from None


def _hardened(protocol: int, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority)
    return context


def _check_time(party: str, facts: CertificateFacts, now: datetime) -> None:
    if now < facts.not_before:
        raise refused(party, *NOT_YET)
    if now > facts.not_after:
        raise refused(party, *EXPIRED)
