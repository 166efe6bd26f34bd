"""Cell-key perturbation of what several departments answer together: by the gateway, on totals (tier S).

Departments' cell keys are additive and come as words like any other. The gateway has the exact totals of nameless
cells before, so it learns nothing by taking the noise off; who gets the answer does not have the keys.
Spec: docs/spec/disclosure.md, "Perturbation".
"""

from collections.abc import Sequence

import numpy as np

from middleplatform.disclosure.disclose import Marks
from middleplatform.disclosure.evidence import CellEvidence, Counts, Exact
from middleplatform.disclosure.perturb import Words, perturb, small
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters

__all__ = ["Words", "perturbed", "word_of"]

_LOW = np.uint64(0xFFFF_FFFF)
_SPREAD = np.uint64(0x9E37_79B1)
"""An odd number: what a count is multiplied by, so that cells with one more unit have another key."""
_SHIFT = np.uint64(32)


def perturbed(
    layout: Layout,
    evidence: CellEvidence,
    keys: Sequence[Counts],
    marks: Marks,
    parameters: DisclosureParameters,
) -> Words:
    """Return the words with their noise; marks values whose perturbed counts are below the threshold.

    Args:
        layout: Of the cells.
        evidence: Exact, of the same cells.
        keys: For each population, sums of the low 32 bits of cell keys, shape (cells,).
        marks: Shape (cells, aggregates); changed.
        parameters: Of the policy.
    """
    low = np.stack([each.astype(np.uint64) for each in keys], axis=1)
    # A unit without a row on the side that brought the keys counts too: then the number of units is all that moves.
    moved = low + evidence.units.astype(np.uint64) * _SPREAD
    words = perturb(layout, evidence, (moved & _LOW) << _SHIFT, parameters)
    flags = small(layout, evidence, words, parameters)
    free = np.array([[mark is None for mark in row] for row in marks], dtype=np.bool_)
    marks[flags & free.reshape(flags.shape)] = "threshold"
    return words


def word_of(words: Words, name: str) -> Sequence[int]:
    """Return a word of all cells, in units of its last place.

    Args:
        words: Perturbed.
        name: As in ``Layout.words``.
    """
    kind, _, number = name.partition("_")
    place = int(number)
    found: Exact | Counts | None
    match kind:
        case "units":
            found = words.units[:, place]
        case "rows":
            found = words.rows[:, place]
        case "keys":
            found = words.keys[:, place]
        case "sum":
            found = words.totals[place]
        case _:
            found = words.squares[place]
    assert found is not None, "a layout that reads squares has them"
    return [int(value) for value in found]
