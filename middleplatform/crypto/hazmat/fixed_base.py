"""Powers of one base modulo n**2, for many random exponents: the comb of Lim and Lee.

.. hazmat::
    Use ``middleplatform.crypto.sealed_sum`` instead. Table look-ups depend on the exponent: whoever
    shares the processor's cache with a department may learn bits of it.

The exponent's bits stand in 8 rows; one table entry is the product of the rows' bases that a column
has bits in, and 16 tables save all but a sixteenth of the squarings. An exponent of 1,536 bits costs 192
products and 11 squarings, its tables 4,096 entries.
Imported by the recipes of ``middleplatform.crypto`` only.
Spec: docs/spec/sealed-sum.md, "Grades"; C. H. Lim, P. J. Lee, CRYPTO 1994.

Reveals:
    Nothing but what the processor's cache shows.
"""

import gmpy2
from gmpy2 import mpz

__all__ = ["FixedBase"]

_ROWS = 8
_TABLES = 16


class FixedBase:
    """A base with its tables.

    Args:
        base: A unit modulo ``modulus``.
        modulus: Odd, more than 1.
        exponent_bits: A multiple of 128.
    """

    def __init__(self, base: mpz, modulus: mpz, exponent_bits: int) -> None:
        assert exponent_bits % (_ROWS * _TABLES) == 0, "an exponent does not fill the comb"
        self.exponent_bytes = exponent_bits // 8
        self._modulus = modulus
        self._columns = exponent_bits // _ROWS // _TABLES
        self._tables = self._make_tables(base, exponent_bits // _ROWS)

    def _make_tables(self, base: mpz, row_bits: int) -> list[list[mpz]]:
        row_bases = [base % self._modulus]
        for _ in range(_ROWS - 1):
            row_bases.append(gmpy2.powmod(row_bases[-1], mpz(1) << row_bits, self._modulus))
        tables = []
        for _ in range(_TABLES):
            tables.append(self._products(row_bases))
            shift = mpz(1) << self._columns
            row_bases = gmpy2.powmod_base_list(row_bases, shift, self._modulus)
        return tables

    def _products(self, row_bases: list[mpz]) -> list[mpz]:
        """Return the product of every subset of the rows' bases, by the subset's bits."""
        table = [mpz(1)]
        for row_base in row_bases:
            table += [entry * row_base % self._modulus for entry in table]
        return table

    def power(self, digits: bytes) -> mpz:
        """Return base to the power that the digits stand for.

        Args:
            digits: ``exponent_bytes`` bytes; bit i of byte j counts ``2**(i * exponent_bytes + j)``,
                so uniform bytes are a uniform exponent.
        """
        modulus, tables, columns = self._modulus, self._tables, self._columns
        result = mpz(1)
        for column in reversed(range(columns)):
            result = result * result % modulus
            for at, table in enumerate(tables):
                result = result * table[digits[at * columns + column]] % modulus
        return result

    def exponent(self, digits: bytes) -> int:
        """Return the exponent that the digits stand for."""
        return sum(
            (byte >> row & 1) << (row * self.exponent_bytes + column)
            for column, byte in enumerate(digits)
            for row in range(_ROWS)
        )
