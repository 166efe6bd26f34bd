"""Many cells in one plaintext: slots of a fixed number of bytes, balanced digits of one integer.

Imported by the recipes of this package.
Spec: docs/spec/sealed-sum.md, "Packing".

Reveals:
    Nothing: it is arithmetic on the caller's own values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import gmpy2
import numpy as np
import numpy.typing as npt
from gmpy2 import mpz

from middleplatform.crypto.encoding import bad_message
from middleplatform.errors import ProtocolError

__all__ = ["RESIDUE_BYTES", "SLOT_BYTES", "Packing", "Words"]

Words = npt.NDArray[np.int64] | npt.NDArray[np.uint64]
RESIDUE_BYTES = 9
"""Slots of nine bytes hold residues modulo 2**64, unsigned; their sum needs more than 64 bits."""
SLOT_BYTES = (5, 8, RESIDUE_BYTES)
PARTIES_MAX = 1024
_WORD_BYTES = 8
_SPARE_BITS = 3
"""n has exactly ``bits`` bits, so what stays below ``2**(bits - 3)`` stays below n / 3."""


def _out_of_range(detail: str) -> ProtocolError:
    return ProtocolError("X004", detail=detail)


@dataclass(frozen=True, slots=True)
class Packing:
    """How cells stand in plaintexts.

    Attributes:
        bits: Length of the modulus.
        slot_bytes: 8 for signed cells, 5 for counts (signed too), 9 for residues modulo 2**64.
        parties: How many vectors are added at most, 1 to 1024.

    Raises:
        ProtocolError: X001 for another width or number of parties; X004 when residues of so many
            parties do not fit.
    """

    bits: int
    slot_bytes: int
    parties: int

    def __post_init__(self) -> None:
        if self.slot_bytes not in SLOT_BYTES or not 1 <= self.parties <= PARTIES_MAX:
            raise bad_message("a packing is not valid")
        if self.residues and self.limit < 1 << (8 * _WORD_BYTES):
            raise _out_of_range("residues of so many parties do not fit a slot")

    @property
    def residues(self) -> bool:
        """Whether slots hold unsigned residues modulo 2**64."""
        return self.slot_bytes == RESIDUE_BYTES

    @property
    def slots(self) -> int:
        """Cells in one plaintext: 47 of eight bytes in 3072 bits."""
        return (self.bits - _SPARE_BITS) // (8 * self.slot_bytes)

    @property
    def limit(self) -> int:
        """Every ``|v|`` is less than this: then no sum of all parties leaves its slot."""
        return -(-(1 << (8 * self.slot_bytes - 1)) // self.parties)

    @property
    def _offset(self) -> int:
        return 0 if self.residues else 1 << (8 * self.slot_bytes - 1)

    @property
    def _bias(self) -> mpz:
        """One ``_offset`` in each slot: signed digits become the bytes of an unsigned number."""
        digit = self._offset.to_bytes(self.slot_bytes, "little")
        return mpz.from_bytes(digit * self.slots, "little")

    def plaintexts(self, count: int) -> int:
        """Return how many plaintexts hold ``count`` cells."""
        return -(-count // self.slots)

    def pack(self, words: Words) -> list[mpz]:
        """Return the plaintexts, negative ones included; cells that are left over hold zero.

        Args:
            words: Shape ``(cells,)``; int64, or uint64 for residues.

        Raises:
            ProtocolError: X001 for another type or shape; X004 when a value is ``limit`` or more
                in size: it would spill into the neighboring cell.
        """
        if words.ndim != 1 or words.dtype != (np.uint64 if self.residues else np.int64):
            raise bad_message("words of another type")
        self._check_range(words)
        raw = self._digits(words)
        step, bias = self.slots * self.slot_bytes, self._bias
        return [
            mpz.from_bytes(raw[start : start + step], "little") - bias
            for start in range(0, len(raw), step)
        ]

    def _check_range(self, words: Words) -> None:
        if not words.size or self.residues:
            return
        if max(int(words.max()), -int(words.min())) >= self.limit:
            raise _out_of_range("a value is too large for its slot")

    def _digits(self, words: Words) -> bytes:
        cells = np.zeros(self.plaintexts(words.size) * self.slots, dtype="<u8")
        cells[: words.size] = words.view(np.uint64)
        if not self.residues:
            cells += np.uint64(self._offset)
        octets = np.zeros((cells.size, max(self.slot_bytes, _WORD_BYTES)), dtype=np.uint8)
        octets[:, :_WORD_BYTES] = cells.view(np.uint8).reshape(-1, _WORD_BYTES)
        return octets[:, : self.slot_bytes].tobytes()

    def unpack(self, plaintexts: Sequence[mpz], count: int, n: mpz) -> Words:
        """Return the cells of summed plaintexts.

        Args:
            plaintexts: 0 <= m < n; more than half of n stands for a negative number.
            count: Number of cells.
            n: The modulus.

        Returns:
            int64, or for residues uint64: the sum modulo 2**64.

        Raises:
            ProtocolError: X001 when there is another number of plaintexts; X004 when one is no
                packed number, as when zero-sum masks did not cancel.
        """
        if len(plaintexts) != self.plaintexts(count):
            raise bad_message("another number of plaintexts than cells need")
        bias, size = self._bias, self.slots * self.slot_bytes
        raw = []
        for m in plaintexts:
            value = (m - n if m > n // 2 else m) + bias
            if value < 0 or gmpy2.bit_length(value) > 8 * size:
                raise _out_of_range("a plaintext holds no cells")
            raw.append(value.to_bytes(size, "little"))
        return self._cells(b"".join(raw), count)

    def _cells(self, raw: bytes, count: int) -> Words:
        digits = np.frombuffer(raw, dtype=np.uint8).reshape(-1, self.slot_bytes)
        octets = np.zeros((digits.shape[0], _WORD_BYTES), dtype=np.uint8)
        width = min(self.slot_bytes, _WORD_BYTES)
        octets[:, :width] = digits[:, :width]
        cells = octets.view("<u8").reshape(-1) - np.uint64(self._offset)
        if cells[count:].any():
            raise _out_of_range("a cell beyond the last is not empty")
        cells = cells[:count].astype(np.uint64)
        return cells if self.residues else cells.view(np.int64)
