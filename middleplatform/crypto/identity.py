"""Who speaks: Ed25519 identity keys, and the pinned keys of the others (RFC 8032).

A department makes its key once, at enrolment; every other party pins the public half. Signatures
are bound to a context string, so that a signature for one purpose never serves another.
Imported by node, gateway, audit and the recipes of this package.
Spec: docs/spec/secure-sum.md, "Identities".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from middleplatform.crypto.encoding import bad_message, join_parts, tagged_digest
from middleplatform.crypto.key_files import (
    Passphrase,
    decode_key,
    encode_key,
    key_invalid,
    read_private,
    write_new,
)
from middleplatform.errors import ConfigError
from middleplatform.ports import Rng

__all__ = ["KEY_BYTES", "SIGNATURE_BYTES", "IdentityKey", "PinnedKeys", "fingerprint", "verify"]

KEY_BYTES = 32
SIGNATURE_BYTES = 64


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

    __slots__ = ("_pair",)

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        # One attribute, so that a thread sees the old key or the new one, never a mixture.
        self._pair = (private_key, private_key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"IdentityKey(fingerprint={self.fingerprint!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an identity key is neither copied nor pickled")

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes.

        Reveals:
            Who the party is, to whoever sees it.
        """
        return self._pair[1]

    def replace(self, other: "IdentityKey") -> None:
        """Become ``other``, for whoever holds this object: rotation without a restart.

        Reveals:
            Nothing.
        """
        self._pair = other._pair  # noqa: SLF001 - of the same class

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
    def load(cls, path: Path, passphrase: Passphrase | None = None) -> "IdentityKey":
        """Read a key file (PKCS #8 PEM, mode 0600 or 0400, owned by this user).

        Args:
            path: The file.
            passphrase: Called when the file is encrypted.

        Raises:
            ConfigError: C006 when the file is missing, a link, open to others or no Ed25519 key,
                or the passphrase is missing or wrong.
        """
        private_key = decode_key(read_private(path), passphrase)
        if not isinstance(private_key, Ed25519PrivateKey):
            raise key_invalid("it holds no Ed25519 key", "其中没有 Ed25519 密钥")
        return cls(private_key)

    @classmethod
    def load_or_create(
        cls, path: Path, rng: Rng, passphrase: Passphrase | None = None
    ) -> "IdentityKey":
        """Read the key file, or make it with mode 0600; of two at once, one wins and both use it.

        Args:
            path: The file.
            rng: As for ``generate``.
            passphrase: Encrypts a new file and opens an encrypted one; None writes in the clear.

        Raises:
            ConfigError: C006 as ``load``; C011 when the file cannot be written.
        """
        if not path.is_symlink() and not path.exists():
            private_key = Ed25519PrivateKey.from_private_bytes(rng.token_bytes(KEY_BYTES))
            write_new(path, encode_key(private_key, passphrase, rng), rng)
        return cls.load(path, passphrase)

    def sign(self, context: str, message: bytes) -> bytes:
        """Return the 64-byte signature over ``message``, valid in ``context`` only.

        Args:
            context: What the signature is for; a constant of the calling recipe.
            message: Canonical bytes of any length.

        Reveals:
            The message's author, to whoever sees message and signature.
        """
        return self._pair[0].sign(_signed_bytes(context, message))


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
        self._keys = _checked(keys)

    def __repr__(self) -> str:
        return f"PinnedKeys({', '.join(sorted(self._keys))})"

    @property
    def names(self) -> frozenset[str]:
        """The parties that are pinned now.

        Reveals:
            Names, to the caller alone.
        """
        return frozenset(self._keys)

    def public_key(self, name: str) -> bytes:
        """Return the 32 bytes that are pinned for ``name``, to be handed on to who verifies elsewhere.

        Raises:
            ProtocolError: X001 when the name is not pinned.

        Reveals:
            A public key.
        """
        key = self._keys.get(name)
        if key is None:
            raise bad_message("a party is not pinned")
        return key

    def replace(self, keys: Mapping[str, bytes]) -> None:
        """Hold ``keys`` from now on, all at once for every thread; others are forgotten.

        Raises:
            ConfigError: C006 as at construction; then nothing changes.

        Reveals:
            Nothing.
        """
        self._keys = _checked(keys)

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


def _checked(keys: Mapping[str, bytes]) -> dict[str, bytes]:
    if any(len(key) != KEY_BYTES for key in keys.values()):
        raise ConfigError("C006", what="a pinned public key does not have 32 bytes")
    if len(set(keys.values())) != len(keys):
        raise ConfigError("C006", what="one public key is pinned under two names")
    return {name: bytes(key) for name, key in keys.items()}
