"""Which measures stand in which words: the recipe over exact fixed-point values.

Words stand column by column: all cells of the first word of the first measure, then of its second
word if it is wide, then the next measure. Cells without a value of this department hold zero.
Imported by node (encode) and gateway or combine (decode).
Spec: docs/spec/secure-sum.md, "Words".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.crypto.encoding import bad_message, join_parts, tagged_digest
from middleplatform.crypto.hazmat.fixed_point import (
    Halves,
    Words,
    join_narrow,
    join_wide,
    narrow_words,
    split_narrow,
    split_wide,
)
from middleplatform.crypto.messages import WORDS_MAX
from middleplatform.crypto.round_context import PARTIES_MAX
from middleplatform.errors import ProtocolError

__all__ = ["Measure", "WordLayout"]

SCALE_MAX = 38
NARROW, WIDE = 1, 2


@dataclass(frozen=True, slots=True)
class Measure:
    """One summed column.

    Attributes:
        name: Column name, e.g. ``a0``.
        words: 1 for magnitudes up to (2**63 - 1) // parties, 2 for 2**48 times as much; in units
            of the last decimal place.
        scale: Decimal places, 0 to 38; an array must have exactly these.

    Raises:
        ProtocolError: X001 when a value is outside its range.
    """

    name: str
    words: int
    scale: int = 0

    def __post_init__(self) -> None:
        if self.words not in (NARROW, WIDE) or not 0 <= self.scale <= SCALE_MAX:
            raise bad_message("a measure is not valid")


@dataclass(frozen=True, slots=True)
class WordLayout:
    """The measures of a round in order; its digest is the round's ``layout_hash``.

    Attributes:
        measures: At least one, names distinct.

    Raises:
        ProtocolError: X001 when there is none or a name stands twice.
    """

    measures: tuple[Measure, ...]

    def __post_init__(self) -> None:
        names = {measure.name for measure in self.measures}
        if not names or len(names) != len(self.measures):
            raise bad_message("a layout is not valid")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, 32 bytes."""
        rows = (
            join_parts(measure.name, str(measure.words), str(measure.scale))
            for measure in self.measures
        )
        return tagged_digest("middleplatform secure-sum layout v1", *rows)

    @property
    def words_per_cell(self) -> int:
        """Number of words that one cell takes."""
        return sum(measure.words for measure in self.measures)

    def encode(
        self,
        columns: Mapping[str, pa.Array],
        *,
        positions: npt.NDArray[np.int64],
        cells: int,
        parties: int,
    ) -> Words:
        """Return this department's words, ready to be masked.

        Args:
            columns: One Arrow array a measure (a signed integer type with scale 0, or decimal128
                of the measure's scale), shape ``(own cells,)``, no nulls.
            positions: Where each own cell stands among all, shape ``(own cells,)``, distinct.
            cells: Number of all cells, at least 1.
            parties: Number of departments in the cohort, 1 to 1024.

        Returns:
            Shape ``(words_per_cell * cells,)``.

        Raises:
            ProtocolError: X001 for columns, types or positions that do not fit the layout; X004
                when a value is outside its measure's range for so many departments.

        Reveals:
            Nothing; but an X004 that is passed on tells that some value was large.
        """
        self._check_shape(cells, parties)
        _check_positions(positions, cells)
        if columns.keys() != {measure.name for measure in self.measures}:
            raise bad_message("columns are not those of the layout")
        words = np.zeros((self.words_per_cell, cells), dtype=np.uint64)
        row = 0
        for measure in self.measures:
            for part in _parts(columns[measure.name], measure, positions.size, parties):
                words[row, positions] = part
                row += 1
        return words.reshape(-1)

    def encode_counts(
        self,
        counts: npt.NDArray[np.int64],
        *,
        positions: npt.NDArray[np.int64],
        cells: int,
        parties: int,
    ) -> Words:
        """Return this department's words where every measure is a whole number in one word.

        Args:
            counts: Shape ``(measures, own cells)``.
            positions: As ``encode``.
            cells: As ``encode``.
            parties: As ``encode``.

        Returns:
            As ``encode`` of the same numbers as columns.

        Raises:
            ProtocolError: As ``encode``; X001 also for a measure of two words or with decimals.

        Reveals:
            As ``encode``.
        """
        self._check_shape(cells, parties)
        _check_positions(positions, cells)
        narrow = all(each.words == NARROW and each.scale == 0 for each in self.measures)
        shape = (len(self.measures), positions.size)
        if not narrow or counts.dtype != np.int64 or counts.shape != shape:
            raise bad_message("counts do not fit the layout")
        words = np.zeros((len(self.measures), cells), dtype=np.uint64)
        words[:, positions] = narrow_words(counts, parties)
        return words.reshape(-1)

    def decode(self, words: Words, *, cells: int) -> dict[str, pa.Array]:
        """Return the totals, exactly.

        Args:
            words: Sums of all departments' words, shape ``(words_per_cell * cells,)``.
            cells: Number of all cells, at least 1.

        Returns:
            By measure, in order: int64 for one word with scale 0, else decimal128(38, scale).

        Raises:
            ProtocolError: X001 when the number of words does not fit.

        Reveals:
            Nothing beyond the totals.
        """
        self._check_shape(cells, parties=1)
        if words.shape != (self.words_per_cell * cells,) or words.dtype != np.uint64:
            raise bad_message("words do not fit the layout")
        table, row = words.reshape(self.words_per_cell, cells), 0
        totals: dict[str, pa.Array] = {}
        for measure in self.measures:
            totals[measure.name] = _join(table[row : row + measure.words], measure)
            row += measure.words
        return totals

    def _check_shape(self, cells: int, parties: int) -> None:
        if not 1 <= cells * self.words_per_cell <= WORDS_MAX or not 1 <= parties <= PARTIES_MAX:
            raise bad_message("a layout is asked for impossible sizes")


def _check_positions(positions: npt.NDArray[np.int64], cells: int) -> None:
    if positions.ndim != 1 or positions.dtype != np.int64:
        raise bad_message("positions are not valid")
    if positions.size and not 0 <= int(positions.min()) <= int(positions.max()) < cells:
        raise bad_message("positions are not valid")
    # Two values on one place would overwrite each other, and the sum would be short.
    taken = np.zeros(cells, dtype=np.bool_)
    taken[positions] = True
    if np.count_nonzero(taken) != positions.size:
        raise bad_message("positions are not valid")


def _parts(column: pa.Array, measure: Measure, count: int, parties: int) -> tuple[Words, ...]:
    """Return the words of one measure: one array each."""
    if len(column) != count:
        raise bad_message("a column has another length")
    if column.null_count:
        raise ProtocolError("X004", detail="a column has nulls")
    if pa.types.is_signed_integer(column.type) and measure.scale == 0:
        values = column.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        if measure.words == NARROW:
            return (narrow_words(values, parties),)
        return split_wide(join_narrow(values.view(np.uint64)), parties)
    halves = _decimal_halves(column, measure, count)
    if measure.words == NARROW:
        return (split_narrow(halves, parties),)
    return split_wide(halves, parties)


def _decimal_halves(column: pa.Array, measure: Measure, count: int) -> Halves:
    if not pa.types.is_decimal128(column.type) or column.type.scale != measure.scale:
        raise bad_message("a column has another type")
    raw = column.buffers()[1]
    if raw is None or count == 0:
        return np.zeros((count, 2), dtype=np.uint64)
    halves = np.frombuffer(raw, dtype="<u8", count=2 * count, offset=16 * column.offset)
    return halves.reshape(count, 2)


def _join(rows: npt.NDArray[np.uint64], measure: Measure) -> pa.Array:
    if measure.words == NARROW and measure.scale == 0:
        return pa.array(rows[0].view(np.int64))
    halves = join_narrow(rows[0]) if measure.words == NARROW else join_wide(rows[0], rows[1])
    return pa.Array.from_buffers(
        pa.decimal128(38, measure.scale),
        len(halves),
        [None, pa.py_buffer(np.ascontiguousarray(halves, dtype="<u8"))],
    )
