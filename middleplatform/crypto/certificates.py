"""TLS certificates: an authority that issues them, and what one certificate says (RFC 5280).

Keys are Ed25519 (RFC 8410). An authority's certificate allows no authority below it; a party's
names exactly one DNS name, allows both sides of TLS and nothing else, and holds for days, not years.
Imported by enrolment.
Spec: docs/spec/enrolment.md, "Certificates".

Reveals:
    A certificate is public: its holder's DNS name, public key, validity and issuer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from middleplatform.crypto.encoding import bad_message
from middleplatform.ports import Rng

__all__ = [
    "AUTHORITY_DAYS",
    "CERTIFICATE_DAYS",
    "CertificateFacts",
    "Issuer",
    "authority_fingerprint",
    "check_authority",
    "der_of",
    "make_authority",
    "make_request",
    "new_key",
    "read_issued",
    "read_request",
]

CERTIFICATE_DAYS = 90
AUTHORITY_DAYS = 3653
_PEM_CHARACTERS_MAX = 16384
_SERIAL_BYTES = 16
_BACKDATED = timedelta(minutes=5)
"""A new certificate holds from a little before now: clocks differ."""
_PUBLIC_KEYS = (Ed25519PublicKey, EllipticCurvePublicKey)
_CURVES = (SECP256R1, SECP384R1)
_EXPECTED_USES = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
_UNREADABLE = (
    ValueError, TypeError, OverflowError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion,
    x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a party's certificate says, its issuer's signature having been checked.

    Attributes:
        serial: 32 hexadecimal digits or fewer, lower case, as in the roster's list.
        name: Its only DNS name.
        not_before: Holds from then on, UTC.
        not_after: Holds until then, UTC.
        public_key: SubjectPublicKeyInfo, DER.
    """

    serial: str
    name: str
    not_before: datetime
    not_after: datetime
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority that can issue: its certificate (PEM) and private key."""

    certificate: str
    key: Ed25519PrivateKey

    def issue(self, request: str, name: str, now: datetime, days: int, rng: Rng) -> str:
        """Return a party's certificate (PEM), cut short where the authority's own ends.

        Args:
            request: A signing request (PEM); its key is used, what it says otherwise is not.
            name: The DNS name that the certificate is for.
            now: The present moment.
            days: How long it holds.
            rng: Draws the serial number, 128 bits.

        Raises:
            ProtocolError: X001 when the request is not valid.
        """
        public_key = _load_request(request).public_key()
        above = _load(self.certificate)
        until = min(now + timedelta(days=days), above.not_valid_after_utc)
        uses = x509.ExtendedKeyUsage(sorted(_EXPECTED_USES, key=lambda use: use.dotted_string))
        key_id = x509.SubjectKeyIdentifier.from_public_key(public_key)
        builder = (
            _builder(name, above.subject, public_key, (now - _BACKDATED, until), rng)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(uses, critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(key_id, critical=False)
            .add_extension(_key_above(self.key), critical=False)
        )
        return _pem(builder.sign(self.key, None))


def new_key(rng: Rng) -> Ed25519PrivateKey:
    """Return a fresh TLS or authority key.

    Reveals:
        Nothing, if ``rng`` is the operating system's.
    """
    return Ed25519PrivateKey.from_private_bytes(rng.token_bytes(32))


def make_authority(name: str, now: datetime, rng: Rng, days: int = AUTHORITY_DAYS) -> Issuer:
    """Return a new authority, certified by itself.

    Args:
        name: Its common name, at most 64 characters.
        now: The present moment.
        rng: Draws key and serial number.
        days: How long it holds.
    """
    key = new_key(rng)
    public_key = key.public_key()
    span = (now - _BACKDATED, now + timedelta(days=days))
    subject = _name(name)
    builder = (
        _builder(name, subject, public_key, span, rng)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_key_above(key), critical=False)
    )
    return Issuer(_pem(builder.sign(key, None)), key)


def make_request(key: Ed25519PrivateKey, name: str) -> str:
    """Return a certificate signing request (PKCS #10, PEM) for ``key``."""
    made = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, None)
    return made.public_bytes(Encoding.PEM).decode()


def read_request(request: str) -> bytes:
    """Return the public key of a signing request (SubjectPublicKeyInfo, DER).

    Raises:
        ProtocolError: X001 when it is not valid.
    """
    return _spki(_load_request(request).public_key())


def check_authority(certificate: str) -> tuple[datetime, datetime]:
    """Return from when until when an authority's certificate (PEM) holds.

    Raises:
        ProtocolError: X001 when it is none: not signed by itself, no authority, one that allows
            others below it, or a kind of key that is not accepted.
    """
    try:
        found = _load(certificate)
        found.verify_directly_issued_by(found)
        limits = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
        fit = limits.ca and limits.path_length == 0 and usage.key_cert_sign
        fit = fit and _acceptable(found.public_key())
    except _UNREADABLE:
        raise bad_message("an authority's certificate is not valid") from None
    if not fit:
        raise bad_message("a certificate is no authority's")
    return found.not_valid_before_utc, found.not_valid_after_utc


def authority_fingerprint(certificate: str) -> str:
    """Return SHA-256 of an authority's certificate (DER), 64 hexadecimal digits."""
    return _load(certificate).fingerprint(SHA256()).hex()


def read_issued(certificate: bytes, authority: str) -> CertificateFacts:
    """Return what a certificate says, if ``authority`` issued it for a party.

    Whether it holds now, and whether it was revoked, is the caller's to judge.

    Args:
        certificate: DER.
        authority: The authority's certificate, PEM, checked by ``check_authority``.

    Raises:
        ProtocolError: X001 when it is not readable, of another authority, itself an authority, for
            another use, or for several names.
    """
    try:
        found = x509.load_der_x509_certificate(certificate)
        found.verify_directly_issued_by(_load(authority))
        parts = found.extensions
        limits = parts.get_extension_for_class(x509.BasicConstraints).value
        uses = set(parts.get_extension_for_class(x509.ExtendedKeyUsage).value)
        names = list(parts.get_extension_for_class(x509.SubjectAlternativeName).value)
        fit = not limits.ca and uses == _EXPECTED_USES and _acceptable(found.public_key())
        (name,) = names
    except _UNREADABLE:
        raise bad_message("a certificate is not of this authority, or not a party's") from None
    if not fit or not isinstance(name, x509.DNSName):
        raise bad_message("a certificate is not a party's")
    return CertificateFacts(
        f"{found.serial_number:x}",
        name.value,
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        _spki(found.public_key()),
    )


def der_of(certificate: str) -> bytes:
    """Return a certificate in DER.

    Raises:
        ProtocolError: X001 when it is not readable.
    """
    return _load(certificate).public_bytes(Encoding.DER)


def _load(certificate: str) -> x509.Certificate:
    try:
        if len(certificate) > _PEM_CHARACTERS_MAX or certificate.count("-----BEGIN") != 1:
            raise bad_message("a certificate is too long, or not a single one")
        return x509.load_pem_x509_certificate(certificate.encode())
    except _UNREADABLE:
        raise bad_message("a certificate is not readable") from None


def _load_request(request: str) -> x509.CertificateSigningRequest:
    try:
        if len(request) > _PEM_CHARACTERS_MAX:
            raise bad_message("a signing request is too long")
        found = x509.load_pem_x509_csr(request.encode())
        fit = found.is_signature_valid and _acceptable(found.public_key())
    except _UNREADABLE:
        raise bad_message("a signing request is not readable") from None
    if not fit:
        raise bad_message("a signing request is not signed, or with a kind of key not accepted")
    return found


def _acceptable(key: object) -> bool:
    if isinstance(key, EllipticCurvePublicKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, Ed25519PublicKey)


def _spki(key: object) -> bytes:
    assert isinstance(key, _PUBLIC_KEYS), "checked before"
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _builder(
    name: str,
    above: x509.Name,
    public_key: object,
    span: tuple[datetime, datetime],
    rng: Rng,
) -> x509.CertificateBuilder:
    serial = int.from_bytes(rng.token_bytes(_SERIAL_BYTES)) | 1  # a serial number is positive
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(above)
        .public_key(public_key)  # type: ignore[arg-type]  # one of the kinds checked before
        .serial_number(serial)
        .not_valid_before(span[0].astimezone(UTC).replace(microsecond=0))
        .not_valid_after(span[1].astimezone(UTC).replace(microsecond=0))
    )


def _key_above(key: Ed25519PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
