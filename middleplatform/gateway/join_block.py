"""A release block over sides in several departments: private join, evidence from totals, disclosure control.

Parties open a round; departments send their lists; keys are matched on tokens; helpers remove masks by cell; what
disclosure control lets pass is named by its departments. Where anything fails, every party is told that the round is
over and nothing of it is released; the error's detail names the phase.

Spec: docs/spec/private-join.md.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.combine.join_cells import (
    Cells,
    Counts,
    Groups,
    cells_of,
    distinct,
    groups_of,
    judged,
    survivors,
)
from middleplatform.combine.join_gather import Gathering
from middleplatform.combine.join_match import Places, SideList, match
from middleplatform.combine.join_sums import masked_sums, places_by_department
from middleplatform.disclosure.disclose import Marks, disclose
from middleplatform.disclosure.evidence import CellEvidence, Exact, Flags
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.dispatch.join_calls import JoinCalls
from middleplatform.errors import LimitError, MiddleplatformError, ProtocolError
from middleplatform.gateway.attempts import attempted
from middleplatform.gateway.join_evidence import JoinTotals, evidence_of, released_words
from middleplatform.gateway.perturbed import Words as Perturbed
from middleplatform.gateway.perturbed import perturbed
from middleplatform.gateway.shown import (
    JoinedUnits,
    RoundAnswer,
    hidden_marks,
    label_values,
    shown_rows,
)
from middleplatform.model.join import BLINDED, JoinPlan
from middleplatform.model.plan import Block, Fragment
from middleplatform.model.policy import DisclosureParameters, Limits
from middleplatform.planner.results import released_result
from middleplatform.planner.side_words import width, word_totals
from middleplatform.ports import Progress
from middleplatform.wire.join_lists import GroupLists, ListHead

__all__ = ["PHASES", "JoinRun", "Matched", "answer_join"]

Words = npt.NDArray[np.uint64]

PHASES = ("open", "lists", "rows", "match", "sums", "labels")
"""Phases of a round, as progress and the operator's log name them."""


async def answer_join(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    limits: Limits,
    progress: Progress,
) -> RoundAnswer:
    """Answer a block by private join; where a party drops out, once more with fresh keys and masks.

    Args:
        dispatcher: Reaches the parties.
        fragment: For any one of them; its cohort is all departments of the join, and the key holder where there is one.
        block: What is asked.
        parameters: Of disclosure control.
        limits: Cells of an answer and rows of a join that policy allows.
        progress: Hears each phase, and how many sides are through it.

    Raises:
        SourceError: S001 a party dropped out of every attempt, S002 it was late; nothing is released.
        ProtocolError: A party deviated; nothing is released, and there is no other attempt.
        LimitError: L002 more cells than policy allows, L005 more rows.

    Reveals:
        To the gateway: sizes of lists, how many keys they have in common by nameless cell, totals of cells of at least
        k units, and labels of cells that are shown.
    """
    assert block.join is not None, "planned as a private join"
    plan = block.join

    async def attempt(asked: Fragment) -> RoundAnswer:
        calls = JoinCalls.of(dispatcher, asked, plan)
        joined = JoinRun(calls, block, plan, parameters, limits, dispatcher.key_holder, progress)
        try:
            return await joined.run()
        except BaseException:
            # Cancelled, too: whatever happens here, no party keeps a round.
            await calls.drop()
            raise

    return await attempted(fragment, attempt)


@dataclass
class Matched:
    """What the lists have in common.

    Attributes:
        sides: Lists without what is no longer needed.
        rows: Row of each tuple, by side.
        cells: Of the tuples.
        judged: By side, units that the threshold counts in each cell.
        kept: Which cells go on.
    """

    sides: list[SideList]
    rows: list[Places]
    cells: Cells
    judged: tuple[Counts, ...]
    kept: "np.ndarray[tuple[int], np.dtype[np.bool_]]"


@dataclass
class JoinRun:
    """One attempt at a private join.

    Attributes:
        calls: Reach the parties.
        block: What is asked.
        plan: Of the join.
        parameters: Of disclosure control.
        limits: Of policy.
        key_holder: The party without data, or an empty string.
        progress: Hears each phase.
        heads: Of the lists, by department.
    """

    calls: JoinCalls
    block: Block
    plan: JoinPlan
    parameters: DisclosureParameters
    limits: Limits
    key_holder: str
    progress: Progress
    heads: Mapping[str, ListHead] = field(default_factory=dict)

    @property
    def least(self) -> int:
        """Threshold below which a cell goes no further: nothing of it could be shown."""
        return max(self.plan.min_units, self.parameters.min_units)

    async def run(self) -> RoundAnswer:
        """Go through all phases.

        Raises:
            MiddleplatformError: As ``answer_join``.
        """
        with self._phase("open"):
            keys = await self.calls.open()
        with self._phase("lists"):
            self.heads = await self.calls.heads(keys)
            if sum(head.rows for head in self.heads.values()) > self.limits.join_rows_max:
                raise LimitError("L005", limit=self.limits.join_rows_max)
        if any(head.short for head in self.heads.values()):
            return await self._withheld()
        with self._phase("rows"):
            sides = await self._sides()
        with self._phase("match"):
            matched = await asyncio.to_thread(self._matched, sides)
            del sides
        if not self.block.cell.dimensions and not matched.kept.any():
            return await self._withheld()
        with self._phase("sums"):
            found = await self._totals(matched)
            evidence = evidence_of(self.plan, self.block.layout, found)
        marks = self.judge(evidence)
        noisy = self._perturbed(evidence, found, marks) if self.parameters.keyed else None
        with self._phase("labels"):
            return await self._released(matched, found, marks, noisy)

    def _perturbed(self, evidence: CellEvidence, found: JoinTotals, marks: Marks) -> Perturbed:
        layout = self.block.layout
        own = [f"key_{p}" for p in range(len(layout.populations))]
        keys = [found.words.get(name, found.words["key_0"]).astype(np.int64) for name in own]
        return perturbed(layout, evidence, keys, marks, self.parameters)

    def judge(self, evidence: CellEvidence) -> Marks:
        """Return what disclosure control withholds."""
        return disclose(self.block.layout, evidence, self.parameters)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.progress(f"join: {name}", PHASES.index(name), len(PHASES))
        try:
            yield
        except MiddleplatformError as error:
            error.detail = f"private join, phase {name}: {error.detail or error.code}"
            raise

    # --- lists ----------------------------------------------------------------------------------------------------

    async def _sides(self) -> list[SideList]:
        blinded = self.plan.protocol is BLINDED
        gatherings = [Gathering(side, self.heads, blinded=blinded) for side in self.plan.sides]
        done = 0

        async def fetch(name: str) -> None:
            nonlocal done
            side = self.plan.side_of(name)
            assert side is not None, "a department has a side"
            here, head = gatherings[side.number], self.heads[name]
            await self.calls.rows(name, head, here.taker(name))
            if blinded:
                here.put_tokens(name, await self.calls.blinded(name, head))
            done += 1
            self.progress("join: rows received", done, len(self.heads))

        await self.calls.dispatcher.all_of(self.calls.current, fetch, self.plan.departments)
        return [each.list() for each in gatherings]

    def _matched(self, sides: list[SideList]) -> Matched:
        rows = match(sides)
        cells = cells_of(sides, rows)
        if cells.count > self.limits.cells_max:
            raise LimitError("L002", limit=self.limits.cells_max)
        counts = judged(sides, cells)
        counted = {*self.plan.other_sides, *[side.number for side in self.plan.sides if side.words]}
        kept = survivors(cells, [counts[number] for number in sorted(counted)], self.least)
        # What was matched is let go of: words may be large.
        lighter = [
            replace(side, tokens=side.tokens[:0].copy(), codes=side.codes[:0].copy())
            for side in sides
        ]
        return Matched(lighter, rows, cells, counts, kept)

    # --- totals ---------------------------------------------------------------------------------------------------

    async def _totals(self, matched: Matched) -> JoinTotals:
        words: dict[str, Exact] = {}
        for side in self.plan.sides:
            if side.words:
                words |= await self._side_totals(side.number, matched)
        kept = matched.kept
        return JoinTotals(
            matched.cells.tuples[kept],
            [each[kept] for each in matched.cells.matched],
            [matched.judged[number][kept] for number in self.plan.other_sides],
            await asyncio.to_thread(self._keys, matched) if self.block.layout.keys else [],
            words,
        )

    def _keys(self, matched: Matched) -> list[Counts]:
        found: dict[int, Counts] = {}
        for side in self.plan.sides:
            for place, key in enumerate(side.keys):
                listed, rows = matched.sides[side.number], matched.rows[side.number]
                found[key] = distinct(listed, place, rows, matched.cells)[matched.kept]
        return [found[key] for key in range(len(self.block.layout.keys))]

    async def _side_totals(self, number: int, matched: Matched) -> dict[str, Exact]:
        side, listed = self.plan.sides[number], matched.sides[number]
        groups, masked = await asyncio.to_thread(_summed, number, matched)
        # Without a threshold a cell may have no row of a side that is joined from the left: nothing to unmask.
        filled = np.diff(groups.starts) > 0
        masks = np.zeros_like(masked)
        if filled.any():
            starts, places = places_by_department(groups, listed.starts)
            ends = np.append(filled, True)
            notes = tuple([self.heads[name].note for name in side.departments])
            begins = tuple([each[ends] for each in starts])
            marks = tuple([self.heads[name].marks for name in side.departments])
            marked = marks if any(marks) else ()
            lists = GroupLists(number, side.departments, notes, begins, places, marked)
            helper = self.plan.helper(number, self.key_holder)
            masks[filled] = await self.calls.sums(helper, lists, width(side))
        self.progress("join: sides added up", number + 1, len(self.plan.sides))
        return self.totals_of(number, masked, masks, filled)

    def totals_of(
        self, number: int, masked: Words, masks: Words, filled: Flags
    ) -> dict[str, Exact]:
        """Return a side's totals by word.

        Args:
            number: Of the side.
            masked: Sums of masked words, shape (cells, width).
            masks: What the helper gave, the same shape.
            filled: Which cells have rows of the side, shape (cells,).
        """
        del filled
        return word_totals(self.plan.sides[number], masked + masks)

    # --- what is released -----------------------------------------------------------------------------------------

    async def _released(
        self, matched: Matched, found: JoinTotals, marks: Marks, noisy: Perturbed | None
    ) -> RoundAnswer:
        layout = self.block.layout
        shown = shown_rows(marks, len(self.block.cell.dimensions))
        at = np.flatnonzero(matched.kept)[shown]
        codes = [
            [side.labels[place] for place in own[at]] if side.labels else [b""] * len(shown)
            for side, own in zip(matched.sides, matched.cells.codes, strict=True)
        ]
        named = await self.calls.reveal(self._asked(codes))
        columns = self._labels(codes, named)
        columns |= released_words(self.block, self.plan, found, marks, shown, noisy)
        below = matched.cells.count - int(matched.kept.sum())
        hidden = hidden_marks(marks, shown) + ("threshold",) * (below * len(layout.formulas))
        tuples, rest = matched.cells.tuples, np.ones(matched.cells.count, dtype=np.bool_)
        rest[at] = False
        counts = JoinedUnits(tuple(tuples[at].tolist()), tuple(tuples[rest].tolist()))
        return replace(self._answer(columns, hidden), counts=counts)

    def _asked(self, codes: Sequence[Sequence[bytes]]) -> dict[str, list[bytes]]:
        """Return, by department, which of its own codes are to be named."""
        asked: dict[str, list[bytes]] = {}
        for side, wanted in zip(self.plan.sides, codes, strict=True):
            for name in side.departments:
                head = self.heads[name]
                asked[name] = sorted({*wanted} & {*head.codes, head.missing} - {b""})
        return asked

    def _labels(
        self,
        codes: Sequence[Sequence[bytes]],
        named: Sequence[Mapping[bytes, bytes]],
    ) -> dict[str, pa.Array]:
        """Return the label columns, each from the side that owns the dimension."""
        schema = released_result(self.block.cell, self.block.layout)
        columns: dict[str, pa.Array] = {}
        for side, wanted, labels in zip(self.plan.sides, codes, named, strict=True):
            if not side.dimensions:
                continue
            if set(wanted) != labels.keys() or len(set(labels.values())) != len(labels):
                raise ProtocolError("X001", detail="labels do not fit the codes")
            values = {code: label_values(label) for code, label in labels.items()}
            if any(len(each) != len(side.dimensions) for each in values.values()):
                raise ProtocolError("X001", detail="labels of another shape")
            for place, dimension in enumerate(side.dimensions):
                name = f"d{dimension}"
                own = [values[code][place] for code in wanted]
                columns[name] = _column(own, schema.field(name).type)
        return columns

    async def _withheld(self) -> RoundAnswer:
        """Withhold the whole block: a side has too few units, and says nothing else."""
        layout, grouped = self.block.layout, bool(self.block.cell.dimensions)
        with self._phase("labels"):
            await self.calls.reveal({})
        marks = ("threshold",) * len(layout.formulas)
        rows, hidden = ([], marks) if grouped else ([None], ())
        schema = released_result(self.block.cell, layout)
        columns = {item.name: pa.array(rows, item.type) for item in schema}
        if not grouped:
            columns |= {f"m{n}": pa.array([mark]) for n, mark in enumerate(marks)}
        return self._answer(columns, hidden)

    def _answer(self, columns: Mapping[str, pa.Array], hidden: tuple[str, ...]) -> RoundAnswer:
        schema = released_result(self.block.cell, self.block.layout)
        cells = pa.table([columns[item.name] for item in schema], schema=schema)
        return RoundAnswer(cells, hidden, dict(self.calls.current.receipts))


def _summed(number: int, matched: Matched) -> tuple[Groups, Words]:
    """Return the rows of a side by cell that goes on, and the sums of their masked words."""
    groups = groups_of(matched.rows[number], matched.cells, matched.kept)
    return groups, masked_sums(matched.sides[number].words, groups)


def _column(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise ProtocolError("X001", detail="labels of another type") from None
