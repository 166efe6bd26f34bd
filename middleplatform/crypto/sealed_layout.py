"""Which words of a cell leave encrypted, the same at every party; and what a sealed secure sum counts in their stead.

Imported by node, gateway and the opener.
Spec: docs/spec/sealed-sum.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.tickets import TicketSubject
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.model.plan import Fragment, Layout

__all__ = [
    "counts_layout",
    "decode_join_words",
    "decode_words",
    "encode_words",
    "join_layout",
    "join_ticket_subject",
    "released_slots",
    "sealed_layout",
    "ticket_subject",
]

_HALF_BITS = 32
_EXACT = Context(prec=100)


def sealed_layout(layout: Layout) -> WordLayout:
    """Return the words that a released cell's aggregates read: counts in one slot, magnitudes in two.

    Raises:
        ProtocolError: X001 where the block has no aggregate.

    Reveals:
        Nothing: it follows from the fragment.
    """
    names = dict.fromkeys(name for formula in layout.formulas for name in layout.words(formula))
    if not names:
        raise bad_message("a block without aggregates is not sealed")
    scales = [word.scale for word in layout.sums]
    return WordLayout(tuple([_measure(name, scales) for name in names]))


def ticket_subject(fragment: Fragment, layout: Layout) -> TicketSubject:
    """Return what a ticket for a fragment's block is about; each party makes it from its own data.

    Reveals:
        Nothing: it follows from the fragment.
    """
    query_id = f"{fragment.query_id}.{fragment.number}"
    words = sealed_layout(layout).digest
    return TicketSubject(query_id, fragment.attempt, fragment.cohort, words, fragment.sealed_for)


def join_layout(layout: Layout) -> WordLayout:
    """Return the slots of a cell of a sealed private join: as its list rows carry them, modulo 2**64.

    A count or a sum takes one, a sum of squares two: the sum of its low 32 bits, and of the rest.

    Raises:
        ProtocolError: X001 where the block has no aggregate.

    Reveals:
        Nothing: it follows from the fragment.
    """
    whole = sealed_layout(layout).measures
    return WordLayout(
        tuple([replace(each, words=2 if each.name.startswith("sq_") else 1) for each in whole])
    )


def join_ticket_subject(
    fragment: Fragment, layout: Layout, sealers: tuple[str, ...]
) -> TicketSubject:
    """Return what a ticket for a sealed private join is about; its cohort is who seals.

    Args:
        fragment: Any party's.
        layout: Of the block.
        sealers: Who removes masks of summed words, strictly ascending.

    Reveals:
        Nothing: it follows from the fragment.
    """
    subject = ticket_subject(fragment, layout)
    return replace(subject, cohort=sealers, layout_hash=join_layout(layout).digest)


def released_slots(layout: Layout, released: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which slots of each shown cell of a sealed private join a released value reads.

    Args:
        layout: Of the block.
        released: Shape (cells, aggregates).

    Returns:
        Shape (cells, slots of a cell).

    Reveals:
        Nothing: it follows from the layout.
    """
    measures = join_layout(layout).measures
    needed = {each.name: np.zeros(len(released), dtype=np.bool_) for each in measures}
    for index, formula in enumerate(layout.formulas):
        for name in layout.words(formula):
            needed[name] |= released[:, index]
    return np.stack([needed[each.name] for each in measures for _ in range(each.words)], axis=1)


def decode_join_words(layout: WordLayout, words: npt.NDArray[np.uint64]) -> dict[str, pa.Array]:
    """Return the columns of a sealed private join's opened slots.

    Args:
        layout: As ``join_layout`` gives it.
        words: Shape (cells, ``layout.words_per_cell``), residues modulo 2**64.

    Reveals:
        Nothing beyond the words.
    """
    found, place = {}, 0
    for each in layout.measures:
        limbs = [words[:, place + limb].view(np.int64).astype(object) for limb in range(each.words)]
        total = limbs[0] if each.words == 1 else limbs[0] + (limbs[1] << _HALF_BITS)
        place += each.words
        if each.name.partition("_")[0] in ("sum", "sq"):
            exact = [Decimal(value).scaleb(-each.scale, _EXACT) for value in total]
            found[each.name] = pa.array(exact, pa.decimal128(38, each.scale))
        else:
            found[each.name] = pa.array(list(total), pa.int64())
    return found


def _measure(name: str, scales: Sequence[int]) -> Measure:
    kind, _, number = name.partition("_")
    if kind == "sum":
        return Measure(name, 2, scales[int(number)])
    if kind == "sq":
        return Measure(name, 2, 2 * scales[int(number)])
    return Measure(name, 1)


def counts_layout(layout: Layout) -> WordLayout:
    """Return the words of a sealed secure sum that the gateway may read: counts of units and rows, and flags.

    ``parts`` counts the departments that have the cell; for each sum ``dominated_s`` and ``estimable_s`` count those
    whose own part the policy's dominance or p % rule would withhold, ``even_s`` those in whose part every row is zero
    or, where squares are summed, the same. No word holds a magnitude.

    Reveals:
        Nothing: it follows from the fragment.
    """
    measures = [
        Measure(f"{kind}_{p}", 1)
        for p in range(len(layout.populations))
        for kind in ("units", "rest", "rows")
        if p or kind != "rest"
    ]
    measures += [
        Measure(f"{kind}_{s}", 1)
        for s in range(len(layout.sums))
        for kind in ("dominated", "estimable", "even")
    ]
    return WordLayout((*measures, Measure("parts", 1)))


def encode_words(
    layout: WordLayout, columns: Mapping[str, pa.ChunkedArray], parties: int
) -> npt.NDArray[np.int64]:
    """Return the words of cells in slots.

    Args:
        layout: Of the words.
        columns: By word name: whole numbers, or decimals; a null counts as zero.
        parties: How many departments' words are added, at least 1.

    Returns:
        Shape (cells, ``layout.words_per_cell``), two's complement.

    Raises:
        ProtocolError: X004 a value is outside its range.

    Reveals:
        Nothing; but an X004 that is passed on tells that some value was large.
    """
    whole = {measure.name: _whole(columns[measure.name], measure) for measure in layout.measures}
    cells = len(next(iter(whole.values())))
    if not cells:
        return np.zeros((0, layout.words_per_cell), dtype=np.int64)
    positions = np.arange(cells, dtype=np.int64)
    words = layout.encode(whole, positions=positions, cells=cells, parties=parties)
    return np.ascontiguousarray(words.reshape(layout.words_per_cell, cells).T).view(np.int64)


def decode_words(layout: WordLayout, words: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    """Return the columns of added words: what ``encode_words`` took, summed.

    Args:
        layout: Of the words.
        words: Shape (cells, ``layout.words_per_cell``), sums modulo 2**64 in two's complement.

    Raises:
        ProtocolError: X001 for words of another shape.

    Reveals:
        Nothing beyond the words.
    """
    cells = len(words)
    if not cells:
        return {
            each.name: pa.array(
                [], pa.int64() if each.words == 1 else pa.decimal128(38, each.scale)
            )
            for each in layout.measures
        }
    flat = np.ascontiguousarray(words.T).view(np.uint64).reshape(-1)
    return layout.decode(flat, cells=cells)


def _whole(column: pa.ChunkedArray | pa.Array, measure: Measure) -> pa.Array:
    kind = pa.int64() if measure.words == 1 else pa.decimal128(38, measure.scale)
    filled = pc.fill_null(pc.cast(column, kind), pa.scalar(0).cast(kind))
    return filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
