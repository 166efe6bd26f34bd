"""The holder's proof that a sealing key is sound, and the checks of whoever is to seal under it.

Imported by gateway, node and the recipes of this package.
Spec: docs/spec/sealed-sum.md, "Key proof".

Reveals:
    A proof shows that the modulus is a product of two primes, both 3 modulo 4, and that its maker knows
    them; of the primes nothing more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import gmpy2
from gmpy2 import mpz

from middleplatform.crypto.encoding import Reader, bad_message, join_parts, tagged_digest
from middleplatform.crypto.hazmat.blum_modulus import (
    ROOTS_FOURTH,
    ROOTS_NTH,
    are_fourth_roots,
    are_nth_roots,
    fourth_roots,
    has_small_factor,
    nth_roots,
)
from middleplatform.crypto.hazmat.paillier import PrivateModulus
from middleplatform.crypto.sealing_key import KEY_BITS, SealingKey
from middleplatform.errors import ProtocolError

__all__ = ["KeyProof", "check_key", "prove_key"]

_SUITE = "MPKP1"
_FERMAT_STEPS = 1000


@dataclass(frozen=True, slots=True)
class KeyProof:
    """Roots of challenges that are hashes of the key.

    Attributes:
        key_id: Of the key that is proved.
        bits: Length of the modulus, hence of each root.
        nth: ``ROOTS_NTH`` n-th roots.
        fourth: ``ROOTS_FOURTH`` fourth roots.
    """

    key_id: str
    bits: int
    nth: tuple[mpz, ...] = field(repr=False)
    fourth: tuple[mpz, ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: suite, key id (32), then the roots, each as long as the modulus."""
        roots = b"".join(
            int(root).to_bytes(self.bits // 8, "big") for root in self.nth + self.fourth
        )
        return join_parts(_SUITE, bytes.fromhex(self.key_id)) + roots

    @classmethod
    def from_bytes(cls, raw: bytes) -> "KeyProof":
        """Return the proof that ``raw`` encodes.

        Raises:
            ProtocolError: X001 when ``raw`` has not the form of a proof.
        """
        reader = Reader(raw)
        suite, key_id = reader.text(16), reader.part(32)
        count = ROOTS_NTH + ROOTS_FOURTH
        size = (len(raw) - len(join_parts(_SUITE, key_id))) // count
        if suite != _SUITE or len(key_id) != 32 or size * 8 not in KEY_BITS:  # noqa: PLR2004 - a digest
            raise bad_message("a key proof is not valid")
        roots = tuple(mpz(int.from_bytes(reader.take(size), "big")) for _ in range(count))
        reader.end()
        return cls(key_id.hex(), size * 8, roots[:ROOTS_NTH], roots[ROOTS_NTH:])


def _seed(key: SealingKey) -> bytes:
    return tagged_digest("middleplatform key proof seed v1", key.to_bytes())


def prove_key(key: SealingKey, private: PrivateModulus) -> KeyProof:
    """Return the proof for a key whose primes the caller holds; always the same one.

    Args:
        key: The public half.
        private: Its primes.
    """
    seed = _seed(key)
    return KeyProof(
        key.key_id,
        key.bits,
        tuple(nth_roots(private, seed)),
        tuple(fourth_roots(private, seed)),
    )


def check_key(key: SealingKey, proof: KeyProof, known: Sequence[SealingKey]) -> None:
    """Return only if departments may seal under ``key``.

    Args:
        key: The key that is published.
        proof: Its holder's.
        known: All keys that were ever published, this one or not.

    Raises:
        ProtocolError: X007 for a modulus that is a prime, has a small factor, close primes or a factor in
            common with a known one, a base of grade C that generates nothing, or a proof that fails.
    """
    n = key.modulus
    faults = (
        (
            lambda: n % 4 != 1 or gmpy2.is_prime(n),
            "its modulus is no product of two primes",
            "其模数不是两个素数之积",
        ),
        (lambda: has_small_factor(n), "its modulus has a small factor", "其模数含小因子"),
        (lambda: _primes_are_close(n), "its primes are too close", "其两个素数过于接近"),
        (
            lambda: _shares_factor(key, known),
            "it shares a factor with another key",
            "其与其他密钥有公因子",
        ),
        (lambda: _base_is_weak(key), "its base is not valid", "其子群基无效"),
        (lambda: not _is_proved(key, proof), "its proof fails", "其证明无效"),
    )
    for found, english, chinese in faults:
        if found():
            raise ProtocolError("X007", party=key.holder, what=(english, chinese))


def _primes_are_close(n: mpz) -> bool:
    """Try Fermat's factoring: a = ceil(sqrt n) upward until a**2 - n is a square."""
    a = gmpy2.isqrt(n - 1) + 1
    return any(gmpy2.is_square((a + step) ** 2 - n) for step in range(_FERMAT_STEPS))


def _shares_factor(key: SealingKey, known: Sequence[SealingKey]) -> bool:
    """Nobody but the same holder has the same modulus, and nobody a part of it."""
    same = {other.n for other in known if other.holder == key.holder and other.n == key.n}
    return any(gmpy2.gcd(key.modulus, other.modulus) != 1 for other in known if other.n not in same)


def _base_is_weak(key: SealingKey) -> bool:
    base, n = mpz(key.base), key.modulus
    if not base:
        return False
    return bool(gmpy2.gcd(base * (base * base - 1), n) != 1 or gmpy2.jacobi(base, n) != 1)


def _is_proved(key: SealingKey, proof: KeyProof) -> bool:
    n, seed = key.modulus, _seed(key)
    shaped = (
        (proof.key_id, proof.bits) == (key.key_id, key.bits)
        and (len(proof.nth), len(proof.fourth)) == (ROOTS_NTH, ROOTS_FOURTH)
        and all(0 < root < n for root in proof.nth + proof.fourth)
    )
    return shaped and are_nth_roots(n, seed, proof.nth) and are_fourth_roots(n, seed, proof.fourth)
