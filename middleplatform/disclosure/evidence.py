"""Evidence about cells as arrays: what the rules of disclosure control look at.

Built by a node from its own engine's result, or by the gateway from the totals of a secure sum. Exact: magnitudes are
Python integers in object arrays, in units of ``10 ** -scale``.

Spec: docs/spec/disclosure.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CellEvidence", "Magnitude"]

Counts = npt.NDArray[np.int64]
Exact = npt.NDArray[np.object_]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Magnitude:
    """Evidence of one summed measure, by cell.

    Attributes:
        total: Sum, shape (cells,).
        absolute: Sum of absolute unit totals, shape (cells,); equal to ``total`` where none is negative.
        top: Largest absolute unit totals in falling order, shape (cells, 3); zero where there are fewer units. Under a
            secure sum, upper bounds of them.
        squares: Sum of squares, shape (cells,), or None.
    """

    total: Exact
    absolute: Exact
    top: Exact
    squares: Exact | None = None


@dataclass(frozen=True)
class CellEvidence:
    """Evidence of all cells of a release block.

    Attributes:
        units: Distinct units in each population, shape (cells, populations).
        rest: Distinct units with a row outside the population, same shape; column 0 is zero.
        rows: Rows in each population, same shape.
        magnitudes: One a sum of the layout.
        keys: Distinct counts of other keys, shape (cells, keys).
        others: Distinct units of further tables, shape (cells, others).
    """

    units: Counts
    rest: Counts
    rows: Counts
    magnitudes: Sequence[Magnitude]
    keys: Counts
    others: Counts

    @property
    def cells(self) -> int:
        """Return the number of cells."""
        return int(self.units.shape[0])
