"""Perturbation tables: which noise a count, or a magnitude, gets for a cell key.

A table of counts has a distribution for each count up to the first that has room on both sides; larger counts share
its last row. Of all distributions with the demanded moments each is the one of maximum entropy, which is of the form
exp(a v + b v²). Generated, never copied; checked against published tables in tests/vectors/sdc.

Sources: Fraser and Wooton, A proposed method for confidentialising tabular output to protect against differencing
(2005); Thompson, Broadfoot and Elazar, Methodology for the automatic confidentialisation of statistical outputs from
remote servers at the Australian Bureau of Statistics (2013); Giessing, Computational issues in the design of
transition probabilities and disclosure risk estimation for additive noise (2016).
Spec: docs/spec/disclosure.md, "Perturbation".
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from middleplatform.errors import ConfigError
from middleplatform.policy.noise_numbers import NO_TABLE

__all__ = ["DRAW_BITS", "DRAW_MAX", "CountTable", "Keys", "count_table", "normal_draw"]

Keys = npt.NDArray[np.uint64]
"""Cell keys: sums of record keys modulo 2 ** 64."""

_Reals = npt.NDArray[np.float64]

DRAW_BITS = 20
"""Draws for magnitudes are whole multiples of 2 ** -20."""
DRAW_MAX = 3
"""No draw for a magnitude is further from zero than this many standard deviations."""

_GRID = 1 << 32
_TOP = (1 << 64) - 1
_STEPS = 200
_EXACT = 1e-13
_CLOSE = 1e-9


@dataclass(frozen=True)
class CountTable:
    """A perturbation table of counts.

    Attributes:
        reach: D: noise lies in -D to D.
        probabilities: Shape (rows, 2 D + 1): of noise -D to D, for the counts 0, 1, … and, in the last row, all more.
        bounds: Shape (rows, 2 D): up to which cell key the noise is at most -D, -D + 1, …, D - 1.
    """

    reach: int
    probabilities: _Reals
    bounds: Keys

    @staticmethod
    def of(probabilities: _Reals) -> "CountTable":
        """Return the table of some rows of probabilities, shape (rows, 2 D + 1).

        Reveals:
            Nothing: a table is policy.
        """
        # On a grid, so that two machines whose last digits differ have one table.
        cumulated = np.rint(np.cumsum(probabilities, axis=1)[:, :-1] * _GRID)
        bounds = [[min(int(each) << 32, _TOP) for each in row] for row in cumulated]
        return CountTable(
            probabilities.shape[1] // 2, probabilities, np.array(bounds, dtype=np.uint64)
        )

    def noise(self, counts: npt.NDArray[np.int64], keys: Keys) -> npt.NDArray[np.int64]:
        """Return the noise of each count: the v for which ``lower < key / 2 ** 64 <= upper`` in its row.

        Args:
            counts: Not negative, any shape.
            keys: Cell keys, same shape. A key of 0 counts as 1: it lies in no interval.

        Returns:
            Same shape.

        Reveals:
            Nothing: the caller decides what leaves.
        """
        rows = np.minimum(counts, len(self.bounds) - 1)
        asked = np.maximum(keys, np.uint64(1))
        noise = np.full(counts.shape, -self.reach, dtype=np.int64)
        for place in range(2 * self.reach):
            noise += asked > self.bounds[rows, place]
        return noise


@lru_cache(maxsize=64)
def count_table(reach: int, variance: float, gap: int, stay: float = 0.0) -> CountTable:
    """Return the table of maximum entropy with mean 0 and the variance demanded in every row but that of 0.

    Args:
        reach: D, from 1 and above the gap: no noise is further from zero.
        variance: V, at least ``j (gap + 1 - j)`` for every count j in the gap, and at most D: a count of 1 has no
            more room.
        gap: js: no perturbed count lies in 1 to js; 0 for no gap.
        stay: Probability of no noise, where no noise is possible at all; 0 leaves it to entropy.

    Returns:
        The row of 0 is 0 without noise; no row makes a count negative.

    Raises:
        ConfigError: C001 no such table exists.

    Reveals:
        Nothing: a table is policy.
    """
    last = reach + gap + 1 if gap else reach
    rows = np.zeros((last + 1, 2 * reach + 1))
    rows[0, reach] = 1.0
    noise = np.arange(-reach, reach + 1)
    for count in range(1, last + 1):
        target = count + noise
        support = noise[(target == 0) | (target > gap)]
        rows[count, support + reach] = _row(support.astype(np.float64), variance, stay)
    return CountTable.of(rows)


def _row(support: _Reals, variance: float, stay: float) -> _Reals:
    """Return the probabilities of one row; the given probability of no noise is set apart, where there is one."""
    if not stay or not (support == 0).any():
        return _entropic(support, variance)
    found = np.full(support.shape, stay)
    rest = support != 0
    found[rest] = (1 - stay) * _entropic(support[rest], variance / (1 - stay))
    return found


def _entropic(support: _Reals, variance: float) -> _Reals:
    """Return the distribution of maximum entropy, with its one mode at zero where the moments leave room for that."""
    edge = _two_points(support, variance)
    if edge is not None:
        return edge
    pooled = list(range(len(support)))  # the block of each value: those of one are equally likely
    plain = found = _moments(support, variance, pooled)
    if plain is None:
        raise _impossible()
    while found is not None:
        worst, place = _against_mode(support, found)
        if worst <= _EXACT:
            return found
        pooled = [pooled[place] if each == pooled[place + 1] else each for each in pooled]
        found = _moments(support, variance, pooled)
    return plain


def _against_mode(support: _Reals, found: _Reals) -> tuple[float, int]:
    """Return by how much, and at which pair of neighbours, probabilities fall towards zero at most."""
    rising = support[1:] <= 0
    falling = support[:-1] >= 0
    wrong = np.where(rising, found[:-1] - found[1:], 0.0)
    wrong += np.where(falling, found[1:] - found[:-1], 0.0)
    place = int(wrong.argmax())
    return float(wrong[place]), place


def _moments(support: _Reals, variance: float, pooled: list[int]) -> _Reals | None:
    """Return the distribution of maximum entropy with mean 0 and a variance, equal in each block, if there is one.

    Newton's method on the dual: two multipliers, the potential convex.
    """
    _, block, sizes = np.unique(pooled, return_inverse=True, return_counts=True)
    values = np.stack([support / np.sqrt(variance), support**2 / variance - 1])
    moments: _Reals = np.stack([np.bincount(block, weights=each) / sizes for each in values])
    dual = np.zeros(2)
    for _ in range(_STEPS):
        weights = _weights(moments, dual, sizes)
        gradient = moments @ weights
        if np.abs(gradient).max() < _EXACT:
            break
        centred = moments - gradient[:, None]
        step = np.linalg.lstsq((centred * weights) @ centred.T, -gradient, rcond=None)[0]
        slope = float(gradient @ step)
        dual = _damped(moments, dual, np.asarray(step, dtype=np.float64), slope, sizes)
    weights = _weights(moments, dual, sizes)
    if np.abs(moments @ weights).max() > _CLOSE:
        return None
    return np.asarray((weights / sizes)[block], dtype=np.float64)


def _damped(
    moments: _Reals, dual: _Reals, step: _Reals, slope: float, sizes: npt.NDArray[np.int64]
) -> _Reals:
    """Return the next point of Newton's method: half the step until the potential falls as it should."""
    here, length = _potential(moments, dual, sizes), 1.0
    while length > _EXACT:
        if _potential(moments, dual + length * step, sizes) <= here + length * slope / 4 + _EXACT:
            break
        length /= 2
    return np.asarray(dual + length * step, dtype=np.float64)


def _potential(moments: _Reals, dual: _Reals, sizes: npt.NDArray[np.int64]) -> float:
    return float(np.logaddexp.reduce(dual @ moments + np.log(sizes)))


def _weights(moments: _Reals, dual: _Reals, sizes: npt.NDArray[np.int64]) -> _Reals:
    exponent = dual @ moments
    found = sizes * np.exp(exponent - exponent.max())
    return np.asarray(found / found.sum(), dtype=np.float64)


def _two_points(support: _Reals, variance: float) -> _Reals | None:
    """Return the distribution where the variance is the least or the most that the support allows; else None."""
    below, above = support[support < 0], support[support > 0]
    if not below.size or not above.size:
        raise _impossible()
    inner = 0.0 if (support == 0).any() else -float(below[-1] * above[0])
    outer = -float(below[0] * above[-1])
    if not inner <= variance <= outer or not variance:
        raise _impossible()
    if variance not in (inner, outer):
        return None
    low, high = (below[-1], above[0]) if variance == inner else (below[0], above[-1])
    found = np.zeros(support.shape)
    found[support == low] = high / (high - low)
    found[support == high] = -low / (high - low)
    return found


def _impossible() -> ConfigError:
    return ConfigError("C001", what=NO_TABLE)


def normal_draw(keys: Keys) -> npt.NDArray[np.int64]:
    """Return a standard normal draw for each key, cut off at ``DRAW_MAX``: the same key, the same draw.

    Args:
        keys: Pseudorandom, any shape.

    Returns:
        In units of ``2 ** -DRAW_BITS``, same shape.

    Reveals:
        Nothing: the caller decides what leaves.
    """
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 - heavy, and needed for sums only

    low = ndtr(-float(DRAW_MAX))
    share = ((keys >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)
    drawn = ndtri(low + share * (1 - 2 * low))
    return np.asarray(np.rint(drawn * (1 << DRAW_BITS)), dtype=np.int64)
