"""Which roles one login may hold together: 系统、安全、审计分立 (separation of duties)."""

from collections.abc import Iterable

from middleplatform.errors import QueryError
from middleplatform.model.request import Role

__all__ = ["check_separation"]

_TOGETHER = (
    frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD}),
    frozenset({Role.ANALYST, Role.DATA_BUREAU}),
)
"""Everything else stands alone. An auditor checks all others; a security officer writes the rules
that all others work under; the bureau mediates between stewards (decree 809), so it is not one."""


def check_separation(roles: Iterable[Role]) -> None:
    """Refuse roles that one login may not hold together.

    Raises:
        QueryError: Q040, naming them, or when there is none.
    """
    held = frozenset(roles)
    if not held:
        raise QueryError("Q040", what=("a login needs a role", "账号至少需要一个角色"))
    if len(held) == 1 or any(held <= allowed for allowed in _TOGETHER):
        return
    names = ", ".join(sorted(held))
    raise QueryError(
        "Q040",
        what=(f"one login may not hold {names} together", f"同一账号不得同时拥有 {names}"),
    )
