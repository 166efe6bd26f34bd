"""From the claims of an ID token to a subject of the platform. Pure; what is not mapped gives nothing.

A claim never names a role, department or region of the platform by itself: only a value that the operator's file lists
counts. No name of a natural person is needed, and none is kept.

Spec: docs/spec/login.md, "Claims".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from middleplatform.access.roles import check_separation
from middleplatform.errors import PolicyError
from middleplatform.model.request import Role, Subject

__all__ = ["Claim", "ClaimRules", "subject_from"]

Claim = tuple[str, ...]
"""Names that lead to a claim, outermost first."""

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_VALUES_MAX = 1000


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What claims give.

    Attributes:
        login: The claim that is the login.
        prefix: Put before it.
        department: The claim that tells the department; empty when it is always the same.
        departments: Department codes by that claim's value.
        department_always: The one code, or empty.
        role: The claim that tells the roles.
        roles: Roles by that claim's values.
        region: The claim that tells the regions; empty when they are always the same.
        regions: Region codes by that claim's values.
        regions_always: The codes, or none.
    """

    login: Claim
    prefix: str
    department: Claim
    departments: Mapping[str, str]
    department_always: str
    role: Claim
    roles: Mapping[str, Role]
    region: Claim
    regions: Mapping[str, str]
    regions_always: tuple[str, ...]


def subject_from(claims: Mapping[str, object], rules: ClaimRules) -> Subject:
    """Return whom ``claims`` let in.

    Args:
        claims: Of a verified ID token.
        rules: What counts.

    Raises:
        PolicyError: P006 no usable login, not exactly one department, no region, or no role.
        QueryError: Q040 roles that one login may not hold together.
    """
    found = list(_values(claims, rules.login))
    login = rules.prefix + found[0] if len(found) == 1 else ""
    if not _LOGIN.fullmatch(login):
        raise PolicyError("P006", detail="the claims give no usable login")
    departments = {rules.department_always} - {""} or {
        rules.departments[each]
        for each in _values(claims, rules.department)
        if each in rules.departments
    }
    if len(departments) != 1:
        raise PolicyError("P006", detail=f"{login}: claims give {len(departments)} departments")
    roles = {rules.roles[each] for each in _values(claims, rules.role) if each in rules.roles}
    if not roles:
        raise PolicyError("P006", detail=f"{login}: the claims give no role")
    regions = set(rules.regions_always) or {
        rules.regions[each] for each in _values(claims, rules.region) if each in rules.regions
    }
    if not regions:
        raise PolicyError("P006", detail=f"{login}: the claims give no region")
    check_separation(roles)
    return Subject(login, departments.pop(), frozenset(roles), tuple(sorted(regions)))


def _values(claims: Mapping[str, object], claim: Claim) -> Iterator[str]:
    """Give the texts of a claim: one, or those of a list; anything else gives none."""
    found: object = claims
    for name in claim:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        yield found
    elif isinstance(found, list) and len(found) <= _VALUES_MAX:
        yield from (each for each in found if isinstance(each, str))
