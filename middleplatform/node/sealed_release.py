"""What leaves a node under a recipient's key: labels and marks in the clear, words as ciphertexts.

Disclosure control has judged the cells as for a plain answer. A withheld word is sealed as zero.
Spec: docs/spec/sealed-sum.md.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey
from middleplatform.crypto.sealed_layout import (
    counts_layout,
    encode_words,
    sealed_layout,
    ticket_subject,
)
from middleplatform.crypto.sealed_sum import SealedWords, ZeroSum, seal
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.crypto.tickets import sign_input
from middleplatform.crypto.word_layout import WordLayout
from middleplatform.disclosure.dominance import dominates, estimable
from middleplatform.model.plan import Fragment, Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.node.measure import Measured
from middleplatform.wire.frame import pack

__all__ = ["counts", "sealed_cells", "sealed_part", "signed", "without_words"]

Places = npt.NDArray[np.int64]


def without_words(cells: pa.Table) -> pa.Table:
    """Return released cells with their labels and marks only.

    Reveals:
        To the gateway: these.
    """
    kept = [name for name in cells.column_names if name[0] in "dm"]
    return cells.select(kept)


def signed(sealed: SealedWords, identity: IdentityKey, fragment: Fragment, layout: Layout) -> bytes:
    """Return sealed words with the department's signature, which the recipient's ticket will hold.

    Args:
        sealed: All that leaves for the fragment.
        identity: The department's key.
        fragment: Which is answered.
        layout: Of its block.

    Reveals:
        To the gateway and the recipient: that the department sealed these words for this query.
    """
    subject = ticket_subject(fragment, layout)
    signature = sign_input(identity, subject, fragment.department, [sealed])
    return pack([sealed.to_bytes(), signature.to_bytes()])


def sealed_cells(cells: pa.Table, layout: Layout, key: SealingKey) -> SealedWords:
    """Return the words of a local answer under a key.

    Args:
        cells: As ``release.released_cells`` gives them: a withheld word is null.
        layout: Of the block.
        key: The recipient's, checked.

    Raises:
        ProtocolError: X004 a word is outside its range.

    Reveals:
        To the gateway: the number of cells and words. To the key's holder: the words of what is released.
    """
    found = encode_words(sealed_layout(layout), _columns(cells), 1)
    return seal(found.reshape(-1), key, parties=1)


def _columns(cells: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: cells[name] for name in cells.column_names}


def counts(
    measured: Measured, layout: Layout, parameters: DisclosureParameters
) -> dict[str, pa.Array]:
    """Return what the gateway may add up in the clear of a sealed secure sum: see ``counts_layout``.

    A sum that no department's part lets a rule withhold is not withheld by that rule as a whole: of the largest units
    of all, each stands in some department's part and is bounded there.

    Args:
        measured: The department's own cells.
        layout: Of the block.
        parameters: Of this node's own policy.

    Reveals:
        To the gateway, under masks and together with all others: units and rows by nameless group, and in how many
        departments a rule applies; no magnitude.
    """
    cells = measured.evidence.cells
    found: dict[str, pa.Array] = {}
    for measure in counts_layout(layout).measures:
        if measure.name in measured.table.column_names:
            found[measure.name] = measured.table[measure.name]
    for s, magnitude in enumerate(measured.evidence.magnitudes):
        dominated = np.zeros(cells, dtype=np.bool_)
        for number, percent in parameters.dominance:
            dominated |= dominates(magnitude, number, percent)
        at_risk = (
            estimable(magnitude, parameters.p_percent)
            if parameters.p_percent
            else np.zeros(cells, dtype=np.bool_)
        )
        even = (magnitude.absolute == 0).astype(np.bool_)
        if magnitude.squares is not None:
            rows = measured.evidence.rows[:, layout.sums[s].population].astype(object)
            spread = rows * magnitude.squares - magnitude.total * magnitude.total
            even |= (spread == 0).astype(np.bool_)
        for name, flags in (("dominated", dominated), ("estimable", at_risk), ("even", even)):
            found[f"{name}_{s}"] = pa.array(flags.astype(np.int64))
    found["parts"] = pa.array(np.ones(cells, dtype=np.int64))
    return found


def sealed_part(
    measured: Measured,
    layout: Layout,
    places: Places,
    released: npt.NDArray[np.bool_],
    key: SealingKey,
    zero_sum: ZeroSum,
) -> SealedWords:
    """Return this department's words of the shown cells under a key and under masks that cancel in the sum.

    Args:
        measured: Its own cells.
        layout: Of the block.
        places: For each own cell, its number among the shown ones, or -1.
        released: Shape (shown cells, aggregates): which values may leave.
        key: The recipient's, checked.
        zero_sum: Secrets with each other department.

    Raises:
        ProtocolError: X004 a word is outside its range for so many departments.

    Reveals:
        To the gateway: nothing but sizes. To the key's holder, even with the gateway's help: the totals over all
        departments of what is released, no department's own words.
    """
    words, parties = sealed_layout(layout), len(zero_sum.secrets) + 1
    own = encode_words(words, _columns(measured.table), parties)
    shown = np.zeros((len(released), words.words_per_cell), dtype=np.int64)
    there = places >= 0
    shown[places[there]] = own[there]
    shown[~_needed(layout, words, released)] = 0
    return seal(shown.reshape(-1), key, parties=parties, zero_sum=zero_sum)


def _needed(
    layout: Layout, words: WordLayout, released: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return, for each shown cell and slot, whether a value that may leave reads it."""
    needed = {each.name: np.zeros(len(released), dtype=np.bool_) for each in words.measures}
    for index, formula in enumerate(layout.formulas):
        for name in layout.words(formula):
            needed[name] |= released[:, index]
    return np.stack(
        [needed[each.name] for each in words.measures for _ in range(each.words)], axis=1
    )
