"""What a secure sum of a release block carries, the same at every party: words of the cells, rungs of the ladder.

Imported by node and gateway.
Spec: docs/spec/secure-sum.md, "Words" and "Share ladder".
"""

from collections.abc import Sequence

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.round_context import SUITE, RoundContext
from middleplatform.crypto.sealed_layout import counts_layout, sealed_layout
from middleplatform.crypto.secure_sum import agreed_digest
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.model.plan import Fragment, Layout

__all__ = [
    "ATTEMPTS_MAX",
    "LADDER",
    "cells_agreed",
    "ladder_agreed",
    "ladder_layout",
    "noisy_layout",
    "round_context",
    "round_key",
    "word_layout",
]

LADDER = tuple(range(100))
"""Percents of the share ladder: a unit is counted on each rung that its share exceeds."""

ATTEMPTS_MAX = 2
"""Attempts at one query: departments refuse more, since each shows the gateway another share ladder."""

_KEY_EPOCH = 1
_TOTAL_BYTES = 16


def word_layout(layout: Layout, *, keyed: bool = False) -> WordLayout:
    """Return the words that are summed for each cell: counts in one word, magnitudes in two.

    Args:
        layout: Of the block.
        keyed: Add a word for each population: the low 32 bits of its cell key (docs/spec/disclosure.md).

    Reveals:
        Nothing: it follows from the fragment.
    """
    measures = [
        Measure(f"{kind}_{p}", 1)
        for p in range(len(layout.populations))
        for kind in ("units", "rest", "rows")
        if p or kind != "rest"
    ]
    for s, word in enumerate(layout.sums):
        measures += [Measure(f"sum_{s}", 2, word.scale), Measure(f"abs_{s}", 2, word.scale)]
        if s in layout.squares:
            measures.append(Measure(f"sq_{s}", 2, 2 * word.scale))
    if keyed:
        measures += [Measure(f"key_{p}", 1) for p in range(len(layout.populations))]
    return WordLayout(tuple(measures))


def noisy_layout(layout: Layout) -> WordLayout:
    """Return the words that are summed where each department adds noise: what is released, and no evidence.

    Raises:
        ProtocolError: X001 where the block has no aggregate.

    Reveals:
        Nothing: it follows from the fragment.
    """
    return sealed_layout(layout)


def ladder_layout(layout: Layout) -> WordLayout:
    """Return the words of the share ladder: for each sum, one count a rung.

    Reveals:
        Nothing: it follows from the fragment.
    """
    return WordLayout(
        tuple(
            Measure(f"over_{s}_{percent}", 1) for s in range(len(layout.sums)) for percent in LADDER
        )
    )


def round_context(fragment: Fragment, layout: Layout, *, keyed: bool = False) -> RoundContext:
    """Return what every message of the round is bound to; each party builds it from its own data.

    Args:
        fragment: As signed.
        layout: Of the block.
        keyed: As in ``word_layout``.

    Reveals:
        Nothing.
    """
    words = counts_layout(layout) if fragment.sealed_for else word_layout(layout, keyed=keyed)
    if fragment.noise:
        words = noisy_layout(layout)
    return RoundContext(
        SUITE,
        _KEY_EPOCH,
        f"{fragment.query_id}.{fragment.number}",
        fragment.attempt,
        fragment.cohort,
        words.digest,
        fragment.policy_digest,
    )


def round_key(fragment: Fragment) -> str:
    """Return the name of a round at every party.

    Reveals:
        Nothing.
    """
    return f"{fragment.query_id}.{fragment.number}.{fragment.attempt}"


def cells_agreed(codes: Sequence[bytes]) -> bytes:
    """Return the agreed digest of the cells: of the union of codes as each party knows it.

    Reveals:
        Nothing to who has not got the codes.
    """
    return agreed_digest(b"".join(codes))


def ladder_agreed(codes: Sequence[bytes], totals: Sequence[Sequence[int]]) -> bytes:
    """Return the agreed digest of the share ladder: of the codes, the totals that are asked about, and the rungs.

    Args:
        codes: The union of codes.
        totals: For each sum, by cell: whole numbers from 0 to 2**127 - 1.

    Raises:
        ProtocolError: X001 when a total is no such number, or there is not one a code.

    Reveals:
        Nothing to who has not got the codes.
    """
    if any(len(each) != len(codes) for each in totals):
        raise bad_message("a ladder for other cells")
    values = [value for each in totals for value in each]
    if not all(type(value) is int and 0 <= value < 2 ** (8 * _TOTAL_BYTES - 1) for value in values):
        raise bad_message("a ladder for impossible totals")
    told = b"".join(value.to_bytes(_TOTAL_BYTES, "big") for value in values)
    return agreed_digest(b"".join(codes), told, bytes(LADDER))
