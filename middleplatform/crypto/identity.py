"""Who speaks: Ed25519 identity keys, and the pinned keys of the others (RFC 8032).

A department makes its key once, at enrolment; every other party pins the public half. Signatures
are bound to a context string, so that a signature for one purpose never serves another.
Imported by node, gateway, audit and the recipes of this package.
Spec: docs/spec/secure-sum.md, "Identities".
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from middleplatform.crypto.encoding import bad_message, join_parts, tagged_digest
from middleplatform.errors import ConfigError
from middleplatform.ports import Rng

__all__ = ["KEY_BYTES", "SIGNATURE_BYTES", "IdentityKey", "PinnedKeys", "fingerprint", "verify"]

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_FILE_BYTES_MAX = 4096
FORBIDDEN_MODE = 0o177
"""No bit but the owner's read and write may be set on a key file."""


def _signed_bytes(context: str, message: bytes) -> bytes:
    return join_parts("middleplatform signature v1", context, message)


def fingerprint(public_key: bytes) -> str:
    """Return SHA-256 of a 32-byte public key as 64 hexadecimal digits, for people to compare."""
    return tagged_digest("middleplatform identity fingerprint v1", public_key).hex()


def verify(public_key: bytes, context: str, message: bytes, signature: bytes) -> None:
    """Return only if ``signature`` is ``public_key``'s over ``message`` in ``context``.

    Args:
        public_key: 32 bytes, pinned beforehand.
        context: What the signature is for, e.g. ``"secure-sum hello"``.
        message: Canonical bytes of any length.
        signature: 64 bytes.

    Raises:
        ProtocolError: X001 for every cause alike.

    Reveals:
        Nothing but success or failure.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, _signed_bytes(context, message))
    except (InvalidSignature, ValueError):
        raise bad_message("a signature does not verify") from None


class IdentityKey:
    """A party's own Ed25519 key. Its representation shows the fingerprint only.

    Args:
        private_key: The key; use ``generate``, ``load`` or ``load_or_create``.
    """

    __slots__ = ("_private_key", "public_key")

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"IdentityKey(fingerprint={self.fingerprint!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an identity key is neither copied nor pickled")

    @property
    def fingerprint(self) -> str:
        """The public key's SHA-256, 64 hexadecimal digits."""
        return fingerprint(self.public_key)

    @classmethod
    def generate(cls, rng: Rng) -> "IdentityKey":
        """Return a fresh key from 32 bytes of ``rng``.

        Args:
            rng: The operating system's generator; a seeded one makes the key public knowledge.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(rng.token_bytes(KEY_BYTES)))

    @classmethod
    def load(cls, path: Path) -> "IdentityKey":
        """Read a key file (PKCS #8 PEM, unencrypted, mode 0600 or 0400, owned by this user).

        Raises:
            ConfigError: C006 when the file is missing, a link, open to others or no Ed25519 key.
        """
        try:
            private_key = load_pem_private_key(_read_private(path), password=None)
        except (ValueError, TypeError):
            raise ConfigError("C006", what="it holds no readable private key") from None
        if not isinstance(private_key, Ed25519PrivateKey):
            raise ConfigError("C006", what="it holds no Ed25519 key")
        return cls(private_key)

    @classmethod
    def load_or_create(cls, path: Path, rng: Rng) -> "IdentityKey":
        """Read the key file, or make it with mode 0600; of two at once, one wins and both use it.

        Raises:
            ConfigError: C006 as ``load``; C011 when the file cannot be written.
        """
        if not path.is_symlink() and not path.exists():
            private_key = Ed25519PrivateKey.from_private_bytes(rng.token_bytes(KEY_BYTES))
            pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write_new(path, pem, rng)
        return cls.load(path)

    def sign(self, context: str, message: bytes) -> bytes:
        """Return the 64-byte signature over ``message``, valid in ``context`` only.

        Args:
            context: What the signature is for; a constant of the calling recipe.
            message: Canonical bytes of any length.

        Reveals:
            The message's author, to whoever sees message and signature.
        """
        return self._private_key.sign(_signed_bytes(context, message))


class PinnedKeys:
    """The public keys that were exchanged at enrolment, by party name.

    Args:
        keys: Party name to 32 public bytes.

    Raises:
        ConfigError: C006 for a key of another length, or one key under two names, by which one
            party could play two.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise ConfigError("C006", what="a pinned public key does not have 32 bytes")
        if len(set(keys.values())) != len(keys):
            raise ConfigError("C006", what="one public key is pinned under two names")
        self._keys = {name: bytes(key) for name, key in keys.items()}

    def __repr__(self) -> str:
        return f"PinnedKeys({', '.join(sorted(self._keys))})"

    def verify(self, name: str, context: str, message: bytes, signature: bytes) -> None:
        """Return only if the pinned key of ``name`` signed ``message`` in ``context``.

        Raises:
            ProtocolError: X001 for every cause alike, an unknown name included.

        Reveals:
            Nothing but success or failure.
        """
        key = self._keys.get(name)
        if key is None:
            raise bad_message("a sender is not pinned")
        verify(key, context, message, signature)


def _read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may read; the open file is judged, not its name."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise ConfigError("C006", what="it cannot be opened") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("C006", what="it is no regular file")
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & FORBIDDEN_MODE:
            raise ConfigError("C006", what="its owner alone may read it: set mode 0600")
        return os.read(handle, KEY_FILE_BYTES_MAX)
    finally:
        os.close(handle)


def _write_new(path: Path, content: bytes, rng: Rng) -> None:
    """Write a file that did not exist, whole or not at all."""
    draft = path.with_name(f".{path.name}.{rng.token_bytes(8).hex()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            _publish(draft, path)
        finally:
            draft.unlink()
    except OSError as error:
        raise ConfigError("C011", what="a key file cannot be written", detail=str(error)) from None


def _publish(draft: Path, path: Path) -> None:
    """Give the finished draft its name, unless somebody was faster, and make that durable."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
