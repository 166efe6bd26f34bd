"""Blum moduli: drawing one, and proving without showing its factors that it is one.

.. hazmat::
    Use ``middleplatform.crypto.sealed_keys`` and ``key_proof`` instead.

The proof is that of R. Canetti, R. Gennaro, S. Goldfeder, N. Makriyannis, U. Peled (CCS 2020, figure 16), whose
square roots go back to J. van de Graaf, R. Peralta (CRYPTO 1987), made non-interactive by hashing (Fiat, Shamir,
CRYPTO 1986). Its n-th roots are few, since small factors are divided out first: S. Goldberg, L. Reyzin, O. Sagga,
F. Baldimtsi (ASIACRYPT 2019).
Imported by the recipes of ``middleplatform.crypto`` only.
Spec: docs/spec/sealed-sum.md, "Key proof".

Reveals:
    Roots show that the modulus is a Blum modulus and that their maker knows its factors; of the factors nothing.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import gmpy2
from gmpy2 import mpz

from middleplatform.crypto.hazmat.paillier import PrivateModulus
from middleplatform.ports import Rng

__all__ = [
    "ROOTS_FOURTH",
    "ROOTS_NTH",
    "SMALL_FACTOR_BITS",
    "are_fourth_roots",
    "are_nth_roots",
    "draw_pair",
    "fourth_roots",
    "has_small_factor",
    "nth_roots",
    "pair_fault",
    "subgroup_base",
]

SMALL_FACTOR_BITS = 20
"""Factors below 2**20 are divided out: an n-th root that need not exist is one of 2**20 at least."""
ROOTS_NTH = 7
"""7 * 20 bits: soundness 2**-140."""
ROOTS_FOURTH = 128
"""One bit each: soundness 2**-128."""
RSA_EXPONENT = 65537
"""Of the file format only; it must be prime to (p - 1)(q - 1)."""
_PRIME_ROUNDS = 40
_DISTANCE_BITS = 100
"""|p - q| > 2**(bits / 2 - 100): FIPS 186-5, appendix A.1.1."""
_EXTRA_BYTES = 16
_BLUM, _BLUM_MODULUS, _COMMON = 3, 4, 2
"""p = q = 3 mod 4, and gcd(p - 1, q - 1) = 2."""


def _below(size: int, rng: Rng) -> mpz:
    return mpz.from_bytes(rng.token_bytes(size), "big")


def _draw_prime(bits: int, rng: Rng, subgroup: mpz) -> mpz:
    """Draw until a prime of 3 mod 4 with its two highest bits set comes, p - 1 a multiple of ``subgroup``."""
    top = mpz(3) << (bits - 2)
    while True:
        candidate = top | (_below(bits // 8, rng) >> 2)
        candidate = 1 + 2 * subgroup * ((candidate - 1) // (2 * subgroup) | 1)  # 1 + 2 * odd
        fits = gmpy2.bit_length(candidate) == bits and (candidate - 1) % RSA_EXPONENT != 0
        if fits and gmpy2.is_prime(candidate, _PRIME_ROUNDS):
            return candidate


def draw_pair(bits: int, rng: Rng, subgroup_bits: int = 0) -> tuple[mpz, mpz, mpz]:
    """Return p, q and the order of grade C's subgroup (1 without one).

    Args:
        bits: Of p * q, a multiple of 16.
        rng: The operating system's generator.
        subgroup_bits: Of the subgroup's order; 0 for a key without one.
    """
    while True:
        orders = [
            _draw_prime(subgroup_bits // 2, rng, mpz(1)) if subgroup_bits else mpz(1)
            for _ in range(2)
        ]
        p, q = (_draw_prime(bits // 2, rng, order) for order in orders)
        if not pair_fault(p, q, bits):
            return p, q, orders[0] * orders[1]


def pair_fault(p: mpz, q: mpz, bits: int) -> str:
    """Return what is wrong with two factors as a word for the log, or an empty string."""
    checks = {
        "size": gmpy2.bit_length(p) == gmpy2.bit_length(q) == bits // 2
        and gmpy2.bit_length(p * q) == bits,
        "distance": abs(p - q) > mpz(1) << (bits // 2 - _DISTANCE_BITS),
        "residue": p % _BLUM_MODULUS == q % _BLUM_MODULUS == _BLUM,
        "common": gmpy2.gcd(p - 1, q - 1) == _COMMON,
        "exponent": gmpy2.gcd(p * q, (p - 1) * (q - 1)) == 1
        and (p - 1) * (q - 1) % RSA_EXPONENT != 0,
        "prime": gmpy2.is_prime(p, _PRIME_ROUNDS) and gmpy2.is_prime(q, _PRIME_ROUNDS),
    }
    return next((name for name, holds in checks.items() if not holds), "")


def subgroup_base(p: mpz, q: mpz, order: mpz, rng: Rng) -> mpz:
    """Return minus an element of ``order``: grade C's generator (Ma, Han, Lei, ACSAC 2021)."""
    n = p * q
    y = _below(gmpy2.bit_length(n) // 8 + _EXTRA_BYTES, rng) % n
    return -gmpy2.powmod(y, (p - 1) * (q - 1) // (2 * order), n) % n


@lru_cache(maxsize=1)
def _small_primes() -> mpz:
    return gmpy2.primorial(1 << SMALL_FACTOR_BITS)


def has_small_factor(n: mpz) -> bool:
    """Return whether a prime below 2**20 divides n."""
    return bool(gmpy2.gcd(_small_primes() % n, n) != 1)


def _challenges(n: mpz, seed: bytes, kind: bytes, count: int) -> list[mpz]:
    size = gmpy2.bit_length(n) // 8 + _EXTRA_BYTES
    raw = hashlib.shake_256(b"middleplatform key proof v1" + kind + seed).digest(size * count)
    return [mpz.from_bytes(raw[at : at + size], "big") % n for at in range(0, len(raw), size)]


def _non_residue(n: mpz, seed: bytes) -> mpz:
    """Return the first number of Jacobi symbol -1 among hashes: nobody chooses it."""
    candidates = _challenges(n, seed, b"w", 256)
    return next((w for w in candidates if gmpy2.jacobi(w, n) == -1), mpz(0))


def nth_roots(key: PrivateModulus, seed: bytes) -> list[mpz]:
    """Return the n-th roots modulo n of ``ROOTS_NTH`` challenges."""
    exponents = [gmpy2.invert(key.n, prime - 1) for prime in (key.p, key.q)]
    return [key.power(y, *exponents) for y in _challenges(key.n, seed, b"n", ROOTS_NTH)]


def are_nth_roots(n: mpz, seed: bytes, roots: Sequence[mpz]) -> bool:
    """Return whether these are n-th roots of the challenges: then gcd(n, phi(n)) = 1."""
    challenges = _challenges(n, seed, b"n", ROOTS_NTH)
    units = gmpy2.gcd(_product(challenges, n), n) == 1
    return bool(units and gmpy2.powmod_base_list(list(roots), n, n) == challenges)


def fourth_roots(key: PrivateModulus, seed: bytes) -> list[mpz]:
    """Return, for each challenge y, a fourth root of the one of y, -y, wy, -wy that is a square.

    The root is itself a square, so there is one for each y: another would give the factors away.
    """
    n, w = key.n, _non_residue(key.n, seed)
    exponents = [((prime + 1) // 4) ** 2 % ((prime - 1) // 2) for prime in (key.p, key.q)]
    roots = []
    for y in _challenges(n, seed, b"b", ROOTS_FOURTH):
        square = next(v for v in _classes(y, w, n) if _is_square(v, key))
        roots.append(key.power(square, *exponents))
    return roots


def _is_square(value: mpz, key: PrivateModulus) -> bool:
    return bool(gmpy2.jacobi(value, key.p) == gmpy2.jacobi(value, key.q) == 1)


def _classes(y: mpz, w: mpz, n: mpz) -> list[mpz]:
    return [y, -y % n, w * y % n, -w * y % n]


def are_fourth_roots(n: mpz, seed: bytes, roots: Sequence[mpz]) -> bool:
    """Return whether these are the fourth roots: then n is of two primes' powers, both 3 mod 4."""
    w = _non_residue(n, seed)
    challenges = _challenges(n, seed, b"b", ROOTS_FOURTH)
    units = gmpy2.gcd(_product([w, *challenges], n), n) == 1
    fit = (
        gmpy2.powmod(root, 4, n) in _classes(y, w, n)
        for root, y in zip(roots, challenges, strict=True)
    )
    return bool(units) and all(fit)


def _product(values: Sequence[mpz], n: mpz) -> mpz:
    product = mpz(1)
    for value in values:
        product = product * value % n
    return product
