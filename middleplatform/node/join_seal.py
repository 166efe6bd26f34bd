"""A helper's part in a sealed private join: masks of counts in the clear, masks of magnitudes under a key.

The gateway judges counts, and says which values are released before a magnitude is sealed. So the recipient gets
nothing of a withheld one, and the gateway, which has the masked sums, learns no magnitude.
Spec: docs/spec/private-join.md, "Sealed".

Reveals:
    To the gateway: totals of counts, by nameless cell, and ciphertexts. To the key's holder, with the gateway's part:
    the released totals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.sealed_layout import join_layout, released_slots
from middleplatform.crypto.sealed_packing import RESIDUE_BYTES
from middleplatform.crypto.sealed_sum import SealedWords, seal
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.model.join import JoinPlan
from middleplatform.model.plan import Layout
from middleplatform.planner.side_words import summed_columns
from middleplatform.wire.join_lists import ReleasedCells

__all__ = ["HeldMasks"]

Words = npt.NDArray[np.uint64]


@dataclass
class HeldMasks:
    """Sums of masks on magnitudes that a helper keeps until it is told what is released."""

    plan: JoinPlan
    _sides: dict[int, Words] = field(default_factory=dict)

    def keep(self, side: int, words: Words) -> Words:
        """Keep a side's sums of magnitudes; return the others, for the gateway.

        Args:
            side: Number of the side.
            words: Shape (groups, width of the side).

        Reveals:
            To the gateway, with what is returned: counts by nameless cell.
        """
        columns = [place for _, _, place in summed_columns(self.plan.sides[side])]
        self._sides[side] = words[:, columns].copy()
        told = words.copy()
        told[:, columns] = 0
        return told

    def seal(
        self,
        asked: ReleasedCells,
        sides: Sequence[int],
        layout: Layout,
        key: SealingKey,
        parties: int,
    ) -> SealedWords:
        """Seal what is released of all sides whose masks were removed here; a second time there is nothing left.

        Args:
            asked: Which cells are shown, where each stands among the groups of a side, and what is released.
            sides: Whose masks this party removes.
            layout: Of the block.
            key: The recipient's.
            parties: Vectors that are added, the gateway's included.

        Raises:
            ProtocolError: X001 for places that are no groups, or twice the same.

        Reveals:
            To the gateway: the number of cells. To the key's holder: with the gateway's part, released totals.
        """
        if asked.released.shape[1] != len(layout.formulas) or set(asked.places) != set(sides):
            raise bad_message("released cells of another block")
        names = _slots(layout)
        found = np.zeros((len(asked.released), len(names)), dtype=np.uint64)
        for side, places in asked.places.items():
            self._fill(found, names, side, places)
        self._sides.clear()
        found[~released_slots(layout, asked.released)] = 0
        return seal(found.reshape(-1), key, parties=parties, slot_bytes=RESIDUE_BYTES)

    def _fill(
        self,
        found: Words,
        names: Mapping[tuple[str, int], int],
        side: int,
        places: npt.NDArray[np.int32],
    ) -> None:
        columns = summed_columns(self.plan.sides[side])
        held = self._sides.get(side, np.zeros((0, len(columns)), dtype=np.uint64))
        there = places >= 0
        own = places[there]
        if own.size and (int(own.max()) >= len(held) or np.unique(own).size != own.size):
            raise bad_message("released cells that are no groups")
        for place, (name, limb, _) in enumerate(columns):
            if (name, limb) in names:
                found[there, names[name, limb]] = held[own, place]


def _slots(layout: Layout) -> dict[tuple[str, int], int]:
    """Return the slot of each limb."""
    limbs = [
        (each.name, limb) for each in join_layout(layout).measures for limb in range(each.words)
    ]
    return {limb: slot for slot, limb in enumerate(limbs)}
