"""Privacy budgets as values: what a statement is charged, what is left, and what a privacy loss means.

Privacy loss is rho of zero-concentrated differential privacy, an exact fraction: losses of several answers add up
(Bun and Steinke 2016, Lemma 1.7). Epsilon at a delta is told beside it, for people; nothing is decided by it.

Spec: docs/spec/privacy-budget.md.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from middleplatform.errors import QueryError
from middleplatform.model.policy import PrivacyRule

__all__ = [
    "DENOMINATOR_MAX", "FIRST", "LOSS_MAX", "POLICY", "SHARES_MAX",
    "Balance", "Budgets", "Charge", "Entry", "Left", "Reservation", "Snapshot",
    "epsilon_at", "is_share", "read_rho", "rho_text",
]  # fmt: skip

POLICY = "policy"
"""Asks for what policy lets one answer spend at most."""

FIRST = "first"
"""Label of a dataset's snapshot until its department names another."""

DENOMINATOR_MAX = 10_000
"""Of a privacy loss that an analyst asks for: so the denominator of a sum stays bounded too, whatever is asked."""

SHARES_MAX = 64
"""Release blocks, at most, that share the loss of one answer: denominators stay bounded at a node too."""

LOSS_MAX = 10**15
"""Of numerator and denominator of one charge: a ledger keeps them as 64-bit integers and adds numerators up."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of a dataset's rows, as its department names it; budgets belong to it.

    Attributes:
        dataset: Name of the dataset.
        label: Chosen by the department; ``FIRST`` until it chooses.
    """

    dataset: str
    label: str = FIRST


@dataclass(frozen=True, slots=True)
class Charge:
    """What one statement spends of one dataset's current snapshot.

    Attributes:
        dataset: Name of the dataset.
        rho: Above 0.
        caps: The dataset's rule: how much a snapshot, a project and an analyst may spend in all.
    """

    dataset: str
    rho: Fraction
    caps: PrivacyRule


@dataclass(frozen=True, slots=True)
class Reservation:
    """A privacy loss that counts as spent from now on, unless it is released before any data were read.

    Attributes:
        number: Names it in its ledger.
        query_id: Of the question.
        snapshots: One a charge, in order of the charges.
    """

    number: int
    query_id: str
    snapshots: tuple[Snapshot, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Left:
    """What a project and an analyst may still spend of a snapshot, and what is spent; hangs on questions only.

    Attributes:
        snapshot: Which.
        caps: Of policy.
        spent_snapshot: By everybody.
        spent_project: By the project.
        spent_analyst: By the analyst, over all projects.
    """

    snapshot: Snapshot
    caps: PrivacyRule
    spent_snapshot: Fraction
    spent_project: Fraction
    spent_analyst: Fraction

    @property
    def by_snapshot(self) -> Fraction:
        """Return what the snapshot's cap leaves, at least 0."""
        return max(self.caps.rho_snapshot - self.spent_snapshot, Fraction(0))

    @property
    def by_project(self) -> Fraction:
        """Return what the project's cap leaves, at least 0."""
        return max(self.caps.rho_project - self.spent_project, Fraction(0))

    @property
    def by_analyst(self) -> Fraction:
        """Return what the analyst's cap leaves, at least 0."""
        return max(self.caps.rho_analyst - self.spent_analyst, Fraction(0))

    @property
    def least(self) -> Fraction:
        """Return what all three caps together leave: the next answers may spend this much."""
        return min(self.by_snapshot, self.by_project, self.by_analyst)


@dataclass(frozen=True, slots=True)
class Balance:
    """What one department tells of one dataset's budget.

    Attributes:
        department: Whose ledger says so.
        left: Of its current snapshot.
    """

    department: str
    left: Left

    def to_mapping(self) -> dict[str, object]:
        """Return the form that crosses the wire: exact fractions as text."""
        left = self.left
        fractions = {name: rho_text(getattr(left.caps, name)) for name in _CAPS}
        spent = {name: rho_text(getattr(left, name)) for name in _SPENT}
        named = {"dataset": left.snapshot.dataset, "snapshot": left.snapshot.label}
        bounds = {"groups": left.caps.groups, "rows": left.caps.rows}
        return {"department": self.department, **named, **fractions, **bounds, **spent}

    @staticmethod
    def from_mapping(body: object, department: str) -> "Balance":
        """Rebuild it from that form.

        Raises:
            KeyError, TypeError, ValueError: It is not that form, or another department's.
        """
        if not isinstance(body, Mapping) or body["department"] != department:
            raise TypeError("a department tells of its own budgets")
        texts = {name: body[name] for name in ("dataset", "snapshot")}
        if not all(isinstance(value, str) and len(value) <= _NAME_MAX for value in texts.values()):
            raise TypeError("a name is a short text")
        caps: dict[str, Any] = {name: _fraction(body[name]) for name in _CAPS}
        caps |= {name: _whole(body[name]) for name in ("groups", "rows")}
        spent = {name: _fraction(body[name]) for name in _SPENT}
        snapshot = Snapshot(str(texts["dataset"]), str(texts["snapshot"]))
        return Balance(department, Left(snapshot, PrivacyRule(**caps), **spent))


@dataclass(frozen=True, slots=True)
class Budgets:
    """What an analyst may still spend in a project.

    Attributes:
        project: Which.
        analyst: Login.
        balances: Of every dataset that offers differential privacy, by department and dataset.
        missing: (department, error code) of those that could not be asked.
        total: Budgets that there are, those of other pages too: one a department and dataset.
    """

    project: str
    analyst: str
    balances: tuple[Balance, ...]
    missing: tuple[tuple[str, str], ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One charge as it stands in a ledger.

    Attributes:
        number: Of its reservation.
        query_id: Of the question.
        snapshot: What was charged.
        project: For which project.
        analyst: By whom.
        rho: How much.
        state: ``reserved``, ``started``, ``committed`` or ``released``; all but the last count as spent.
        at: When it was reserved, ISO 8601.
    """

    number: int
    query_id: str
    snapshot: Snapshot
    project: str
    analyst: str
    rho: Fraction
    state: str
    at: str


def read_rho(text: str) -> Fraction | None:
    """Return the privacy loss that a request asks for; None when it leaves it to policy.

    Args:
        text: ``"policy"``, a fraction ``"1/50"`` or a decimal ``"0.02"``.

    Raises:
        QueryError: Q040 for anything else, zero or less, more than 1,000, or a denominator above ``DENOMINATOR_MAX``.
    """
    if text == POLICY:
        return None
    try:
        rho = Fraction(text) if len(text) <= _TEXT_MAX and text.isascii() else Fraction(0)
    except (ValueError, ZeroDivisionError):
        rho = Fraction(0)
    if not 0 < rho <= _RHO_MAX or rho.denominator > DENOMINATOR_MAX or "e" in text.lower():
        raise QueryError("Q040", what=_NOT_RHO)
    return rho


def is_share(rho: Fraction, most: Fraction) -> bool:
    """Say whether a loss can be a release block's share: of what ``read_rho`` takes, or of all that policy allows.

    A node asks this of every fragment, so that whatever a gateway signs, sums in its ledger stay short.

    Args:
        rho: Above 0.
        most: Policy's rho of one answer.
    """
    if max(rho.as_integer_ratio()) > LOSS_MAX:
        return False
    wholes = [rho * parts for parts in range(1, SHARES_MAX + 1)]
    return most in wholes or any(each.denominator <= DENOMINATOR_MAX for each in wholes)


def _fraction(value: object) -> Fraction:
    if not isinstance(value, str) or len(value) > _EXACT_MAX or not _FRACTION.fullmatch(value):
        raise TypeError("a fraction is text")
    return Fraction(value)


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("a whole number")
    return value


_CAPS = ("rho", "delta", "rho_snapshot", "rho_project", "rho_analyst")
_SPENT = ("spent_snapshot", "spent_project", "spent_analyst")
_FRACTION = re.compile(r"[0-9]+(/[0-9]*[1-9][0-9]*)?")
_NAME_MAX = 200
_EXACT_MAX = 4_000
"""Digits of a sum: of denominators of up to 10,000, and a margin under what Python reads of an integer."""
_TEXT_MAX = 24
_RHO_MAX = 1_000
_NOT_RHO = (
    "noise is policy, or a fraction above 0 such as 1/50, its denominator at most 10000",
    "noise 须为 policy，或大于 0 的分数（例如 1/50），分母不超过 10000",
)


def rho_text(rho: Fraction) -> str:
    """Return a privacy loss as it is written everywhere: ``"1/50"``, ``"0"``."""
    return str(rho)


def epsilon_at(rho: Fraction, delta: Fraction) -> float:
    """Return epsilon of (epsilon, delta)-differential privacy that a zCDP loss implies, rounded up.

    Canonne, Kamath and Steinke 2020, Proposition 12: every alpha above 1 gives a valid epsilon; the least over a
    bracket is taken. Never above the better known ``rho + 2 * sqrt(rho * ln(1 / delta))``.

    Args:
        rho: At least 0.
        delta: Above 0, below 1.
    """
    loss, log = float(rho), -math.log(delta)
    if loss <= 0:
        return 0.0

    def told(alpha: float) -> float:
        rest = (log + (alpha - 1) * math.log1p(-1 / alpha) - math.log(alpha)) / (alpha - 1)
        return loss * alpha + rest

    low, high = 1 + 1e-6, 2 + 2 * math.sqrt(log / loss)
    for _ in range(200):
        third = (high - low) / 3
        if told(low + third) < told(high - third):
            high -= third
        else:
            low += third
    return math.nextafter(max(told((low + high) / 2), 0.0), math.inf) * (1 + 1e-12)
