"""The registrar: admits parties, issues certificates, and signs the roster.

Its folder may lie on a machine of its own: it needs no network, only files that are carried there and back.
``registrar.key`` signs (its fingerprint is the platform's), ``authority.key`` issues certificates,
``roster.json`` is the newest roster, ``issued.json`` lists what was issued.
Imported by the commands and by quick.
Spec: docs/spec/enrolment.md, "Registrar".

Reveals:
    Admissions and rosters are public to the parties; they hold no secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from middleplatform.crypto.certificates import (
    CERTIFICATE_DAYS,
    Issuer,
    der_of,
    make_authority,
    read_issued,
)
from middleplatform.crypto.identity import IdentityKey, fingerprint
from middleplatform.crypto.key_files import (
    Passphrase,
    decode_key,
    encode_key,
    read_private,
    replace_private,
    write_new,
)
from middleplatform.enrolment.documents import Fields, canonical, parse, refused
from middleplatform.enrolment.folder import Folder, not_enrolled
from middleplatform.enrolment.papers import Admission, Request, digest, read_request_paper
from middleplatform.enrolment.roster import (
    ADDRESS,
    GATEWAY,
    PARTY,
    PEM,
    PLATFORM,
    SERIAL,
    Party,
    Roster,
    follow,
    read_roster,
    server_name,
)
from middleplatform.errors import ConfigError
from middleplatform.ports import Clock, Rng

__all__ = ["Issued", "Registrar", "platform_of"]

_ISSUED_MAX = 20000
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that was issued: its holder and serial number."""

    party: str
    serial: str


class Registrar:
    """The platform's registrar. Use ``create`` once, then ``open``.

    Args:
        path: Its folder.
        platform: The platform's name.
        key: Signs rosters and admissions.
        issuer: The platform's authority.
        clock: Dates what is signed.
        rng: Draws serial numbers.
    """

    def __init__(
        self, path: Path, platform: str, key: IdentityKey, issuer: Issuer, clock: Clock, rng: Rng
    ) -> None:
        self.path = path
        self.platform = platform
        self.key = key
        self._issuer = issuer
        self._clock = clock
        self._rng = rng

    @classmethod
    def create(
        cls, path: Path, platform: str, passphrase: Passphrase | None, clock: Clock, rng: Rng
    ) -> "Registrar":
        """Make a registrar with new keys; its roster comes with the gateway's admission.

        Raises:
            ConfigError: C012 when there is one already; C006, C011 as for key files.
        """
        if not PLATFORM.fullmatch(platform):
            raise not_enrolled(
                platform[:64],
                "a platform's name is a DNS name such as mp.internal",
                "平台名应为 DNS 名称，例如 mp.internal",
            )
        if (path / "registrar.key").exists():
            raise not_enrolled(str(path), "there is a registrar already", "该处已有注册机构")
        Folder(path).make()
        issuer = make_authority(f"{platform} authority", clock.now(), rng)
        about = {"authority": issuer.certificate, "platform": platform}
        write_new(path / "authority.key", encode_key(issuer.key, passphrase, rng), rng)
        replace_private(path / "registrar.json", canonical(about))
        key = IdentityKey.load_or_create(path / "registrar.key", rng, passphrase)
        return cls(path, platform, key, issuer, clock, rng)

    @classmethod
    def open(cls, path: Path, passphrase: Passphrase | None, clock: Clock, rng: Rng) -> "Registrar":
        """Open a registrar's folder.

        Raises:
            ConfigError: C012 when there is none; C006 as for key files.
        """
        if not (path / "registrar.key").exists():
            raise not_enrolled(
                str(path),
                "there is no registrar; name its folder with --registrar",
                "该处没有注册机构；请用 --registrar 指明其文件夹",
            )
        authority, platform = _about(path)
        issuing = decode_key(read_private(path / "authority.key"), passphrase)
        if not isinstance(issuing, Ed25519PrivateKey):
            raise ConfigError("C006", what=("it holds no Ed25519 key", "其中没有 Ed25519 密钥"))
        key = IdentityKey.load(path / "registrar.key", passphrase)
        return cls(path, platform, key, Issuer(authority, issuing), clock, rng)

    @property
    def roster_file(self) -> Path:
        """The newest roster."""
        return self.path / "roster.json"

    @property
    def fingerprint(self) -> str:
        """The platform's fingerprint, for people to compare."""
        return self.key.fingerprint

    def roster(self) -> Roster | None:
        """Return the newest roster, or None before the gateway was admitted."""
        if not self.roster_file.exists():
            return None
        return read_roster(read_private(self.roster_file), self.key.public_key, self.platform)

    def admit(
        self, raw: bytes, said: str | None, address: str, days: int = CERTIFICATE_DAYS
    ) -> bytes:
        """Admit a party, or renew one; return the admission.

        Args:
            raw: The party's request.
            said: The fingerprint that was compared with the party's officer. None only for a party
                whose identity key is known already, or was handed over to by the known one.
            address: ``"host:port"`` of its node; empty keeps the one that is listed.
            days: How long its certificate holds.

        Raises:
            ProtocolError: X006 when the fingerprint differs or is missing, the request is not
                valid, or its key is another party's.
        """
        found = read_request_paper(raw)
        with Folder(self.path).locked():
            roster = self.roster()
            listed = dict(roster.parties) if roster else {}
            self._check_request(found, said, listed)
            party = _listed(found, listed.get(found.party), address)
            _check_address(party)
            certificate = self._certificate(found, days)
            signed = self._publish(roster, {**listed, found.party: party}, frozenset())
        made = Admission(
            found.party, self.platform, self.key.public_key, certificate, signed, digest(raw)
        )
        return made.sealed(self.key)

    def revoke(self, party: str, serial: str = "") -> bytes:
        """Revoke a party, or one of its certificates only; return the new roster.

        Args:
            party: Its name.
            serial: Of the certificate; empty revokes the party with all its certificates.

        Raises:
            ProtocolError: X006 when there is no such party or the number has another form.
        """
        with Folder(self.path).locked():
            roster = self.roster()
            if roster is None or party not in roster.parties:
                raise refused(party, "the roster does not list it", "名册中没有该主体")
            if serial and not SERIAL.fullmatch(serial):
                raise refused(party, "a serial number is hexadecimal", "证书序列号应为十六进制")
            gone = {serial} if serial else self._serials(party)
            parties = dict(roster.parties)
            if not serial:
                parties[party] = replace(parties[party], active=False)
            return self._publish(roster, parties, frozenset(gone))

    def issued(self) -> tuple[Issued, ...]:
        """Return what this registrar issued, oldest first."""
        path = self.path / "issued.json"
        if not path.exists():
            return ()
        body = Fields(parse(read_private(path), "issued.json"), "issued.json")
        return tuple(
            Issued(line.text("party", PARTY), line.text("serial", SERIAL))
            for line in body.inners("issued", _ISSUED_MAX)
        )

    def _check_request(self, found: Request, said: str | None, listed: Mapping[str, Party]) -> None:
        if found.platform != self.platform:
            raise refused(
                found.party,
                f"its request is for platform {found.platform}, and this is {self.platform}",
                f"其申请针对平台 {found.platform}，而本平台为 {self.platform}",
            )
        if said is not None and said != fingerprint(found.identity):
            raise refused(
                found.party,
                "its request has another fingerprint than the one that was compared: do not admit"
                " it; ask the department by telephone or in person",
                "申请的指纹与所核对的不同：请勿准入，并通过电话或当面向该部门核实",
            )
        before = listed.get(found.party)
        if said is None and not (before and before.active and _continues(found, before)):
            raise refused(
                found.party,
                "its identity key is not known yet: compare its fingerprint and give --fingerprint",
                "其身份密钥尚未知：请核对指纹并提供 --fingerprint",
            )
        taken = {party.identity: name for name, party in listed.items()}
        holder = taken.get(found.identity, found.party)
        if holder != found.party:
            raise refused(
                found.party,
                f"its identity key is that of {holder}",
                f"其身份密钥与 {holder} 相同",
            )

    def _certificate(self, found: Request, days: int) -> str:
        if found.authority:
            issued, authority = found.certificate, found.authority
        else:
            name = server_name(found.party, self.platform)
            issued = self._issuer.issue(
                found.signing_request, name, self._clock.now(), days, self._rng
            )
            authority = self._issuer.certificate
        serial = read_issued(der_of(issued), authority).serial
        if any(each.serial == serial and each.party != found.party for each in self.issued()):
            # Revocation knows numbers alone: who bears another's would take it along.
            raise refused(
                found.party,
                "its certificate bears the number of another party's",
                "其证书序列号与其他主体相同",
            )
        lines = [*self.issued(), Issued(found.party, serial)]
        kept = [{"party": each.party, "serial": each.serial} for each in lines]
        replace_private(self.path / "issued.json", canonical({"issued": kept}))
        return "" if found.authority else issued

    def _publish(
        self, before: Roster | None, parties: Mapping[str, Party], gone: frozenset[str]
    ) -> bytes:
        if GATEWAY not in parties:
            raise refused("registrar", "the gateway must be admitted first", "须先准入网关")
        after = Roster(
            platform=self.platform,
            sequence=before.sequence + 1 if before else 1,
            issued_at=self._clock.now(),
            authority=self._issuer.certificate,
            parties=parties,
            revoked=(before.revoked if before else frozenset()) | gone,
        )
        signed = after.sealed(self.key)
        read_roster(
            signed, self.key.public_key, self.platform
        )  # what nobody could read is not published
        replace_private(self.roster_file, signed)
        return signed

    def _serials(self, party: str) -> set[str]:
        return {each.serial for each in self.issued() if each.party == party}


def _continues(found: Request, before: Party) -> bool:
    """Return whether a request comes from the party that is listed already."""
    if found.identity == before.identity:
        return True
    step = found.succession
    if step is None or step.old != before.identity:
        return False
    after = replace(before, identity=found.identity, successions=(*before.successions, step))
    return follow(before.identity, after, found.platform)


def platform_of(path: Path) -> str:
    """Return the platform of a registrar's folder, without its keys.

    Raises:
        ConfigError: C006 when the folder has none.
    """
    return _about(path)[1]


def _about(path: Path) -> tuple[str, str]:
    body = Fields(parse(read_private(path / "registrar.json"), "registrar.json"), "registrar")
    authority, platform = body.text("authority", PEM), body.text("platform", PLATFORM)
    body.end()
    return authority, platform


def _check_address(party: Party) -> None:
    port = party.address.rpartition(":")[2]
    fit = ADDRESS.fullmatch(party.address) and (not port or int(port) <= _PORT_MAX)
    if not fit or bool(party.address) != (party.name != GATEWAY):
        raise refused(
            party.name,
            "a node has an address, given as --address host:port; the gateway has none",
            "节点须以 --address 主机:端口 指明地址；网关无地址",
        )


def _listed(found: Request, before: Party | None, address: str) -> Party:
    """Return the party's new line; a key that was not handed over starts a new history."""
    steps: tuple[object, ...] = ()
    if before is not None and _continues(found, before):
        grown = found.succession is not None and found.identity != before.identity
        steps = (*before.successions, found.succession) if grown else before.successions
    return Party(
        found.party,
        found.identity,
        found.authority,
        address or (before.address if before else ""),
        active=True,
        successions=steps,  # type: ignore[arg-type]  # None was excluded above
    )
