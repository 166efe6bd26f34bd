"""What a secure sum of a release block carries, the same at every party: words of the cells, rungs of the ladder.

Imported by node and gateway.
Spec: docs/spec/secure-sum.md, "Words" and "Share ladder".
"""

from middleplatform.crypto.round_context import SUITE, RoundContext
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.model.plan import Fragment, Layout

__all__ = ["LADDER", "ladder_layout", "round_context", "round_key", "word_layout"]

LADDER = tuple(range(100))
"""Percents of the share ladder: a unit is counted on each rung that its share exceeds."""

_KEY_EPOCH = 1


def word_layout(layout: Layout) -> WordLayout:
    """Return the words that are summed for each cell: counts in one word, magnitudes in two.

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
    return WordLayout(tuple(measures))


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


def round_context(fragment: Fragment, layout: Layout) -> RoundContext:
    """Return what every message of the round is bound to; each party builds it from its own data.

    Reveals:
        Nothing.
    """
    return RoundContext(
        SUITE,
        _KEY_EPOCH,
        f"{fragment.query_id}.{fragment.number}",
        fragment.attempt,
        fragment.cohort,
        word_layout(layout).digest,
        fragment.policy_digest,
    )


def round_key(fragment: Fragment) -> str:
    """Return the name of a round at every party.

    Reveals:
        Nothing.
    """
    return f"{fragment.query_id}.{fragment.number}.{fragment.attempt}"
