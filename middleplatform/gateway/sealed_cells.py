"""A release block under a recipient's key: by one department, or by sealed sum over several.

The gateway judges and relays; of the values it has ciphertexts only. Spec: docs/spec/sealed-sum.md.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from middleplatform.crypto.receipts import verify_receipt
from middleplatform.crypto.sealed_layout import counts_layout, sealed_layout, ticket_subject
from middleplatform.crypto.sealed_sum import SealedWords, add, rerandomise
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.crypto.secure_sum import agreed_digest
from middleplatform.crypto.sum_words import round_context
from middleplatform.crypto.tickets import SignedInput, TicketSubject
from middleplatform.disclosure.complement import complement
from middleplatform.disclosure.disclose import Marks, Rule, disclose
from middleplatform.disclosure.evidence import CellEvidence, Counts, Flags
from middleplatform.disclosure.threshold import threshold
from middleplatform.dispatch.dispatcher import Dispatcher, Round, Totals
from middleplatform.errors import LimitError, ProtocolError
from middleplatform.gateway.attempts import attempted
from middleplatform.gateway.blocks import Asks, BlockAnswer, cohort_of
from middleplatform.gateway.received import check_shown
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.gateway.sealed_join import seal_join
from middleplatform.gateway.sealed_parts import Form, read_parts
from middleplatform.gateway.shown import hidden_marks, label_columns, label_values, shown_rows
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Formula, Fragment, Layout
from middleplatform.model.policy import Bundle, DisclosureParameters
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import PartialResult
from middleplatform.model.sealed import PublishedKey
from middleplatform.policy.templates import named
from middleplatform.wire.frame import pack

__all__ = ["SealedBlock", "answer_sealed"]

_SLOT_BYTES = 8


@dataclass(frozen=True)
class SealedBlock(BlockAnswer):
    """A block's released cells; ``cells`` has labels and marks only.

    Attributes:
        words: All departments' words, added.
        inputs: Each department's signature over its own.
        subject: What these are over.
    """

    words: SealedWords
    inputs: tuple[SignedInput, ...]
    subject: TicketSubject


def answer_sealed(desk: SealingDesk) -> Asks:
    """Return what has a block answered under the recipient's key, with the arguments of ``blocks.Asks``."""

    async def ask(
        dispatcher: Dispatcher,
        request: QueryRequest,
        block: Block,
        number: int,
        decision: Decision,
        bundle: Bundle,
        at: str,
    ) -> BlockAnswer:
        fragment = Fragment(
            request.query_id, 1, number, block.departments[0], block.protocol, cohort_of(dispatcher, block), block.sql,
            request.subject, request.purpose, request.project, bundle.digest, at, request.sealed_for,
            template=named(decision.grants),
        )  # fmt: skip
        return await _answered(
            dispatcher, fragment, block, decision.disclosure, bundle, desk.usable(request)
        )

    return ask


async def _answered(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    bundle: Bundle,
    published: PublishedKey,
) -> SealedBlock:
    """Have a block answered under a recipient's key.

    Raises:
        MiddleplatformError: What a department raises.
        LimitError: L002 more cells than policy allows.

    Reveals:
        To the gateway: labels, marks and ciphertexts; of a sum over several departments also units and rows by
        nameless group, and in how many departments a magnitude rule applies. No magnitude.
    """
    ask = _PROTOCOLS[block.protocol]
    key, document = (
        SealingKey.from_bytes(published.document),
        pack([published.document, published.proof]),
    )

    async def attempt(asked: Fragment) -> SealedBlock:
        told = (dispatcher.link(name).sealing_key(document) for name in asked.cohort)
        await asyncio.gather(*told)
        return await ask(dispatcher, asked, block, parameters, bundle, key)

    return await attempted(fragment, attempt)


# --- one department ---------------------------------------------------------------------------------------------------


async def _local(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    bundle: Bundle,
    key: SealingKey,
) -> SealedBlock:
    del parameters  # the department has judged
    found: PartialResult = await dispatcher.local(fragment)
    check_shown(found.cells, block)
    _check_size(found.cells.num_rows, bundle)
    read = [(fragment.department, found.sealed)]
    subject = ticket_subject(fragment, block.layout)
    form = _form(block.layout, found.cells.num_rows, 1, masked=False)
    words, inputs = await asyncio.to_thread(read_parts, read, key, form, subject, dispatcher.pins)
    # A single department's ciphertext is not forwarded as it came.
    fresh = await asyncio.to_thread(rerandomise, words[0])
    return SealedBlock(found.cells, (), {found.department: found.receipt}, fresh, inputs, subject)


def _check_size(cells: int, bundle: Bundle) -> None:
    if cells > bundle.limits.cells_max:
        raise LimitError("L002", limit=bundle.limits.cells_max)


def _form(layout: Layout, cells: int, parties: int, *, masked: bool) -> Form:
    return Form(masked, _SLOT_BYTES, parties, cells * sealed_layout(layout).words_per_cell)


# --- several departments ----------------------------------------------------------------------------------------------


async def _summed(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    bundle: Bundle,
    key: SealingKey,
) -> SealedBlock:
    current, totals = await dispatcher.open_round(
        fragment, round_context(fragment, block.layout), counts_layout(block.layout)
    )
    try:
        _check_size(len(current.codes), bundle)
        marks = _judged(block.layout, totals, parameters)
        return await _revealed(dispatcher, current, block, marks, key)
    except BaseException:
        # Cancelled, too: whatever happens here, no department keeps a round.
        await dispatcher.drop(current)
        raise


def _judged(layout: Layout, totals: Totals, parameters: DisclosureParameters) -> Marks:
    """Judge counts as in any secure sum, and magnitudes by what each department says of its own part."""
    populations = range(len(layout.populations))
    units = np.stack([_count(totals, f"units_{p}") for p in populations], axis=1)
    rest = np.stack(
        [_count(totals, f"rest_{p}") if p else np.zeros(len(units), np.int64) for p in populations],
        axis=1,
    )
    rows = np.stack([_count(totals, f"rows_{p}") for p in populations], axis=1)
    none = np.zeros((len(units), 0), dtype=np.int64)
    evidence = CellEvidence(units, rest, rows, [], none, none)
    parts = _count(totals, "parts")

    def even(formula: Formula, *_: object) -> Flags:
        if not parameters.homogeneity or parameters.min_units <= 1:
            return np.zeros(len(units), dtype=np.bool_)
        return _any(formula, len(units), lambda s: _count(totals, f"even_{s}") >= parts)

    def flagged(name: str) -> Rule:
        return lambda formula, *_: _any(
            formula, len(units), lambda s: _count(totals, f"{name}_{s}") > 0
        )

    rules: Sequence[tuple[str, Rule]] = (
        ("threshold", threshold),
        ("complement", complement),
        ("homogeneity", even),
        ("dominance", flagged("dominated")),
        ("p_percent", flagged("estimable")),
    )
    return disclose(layout, evidence, parameters, rules)


def _any(formula: Formula, cells: int, flags: Callable[[int], Flags]) -> Flags:
    found = np.zeros(cells, dtype=np.bool_)
    for number in dict.fromkeys(number for part in formula.parts for _, number in part.terms):
        found |= flags(number)
    return found


def _count(totals: Totals, name: str) -> Counts:
    return np.asarray(totals[name].to_numpy(zero_copy_only=False), dtype=np.int64)


async def _revealed(
    dispatcher: Dispatcher, current: Round, block: Block, marks: Marks, key: SealingKey
) -> SealedBlock:
    """Have the shown cells sealed, add them, and learn their labels."""
    layout, width = block.layout, len(block.cell.dimensions)
    shown = shown_rows(marks, width)
    codes = [current.codes[row] for row in shown]
    released = bytes([int(mark is None) for row in shown for mark in marks[row]])
    parts = await dispatcher.all_of(
        current, lambda name: dispatcher.link(name).seal(current.key, codes, released)
    )
    subject = ticket_subject(current.fragments[min(current.fragments)], layout)
    form = _form(layout, len(codes), len(parts), masked=True)
    words, inputs = await asyncio.to_thread(
        read_parts, list(parts.items()), key, form, subject, dispatcher.pins
    )
    labels = await dispatcher.reveal(current, codes)
    _check_receipts(dispatcher, current.receipts, codes, parts)
    columns = label_columns([label_values(labels[code]) for code in codes], width)
    columns["ml"] = pa.nulls(len(shown), pa.string())
    for index in range(len(layout.formulas)):
        columns[f"m{index}"] = pa.array([marks[row, index] for row in shown], pa.string())
    total = await asyncio.to_thread(add, words)
    hidden = hidden_marks(marks, shown)
    return SealedBlock(pa.table(columns), hidden, dict(current.receipts), total, inputs, subject)


def _check_receipts(
    dispatcher: Dispatcher,
    receipts: Mapping[str, str],
    codes: Sequence[bytes],
    parts: Mapping[str, bytes],
) -> None:
    """Check that each department has receipted the very bytes that it sealed."""
    for name, receipt in receipts.items():
        fields = verify_receipt(receipt, name, dispatcher.pins)
        if fields.result_digest != agreed_digest(*codes, parts[name]).hex():
            raise ProtocolError("X001", detail="a receipt for other sealed words")


# --- private join -----------------------------------------------------------------------------------------------------


async def _joined(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    bundle: Bundle,
    key: SealingKey,
) -> SealedBlock:
    found = await seal_join(dispatcher, fragment, block, parameters, bundle.limits, key)
    cells = found.answer.cells
    shown = cells.select([name for name in cells.column_names if name[0] in "dm"])
    return SealedBlock(
        shown, found.answer.hidden, found.answer.receipts, found.words, found.inputs, found.subject,
        counts=found.answer.counts,
    )  # fmt: skip


_PROTOCOLS = {"local": _local, "secure_sum": _summed, "private_join": _joined}
