"""Tokens and record keys of protected units: what a node keeps of an identifier instead of the identifier.

Both follow from one secret of the department, each under a key of its own (HKDF-SHA256, RFC 5869). A token is a
pseudorandom block for an identifier (AES-256; see ``join_tokens``); a record key is one for a token.
Spec: docs/spec/history.md, "Units".

Reveals: To who holds tokens or record keys and not the secret: which are equal, and how many there are. To who holds
the secret too: every identifier, by trying.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from middleplatform.crypto.join_tokens import TOKEN_BYTES, Bytes, tokens

__all__ = ["SECRET_BYTES", "TOKEN_BYTES", "RecordKeys", "UnitTokens"]

SECRET_BYTES = 32
"""Length of a department's secret for its units."""

RecordKeys = npt.NDArray[np.uint64]

_LABEL = b"middleplatform/units/1/"
_DOMAIN, _CHECK = "unit", "file"


class UnitTokens:
    """What follows from one department's secret.

    Args:
        secret: 32 bytes, from the operating system's generator; never leaves the node.
    """

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES, "a secret of another length"
        self._token_key = _derived(secret, b"token")
        self._record_key = _derived(secret, b"record")

    def tokens(self, identifiers: pa.Array | pa.ChunkedArray) -> Bytes:
        """Return the token of each identifier; equal identifiers have equal tokens, whatever the table.

        Args:
            identifiers: Of any type, none missing; texts of at most 1024 bytes of UTF-8.

        Returns:
            Shape ``(identifiers, 16)``.

        Raises:
            ProtocolError: X004 for a text that is too long.
        """
        kind = pa.int64() if pa.types.is_integer(identifiers.type) else pa.string()
        return tokens(self._token_key, _DOMAIN, identifiers.cast(kind))

    def record_keys(self, found: Bytes) -> RecordKeys:
        """Return a pseudorandom number of 64 bits for each token, shape ``(tokens,)``."""
        mode = ECB()  # noqa: S305 - one block is one unit; equal ones are to be equal
        made = Cipher(AES256(self._record_key), mode).encryptor()
        blocks = made.update(np.ascontiguousarray(found).tobytes())
        return np.frombuffer(blocks, dtype="<u8")[::2].astype(np.uint64)

    def check(self, name: str) -> bytes:
        """Return 16 bytes by which a file of tokens tells whose it is, and of what."""
        return bytes(tokens(self._token_key, _CHECK, pa.array([name]))[0])


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=_LABEL + use).derive(secret)
