"""What authorization decides, and why."""

from dataclasses import dataclass, field

from middleplatform.model.policy import DisclosureParameters

__all__ = ["Decision", "Obligation", "Reason", "Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """A place in the statement: character offsets, half open, and the line and column of its start (from 1)."""

    start: int
    end: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a statement is refused: never made from data.

    Attributes:
        rule: ``"R0"`` to ``"R14"``, or ``"G1"`` grant, ``"G2"`` purpose, ``"G3"`` region, ``"G4"`` recipient.
        what: (English, Chinese) sentence part.
        column: ``"dataset.column"`` at fault, or empty.
        owner: Department whose rule refuses.
        policy_version: Version label of the bundle.
        span: Where in the statement, where known.
        hint: (English, Chinese) form that would pass, or empty strings.
    """

    rule: str
    what: tuple[str, str]
    column: str = ""
    owner: str = ""
    policy_version: str = ""
    span: Span | None = None
    hint: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Obligation:
    """What must be done to the statement before it may run, and what the analyst is told of it.

    Attributes:
        kind: ``band``, ``bucket``, ``region`` (row filter) or ``withhold`` (codes left out).
        dataset: Where.
        column: Which column.
        argument: Band width, bucket name, region codes or code ranges, as text parts.
        told: (English, Chinese) sentence for the answer.
    """

    kind: str
    dataset: str
    column: str
    argument: tuple[str, ...]
    told: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """Permit with obligations, or refuse with reasons (the first is the one that is told).

    Attributes:
        permit: Whether the statement may run once the obligations are met.
        reasons: Empty when permitted.
        obligations: In the order in which they apply.
        bundle_digest: The policy that was applied.
        grants: Ids of the grants that were used.
        disclosure: Parameters of disclosure control for this statement.
        threshold_owner: Department that imposed the threshold, for ``explain``.
    """

    permit: bool
    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...]
    bundle_digest: str
    grants: tuple[str, ...] = ()
    disclosure: DisclosureParameters = field(default_factory=DisclosureParameters)
    threshold_owner: str = ""
