"""Which rows of a list may be added up together, where a key may have several of them.

A helper sees places and no keys: told nothing else, it would take k rows of one unit for k units. But rows of one label
tuple are of different units, since a department adds up by key and label tuple. So the department tells the helper,
sealed, which label tuple each place has, and the helper adds up rows of one label tuple only: as cells have them.
Spec: docs/spec/private-join.md, "Sums at the helper".

Reveals:
    To the helper: which places of the list have one label tuple, nameless. To the gateway: nothing; it has the codes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.join_party import JoinParty
from middleplatform.errors import ProtocolError
from middleplatform.wire.join_lists import GroupLists

__all__ = ["check_marks", "marks_purpose", "packed_marks"]

_SIZES = (1, 2, 4)


def marks_purpose(side: int) -> str:
    """Return what the marks of a side are sealed as.

    Reveals:
        Nothing.
    """
    return f"marks/{side}"


def packed_marks(places: npt.NDArray[np.uint32], tuples: int) -> bytes:
    """Return the place of each row's label tuple in as few bytes a row as hold all of them: 1, 2 or 4.

    Args:
        places: In the order of the list.
        tuples: Number of label tuples.

    Reveals:
        Nothing: it is sealed before it leaves.
    """
    size = next(size for size in _SIZES if tuples <= 1 << 8 * size)
    return places.astype(f"<u{size}").tobytes()


def check_marks(party: JoinParty, asked: GroupLists, rows: Sequence[int]) -> None:
    """Return only if each group has rows of one label tuple at each owner.

    Args:
        party: The helper.
        asked: The groups, with marks.
        rows: Of each owner's list, as its note says.

    Raises:
        ProtocolError: X001 for marks that are missing, do not open or are not one a row, for a position out of range,
            and for a group of several label tuples; X002 for marks that came before.

    Reveals:
        Nothing but success or failure.
    """
    if len(asked.marks) != len(asked.owners):
        raise ProtocolError("X001", detail="a list without marks")
    several = zip(asked.owners, asked.marks, asked.starts, asked.positions, rows, strict=True)
    for owner, sealed, starts, positions, count in several:
        raw = party.open_from(owner, marks_purpose(asked.side), sealed)
        size = next((size for size in _SIZES if size * count == len(raw)), 0)
        if not size or int(positions.max(initial=0)) >= count:
            raise ProtocolError("X001", detail="marks of another list, or a position out of range")
        marks = np.frombuffer(raw, dtype=f"<u{size}")[positions]
        changed = marks[1:] != marks[:-1]
        begins = starts[(starts > 0) & (starts < positions.size)].astype(np.int64) - 1
        changed[begins] = False  # between two groups
        if bool(changed.any()):
            raise ProtocolError("X001", detail="a group of several label tuples")
