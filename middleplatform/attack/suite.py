"""The suite: every attack on at least four hundred people, against the best guess without any answer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import numpy.typing as npt

from middleplatform.attack import (
    cells,
    channels,
    differencing,
    reconstruction,
    smuggling,
    tables,
    tracker,
)
from middleplatform.attack.known import Evidence, Known, accomplices_of, alone, known_of
from middleplatform.attack.people import Everyone
from middleplatform.attack.sandbox import Defence
from middleplatform.attack.surface import ENDLESS, Ask, Surface

__all__ = ["ATTACKS", "MARGIN", "TARGETS", "Outcome", "judged", "run"]

TARGETS = 400
MARGIN = 0.02
"""By how much an attack may be better than guessing before the defence counts as broken."""

Attack = Callable[[Known, Surface], Evidence]

ATTACKS: dict[str, Attack] = {
    "differencing": differencing.differencing,
    "individual_tracker": tracker.individual_tracker,
    "general_tracker": tracker.general_tracker,
    "repetition": differencing.repetition,
    "splitting": differencing.splitting,
    "reconstruction": reconstruction.reconstruction,
    "tables": tables.tables,
    "linkage": cells.linkage,
    "suppressed": cells.suppressed,
    "homogeneity": cells.homogeneity,
    "smuggling": smuggling.smuggling,
    "errors": channels.errors,
    "timing": channels.timing,
    "collusion": differencing.collusion,
}


@dataclass(frozen=True)
class Outcome:
    """What an attack came to.

    Attributes:
        attack: Its name.
        targets: How many people were attacked.
        success: Share of them whose secret was guessed right.
        baseline: The same for the best guess without an answer: whichever is more frequent among the targets.
        learnt: Share of them about whom some answer said anything.
        questions: Asked.
        refused: Of them, by code.
        withheld: Values withheld in those that were answered.
        seconds: All of it took.
    """

    attack: str
    targets: int
    success: float
    baseline: float
    learnt: float
    questions: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    withheld: int = 0
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Return whether the defence held."""
        return self.success <= self.baseline + MARGIN


def run(
    analysts: Sequence[Ask],
    people: Everyone,
    defence: Defence,
    names: Iterable[str] = tuple(ATTACKS),
    targets: int = TARGETS,
    patience: int = ENDLESS,
) -> list[Outcome]:
    """Run attacks one after the other, each in a project of its own.

    Args:
        analysts: Their ways in.
        people: The sacrificial people; of their secrets an attack sees the accomplices' only.
        defence: The policy, which attackers know.
        names: Of ``ATTACKS``.
        targets: How many people each attacks.
        patience: Batches in a row that tell nothing, after which an attack asks no more of that kind.
    """
    known = known_of(people, defence, targets)
    found = []
    for name in names:
        surface, began = Surface(analysts, name, patience), perf_counter()
        fitting = _fitting(known, people, name, targets)
        evidence = ATTACKS[name](fitting, surface)
        took = perf_counter() - began
        found.append(judged(name, fitting, people, evidence, surface, took))
    return found


def _fitting(known: Known, people: Everyone, name: str, targets: int) -> Known:
    """Return the knowledge with the targets that an attack is about."""
    draw = np.random.default_rng(targets)
    if name == "suppressed":
        return replace(known, targets=np.flatnonzero(people.plain["status"] != "1")[:targets])
    if name == "reconstruction":
        streets = sorted(set(people.plain["street"].tolist()))[:9]
        inside = np.flatnonzero(np.isin(people.plain["street"], streets))
        return replace(known, targets=np.intersect1d(inside, alone(people))[:targets])
    if name == "homogeneity":
        drawn = draw.permutation(people.same_workplace())
        chosen = replace(known, targets=drawn[:targets], share=0.25)
        return accomplices_of(chosen, people, drawn[targets:])
    return known


def judged(
    name: str, known: Known, people: Everyone, evidence: Evidence, surface: Surface, seconds: float
) -> Outcome:
    """Hold guesses against the truth.

    Args:
        name: Of the attack.
        known: With its targets.
        people: With their secrets.
        evidence: What the attack found, one number a target.
        surface: Where it asked.
        seconds: It took.
    """
    truth = people.paid[known.targets]
    prior = np.log(known.share / (1 - known.share))
    guesses: npt.NDArray[np.bool_] = evidence + prior > 0
    common = float(truth.mean())
    return Outcome(
        name, len(truth), float((guesses == truth).mean()), max(common, 1 - common),
        float((evidence != 0).mean()), surface.asked, dict(surface.refused), surface.withheld, seconds,
    )  # fmt: skip
