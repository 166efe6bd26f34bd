"""The steps of a private join at each kind of party, and which may follow on which.

Spec: docs/spec/private-join.md, "Steps".
"""

from enum import IntEnum

from middleplatform.node.open_rounds import Order

__all__ = ["BLINDED_DEPARTMENT", "HELPER_DEPARTMENT", "KEY_HOLDER_ORDER", "JoinStep"]


class JoinStep(IntEnum):
    """Steps of a private join, in order."""

    OPEN = 0
    AGREE = 1
    LIST = 2
    ROWS = 3
    POINTS = 4
    BLIND = 5
    SUMS = 6
    SEAL = 7
    REVEAL = 8


_ENDS = frozenset({JoinStep.SUMS, JoinStep.SEAL, JoinStep.REVEAL})
_BLINDING = frozenset({JoinStep.ROWS, JoinStep.POINTS, JoinStep.BLIND})

HELPER_DEPARTMENT = Order(
    JoinStep.OPEN,
    JoinStep.REVEAL,
    {
        JoinStep.OPEN: frozenset({JoinStep.AGREE}),
        JoinStep.AGREE: frozenset({JoinStep.LIST}),
        # Where a side has too few units no rows follow, and REVEAL of nothing ends the round.
        JoinStep.LIST: frozenset({JoinStep.ROWS, JoinStep.SEAL, JoinStep.REVEAL}),
        JoinStep.ROWS: _ENDS | {JoinStep.ROWS},
        JoinStep.SUMS: _ENDS,
        JoinStep.SEAL: frozenset({JoinStep.REVEAL}),
    },
)
"""A department; it removes masks too where the platform has no key holder."""

BLINDED_DEPARTMENT = Order(
    JoinStep.OPEN,
    JoinStep.REVEAL,
    {
        **HELPER_DEPARTMENT.follows,
        JoinStep.LIST: _BLINDING | {JoinStep.SEAL, JoinStep.REVEAL},
        # Lists pass by each other: whose points come first is the gateway's to say; each comes once all the same.
        JoinStep.ROWS: _BLINDING | _ENDS,
        JoinStep.POINTS: _BLINDING | _ENDS,
        JoinStep.BLIND: _BLINDING | _ENDS,
    },
)
"""A department whose tokens come from blinded points."""

KEY_HOLDER_ORDER = Order(
    JoinStep.OPEN,
    JoinStep.REVEAL,
    {
        JoinStep.OPEN: frozenset({JoinStep.AGREE}),
        JoinStep.AGREE: _ENDS,
        JoinStep.SUMS: _ENDS,
        JoinStep.SEAL: frozenset({JoinStep.REVEAL}),
    },
)
"""A party without data: it removes masks, and signs a receipt."""
