"""The two papers of enrolment: a party's request, and the registrar's admission.

A request introduces its own identity key and is signed with it; what makes it count is the fingerprint
that people compare. An admission is signed by the registrar, whose fingerprint people compare too.
Imported by this package.
Spec: docs/spec/enrolment.md, "Request" and "Admission".

Reveals:
    Public keys, names and addresses, to whoever carries the files. Neither holds a secret.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from middleplatform.crypto.certificates import check_authority, der_of, read_issued, read_request
from middleplatform.crypto.identity import IdentityKey
from middleplatform.enrolment.documents import (
    HEX_KEY,
    canonical,
    moment_text,
    parse,
    refused,
    seal,
    unseal,
)
from middleplatform.enrolment.roster import (
    PARTY,
    PEM,
    PLATFORM,
    Succession,
    read_succession,
    server_name,
    written_succession,
)
from middleplatform.errors import ProtocolError

__all__ = ["Admission", "Request", "digest", "read_admission", "read_request_paper"]

_REQUEST, _ADMISSION = "request", "admission"


@dataclass(frozen=True, slots=True)
class Request:
    """What a party asks the registrar for.

    Attributes:
        party: ``"gateway"`` or a department's code.
        platform: The platform that it wants to be on.
        identity: Its identity key, 32 bytes.
        made_at: When, by its own clock.
        signing_request: PKCS #10, PEM; empty with an authority of its own.
        authority: Its own authority's certificate, PEM, or empty.
        certificate: What its own authority issued, PEM, or empty.
        succession: How its identity key came from the one before, or None.
    """

    party: str
    platform: str
    identity: bytes
    made_at: datetime
    signing_request: str = ""
    authority: str = ""
    certificate: str = ""
    succession: Succession | None = None

    def sealed(self, key: IdentityKey) -> bytes:
        """Return the document, signed with the identity key that it introduces."""
        body: dict[str, object] = {
            "authority": self.authority,
            "certificate": self.certificate,
            "identity": self.identity.hex(),
            "made_at": moment_text(self.made_at),
            "party": self.party,
            "platform": self.platform,
            "signing_request": self.signing_request,
            "successions": [written_succession(self.succession)] if self.succession else [],
        }
        return seal(_REQUEST, body, key)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the registrar answers.

    Attributes:
        party: Whom it admits.
        platform: To which platform.
        registrar: The registrar's public key, whose fingerprint is the platform's.
        certificate: The party's certificate, PEM; empty with an authority of its own.
        roster: The signed roster, in which the party stands.
        request: SHA-256 of the request, hexadecimal.
    """

    party: str
    platform: str
    registrar: bytes
    certificate: str
    roster: bytes
    request: str

    def sealed(self, registrar: IdentityKey) -> bytes:
        """Return the signed document."""
        body: dict[str, object] = {
            "certificate": self.certificate,
            "party": self.party,
            "platform": self.platform,
            "registrar": self.registrar.hex(),
            "request": self.request,
            "roster": parse(self.roster, "roster"),
        }
        return seal(_ADMISSION, body, registrar)


def digest(raw: bytes) -> str:
    """Return SHA-256 of a paper, hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def read_request_paper(raw: bytes) -> Request:
    """Return a request whose signature is that of the identity key in it.

    Raises:
        ProtocolError: X006 for a bad form or signature, or certificates that do not fit.
    """
    body = unseal(_REQUEST, raw, lambda found: found.peek_key("identity"))
    steps = body.inners("successions", 1)
    found = Request(
        party=body.text("party", PARTY),
        platform=body.text("platform", PLATFORM),
        identity=body.key("identity"),
        made_at=body.moment("made_at"),
        signing_request=body.text("signing_request", PEM),
        authority=body.text("authority", PEM),
        certificate=body.text("certificate", PEM),
        succession=read_succession(steps[0]) if steps else None,
    )
    body.end()
    try:
        _check_certificates(found)
    except ProtocolError as error:
        raise refused(
            found.party,
            "the certificates in its request do not fit together; make the request again",
            "申请中的证书不配套；请重新生成申请",
            error.detail,
        ) from None
    return found


def read_admission(raw: bytes) -> Admission:
    """Return an admission whose signature is that of the registrar in it.

    The caller compares that registrar's fingerprint with the one that people compared.

    Raises:
        ProtocolError: X006 for a bad form or signature.
    """
    body = unseal(_ADMISSION, raw, lambda found: found.peek_key("registrar"))
    found = Admission(
        party=body.text("party", PARTY),
        platform=body.text("platform", PLATFORM),
        registrar=body.key("registrar"),
        certificate=body.text("certificate", PEM),
        roster=canonical(body.inner("roster").values),
        request=body.text("request", HEX_KEY),
    )
    body.end()
    return found


def _check_certificates(found: Request) -> None:
    if not found.authority:
        read_request(found.signing_request)
        return
    check_authority(found.authority)
    facts = read_issued(der_of(found.certificate), found.authority)
    if facts.name != server_name(found.party, found.platform) or found.signing_request:
        raise refused(found.party, "another name", "名称不符", facts.name)
