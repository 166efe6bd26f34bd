"""Words of tier D from what each unit adds to each cell: chosen cells, clamped, added up; all on arrays.

Everything here is deterministic, so that its sensitivity can be enumerated: chance comes in as ``order``.

Reveals: nothing; exact totals never leave the node.

Spec: docs/spec/differential-privacy.md, "Bounds".
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from middleplatform.disclosure.evidence import Flags
from middleplatform.disclosure.privacy import STEPS_MAX
from middleplatform.model.plan import Layout

__all__ = ["chosen_cells", "consistent", "in_steps", "totals"]

Whole = npt.NDArray[np.int64]
_WORD_BITS = np.uint64(32)
_TOTAL_MAX = 1 << 62


def chosen_cells(units: Whole, order: Whole, groups: int) -> Flags:
    """Flag, for each unit, its first ``groups`` cells in a given order; the others are left out.

    Whether a row is chosen hangs on the rows of its own unit only.

    Args:
        units: Number of each row's unit, 0 to 2**31 - 1; a row is a unit in a cell.
        order: Of the rows, distinct, 0 to 2**32 - 1; at random, so that no choice tells of the data.
        groups: At least 1.

    Returns:
        Shape (rows,).

    Reveals:
        Nothing.
    """
    count = len(units)
    if not count:
        return np.zeros(0, dtype=np.bool_)
    keys = units.astype(np.uint64) << _WORD_BITS | order.astype(np.uint64)
    keys.sort()
    owner = keys >> _WORD_BITS
    # The row that stands ``groups`` places before is of another unit: then fewer of this one stand before.
    kept = np.ones(count, dtype=np.bool_)
    kept[groups:] = owner[groups:] != owner[:-groups]
    places = np.zeros(int(order.max()) + 1, dtype=np.bool_)
    places[(keys & np.uint64(0xFFFFFFFF))[kept].astype(np.int64)] = True
    return np.asarray(places[order], dtype=np.bool_)


def in_steps(values: npt.NDArray[np.float64] | Whole, most: int, step: int) -> Whole:
    """Return values as whole steps, clamped to ``most`` of them on either side.

    Args:
        values: In units of the last place; missing ones as 0.
        most: ``WordNoise.most``.
        step: ``WordNoise.step``.

    Reveals:
        Nothing.
    """
    assert 1 <= most <= STEPS_MAX, "a word has at most so many steps"
    whole = values if step == 1 else np.rint(values / float(step))
    return np.clip(whole, -most, most).astype(np.int64)


def totals(cells: Whole, steps: Whole, count: int) -> Whole:
    """Return the sum of steps of each cell.

    Args:
        cells: Number of each row's cell, 0 to ``count - 1``.
        steps: Of each row, at most ``STEPS_MAX`` in absolute value.
        count: Number of cells.

    Reveals:
        Nothing.
    """
    assert len(cells) < STEPS_MAX, "no sum leaves 64 bits"
    found = np.zeros(count, dtype=np.int64)
    np.add.at(found, cells, steps)
    return np.clip(found, -_TOTAL_MAX, _TOTAL_MAX)


def consistent(layout: Layout, words: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Return noisy words that can be: no count below 0, no sum of squares below what a sum implies.

    Of what has left already, so nothing is spent.

    Args:
        layout: Of the words.
        words: By name, by cell, in units of the last place.

    Reveals:
        Nothing beyond ``words``.
    """
    found = {
        name: list(column)
        if name.startswith(("sum_", "sq_"))
        else [max(0, each) for each in column]
        for name, column in words.items()
    }
    for s, word in enumerate(layout.sums):
        rows = found.get(f"rows_{word.population}")
        if f"sq_{s}" in found and rows is not None:
            columns = zip(found[f"sq_{s}"], found[f"sum_{s}"], rows, strict=True)
            found[f"sq_{s}"] = [
                max(squares, -(-total * total // count)) if count else max(squares, 0)
                for squares, total, count in columns
            ]
    return found
