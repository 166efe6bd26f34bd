"""Homogeneity across cells: a group all of whose members fall into one sensitive cell (R5)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from middleplatform.disclosure.evidence import Flags

__all__ = ["single_sensitive"]


def single_sensitive(labels: pa.Table, sensitive: Sequence[str]) -> Flags:
    """Flag the cells that are the only one of their group, by the dimensions that are not sensitive.

    Args:
        labels: Dimension columns, one row a cell.
        sensitive: Names of the sensitive ones; no flags when there are none. Without any other one, all cells are
            one group.

    Returns:
        Shape (cells,).

    Reveals:
        Only that all members of a group share one sensitive value, not which (the label is withheld too).
    """
    cells = labels.num_rows
    plain = [name for name in labels.column_names if name not in sensitive]
    if not sensitive or not cells:
        return np.zeros(cells, dtype=np.bool_)
    if not plain:
        return np.full(cells, fill_value=cells == 1)
    indexed = labels.append_column("__row", pa.array(np.arange(cells)))
    grouped = indexed.group_by(plain).aggregate([("__row", "count"), ("__row", "max")])
    alone = grouped.filter(pa.compute.equal(grouped["__row_count"], 1))["__row_max"]
    flags = np.zeros(cells, dtype=np.bool_)
    flags[alone.to_numpy()] = True
    return flags
