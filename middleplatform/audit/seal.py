"""Seal the sensitive parts of an entry, e.g. its SQL, for the auditor alone.

The sealed form is what the entry holds and the leaf hash covers: the log, its operator and whoever
holds an export can prove that it is there and unchanged, but read nothing of it. Recipe over HPKE
(RFC 9180 base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM), bound to the query and
the name of the field.

Reveals: that a field is sealed, to which key, and its length to within 256 bytes; nothing else
without the key.

Spec: docs/spec/audit-log.md, "Sealed parts".
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from middleplatform.audit.entry import canonical
from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import read_private, strict_base64, write_private
from middleplatform.errors import AuditError, ConfigError
from middleplatform.ports import Rng

__all__ = ["RECIPE", "AuditorKey", "AuditorPublicKey", "is_sealed", "seal_fields"]

RECIPE = "hpke-x25519-hkdf-sha256-aes256gcm/v1"
_PUBLIC, _PRIVATE = "audit-seal-public-v1:", "audit-seal-private-v1:"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_BLOCK_BYTES = 256
_KEY_BYTES = 32


def _info(key_id: str, context: str, field: str) -> bytes:
    """Bind a box to its recipe, key, query and field: moved elsewhere it does not open."""
    return canonical([RECIPE, key_id, context, field])


@dataclass(frozen=True, slots=True)
class AuditorPublicKey:
    """The key that entries are sealed to.

    Attributes:
        raw: X25519 public key, 32 bytes.
    """

    raw: bytes

    @property
    def key_id(self) -> str:
        """Return the first eight bytes of the key's SHA-256, hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def text(self) -> str:
        """Return the key as one line, without a newline."""
        return _PUBLIC + base64.b64encode(self.raw).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text()`` prints.

        Raises:
            ConfigError: C006 for anything else.
        """
        try:
            raw = strict_base64(text.removeprefix(_PUBLIC))
        except ValueError:
            raw = b""
        if len(raw) != _KEY_BYTES or not text.startswith(_PUBLIC):
            raise ConfigError("C006", what=("malformed auditor key", "审计公钥格式错误"))
        return cls(raw)

    def seal(self, value: object, *, context: str, field: str) -> dict[str, str]:
        """Seal a JSON-ready value.

        Args:
            value: What an entry may hold.
            context: What the entry is about: its query id.
            field: Name of the field that will hold the box.

        Returns:
            ``{"box": base64, "sealed": recipe, "to": key id}``; different each time, as sealing is
            randomized.

        Raises:
            ValueError: The value has no canonical form.
        """
        plain = canonical(value)
        padded = plain.ljust(
            -(-len(plain) // _BLOCK_BYTES) * _BLOCK_BYTES
        )  # JSON ends where blanks begin
        box = _SUITE.encrypt(
            padded,
            X25519PublicKey.from_public_bytes(self.raw),
            info=_info(self.key_id, context, field),
        )
        return {"box": base64.b64encode(box).decode(), "sealed": RECIPE, "to": self.key_id}


class AuditorKey:
    """The auditor's private key; lives on the auditor's machine, never on the platform."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = AuditorPublicKey(private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"AuditorKey({self.public.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not serialized")

    @classmethod
    def create(cls, path: Path, rng: Rng) -> Self:
        """Make a key and keep it at ``path`` with mode 0600.

        Raises:
            ConfigError: C006 when a key is there already; C011 when it cannot be written.
        """
        seed = rng.token_bytes(_KEY_BYTES)
        write_private(path, _PRIVATE + base64.b64encode(seed).decode())
        return cls(X25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key at ``path``.

        Raises:
            ConfigError: C006 when it is not such a key, or others may read it.
        """
        line = read_private(path)
        try:
            seed = strict_base64(line.removeprefix(_PRIVATE))
        except ValueError:
            seed = b""
        if len(seed) != _KEY_BYTES or not line.startswith(_PRIVATE):
            raise ConfigError("C006", what=("malformed auditor key", "审计私钥格式错误"))
        return cls(X25519PrivateKey.from_private_bytes(seed))

    def open(self, box: object, *, context: str, field: str) -> object:
        """Open what ``AuditorPublicKey.seal`` made.

        Raises:
            AuditError: A002 for every cause alike: another key, another place, altered, malformed.
        """
        try:
            if not isinstance(box, Mapping) or dict(box).keys() != {"box", "sealed", "to"}:
                raise _not_open()
            if (box["sealed"], box["to"]) != (RECIPE, self.public.key_id):
                raise _not_open()
            raw = strict_base64(box["box"])
            plain = _SUITE.decrypt(
                raw, self._private, info=_info(self.public.key_id, context, field)
            )
            return json.loads(plain)
        except (InvalidTag, ValueError, TypeError):
            raise _not_open() from None


def _not_open() -> AuditError:
    return invalid("a sealed part does not open", "密封内容无法打开")


def is_sealed(value: object) -> bool:
    """Say whether ``value`` has the form of a sealed part."""
    return isinstance(value, Mapping) and value.get("sealed") == RECIPE


def seal_fields(
    body: Mapping[str, object], fields: Iterable[str], key: AuditorPublicKey
) -> dict[str, object]:
    """Return a copy of an entry's body with the named fields sealed, bound to its ``query_id``.

    Raises:
        ValueError: The body has no ``query_id`` to bind to; a field has no canonical form.
    """
    context = body.get("query_id")
    if not isinstance(context, str) or not context:
        raise ValueError("a sealed entry needs its query_id")
    chosen = set(fields)
    return {
        name: key.seal(value, context=context, field=name) if name in chosen else value
        for name, value in body.items()
    }
