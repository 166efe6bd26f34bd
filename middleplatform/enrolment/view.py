"""What a party's files said at one moment: the roster, its own decisions, and the keys that count.

Imported by trust and by status.
Spec: docs/spec/enrolment.md, "A running process".

Reveals:
    Nothing: all of it stays in this process.
"""

import ssl
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from middleplatform.crypto.certificates import CertificateFacts, der_of, read_issued
from middleplatform.crypto.identity import IdentityKey
from middleplatform.crypto.key_files import Passphrase, read_private
from middleplatform.enrolment.documents import refused
from middleplatform.enrolment.folder import Folder, Local, Owner, Peers, not_enrolled
from middleplatform.enrolment.roster import Roster, follow

__all__ = [
    "View",
    "certificate_in",
    "own_certificate",
    "pinned_keys",
    "read_view",
    "require",
    "stamp_of",
    "standing",
]

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class View:
    """What the files said at one moment; contexts are made when first asked for.

    Attributes:
        stamp: Of the files, when they were read.
        owner: Whose folder it is.
        roster: The newest roster.
        local: The party's own decisions.
        identity: Its identity key, the one that the roster lists.
        server: Context for incoming connections.
        clients: Contexts for outgoing ones, by party.
        facts: Certificates whose issuer was checked, by party and DER.
    """

    stamp: _Stamp
    owner: Owner
    roster: Roster
    local: Local
    identity: IdentityKey
    server: ssl.SSLContext | None = None
    clients: dict[str, ssl.SSLContext] = field(default_factory=dict)
    facts: OrderedDict[tuple[str, bytes], CertificateFacts] = field(default_factory=OrderedDict)


def read_view(folder: Folder, passphrase: Passphrase | None) -> View:
    """Return what the files say now.

    Raises:
        ConfigError: C012 before enrolment, or where the roster has another key; C006.
        ProtocolError: X006 when a document is damaged, forged or old.
    """
    stamp = stamp_of(folder)  # before reading: a change meanwhile is seen at the next refresh
    owner = folder.owner()
    roster = folder.roster(owner)
    local = folder.local()
    listed = roster.parties.get(owner.party)
    if listed is None:
        raise not_enrolled(owner.party, "the roster does not list it", "名册中没有该主体")
    identity = IdentityKey.load(folder.identity_file, passphrase)
    if identity.public_key != listed.identity and folder.next_identity_file.exists():
        identity = IdentityKey.load(folder.next_identity_file, passphrase)
    if identity.public_key != listed.identity:
        raise not_enrolled(
            owner.party,
            "the roster has another identity key for it; compare fingerprints with the registrar",
            "名册中其身份密钥与本地不同；请与注册机构核对指纹",
        )
    return View(stamp, owner, roster, local, identity)


def own_certificate(folder: Folder, view: View) -> CertificateFacts:
    """Return what the party's own certificate says.

    Raises:
        ConfigError: C006 when the file cannot be read.
        ProtocolError: X001 when it holds none of the listed authority.
    """
    pem = certificate_in(read_private(folder.tls_file))
    return read_issued(der_of(pem), view.roster.authority_of(view.owner.party))


def certificate_in(content: bytes) -> str:
    """Return the certificate (PEM) of a file that holds key and certificate."""
    return content[max(content.find(b"-----BEGIN CERT"), 0) :].decode("ascii", "replace")


def stamp_of(folder: Folder) -> _Stamp:
    """Return what changes whenever a watched file does; files are always replaced whole."""
    found = []
    for path in folder.watched:
        try:
            status = path.lstat()
            found.append((status.st_ctime_ns, status.st_ino, status.st_size))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


def standing(view: View, name: str) -> bool:
    """Return whether a listed party is active and not refused by this one."""
    return view.roster.parties[name].active and name not in view.local.refused


def pinned_keys(view: View) -> Mapping[str, bytes]:
    """Return the identity keys that count: pinned ones, and others by the registrar's word."""
    by_registrar = view.local.peers is Peers.REGISTRAR
    keys = {}
    for name, party in view.roster.parties.items():
        if not standing(view, name):
            continue
        pinned = view.local.pins.get(name)
        if name == view.owner.party:
            pinned = view.identity.public_key
        if pinned is None and by_registrar:
            pinned = party.identity
        if pinned is None:
            continue
        # A pinned key is never changed by the roster's word alone: only by the key's own.
        keys[name] = party.identity if follow(pinned, party, view.roster.platform) else pinned
    return keys


def require(view: View, party: str) -> None:
    """Return only if a party may be talked to.

    Raises:
        ProtocolError: X006 when it is not listed, revoked, or refused by this party itself.
    """
    listed = view.roster.parties.get(party)
    if listed is None:
        raise refused(
            party,
            "the roster does not list it; it must be enrolled",
            "名册中没有该主体；须先注册",
        )
    if not listed.active:
        raise refused(
            party,
            "the registrar revoked it; it must be admitted anew",
            "注册机构已将其吊销；须重新准入",
        )
    if party in view.local.refused:
        raise refused(
            party,
            f"{view.owner.party} refuses it by its own decision; to lift it, run there:"
            f" middleplatform node revoke {party} --lift",
            f"{view.owner.party} 自行决定拒绝该主体；如需解除，请在其处运行"
            f" middleplatform node revoke {party} --lift",
        )
