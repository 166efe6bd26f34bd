"""A node's side of a secure sum: a state machine over the recipe, one instance a round.

Phases ``cells`` (words of every cell) and ``share-ladder`` (how many units exceed each percent of a total) are the
only ones. Spec: docs/spec/secure-sum.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.crypto.messages import Hello, SealedKey
from middleplatform.crypto.secure_sum import Party, agreed_digest
from middleplatform.crypto.sum_words import (
    LADDER,
    ladder_layout,
    round_context,
    round_key,
    word_layout,
)
from middleplatform.crypto.word_layout import Measure
from middleplatform.errors import ProtocolError
from middleplatform.node.measure import Measured, exact
from middleplatform.node.service import Node, Task

__all__ = ["SecureRounds"]


@dataclass
class _Round:
    task: Task
    party: Party
    measured: Measured | None = None
    labels: tuple[bytes, ...] = ()
    codes: tuple[bytes, ...] = ()
    asked: frozenset[str] = frozenset()


class SecureRounds:
    """The rounds that a node takes part in."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._rounds: dict[str, _Round] = {}

    def hello(self, raw: bytes, signature: bytes) -> bytes:
        """Accept a fragment and open a round.

        Raises:
            ProtocolError: As ``Node.accept``; X002 for a round that was used before.

        Reveals:
            To all: that the department takes part.
        """
        task = self._node.accept(raw, signature, "secure_sum")
        context = round_context(task.fragment, task.layout)
        party, hello = Party.start(
            context,
            self._node.department,
            self._node.identity,
            self._node.rng,
            used=self._node.used,
        )
        self._rounds[round_key(task.fragment)] = _Round(task, party)
        return hello.to_bytes()

    def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader returns the label key sealed for each other department.

        Reveals:
            To the gateway: nothing.
        """
        sealed = self._round(key).party.agree(
            [Hello.from_bytes(raw) for raw in hellos], self._node.pins
        )
        return {name: message.to_bytes() for name, message in sealed.items()}

    def codes(self, key: str, sealed: bytes | None) -> bytes:
        """Run the fragment and return the keyed codes of its groups.

        Reveals:
            To the gateway: how many groups there are, and nameless codes.
        """
        current = self._round(key)
        if sealed is not None:
            current.party.accept_label_key(SealedKey.from_bytes(sealed))
        current.measured = self._node.source.measure(current.task.cell, current.task.layout)
        names = [item.name for item in current.task.cell.dimensions]
        current.labels = label_bytes(current.measured.table, names)
        return current.party.code_list(current.labels).to_bytes()

    def cells(self, key: str, codes: Sequence[bytes]) -> bytes:
        """Return the words of all cells under masks.

        Reveals:
            To the gateway, together with all others: totals by nameless group.
        """
        current = self._round(key)
        measured = self._measured(current)
        current.codes = tuple(codes)
        positions = current.party.place(current.labels, current.codes)
        layout = word_layout(current.task.layout)
        columns = {
            measure.name: _whole(measured.table[measure.name], measure)
            for measure in layout.measures
        }
        words = layout.encode(
            columns,
            positions=positions,
            cells=len(codes),
            parties=len(current.task.fragment.cohort),
        )
        return current.party.mask(words, phase="cells", agreed=agreed_digest(*codes)).to_bytes()

    def ladder(self, key: str, totals: Sequence[Sequence[int]]) -> bytes:
        """Return, under masks, how many units of each cell exceed each percent of its total.

        Args:
            key: Of the round.
            totals: For each sum, by cell: total of absolute unit totals, in units of the last place; 0 for cells
                that are withheld anyway.

        Reveals:
            To the gateway, together with all others: by nameless group, how many units lie on each rung.
        """
        current = self._round(key)
        measured = self._measured(current)
        positions = current.party.place(current.labels, current.codes)
        layout = ladder_layout(current.task.layout)
        own_units = self._node.source.unit_totals(current.task.cell, current.task.layout)
        columns = _over(
            measured, own_units, [np.array(each, dtype=object)[positions] for each in totals]
        )
        words = layout.encode(
            columns,
            positions=positions,
            cells=len(current.codes),
            parties=len(current.task.fragment.cohort),
        )
        return current.party.mask(
            words,
            phase="share-ladder",
            agreed=agreed_digest(
                *current.codes, json.dumps([list(map(int, each)) for each in totals]).encode()
            ),
        ).to_bytes()

    def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes, and a receipt; ends the round.

        Reveals:
            To the gateway: these labels.
        """
        current = self._round(key)
        labels = current.party.reveal(list(codes)).to_bytes()
        del self._rounds[key]
        digest = agreed_digest(*codes).hex()
        return labels, self._node.receipt(current.task, len(codes), digest)

    def drop(self, key: str) -> None:
        """Forget a round that has ended elsewhere.

        Reveals:
            Nothing.
        """
        self._rounds.pop(key, None)

    def _round(self, key: str) -> _Round:
        if key not in self._rounds:
            raise ProtocolError("X001", detail="no such round")
        return self._rounds[key]

    @staticmethod
    def _measured(current: _Round) -> Measured:
        if current.measured is None:
            raise ProtocolError("X001", detail="a step out of order")
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
    measured: Measured,
    own: pa.Table,
    totals: Sequence["np.ndarray[tuple[int], np.dtype[np.object_]]"],
) -> dict[str, pa.Array]:
    """Count, by cell and rung, the units whose absolute total exceeds the rung's percent of the cell's."""
    cells = measured.table.num_rows
    columns: dict[str, pa.Array] = {}
    where = own["cell"].to_numpy()
    for s, total in enumerate(totals):
        size = np.abs(exact(own[f"s{s}"]))
        whole = total[where]
        positive = (whole > 0).astype(np.bool_)
        for percent in LADDER:
            over = positive & (size * 100 > whole * percent).astype(np.bool_)
            columns[f"over_{s}_{percent}"] = pa.array(
                np.bincount(where[over], minlength=cells).astype(np.int64)
            )
    return columns
