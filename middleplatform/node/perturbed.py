"""Cell-key perturbation of a measured block (tier S): what leaves are perturbed words only.

The block is read once more, one row for each cell and unit; the record keys of a cell's units add up to its cell keys,
and those whose total is not zero are the contributors of a sum.
Spec: docs/spec/disclosure.md, "Perturbation".
"""

from dataclasses import replace
from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.disclosure.disclose import Marks, small_cells
from middleplatform.disclosure.evidence import CellEvidence, Counts, Flags
from middleplatform.disclosure.perturb import (
    Keys,
    Words,
    cell_keys,
    few_contributors,
    perturb,
    small,
)
from middleplatform.errors import SourceError
from middleplatform.model.physical import PhysicalNames
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import CellQuery
from middleplatform.node.measure import Measured, Source, Sources
from middleplatform.node.units import UnitNumbers
from middleplatform.planner.evidence import Statement, members_statement

__all__ = ["block_keys", "keys_and_units", "perturbed"]

_OF_CONTRIBUTORS = frozenset({None, "homogeneity", "dominance", "p_percent"})
"""Marks that would tell nobody, one or two contributors from a few."""
_EXACT = Context(prec=100)
_CODES_MAX, _CODES_FEW = 1 << 62, 1 << 22
_Places = npt.NDArray[np.int64]
_Values = npt.NDArray[np.int64] | npt.NDArray[np.object_]


def perturbed(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    marks: Marks,
    parameters: DisclosureParameters,
    source: Source | Sources,
    numbers: UnitNumbers,
) -> tuple[Measured, Flags]:
    """Return the same cells with perturbed words; mark further values below the threshold.

    These are values whose perturbed count is below it, and those of a sum to which too few units contribute.

    Args:
        cell: The release block.
        layout: Its layout.
        measured: Its exact cells.
        marks: Shape (cells, aggregates); changed in place.
        parameters: Of the statement; with ``min_units`` 1 nothing is perturbed.
        source: Is asked for each cell's units.
        numbers: Gives their record keys.

    Returns:
        The cells, and those of them that as a whole have a perturbed count below the threshold, shape (cells,).

    Raises:
        SourceError: S003 the source's data changed since they were measured, or as the source fails.
        ConfigError: C001 the policy's numbers have no perturbation table.

    Reveals:
        Nothing: the caller decides what leaves.
    """
    evidence = measured.evidence
    if parameters.min_units <= 1:
        return measured, np.zeros(evidence.cells, dtype=np.bool_)
    sums = bool(layout.sums)
    keys, units = keys_and_units(cell, layout, measured, source, numbers, contributors=sums)
    own = len(layout.populations)
    few = few_contributors(layout, units[:, own:], keys[:, own:], parameters)
    for row, column in np.argwhere(few):
        if marks[row, column] in _OF_CONTRIBUTORS:
            marks[row, column] = "threshold"
    words = perturb(layout, evidence, keys[:, :own], parameters)
    for row, column in np.argwhere(small(layout, evidence, words, parameters)):
        marks[row, column] = marks[row, column] or "threshold"
    seen = _evidence(evidence, words)
    return Measured(_table(measured.table, words), seen), small_cells(seen, parameters)


def block_keys(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    source: Source | Sources,
    numbers: UnitNumbers,
) -> Keys:
    """Return the cell keys of a measured block, shape (cells, populations).

    Raises:
        SourceError: As ``perturbed``.

    Reveals:
        Nothing here. To who gets them: which cells of different questions have the same units; and with perturbed
        words, the exact ones.
    """
    return keys_and_units(cell, layout, measured, source, numbers, contributors=False)[0]


def keys_and_units(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    source: Source | Sources,
    numbers: UnitNumbers,
    *,
    contributors: bool,
) -> tuple[Keys, Counts]:
    """Return cell keys and counts of units by population, then by sum: of the units that contribute to it.

    Args:
        cell: The release block.
        layout: Its layout.
        measured: Its exact cells.
        source: Is asked for each cell's units.
        numbers: Gives their record keys.
        contributors: Whether there are columns by sum.

    Returns:
        Keys and counts, each of shape (cells, populations), or (cells, populations + sums).

    Raises:
        SourceError: As ``perturbed``.

    Reveals:
        As ``block_keys``.
    """

    def write(dialect: str, names: PhysicalNames) -> Statement:
        return members_statement(cell, layout, dialect, names, contributors=contributors)

    members = source.rows(cell, layout, write)
    names = [item.name for item in cell.dimensions]
    place = _places(measured.table.select(names), members.select(names))
    if members["u"].null_count:
        named = pc.is_valid(members["u"])
        members, place = members.filter(named), place[named.to_numpy()]
    counted = ["n", *(f"r{p}" for p in range(1, len(layout.populations)))]
    flags = [members[name].to_numpy() > 0 for name in counted]
    if contributors:
        flags += [_true(members[f"c{s}"]) for s in range(len(layout.sums))]
    inside, found = np.stack(flags, axis=1), measured.evidence.units
    units = _units(place, inside, len(found))
    if units is None or not np.array_equal(units[:, : len(counted)], found):
        detail = "units changed between two statements"
        raise SourceError("S003", department=source.department, detail=detail)
    return cell_keys(len(found), place, inside, numbers.keys_of(members["u"])), units


def _true(flags: pa.ChunkedArray) -> Flags:
    return np.asarray(pc.fill_null(flags, fill_value=False).to_numpy(), dtype=np.bool_)


def _units(place: _Places, inside: Flags, cells: int) -> Counts | None:
    """Return the units of each cell and column of ``inside``, or None where one is in no cell that was measured."""
    if place.size and place.min() < 0:
        return None
    counted = [np.bincount(place[each], minlength=cells) for each in inside.T]
    return np.stack(counted, axis=1)


def _places(cells: pa.Table, rows: pa.Table) -> _Places:
    """Return the cell of each row by its labels, -1 where there is none; nulls are labels like others."""
    if not cells.column_names:
        return np.zeros(rows.num_rows, dtype=np.int64)
    codes, size = np.zeros(cells.num_rows + rows.num_rows, dtype=np.int64), 1
    for name in cells.column_names:
        column = pa.chunked_array([*cells[name].chunks, *rows[name].chunks], cells[name].type)
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        width = max(1, len(encoded.dictionary))
        if size * width > _CODES_MAX:
            known, codes = np.unique(codes, return_inverse=True)
            size = len(known)
        codes, size = codes * width + encoded.indices.to_numpy(), size * width
    own, asked = codes[: cells.num_rows], codes[cells.num_rows :]
    if size > _CODES_FEW:
        known, codes = np.unique(codes, return_inverse=True)
        own, asked, size = codes[: cells.num_rows], codes[cells.num_rows :], len(known)
    place_of = np.full(size, -1, dtype=np.int64)
    place_of[own] = np.arange(len(own))
    return place_of[asked]


def _evidence(evidence: CellEvidence, words: Words) -> CellEvidence:
    magnitudes = [
        replace(magnitude, total=total, squares=squares)
        for magnitude, total, squares in zip(
            evidence.magnitudes, words.totals, words.squares, strict=True
        )
    ]
    return replace(
        evidence, units=words.units, rows=words.rows, magnitudes=magnitudes, keys=words.keys
    )


def _table(table: pa.Table, words: Words) -> pa.Table:
    """Return the table with the words' columns in place of the exact ones; what was missing stays so."""
    found: dict[str, _Values] = {}
    for p in range(words.units.shape[1]):
        found |= {f"units_{p}": words.units[:, p], f"rows_{p}": words.rows[:, p]}
    found |= {f"sum_{s}": total for s, total in enumerate(words.totals)}
    found |= {f"sq_{s}": each for s, each in enumerate(words.squares) if each is not None}
    found |= {f"keys_{index}": words.keys[:, index] for index in range(words.keys.shape[1])}
    for name, values in found.items():
        old = table[name].combine_chunks()
        new = pc.if_else(pc.is_valid(old), _column(values, old.type), pa.scalar(None, old.type))
        table = table.set_column(table.column_names.index(name), name, new)
    return table


def _column(values: _Values, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_decimal(kind):
        return pa.array(values, kind)
    return pa.array([Decimal(int(value)).scaleb(-kind.scale, _EXACT) for value in values], kind)
