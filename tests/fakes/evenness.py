"""Tests of chance: what is the probability that even, independent draws look as uneven as these?

Formulas are the textbook's: chi-square by Wilson and Hilferty (1931), Kolmogorov and Smirnov by the limit's series.
All draws of the tests that use them have fixed seeds, so a verdict is the same in every run.
"""

from math import erfc, exp, sqrt

import numpy as np

HONEST = 1e-4
"""Below this probability a table of draws is not even. Every honest one of a test stays above, at fixed seeds."""
LEAKING = 1e-9
"""A leaking variant must stay below this one."""

_TERMS = 100


def chi_square(observed, expected):
    """Return the probability of a table at least as uneven; no cell may expect fewer than five."""
    observed, expected = np.ravel(observed).astype(float), np.ravel(expected).astype(float)
    assert expected.min() >= 5, "too few draws for this test"
    free = observed.size - 1
    found = float(((observed - expected) ** 2 / expected).sum())
    z = ((found / free) ** (1 / 3) - (1 - 2 / (9 * free))) / sqrt(2 / (9 * free))
    return erfc(z / sqrt(2)) / 2


def even_bytes(raw):
    """Return the probability that bytes drawn evenly are as uneven as ``raw``; 1,280 bytes at least."""
    counts = np.bincount(np.frombuffer(raw, dtype=np.uint8), minlength=256)
    return chi_square(counts, np.full(256, len(raw) / 256))


def same_bytes(one, other):
    """Return the probability that two strings of bytes are drawn from one distribution."""
    counts = np.array([np.bincount(np.frombuffer(raw, np.uint8), minlength=256) for raw in (one, other)])  # fmt: skip
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    z = ((counts - expected) ** 2 / expected).sum()
    free = 255
    return erfc((((z / free) ** (1 / 3)) - (1 - 2 / (9 * free))) / sqrt(2 / (9 * free)) / sqrt(2)) / 2  # fmt: skip


def even_words(words):
    """Return the probability that 64-bit words drawn evenly are as uneven: Kolmogorov and Smirnov, one sample."""
    places = np.sort(np.ravel(words).astype(np.float64) / 2.0**64)
    count = places.size
    steps = np.arange(count + 1) / count
    distance = max(np.max(steps[1:] - places), np.max(places - steps[:-1]))
    return _kolmogorov(distance * sqrt(count))


def same_words(one, other):
    """Return the probability that two samples of words are of one distribution: Kolmogorov and Smirnov, two samples."""
    one, other = (np.sort(np.ravel(each).astype(np.float64)) for each in (one, other))
    both = np.concatenate([one, other])
    shares = [np.searchsorted(each, both, side="right") / each.size for each in (one, other)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    return _kolmogorov(distance * sqrt(one.size * other.size / (one.size + other.size)))


def _kolmogorov(value):
    if value < 0.3:  # the series converges badly, and the probability is above 0.9999
        return 1.0
    terms = (2 * (-1) ** (n - 1) * exp(-2 * (n * value) ** 2) for n in range(1, _TERMS))
    return min(max(sum(terms), 0.0), 1.0)


def unrelated(one, other):
    """Return the probability that independent orders of the same things are as alike, or as opposed: by ranks."""
    ranks = [np.argsort(np.argsort(each)).astype(float) for each in (one, other)]
    z = np.corrcoef(*ranks)[0, 1] * sqrt(len(ranks[0]) - 1)
    return erfc(abs(z) / sqrt(2))


def even_places(groups, rows):
    """Return the probability that disjoint places drawn evenly are as unevenly spread over ``rows`` places.

    Args:
        groups: Places of each group.
        rows: Of the list.
    """
    scores = []
    for places in groups:
        count = len(places)
        spread = sqrt(
            (rows + 1) * (rows - count) / (12 * count)
        )  # of the mean of places drawn without putting back
        scores.append((np.mean(places) - (rows - 1) / 2) / spread)
    # Groups exclude each other, so the scores are not quite independent: the largest one is what is judged.
    return min(1.0, len(scores) * erfc(max(map(abs, scores)) / sqrt(2)))


def neighbours(groups, rows):
    """Return the probability that places drawn evenly have as many, or as few, next to each other in one group."""
    found = sum(int((np.diff(np.sort(places)) == 1).sum()) for places in groups)
    expected = sum(len(places) * (len(places) - 1) / rows for places in groups)
    return erfc(abs(found - expected) / sqrt(expected) / sqrt(2))
