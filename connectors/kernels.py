"""Kernels: pure functions over a stream of rows that a source runs beside its data.

``TokenKernel`` is step 2 of the private join's helper protocol: it replaces an identifier by a
token under a key that two departments agree on for one query. The token of an identifier is the
same on every connector, so that who matches tokens need not know identifiers.

A kernel reaches workers that do not have this package: it is sent by value. So this module imports
only what a worker must have (``pyarrow``, ``numpy``, ``cryptography``), and nothing of ``cryptography`` that
cannot be sent by reference, as its modules with deprecated names and its ``Hash`` cannot.

Reveals: Whoever holds the tokens learns which are equal, and how many there are. Whoever holds the
tokens *and* the key learns every identifier by trying: 10^11 identity numbers take seconds. A token
under a key that the matching party knows protects nobody. Hence a fresh key for each query, never
given to the party that matches. A source's own administrators see rows anyway, and the key.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

__all__ = ["KEY_BYTES", "TEXT_BYTES_MAX", "TOKEN", "TOKEN_BYTES", "TokenKernel"]

KEY_BYTES = 32
"""Length of the key: AES-256."""

TOKEN_BYTES = 16
"""Length of a token: one block of AES."""

TOKEN = pa.binary(TOKEN_BYTES)
"""Type of a token column."""

TEXT_BYTES_MAX = 1024
"""The longest text identifier, in bytes of UTF-8."""

_BLOCK = 16
_NUMBER, _TEXT = b"\x01", b"\x02"
_LABEL = b"middleplatform/join-token/1/"
_HEADER = 8  # of a text's first block: kind, five bytes of the domain, length in two bytes
_ROWS = 65_536  # at a time: bounds what the index arrays of one batch need


@dataclass(frozen=True)
class TokenKernel:
    """Replaces an identifier column by its tokens; other columns pass as they are.

    The layout of a block is part of the protocol: a number is one block of kind, seven bytes of the
    domain's digest and the number (64 bits, two's complement, big endian), encrypted by AES-256. A
    text is as many blocks as its length asks for: kind, five bytes of the domain's digest, the
    length in bytes (16 bits, big endian), the UTF-8 bytes, zeros; its token is the CBC-MAC of
    them. Kind and length come first, so that no message is the beginning of another one, which is
    what CBC-MAC needs (Bellare, Kilian, Rogaway 2000, on messages that begin with their length).

    A missing identifier has a missing token. Texts are taken byte by byte: who wants ``x`` and
    ``X``, or two spellings of a letter, to be one, says so in the statement.

    Attributes:
        key: 32 bytes, fresh for each query, never logged.
        domain: What the identifiers are, e.g. ``"person"``; a number of another domain has another
            token.
        column: Name of the identifier column, int64 or string; the tokens take its place and name.
    """

    key: bytes = field(repr=False)
    domain: str
    column: str

    def __post_init__(self) -> None:
        """Refuse a key of another length."""
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")

    def result(self, rows: pa.Schema) -> pa.Schema:
        """Return the columns that the kernel yields for batches of ``rows``."""
        place = rows.get_field_index(self.column)
        return rows.set(place, pa.field(self.column, TOKEN))

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield each batch with tokens in place of identifiers.

        Raises:
            ValueError: The column is neither int64 nor string, or a text is too long; the message
                names no value.
        """
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS):
                yield self._replaced(batch.slice(start, _ROWS))

    def _replaced(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        identifiers = batch.column(self.column)
        if pa.types.is_int64(identifiers.type):
            tokens = self._number_tokens(identifiers)
        elif pa.types.is_string(identifiers.type):
            tokens = self._text_tokens(identifiers)
        else:
            raise ValueError(f"identifiers of type {identifiers.type}")
        columns = list(batch.columns)
        columns[batch.schema.get_field_index(self.column)] = _binary(tokens, identifiers)
        return pa.RecordBatch.from_arrays(columns, schema=self.result(batch.schema))

    def _number_tokens(self, numbers: pa.Array) -> np.ndarray:
        blocks = np.empty((len(numbers), 2), dtype=">u8")
        blocks[:, 0] = int.from_bytes(_NUMBER + self._domain(7), "big")
        blocks[:, 1] = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).view("u8")
        return self._encrypted(blocks.view(np.uint8).reshape(-1, _BLOCK))

    def _text_tokens(self, texts: pa.Array) -> np.ndarray:
        """Take texts of as many blocks together: each step of the chain is one bulk call."""
        starts, lengths, data = _parts(texts)
        if len(lengths) and int(lengths.max()) > TEXT_BYTES_MAX:
            raise ValueError(f"an identifier of more than {TEXT_BYTES_MAX} bytes")
        counts = -(-(_HEADER + lengths) // _BLOCK)
        tokens = np.empty((len(lengths), TOKEN_BYTES), dtype=np.uint8)
        for count in np.unique(counts):
            chosen = np.flatnonzero(counts == count)
            blocks = self._text_blocks(starts[chosen], lengths[chosen], data, int(count))
            chain = self._encrypted(blocks[:, :_BLOCK])
            for begin in range(_BLOCK, blocks.shape[1], _BLOCK):
                chain = self._encrypted(chain ^ blocks[:, begin : begin + _BLOCK])
            tokens[chosen] = chain
        return tokens

    def _text_blocks(
        self, starts: np.ndarray, lengths: np.ndarray, data: np.ndarray, count: int
    ) -> np.ndarray:
        """Return one row of ``count`` blocks for each text."""
        blocks = np.zeros((len(starts), count * _BLOCK), dtype=np.uint8)
        blocks[:, :6] = np.frombuffer(_TEXT + self._domain(5), dtype=np.uint8)
        blocks[:, 6:_HEADER] = lengths.astype(">u2").view(np.uint8).reshape(-1, 2)
        longest = int(lengths.max())
        if longest:
            blocks[:, _HEADER : _HEADER + longest] = _laid_out(starts, lengths, data, longest)
        return blocks

    def _domain(self, size: int) -> bytes:
        return hashlib.sha256(_LABEL + self.domain.encode()).digest()[:size]

    def _encrypted(self, blocks: np.ndarray) -> np.ndarray:
        """Apply AES to each block by itself: the permutation, and not a way to hide a message."""
        mode = ECB()  # noqa: S305 - one block is one identifier; equal ones are to be equal
        cipher = Cipher(AES(self.key), mode).encryptor()
        plain = np.ascontiguousarray(blocks)
        found = cipher.update(plain.data) + cipher.finalize()
        return np.frombuffer(found, dtype=np.uint8).reshape(-1, _BLOCK)


def _parts(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each text starts, how long it is (0 where missing), and the bytes of all."""
    _, offsets, data = texts.buffers()
    size = offsets.size // 4 if offsets is not None else 0
    places = np.frombuffer(offsets, dtype=np.int32, count=size) if size else np.zeros(1, np.int32)
    places = places[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    lengths = np.diff(places)
    lengths[texts.is_null().to_numpy(zero_copy_only=False)] = 0
    whole = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else None
    return places[:-1], lengths, np.zeros(1, np.uint8) if whole is None else whole


def _laid_out(
    starts: np.ndarray, lengths: np.ndarray, data: np.ndarray, longest: int
) -> np.ndarray:
    """Return one row of bytes for each text, zeros behind it."""
    if int(lengths.min()) == longest and bool((np.diff(starts) == longest).all()):
        # Identity numbers lie one behind the other: no index of every byte is needed.
        return data[starts[0] : starts[0] + len(starts) * longest].reshape(-1, longest)
    places = np.arange(longest)
    taken = np.minimum(starts[:, None] + places, len(data) - 1)
    rows: np.ndarray = data[taken] * (places < lengths[:, None])
    return rows


def _binary(tokens: np.ndarray, identifiers: pa.Array) -> pa.Array:
    """Return the tokens as a column, missing where the identifier is."""
    found = pa.Array.from_buffers(TOKEN, len(tokens), [None, pa.py_buffer(tokens.tobytes())])
    return pc.if_else(identifiers.is_valid(), found, pa.scalar(None, TOKEN))
