"""A department's list for a private join: what its rows become before they leave, and what of it is kept.

Whole columns at a time, from the engine's Arrow buffers to the bytes of the parts.
Spec: docs/spec/private-join.md, "Lists".

Reveals:
    To the gateway, once the parts are sent: sizes, which rows share a key, a label tuple or a second key, and masked
    words. To the helper: how many rows and words there are. The order of the rows is a fresh secret.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.crypto.blinded import distinct
from middleplatform.crypto.join_party import JoinParty
from middleplatform.errors import ProtocolError
from middleplatform.model.join import JoinPlan, JoinProtocol, Side
from middleplatform.node.join_marks import marks_purpose, packed_marks
from middleplatform.node.join_read import SideRows
from middleplatform.node.secure_round import label_bytes
from middleplatform.planner.side_words import width, word_columns
from middleplatform.wire.join_lists import (
    CODES_MAX,
    ListHead,
    ListPart,
    parts_of,
)

__all__ = ["MadeList", "few_units", "make_list", "short_list"]

_SECOND = "second"
_SOME = 65_536
"""Rows that are looked at first: most lists have enough units among them."""
_BOUND_MAX = 1 << 22

_Places = npt.NDArray[np.int64]


@dataclass
class MadeList:
    """A list that is ready to leave.

    Attributes:
        head: What goes before it.
        parts: Its parts as bytes, in order; each is let go of when it has been sent.
        labels: Label tuples by code, for the end of the round.
        units: By code, how many units of this department have it: what is too small is not revealed.
        keys: The distinct join keys, in the order in which the list first has them; under the blinded protocol only.
    """

    head: ListHead
    parts: list[bytes]
    labels: Mapping[bytes, bytes]
    units: Mapping[bytes, int]
    keys: pa.Array | None = None


def few_units(keys: pa.ChunkedArray, least: int, *, unique: bool) -> bool:
    """Say whether a list has fewer than ``least`` units.

    Args:
        keys: Of its rows, none missing.
        least: The threshold.
        unique: Whether no key stands twice.

    Reveals:
        Nothing: the caller tells that the list is short.
    """
    if len(keys) < least:
        return True
    if unique or pc.count_distinct(keys.slice(0, _SOME)).as_py() >= least:
        return False
    return bool(pc.count_distinct(keys).as_py() < least)


def short_list(side: Side) -> MadeList:
    """Return the list of a side that has too few units: nothing but that.

    Reveals:
        To the gateway: that a side has fewer units than the threshold.
    """
    head = ListHead(side.number, 0, 0, width(side), len(side.keys), short=True)
    return MadeList(head, [], {}, {})


def make_list(
    party: JoinParty,
    plan: JoinPlan,
    side: Side,
    listed: SideRows,
    missing: Sequence[object],
    helper: str,
) -> MadeList:
    """Return the list of one side's rows.

    Args:
        party: Whose keys are agreed.
        plan: Of the join.
        side: The own one.
        listed: Its rows, and their tokens.
        missing: Labels of rows of other sides that found no match; empty unless the side is outer-joined.
        helper: Who removes the masks.

    Raises:
        ProtocolError: X004 for a number or an identifier that is out of range; X001 for too many labels.

    Reveals:
        As the module says, once it is sent.
    """
    table = listed.table
    order = party.permutation(table.num_rows)
    tuples, labels, counts = _labelled(table, side)
    codes = _Codes(party, side, labels, counts, missing)
    words = np.take(word_columns(plan, side.number, table), order, axis=0)
    words = party.mask(words, side.number, helper)
    keys, tokens, places = None, listed.tokens, np.zeros(0, np.uint32)
    if plan.protocol is JoinProtocol.BLINDED:
        keys, places = distinct(table["k"].combine_chunks().take(pa.array(order)))
    else:
        tokens = np.take(listed.tokens, order, axis=0)
    seconds = [
        party.second_tokens(
            table[f"u{number}"], _SECOND, side.number, number, shared=_shared(side)
        )[order]
        for number in side.keys
    ]
    rows, wide = words.shape
    cuts = parts_of(rows, wide, len(seconds))
    note = party.count_note(side.number, helper, rows, wide)
    coded = codes.places[tuples[order]]
    marks = b"" if side.unique or not wide else packed_marks(coded, len(codes.sorted))
    head = ListHead(
        side.number, rows, len(cuts), wide, len(seconds), short=False,
        codes=codes.sorted, missing=codes.missing, note=note,
        marks=marks and party.seal_for(helper, marks_purpose(side.number), marks),
    )  # fmt: skip
    parts = [
        ListPart(
            side.number, number, tokens[first:last], coded[first:last],
            tuple([each[first:last] for each in seconds]), words[first:last], places[first:last],
        ).to_bytes()
        for number, (first, last) in enumerate(cuts)
    ]  # fmt: skip
    return MadeList(head, parts, codes.labels, codes.units, keys)


class _Codes:
    """The codes of a list's label tuples: their order, where each tuple's code stands in it, and what they mean."""

    def __init__(
        self,
        party: JoinParty,
        side: Side,
        labels: Sequence[bytes],
        counts: _Places,
        missing: Sequence[object],
    ) -> None:
        self.sorted: tuple[bytes, ...] = ()
        self.missing = b""
        self.labels: dict[bytes, bytes] = {}
        self.units: Mapping[bytes, int] = Counter()
        self.places = np.zeros(len(labels), dtype=np.uint32)
        if not side.dimensions:
            return
        if len(labels) > CODES_MAX:
            raise ProtocolError("X001", detail="a list with too many label tuples")
        found = party.codes(labels, side.number, shared=_shared(side))
        ranked = sorted(range(len(found)), key=found.__getitem__)
        self.places[ranked] = np.arange(len(found), dtype=np.uint32)
        self.sorted = tuple([found[place] for place in ranked])
        self.labels = dict(zip(found, labels, strict=True))
        self.units = dict(zip(found, counts.tolist(), strict=True))
        if missing:
            names = [f"d{number}" for number in side.dimensions]
            alone = pa.table([[value] for value in missing], names=names)
            (label,) = label_bytes(alone, names)
            (self.missing,) = party.codes([label], side.number, shared=_shared(side))
            self.labels[self.missing] = label


def _shared(side: Side) -> bool:
    """Say whether several departments have rows of a side: then labels are to have one code at all of them."""
    return len(side.departments) > 1


def _labelled(table: pa.Table, side: Side) -> tuple[_Places, tuple[bytes, ...], _Places]:
    """Return the number of each row's label tuple, the tuples as bytes, and how many rows each has."""
    places, columns = np.zeros(table.num_rows, dtype=np.int64), list[pa.Array]()
    tuples = min(1, table.num_rows)
    for number in side.dimensions:
        encoded = table[f"d{number}"].combine_chunks().dictionary_encode(null_encoding="encode")
        size = max(1, len(encoded.dictionary))
        numbers = places * size + encoded.indices.to_numpy()
        present, places = _dense(numbers, tuples * size)
        columns = [column.take(pa.array(present // size)) for column in columns]
        columns.append(encoded.dictionary.take(pa.array(present % size)))
        tuples = present.size
    names = [f"d{number}" for number in side.dimensions]
    labels = label_bytes(pa.table(columns, names=names), names) if names else (b"[]",) * tuples
    return places, labels, np.bincount(places, minlength=tuples)


def _dense(numbers: _Places, bound: int) -> tuple[_Places, _Places]:
    """Return the distinct ones of ``numbers``, all below ``bound``, and the place of each number among them."""
    if bound > _BOUND_MAX:
        encoded = pa.array(numbers).dictionary_encode()
        found = encoded.dictionary.to_numpy(), encoded.indices.to_numpy()
        return found[0].astype(np.int64), found[1].astype(np.int64)
    present = np.flatnonzero(np.bincount(numbers, minlength=bound))
    ranks = np.zeros(bound, dtype=np.int64)
    ranks[present] = np.arange(present.size)
    return present, ranks[numbers]
