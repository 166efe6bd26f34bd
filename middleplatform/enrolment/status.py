"""What an operator sees of trust: every party, its fingerprint, its state, and what expires when.

Needs no passphrase: all of it is public, or the party's own decision.
Imported by the commands, and by whoever serves a node's status to its operator.
Spec: docs/spec/enrolment.md, "Status".

Reveals:
    To the party's own operator: the roster, and his own pins and refusals.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from middleplatform.crypto.certificates import authority_fingerprint, der_of, read_issued
from middleplatform.crypto.identity import fingerprint
from middleplatform.crypto.key_files import is_encrypted, read_private
from middleplatform.enrolment.folder import Folder, Local, Owner, Peers
from middleplatform.enrolment.papers import read_request_paper
from middleplatform.enrolment.roster import Party, Roster, follow
from middleplatform.enrolment.view import certificate_in
from middleplatform.ports import Clock

__all__ = ["PartyStatus", "Status", "status_of"]

_SOON_DAYS = 21
"""A certificate with fewer days left is reported as expiring."""


@dataclass(frozen=True, slots=True)
class PartyStatus:
    """One party, as this one sees it.

    Attributes:
        name: ``"gateway"`` or a department's code.
        fingerprint: Of its identity key in the roster.
        address: ``"host:port"``, or empty.
        state: ``active``, ``revoked`` by the registrar, or ``refused`` by this party itself.
        pin: ``own``; ``pinned``; ``registrar``, where its word counts; ``pending``, not used until its
            fingerprint is compared; ``changed``, the roster has another key than the pinned one.
        authority: Fingerprint of its own authority's certificate; empty for the platform's.
        handovers: How often its identity key was handed over.
    """

    name: str
    fingerprint: str
    address: str
    state: str
    pin: str
    authority: str
    handovers: int


@dataclass(frozen=True, slots=True)
class Status:
    """One party's trust.

    Attributes:
        party: Whose it is.
        platform: The platform's name.
        enrolled: Whether an admission was installed.
        fingerprint: Of its own identity key, for the registrar to compare.
        platform_fingerprint: Of the registrar's key, or empty before enrolment.
        encrypted: Whether the identity key's file is under a passphrase.
        certificate: ``none``, ``valid``, ``expiring``, ``expired``, ``not yet valid`` or ``revoked``.
        serial: Of its certificate, hexadecimal, or empty.
        not_after: When its certificate ends, or None.
        sequence: The roster's number, 0 before enrolment.
        issued_at: When the roster was signed, or None.
        peers: Whose word counts for other departments' keys.
        parties: All of the roster, by name.
        revoked: Serial numbers of revoked certificates.
    """

    party: str
    platform: str
    enrolled: bool
    fingerprint: str
    platform_fingerprint: str
    encrypted: bool
    certificate: str
    serial: str
    not_after: datetime | None
    sequence: int
    issued_at: datetime | None
    peers: str
    parties: tuple[PartyStatus, ...]
    revoked: tuple[str, ...]


def status_of(path: Path, clock: Clock) -> Status:
    """Return the status of a party's trust folder.

    Args:
        path: The gateway's folder, or ``trust`` in a node's state folder.
        clock: Judges validity.

    Raises:
        ConfigError: C012 when the folder is nobody's; C006 when its files are open to others.
        ProtocolError: X006 when a document in it is damaged, forged or old.
    """
    folder = Folder(path)
    owner = folder.owner()
    local = folder.local()
    roster = folder.roster(owner) if owner.registrar else None
    asked = read_request_paper(read_private(folder.request_file))
    listed = roster.parties.get(owner.party) if roster else None
    state, serial, not_after = _certificate(folder, owner, roster, clock)
    return Status(
        party=owner.party,
        platform=owner.platform,
        enrolled=listed is not None,
        fingerprint=fingerprint(asked.identity),
        platform_fingerprint=fingerprint(owner.registrar) if owner.registrar else "",
        encrypted=is_encrypted(read_private(folder.identity_file)),
        certificate=state,
        serial=serial,
        not_after=not_after,
        sequence=roster.sequence if roster else 0,
        issued_at=roster.issued_at if roster else None,
        peers=str(local.peers),
        parties=tuple(_party(roster.parties[name], owner, local) for name in sorted(roster.parties))
        if roster
        else (),
        revoked=tuple(sorted(roster.revoked)) if roster else (),
    )


def _certificate(
    folder: Folder, owner: Owner, roster: Roster | None, clock: Clock
) -> tuple[str, str, datetime | None]:
    if roster is None or owner.party not in roster.parties or not folder.tls_file.exists():
        return "none", "", None
    pem = certificate_in(read_private(folder.tls_file))
    facts = read_issued(der_of(pem), roster.authority_of(owner.party))
    now = clock.now()
    if facts.serial in roster.revoked:
        state = "revoked"
    elif now > facts.not_after:
        state = "expired"
    elif now < facts.not_before:
        state = "not yet valid"
    else:
        state = "valid" if (facts.not_after - now).days >= _SOON_DAYS else "expiring"
    return state, facts.serial, facts.not_after


def _party(party: Party, owner: Owner, local: Local) -> PartyStatus:
    state = "active" if party.active else "revoked"
    return PartyStatus(
        name=party.name,
        fingerprint=fingerprint(party.identity),
        address=party.address,
        state="refused" if party.active and party.name in local.refused else state,
        pin=_pin(party, owner, local),
        authority=authority_fingerprint(party.authority) if party.authority else "",
        handovers=len(party.successions),
    )


def _pin(party: Party, owner: Owner, local: Local) -> str:
    if party.name == owner.party:
        return "own"
    pinned = local.pins.get(party.name)
    if pinned is not None:
        return "pinned" if follow(pinned, party, owner.platform) else "changed"
    by_registrar = local.peers is Peers.REGISTRAR
    return "registrar" if by_registrar else "pending"
