"""What stands in the slots of nulls of an Arrow table: there a withheld value would still be read."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def held_by_nulls(table: pa.Table) -> set[str]:
    """Return the columns whose null slots hold anything but zeros, or a text of any length."""
    return {name for name in table.column_names if _holds(table[name].combine_chunks())}


def _holds(column: pa.Array) -> bool:
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    values = column.buffers()[-1]
    if not missing.any() or values is None:
        return False
    if pa.types.is_string(column.type):
        ends = np.frombuffer(column.buffers()[1], dtype=np.int32)
        ends = ends[column.offset : column.offset + len(column) + 1]
        return bool((np.diff(ends)[missing] != 0).any())
    if pa.types.is_boolean(column.type):
        bits = np.unpackbits(np.frombuffer(values, dtype=np.uint8), bitorder="little")
        return bool(bits[column.offset : column.offset + len(column)][missing].any())
    width = column.type.bit_width // 8
    slots = np.frombuffer(values, dtype=np.uint8)
    slots = slots[column.offset * width : (column.offset + len(column)) * width]
    return bool(slots.reshape(-1, width)[missing].any())
