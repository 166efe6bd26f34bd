"""The roster: who takes part, by the registrar's word.

One document, numbered, signed by the registrar: each party's role, identity key, authority, address
and state, and the serial numbers of revoked certificates. Everyone reads the same one.
Imported by this package.
Spec: docs/spec/enrolment.md, "Roster".

Reveals:
    To every enrolled party: the names, addresses and public keys of all parties, who was revoked, and
    when the roster changed. It holds nothing of any data.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform.crypto.certificates import check_authority
from middleplatform.crypto.encoding import join_parts
from middleplatform.crypto.identity import IdentityKey, verify
from middleplatform.enrolment.documents import Fields, moment_text, refused, seal, unseal
from middleplatform.errors import ProtocolError

__all__ = [
    "ADDRESS",
    "GATEWAY",
    "PARTY",
    "PEM",
    "PLATFORM",
    "SERIAL",
    "Party",
    "Roster",
    "Succession",
    "follow",
    "read_roster",
    "read_succession",
    "server_name",
    "succeed",
    "written_succession",
]

GATEWAY = "gateway"
KIND = "roster"
PARTY = re.compile(r"[a-z][a-z0-9_]{0,31}")
PLATFORM = re.compile(
    r"(?=.{1,100}\Z)[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?)*"
)
ADDRESS = re.compile(
    r"(|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,200})|\[[0-9A-Fa-f:]{2,45}\]):[1-9]\d{0,4})"
)
SERIAL = re.compile(r"[1-9a-f][0-9a-f]{0,39}")
PEM = re.compile(
    r"(|-----BEGIN [A-Z ]{1,40}-----\n[A-Za-z0-9+/=\n]{1,16000}-----END [A-Z ]{1,40}-----\n)"
)
_ROLE = re.compile(r"gateway|node")
_STATE = re.compile(r"active|revoked")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_PARTIES_MAX, _SUCCESSIONS_MAX, _REVOKED_MAX, _SEQUENCE_MAX = 1000, 32, 20000, 2**53


@dataclass(frozen=True, slots=True)
class Succession:
    """One identity key hands over to the next, by its own signature."""

    old: bytes
    new: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Party:
    """One line of the roster.

    Attributes:
        name: ``"gateway"`` or a department's code.
        identity: Its identity key, 32 bytes.
        authority: Its own authority's certificate (PEM); empty where the platform's issues.
        address: ``"host:port"`` where its node listens; empty for the gateway.
        active: False once it was revoked.
        successions: How its identity key came from earlier ones, oldest first.
    """

    name: str
    identity: bytes
    authority: str = ""
    address: str = ""
    active: bool = True
    successions: tuple[Succession, ...] = ()


@dataclass(frozen=True, slots=True)
class Roster:
    """All parties of a platform.

    Attributes:
        platform: Its name, the end of all DNS names.
        sequence: Rises with every roster.
        issued_at: When, by the registrar's clock.
        authority: Certificate of the platform's own authority, PEM.
        parties: By name.
        revoked: Serial numbers of revoked certificates.
    """

    platform: str
    sequence: int
    issued_at: datetime
    authority: str
    parties: Mapping[str, Party]
    revoked: frozenset[str]

    def authority_of(self, name: str) -> str:
        """Return the certificate (PEM) of the authority that issues for a party."""
        return self.parties[name].authority or self.authority

    def sealed(self, registrar: IdentityKey) -> bytes:
        """Return the signed document."""
        body: dict[str, object] = {
            "authority": self.authority,
            "issued_at": moment_text(self.issued_at),
            "parties": [_written(self.parties[name]) for name in sorted(self.parties)],
            "platform": self.platform,
            "revoked": sorted(self.revoked),
            "sequence": self.sequence,
        }
        return seal(KIND, body, registrar)


def server_name(party: str, platform: str) -> str:
    """Return the DNS name in a party's certificate, e.g. ``ga.node.mp.internal``."""
    place = party if party == GATEWAY else f"{party.replace('_', '-')}.node"
    return f"{place}.{platform}"


def read_roster(raw: bytes, registrar: bytes, platform: str) -> Roster:
    """Return the roster of a document.

    Args:
        raw: The document.
        registrar: The registrar's public key, pinned at enrolment.
        platform: The platform that it must be of.

    Raises:
        ProtocolError: X006 for a bad form or signature, or another platform.
    """
    body = unseal(KIND, raw, lambda _: registrar)
    found = Roster(
        platform=body.text("platform", PLATFORM),
        sequence=body.number("sequence", _SEQUENCE_MAX),
        issued_at=body.moment("issued_at"),
        authority=_authority(body.text("authority", PEM)),
        parties=_parties(body.inners("parties", _PARTIES_MAX)),
        revoked=frozenset(body.texts("revoked", SERIAL, _REVOKED_MAX)),
    )
    body.end()
    if found.platform != platform:
        raise refused(
            "roster",
            "it is of another platform; get this platform's",
            "它属于其他平台；请获取本平台的名册",
        )
    return found


def succeed(old: IdentityKey, new: IdentityKey, platform: str, party: str) -> Succession:
    """Return the statement by which ``old`` hands over to ``new``."""
    message = _handover(platform, party, old.public_key, new.public_key)
    return Succession(old.public_key, new.public_key, old.sign(_HANDOVER, message))


def follow(pinned: bytes, party: Party, platform: str) -> bool:
    """Return whether the party's key is ``pinned``, or comes from it by signed handovers."""
    key = pinned
    for step in party.successions:
        if key == party.identity:
            break
        if step.old == key and _signed(step, platform, party.name):
            key = step.new
    return key == party.identity


_HANDOVER = "enrolment succession v1"


def _handover(platform: str, party: str, old: bytes, new: bytes) -> bytes:
    return join_parts(platform, party, old, new)


def _signed(step: Succession, platform: str, party: str) -> bool:
    try:
        message = _handover(platform, party, step.old, step.new)
        verify(step.old, _HANDOVER, message, step.signature)
    except ProtocolError:
        return False
    return True


def _written(party: Party) -> dict[str, object]:
    return {
        "address": party.address,
        "authority": party.authority,
        "identity": party.identity.hex(),
        "name": party.name,
        "role": GATEWAY if party.name == GATEWAY else "node",
        "state": "active" if party.active else "revoked",
        "successions": [written_succession(step) for step in party.successions],
    }


def _parties(lines: list[Fields]) -> Mapping[str, Party]:
    parties = [_party(line) for line in lines]
    names = [party.name for party in parties]
    keys = {party.identity for party in parties}
    if names != sorted(set(names)) or len(keys) != len(names) or GATEWAY not in names:
        raise refused(
            "roster",
            "a party or a key stands in it twice, or there is no gateway",
            "其中主体或密钥重复，或缺少网关",
        )
    return {party.name: party for party in parties}


def _party(line: Fields) -> Party:
    name = line.text("name", PARTY)
    role = line.text("role", _ROLE)
    party = Party(
        name,
        line.key("identity"),
        _authority(text) if (text := line.text("authority", PEM)) else "",
        line.text("address", ADDRESS),
        line.text("state", _STATE) == "active",
        tuple(map(read_succession, line.inners("successions", _SUCCESSIONS_MAX))),
    )
    line.end()
    if (role == GATEWAY) != (name == GATEWAY):
        raise refused("roster", "a role does not fit its party", "角色与主体不符")
    return party


def written_succession(step: Succession) -> dict[str, object]:
    """Return a handover as documents write it."""
    return {"new": step.new.hex(), "old": step.old.hex(), "signature": step.signature.hex()}


def read_succession(line: Fields) -> Succession:
    """Return a handover; whether it is signed, ``follow`` says.

    Raises:
        ProtocolError: X006 for another form.
    """
    step = Succession(
        line.key("old"), line.key("new"), bytes.fromhex(line.text("signature", _SIGNATURE))
    )
    line.end()
    return step


def _authority(certificate: str) -> str:
    try:
        check_authority(certificate)
    except ProtocolError as error:
        raise refused(
            "roster",
            "an authority's certificate in it is not valid",
            "其中的签发机构证书无效",
            error.detail,
        ) from None
    return certificate
