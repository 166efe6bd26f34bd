"""From the list rows of a side's statement to the words that are masked, and from their sums back to numbers."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.errors import ProtocolError
from middleplatform.model.join import RUNGS, JoinPlan, Side

__all__ = ["rungs", "summed_columns", "width", "word_columns", "word_totals"]

Words = npt.NDArray[np.uint64]
Signed = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_HALF = np.uint64(32)
_LOW = np.uint64((1 << 32) - 1)
_LIMIT = 1 << 63
_BLOCK = 4096


def rungs(cap: int) -> tuple[int, ...]:
    """Return the rungs of a cap, from the cap itself down, in the cap's units."""
    return tuple(cap * 4**j // 5**j for j in range(RUNGS))


def width(side: Side) -> int:
    """Return the masked words of a list row."""
    return sum(word.limbs for word in side.words)


def summed_columns(side: Side) -> tuple[tuple[str, int, int], ...]:
    """Return name, limb and column of each masked word of a side that is a magnitude: a sum, or a sum of squares."""
    found, place = [], 0
    for word in side.words:
        for limb in range(word.limbs):
            if word.name.startswith(("sum_", "sq_")):
                found.append((word.name, limb, place))
            place += 1
    return tuple(found)


def word_columns(plan: JoinPlan, side: int, table: pa.Table) -> Words:
    """Return the words of a side's list rows, in two's complement, limbs side by side in the order of ``Side.words``.

    ``rows_p`` as counted; ``units_p`` is 1 where ``rows_p`` is above 0; ``full_p`` is 1 where ``rows_p`` equals
    ``rows_0``; ``sum_s`` in units of ``10 ** -scale``, missing as 0, brought within plus and minus the cap where there
    is one; ``abs_s`` its absolute value; ``rung_s_j`` is 1 where ``abs_s`` exceeds rung j; ``sq_s`` its low 32 bits,
    then the rest; ``key_p`` the low 32 bits of the key's record key where ``rows_p`` is above 0.

    Args:
        plan: Of the join.
        side: Number of the side.
        table: What the side's statement gave, in any order of rows.

    Returns:
        Shape (rows, width of the side).

    Raises:
        ProtocolError: X004 where the side's totals could leave 63 bits, so that sums of words would be wrong.
    """
    own = plan.sides[side]
    sizes: dict[int, Signed] = {}
    limbs = [limb for word in own.words for limb in _limbs(word.name, plan, table, sizes)]
    for limb in limbs:
        if limb.dtype != np.bool_:
            _check_room(limb.astype(np.int64, copy=False), len(own.departments))
    found = np.empty((table.num_rows, width(own)), dtype=np.uint64)
    for start in range(0, table.num_rows, _BLOCK):
        # Row by row in memory, column by column in time: a block at a time stays near the processor.
        part = slice(start, start + _BLOCK)
        for place, limb in enumerate(limbs):
            found[part, place] = limb[part].astype(np.int64, copy=False).view(np.uint64)
    return found


def _limbs(
    name: str, plan: JoinPlan, table: pa.Table, sizes: dict[int, Signed]
) -> Iterator[Signed | Flags]:
    """Yield the limbs of a word; flags cannot add up to more than the rows.

    ``sum`` stands before ``abs`` and the rungs in every side's words, so that ``sizes`` has what they need.
    """
    kind, number, *rung = name.split("_")
    index = int(number)
    match kind:
        case "rows":
            yield _count(table, f"rows_{index}")
        case "units":
            yield _count(table, f"rows_{index}") > 0
        case "full":
            yield _count(table, f"rows_{index}") == _count(table, "rows_0")
        case "key":
            keys = np.asarray(table["key"], dtype=np.int64)
            inside = not index or _count(table, f"rows_{index}") > 0
            yield keys * inside
        case "sq":
            yield from _square(table[f"sq_{index}"])
        case "sum":
            value = _clamped(table[f"sum_{index}"], plan.capped[index])
            sizes[index] = np.abs(value)
            yield value
        case "abs":
            yield sizes[index]
        case _:
            yield sizes[index] > rungs(plan.capped[index])[int(rung[0])]


def _count(table: pa.Table, name: str) -> Signed:
    return np.asarray(pc.fill_null(pc.cast(table[name], pa.int64()), 0), dtype=np.int64)


def _halves(column: pa.ChunkedArray) -> tuple[Words, Signed]:
    """Return the low and high 64 bits of decimals, missing as 0."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    count = len(whole)
    raw = whole.buffers()[1]
    if raw is None or not count:
        return np.zeros(count, dtype=np.uint64), np.zeros(count, dtype=np.int64)
    both = np.frombuffer(raw, dtype="<u8", count=2 * count, offset=16 * whole.offset).copy()
    pairs = both.reshape(count, 2)
    pairs[np.asarray(pc.is_null(whole))] = 0
    return pairs[:, 0].copy(), pairs[:, 1].copy().view(np.int64)


def _clamped(column: pa.ChunkedArray, cap: int) -> Signed:
    low, high = _halves(column)
    value = low.view(np.int64)
    outside = high != (value >> 63)
    if cap < 0:
        if outside.any() or (value == np.iinfo(np.int64).min).any():
            raise ProtocolError("X004", detail="a list row's sum does not fit a word")
        return value
    most = np.int64(min(cap, _LIMIT - 1))
    value = np.clip(value, -most, most)
    return np.where(outside, np.where(high < 0, -most, most), value)


def _square(column: pa.ChunkedArray) -> Iterator[Signed]:
    low, high = _halves(column)
    if (high < 0).any() or (high >= 1 << 31).any():
        raise ProtocolError("X004", detail="a list row's square does not fit two words")
    yield (low & _LOW).view(np.int64)
    yield ((low >> _HALF) | (high.view(np.uint64) << _HALF)).view(np.int64)


def _check_room(limb: Signed, departments: int) -> None:
    """Refuse words of which some of the side could add up beyond 63 bits, signs apart."""
    largest = int(np.abs(limb).max(initial=0))
    if largest * len(limb) * departments < _LIMIT:
        return
    high = int((np.abs(limb) >> 32).sum()) << 32
    low = int((np.abs(limb) & ((1 << 32) - 1)).sum())
    if (high + low) * departments >= _LIMIT:
        raise ProtocolError("X004", detail="the sums of a side do not fit their words")


def word_totals(side: Side, sums: Words) -> dict[str, npt.NDArray[np.object_]]:
    """Return the totals by word, as whole numbers in units of ``10 ** -scale``, shape (groups,) each.

    Args:
        side: Whose words they are.
        sums: Of the words, modulo 2**64, shape (groups, width of the side).
    """
    found: dict[str, npt.NDArray[np.object_]] = {}
    place = 0
    for word in side.words:
        total = np.ascontiguousarray(sums[:, place]).view(np.int64).astype(object)
        if word.limbs > 1:
            total = total + (
                np.ascontiguousarray(sums[:, place + 1]).view(np.int64).astype(object) << 32
            )
        found[word.name] = total
        place += word.limbs
    return found
