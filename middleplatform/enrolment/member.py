"""What a party does itself: make its keys, ask, install the answer, rotate.

The same for the gateway and for a node; neither sees the other's private keys, nor the registrar's.
Imported by the commands and by quick.
Spec: docs/spec/enrolment.md, "Folders" and "Rotation".

Reveals:
    A request shows its party's public keys to whoever carries it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from middleplatform.crypto.certificates import (
    CERTIFICATE_DAYS,
    Issuer,
    check_authority,
    der_of,
    make_authority,
    make_request,
    new_key,
    read_issued,
)
from middleplatform.crypto.identity import IdentityKey, fingerprint
from middleplatform.crypto.key_files import (
    Passphrase,
    decode_key,
    encode_key,
    key_invalid,
    read_private,
    replace_private,
    write_new,
)
from middleplatform.enrolment.documents import refused
from middleplatform.enrolment.folder import Folder, Local, Owner, Peers, not_enrolled
from middleplatform.enrolment.papers import Admission, Request, digest, read_admission
from middleplatform.enrolment.roster import (
    GATEWAY,
    PARTY,
    PLATFORM,
    Roster,
    Succession,
    read_roster,
    server_name,
    succeed,
)
from middleplatform.errors import ProtocolError
from middleplatform.ports import Clock, Rng

__all__ = ["Member", "node_folder"]

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def node_folder(state: Path) -> Path:
    """Return the trust folder inside a node's state folder."""
    return state / "trust"


@dataclass(frozen=True, slots=True)
class Member:
    """One party at its own folder.

    Attributes:
        folder: Its trust folder.
        passphrase: Of its key files; None for files in the clear.
        clock: Dates requests and certificates.
        rng: Draws keys.
    """

    folder: Folder
    passphrase: Passphrase | None
    clock: Clock
    rng: Rng

    def create(
        self, party: str, platform: str, peers: Peers, *, own_authority: bool = False
    ) -> IdentityKey:
        """Make keys and the request.

        Raises:
            ConfigError: C012 when the folder is in use or a name has another form; C006, C011.
        """
        folder = self.folder
        if not PARTY.fullmatch(party) or not PLATFORM.fullmatch(platform):
            raise not_enrolled(
                party[:64],
                "a department's code has lower-case letters, digits and _, and a platform's name is"
                " a DNS name",
                "部门代码由小写字母、数字和下划线组成，平台名为 DNS 名称",
            )
        if folder.owner_file.exists():
            raise not_enrolled(
                party,
                f"{folder.path} is in use already; rotate instead",
                f"{folder.path} 已被使用；如需换证请使用 rotate",
            )
        folder.make()
        identity = IdentityKey.load_or_create(folder.identity_file, self.rng, self.passphrase)
        if own_authority:
            self._make_own_authority(party, platform)
        folder.write_local(Local(peers=peers))
        folder.write_owner(Owner(party, platform))
        self._ask(identity, None)
        return identity

    def rotate(self, *, identity_too: bool = False, days: int = CERTIFICATE_DAYS) -> IdentityKey:
        """Make a new TLS key, and a new identity key if asked; write the request.

        With an authority of its own and the same identity key, the new certificate counts at once
        and the registrar is not needed.

        Raises:
            ConfigError: C006, C011 as for key files; C012 before ``create``.
        """
        folder = self.folder
        with folder.locked():
            owner = folder.owner()
            self._promote(owner)
            current = IdentityKey.load(folder.identity_file, self.passphrase)
            if not identity_too:
                folder.next_identity_file.unlink(missing_ok=True)
                self._ask(current, None, days)
                return current
            fresh = IdentityKey.load_or_create(folder.next_identity_file, self.rng, self.passphrase)
            step = succeed(current, fresh, owner.platform, owner.party)
            self._ask(fresh, step, days)
            return fresh

    def install(self, raw: bytes, said: str | None) -> Admission:
        """Install an admission: certificate, registrar, roster, and the gateway's pin.

        Args:
            raw: The document.
            said: The platform's fingerprint that was compared; None only once it is known.

        Raises:
            ProtocolError: X006 when the fingerprint differs or is missing, or the admission is
                another party's, of another key, forged, or older than the newest roster.
            ConfigError: C012, C006, C011.
        """
        folder = self.folder
        found = read_admission(raw)
        owner = folder.owner()
        self._check_admission(found, owner, said)
        roster, raw_roster = self._newer(found, owner)
        listed = roster.parties.get(owner.party)
        identity = self._identity_for(listed.identity if listed else b"", owner.party)
        with folder.locked():
            if found.certificate:
                self._install_certificate(found.certificate, roster.authority, owner)
            folder.write_owner(replace(owner, registrar=found.registrar))
            local = folder.local()
            pins = {GATEWAY: roster.parties[GATEWAY].identity, **local.pins}
            folder.write_local(replace(local, pins=pins))
        folder.accept(raw_roster)
        if identity == folder.next_identity_file:
            folder.next_identity_file.replace(folder.identity_file)
        return found

    def fingerprint(self) -> str:
        """Return the fingerprint of the party's identity key, for people to compare."""
        return IdentityKey.load(self.folder.identity_file, self.passphrase).fingerprint

    def _check_admission(self, found: Admission, owner: Owner, said: str | None) -> None:
        if said is not None and fingerprint(found.registrar) != said:
            raise refused(
                "registrar",
                "the admission has another platform fingerprint than the one that was compared: do"
                " not install it; ask the platform by telephone or in person",
                "准入文件的平台指纹与所核对的不同：请勿安装，并通过电话或当面向平台核实",
            )
        if said is None and owner.registrar != found.registrar:
            raise refused(
                "registrar",
                "the platform is not known yet: compare its fingerprint and give --fingerprint",
                "平台尚未知：请核对其指纹并提供 --fingerprint",
            )
        if (found.party, found.platform) != (owner.party, owner.platform):
            raise refused(
                found.party,
                f"the admission is for {found.party} on {found.platform}, not for {owner.party} on"
                f" {owner.platform}",
                f"准入文件针对 {found.platform} 的 {found.party}，"
                f"而非 {owner.platform} 的 {owner.party}",
            )
        if digest(read_private(self.folder.request_file)) != found.request:
            raise refused(
                owner.party,
                "the admission answers another request; have the newest request.json admitted",
                "准入文件对应另一份申请；请提交最新的 request.json",
            )

    def _newer(self, found: Admission, owner: Owner) -> tuple[Roster, bytes]:
        """Return the admission's roster, or the one that is here when that is newer: it was pushed."""
        said = read_roster(found.roster, found.registrar, found.platform)
        if owner.registrar == found.registrar and self.folder.roster_file.exists():
            here = self.folder.roster(owner)
            if here.sequence > said.sequence:
                return here, read_private(self.folder.roster_file)
        return said, found.roster

    def _promote(self, owner: Owner) -> None:
        """Make the next identity key the key, where the roster lists it already: it was admitted."""
        folder = self.folder
        if owner.registrar and folder.next_identity_file.exists():
            listed = folder.roster(owner).parties.get(owner.party)
            path = self._identity_for(listed.identity if listed else b"", owner.party)
            if path == folder.next_identity_file:
                path.replace(folder.identity_file)

    def _identity_for(self, listed: bytes, party: str) -> Path:
        """Return the file of the identity key that the roster lists."""
        for path in (self.folder.identity_file, self.folder.next_identity_file):
            if path.exists() and IdentityKey.load(path, self.passphrase).public_key == listed:
                return path
        raise refused(
            party,
            "the roster lists another identity key for it; make the request again",
            "名册中其身份密钥与本地不同；请重新生成申请",
        )

    def _install_certificate(self, certificate: str, authority: str, owner: Owner) -> None:
        folder = self.folder
        try:
            check_authority(authority)
            facts = read_issued(der_of(certificate), authority)
        except ProtocolError as error:
            raise refused(
                owner.party, "its certificate is not valid", "其证书无效", error.detail
            ) from None
        content = read_private(
            folder.next_tls_file if folder.next_tls_file.exists() else folder.tls_file
        )
        key = decode_key(content, self.passphrase)
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if spki != facts.public_key or facts.name != server_name(owner.party, owner.platform):
            raise refused(
                owner.party,
                "the certificate is for another key or name; have the newest request.json admitted",
                "证书对应另一密钥或名称；请提交最新的 request.json",
            )
        # Admitted again with the same key, the file holds the earlier certificate too, which would come first.
        alone, _, _ = content.partition(_CERTIFICATE)
        replace_private(folder.tls_file, alone + certificate.encode())
        folder.next_tls_file.unlink(missing_ok=True)

    def _ask(
        self, identity: IdentityKey, step: Succession | None, days: int = CERTIFICATE_DAYS
    ) -> None:
        """Make a new TLS key and write the request for its certificate."""
        folder = self.folder
        owner = folder.owner()
        name = server_name(owner.party, owner.platform)
        key = new_key(self.rng)
        content = encode_key(key, self.passphrase, self.rng)
        asked = Request(
            owner.party, owner.platform, identity.public_key, self.clock.now(), succession=step
        )
        if issuer := self._own_authority():
            certificate = issuer.issue(
                make_request(key, name), name, self.clock.now(), days, self.rng
            )
            replace_private(folder.tls_file, content + certificate.encode())
            asked = replace(asked, authority=issuer.certificate, certificate=certificate)
        else:
            replace_private(folder.next_tls_file, content)
            asked = replace(asked, signing_request=make_request(key, name))
        replace_private(folder.request_file, asked.sealed(identity))

    def _make_own_authority(self, party: str, platform: str) -> None:
        folder = Folder(self.folder.authority)
        folder.make()
        issuer = make_authority(f"{party} authority of {platform}", self.clock.now(), self.rng)
        content = encode_key(issuer.key, self.passphrase, self.rng)
        write_new(folder.path / "authority.key", content, self.rng)
        replace_private(folder.path / "authority.pem", issuer.certificate.encode())

    def _own_authority(self) -> Issuer | None:
        path = self.folder.authority / "authority.pem"
        if not path.exists():
            return None
        key = decode_key(read_private(path.with_name("authority.key")), self.passphrase)
        if not isinstance(key, Ed25519PrivateKey):
            raise key_invalid("it holds no Ed25519 key", "其中没有 Ed25519 密钥")
        return Issuer(read_private(path).decode("ascii", "replace"), key)
