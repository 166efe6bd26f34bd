"""What the desks of logins and of tokens ask of every act: the role, a reason for the log, and who did it.

Spec: docs/spec/login.md, "Administration".
"""

from middleplatform.access.roles import check_role
from middleplatform.errors import QueryError
from middleplatform.model.request import Role, Subject

__all__ = ["TEXT_MAX", "by", "check"]

TEXT_MAX = 500
"""Characters of a reason, or of a note."""


def check(actor: Subject, may: frozenset[Role], reason: str = "-") -> None:
    """Refuse an act of somebody else, or without a reason.

    Args:
        actor: Who acts.
        may: Who may; one of these roles suffices.
        reason: Why, for the log; looking at something needs none.

    Raises:
        PolicyError: P004 the person has none of these roles.
        QueryError: Q040 no reason, or one too long.
    """
    check_role(actor, may)
    if not 0 < len(reason.strip()) <= TEXT_MAX:
        what = (f"a reason of 1 to {TEXT_MAX} characters", f"须填写 1 至 {TEXT_MAX} 字的理由")
        raise QueryError("Q040", what=what)


def by(actor: Subject, reason: str) -> dict[str, object]:
    """Return who acts, and why, as an entry of the log says it."""
    return {
        "by": actor.id,
        "department": actor.department,
        "roles": sorted(str(role) for role in actor.roles),
        "reason": reason.strip(),
    }
