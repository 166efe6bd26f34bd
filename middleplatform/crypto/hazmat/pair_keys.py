"""Pairwise secrets: X25519 and HKDF-SHA256, and the single-use keys drawn from them.

.. hazmat::
    Use ``middleplatform.crypto.secure_sum.Party`` instead. Exchange keys are unauthenticated here:
    whoever does not verify the identity signature over them talks to the relay.

Imported by the recipes of ``middleplatform.crypto`` only.
Spec: docs/spec/secure-sum.md, "Pairwise secrets"; RFC 7748, RFC 5869.
"""

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from middleplatform.crypto.encoding import bad_message, join_parts

__all__ = [
    "SECRET_BYTES",
    "open_once",
    "pair_secret",
    "seal_once",
    "single_use_key",
    "single_use_keys",
]

SECRET_BYTES = 32


def pair_secret(
    private_key: X25519PrivateKey, public_key: bytes, transcript: bytes, info: bytes
) -> bytes:
    """Return the 32 secret bytes that two departments share in one round.

    Args:
        private_key: Own fresh exchange key.
        public_key: The other's, 32 bytes, **its signature already verified**.
        transcript: HKDF salt: 32-byte digest of all hellos of the round.
        info: HKDF info: round and pair.

    Raises:
        ProtocolError: X001 when the exchange gives all zeros (a point of small order).
    """
    try:
        shared = private_key.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:
        raise bad_message("an exchange key is not valid") from None
    return HKDF(SHA256(), SECRET_BYTES, salt=transcript, info=info).derive(shared)


def single_use_key(secret: bytes, *info: bytes | str) -> bytes:
    """Return 32 bytes by HKDF-Expand.

    Args:
        secret: 32 uniform secret bytes.
        info: What the key is for; **two uses must differ in it**.
    """
    return single_use_keys([secret], *info)[0]


def single_use_keys(secrets: Sequence[bytes], *info: bytes | str) -> list[bytes]:
    """Return ``single_use_key`` of each of many secrets; what the keys are for is put together once.

    Reveals:
        Nothing.
    """
    bound = join_parts(*info)
    return [HKDFExpand(SHA256(), SECRET_BYTES, info=bound).derive(secret) for secret in secrets]


def seal_once(key: bytes, message: bytes, bound: bytes) -> bytes:
    """Return AES-256-GCM ciphertext and 16-byte tag of ``message``.

    Args:
        key: 32 bytes, **for this one message only**: the nonce is constant.
        message: Bytes to hide.
        bound: Associated data.
    """
    return AESGCM(key).encrypt(bytes(12), message, bound)


def open_once(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    """Return what ``seal_once`` sealed.

    Raises:
        ProtocolError: X001 for every cause alike.
    """
    try:
        return AESGCM(key).decrypt(bytes(12), sealed, bound)
    except (InvalidTag, ValueError):
        raise bad_message("a sealed key does not open") from None
