"""What departments return, what is released, and what the analyst receives."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from middleplatform.model.decision import Decision, Reason
from middleplatform.model.record import Receipt
from middleplatform.model.sealed import SealedAnswer

__all__ = [
    "REASONS",
    "Answer",
    "Explanation",
    "Flow",
    "PartialResult",
    "Release",
    "Step",
    "Withholding",
]

REASONS = frozenset(
    {"threshold", "complement", "dominance", "p_percent", "homogeneity", "secondary", "overlap"}
)
"""Why a value may be withheld; no mark is another word."""


@dataclass(frozen=True, slots=True)
class Withholding:
    """How many cells a rule withheld; never how many units they had.

    Attributes:
        rule: ``"R5"`` or ``"R14"``.
        reason: One of ``REASONS``.
        cells: Number of withheld values.
    """

    rule: str
    reason: str
    cells: int


@dataclass(frozen=True, slots=True)
class PartialResult:
    """What one department answers to one fragment.

    Attributes:
        department: Who answers.
        cells: Table of dimension columns ``d0..``, value columns ``a0..`` and mark columns ``m0..``.
        receipt: Node's signature over what it released; may be verified with its identity key.
        result_digest: SHA-256 of the cells' encoded bytes as they came, hexadecimal: the receipt must say the same.
        payload: These bytes, for who sends them on; empty where they were received.
        sealed: Encrypted words of the cells, which then have no word columns; the digest covers them too.
    """

    department: str
    cells: pa.Table
    receipt: str
    result_digest: str = ""
    payload: bytes = field(default=b"", repr=False)
    sealed: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Release:
    """Rows that may leave.

    Attributes:
        table: One column an output column; withheld values are null.
        marks: Same shape: reason of each withheld value, or null. Columns bear the output's names.
        withheld: Summary, also of values that HAVING or LIMIT dropped afterwards.
        notes: (English, Chinese) sentences: rewrites, released-only aggregates.
        digest: SHA-256 of the canonical bytes of table, marks and, where there are any, intervals, hexadecimal.
        intervals: Of a differentially private answer, same shape: half the width of the interval that holds the value
            before noise with probability 95 %; null where none can be told. A column is of type null where the output
            is no aggregate as released.
    """

    table: pa.Table
    marks: pa.Table
    withheld: tuple[Withholding, ...]
    notes: tuple[tuple[str, str], ...]
    digest: str
    intervals: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A release with its receipt: the only thing that leaves the gateway.

    Attributes:
        query_id: Of the request.
        release: The rows.
        protocol: ``local``, ``secure_sum`` or ``released`` (several blocks: joined by ``+``).
        decision: Under which policy and grants.
        receipt: Proof that the log has it.
        quality: Lowest quality score of the datasets used, 0 to 1.
        timings_ms: Milliseconds by stage.
        sealed: The values under the recipient's key; then ``release`` shows labels and marks only.
    """

    query_id: str
    release: Release
    protocol: str
    decision: Decision
    receipt: Receipt
    quality: float
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    sealed: SealedAnswer | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an explanation.

    Attributes:
        stage: ``parse``, ``qualify``, ``authorize``, ``plan``, ``dispatch``, ``combine``, ``disclose`` or ``open``.
        party: ``gateway`` or a department code.
        what: (English, Chinese) sentence.
        detail: SQL or other text; empty where none.
        learns: (English, Chinese): what this party learns by it.
    """

    stage: str
    party: str
    what: tuple[str, str]
    detail: str = ""
    learns: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Flow:
    """What one party would send another.

    Attributes:
        sender: ``analyst``, ``gateway`` or a party's code.
        receiver: The same.
        what: (English, Chinese) kind of content.
        bytes_max: At most about so many bytes, by declared sizes; None where nobody knows.
    """

    sender: str
    receiver: str
    what: tuple[str, str]
    bytes_max: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to a statement: nothing was run.

    Attributes:
        verdict: ``permit`` or ``refuse``.
        code: Error code when refused, else empty.
        reasons: Why refused.
        protocol: What would answer it, empty when refused.
        steps: In order.
        rewrites: (English, Chinese) sentences.
        limits: (English, Chinese) sentences: which owner imposed which limit.
        flows: What would cross the wire, in order; empty when refused.
    """

    verdict: str
    code: str
    reasons: tuple[Reason, ...]
    protocol: str
    steps: tuple[Step, ...]
    rewrites: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, str], ...] = ()
    flows: tuple[Flow, ...] = ()
