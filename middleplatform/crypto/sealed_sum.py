"""Sealed sum: departments' cells under a recipient's key, added by a gateway that cannot read them.

The order of a round::

    seal -> SealedWords      every department, then signed into its ticket entry
    add                      the gateway, over all departments
    add_plain                the gateway, its own part (private join); re-randomises
    open_words               the recipient, who alone holds the private key

Imported by node, gateway, cli (through them) and tests.
Spec: docs/spec/sealed-sum.md.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from gmpy2 import mpz

from middleplatform.crypto.encoding import bad_message, tagged_digest
from middleplatform.crypto.hazmat.masks import MaskStream
from middleplatform.crypto.hazmat.paillier import all_units, encrypt_all, multiply_all
from middleplatform.crypto.hazmat.pair_keys import SECRET_BYTES, single_use_key
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.crypto.sealed_packing import Packing, Words
from middleplatform.crypto.sealed_pool import GRADES, Grade, RandomPool, shared_pool
from middleplatform.crypto.sealing_key import SealingKey

__all__ = [
    "CELLS_MAX",
    "SealedWords",
    "ZeroSum",
    "add",
    "add_plain",
    "open_words",
    "rerandomise",
    "seal",
]

CELLS_MAX = 1 << 22
_HEADER = struct.Struct(">5sc?BHHHI32s")
_SUITE = b"MPSW1"
_MASK_EXTRA_BYTES = 16


@dataclass(frozen=True, slots=True)
class ZeroSum:
    """The pairwise secrets by which a department masks its plaintexts.

    Attributes:
        own_name: This department.
        secrets: Every other department's name, and the 32 bytes shared with it.
        bound: Canonical bytes of the round and of the vector in it: **a secret and bound given twice make the
            same masks twice**, so the second of two vectors needs another bound.
    """

    own_name: str
    secrets: Mapping[str, bytes] = field(repr=False)
    bound: bytes

    def __post_init__(self) -> None:
        lengths = {len(secret) for secret in self.secrets.values()}
        if not self.secrets or lengths != {SECRET_BYTES} or self.own_name in self.secrets:
            raise bad_message("the secrets of a zero sum are not valid")


@dataclass(frozen=True, slots=True)
class SealedWords:
    """A vector of cells under a sealing key.

    Attributes:
        key: The recipient's key.
        grade: Of the randomness.
        masked: Whether zero-sum masks lie on the plaintexts: then only the sum of all parties opens.
        slot_bytes: Width of a cell: 5, 8 or 9.
        parties: How many vectors may be added.
        added: How many have been.
        count: Number of cells.
        ciphertexts: One for each ``Packing.slots`` cells.

    Reveals:
        To who has not got the private key: everything but the cells.
    """

    key: SealingKey
    grade: Grade
    masked: bool
    slot_bytes: int
    parties: int
    added: int
    count: int
    ciphertexts: tuple[mpz, ...] = field(repr=False)

    def __post_init__(self) -> None:
        valid = (
            self.grade in GRADES
            and 0 < self.added <= self.parties
            and 0 <= self.count <= CELLS_MAX
            and len(self.ciphertexts) == self.packing.plaintexts(self.count)
        )
        if not valid:
            raise bad_message("sealed words are not valid")

    @property
    def packing(self) -> Packing:
        """How the cells stand in the plaintexts."""
        return Packing(self.key.bits, self.slot_bytes, self.parties)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, for tickets."""
        return tagged_digest("middleplatform sealed words v1", self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: a header of 50, then ciphertexts of twice the modulus' length."""
        head = _HEADER.pack(
            _SUITE,
            self.grade.encode(),
            self.masked,
            self.slot_bytes,
            self.key.bits,
            self.parties,
            self.added,
            self.count,
            bytes.fromhex(self.key.key_id),
        )
        size = self.key.bits // 4
        return head + b"".join(c.to_bytes(size, "big") for c in self.ciphertexts)

    @classmethod
    def from_bytes(cls, raw: bytes, key: SealingKey) -> "SealedWords":
        """Return the words that ``raw`` encodes, under ``key``.

        Raises:
            ProtocolError: X001 when ``raw`` is anything but the canonical bytes of words under this
                key: another key, a wrong length, a ciphertext that is not in 1 to n**2 - 1, or one
                that shares a factor with n.

        Reveals:
            Nothing. A ciphertext that shares a factor with n *shows* that factor: the error's
            detail is then ``factor``, which an operator must take as an alarm.
        """
        if len(raw) < _HEADER.size:
            raise bad_message("sealed words are cut short")
        suite, grade, masked, slot_bytes, bits, parties, added, count, key_id = _HEADER.unpack_from(
            raw
        )
        if suite != _SUITE or bits != key.bits or key_id.hex() != key.key_id or raw[6] > 1:
            raise bad_message("sealed words of another suite or key")
        packing = Packing(bits, slot_bytes, parties)
        size = bits // 4
        if count > CELLS_MAX or len(raw) != _HEADER.size + size * packing.plaintexts(count):
            raise bad_message("sealed words of another length")
        ciphertexts = tuple(
            mpz.from_bytes(raw[start : start + size], "big")
            for start in range(_HEADER.size, len(raw), size)
        )
        _check_ciphertexts(ciphertexts, key.modulus)
        letter = next((each for each in GRADES if each.encode() == grade), None)
        if letter is None:
            raise bad_message("sealed words of no grade")
        return cls(key, letter, masked, slot_bytes, parties, added, count, ciphertexts)


def _check_ciphertexts(ciphertexts: Sequence[mpz], n: mpz) -> None:
    square = n * n
    if not all(0 < c < square for c in ciphertexts):
        raise bad_message("a ciphertext is out of range")
    if not all_units(ciphertexts, n):
        raise bad_message("factor: a ciphertext shares one with the modulus")


def seal(
    words: Words,
    key: SealingKey,
    *,
    parties: int,
    grade: Grade = "B",
    slot_bytes: int = 8,
    pool: RandomPool | None = None,
    zero_sum: ZeroSum | None = None,
) -> SealedWords:
    """Return cells sealed under a recipient's key.

    Args:
        words: Shape ``(cells,)``: int64, or uint64 for slots of nine bytes.
        key: The recipient's, **checked by** ``check_key``.
        parties: Number of vectors that will be added, this one included, 1 to 1024.
        grade: Of the randomness: A, B or C.
        slot_bytes: 8; 5 for counts; 9 for residues modulo 2**64.
        pool: Gives the random factors; this process's own by default.
        zero_sum: Masks the plaintexts, so that only the sum of all ``parties`` opens.

    Raises:
        ProtocolError: X001 for words of another type, a pool of another key or grade, secrets of
            another number of parties; X004 when ``|v| >= 2**(8 slot_bytes - 1) / parties``.

    Reveals:
        To the gateway: the number of cells. To the recipient, who opens: the cells, or with
        ``zero_sum`` nothing but the sum over all parties.
    """
    if words.size > CELLS_MAX:
        raise bad_message("too many cells")
    packing = Packing(key.bits, slot_bytes, parties)
    plaintexts = packing.pack(words)
    if zero_sum is not None:
        plaintexts = _masked(plaintexts, key, packing, zero_sum)
    factors = _factors(key, grade, len(plaintexts), pool)
    sealed = encrypt_all(plaintexts, factors, key.modulus)
    return SealedWords(
        key, grade, zero_sum is not None, slot_bytes, parties, 1, words.size, tuple(sealed)
    )


def _factors(key: SealingKey, grade: Grade, count: int, pool: RandomPool | None) -> list[mpz]:
    pool = shared_pool(key, grade) if pool is None else pool
    if pool.key != key or pool.grade != grade:
        raise bad_message("a pool of another key or grade")
    return pool.take(count)


def _masked(
    plaintexts: Sequence[mpz], key: SealingKey, packing: Packing, zero_sum: ZeroSum
) -> list[mpz]:
    """Add a uniform number modulo n for each other party: the lower name adds, the higher subtracts."""
    if len(zero_sum.secrets) != packing.parties - 1:
        raise bad_message("secrets of another number of parties")
    masked = list(plaintexts)
    told = (bytes.fromhex(key.key_id), bytes([packing.slot_bytes]), len(masked).to_bytes(4, "big"))
    for name, secret in zero_sum.secrets.items():
        mask_key = single_use_key(secret, "sealed-sum mask", zero_sum.bound, *told)
        sign = 1 if zero_sum.own_name < name else -1
        masks = _mask_numbers(mask_key, len(masked), key.bits // 8 + _MASK_EXTRA_BYTES)
        masked = [m + sign * mask for m, mask in zip(masked, masks, strict=True)]
    return masked


def _mask_numbers(mask_key: bytes, count: int, size: int) -> list[mpz]:
    stream = MaskStream(mask_key)
    buffer = np.empty(size // 8, dtype="<u8")
    numbers = []
    for _ in range(count):
        stream.fill(buffer)
        numbers.append(mpz.from_bytes(buffer.tobytes(), "little"))
    return numbers


def add(vectors: Sequence[SealedWords]) -> SealedWords:
    """Return the sealed sum.

    Args:
        vectors: At least one, alike in all but ciphertexts; their ``added`` sum up to ``parties`` at most.

    Raises:
        ProtocolError: X001 when they are not alike or too many.

    Reveals:
        Nothing. To whoever saw the summands, that this is their sum: ``rerandomise`` hides that.
    """
    if not vectors:
        raise bad_message("nothing to add")
    first, added = vectors[0], sum(each.added for each in vectors)
    alike = {
        (each.key, each.grade, each.masked, each.slot_bytes, each.parties, each.count)
        for each in vectors
    }
    if len(alike) != 1 or added > first.parties:
        raise bad_message("sealed words that do not add")
    products = multiply_all([each.ciphertexts for each in vectors], first.key.modulus)
    return replace(first, added=added, ciphertexts=tuple(products))


def add_plain(sealed: SealedWords, words: Words, *, pool: RandomPool | None = None) -> SealedWords:
    """Return sealed words with known ones added, re-randomised; it counts as one more vector.

    Args:
        sealed: With ``added < parties``.
        words: As for ``seal``; one for each cell.
        pool: As for ``seal``.

    Raises:
        ProtocolError: X001, X004 as ``seal`` and ``add``.

    Reveals:
        Nothing: without fresh randomness the quotient of both would show the words.
    """
    if sealed.added >= sealed.parties or words.size != sealed.count:
        raise bad_message("words that do not add")
    n = sealed.key.modulus
    factors = _factors(sealed.key, sealed.grade, len(sealed.ciphertexts), pool)
    own = encrypt_all(sealed.packing.pack(words), factors, n)
    ciphertexts = tuple(multiply_all([sealed.ciphertexts, own], n))
    return replace(sealed, added=sealed.added + 1, ciphertexts=ciphertexts)


def rerandomise(sealed: SealedWords, *, pool: RandomPool | None = None) -> SealedWords:
    """Return other ciphertexts of the same cells: before one is forwarded.

    Reveals:
        Nothing: who saw the old ones cannot tell that these hold the same.
    """
    factors = _factors(sealed.key, sealed.grade, len(sealed.ciphertexts), pool)
    ciphertexts = multiply_all([sealed.ciphertexts, factors], sealed.key.modulus)
    return replace(sealed, ciphertexts=tuple(ciphertexts))


def open_words(key: OpeningKey, sealed: SealedWords) -> Words:
    """Return the cells.

    Args:
        key: The private key. A service must ask ``tickets.open_ticket`` instead: who opens whatever
            comes is a decryption oracle.
        sealed: Words under its public half.

    Returns:
        int64; for slots of nine bytes uint64, the sum modulo 2**64.

    Raises:
        ProtocolError: X001 for another key, or masked words of which some are missing; X004 when a
            plaintext holds no cells, as when masks do not cancel.

    Reveals:
        The cells, to the key's holder.
    """
    if sealed.key != key.public:
        raise bad_message("sealed words of another key")
    if sealed.masked and sealed.added < sealed.parties:
        raise bad_message("masked words of which some are missing")
    _check_ciphertexts(sealed.ciphertexts, sealed.key.modulus)
    return sealed.packing.unpack(
        key.decrypt_all(sealed.ciphertexts), sealed.count, sealed.key.modulus
    )
