"""What a round is about: the values that every message of it is bound to.

Imported by node, gateway, dispatch and the recipes of this package.
Spec: docs/spec/secure-sum.md, "Round context".
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise

from middleplatform.crypto.encoding import Reader, bad_message, join_parts, tagged_digest

__all__ = [
    "DIGEST_BYTES",
    "JOIN_SUITE",
    "NAME_BYTES_MAX",
    "PARTIES_MAX",
    "SUITE",
    "RoundContext",
]

SUITE = "MPSS1-X25519-Ed25519-HKDFSHA256-AES256"
JOIN_SUITE = "MPJN1-X25519-Ed25519-HKDFSHA256-AES256"
DIGEST_BYTES = 32
NAME_BYTES_MAX = 64
PARTIES_MIN, PARTIES_MAX = 2, 1024
NUMBER_MAX = 2**32 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_QUERY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TAG = "middleplatform secure-sum context v1"


@dataclass(frozen=True, slots=True)
class RoundContext:
    """One attempt at one query by one cohort; its digest stands in every key, tag and signature.

    Attributes:
        suite: ``SUITE`` for a secure sum, ``JOIN_SUITE`` for a private join; no other is spoken.
        key_epoch: Version of the enrolled identity keys, 0 to 2**32 - 1.
        query_id: 1 to 128 characters of ``A-Z a-z 0-9 _ . : -``.
        attempt: 1 for the first try, then counted up; at most 2**32 - 1.
        cohort: Names of all 2 to 1024 departments, in strictly ascending order; the first leads.
        layout_hash: 32 bytes: which measures stand in which words (``WordLayout.digest``).
        policy_digest: SHA-256 of the policy bundle, 64 lower-case hexadecimal digits.
        digest: SHA-256 of the canonical bytes, 32 bytes; made once, since every message needs it.

    Raises:
        ProtocolError: X001 when a value is outside its range.
    """

    suite: str
    key_epoch: int
    query_id: str
    attempt: int
    cohort: tuple[str, ...]
    layout_hash: bytes
    policy_digest: str
    digest: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        names_fit = all(_NAME.fullmatch(name) for name in self.cohort)
        ascending = all(a < b for a, b in pairwise(self.cohort))
        valid = (
            self.suite in (SUITE, JOIN_SUITE)
            and 0 <= self.key_epoch <= NUMBER_MAX
            and 1 <= self.attempt <= NUMBER_MAX
            and _QUERY_ID.fullmatch(self.query_id) is not None
            and PARTIES_MIN <= len(self.cohort) <= PARTIES_MAX
            and names_fit
            and ascending
            and len(self.layout_hash) == DIGEST_BYTES
            and _DIGEST.fullmatch(self.policy_digest) is not None
        )
        if not valid:
            raise bad_message("a round context is not valid")
        object.__setattr__(self, "digest", tagged_digest(_TAG, self.to_bytes()))

    @property
    def leader(self) -> str:
        """The department that draws the label key: the first of the cohort."""
        return self.cohort[0]

    @property
    def subject(self) -> bytes:
        """32 bytes that every attempt at the same query must have in common."""
        return tagged_digest(f"{_TAG} subject", self._bytes(attempt=0))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return self._bytes(self.attempt)

    def _bytes(self, attempt: int) -> bytes:
        return b"".join(
            (
                join_parts(self.suite),
                self.key_epoch.to_bytes(4, "big"),
                join_parts(self.query_id),
                attempt.to_bytes(4, "big"),
                len(self.cohort).to_bytes(4, "big"),
                join_parts(*self.cohort),
                self.layout_hash,
                bytes.fromhex(self.policy_digest),
            )
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> "RoundContext":
        """Return the context that ``raw`` encodes.

        Raises:
            ProtocolError: X001 when ``raw`` is anything but the canonical bytes of a context.
        """
        reader = Reader(raw)
        suite, key_epoch = reader.text(64), reader.integer(4)
        query_id, attempt = reader.text(128), reader.integer(4)
        count = reader.integer(4)
        if count > PARTIES_MAX:
            raise bad_message("a cohort is too large")
        cohort = tuple(reader.text(NAME_BYTES_MAX) for _ in range(count))
        layout_hash, policy_digest = reader.take(DIGEST_BYTES), reader.take(DIGEST_BYTES).hex()
        reader.end()
        return cls(suite, key_epoch, query_id, attempt, cohort, layout_hash, policy_digest)
