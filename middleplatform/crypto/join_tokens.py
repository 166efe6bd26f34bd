"""Tokens of a private join: identifiers under a key that the departments of one query share.

A block is laid out as in ``connectors.kernels``, which may run beside the data and cannot import this package; a test
holds the two together. All rows of a batch are laid out and encrypted in bulk calls.
Imported by the recipes of this package.
Spec: docs/spec/private-join.md, "Tokens".

Reveals: To who holds tokens and no key: which are equal, and how many there are. To who holds the key too: every
identifier, by trying; 10**11 identity numbers take seconds.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from middleplatform.crypto.encoding import bad_message
from middleplatform.errors import ProtocolError

__all__ = ["TEXT_BYTES_MAX", "TOKEN_BYTES", "Bytes", "tokens"]

Bytes = npt.NDArray[np.uint8]
_Places = npt.NDArray[np.int64]

TOKEN_BYTES = 16
"""Length of a token: one block of AES."""

TEXT_BYTES_MAX = 1024
"""The longest text identifier, in bytes of UTF-8."""

DOMAIN_BYTES_MAX = 128

_NUMBER, _TEXT = b"\x01", b"\x02"
_LABEL = b"middleplatform/join-token/1/"
_WORD = 8
_HEADER = 8  # of a text's first block: kind, five bytes of the domain, length in two bytes
_ROWS = 16_384  # at a time: the blocks of so many rows stay in a cache
_LONG_ROWS, _SHORT_BLOCKS = (
    1024,
    4,
)  # longer texts go in smaller steps: every byte of theirs is indexed


def tokens(key: bytes, domain: str, identifiers: pa.Array | pa.ChunkedArray) -> Bytes:
    """Return the token of each identifier; equal identifiers have equal tokens.

    Args:
        key: 32 bytes, of one query; never given to who matches tokens.
        domain: What the identifiers are, e.g. ``"person"``, at most 128 bytes.
        identifiers: Of type string or int64; texts of at most 1024 bytes of UTF-8, taken byte by byte.

    Returns:
        Shape ``(identifiers, 16)``; all zeros where an identifier is missing.

    Raises:
        ProtocolError: X001 for a domain or type that has no tokens; X004 for a text that is too long.
    """
    if not 1 <= len(domain.encode()) <= DOMAIN_BYTES_MAX:
        raise bad_message("a token domain is not valid")
    found = np.empty((len(identifiers), TOKEN_BYTES), dtype=np.uint8)
    made = _Tokens(key, domain)
    chunked = isinstance(identifiers, pa.ChunkedArray)
    at = 0
    for chunk in identifiers.chunks if chunked else [identifiers]:
        for start in range(0, len(chunk), _ROWS):
            rows = chunk.slice(start, _ROWS)
            made.fill(rows, found[at : at + len(rows)])
            at += len(rows)
    return found


class _Tokens:
    """One key and domain, with the buffers that are used again for each batch."""

    def __init__(self, key: bytes, domain: str) -> None:
        mode = ECB()  # noqa: S305 - one block is one identifier; equal ones are to be equal
        self._encryptor: CipherContext = Cipher(AES256(key), mode).encryptor()
        self._digest = hashlib.sha256(_LABEL + domain.encode()).digest()
        # One block more than is written: what the primitive asks of its target.
        self._room = np.empty((_ROWS + 1) * TOKEN_BYTES, dtype=np.uint8)
        self._plain = np.empty(_ROWS * TOKEN_BYTES, dtype=np.uint8)

    def fill(self, identifiers: pa.Array, found: Bytes) -> None:
        if pa.types.is_int64(identifiers.type):
            self._numbers(identifiers, found)
        elif pa.types.is_string(identifiers.type):
            self._texts(identifiers, found)
        else:
            raise bad_message(f"identifiers of type {identifiers.type}")
        if identifiers.null_count:
            found[identifiers.is_null().to_numpy(zero_copy_only=False)] = 0

    def _numbers(self, numbers: pa.Array, found: Bytes) -> None:
        blocks = np.empty((len(numbers), 2), dtype=">u8")
        blocks[:, 0] = int.from_bytes(_NUMBER + self._digest[:7], "big")
        blocks[:, 1] = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).view("u8")
        found[:] = self._encrypted(blocks.view(np.uint8).reshape(-1, TOKEN_BYTES))

    def _texts(self, texts: pa.Array, found: Bytes) -> None:
        """Take texts of as many blocks together: each step of the chain is one bulk call."""
        starts, lengths, data = _parts(texts)
        if int(lengths.max()) > TEXT_BYTES_MAX:
            raise ProtocolError("X004", detail="an identifier is too long")
        length = int(lengths[0])
        if not texts.null_count and bool((lengths == length).all()):
            # Identity numbers: they lie one behind the other.
            self._alike(data[int(starts[0]) :], length, found)
            return
        counts = -(-(_HEADER + lengths) // TOKEN_BYTES)
        least, most = int(counts.min()), int(counts.max())
        if least == most and most <= _SHORT_BLOCKS:
            found[:] = self._chain(_blocks(self._digest, starts, lengths, data, most))
            return
        for count in np.unique(counts):
            chosen = np.flatnonzero(counts == count)
            step = max(_LONG_ROWS, _ROWS // int(count))
            for begin in range(0, len(chosen), step):
                rows = chosen[begin : begin + step]
                blocks = _blocks(self._digest, starts[rows], lengths[rows], data, int(count))
                found[rows] = self._chain(blocks)

    def _alike(self, data: Bytes, length: int, found: Bytes) -> None:
        """Take texts of one length, by words of eight bytes."""
        head = _TEXT + self._digest[:5] + length.to_bytes(2, "big")
        plain = self._plain[: found.size].reshape(found.shape)
        chain: Bytes | None = None
        for begin in range(0, _HEADER + length, TOKEN_BYTES):
            for half in (0, _WORD):
                _word(data, length, begin + half - _HEADER, plain[:, half : half + _WORD], head)
            if chain is not None:
                plain ^= chain
            chain = self._encrypted(plain)
        assert chain is not None, "a header is part of a block"
        found[:] = chain

    def _chain(self, blocks: Bytes) -> Bytes:
        chain = self._encrypted(blocks[:, :TOKEN_BYTES])
        for begin in range(TOKEN_BYTES, blocks.shape[1], TOKEN_BYTES):
            chain = self._encrypted(chain ^ blocks[:, begin : begin + TOKEN_BYTES])
        return chain

    def _encrypted(self, blocks: Bytes) -> Bytes:
        """Return AES of each block by itself, in a buffer that the next call overwrites."""
        plain = np.ascontiguousarray(blocks)
        self._encryptor.update_into(plain.data.cast("B"), self._room.data)
        return self._room[: plain.size].reshape(-1, TOKEN_BYTES)


def _parts(texts: pa.Array) -> tuple[_Places, _Places, Bytes]:
    """Return where each text starts, how long it is (0 where missing), and the bytes of all."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32, count=len(texts) + 1, offset=4 * texts.offset)
    places = ends.astype(np.int64)
    lengths = np.diff(places)
    if texts.null_count:
        lengths[texts.is_null().to_numpy(zero_copy_only=False)] = 0
    if data is None or not data.size:
        return places[:-1], lengths, np.zeros(1, dtype=np.uint8)
    return places[:-1], lengths, np.frombuffer(data, dtype=np.uint8)


def _blocks(digest: bytes, starts: _Places, lengths: _Places, data: Bytes, count: int) -> Bytes:
    """Return one row of ``count`` blocks for each text: header, text, zeros."""
    blocks = np.zeros((len(starts), count * TOKEN_BYTES), dtype=np.uint8)
    blocks[:, :6] = np.frombuffer(_TEXT + digest[:5], dtype=np.uint8)
    blocks[:, 6:_HEADER] = lengths.astype(">u2").view(np.uint8).reshape(-1, 2)
    longest = int(lengths.max())
    places = np.arange(longest)
    taken = np.minimum(starts[:, None] + places, len(data) - 1)
    blocks[:, _HEADER : _HEADER + longest] = data[taken] * (places < lengths[:, None])
    return blocks


def _word(data: Bytes, length: int, at: int, into: Bytes, head: bytes) -> None:
    """Write eight bytes of every text, from ``at`` on: the header before it, zeros behind it.

    Args:
        data: The texts, one behind the other.
        length: Of each text.
        at: -8 or more.
        into: Where they are written, shape (texts, 8).
        head: Eight bytes.
    """
    rows, words = into.shape[0], into.view(np.uint64)[:, 0]
    left = min(_WORD, length - at)
    if at < 0:
        words[:] = np.frombuffer(head, dtype=np.uint64)[0]
    elif left == _WORD:
        words[:] = np.ndarray(rows, np.uint64, data, at, (length,))
    else:
        words[:] = 0
        if left > 0:
            into[:, :left] = np.ndarray((rows, left), np.uint8, data, at, (length, 1))
