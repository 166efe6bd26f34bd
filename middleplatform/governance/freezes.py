"""Stops, and their end: who may stop what at once, and which two people end it again.

To stop is cheap and one person's; to go on is two people's, of whom one is a security officer. What a person may do is
judged here on the newest state, inside the store's writing transaction; what a stop does is ``gateway.granting``'s.

Spec: docs/spec/freezes.md.
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import Connection

from middleplatform.access.roles import check_separation, person_key
from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance.desk import Decide, Desk
from middleplatform.model.catalog import Catalog
from middleplatform.model.freeze import Freeze, Scope
from middleplatform.model.request import Role, Subject
from middleplatform.store import freezes as kept
from middleplatform.store.acts import Act, Change, PendingAct, next_number
from middleplatform.store.freezes import Alert, Consent

__all__ = [
    "BY_RULE", "EVENT", "Freezing", "Standing", "check_target", "coming", "ends_it", "may_end", "may_freeze",
    "row_of", "valid", "written",
]  # fmt: skip

EVENT: Final = "freeze"
BY_RULE: Final = "rule"
"""Capacity of a freeze that no person made."""

_TEXT_MAX = 2000
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_PROJECT_MAX = 100
_WATCH = frozenset(
    {Role.SECURITY_OFFICER, Role.DATA_BUREAU, Role.AUDITOR, Role.SYSTEM_ADMINISTRATOR}
)
_PEOPLE = 2
_WAIT_S, _AGAIN_S = 5.0, 0.02


@dataclass(frozen=True, slots=True)
class Standing:
    """A freeze, and how far its end is.

    Attributes:
        freeze: As it was made.
        consents: Who agreed to its end, in order; those that do not count among them.
        state: ``open``, ``lifted`` by people, or ``ended`` by time.
    """

    freeze: Freeze
    consents: tuple[Consent, ...]
    state: str


# --- who may ------------------------------------------------------------------------------------------------------


def may_freeze(person: Subject, scope: Scope, target: str, catalog: Catalog) -> Role | None:
    """Return as whom ``person`` may stop something, or None.

    A security officer stops anything; the data bureau a department's or a dataset's sharing (decree 809 art. 27); a
    steward what is the own department's.
    """
    if Role.SECURITY_OFFICER in person.roles:
        return Role.SECURITY_OFFICER
    if Role.DATA_BUREAU in person.roles and scope in (Scope.DEPARTMENT, Scope.DATASET):
        return Role.DATA_BUREAU
    if Role.DEPARTMENT_STEWARD in person.roles and person.department == _owner(
        scope, target, catalog
    ):
        return Role.DEPARTMENT_STEWARD
    return None


def may_end(person: Subject, freeze: Freeze, catalog: Catalog) -> Role | None:
    """Return as whom ``person`` may be one of the two who end a freeze, or None.

    Whom it stops is none of them: not the frozen person, nor a steward of a department that others have frozen.
    """
    if freeze.scope is Scope.USER and person_key(freeze.target) == person_key(person.id):
        return None
    role = may_freeze(person, freeze.scope, freeze.target, catalog)
    others = freeze.capacity != Role.DEPARTMENT_STEWARD
    if role is Role.DEPARTMENT_STEWARD and freeze.scope is Scope.DEPARTMENT and others:
        return None
    return role


def valid(consents: Iterable[Consent], frozen: Iterable[str]) -> dict[str, Consent]:
    """Return the consents that count, by person: of nobody who is frozen by now, and one each."""
    out = set(map(person_key, frozen))
    found: dict[str, Consent] = {}
    for each in consents:
        person = person_key(each.person)
        if person not in out:
            found.setdefault(person, each)
    return found


def ends_it(consents: Iterable[Consent]) -> bool:
    """Say whether these consents, of different people, end a freeze: two at least, a security officer's among them."""
    roles = [each.capacity for each in consents]
    return len(roles) >= _PEOPLE and Role.SECURITY_OFFICER in roles


def _owner(scope: Scope, target: str, catalog: Catalog) -> str:
    """Return the department that a thing belongs to, or nothing."""
    if scope is Scope.DEPARTMENT:
        return target
    if scope is Scope.DATASET and target in catalog.datasets:
        return catalog.datasets[target].owner
    return ""


def check_target(scope: Scope, target: str, catalog: Catalog) -> None:
    """Refuse to stop what is not there: a slip of the pen must not look like a stop.

    Raises:
        QueryError: Q041 no such department or dataset; Q040 no login or project, or a name for the platform.
    """
    if scope is Scope.DEPARTMENT and target not in catalog.departments:
        raise QueryError("Q041", what=(f"department {target}", f"部门 {target}"))
    if scope is Scope.DATASET and target not in catalog.datasets:
        raise QueryError("Q041", what=(f"dataset {target}", f"数据集 {target}"))
    sound = {
        Scope.PLATFORM: target == "",
        Scope.USER: bool(_LOGIN.fullmatch(target)),
        Scope.PROJECT: 0 < len(target) <= _PROJECT_MAX and target.isprintable(),
    }
    if not sound.get(scope, True):
        what = (f"{target!r} is no {scope}", f"{target!r} 无效")
        raise QueryError("Q040", what=what)


# --- how a freeze is written --------------------------------------------------------------------------------------


def written(freeze: Freeze) -> dict[str, object]:
    """Return a freeze as the log's entry says it."""
    return {
        "number": freeze.number, "scope": str(freeze.scope), "target": freeze.target,
        "reason": freeze.reason, "by": freeze.by, "department": freeze.department,
        "capacity": freeze.capacity, "at": freeze.at.isoformat(),
        "ends": freeze.ends.isoformat() if freeze.ends else None, "drill": freeze.drill,
    }  # fmt: skip


def coming(act: PendingAct | None) -> Freeze | None:
    """Return the freeze that an act on its way into the log makes: what stops does not wait for its entry."""
    told = None if act is None else act.body.get("frozen")
    if not isinstance(told, Mapping):
        return None
    said = cast("Mapping[str, Any]", told)
    ends = said["ends"]
    return Freeze(
        said["number"], Scope(said["scope"]), said["target"], said["reason"], said["by"],
        said["department"], said["capacity"], datetime.fromisoformat(said["at"]),
        datetime.fromisoformat(ends) if ends else None, said["drill"],
    )  # fmt: skip


def row_of(freeze: Freeze, act: int) -> Change:
    """Return the change by which an act makes a freeze."""
    return Change("freezes", {
        "number": freeze.number, "scope": str(freeze.scope), "target": freeze.target,
        "reason": freeze.reason, "person": freeze.by, "department": freeze.department,
        "capacity": freeze.capacity, "at": freeze.at, "ends": freeze.ends,
        "drill": freeze.drill, "lifted_at": None, "act": act,
    })  # fmt: skip


# --- the acts -----------------------------------------------------------------------------------------------------


class Freezing:
    """The desk of stops.

    Attributes:
        desk: Brings acts into the log and into force.
        catalog: What exists.
    """

    def __init__(self, desk: Desk, catalog: Catalog) -> None:
        """Take the parts."""
        self.desk, self.catalog = desk, catalog

    def freeze(
        self,
        person: Subject,
        scope: Scope,
        target: str,
        reason: str,
        *,
        ends: datetime | None = None,
        drill: bool = False,
    ) -> Freeze:
        """Stop something at once, and return the stop.

        Args:
            person: Who stops it.
            scope: What kind of thing.
            target: Which; empty for the platform.
            reason: Why, for officers and the log.
            ends: When it ends by itself, aware; None until two people end it.
            drill: Record it and stop nothing.

        Raises:
            PolicyError: P004 not this person's to stop.
            QueryError: Q040 no reason, or an end that is past; Q041 there is no such thing.
            AuditError: As ``Desk.perform``.
        """
        _check_roles(person)
        role = may_freeze(person, scope, target, self.catalog)
        if role is None:
            raise PolicyError("P004", what=(f"freeze this {scope}", "实施该冻结"))
        check_target(scope, target, self.catalog)
        said, made = _said(reason), list[Freeze]()

        def decide(connection: Connection, act: int) -> Act:
            now = self.desk.clock.now()
            if ends is not None and ends <= now:
                raise QueryError("Q040", what=("the end is past", "结束时间已过"))
            number = next_number(connection, kept.freezes.c.number)
            one = Freeze(number, scope, target, said, person.id, person.department, role, now, ends, drill)  # fmt: skip
            made[:] = [one]
            body = {"action": "frozen", **_who(person), "frozen": written(one)}
            return Act(EVENT, body, (row_of(one, act),))

        self._performed(decide)
        return made[0]

    def _performed(self, decide: Decide) -> None:
        """Do the act; where another one is on its way into the log, wait for it: a stop is not refused for that."""
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                self.desk.perform(decide)
            except QueryError as error:
                if error.code != "Q042" or time.monotonic() > until:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return

    def unfreeze(self, person: Subject, number: int, reason: str) -> Standing:
        """Agree to the end of a freeze; it ends with the second of two people, of whom one is a security officer.

        Raises:
            PolicyError: P004 not one of those who may, or frozen himself.
            QueryError: Q040 no reason; Q041 no such freeze; Q042 it is over, or has this person's yes.
            AuditError: As ``Desk.perform``.
        """
        _check_roles(person)
        said = _said(reason)

        def decide(connection: Connection, act: int) -> Act:
            return self._agreed(connection, act, person, number, said)

        self.desk.perform(decide)
        with self.desk.store.reading() as connection:
            one, said_yes = kept.freeze(connection, number), kept.consents_of(connection, number)
        return _standing(one, said_yes, self.desk.clock.now())

    def listed(self, person: Subject) -> tuple[Standing, ...]:
        """Return the freezes that ``person`` may see, oldest first.

        Officers, the data bureau, auditors and system administrators see all; everybody else those that stop what is
        his or his department's.
        """
        with self.desk.store.reading() as connection:
            many, said_yes = kept.freezes_all(connection), kept.consents_all(connection)
        now = self.desk.clock.now()
        return tuple(
            _standing(each, tuple(one for one in said_yes if one.freeze == each.number), now)
            for each in many
            if self._sees(person, each)
        )

    def alerts(self, person: Subject) -> tuple[Alert, ...]:
        """Return every alert, oldest first.

        Raises:
            PolicyError: P004 neither a security officer nor an auditor.
        """
        if not person.roles & {Role.SECURITY_OFFICER, Role.AUDITOR}:
            raise PolicyError("P004", what=("see alerts", "查看告警"))
        with self.desk.store.reading() as connection:
            return kept.alerts_all(connection)

    def _sees(self, person: Subject, freeze: Freeze) -> bool:
        if person.roles & _WATCH or freeze.scope is Scope.PLATFORM:
            return True
        if freeze.scope is Scope.USER:
            return person_key(freeze.target) == person_key(person.id)
        return person.department in (
            freeze.target,
            _owner(freeze.scope, freeze.target, self.catalog),
        )

    def _agreed(
        self, connection: Connection, act: int, person: Subject, number: int, reason: str
    ) -> Act:
        now, one = self.desk.clock.now(), kept.freeze(connection, number)
        frozen = _frozen_people(connection, now)
        role = may_end(person, one, self.catalog)
        if role is None or person_key(person.id) in frozen:
            raise PolicyError("P004", what=(f"end freeze {number}", f"解除冻结 {number}"))
        before = kept.consents_of(connection, number)
        if not one.open(now):
            raise QueryError("Q042", what=(f"freeze {number} is over", f"冻结 {number} 已结束"))
        if any(person_key(each.person) == person_key(person.id) for each in before):
            raise QueryError("Q042", what=("this person has agreed already", "该人员已同意"))
        given = Consent(number, person.id, person.department, role, reason, now)
        count = valid((*before, given), frozen)
        lifted = ends_it(count.values())
        changes = [Change("freeze_consents", {
            "number": next_number(connection, kept.freeze_consents.c.number), "freeze": number,
            "person": person.id, "department": person.department, "capacity": str(role),
            "reason": reason, "at": now, "act": act,
        })]  # fmt: skip
        if lifted:
            changes.append(Change("freezes", {"lifted_at": now}, {"number": number}))
        body = {
            "action": "lifted" if lifted else "consented", **_who(person), "capacity": str(role),
            "reason": reason, "freeze": written(one),
            "people": [
                {"person": each.person, "department": each.department, "capacity": each.capacity}
                for each in count.values()
            ],
        }  # fmt: skip
        return Act(EVENT, body, tuple(changes))


def _frozen_people(connection: Connection, now: datetime) -> frozenset[str]:
    return frozenset(
        person_key(each.target)
        for each in kept.freezes_open(connection)
        if each.scope is Scope.USER and each.holds(now)
    )


def _standing(freeze: Freeze, consents: tuple[Consent, ...], now: datetime) -> Standing:
    over = "lifted" if freeze.lifted_at is not None else "ended"
    return Standing(freeze, consents, "open" if freeze.open(now) else over)


def _who(person: Subject) -> dict[str, object]:
    return {
        "subject": person.id, "department": person.department,
        "roles": sorted(str(role) for role in person.roles),
    }  # fmt: skip


def _said(reason: str) -> str:
    text = reason.strip()
    if not text:
        raise QueryError("Q040", what=("a reason is needed", "须说明理由"))
    sound = "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)
    if len(text) > _TEXT_MAX or not sound:
        what = (f"a text is at most {_TEXT_MAX} characters", f"文字至多 {_TEXT_MAX} 个字符")
        raise QueryError("Q040", what=what)
    return text


def _check_roles(person: Subject) -> None:
    """Refuse roles that no login may hold together, whatever let the person in.

    Raises:
        PolicyError: P004.
    """
    try:
        check_separation(person.roles)
    except QueryError as error:
        raise PolicyError("P004", what=error.parts["what"]) from None
