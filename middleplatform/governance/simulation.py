"""What comes of judging audited questions again: each question's two verdicts, and counts of them.

Spec: docs/spec/policy-simulation.md, "What is told".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from middleplatform.governance.replay import Asked, Why
from middleplatform.policy.suite import Verdict

__all__ = [
    "KINDS",
    "Kind",
    "Outcome",
    "Simulation",
    "Tally",
    "Terms",
    "Unjudged",
    "allows",
    "kind_of",
]


class Kind(StrEnum):
    """How the verdict under the candidate differs from the one under the bundle in force."""

    SAME = "same"
    ALLOW_TO_DENY = "allow_to_deny"
    DENY_TO_ALLOW = "deny_to_allow"
    RULE = "rule"
    TERMS = "terms"


KINDS: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {
        Kind.SAME: ("no change", "无变化"),
        Kind.ALLOW_TO_DENY: ("allow → deny", "允许 → 拒绝"),
        Kind.DENY_TO_ALLOW: ("deny → allow", "拒绝 → 允许"),
        Kind.RULE: ("denied by another rule", "拒绝依据变化"),
        Kind.TERMS: ("allowed on other terms", "允许但条件变化"),
    }
)
"""What people are told of each kind, English and Chinese."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One term on which both bundles would answer, and differently.

    Attributes:
        name: A disclosure parameter (``method``, ``min_units`` ...), ``obligations``, ``protocol``, ``statement``
            (what departments are asked), ``join`` or ``noise``.
        before: Under the bundle in force, as text; empty where it is too long to tell.
        after: Under the candidate.
    """

    name: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question, judged twice.

    Attributes:
        asked: The question.
        kind: How the verdicts differ.
        before: Verdict under the bundle in force.
        after: Verdict under the candidate.
        datasets: That the question reads under either; empty where it could not be read.
        terms: What differs of two answers; empty but for ``Kind.TERMS``.
    """

    asked: Asked
    kind: Kind
    before: Verdict
    after: Verdict
    datasets: tuple[str, ...] = ()
    terms: tuple[Terms, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return what the change is counted under: the refusing rule or code, ``R1 → R3``, or names of terms."""
        match self.kind:
            case Kind.ALLOW_TO_DENY:
                return (_refusal(self.after),)
            case Kind.DENY_TO_ALLOW:
                return (_refusal(self.before),)
            case Kind.RULE:
                return (f"{_refusal(self.before)} → {_refusal(self.after)}",)
            case _:
                return tuple(each.name for each in self.terms)


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A question of which policy alone does not say what would come."""

    asked: Asked
    why: Why


@dataclass(slots=True)
class Tally:
    """How many questions of one rule, analyst or dataset changed, by kind."""

    name: str
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    subjects: set[str] = field(default_factory=set)

    def add(self, outcome: Outcome) -> None:
        """Count a question."""
        self.counts[outcome.kind] += 1
        self.subjects.add(outcome.asked.subject)


@dataclass(frozen=True, slots=True)
class Simulation:
    """Questions judged under a candidate and under the bundle in force.

    Attributes:
        candidate: Digest of the candidate.
        current: Digest of the bundle in force.
        outcomes: What could be judged, in the order of the log.
        unjudged: What could not, in the order of the log.
    """

    candidate: str
    current: str
    outcomes: tuple[Outcome, ...]
    unjudged: tuple[Unjudged, ...] = ()

    @property
    def changes(self) -> tuple[Outcome, ...]:
        """Return the questions whose verdict changes in any way."""
        return tuple(each for each in self.outcomes if each.kind is not Kind.SAME)

    def of(self, kind: Kind) -> tuple[Outcome, ...]:
        """Return the questions whose verdict changes in one way."""
        return tuple(each for each in self.outcomes if each.kind is kind)

    @property
    def allow_to_deny(self) -> tuple[Outcome, ...]:
        """Return what the candidate would no longer answer."""
        return self.of(Kind.ALLOW_TO_DENY)

    @property
    def deny_to_allow(self) -> tuple[Outcome, ...]:
        """Return what the candidate would newly answer."""
        return self.of(Kind.DENY_TO_ALLOW)

    def by_rule(self) -> tuple[Tally, ...]:
        """Return the changes by what they are counted under (``Outcome.names``), the most frequent first."""
        return _tallied((name, each) for each in self.changes for name in each.names)

    def by_analyst(self) -> tuple[Tally, ...]:
        """Return the changes by who asked, the most frequent first."""
        return _tallied((each.asked.subject, each) for each in self.changes)

    def by_dataset(self) -> tuple[Tally, ...]:
        """Return the changes by dataset, the most frequent first; a question counts under each that it reads."""
        return _tallied((name, each) for each in self.changes for name in each.datasets or ("",))

    def by_reason(self) -> Mapping[Why, int]:
        """Return how many questions could not be judged, by reason."""
        counts = {why: sum(each.why is why for each in self.unjudged) for why in Why}
        return {why: count for why, count in counts.items() if count}


def allows(verdict: Verdict) -> bool:
    """Say whether a statement would be sent to departments: permitted, and there is a way to answer it."""
    return verdict.verdict == "permit" and not verdict.code


def kind_of(before: Verdict, after: Verdict, terms: tuple[Terms, ...]) -> Kind:
    """Return how two verdicts on one question differ."""
    match allows(before), allows(after):
        case True, False:
            return Kind.ALLOW_TO_DENY
        case False, True:
            return Kind.DENY_TO_ALLOW
        case True, True:
            return Kind.TERMS if terms else Kind.SAME
        case _:
            return Kind.SAME if before == after else Kind.RULE


def _refusal(verdict: Verdict) -> str:
    return verdict.rule or verdict.code


def _tallied(pairs: Iterable[tuple[str, Outcome]]) -> tuple[Tally, ...]:
    found: dict[str, Tally] = {}
    for name, outcome in pairs:
        found.setdefault(name, Tally(name)).add(outcome)
    order = sorted(found.values(), key=lambda each: (-sum(each.counts.values()), each.name))
    return tuple(order)
