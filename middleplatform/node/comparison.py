"""One population against those released before: by size first, then as bitmaps.

Spec: docs/spec/history.md, "Comparing".

Reveals: Nothing: stays in the node.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from middleplatform.ledger.released import Block, Holder, Member, ReleasedSets
from middleplatform.node.populations import Population

__all__ = ["Comparison", "Kept"]

_PAIRS_MAX = 20_000
_FEW = 8
"""Sets that are compared as they are, without a look at their sketches."""


@dataclass(frozen=True)
class Kept:
    """A population that is to be kept.

    Attributes:
        label: Of its cell.
        population: Its units.
        shown: Whether something of it is released.
        counted: Whether it counts for the cap of overlaps.
    """

    label: str
    population: Population
    shown: bool = True
    counted: bool = False


class Comparison:
    """Compares the populations of one block.

    Args:
        sets: Of the node.
        holders: Whose sets are compared; of the first one they are kept.
        universe: All units' rows as they are now.
        least: Threshold k.
    """

    def __init__(
        self, sets: ReleasedSets, holders: Sequence[Holder], universe: Population, least: int
    ) -> None:
        self._sets, self._holders, self._universe = sets, holders, universe
        self._least = least
        self._snapshot = sets.number(universe.digest)

    def get(self, content: int) -> Population:
        """Return an earlier set."""
        return Population.read(self._sets.planes(content))

    def seen(self, own: Population) -> bool:
        """Say whether this very set was let out before: it was compared then, and later ones with it."""
        return self._sets.seen(self._holders[0], own.digest, self._universe.digest, self._least)

    def close(self, own: Population) -> bool:
        """Say whether an earlier set, or what it or this one leaves of all rows, differs by 1 to k-1 units."""
        rest = self._universe.without(own)
        return any(
            self._direct(holder, own) or (rest.planes and self._complement(holder, own, rest))
            for holder in self._holders
        )

    def _direct(self, holder: Holder, own: Population) -> bool:
        found = [content for content, _ in self._sets.near(holder, self._about(own))]
        if len(found) > _FEW:
            apart = own.apart(self._sets.sketches.of(found, lambda each: self.get(each).sketch))
            found = [
                content for content, units in zip(found, apart, strict=True) if units < self._least
            ]
        return any(own.near(self.get(content), self._least) for content in found)

    def _complement(self, holder: Holder, own: Population, rest: Population) -> bool:
        if self._direct(holder, rest):
            return True
        # Of the same snapshot that was all; of another one, what the earlier set left then is another set.
        for content, universe in self._sets.near(holder, self._about(own), rest=True):
            if universe != self._snapshot:
                left = self.get(universe).without(self.get(content))
                if left.planes and own.near(left, self._least):
                    return True
        return False

    def _about(self, own: Population) -> tuple[int, int]:
        return max(1, own.size - self._least + 1), own.size + self._least - 1

    def between(self, own: Population) -> bool:
        """Say whether a set is close to the difference of two earlier ones, one of which holds the other.

        At most so many pairs are tried as keeps a decision bounded, the latest larger sets first.
        """
        tried = 0
        holder = self._holders[0]
        for large in self._sets.larger(holder, own.size - self._least + 1):
            outer = self.get(large)
            if own.units.intersection_cardinality(outer.units) <= own.size - self._least:
                continue
            rest = outer.without(own)
            for small, _ in self._sets.near(holder, self._about(rest)) if rest.planes else ():
                inner, tried = self.get(small), tried + 1
                if inner.inside(outer) and outer.without(inner).near(own, self._least):
                    return True
            if tried > _PAIRS_MAX:
                break
        return False

    def crossed(self, own: Population, most: int) -> bool:
        """Say whether so many earlier counted sets overlap this one, neither holding the other."""
        found = 0
        for content in self._sets.counted(self._holders[0]):
            found += own.crosses(self.get(content))
            if found >= most:
                return True
        return False

    def keep(self, shape: str, kept: Sequence[Kept], moment: str) -> None:
        """Keep populations of one shape, durably once the check ends."""
        members = [
            Member(
                each.label,
                each.population.digest,
                each.population.to_bytes(),
                each.population.size,
                self._universe.without(each.population).size,
                each.shown,
                each.counted,
            )
            for each in kept
        ]
        universe = (self._universe.digest, self._universe.to_bytes())
        block = Block(self._holders[0], shape, universe, self._least)
        self._sets.add(block, members, moment)
