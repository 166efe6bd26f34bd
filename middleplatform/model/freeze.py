"""A stop: of everything, a department, a dataset, a person or a project.

Spec: docs/spec/freezes.md.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Freeze", "Scope"]


class Scope(StrEnum):
    """What is stopped."""

    PLATFORM = "platform"
    DEPARTMENT = "department"
    DATASET = "dataset"
    USER = "user"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Freeze:
    """One stop.

    Attributes:
        number: From 1, in order.
        scope: What kind of thing is stopped.
        target: Which: a department's code, a dataset's name, a login, a project; empty for the platform.
        reason: As people typed it, or what the rule found; for officers, never for analysts.
        by: Login of who did it; empty where a rule did.
        department: Of who did it, or empty.
        capacity: As whom: a role, or ``rule``.
        at: Since when, UTC.
        ends: First moment at which it holds no longer, UTC; None until people end it.
        drill: It is recorded and stops nothing.
        lifted_at: When two people ended it, UTC; None while they have not.
    """

    number: int
    scope: Scope
    target: str
    reason: str
    by: str
    department: str
    capacity: str
    at: datetime
    ends: datetime | None = None
    drill: bool = False
    lifted_at: datetime | None = None

    def open(self, now: datetime) -> bool:
        """Say whether nobody and no time has ended it, drill or not."""
        return self.lifted_at is None and (self.ends is None or now < self.ends)

    def holds(self, now: datetime) -> bool:
        """Say whether it stops anything."""
        return not self.drill and self.open(now)
