"""A private join under a recipient's key: counts are judged in the clear, magnitudes leave as ciphertexts only.

Who removes masks keeps those of magnitudes until it is told what is released, and seals their sums. The gateway adds
its own masked sums to the ciphertexts and learns no total; the recipient reduces modulo 2**64, and the masks are gone.
Spec: docs/spec/private-join.md, "Sealed".
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.sealed_layout import join_layout, join_ticket_subject, released_slots
from middleplatform.crypto.sealed_packing import RESIDUE_BYTES
from middleplatform.crypto.sealed_sum import SealedWords, add, add_plain
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.crypto.tickets import SignedInput, TicketSubject
from middleplatform.disclosure.complement import complement
from middleplatform.disclosure.disclose import Marks, Rule, disclose
from middleplatform.disclosure.evidence import CellEvidence, Exact, Flags
from middleplatform.disclosure.threshold import threshold
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.dispatch.join_calls import JoinCalls
from middleplatform.errors import ProtocolError
from middleplatform.gateway.join_block import JoinRun, Matched
from middleplatform.gateway.join_evidence import JoinTotals, word_values
from middleplatform.gateway.perturbed import Words as Perturbed
from middleplatform.gateway.perturbed import word_of
from middleplatform.gateway.sealed_parts import Form, read_parts
from middleplatform.gateway.shown import RoundAnswer, shown_rows
from middleplatform.gateway.watch import silent
from middleplatform.model.plan import Block, Fragment
from middleplatform.model.policy import DisclosureParameters, Limits
from middleplatform.planner.side_words import summed_columns, word_totals
from middleplatform.wire.join_lists import ReleasedCells

__all__ = ["SealedJoin", "seal_join"]

_RULES: Sequence[tuple[str, Rule]] = (("threshold", threshold), ("complement", complement))
"""Rules on counts; those on magnitudes have nothing to look at: sealed values are for one named recipient."""

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class SealedJoin:
    """A sealed private join.

    Attributes:
        answer: Labels and marks.
        words: All sealers' words and the gateway's own, added.
        inputs: Each sealer's signature over its own.
        subject: What these are over.
    """

    answer: RoundAnswer
    words: SealedWords
    inputs: tuple[SignedInput, ...]
    subject: TicketSubject


async def seal_join(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    limits: Limits,
    key: SealingKey,
) -> SealedJoin:
    """Run one attempt at a sealed private join.

    Raises:
        MiddleplatformError: As ``join_block.answer_join``; no party keeps the round.

    Reveals:
        To the gateway: as a plain join, but of magnitudes nothing.
    """
    assert block.join is not None, "planned as a private join"
    calls = JoinCalls.of(dispatcher, fragment, block.join)
    sealers = block.join.sealers(dispatcher.key_holder)
    subject = join_ticket_subject(fragment, block.layout, sealers)
    run = _SealedRun(
        calls, block, block.join, parameters, limits, dispatcher.key_holder, silent,
        sealing=key, subject=subject,
    )  # fmt: skip
    try:
        answer = await run.run()
    except BaseException:
        await calls.drop()
        raise
    assert run.words is not None, "sealed before labels are named"
    return SealedJoin(answer, run.words, run.inputs, subject)


@dataclass
class _SealedRun(JoinRun):
    sealing: SealingKey = field(kw_only=True)
    subject: TicketSubject = field(kw_only=True)
    words: SealedWords | None = None
    noisy: Perturbed | None = None
    inputs: tuple[SignedInput, ...] = ()
    masked: dict[int, tuple[Words, Flags]] = field(default_factory=dict)

    def judge(self, evidence: CellEvidence) -> Marks:
        return disclose(self.block.layout, evidence, self.parameters, _RULES)

    def totals_of(
        self, number: int, masked: Words, masks: Words, filled: Flags
    ) -> dict[str, Exact]:
        side = self.plan.sides[number]
        columns = [place for _, _, place in summed_columns(side)]
        if masks[:, columns].any():
            # With these the totals would be known here; whoever sends them, they are not looked at.
            raise ProtocolError("X001", detail="masks of magnitudes in the clear")
        self.masked[number] = (masked[:, columns].copy(), filled)
        counts = masked.copy()
        counts[:, columns] = 0
        return word_totals(side, counts + masks)

    async def _released(
        self, matched: Matched, found: JoinTotals, marks: Marks, noisy: Perturbed | None
    ) -> RoundAnswer:
        shown = shown_rows(marks, len(self.block.cell.dimensions))
        # Of magnitudes nobody here knows the total, so only counts are perturbed.
        self.noisy = noisy
        await self._seal(marks[shown], shown, found)
        return await super()._released(matched, found, marks, noisy)

    async def _withheld(self) -> RoundAnswer:
        rows = [] if self.block.cell.dimensions else [0]
        marks: Marks = np.full((len(rows), len(self.block.layout.formulas)), "threshold", object)
        await self._seal(marks, rows, None)
        return await super()._withheld()

    async def _seal(self, marks: Marks, shown: Sequence[int], found: JoinTotals | None) -> None:
        free = np.array([[mark is None for mark in row] for row in marks], dtype=np.bool_)
        released = free.reshape(len(shown), len(self.block.layout.formulas))
        sealers = self.subject.cohort
        asked = {name: ReleasedCells(released, self._places(name, shown)) for name in sealers}
        parts = await self.calls.seal(asked)
        own = self._own(released, shown, found)
        read = [(name, parts[name]) for name in sealers]
        self.words = await asyncio.to_thread(self._added, read, own)

    def _places(self, sealer: str, shown: Sequence[int]) -> dict[int, "npt.NDArray[np.int32]"]:
        """Return, for each side whose masks a party removes, which of its groups each shown cell is."""
        found = {}
        for side in self.plan.sides:
            if not side.words or self.plan.helper(side.number, self.key_holder) != sealer:
                continue
            places = np.full(len(shown), -1, dtype=np.int32)
            if side.number in self.masked:
                filled = self.masked[side.number][1]
                groups = np.where(filled, np.cumsum(filled) - 1, -1)
                places = groups[list(shown)].astype(np.int32)
            found[side.number] = places
        return found

    def _own(self, released: Flags, shown: Sequence[int], found: JoinTotals | None) -> Words:
        """Return what the gateway adds: its masked sums of magnitudes, and counts as they are."""
        layout = join_layout(self.block.layout)
        words = np.zeros((len(shown), layout.words_per_cell), dtype=np.uint64)
        held = {
            (name, limb): self.masked[side.number][0][:, place]
            for side in self.plan.sides
            if side.number in self.masked
            for place, (name, limb, _) in enumerate(summed_columns(side))
        }
        slot = 0
        for measure in layout.measures:
            for limb in range(measure.words):
                if (measure.name, limb) in held:
                    words[:, slot] = held[measure.name, limb][list(shown)]
                elif found is not None and not measure.name.startswith(("sum_", "sq_")):
                    name, noisy = measure.name, self.noisy
                    values = word_of(noisy, name) if noisy else word_values(self.plan, found, name)
                    counts = np.array([values[row] for row in shown], dtype=np.int64)
                    words[:, slot] = counts.view(np.uint64)
                slot += 1
        words[~released_slots(self.block.layout, released)] = 0
        return words

    def _added(self, parts: Sequence[tuple[str, bytes]], own: Words) -> SealedWords:
        """Read what was sealed and add the gateway's own words."""
        form = Form(False, RESIDUE_BYTES, len(parts) + 1, own.size)  # noqa: FBT003 - a field
        pins = self.calls.dispatcher.pins
        vectors, self.inputs = read_parts(parts, self.sealing, form, self.subject, pins)
        return add_plain(add(vectors), own.reshape(-1))
