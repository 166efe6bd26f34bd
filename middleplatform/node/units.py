"""Numbers for protected units, so that sets of them are compared as arrays of integers.

A node gives each unit of a dataset a number when it first sees it; numbers never leave the node and are forgotten
when it ends.
"""

from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["UnitNumbers", "Units"]

Units = npt.NDArray[np.int64]


class UnitNumbers:
    """The numbers of one node's units, by dataset and key; safe between threads."""

    def __init__(self) -> None:
        self._known: dict[str, pa.Array] = {}
        self._lock = Lock()

    def numbers(self, dataset: str, units: pa.ChunkedArray) -> Units:
        """Return the number of each unit, new ones for those not seen before.

        Args:
            dataset: Name under which numbers are kept.
            units: Key values, none missing.

        Returns:
            Shape (units,).

        Reveals:
            Nothing: for the node's own history.
        """
        with self._lock:
            known = self._known.get(dataset, pa.array([], units.type))
            places = pc.index_in(units, value_set=known)
            if places.null_count:
                fresh = pc.unique(units.filter(pc.is_null(places)))
                known = pa.concat_arrays([known, fresh])
                self._known[dataset] = known
                places = pc.index_in(units, value_set=known)
        return np.asarray(places.to_numpy(), dtype=np.int64)
