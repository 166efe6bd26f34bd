"""A release block of a logical table in several departments: secure sum, evidence from totals, disclosure control.

Spec: docs/spec/secure-sum.md.
"""

from collections.abc import Sequence
from decimal import Context, Decimal

import numpy as np
import pyarrow as pa

from middleplatform.crypto.sum_words import (
    ATTEMPTS_MAX,
    LADDER,
    ladder_agreed,
    ladder_layout,
    noisy_layout,
    round_context,
    word_layout,
)
from middleplatform.disclosure.contributions import consistent
from middleplatform.disclosure.disclose import Marks, disclose
from middleplatform.disclosure.evidence import CellEvidence, Counts, Exact, Magnitude
from middleplatform.dispatch.dispatcher import Dispatcher, Round, Totals
from middleplatform.errors import LimitError
from middleplatform.gateway.attempts import attempted
from middleplatform.gateway.perturbed import perturbed, word_of
from middleplatform.gateway.shown import (
    RoundAnswer,
    hidden_marks,
    label_columns,
    label_values,
    shown_rows,
)
from middleplatform.model.plan import Block, Fragment, Layout
from middleplatform.model.policy import DisclosureParameters

__all__ = ["answer_block"]

_CONTEXT = Context(prec=100)


async def answer_block(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    cells_max: int,
    *,
    attempts_max: int = ATTEMPTS_MAX,
) -> RoundAnswer:
    """Answer a block by secure sum; where a department drops out, once more with fresh keys and masks.

    Args:
        dispatcher: Reaches the departments.
        fragment: For any one of them.
        block: What is asked.
        parameters: Of disclosure control.
        cells_max: Cells that policy allows.
        attempts_max: Attempts in all, at most ``ATTEMPTS_MAX``, which departments enforce.

    Raises:
        SourceError: S001 a department dropped out of every attempt, S002 it was late; nothing is released.
        ProtocolError: A party deviated; nothing is released, and there is no other attempt.
        LimitError: L002 more cells than policy allows.

    Reveals:
        To the gateway: what each attempt shows; a second one shows the same totals as long as no data changed.
    """

    async def attempt(asked: Fragment) -> RoundAnswer:
        return await _attempt(dispatcher, asked, block, parameters, cells_max)

    return await attempted(fragment, attempt, attempts_max)


async def _attempt(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    cells_max: int,
) -> RoundAnswer:
    keyed = parameters.keyed
    words = noisy_layout(block.layout) if fragment.noise else word_layout(block.layout, keyed=keyed)
    current, totals = await dispatcher.open_round(
        fragment, round_context(fragment, block.layout, keyed=keyed), words
    )
    try:
        _check_size(current, cells_max)
        if fragment.noise:
            # What departments add has their noise in it: there is nothing left to judge.
            shape = (len(current.codes), len(block.layout.formulas))
            clear = np.full(shape, None, dtype=object)
            kept = _consistent(block.layout, totals)
            return await _released(dispatcher, current, block, kept, clear)
        marks, evidence = await _judged(dispatcher, current, block.layout, totals, parameters)
        shown = totals
        if parameters.keyed:
            shown = _perturbed(block.layout, evidence, totals, marks, parameters)
        return await _released(dispatcher, current, block, shown, marks)
    except BaseException:
        # Cancelled, too: whatever happens here, no department keeps a round.
        await dispatcher.drop(current)
        raise


def _check_size(current: Round, cells_max: int) -> None:
    if len(current.codes) > cells_max:
        raise LimitError("L002", limit=cells_max)


async def _judged(
    dispatcher: Dispatcher,
    current: Round,
    layout: Layout,
    totals: Totals,
    parameters: DisclosureParameters,
) -> tuple[Marks, CellEvidence]:
    evidence = _evidence(layout, totals, _zero_tops(layout, len(current.codes)))
    marks = disclose(layout, evidence, parameters)
    largest = parameters.dominance or parameters.p_percent or parameters.keyed
    if layout.sums and current.codes and largest:
        tops = await _tops(dispatcher, current, layout, evidence, marks)
        evidence = _evidence(layout, totals, tops)
        marks = disclose(layout, evidence, parameters)
    return marks, evidence


def _perturbed(
    layout: Layout,
    evidence: CellEvidence,
    totals: Totals,
    marks: Marks,
    parameters: DisclosureParameters,
) -> Totals:
    """Return the words with their noise, typed as the totals."""
    keys = [_count(totals[f"key_{p}"]) for p in range(len(layout.populations))]
    words = perturbed(layout, evidence, keys, marks, parameters)
    names = dict.fromkeys(name for each in layout.formulas for name in layout.words(each))
    return {name: _typed(word_of(words, name), totals[name].type) for name in names}


def _consistent(layout: Layout, totals: Totals) -> Totals:
    """Return noisy totals that can be."""
    kept = consistent(layout, {name: _places(column) for name, column in totals.items()})
    return {name: _typed(kept[name], column.type) for name, column in totals.items()}


def _places(column: pa.Array) -> list[int]:
    scale = column.type.scale if pa.types.is_decimal(column.type) else 0
    return [int(Decimal(value).scaleb(scale, _CONTEXT)) for value in column.to_pylist()]


def _typed(values: Sequence[int], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_decimal(kind):
        return pa.array(values, kind)
    return pa.array([Decimal(value).scaleb(-kind.scale, _CONTEXT) for value in values], kind)


def _zero_tops(layout: Layout, cells: int) -> list[Exact]:
    return [np.zeros((cells, 3), dtype=object) for _ in layout.sums]


def _evidence(layout: Layout, totals: Totals, tops: list[Exact]) -> CellEvidence:
    populations = range(len(layout.populations))
    cells = len(totals["units_0"])
    units = np.stack([_count(totals[f"units_{p}"]) for p in populations], axis=1)
    rest = np.stack(
        [
            _count(totals[f"rest_{p}"]) if p else np.zeros(cells, dtype=np.int64)
            for p in populations
        ],
        axis=1,
    )
    rows = np.stack([_count(totals[f"rows_{p}"]) for p in populations], axis=1)
    magnitudes = [
        Magnitude(
            _exact(totals[f"sum_{s}"]),
            _exact(totals[f"abs_{s}"]),
            tops[s],
            _exact(totals[f"sq_{s}"]) if s in layout.squares else None,
        )
        for s in range(len(layout.sums))
    ]
    none = np.zeros((cells, 0), dtype=np.int64)
    return CellEvidence(units, rest, rows, magnitudes, none, none)


def _count(column: pa.Array) -> Counts:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)


def _exact(column: pa.Array) -> Exact:
    scale = column.type.scale
    found = np.empty(len(column), dtype=object)
    found[:] = [int(Decimal(value).scaleb(scale, _CONTEXT)) for value in column.to_pylist()]
    return found


async def _tops(
    dispatcher: Dispatcher, current: Round, layout: Layout, evidence: CellEvidence, marks: Marks
) -> list[Exact]:
    """Return upper bounds of the three largest unit totals, from the share ladder."""
    open_cells = np.array([any(mark is None for mark in row) for row in marks], dtype=np.bool_)
    asked = [
        [int(value) if free else 0 for value, free in zip(each.absolute, open_cells, strict=True)]
        for each in evidence.magnitudes
    ]
    agreed = ladder_agreed(current.codes, asked)
    over = await dispatcher.ladder(current, asked, ladder_layout(layout), agreed)
    return [
        _bounds(
            np.stack([_count(over[f"over_{s}_{percent}"]) for percent in LADDER], axis=1),
            evidence.magnitudes[s].absolute,
        )
        for s in range(len(layout.sums))
    ]


def _bounds(over: Counts, absolute: Exact) -> Exact:
    """Bound the j-th largest unit: its share lies at most one percent above the highest rung with j units."""
    found = np.zeros((len(absolute), 3), dtype=object)
    for place in range(3):
        rungs = (over > place).sum(axis=1).astype(object)
        found[:, place] = -((-absolute * rungs) // 100)
    return found


async def _released(
    dispatcher: Dispatcher, current: Round, block: Block, totals: Totals, marks: Marks
) -> RoundAnswer:
    layout, width = block.layout, len(block.cell.dimensions)
    shown = shown_rows(marks, width)
    hidden = hidden_marks(marks, shown)
    labels = await dispatcher.reveal(current, [current.codes[row] for row in shown])
    named = [label_values(labels[current.codes[row]]) for row in shown]
    columns = label_columns(named, width)
    taken = pa.array(shown, pa.int64())
    columns["ml"] = pa.array([None] * len(shown), pa.string())
    for index, formula in enumerate(layout.formulas):
        for name in layout.words(formula):
            columns[name] = totals[name].take(taken)
        columns[f"m{index}"] = pa.array([marks[row, index] for row in shown], pa.string())
    return RoundAnswer(pa.table(columns), hidden, dict(current.receipts))
