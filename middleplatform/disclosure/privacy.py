"""How much noise tier D adds to each word of a statement: public, from its layout, policy and privacy loss alone.

Node and gateway compute it each for themselves: the node to add the noise, the gateway to tell how wide it is.

*Bounded words.* A unit counts in at most ``groups`` cells of a statement, chosen at random among those that it has;
there it adds to a word at most ``most`` steps in absolute value. So one unit more or less changes the vector of a
word over all cells by at most ``sqrt(groups) * most`` in L2, whatever the data are.

*Loss.* The discrete Gaussian of variance ``groups * most**2 / (2 * rho)`` then gives rho-zCDP (Canonne, Kamath and
Steinke 2020, Theorem 14); losses of the words of a statement add up to the statement's (Bun and Steinke 2016, Lemma
1.7), and each word gets the same part, an exact fraction.

*Labels.* Where labels are not public, a cell is shown only if its noisy count of units reaches ``threshold``. Of two
data sets that differ by one unit, only cells with this unit alone differ in what can be shown: at most ``groups``,
and each of them passes with probability at most ``delta / (2 * groups)``.

Steps: a value with many digits is told in steps of several units of its last place, so that a unit adds at most 2**31
of them and no sum leaves 64 bits.

Reveals: nothing; no row has any part in it.

Spec: docs/spec/differential-privacy.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

from middleplatform.model.plan import Formula, Layout
from middleplatform.model.policy import PrivacyRule
from middleplatform.model.query import AggregateKind

__all__ = [
    "CONFIDENCE", "STEPS_MAX",
    "Noise", "WordNoise",
    "expected_error", "half_width", "linear_variance", "noise_of", "noisy_words", "threshold_of",
]  # fmt: skip

STEPS_MAX = 1 << 31
"""Most steps that one unit adds to one word of a cell."""

CONFIDENCE = 0.95
"""Probability with which the value before noise lies within the interval that is told."""

UNITS = "units_0"
"""The word that is held against the threshold for labels."""

_COUNTED = (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT)


@dataclass(frozen=True, slots=True)
class WordNoise:
    """The noise of one word, the same in every cell.

    Attributes:
        name: Of the word, as in ``Layout.words``.
        most: Steps that one unit adds to one cell at most, in absolute value; at least 1.
        step: Units of the last place that a step is; at least 1.
        scale: Decimal places of the word.
        groups: Cells to which one unit adds at most.
        rho: Its part of the privacy loss.
    """

    name: str
    most: int
    step: int
    scale: int
    groups: int
    rho: Fraction

    @property
    def variance(self) -> Fraction:
        """Return the discrete Gaussian's parameter sigma squared, in squared steps; its variance is at most this."""
        return self.groups * self.most**2 / (2 * self.rho)

    @property
    def deviation(self) -> float:
        """Return sigma in the word's own unit."""
        return math.sqrt(self.variance) * self.step / float(10**self.scale)


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a statement.

    Attributes:
        words: One for each word that is made noisy, in order; the count of units too where labels are not public.
        rho: Of all of them together.
        delta: At which epsilon is told; half of it is spent by ``threshold`` where there is one.
        threshold: Least noisy count of units of a cell that is shown; None where labels are public.
    """

    words: tuple[WordNoise, ...]
    rho: Fraction
    delta: Fraction
    threshold: int | None

    @property
    def delta_epsilon(self) -> Fraction:
        """Return the delta at which rho is turned into epsilon, so that all in all it is ``delta``."""
        return self.delta if self.threshold is None else self.delta / 2

    def word(self, name: str) -> WordNoise:
        """Return the noise of a word.

        Raises:
            KeyError: There is no such word.
        """
        for each in self.words:
            if each.name == name:
                return each
        raise KeyError(name)


def noisy_words(layout: Layout) -> tuple[str, ...]:
    """Return the words that leave, each once.

    Reveals:
        Nothing.
    """
    return tuple(dict.fromkeys(name for each in layout.formulas for name in layout.words(each)))


def noise_of(
    layout: Layout, rule: PrivacyRule, rho: Fraction, caps: Sequence[int], cells: int | None
) -> Noise:
    """Return the noise of each word.

    Args:
        layout: Of the statement; without distinct counts of other keys.
        rule: Of policy.
        rho: What the statement may spend; above 0.
        caps: For each sum, what one unit may add to a cell, in units of its last place; at least 0.
        cells: Number of cells where the labels are public (1 without dimensions); None where they are not.

    Reveals:
        Nothing.
    """
    groups = rule.groups if cells is None else max(1, min(rule.groups, cells))
    names = noisy_words(layout)
    if cells is None:
        names = tuple(dict.fromkeys((UNITS, *names)))
    part = rho / max(1, len(names))
    words = tuple([_word(name, layout, rule, caps, (groups, part)) for name in names])
    threshold = None
    if cells is None:
        units = next(each for each in words if each.name == UNITS)
        threshold = threshold_of(units, rule.delta / 2)
    return Noise(words, rho, rule.delta, threshold)


def _word(
    name: str,
    layout: Layout,
    rule: PrivacyRule,
    caps: Sequence[int],
    shared: tuple[int, Fraction],
) -> WordNoise:
    kind, _, number = name.partition("_")
    most, scale = {"rows": (rule.rows, 0), "units": (1, 0)}.get(kind, (0, 0))
    if kind in ("sum", "sq"):
        power = 1 if kind == "sum" else 2
        most, scale = caps[int(number)] ** power, layout.sums[int(number)].scale * power
    assert kind in ("rows", "units", "sum", "sq"), "other words are refused before"
    step = max(1, -(-most // STEPS_MAX))
    return WordNoise(name, max(1, -(-most // step)), step, scale, *shared)


def threshold_of(units: WordNoise, delta: Fraction) -> int:
    """Return the least noisy count of units at which a cell is shown.

    The tail of the discrete Gaussian beyond ``m`` is at most the Gaussian's beyond ``m - 1`` (Canonne, Kamath and
    Steinke 2020, Proposition 25), and a cell with one unit passes where the noise is at least ``threshold - 1``.

    Args:
        units: Noise of the count of units.
        delta: Probability with which any cell of one unit alone may be shown.

    Reveals:
        Nothing.
    """
    quantile = -NormalDist().inv_cdf(float(delta) / units.groups * (1 - 1e-9))
    return 2 + math.ceil(math.sqrt(units.variance) * quantile)


def half_width(deviation: float) -> float:
    """Return half the width of the interval that holds the value before noise with probability ``CONFIDENCE``.

    Reveals:
        Nothing.
    """
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation


def expected_error(layout: Layout, noise: Noise) -> tuple[float | None, ...]:
    """Return what noise changes each aggregate of a cell by on average, before anything is spent.

    Returns:
        One an aggregate, in its own unit: the mean absolute error of a count or sum; None for means and variances,
        whose error hangs on how many rows a cell has.

    Reveals:
        Nothing.
    """
    return tuple([_expected(formula, noise) for formula in layout.formulas])


def _expected(formula: Formula, noise: Noise) -> float | None:
    if formula.kind not in (*_COUNTED, AggregateKind.SUM):
        return None
    return math.sqrt(2 / math.pi * linear_variance(formula, noise))


def linear_variance(formula: Formula, noise: Noise) -> float:
    """Return the variance of a count or sum, in its own unit squared.

    Reveals:
        Nothing.
    """
    weights: dict[str, float] = {}
    for part in formula.parts:
        if formula.kind is AggregateKind.COUNT_DISTINCT:
            weights[f"units_{part.population}"] = 1.0
            continue
        rows = 1.0 if formula.kind is AggregateKind.COUNT else float(part.constant)
        name = f"rows_{part.population}"
        weights[name] = weights.get(name, 0.0) + rows
        for coefficient, number in part.terms:
            name = f"sum_{number}"
            weights[name] = weights.get(name, 0.0) + float(coefficient)
    return sum((each * noise.word(name).deviation) ** 2 for name, each in weights.items() if each)
