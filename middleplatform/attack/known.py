"""What an attacker is taken to know before the first question: everything but the secret, and the algorithms."""

from collections import Counter
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from middleplatform.attack.people import PLAIN, SHARE, Everyone, Numbers, Texts
from middleplatform.attack.sandbox import Defence

__all__ = ["AMOUNT", "AMOUNT_SD", "Evidence", "Known", "accomplices_of", "alone", "known_of"]

Evidence = npt.NDArray[np.float64]
"""For each target, ln of how much likelier what was seen is if he gets the benefit than if not; 0 for nothing."""

_ISOLATING = ("occupation", "street", "birth_year")
_ACCOMPLICES = 120
AMOUNT, AMOUNT_SD = 600.0, 180.0
"""Mean and standard deviation of a benefit, in yuan: published."""
_EXACT = 0.02


@dataclass(frozen=True)
class Known:
    """The attacker's knowledge.

    Attributes:
        plain: Every non-sensitive value of everybody.
        defence: The policy: it is public.
        share: Of people with the benefit; published.
        targets: Places of those who are attacked.
        accomplices: Places of people who told what they get.
        told: What they told: whether they get the benefit.
    """

    plain: dict[str, Texts | Numbers]
    defence: Defence
    share: float
    targets: Numbers
    accomplices: Numbers
    told: npt.NDArray[np.bool_]

    @property
    def noisy(self) -> bool:
        """Return whether answers are perturbed."""
        return self.defence.method == "perturb"

    def isolates(self, person: int) -> str:
        """Return a predicate that holds for one person within his occupation."""
        street, year = self.plain["street"][person], self.plain["birth_year"][person]
        return f"street = '{street}' AND birth_year = {year}"

    def base(self, person: int) -> str:
        """Return a predicate that holds for the person's occupation: about 150 people."""
        return f"occupation = '{self.plain['occupation'][person]}'"

    def counted(self, difference: float | None, populations: int = 2, averaged: int = 1) -> float:
        """Return the evidence of a difference of counts, which is 1 for who gets the benefit and else 0.

        Args:
            difference: As computed from answers; None where one is missing.
            populations: How many perturbed counts are in it.
            averaged: How many independent ones were averaged.
        """
        if difference is None:
            return 0.0
        variance = populations * self.defence.noise_variance / averaged if self.noisy else _EXACT
        return (2 * difference - 1) / (2 * variance)

    def summed(self, difference: float | None) -> float:
        """Return the evidence of a difference of two sums of the benefit."""
        if difference is None:
            return 0.0
        spread = self.defence.magnitude_percent / 100 * (AMOUNT + 300)
        mean = self.share * AMOUNT
        base = 2 * (spread**2 + self.defence.noise_variance * mean**2) if self.noisy else 1.0
        with_it = base + AMOUNT_SD**2
        return (
            difference**2 / (2 * base)
            - (difference - AMOUNT) ** 2 / (2 * with_it)
            - 0.5 * log(with_it / base)
        )


def known_of(people: Everyone, defence: Defence, targets: int) -> Known:
    """Return what is known, with targets who are alone with their occupation, street and year of birth.

    Args:
        people: All.
        defence: The policy.
        targets: How many are attacked.
    """
    drawn = np.random.default_rng(len(people)).permutation(alone(people))
    known = Known(
        {name: people.plain[name] for name in PLAIN}, defence, SHARE, drawn[:targets],
        np.array([], dtype=np.int64), np.array([], dtype=np.bool_),
    )  # fmt: skip
    return accomplices_of(known, people, drawn[targets : targets + _ACCOMPLICES])


def accomplices_of(known: Known, people: Everyone, places: Numbers) -> Known:
    """Return the knowledge with these people's own secrets in it."""
    return Known(
        known.plain, known.defence, known.share, known.targets, places, people.paid[places]
    )


def alone(people: Everyone) -> Numbers:
    """Return the places of ordinary people who are alone with their occupation, street and year of birth."""
    combined = list(zip(*(people.plain[name].tolist() for name in _ISOLATING), strict=True))
    often = Counter(combined)
    return np.array([place for place in people.ordinary().tolist() if often[combined[place]] == 1])
