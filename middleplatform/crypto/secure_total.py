"""Secure sum, the gateway's side: put the departments' messages together.

Imported by gateway and combine.
Spec: docs/spec/secure-sum.md.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.messages import (
    CodeList,
    LabelList,
    MaskedVector,
    check_codes,
    check_senders,
)
from middleplatform.crypto.round_context import RoundContext

__all__ = ["merge_codes", "merge_labels", "unmask"]


def merge_codes(
    context: RoundContext, lists: Sequence[CodeList], pins: PinnedKeys
) -> tuple[bytes, ...]:
    """Return the union of all departments' codes, strictly ascending.

    Args:
        context: The round.
        lists: One of each department, in any order.
        pins: Identity keys of the whole cohort.

    Raises:
        ProtocolError: X001 for a missing, extra, doubled, foreign or forged list alike, or when
            the union has more than 2**22 codes.

    Reveals:
        To each department, once it is sent: how many groups exist in all, and whether a label
        that it can guess is among them.
    """
    check_senders(context, lists, pins)
    union = tuple(sorted(set().union(*(message.codes for message in lists))))
    check_codes(union)
    return union


def unmask(
    context: RoundContext,
    vectors: Sequence[MaskedVector],
    pins: PinnedKeys,
    *,
    phase: str,
    agreed: bytes,
) -> npt.NDArray[np.uint64]:
    """Add the vectors of the whole cohort modulo 2**64; the masks cancel.

    Args:
        context: The round.
        vectors: One of each department, in any order.
        pins: Identity keys of the whole cohort.
        phase: The phase that was asked for.
        agreed: Digest of what every department was told for it.

    Returns:
        The sums, shape ``(words,)``.

    Raises:
        ProtocolError: X001 for a missing, extra, doubled, foreign or forged vector, one of another
            phase, told something else, or of another length.

    Reveals:
        To the gateway: the totals by nameless group, and nothing else of the summands.
    """
    check_senders(context, vectors, pins)
    lengths = {len(vector.payload) for vector in vectors}
    told = {(vector.phase, vector.agreed) for vector in vectors}
    if len(lengths) != 1 or told != {(phase, agreed)}:
        raise bad_message("masked vectors do not belong together")
    total = np.array(vectors[0].words, dtype=np.uint64)
    for vector in vectors[1:]:
        np.add(total, vector.words, out=total)
    return total


def merge_labels(
    context: RoundContext, lists: Sequence[LabelList], pins: PinnedKeys, codes: Sequence[bytes]
) -> dict[bytes, bytes]:
    """Return the label of each of ``codes``, in their order.

    Args:
        context: The round.
        lists: One of each department, in any order.
        pins: Identity keys of the whole cohort.
        codes: The codes whose labels were asked for.

    Raises:
        ProtocolError: X001 for a missing, extra, doubled, foreign or forged list, when two
            departments name one code differently or two codes alike, a code was not asked for, or
            none names it.

    Reveals:
        To the gateway: the labels.
    """
    check_senders(context, lists, pins)
    pairs = {pair for message in lists for pair in zip(message.codes, message.labels, strict=True)}
    named = dict(pairs)
    if len(named) != len(pairs) or named.keys() != set(codes):
        raise bad_message("labels do not fit the codes")
    if len(set(named.values())) != len(named):
        raise bad_message("two codes have one label")
    return {code: named[code] for code in codes}
