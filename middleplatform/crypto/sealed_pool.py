"""Random factors of ciphertexts: three grades, made on demand or beforehand, each given out once.

No factor is ever made from two others: products of pool members are not independent of one another.
Imported by node, gateway and the recipes of this package.
Spec: docs/spec/sealed-sum.md, "Grades".

Reveals:
    Nothing, as long as a factor stays secret and goes into one ciphertext.
"""

import hashlib
import os
import secrets
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Literal, NoReturn

import gmpy2
from gmpy2 import mpz

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.hazmat.fixed_base import FixedBase
from middleplatform.crypto.hazmat.paillier import on_all_cores
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.ports import Rng

__all__ = ["GRADES", "Grade", "RandomPool", "shared_pool"]

Grade = Literal["A", "B", "C"]
GRADES: tuple[Grade, ...] = ("A", "B", "C")
SUBGROUP_BITS = 512
"""Grade C: exponents, and the order of the subgroup (Ma, Han, Lei, ACSAC 2021, table for 128 bits)."""
POOL_MAX = 1 << 16
"""Factors that wait: 48 MiB at 3072 bits."""
_EXTRA_BYTES = 16
"""A number of 128 bits more than n, reduced, is uniform to within 2**-128."""


class _SystemRng:
    """The operating system's generator."""

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class RandomPool:
    """Factors of one key and grade. Neither copied nor pickled: a factor used twice hides nothing.

    Args:
        key: The sealing key.
        grade: A, B or C; C needs a key with a base.
        rng: The operating system's generator by default.

    Raises:
        ProtocolError: X001 for another grade, or C with a key that is not made for it.
    """

    def __init__(self, key: SealingKey, grade: Grade = "B", rng: Rng | None = None) -> None:
        if grade not in GRADES or (grade == "C" and not key.base):
            raise bad_message("the key does not serve this grade")
        self.key, self.grade = key, grade
        self._rng: Rng = rng or _SystemRng()
        self._lock = Lock()
        self._waiting: deque[mpz] = deque()
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"RandomPool({self.key.key_id!r}, {self.grade!r}, waiting={len(self._waiting)})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a pool is neither copied nor pickled: a factor used twice hides nothing")

    @property
    def waiting(self) -> int:
        """How many factors are ready."""
        return len(self._waiting)

    def fill(self, count: int) -> None:
        """Make factors until ``count`` wait, at most 65,536; for quiet hours, mostly for grade A."""
        with self._lock:
            self._forget_the_parents()
            missing = min(count, POOL_MAX) - len(self._waiting)
        made = self._make(max(missing, 0))
        with self._lock:
            self._waiting.extend(made)

    def take(self, count: int) -> list[mpz]:
        """Return ``count`` factors, n-th residues modulo ``n**2``, that were never given out."""
        with self._lock:
            self._forget_the_parents()
            ready = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        return ready + self._make(count - len(ready))

    def _forget_the_parents(self) -> None:
        """Drop what waited when this process was forked: the parent will give it out."""
        if self._process != os.getpid():
            self._waiting.clear()
            self._process = os.getpid()

    def _make(self, count: int) -> list[mpz]:
        n = self.key.modulus
        if self.grade == "A":
            return _uniform(n, [self._below(n) for _ in range(count)])
        base = _tables(self.key, self.grade)
        return [base.power(self._rng.token_bytes(base.exponent_bytes)) for _ in range(count)]

    def _below(self, n: mpz) -> mpz:
        size = self.key.bits // 8 + _EXTRA_BYTES
        return mpz(int.from_bytes(self._rng.token_bytes(size), "big")) % n


def _uniform(n: mpz, roots: Sequence[mpz]) -> list[mpz]:
    square = n * n
    return on_all_cores(lambda some: gmpy2.powmod_base_list(list(some), n, square), roots)


@lru_cache(maxsize=32)  # 3 MiB each
def _tables(key: SealingKey, grade: Grade) -> FixedBase:
    n = key.modulus
    square = n * n
    root = mpz(key.base) if grade == "C" else half_length_base(n)
    bits = SUBGROUP_BITS if grade == "C" else key.bits // 2
    return FixedBase(gmpy2.powmod(root, n, square), square, bits)


def half_length_base(n: mpz) -> mpz:
    """Return grade B's base: minus a square, so of Jacobi symbol 1, drawn from n by SHAKE-256.

    Everybody derives the same one, so that nobody chooses it.
    """
    size = gmpy2.bit_length(n) // 8
    seed = b"middleplatform sealed-sum base v1" + n.to_bytes(size, "big")
    x = mpz(int.from_bytes(hashlib.shake_256(seed).digest(size + _EXTRA_BYTES), "big"))
    return -x * x % n


@lru_cache(maxsize=64)
def shared_pool(key: SealingKey, grade: Grade) -> RandomPool:
    """Return this process's pool of a key and grade, from the operating system's generator."""
    return RandomPool(key, grade)
