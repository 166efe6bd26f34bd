"""Reads what parties sealed: each part of exactly the form that was asked for, and signed for exactly this question.

Spec: docs/spec/sealed-sum.md, "A release block"; docs/spec/private-join.md, "Sealed".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from middleplatform.crypto.encoding import Reader
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.sealed_sum import SealedWords
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.crypto.tickets import SignedInput, TicketSubject
from middleplatform.errors import ProtocolError
from middleplatform.wire.frame import unpack

__all__ = ["Form", "read_parts"]

_PIECES = 2
"""Words and the signature over them."""


@dataclass(frozen=True, slots=True)
class Form:
    """What every part must be.

    Attributes:
        masked: Whether zero-sum masks lie on the plaintexts.
        slot_bytes: Width of a cell.
        parties: How many vectors may be added.
        count: Number of cells.
    """

    masked: bool
    slot_bytes: int
    parties: int
    count: int


def read_parts(
    sent: Sequence[tuple[str, bytes]],
    key: SealingKey,
    form: Form,
    subject: TicketSubject,
    pins: PinnedKeys,
) -> tuple[list[SealedWords], tuple[SignedInput, ...]]:
    """Return each party's words, and its signature over them.

    Args:
        sent: Party and what it sent.
        key: The recipient's.
        form: Which all have.
        subject: Of the question; the signatures are over it.
        pins: The parties' identity keys.

    Raises:
        ProtocolError: X001 for words of another form or key, and for a signature of somebody else, over other words or
            for another question.
    """
    found, inputs = [], []
    for party, raw in sent:
        pieces = unpack(raw, _PIECES)
        if len(pieces) != _PIECES:
            raise ProtocolError("X001", detail="sealed words without a signature")
        words = SealedWords.from_bytes(pieces[0], key)
        reader = Reader(pieces[1])
        signed = SignedInput.read(reader)
        reader.end()
        if Form(words.masked, words.slot_bytes, words.parties, words.count) != form:
            raise ProtocolError("X001", detail="sealed words of another form")
        if signed.party != party or words.added != 1 or not signed.covers([words]):
            raise ProtocolError("X001", detail="a signature over other sealed words")
        signed.verify(subject, pins)
        found.append(words)
        inputs.append(signed)
    return found, tuple(inputs)
