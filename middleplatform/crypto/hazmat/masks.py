"""Keystreams as masks: AES-256-CTR expanded into 64-bit words.

.. hazmat::
    Use ``middleplatform.crypto.secure_sum.Party`` instead. A key given to this module twice makes
    the same mask twice, and the difference of two vectors under one mask is their data in clear.
    Nothing here knows whether a key is fresh.

Imported by the recipes of ``middleplatform.crypto`` only.
Spec: docs/spec/secure-sum.md, "Masks"; NIST SP 800-38A, section 6.5.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

__all__ = ["MaskStream", "add_masks"]

CHUNK_WORDS = 16384
"""128 KiB: sum, keystream and zeros of one chunk stay together in a second-level cache."""

_WORD = np.dtype("<u8")
_ZEROS = np.zeros(CHUNK_WORDS, dtype=_WORD)
_ZEROS.flags.writeable = False


class MaskStream:
    """The words of one key's keystream, in order: the counter starts at zero.

    Args:
        key: 32 bytes, **never used for anything else, and for one stream only**: the counter
            block is constant, so a second stream of the same key repeats the first.
    """

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()

    def fill(self, buffer: npt.NDArray[np.uint64]) -> None:
        """Overwrite ``buffer`` with the next words.

        Args:
            buffer: Shape ``(words,)``, contiguous, little-endian, at most ``CHUNK_WORDS``.
        """
        zeros = _ZEROS[: buffer.size].data.cast("B")
        self._encryptor.update_into(zeros, buffer.data.cast("B"))


def add_masks(
    words: npt.NDArray[np.uint64], adding: Sequence[bytes], subtracting: Sequence[bytes]
) -> None:
    """Add and subtract whole keystreams in place, modulo 2**64.

    Args:
        words: Shape ``(words,)``, contiguous, little-endian; changed in place.
        adding: Keys of 32 bytes whose masks are added.
        subtracting: Keys of 32 bytes whose masks are subtracted.

    Reveals:
        Nothing, as long as one of the keys is unknown to the observer and was never used before.
    """
    plus = [MaskStream(key) for key in adding]
    minus = [MaskStream(key) for key in subtracting]
    scratch = np.empty(min(CHUNK_WORDS, words.size), dtype=_WORD)
    for start in range(0, words.size, CHUNK_WORDS):
        chunk = words[start : start + CHUNK_WORDS]
        mask = scratch[: chunk.size]
        for stream in plus:
            stream.fill(mask)
            np.add(chunk, mask, out=chunk)
        for stream in minus:
            stream.fill(mask)
            np.subtract(chunk, mask, out=chunk)
