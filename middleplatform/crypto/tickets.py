"""Tickets: what a key holder may open, signed by the departments that sealed it and the gateway that added it.

A holder who opens whatever comes is a decryption oracle: the gateway would send one department's
ciphertexts, or the difference of two queries. A holder opens what a ticket names, and a query once.
Imported by node (sign), gateway (issue) and the holder's command (open).
Spec: docs/spec/sealed-sum.md, "Tickets".

Reveals:
    A ticket shows who sealed for which query, and digests of ciphertexts; of the cells nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from middleplatform.crypto.encoding import Reader, bad_message, join_parts, tagged_digest
from middleplatform.crypto.identity import SIGNATURE_BYTES, IdentityKey, PinnedKeys
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.crypto.sealed_packing import Words
from middleplatform.crypto.sealed_sum import SealedWords, open_words
from middleplatform.crypto.used_rounds import UsedRounds

__all__ = ["SignedInput", "Ticket", "TicketSubject", "issue_ticket", "open_ticket", "sign_input"]

_SUITE = "MPTK1"
_INPUT, _TICKET = "sealed-sum input", "sealed-sum ticket"
_DIGEST_BYTES = 32
_NAME_BYTES_MAX = 64
_TEXT_BYTES_MAX = 128
_PARTIES_MAX = 1024
_TOTALS_MAX = 256
_NUMBER_MAX = 2**32 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_QUERY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_KEY_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TicketSubject:
    """What was sealed; every signature of a ticket is over it.

    Attributes:
        query_id: 1 to 128 characters of ``A-Z a-z 0-9 _ . : -``.
        attempt: 1 for the first try, at most 2**32 - 1.
        cohort: Names of all 1 to 1024 departments, in strictly ascending order.
        layout_hash: 32 bytes: which cells stand in which words.
        key_id: Of the recipient's key, 64 hexadecimal digits.

    Raises:
        ProtocolError: X001 when a value is outside its range.
    """

    query_id: str
    attempt: int
    cohort: tuple[str, ...]
    layout_hash: bytes
    key_id: str

    def __post_init__(self) -> None:
        valid = (
            _QUERY_ID.fullmatch(self.query_id) is not None
            and 1 <= self.attempt <= _NUMBER_MAX
            and 1 <= len(self.cohort) <= _PARTIES_MAX
            and all(_NAME.fullmatch(name) for name in self.cohort)
            and all(a < b for a, b in pairwise(self.cohort))
            and len(self.layout_hash) == _DIGEST_BYTES
            and _KEY_ID.fullmatch(self.key_id) is not None
        )
        if not valid:
            raise bad_message("the subject of a ticket is not valid")

    @property
    def subject(self) -> bytes:
        """32 bytes that every attempt at the same query must have in common."""
        return tagged_digest("middleplatform sealed-sum subject v1", self._bytes(attempt=0))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return self._bytes(self.attempt)

    def _bytes(self, attempt: int) -> bytes:
        return b"".join(
            (
                join_parts(_SUITE, self.query_id),
                attempt.to_bytes(4, "big"),
                len(self.cohort).to_bytes(4, "big"),
                join_parts(*self.cohort),
                self.layout_hash,
                bytes.fromhex(self.key_id),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> "TicketSubject":
        """Return the subject that stands next in a message.

        Raises:
            ProtocolError: X001 when none does.
        """
        suite, query_id = reader.text(_TEXT_BYTES_MAX), reader.text(_TEXT_BYTES_MAX)
        attempt, count = reader.integer(4), reader.integer(4)
        if suite != _SUITE or count > _PARTIES_MAX:
            raise bad_message("a ticket of another suite or size")
        cohort = tuple(reader.text(_NAME_BYTES_MAX) for _ in range(count))
        layout_hash, key_id = reader.take(_DIGEST_BYTES), reader.take(_DIGEST_BYTES).hex()
        return cls(query_id, attempt, cohort, layout_hash, key_id)


@dataclass(frozen=True, slots=True)
class SignedInput:
    """What one department sealed, over its signature.

    Attributes:
        party: The department.
        digest: 32 bytes over all sealed words that it sent for the subject, in order.
        signature: Its, 64 bytes, for the purpose ``sealed-sum input``.
    """

    party: str
    digest: bytes
    signature: bytes = field(repr=False)

    def covers(self, sealed: Sequence[SealedWords]) -> bool:
        """Say whether the digest is that of these words; ``verify`` checks the signature."""
        return self.digest == _digest_of(sealed)

    def verify(self, subject: TicketSubject, pins: PinnedKeys) -> None:
        """Return only if the party signed this digest for this subject.

        Raises:
            ProtocolError: X001 for every cause alike.
        """
        bound = _input_bytes(subject, self.party, self.digest)
        pins.verify(self.party, _INPUT, bound, self.signature)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return join_parts(self.party) + self.digest + self.signature

    @classmethod
    def read(cls, reader: Reader) -> "SignedInput":
        """Return the input that stands next in a message.

        Raises:
            ProtocolError: X001 when none does.
        """
        party = reader.text(_NAME_BYTES_MAX)
        return cls(party, reader.take(_DIGEST_BYTES), reader.take(SIGNATURE_BYTES))


def sign_input(
    identity: IdentityKey, subject: TicketSubject, party: str, sealed: Sequence[SealedWords]
) -> SignedInput:
    """Return a department's signature over what it sealed.

    Args:
        identity: The department's key.
        subject: Made from its own fragment.
        party: Its name, one of the cohort.
        sealed: All its words for the subject, in order of the layout, under the subject's key.

    Raises:
        ProtocolError: X001 when the party is not in the cohort, or words are under another key.
    """
    if party not in subject.cohort or any(each.key.key_id != subject.key_id for each in sealed):
        raise bad_message("words of another party or key")
    digest = _digest_of(sealed)
    return SignedInput(party, digest, identity.sign(_INPUT, _input_bytes(subject, party, digest)))


def _digest_of(sealed: Sequence[SealedWords]) -> bytes:
    return tagged_digest("middleplatform sealed-sum input v1", *(each.digest for each in sealed))


def _input_bytes(subject: TicketSubject, party: str, digest: bytes) -> bytes:
    return subject.to_bytes() + join_parts(party) + digest


@dataclass(frozen=True, slots=True)
class Ticket:
    """Permission to open the totals of one subject, once.

    Attributes:
        subject: What was sealed.
        inputs: One of each department, in the cohort's order.
        totals: SHA-256 of each sealed total, 32 bytes each, 1 to 256.
        issuer: Name of the gateway.
        signature: The issuer's, 64 bytes, for the purpose ``sealed-sum ticket``.

    Raises:
        ProtocolError: X001 when inputs are not those of the cohort, or there is no total.
    """

    subject: TicketSubject
    inputs: tuple[SignedInput, ...]
    totals: tuple[bytes, ...]
    issuer: str
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        valid = (
            tuple(each.party for each in self.inputs) == self.subject.cohort
            and 1 <= len(self.totals) <= _TOTALS_MAX
            and all(len(total) == _DIGEST_BYTES for total in self.totals)
            and _NAME.fullmatch(self.issuer) is not None
        )
        if not valid:
            raise bad_message("a ticket is not valid")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: subject, inputs, totals, issuer, signature."""
        return _ticket_bytes(self.subject, self.inputs, self.totals, self.issuer) + self.signature

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Ticket":
        """Return the ticket that ``raw`` encodes; ``verify`` says whether it holds.

        Raises:
            ProtocolError: X001 when ``raw`` is anything but the canonical bytes of a ticket.
        """
        reader = Reader(raw)
        subject = TicketSubject.read(reader)
        inputs = tuple(SignedInput.read(reader) for _ in subject.cohort)
        count = reader.integer(4)
        if count > _TOTALS_MAX:
            raise bad_message("a ticket with too many totals")
        totals = tuple(reader.take(_DIGEST_BYTES) for _ in range(count))
        issuer, signature = reader.text(_NAME_BYTES_MAX), reader.take(SIGNATURE_BYTES)
        reader.end()
        return cls(subject, inputs, totals, issuer, signature)

    def verify(self, issuer: str, pins: PinnedKeys) -> None:
        """Return only if ``issuer`` and every department of the cohort signed.

        Args:
            issuer: The gateway that the holder serves.
            pins: Its identity key and those of all departments.

        Raises:
            ProtocolError: X001 for every cause alike.
        """
        if self.issuer != issuer or issuer in self.subject.cohort:
            raise bad_message("a ticket of another issuer")
        told = _ticket_bytes(self.subject, self.inputs, self.totals, self.issuer)
        pins.verify(issuer, _TICKET, told, self.signature)
        for each in self.inputs:
            each.verify(self.subject, pins)


def _ticket_bytes(
    subject: TicketSubject, inputs: Sequence[SignedInput], totals: Sequence[bytes], issuer: str
) -> bytes:
    return b"".join(
        (
            subject.to_bytes(),
            *(each.to_bytes() for each in inputs),
            len(totals).to_bytes(4, "big"),
            *totals,
            join_parts(issuer),
        )
    )


def issue_ticket(
    identity: IdentityKey,
    issuer: str,
    subject: TicketSubject,
    inputs: Sequence[SignedInput],
    totals: Sequence[SealedWords],
) -> Ticket:
    """Return the gateway's ticket for the totals it made of the inputs.

    Args:
        identity: The gateway's key.
        issuer: Its name.
        subject: What was sealed.
        inputs: One of each department, in any order, **already verified by** the caller's link.
        totals: The sealed sums, as they will be forwarded.

    Raises:
        ProtocolError: X001 when inputs are not those of the cohort, or totals are under another key.
    """
    if any(total.key.key_id != subject.key_id for total in totals):
        raise bad_message("totals of another key")
    ordered = tuple(sorted(inputs, key=lambda each: each.party))
    digests = tuple(total.digest for total in totals)
    signature = identity.sign(_TICKET, _ticket_bytes(subject, ordered, digests, issuer))
    return Ticket(subject, ordered, digests, issuer, signature)


def open_ticket(
    key: OpeningKey,
    ticket: Ticket,
    totals: Sequence[SealedWords],
    *,
    issuer: str,
    pins: PinnedKeys,
    used: UsedRounds,
) -> list[Words]:
    """Return the cells of a ticket's totals; a second time it is refused.

    Args:
        key: The holder's.
        ticket: As it came.
        totals: What it names, in its order.
        issuer: The gateway that the holder serves.
        pins: Identity keys of the gateway and all departments.
        used: The holder's record of openings, **a file of its own**; durable before anything is opened.

    Raises:
        ProtocolError: X001 for a ticket that does not verify or names something else; X002 for a query and
            attempt that was opened before, or a query with another subject; X004 as ``open_words``.

    Reveals:
        The totals, to the holder.
    """
    ticket.verify(issuer, pins)
    if ticket.subject.key_id != key.public.key_id:
        raise bad_message("a ticket for another key")
    if tuple(total.digest for total in totals) != ticket.totals:
        raise bad_message("a ticket names other totals")
    if any(total.added != total.parties for total in totals):
        raise bad_message("a total lacks a summand")
    used.claim(ticket.subject)
    return [open_words(key, total) for total in totals]
