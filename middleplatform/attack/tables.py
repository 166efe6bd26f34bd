"""Tables of plain columns, which nobody refuses, taken together: counts and sums, weighed by what noise each has.

The attacker knows how many people a cell has, so what it is told to have shows the noise of the count; a sum bears the
same noise, times the mean, which he takes off again. What is left of it is the sum's own noise.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from middleplatform.attack.known import AMOUNT, AMOUNT_SD, Evidence, Known
from middleplatform.attack.people import DATASET, PLAIN
from middleplatform.attack.surface import Surface

__all__ = ["believed", "decided", "tables"]

_CERTAIN, _HALF, _LARGEST, _EXACT = 6.0, 0.5, 900.0, 0.01
Row = tuple[npt.NDArray[np.bool_], float, float]


def tables(known: Known, surface: Surface) -> Evidence:
    """Believe what all tables of one, two and three plain columns together make likely."""
    found = [each for columns in _groupings() for each in _equations(known, surface, columns)]
    if not found:
        return np.zeros(len(known.targets))
    inside = sparse.csr_matrix(np.array([row for row, _, _ in found], dtype=np.float64))
    totals, variances = (np.array([each[place] for each in found]) for place in (1, 2))
    return decided(believed(inside, totals, variances, known)[known.targets], known)


def _groupings() -> Iterator[tuple[str, ...]]:
    for size in (1, 2):
        yield from combinations(PLAIN, size)
    yield from (("sex", "county", name) for name in PLAIN if name not in {"sex", "county"})
    yield from (("sex", "status", name) for name in PLAIN if name not in {"sex", "status"})


def _equations(known: Known, surface: Surface, columns: tuple[str, ...]) -> Iterator[Row]:
    """Yield who is in a cell, how many of them are said to get the benefit, and the variance of that."""
    said = ", ".join(columns)
    values = "COUNT(*) AS n, COUNT(*) FILTER (WHERE benefit > 0) AS k, SUM(benefit) AS s"
    text = f"SELECT {said}, {values} FROM {DATASET} GROUP BY {said}"
    for label, (count, paid, amount) in surface.table(text, len(columns)).items():
        inside = np.ones(len(known.plain["sex"]), dtype=np.bool_)
        for name, value in zip(columns, label, strict=True):
            inside &= known.plain[name].astype(str) == value
        members = int(inside.sum())
        if paid is not None:
            yield inside, paid, known.defence.noise_variance if known.noisy else _EXACT
        if amount is not None and count:
            own = known.defence.magnitude_percent / 100 * _LARGEST / AMOUNT if known.noisy else 0.0
            amounts = known.share * members * (AMOUNT_SD / AMOUNT) ** 2
            yield inside, amount * members / count / AMOUNT, own**2 + amounts


def believed(
    inside: sparse.csr_matrix,
    totals: npt.NDArray[np.float64],
    variances: npt.NDArray[np.float64],
    known: Known,
) -> npt.NDArray[np.float64]:
    """Return the posterior mean of each secret, secrets and noise taken as normal.

    Args:
        inside: Shape (equations, people).
        totals: How many of them get the benefit, with noise.
        variances: Of the noise.
        known: For the share.
    """
    spread = known.share * (1 - known.share)
    covariance = (inside @ inside.T).toarray() * spread + np.diag(variances)
    surprise = totals - known.share * np.asarray(inside.sum(axis=1)).ravel()
    solved = np.linalg.solve(covariance, surprise)
    return np.asarray(known.share + spread * (inside.T @ solved), dtype=np.float64)


def decided(solved: npt.NDArray[np.float64], known: Known) -> Evidence:
    """Return the evidence that decides as rounding does."""
    prior = np.log(known.share / (1 - known.share))
    return np.asarray(np.where(solved > _HALF, _CERTAIN, -_CERTAIN) - prior, dtype=np.float64)
