"""Which roles one person may hold together: 系统、安全、审计分立 (separation of duties).

System, security and audit administrators are three people (三员分立): who hands out logins writes no rules, who writes
rules hands out no logins, and who checks both does neither.
"""

from collections.abc import Iterable

from middleplatform.errors import PolicyError, QueryError
from middleplatform.model.request import Role, Subject, person_key

__all__ = ["check_person", "check_role", "check_separation", "person_key"]

_TOGETHER = (
    frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD}),
    frozenset({Role.ANALYST, Role.DATA_BUREAU}),
)
"""Everything else stands alone. An auditor checks all others; a security officer writes the rules
that all others work under; a system administrator hands out logins and tokens to all others; the
bureau mediates between stewards (decree 809), so it is not one."""


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


def check_person(
    login: str, roles: Iterable[Role], held: Iterable[tuple[str, Iterable[Role]]]
) -> None:
    """Refuse roles that a person may not hold beside those that let the same person in by another way.

    Two tokens of one login are one person, and so are a token and a session. A login that differs in capital and small
    letters only would be counted as another person where two are asked for, so nobody gets one.

    Args:
        login: Whose.
        roles: That are given now.
        held: Login and roles of everything else that lets somebody in now.

    Raises:
        QueryError: As ``check_separation``, of all of them together; Q040 the login is written otherwise.
    """
    check_separation(roles)
    own = person_key(login)
    beside = [(other, each) for other, each in held if person_key(other) == own]
    check_separation(frozenset(roles).union(*(each for _, each in beside)))
    known = next((other for other, _ in beside if other != login), login)
    if known != login:
        raise QueryError("Q040", what=(f"this login is written {known}", f"该账号应写作 {known}"))


def check_role(subject: Subject, allowed: frozenset[Role]) -> None:
    """Refuse whoever has none of some roles.

    Raises:
        PolicyError: P004; it names them.
    """
    if not subject.roles & allowed:
        names = ", ".join(sorted(allowed))
        raise PolicyError("P004", what=(f"it needs the role {names}", f"需要角色 {names}"))
