"""Four eyes: whose yes a change of policy needs, and who may say it. Pure.

What loosens needs a second security officer, and of each department whose data it loosens a steward. What only
tightens needs nobody but its author. Nobody is two people: the author's own yes counts for nothing, and one
person's counts once.

Spec: docs/spec/policy-lifecycle.md, "Four eyes".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from middleplatform.access.roles import check_separation, person_key
from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance.diff import Difference
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Role, Subject
from middleplatform.policy.stricter import loosened
from middleplatform.store.policies import Approval, Capacity

__all__ = ["Required", "capacity_of", "check_officer", "missing", "required_approvals"]


@dataclass(frozen=True, slots=True)
class Required:
    """Approvals that are needed.

    Attributes:
        second_officer: Of a security officer other than the author.
        owners: Of a steward of each of these departments.
    """

    second_officer: bool
    owners: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.second_officer or bool(self.owners)


def required_approvals(difference: Difference, old: Bundle, new: Bundle) -> Required:
    """Return whose approval the step from ``old`` to ``new`` needs.

    A difference that the comparison cannot tell counts as a loosening, and so does one that the merging of two bundles
    tells and the comparison does not: neither must be how one slips through beside a tightening.

    Args:
        difference: Of the two.
        old: In force.
        new: Wanted.
    """
    unexplained = not difference and old.digest != new.digest
    merging = loosened(old, new)
    rules = [each.datasets.get(name) for each in (old, new) for name in merging or ()]
    owners = difference.owners.union(rule.owner for rule in rules if rule is not None)
    return Required(bool(difference.loosens) or unexplained or merging is not None, owners)


def missing(required: Required, author: str, approvals: Iterable[Approval]) -> Required:
    """Return what is still needed; nothing (false) when all is there."""
    seen: dict[str, Approval] = {}
    for each in approvals:
        if person_key(each.person) != person_key(author):
            seen.setdefault(person_key(each.person), each)
    given = seen.values()
    officers = any(each.capacity is Capacity.SECOND_OFFICER for each in given)
    owners = {each.department for each in given if each.capacity is Capacity.DATA_OWNER}
    return Required(required.second_officer and not officers, required.owners - owners)


def check_officer(person: Subject) -> None:
    """Return only if ``person`` is a security officer and nothing that goes ill with it.

    Raises:
        PolicyError: P004.
    """
    _check_roles(person)
    if Role.SECURITY_OFFICER not in person.roles:
        raise PolicyError("P004", what=("change policy", "变更策略"))


def capacity_of(person: Subject, author: str, needed: Required) -> Capacity:
    """Return as whom ``person`` may approve what is needed.

    Args:
        person: Who wants to approve.
        author: Login of who proposed it.
        needed: What the proposal needs in all.

    Raises:
        PolicyError: P004 the author himself, conflicting roles, or nobody whose approval is needed.
    """
    _check_roles(person)
    if person_key(person.id) == person_key(author):
        raise PolicyError("P004", what=("decide on one's own proposal", "审批本人的提案"))
    if Role.SECURITY_OFFICER in person.roles and needed.second_officer:
        return Capacity.SECOND_OFFICER
    if Role.DEPARTMENT_STEWARD in person.roles and person.department in needed.owners:
        return Capacity.DATA_OWNER
    what = ("approve what needs another's approval, or none", "批准应由他人批准或无需批准的提案")
    raise PolicyError("P004", what=what)


def _check_roles(person: Subject) -> None:
    """Refuse roles that no login may hold together, whatever let the person in.

    Raises:
        PolicyError: P004.
    """
    try:
        check_separation(person.roles)
    except QueryError as error:
        raise PolicyError("P004", what=error.parts["what"]) from None
