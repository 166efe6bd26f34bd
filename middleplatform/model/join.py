"""How a release block over several departments is joined in private: its sides, and what each contributes a row.

Both ends derive this from the fragment's text, the catalogue and the bundle, so nothing of it crosses the wire.
Spec: docs/spec/private-join.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from middleplatform.model.query import Field, JoinKind, Rows

__all__ = ["BLINDED", "HELPER", "RUNGS", "JoinPlan", "JoinProtocol", "Side", "SideWord"]


class JoinProtocol(StrEnum):
    """How equal keys are found; both have the same lists, masks and sums."""

    HELPER = "helper"
    BLINDED = "blinded"


HELPER, BLINDED = JoinProtocol.HELPER, JoinProtocol.BLINDED

RUNGS = 12
"""Rungs of the value ladder of a capped measure: rung ``j`` is ``cap * (4/5) ** j``, rounded down."""


@dataclass(frozen=True, slots=True)
class SideWord:
    """One number a list row that is summed by cell under masks, in two's complement modulo 2**64.

    Attributes:
        name: ``rows_p`` (table rows in population p), ``units_p`` (1 where there are any), ``full_p`` (1 where all of
            the row's table rows are in population p), ``sum_s``, ``abs_s`` (absolute value of the list row's sum),
            ``sq_s`` (sum of squares of table rows) ``rung_s_j`` (1 where ``abs_s`` exceeds rung j of the cap), or
            ``key_p`` (low 32 bits of the unit's record key where it has rows in population p).
        limbs: Masked words that carry it: 1, or 2 for squares (the low 32 bits, then the rest).
        scale: Decimal places of its unit: a value is a whole number of ``10 ** -scale``.
    """

    name: str
    limbs: int = 1
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """What one department, or the holders of one logical table, bring to the join: one list row a key and own labels.

    Attributes:
        number: From 0, in the order of joining.
        departments: Who holds its rows, sorted; a key's rows all lie with one of them.
        kind: How it is joined to the sides before it; INNER for the first.
        rows: Its own relations and filter; a column that identifies nothing twice (``Dataset.rows_by``).
        key: The field that must be equal.
        dimensions: Numbers of the cell's dimensions that it labels, ascending.
        keys: Numbers of ``Layout.keys`` that it counts: its second tokens.
        words: What is summed, in order.
        unique: Whether every key has at most one list row.
        single: Whether every list row stands for exactly one table row.
    """

    number: int
    departments: tuple[str, ...]
    kind: JoinKind
    rows: Rows
    key: Field
    dimensions: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    words: tuple[SideWord, ...] = ()
    unique: bool = True
    single: bool = True


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """A private join.

    Attributes:
        unit: The protected unit that the key names: ``"person"``, ``"firm"``, ``"household"``: the tokens' domain.
        protocol: How tokens are made.
        sides: At least two, each of other departments.
        population_sides: For each population of the layout, the side that judges it, or -1 for all tuples.
        sum_sides: For each sum of the layout, the side that has it.
        other_sides: For each of ``Layout.others``, the side whose matched keys are counted.
        fan: The one side that may have several table rows a key, or -1.
        capped: For each sum, the cap of a list row's absolute value in units of ``10 ** -scale``, or -1 for none.
        min_units: Threshold below which a side takes no part and a helper adds nothing up.
        notes: (English, Chinese) sentences for the answer: caps, duplicates that count once, the assumption.
    """

    unit: str
    protocol: JoinProtocol
    sides: tuple[Side, ...]
    population_sides: tuple[int, ...]
    sum_sides: tuple[int, ...]
    other_sides: tuple[int, ...]
    fan: int
    capped: tuple[int, ...]
    min_units: int
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def departments(self) -> tuple[str, ...]:
        """Return who brings a side, sorted."""
        return tuple(sorted({name for side in self.sides for name in side.departments}))

    def helper(self, side: int, key_holder: str = "") -> str:
        """Return who removes the masks of a side: the key holder, else the first department of the next side.

        Args:
            side: Number of the side.
            key_holder: Party that holds no data, or empty where the platform has none.
        """
        if key_holder:
            return key_holder
        return self.sides[(side + 1) % len(self.sides)].departments[0]

    def sealers(self, key_holder: str = "") -> tuple[str, ...]:
        """Return who seals under a recipient's key, sorted: all that remove masks of sums; one where there are none."""
        summed = [
            side.number
            for side in self.sides
            if any(word.name.startswith(("sum_", "sq_")) for word in side.words)
        ]
        return tuple(sorted({self.helper(number, key_holder) for number in summed or [0]}))

    def side_of(self, department: str) -> Side | None:
        """Return the side of a department, or None for a key holder."""
        return next((side for side in self.sides if department in side.departments), None)
