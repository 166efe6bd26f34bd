"""Paillier's arithmetic on gmpy2 integers: generator n + 1, so that a ciphertext of m is (1 + m n) R mod n**2.

.. hazmat::
    Use ``middleplatform.crypto.sealed_sum`` instead. Nothing here checks a range, draws randomness or
    knows whether a random factor was used before; a factor used twice gives away a difference.

Imported by the recipes of ``middleplatform.crypto`` only.
Spec: docs/spec/sealed-sum.md, "Ciphertexts"; P. Paillier, EUROCRYPT 1999.

Reveals:
    Nothing by itself: functions of the caller's own values.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import TypeVar

import gmpy2
from gmpy2 import mpz

__all__ = ["PrivateModulus", "all_units", "encrypt_all", "multiply_all", "on_all_cores"]

_CORES = max(1, min(cpu_count() or 1, 8))
_T = TypeVar("_T")
_R = TypeVar("_R")


def on_all_cores(work: Callable[[Sequence[_T]], list[_R]], items: Sequence[_T]) -> list[_R]:
    """Return ``work(items)``, done in as many threads as there are cores, in order.

    Args:
        work: Releases the interpreter lock for most of its time, as gmpy2's list functions do.
        items: Cut into one run of neighbors a thread.
    """
    if len(items) < 2 * _CORES:
        return work(items)
    step = -(-len(items) // _CORES)
    runs = [items[start : start + step] for start in range(0, len(items), step)]
    with ThreadPoolExecutor(_CORES) as threads:
        return [result for part in threads.map(work, runs) for result in part]


def encrypt_all(plaintexts: Sequence[mpz], factors: Sequence[mpz], n: mpz) -> list[mpz]:
    """Return ``(1 + m n) R mod n**2`` for each plaintext and factor.

    Args:
        plaintexts: Integers; negative ones stand for their residue modulo n.
        factors: As many n-th residues modulo ``n**2``, **each fresh**.
        n: The modulus.
    """
    square = n * n
    return [
        (1 + m % n * n) * factor % square for m, factor in zip(plaintexts, factors, strict=True)
    ]


def multiply_all(rows: Sequence[Sequence[mpz]], n: mpz) -> list[mpz]:
    """Return the product modulo ``n**2`` of the first entries of all rows, of the second ones, and so on.

    Args:
        rows: At least one, of equal lengths.
        n: The modulus.
    """
    square = n * n
    products = list(rows[0])
    for row in rows[1:]:
        products = [a * b % square for a, b in zip(products, row, strict=True)]
    return products


def all_units(values: Sequence[mpz], n: mpz) -> bool:
    """Return whether no value shares a factor with n, by one gcd of their product modulo n."""
    product = mpz(1)
    for value in values:
        product = product * value % n
    return bool(gmpy2.gcd(product, n) == 1)


class PrivateModulus:
    """The two primes, and what opening needs of them.

    Args:
        p: A prime.
        q: Another one.
    """

    __slots__ = ("_parts", "_q_inverse", "n", "p", "q")

    def __init__(self, p: int, q: int) -> None:
        self.p, self.q = mpz(p), mpz(q)
        self.n = self.p * self.q
        self._q_inverse = gmpy2.invert(self.q, self.p)
        self._parts = tuple(
            (prime, prime * prime, gmpy2.invert((prime - 1) * (self.n // prime) % prime, prime))
            for prime in (self.p, self.q)
        )

    def decrypt_all(self, ciphertexts: Sequence[mpz]) -> list[mpz]:
        """Return the plaintexts, 0 <= m < n, by the Chinese remainder theorem.

        The exponent is secret: ``powmod_sec`` takes the same time for each of equal length.
        """
        return on_all_cores(self._decrypt, ciphertexts)

    def _decrypt(self, ciphertexts: Sequence[mpz]) -> list[mpz]:
        with gmpy2.context(allow_release_gil=True):
            residues = [
                [
                    (gmpy2.powmod_sec(c % square, prime - 1, square) - 1) // prime * scale % prime
                    for c in ciphertexts
                ]
                for prime, square, scale in self._parts
            ]
        return [self.combine(a, b) for a, b in zip(*residues, strict=True)]

    def combine(self, modulo_p: mpz, modulo_q: mpz) -> mpz:
        """Return the number below n with these two residues."""
        return modulo_q + (modulo_p - modulo_q) * self._q_inverse % self.p * self.q

    def power(self, base: mpz, exponent_p: mpz, exponent_q: mpz) -> mpz:
        """Return the number that is ``base**exponent_p`` modulo p and ``base**exponent_q`` modulo q."""
        return self.combine(
            gmpy2.powmod_sec(base % self.p, exponent_p, self.p),
            gmpy2.powmod_sec(base % self.q, exponent_q, self.q),
        )
