"""The public half of a recipient's key: what departments seal under.

Imported by node, gateway and the recipes of this package.
Spec: docs/spec/sealed-sum.md, "Keys".

Reveals:
    A sealing key is public: who holds it, since when, and the modulus.
"""

import re
from dataclasses import dataclass, field

from gmpy2 import mpz

from middleplatform.crypto.encoding import Reader, bad_message, join_parts, tagged_digest

__all__ = ["KEY_BITS", "KEY_BITS_DEFAULT", "KEY_ID_BYTES", "SealingKey"]

KEY_BITS = (2048, 3072)
KEY_BITS_DEFAULT = 3072
KEY_ID_BYTES = 32
_SUITE = "MPSK1"
_HOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}")
_CREATED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_TEXT_BYTES_MAX = 128


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A Paillier public key with its holder's name.

    Attributes:
        n: The modulus, of exactly 2048 or 3072 bits, odd.
        holder: 1 to 128 characters of ``A-Z a-z 0-9 _ . : @ -``.
        created: UTC, ``YYYY-MM-DDTHH:MM:SSZ``.
        base: Grade C's generator of the small subgroup, 1 < base < n; 0 for a key without one.
        key_id: SHA-256 of the canonical bytes, 64 hexadecimal digits.

    Raises:
        ProtocolError: X001 when a value is outside its range. Whether n is *good* says ``check_key``.
    """

    n: int
    holder: str
    created: str
    base: int = 0
    key_id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        valid = (
            self.n.bit_length() in KEY_BITS
            and self.n % 2 == 1
            and self.base != 1
            and 0 <= self.base < self.n
            and _HOLDER.fullmatch(self.holder) is not None
            and _CREATED.fullmatch(self.created) is not None
        )
        if not valid:
            raise bad_message("a sealing key is not valid")
        digest = tagged_digest("middleplatform sealing key v1", self.to_bytes())
        object.__setattr__(self, "key_id", digest.hex())

    @property
    def bits(self) -> int:
        """Length of the modulus: 2048 or 3072."""
        return self.n.bit_length()

    @property
    def modulus(self) -> mpz:
        """The modulus as the arithmetic wants it."""
        return mpz(self.n)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: suite, holder, created, n and base, each behind its length."""
        modulus = self.n.to_bytes(self.bits // 8, "big")
        base = self.base.to_bytes(self.bits // 8, "big") if self.base else b""
        return join_parts(_SUITE, self.holder, self.created, modulus, base)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "SealingKey":
        """Return the key that ``raw`` encodes.

        Raises:
            ProtocolError: X001 when ``raw`` is anything but the canonical bytes of a key.
        """
        reader = Reader(raw)
        suite = reader.text(_TEXT_BYTES_MAX)
        holder, created = reader.text(_TEXT_BYTES_MAX), reader.text(_TEXT_BYTES_MAX)
        n, base = (int.from_bytes(reader.part(max(KEY_BITS) // 8), "big") for _ in range(2))
        reader.end()
        key = cls(n, holder, created, base)
        if suite != _SUITE or key.to_bytes() != raw:
            raise bad_message("a sealing key is not written as it should be")
        return key
