"""A node's side of a secure sum: a state machine over the recipe, one instance a round.

Phases ``cells`` (words of every cell) and ``share-ladder`` (how many units exceed each percent of a total) are the
only ones. Spec: docs/spec/secure-sum.md.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from threading import Event
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.crypto.messages import Hello, SealedKey
from middleplatform.crypto.sealed_layout import counts_layout
from middleplatform.crypto.sealed_sum import ZeroSum
from middleplatform.crypto.secure_sum import Party, agreed_digest
from middleplatform.crypto.sum_words import (
    ATTEMPTS_MAX,
    LADDER,
    cells_agreed,
    ladder_agreed,
    ladder_layout,
    noisy_layout,
    round_context,
    round_key,
    word_layout,
)
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.errors import MiddleplatformError, ProtocolError, SourceError
from middleplatform.node.entered_rounds import EnteredRounds
from middleplatform.node.measure import Measured, exact
from middleplatform.node.open_rounds import NOISY_SUM, ROUNDS_MAX, SEALED_SUM, SECURE_SUM, Step
from middleplatform.node.perturbed import block_keys
from middleplatform.node.sealed_release import counts, sealed_part, signed
from middleplatform.node.service import Node, Task

__all__ = ["SecureRounds"]

_LOW = np.uint64(0xFFFF_FFFF)
"""A cell key of a round has 32 bits: what all departments have together fits a word."""
_GRACE_S = 10.0
"""The gateway gives a late department up first, so that its error can name the department."""


class _Frame(TypedDict):
    positions: npt.NDArray[np.int64]
    cells: int
    parties: int


@dataclass(eq=False)
class _Round:
    task: Task
    party: Party
    measured: Measured | None = None
    noisy: pa.Table | None = None
    labels: tuple[bytes, ...] = ()
    codes: tuple[bytes, ...] = ()
    positions: npt.NDArray[np.int64] | None = None
    sealed: bytes = b""
    stop: Event = field(default_factory=Event)
    dropped: bool = False

    @property
    def frame(self) -> _Frame:
        """Where the own cells stand among all, for encoding."""
        assert self.positions is not None, "known since the cells"
        return {
            "positions": self.positions,
            "cells": len(self.codes),
            "parties": len(self.task.fragment.cohort),
        }


class SecureRounds(EnteredRounds[_Round]):
    """The rounds that a node takes part in; safe between threads.

    Each step comes once and in order; the first that fails, comes twice or too early ends the round here, and so
    does a gateway that does not go on. A round that ended gives nothing more: a retry is another attempt.

    Args:
        node: Whose rounds.
        rounds_max: Rounds under way at once; more are refused with L001.
        idle_s: Seconds that a round waits for its next step; the source's deadline and a little more when 0.
        now: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        node: Node,
        *,
        rounds_max: int = ROUNDS_MAX,
        idle_s: float = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        idle = idle_s or node.source.limits.timeout_s + _GRACE_S
        super().__init__(node, idle, rounds_max, now)

    def hello(self, raw: bytes, signature: bytes) -> bytes:
        """Accept a fragment and open a round.

        Raises:
            ProtocolError: As ``Node.accept``; X001 for an attempt beyond ``ATTEMPTS_MAX``; X002 for a round that
                was used before.
            LimitError: L001 too many rounds under way.

        Reveals:
            To all: that the department takes part.
        """
        with self._rounds.opening() as put:
            task = self._node.accept(raw, signature, "secure_sum")
            try:
                party, hello = self._start(task)
                order = SECURE_SUM if task.key is None else SEALED_SUM
                order = NOISY_SUM if task.fragment.noise else order
                put(round_key(task.fragment), _Round(task, party), order)
            except MiddleplatformError as error:
                self._node.failed(task, error)
                raise
        return hello.to_bytes()

    def _start(self, task: Task) -> tuple[Party, Hello]:
        if task.fragment.attempt > ATTEMPTS_MAX:
            raise ProtocolError("X001", detail="too many attempts")
        return Party.start(
            round_context(task.fragment, task.layout, keyed=task.decision.disclosure.keyed),
            self._node.department,
            self._node.identity,
            self._node.rng,
            used=self._node.used,
        )

    def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader returns the label key sealed for each other department.

        Reveals:
            To the gateway: nothing.
        """
        with self._step(key, Step.AGREE) as current:
            if len(hellos) != len(current.task.fragment.cohort):
                raise ProtocolError("X001", detail="the hellos are not the cohort's")
            sealed = current.party.agree([Hello.from_bytes(raw) for raw in hellos], self._node.pins)
            return {name: message.to_bytes() for name, message in sealed.items()}

    def codes(self, key: str, sealed: bytes | None, stop: Event | None = None) -> bytes:
        """Run the fragment and return the keyed codes of its groups.

        Args:
            key: Of the round.
            sealed: The label key, for everybody but the leader.
            stop: Set when nobody waits any more.

        Reveals:
            To the gateway: how many groups there are, and nameless codes.
        """
        with self._step(key, Step.CODES) as current:
            if sealed is not None:
                current.party.accept_label_key(SealedKey.from_bytes(sealed))
            current.stop = stop or current.stop
            names = [item.name for item in current.task.cell.dimensions]
            current.labels = label_bytes(self._own_cells(current), names)
            return current.party.code_list(current.labels).to_bytes()

    def _own_cells(self, current: _Round) -> pa.Table:
        """Measure the own cells, or make them noisy: then exact words stay where they are read."""
        task = current.task
        if task.fragment.noise:
            current.noisy = self._node.noisy_words(task, current.stop)
            return current.noisy
        source = self._node.source.until(current.stop)
        current.measured = source.measure(task.cell, task.layout)
        return current.measured.table

    def cells(self, key: str, codes: Sequence[bytes]) -> bytes:
        """Return the words of all cells under masks.

        Reveals:
            To the gateway, together with all others: totals by nameless group.
        """
        with self._step(key, Step.CELLS) as current:
            layout, found = self._own_words(current)
            current.codes = tuple(codes)
            current.positions = current.party.place(current.labels, current.codes)
            columns = {each.name: _whole(found[each.name], each) for each in layout.measures}
            words = layout.encode(columns, **current.frame)
            agreed = cells_agreed(current.codes)
            return current.party.mask(words, phase="cells", agreed=agreed).to_bytes()

    def _own_words(self, current: _Round) -> tuple[WordLayout, Mapping[str, pa.ChunkedArray]]:
        """Return the words that the own cells carry, and what they hold."""
        task, parameters = current.task, current.task.decision.disclosure
        if current.noisy is not None:
            noisy = current.noisy
            return noisy_layout(task.layout), {name: noisy[name] for name in noisy.column_names}
        measured = _measured(current)
        if task.key is not None:
            return counts_layout(task.layout), counts(measured, task.layout, parameters)
        found = {name: measured.table[name] for name in measured.table.column_names}
        if parameters.keyed:
            found |= self._keys(current)
        return word_layout(task.layout, keyed=parameters.keyed), found

    def _keys(self, current: _Round) -> dict[str, pa.ChunkedArray]:
        """Return the low halves of the own cell keys, a word a population."""
        task, source = current.task, self._node.source.until(current.stop)
        keys = block_keys(task.cell, task.layout, _measured(current), source, self._node.units)
        low = (keys & _LOW).astype(np.int64)
        return {f"key_{p}": pa.chunked_array([low[:, p]]) for p in range(low.shape[1])}

    def ladder(self, key: str, totals: Sequence[Sequence[int]], stop: Event | None = None) -> bytes:
        """Return, under masks, how many units of each cell exceed each percent of its total.

        Args:
            key: Of the round.
            totals: For each sum, by cell: total of absolute unit totals, in units of the last place; 0 for cells
                that are withheld anyway.
            stop: Set when nobody waits any more.

        Raises:
            ProtocolError: X001 for totals of another shape, or that are no whole numbers from 0 to 2**127 - 1.

        Reveals:
            To the gateway, together with all others: by nameless group, how many units lie on each rung.
        """
        with self._step(key, Step.LADDER) as current:
            measured, positions = _measured(current), current.positions
            assert positions is not None, "the step before this one"
            layout = ladder_layout(current.task.layout)
            agreed = ladder_agreed(current.codes, totals)
            if len(totals) != len(current.task.layout.sums):
                raise ProtocolError("X001", detail="a ladder for other sums")
            current.stop = stop or current.stop
            source = self._node.source.until(current.stop)
            own_units = source.unit_totals(current.task.cell, current.task.layout)
            self._check_groups(current, own_units)
            counts = _over(
                measured.table.num_rows,
                own_units,
                [np.array(each, dtype=object)[positions] for each in totals],
            )
            words = layout.encode_counts(counts, **current.frame)
            return current.party.mask(words, phase="share-ladder", agreed=agreed).to_bytes()

    def _check_groups(self, current: _Round, own_units: pa.Table) -> None:
        """Refuse totals of other groups than the cells': then a unit would be counted in another cell."""
        names = [item.name for item in current.task.cell.dimensions]
        places, firsts = np.unique(own_units["cell"].to_numpy(), return_index=True)
        found = label_bytes(own_units.take(pa.array(firsts)), names) if places.size else ()
        if found != current.labels:
            raise SourceError(
                "S003",
                department=self._node.department,
                detail="groups changed between two statements",
            )

    def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes:
        """Return this department's words of the cells that are shown, under the recipient's key.

        Args:
            key: Of the round.
            codes: Of these cells, strictly ascending.
            released: For each of them and each aggregate one byte: 1 where the value may leave, else 0.

        Raises:
            ProtocolError: X001 for codes that no cell has or flags of another number.

        Reveals:
            To the gateway: nothing but sizes. To the key's holder: see ``sealed_release.sealed_part``.
        """
        with self._step(key, Step.SEAL) as current:
            task, own_name = current.task, self._node.department
            assert task.key is not None, "only a sealed round has this step"
            flags = _flags(released, len(codes), len(task.layout.formulas))
            pairs = {
                name: current.party.pair_key(name, "sealed words")
                for name in task.fragment.cohort
                if name != own_name
            }
            zero_sum = ZeroSum(own_name, pairs, agreed_digest(b"sealed", released, *codes))
            places = _shown(current, codes)
            words = sealed_part(_measured(current), task.layout, places, flags, task.key, zero_sum)
            current.sealed = signed(words, self._node.identity, task.fragment, task.layout)
            return current.sealed

    def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes, and a receipt; ends the round.

        Raises:
            ProtocolError: X001 for a code that was not among those of the cells.

        Reveals:
            To the gateway: these labels.
        """
        with self._step(key, Step.REVEAL) as current:
            if not set(codes) <= set(current.codes):
                raise ProtocolError("X001", detail="a code that no cell has")
            labels = current.party.reveal(list(codes)).to_bytes()
            digest = agreed_digest(*codes, *filter(None, [current.sealed])).hex()
            return labels, self._node.receipt(current.task, len(codes), digest)


def _shown(current: _Round, codes: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return, for each own cell, its number among the cells that are shown, or -1."""
    numbers = {code: number for number, code in enumerate(codes)}
    if list(codes) != sorted(numbers) or not numbers.keys() <= set(current.codes):
        raise ProtocolError("X001", detail="cells that the round has not")
    if current.positions is None:  # no department has a cell, or so the gateway says
        return np.full(len(current.labels), -1, dtype=np.int64)
    found = [numbers.get(current.codes[place], -1) for place in current.positions]
    return np.array(found, dtype=np.int64)


def _flags(released: bytes, cells: int, aggregates: int) -> npt.NDArray[np.bool_]:
    found = np.frombuffer(released, dtype=np.uint8)
    if found.size != cells * aggregates or bool((found > 1).any()):
        raise ProtocolError("X001", detail="flags of other cells")
    return found.reshape(cells, aggregates).astype(np.bool_)


def _measured(current: _Round) -> Measured:
    assert current.measured is not None, "the step before this one"
    return current.measured


def _whole(column: pa.ChunkedArray, measure: Measure) -> pa.Array:
    kind = pa.int64() if measure.words == 1 else pa.decimal128(38, measure.scale)
    filled = pc.fill_null(
        pc.cast(column, kind),
        pa.scalar(0).cast(kind) if measure.words == 1 else pa.scalar(Decimal(0), kind),
    )
    return filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled


def label_bytes(table: pa.Table, names: Sequence[str]) -> tuple[bytes, ...]:
    """Return each cell's labels as canonical bytes: a JSON list with types.

    Reveals:
        Nothing; the bytes are keyed before they leave.
    """
    columns = [[_tagged(value) for value in table[name].to_pylist()] for name in names]
    if not names:
        return tuple([b"[]"] * int(table.num_rows))
    rows = zip(*columns, strict=True)
    return tuple(
        [json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() for row in rows]
    )


def _tagged(value: object) -> object:
    match value:
        case date():
            return {"date": value.isoformat()}
        case Decimal():
            return {"decimal": str(value)}
        case None | bool() | int() | str():
            return value
        case _:
            raise ProtocolError("X001", detail="a label of an unknown type")


def _over(
    cells: int,
    own: pa.Table,
    totals: Sequence["np.ndarray[tuple[int], np.dtype[np.object_]]"],
) -> npt.NDArray[np.int64]:
    """Count the units whose absolute total exceeds each rung's percent of the cell's: a row a rung, a column a cell.

    Where a unit exceeds the whole total, the gateway lies or the data changed: then all units of the cell are counted
    on every rung. So the cell is withheld, and rungs of the gateway's own choice show nothing of the units.
    """
    rungs = len(LADDER)
    where = own["cell"].to_numpy()
    found = []
    for s, total in enumerate(totals):
        size, whole = np.abs(exact(own[f"s{s}"])), total[where]
        asked = (whole > 0).astype(np.bool_)
        place, size, whole = where[asked], size[asked], whole[asked]
        beyond = np.zeros(cells, dtype=np.bool_)
        beyond[place[(size > whole).astype(np.bool_)]] = True
        # The rungs are 0, 1, ... percent, so a unit exceeds as many as its share in percent, rounded up.
        climbed = np.minimum(-(-(size * 100) // whole), rungs).astype(np.int64)
        climbed[beyond[place]] = rungs
        places = place * (rungs + 1) + climbed
        count = np.bincount(places, minlength=cells * (rungs + 1)).reshape(cells, rungs + 1)
        found.append(count[:, ::-1].cumsum(axis=1)[:, -2::-1].T)
    return np.concatenate(found).astype(np.int64)
