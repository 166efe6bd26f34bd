"""Cell-key perturbation of words (tier S): the same units, rows and total always get the same noise.

Pure and the same for a node, on its own evidence, and for a gateway, on the totals of a secure sum: cell keys are
additive. Noise is put into words, so that everything computed from words agrees: AVG is the released SUM over the
released COUNT.
Spec: docs/spec/disclosure.md, "Perturbation".

Reveals: Nothing: the caller decides which words leave. Who holds cell keys can take the noise off.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from math import isqrt

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from middleplatform.disclosure.evidence import CellEvidence, Counts, Exact, Flags, Magnitude
from middleplatform.disclosure.ptable import DRAW_BITS, Keys, count_table, normal_draw
from middleplatform.disclosure.threshold import threshold
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import Coalesce, Field
from middleplatform.sql.extract import fields

__all__ = [
    "Keys",
    "Words",
    "cell_keys",
    "count_noise",
    "few_contributors",
    "magnitude_noise",
    "perturb",
    "small",
]

_MASK = (1 << 64) - 1
_PERCENT = 100
_LABEL = b"middleplatform/cell-key/1/"


@dataclass(frozen=True)
class Words:
    """Words of cells as ``Layout.words`` names them.

    Attributes:
        units: Shape (cells, populations).
        rows: Same shape.
        totals: One a sum of the layout, shape (cells,), in units of ``10 ** -scale``.
        squares: One a sum; None where squares are not summed.
        keys: Shape (cells, keys).
    """

    units: Counts
    rows: Counts
    totals: tuple[Exact, ...]
    squares: tuple[Exact | None, ...]
    keys: Counts


def cell_keys(cells: int, cell: Counts, inside: Flags, records: Keys) -> Keys:
    """Return the cell keys: sums modulo 2 ** 64 of the record keys of the units with a row in each population.

    Args:
        cells: Number of cells.
        cell: Cell of each (cell, unit) pair, shape (pairs,).
        inside: Whether the unit has a row in each population, shape (pairs, populations).
        records: Record key of each pair's unit, shape (pairs,).

    Returns:
        Shape (cells, populations).
    """
    found = np.zeros((cells, inside.shape[1]), dtype=np.uint64)
    for population in range(inside.shape[1]):
        chosen = inside[:, population]
        np.add.at(found[:, population], cell[chosen], records[chosen])
    return found


def count_noise(counts: Counts, keys: Keys, parameters: DisclosureParameters) -> Counts:
    """Return the noise of counts, by the policy's perturbation table.

    Args:
        counts: Not negative, any shape.
        keys: Cell keys, same shape.
        parameters: Of the policy: ``noise_max``, ``noise_variance``, ``noise_js``.

    Returns:
        Same shape; all zero where ``min_units`` is 1. A count plus its noise is never negative.

    Raises:
        ConfigError: C001 the policy's numbers have no table.
    """
    if parameters.min_units <= 1:
        return np.zeros(counts.shape, dtype=np.int64)
    table = count_table(parameters.noise_max, parameters.noise_variance, parameters.noise_js)
    return table.noise(counts, keys)


def magnitude_noise(largest: Exact, keys: Keys, parameters: DisclosureParameters) -> Exact:
    """Return the own noise of magnitudes: a normal draw, its deviation a share of the largest unit.

    Args:
        largest: Largest absolute contribution of each cell, or a bound of it, shape (cells,).
        keys: A pseudorandom number for each cell, shape (cells,).
        parameters: Of the policy: ``magnitude_percent``; the deviation is never below that of a count.

    Returns:
        Whole numbers in units of the last decimal place, shape (cells,).
    """
    least = isqrt(parameters.noise_variance * _PERCENT**2)
    deviation = np.maximum(largest * parameters.magnitude_percent, least)
    drawn = normal_draw(keys).astype(object)
    return _rounded(drawn * deviation, np.full(len(drawn), _PERCENT << DRAW_BITS, dtype=object))


def perturb(
    layout: Layout, evidence: CellEvidence, keys: Keys, parameters: DisclosureParameters
) -> Words:
    """Return the words with their noise.

    Args:
        layout: Of the cells.
        evidence: Exact, of the same cells.
        keys: Cell keys, shape (cells, populations).
        parameters: Of the policy; with ``min_units`` 1 nothing is perturbed.

    Returns:
        Whole numbers as before. No count is negative, nor a total of values that are not, nor a variance; without
        units everything is 0.

    Raises:
        ConfigError: C001 the policy's numbers have no table.
    """
    if parameters.min_units <= 1:
        return _exact(evidence)
    units = evidence.units + count_noise(evidence.units, keys, parameters)
    row_keys = _mixed(keys, evidence.rows, "rows")
    rows = _rows(evidence, units, row_keys, parameters)
    totals, squares = [], []
    for word, magnitude in zip(layout.sums, evidence.magnitudes, strict=True):
        place = word.population
        before, after = _big(evidence.rows[:, place]), _big(rows[:, place])
        # Of the total too: who sees two snapshots of the same units must not see how far one value moved.
        key = _mixed(row_keys[:, place], _low(magnitude.total), f"sum {_name(word.operand)}")
        total = _total(magnitude, before, after, key, parameters)
        totals.append(total)
        squares.append(_squares(magnitude, (before, after), total, key, parameters))
    return Words(
        units, rows, tuple(totals), tuple(squares), _keys(layout, evidence, keys, parameters)
    )


def small(
    layout: Layout, evidence: CellEvidence, words: Words, parameters: DisclosureParameters
) -> Flags:
    """Flag the values whose perturbed counts are below the threshold, shape (cells, aggregates)."""
    seen = replace(evidence, units=words.units, keys=words.keys)
    flags = [threshold(formula, layout, seen, parameters) for formula in layout.formulas]
    return np.stack(flags, axis=1) if flags else np.zeros((evidence.cells, 0), dtype=np.bool_)


def few_contributors(
    layout: Layout, contributors: Counts, keys: Keys, parameters: DisclosureParameters
) -> Flags:
    """Flag the values that read a sum to which too few units contribute, before or after noise.

    The count of contributors has the noise that a question for it would have, so that nothing else is told.

    Args:
        layout: Of the cells.
        contributors: Units whose total is other than zero, shape (cells, sums).
        keys: Their cell keys, same shape.
        parameters: Of the policy; with ``min_units`` 1 nothing is flagged.

    Returns:
        Shape (cells, aggregates).

    Raises:
        ConfigError: C001 the policy's numbers have no table.

    Source: Handbook on Statistical Disclosure Control, chapter 4: the threshold counts contributors.
    """
    flags = np.zeros((len(contributors), len(layout.formulas)), dtype=np.bool_)
    least = parameters.min_units
    if least <= 1:
        return flags
    noisy = contributors + count_noise(contributors, keys, parameters)
    few = (contributors < least) | (noisy < least)
    for column, formula in enumerate(layout.formulas):
        for number in (number for part in formula.parts for _, number in part.terms):
            flags[:, column] |= few[:, number]
    return flags


# --- words ------------------------------------------------------------------------------------------------------------


def _exact(evidence: CellEvidence) -> Words:
    totals = tuple(magnitude.total for magnitude in evidence.magnitudes)
    squares = tuple(magnitude.squares for magnitude in evidence.magnitudes)
    return Words(evidence.units, evidence.rows, totals, squares, evidence.keys)


def _rows(
    evidence: CellEvidence, units: Counts, keys: Keys, parameters: DisclosureParameters
) -> Counts:
    """Return perturbed rows: as many as units where each has one row.

    What rows exceed units by is a count of its own, which units alone must not give away. A large excess leaves room
    for noise of the rows as a whole, in proportion; a small one is perturbed as the count that it is.
    """
    excess = evidence.rows - evidence.units
    few = units + excess + count_noise(excess, keys, parameters)
    drawn = count_noise(evidence.units, keys, parameters)
    doubled = 2 * np.abs(drawn) * evidence.rows + evidence.units
    share = np.sign(drawn) * (doubled // np.maximum(2 * evidence.units, 1))
    many = np.maximum(evidence.rows + share, units)
    found = np.where(excess <= 2 * parameters.noise_max, few, many)
    return np.asarray(np.where(units > 0, found, 0), dtype=np.int64)


def _total(
    magnitude: Magnitude, before: Exact, after: Exact, key: Keys, parameters: DisclosureParameters
) -> Exact:
    """Return a perturbed total: its mean for each row that noise added, and noise of its own."""
    share = _rounded((after - before) * magnitude.total, np.maximum(before, 1))
    own = magnitude_noise(magnitude.top[:, 0], _mixed(key, None, "own"), parameters)
    found = magnitude.total + share + own
    found = np.where(magnitude.total == magnitude.absolute, np.maximum(found, 0), found)
    found = np.where(magnitude.total == -magnitude.absolute, np.minimum(found, 0), found)
    return _nothing(found, (after == 0) | (magnitude.absolute == 0))


def _squares(
    magnitude: Magnitude,
    rows: tuple[Exact, Exact],
    total: Exact,
    key: Keys,
    parameters: DisclosureParameters,
) -> Exact | None:
    """Return a sum of squares that has, with the perturbed rows and total, a perturbed variance of at least zero."""
    if magnitude.squares is None:
        return None
    before, after = rows
    noise = magnitude_noise(magnitude.top[:, 0] ** 2, _mixed(key, None, "squares"), parameters)
    spread = abs(before * (magnitude.squares + noise) - magnitude.total**2)
    divisor = np.maximum(after * before**2, 1)
    found = -(-(total**2 * before**2 + spread * after**2) // divisor)  # upward: no variance below 0
    return _nothing(found, (after == 0) | (magnitude.absolute == 0))


def _keys(
    layout: Layout, evidence: CellEvidence, keys: Keys, parameters: DisclosureParameters
) -> Counts:
    found = evidence.keys.copy()
    for index, word in enumerate(layout.keys):
        own = _mixed(keys[:, word.population], None, f"key {word.key.name}")
        found[:, index] += count_noise(evidence.keys[:, index], own, parameters)
    return found


# --- numbers ----------------------------------------------------------------------------------------------------------


def _mixed(keys: Keys, numbers: npt.NDArray[np.int64] | Keys | None, use: str) -> Keys:
    """Return other pseudorandom numbers, for another use, of cell keys and numbers beside them.

    A permutation of blocks by AES-256 under a public key: cell keys are the secret.
    """
    blocks = np.zeros((keys.size, 2), dtype="<u8")
    blocks[:, 0] = keys.reshape(-1)
    if numbers is not None:
        blocks[:, 1] = numbers.reshape(-1).astype(np.uint64)
    mode = ECB()  # noqa: S305 - one block is one cell; equal ones are to be equal
    made = Cipher(AES256(_use_key(use)), mode).encryptor().update(blocks.tobytes())
    return np.frombuffer(made, dtype="<u8")[::2].astype(np.uint64).reshape(keys.shape)


@lru_cache(maxsize=256)
def _use_key(use: str) -> bytes:
    return sha256(_LABEL + use.encode()).digest()


def _name(operand: Field | Coalesce) -> str:
    """Return the columns of an operand, whatever the statement calls their tables."""
    return ",".join(item.name for item in fields(operand))


def _low(numbers: Exact) -> Keys:
    """Return the low 64 bits of whole numbers."""
    return np.asarray((numbers & _MASK).astype(np.uint64), dtype=np.uint64)


def _big(counts: Counts) -> Exact:
    return counts.astype(object)


def _rounded(numerators: Exact, divisors: Exact) -> Exact:
    """Return whole quotients, half away from zero, as far above as below it."""
    signs = np.where(numerators < 0, -1, 1).astype(object)
    return np.asarray(signs * ((2 * abs(numerators) + divisors) // (2 * divisors)), dtype=object)


def _nothing(found: Exact, where: Exact | Flags) -> Exact:
    return np.asarray(np.where(where.astype(np.bool_), 0, found), dtype=object)
