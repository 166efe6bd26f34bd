"""The messages of the secure sum as bytes: signed, bound to one round, of one encoding each.

Nothing here is secret: whatever a message holds, the gateway that relays it reads.
Imported by node, gateway, dispatch and the recipes of this package.
Spec: docs/spec/secure-sum.md, "Messages".
"""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from middleplatform.crypto.encoding import Reader, bad_message, join_parts
from middleplatform.crypto.identity import KEY_BYTES, SIGNATURE_BYTES, IdentityKey, PinnedKeys
from middleplatform.crypto.round_context import DIGEST_BYTES, NAME_BYTES_MAX, RoundContext

__all__ = [
    "CODES_MAX",
    "CODE_BYTES",
    "LABEL_BYTES_MAX",
    "WORDS_MAX",
    "WORD_BYTES",
    "CodeList",
    "Hello",
    "LabelList",
    "MaskedVector",
    "SealedKey",
    "check_codes",
    "check_phase",
    "check_senders",
    "signed",
]

MAGIC = b"MPSS1"
CODE_BYTES = 16
CODES_MAX = 2**22
LABEL_BYTES_MAX = 4096
PHASE_BYTES_MAX = 32
SEALED_BYTES = 32 + 16
WORD_BYTES = 8
WORDS_MAX = 2**26
_WORD = np.dtype("<u8")
_PHASE = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class _Message:
    """What all messages share.

    Attributes:
        context_digest: 32 bytes, of the round.
        sender: Department name.
        signature: 64 bytes of the sender's identity key.
    """

    kind: ClassVar[bytes]
    context_digest: bytes
    sender: str
    signature: bytes

    @abstractmethod
    def _body(self) -> bytes: ...

    @classmethod
    @abstractmethod
    def _parse(cls, context_digest: bytes, sender: str, reader: Reader) -> Self:
        """Return the message of ``reader``'s next bytes, signature included."""

    def _head(self) -> bytes:
        return MAGIC + self.kind + self.context_digest + join_parts(self.sender)

    def signed_bytes(self) -> bytes:
        """Return what is signed: the head and the body's SHA-256."""
        return self._head() + hashlib.sha256(self._body()).digest()

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return self._head() + self._body() + self.signature

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Return the message that ``raw`` encodes; its signature is not judged here.

        Raises:
            ProtocolError: X001 when ``raw`` is no canonical encoding of a message of this kind.
        """
        reader = Reader(raw)
        if reader.take(len(MAGIC) + 1) != MAGIC + cls.kind:
            raise bad_message("a message is of another kind or version")
        context_digest = reader.take(DIGEST_BYTES)
        message = cls._parse(context_digest, reader.text(NAME_BYTES_MAX), reader)
        reader.end()
        return message

    def check(self, context: RoundContext, pins: PinnedKeys) -> None:
        """Return only if this message was signed by a member of the cohort for this very round.

        Raises:
            ProtocolError: X001 for every cause alike.

        Reveals:
            Nothing but success or failure.
        """
        if self.context_digest != context.digest or self.sender not in context.cohort:
            raise bad_message("a message belongs to another round")
        pins.verify(self.sender, _purpose(self.kind), self.signed_bytes(), self.signature)


@dataclass(frozen=True, slots=True)
class Hello(_Message):
    """A department's fresh key for this round.

    Attributes:
        exchange_key: X25519 public key, 32 bytes.

    Reveals:
        To all: that the department takes part.
    """

    kind: ClassVar[bytes] = b"H"
    exchange_key: bytes

    def _body(self) -> bytes:
        return self.exchange_key

    @classmethod
    def _parse(cls, context_digest: bytes, sender: str, reader: Reader) -> Self:
        exchange_key = reader.take(KEY_BYTES)
        return cls(context_digest, sender, reader.take(SIGNATURE_BYTES), exchange_key)


@dataclass(frozen=True, slots=True)
class SealedKey(_Message):
    """The label key, sealed by the leader for one other department.

    Attributes:
        recipient: Department name.
        sealed: AES-256-GCM ciphertext and tag, 48 bytes.

    Reveals:
        To the recipient: the label key. To all others: nothing.
    """

    kind: ClassVar[bytes] = b"K"
    recipient: str
    sealed: bytes

    def _body(self) -> bytes:
        return join_parts(self.recipient) + self.sealed

    @classmethod
    def _parse(cls, context_digest: bytes, sender: str, reader: Reader) -> Self:
        recipient, sealed = reader.text(NAME_BYTES_MAX), reader.take(SEALED_BYTES)
        return cls(context_digest, sender, reader.take(SIGNATURE_BYTES), recipient, sealed)


@dataclass(frozen=True, slots=True)
class CodeList(_Message):
    """The keyed codes of the groups that a department has.

    Attributes:
        codes: At most 2**22 codes of 16 bytes, strictly ascending.

    Reveals:
        To the gateway: how many groups the department has, and which codes it shares with others.
    """

    kind: ClassVar[bytes] = b"C"
    codes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_codes(self.codes)

    def _body(self) -> bytes:
        return len(self.codes).to_bytes(4, "big") + b"".join(self.codes)

    @classmethod
    def _parse(cls, context_digest: bytes, sender: str, reader: Reader) -> Self:
        raw = reader.take(reader.integer(4) * CODE_BYTES)
        codes = tuple(raw[at : at + CODE_BYTES] for at in range(0, len(raw), CODE_BYTES))
        return cls(context_digest, sender, reader.take(SIGNATURE_BYTES), codes)


@dataclass(frozen=True, slots=True)
class MaskedVector(_Message):
    """A department's words of one phase under masks.

    Attributes:
        phase: 1 to 32 characters of ``a-z 0-9 -``.
        agreed: 32 bytes: digest of what every department was told for this phase.
        payload: 1 to 2**26 words of 8 bytes, little-endian.

    Reveals:
        To the gateway, with the vectors of all others: the sums. Without one of them: the length.
    """

    kind: ClassVar[bytes] = b"V"
    phase: str
    agreed: bytes
    payload: bytes

    def __post_init__(self) -> None:
        check_phase(self.phase)
        count, rest = divmod(len(self.payload), WORD_BYTES)
        if rest or not 1 <= count <= WORDS_MAX or len(self.agreed) != DIGEST_BYTES:
            raise bad_message("a masked vector is not valid")

    @property
    def words(self) -> npt.NDArray[np.uint64]:
        """The masked words, shape ``(words,)``, read-only."""
        return np.frombuffer(self.payload, dtype=_WORD)

    def _body(self) -> bytes:
        count = len(self.payload) // WORD_BYTES
        head = join_parts(self.phase) + self.agreed + count.to_bytes(4, "big")
        return head + self.payload

    @classmethod
    def _parse(cls, context_digest: bytes, sender: str, reader: Reader) -> Self:
        phase, agreed = reader.text(PHASE_BYTES_MAX), reader.take(DIGEST_BYTES)
        payload = reader.take(reader.integer(4) * WORD_BYTES)
        signature = reader.take(SIGNATURE_BYTES)
        return cls(context_digest, sender, signature, phase, agreed, payload)


@dataclass(frozen=True, slots=True)
class LabelList(_Message):
    """The labels of the codes that survived disclosure control.

    Attributes:
        codes: As in ``CodeList``.
        labels: As many labels, of at most 4096 bytes each, in the order of the codes.

    Reveals:
        To the gateway: the labels of these codes.
    """

    kind: ClassVar[bytes] = b"L"
    codes: tuple[bytes, ...]
    labels: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_codes(self.codes)
        too_long = any(len(label) > LABEL_BYTES_MAX for label in self.labels)
        if too_long or len(self.labels) != len(self.codes):
            raise bad_message("a label list is not valid")

    def _body(self) -> bytes:
        pairs = zip(self.codes, self.labels, strict=True)
        rows = b"".join(code + join_parts(label) for code, label in pairs)
        return len(self.codes).to_bytes(4, "big") + rows

    @classmethod
    def _parse(cls, context_digest: bytes, sender: str, reader: Reader) -> Self:
        rows = [
            (reader.take(CODE_BYTES), reader.part(LABEL_BYTES_MAX))
            for _ in range(reader.integer(4))
        ]
        codes, labels = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
        return cls(context_digest, sender, reader.take(SIGNATURE_BYTES), codes, labels)


AnyMessage = TypeVar("AnyMessage", bound=_Message)


def _purpose(kind: bytes) -> str:
    return f"secure-sum {kind.decode()}"


def signed(message: AnyMessage, identity: IdentityKey) -> AnyMessage:
    """Return ``message`` with the signature of ``identity`` in place of the one it has.

    Reveals:
        The message's author, to whoever sees it.
    """
    signature = identity.sign(_purpose(message.kind), message.signed_bytes())
    return replace(message, signature=signature)


def check_codes(codes: Sequence[bytes]) -> None:
    """Return only if ``codes`` are at most 2**22 codes of 16 bytes in strictly ascending order.

    Raises:
        ProtocolError: X001 otherwise.
    """
    fit = len(codes) <= CODES_MAX and all(len(code) == CODE_BYTES for code in codes)
    if not fit or not all(a < b for a, b in pairwise(codes)):
        raise bad_message("a list of codes is not valid")


def check_phase(phase: str) -> None:
    """Return only if ``phase`` is 1 to 32 characters of ``a-z 0-9 -``.

    Raises:
        ProtocolError: X001 otherwise.
    """
    if _PHASE.fullmatch(phase) is None:
        raise bad_message("a phase name is not valid")


def check_senders(context: RoundContext, messages: Sequence[_Message], pins: PinnedKeys) -> None:
    """Return only if every department of the cohort sent exactly one of ``messages``.

    Raises:
        ProtocolError: X001 for a missing, extra, doubled, foreign or forged message alike.

    Reveals:
        Nothing but success or failure.
    """
    if tuple(sorted(message.sender for message in messages)) != context.cohort:
        raise bad_message("the senders are not the cohort")
    for message in messages:
        message.check(context, pins)
