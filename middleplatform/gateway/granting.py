"""What people give, take and stop while the gateway runs: looked at when a question starts, and again at its release.

Spec: docs/spec/grants.md, "In force"; docs/spec/freezes.md, "What a freeze does".
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from middleplatform.audit.log import AuditLog
from middleplatform.authorization.refusals import refusal
from middleplatform.errors import ConfigError
from middleplatform.gateway.approved import still
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision, Reason
from middleplatform.model.freeze import Freeze, Scope
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.record import AuditRecord, Receipt
from middleplatform.model.request import QueryRequest, person_key
from middleplatform.policy import evaluate
from middleplatform.ports import Clock
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

__all__ = ["Grants", "InForce", "Leaving", "PublishedOnly", "check_open", "qualified"]


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds at a moment.

    Attributes:
        bundle: The policy with the grants that hold.
        freezes: The freezes that hold; None where nobody can know: then nothing is answered.
    """

    bundle: Bundle
    freezes: tuple[Freeze, ...] | None


class Grants(Protocol):
    """Knows which grants are in force beside, or instead of, those that a bundle says, and what is stopped."""

    @property
    def entering(self) -> AbstractContextManager[object]:
        """Return what is held from the last look until a release is on its way into the log."""

    def opening(self, bundle: Bundle, now: datetime) -> InForce:
        """Return what is in force for a question that begins."""

    def in_force(self, bundle: Bundle, now: datetime) -> InForce:
        """Return what is in force; doing it again at a later moment forgets the earlier."""


class PublishedOnly:
    """A platform without applications and freezes: what the bundle says is all."""

    entering = nullcontext()

    def opening(self, bundle: Bundle, now: datetime) -> InForce:
        """Return ``bundle``."""
        return self.in_force(bundle, now)

    def in_force(self, bundle: Bundle, now: datetime) -> InForce:
        """Return ``bundle``."""
        del now
        return InForce(bundle, ())


@dataclass(frozen=True, slots=True)
class Leaving:
    """The last look: between it and the entry of the release nothing can come into the log.

    Attributes:
        grants: Those of this moment.
        bundle: Under which the question was asked.
        catalog: What exists.
        clock: Time.
        audit: Takes the entry.
        published: Returns the policy in force; None where that is ``bundle``.
    """

    grants: Grants
    bundle: Bundle
    catalog: Catalog
    clock: Clock
    audit: AuditLog
    published: Callable[[], Bundle] | None = None

    def enter(
        self, request: QueryRequest, decision: Decision, datasets: Iterable[str], entry: AuditRecord
    ) -> "Future[Receipt]":
        """Queue the entry of a release that nothing has stopped meanwhile.

        Args:
            request: The question.
            decision: Under which the answer was made.
            datasets: That it reads.
            entry: That it is about to leave.

        Raises:
            PolicyError: P003 by rule G1; P007.
            ConfigError: C015 nobody can know what is stopped.
            AuditError: As ``AuditLog.submit``.
        """
        with self.grants.entering:
            now = self.clock.now()
            found = self.grants.in_force(self.bundle, now)
            check_open(found.freezes, request, self.catalog, datasets)
            current = found.bundle if self.published is None else self.published()
            _check_held(decision, request, (found.bundle, current), now)
            return self.audit.submit(entry)


def qualified(
    request: QueryRequest, freezes: tuple[Freeze, ...] | None, bundle: Bundle, catalog: Catalog
) -> QualifiedQuery:
    """Parse and qualify a statement, unless who asks or what it reads is stopped.

    Raises:
        PolicyError: P007.
        ConfigError: C015 nobody can know what is stopped.
        QueryError: As ``parse`` and ``qualify``.
    """
    check_open(freezes, request, catalog)
    query = qualify(parse(request.sql, bundle.limits), catalog)
    check_open(freezes, request, catalog, query.facts.datasets)
    return query


def check_open(
    freezes: tuple[Freeze, ...] | None,
    request: QueryRequest,
    catalog: Catalog,
    datasets: Iterable[str] = (),
) -> None:
    """Refuse a question that a freeze stops; what is said is made of the question and the freeze's scope alone.

    A department that is stopped asks nothing, receives nothing, and nothing of its data is used.

    Args:
        freezes: Those that hold; None where nobody can know.
        request: The question.
        catalog: Whose a dataset is.
        datasets: That the statement reads, once that is known.

    Raises:
        PolicyError: P007 by rule F1.
        ConfigError: C015 nobody can know what is stopped.
    """
    if freezes is None:
        raise ConfigError("C015", what=("nobody can know what is frozen", "无法确认冻结状态"))
    if not freezes:
        return
    names = frozenset(datasets)
    held = {
        name
        for each in names & catalog.datasets.keys()
        for name in (catalog.datasets[each].owner, *catalog.datasets[each].held_by)
    }
    departments = held | {request.subject.department, request.recipient}
    touched = {
        Scope.PLATFORM: frozenset({""}),
        Scope.USER: frozenset({person_key(request.subject.id)}),
        Scope.PROJECT: frozenset({request.project}),
        Scope.DEPARTMENT: frozenset(departments),
        Scope.DATASET: names,
    }
    for each in freezes:
        target = person_key(each.target) if each.scope is Scope.USER else each.target
        if target in touched[each.scope]:
            raise refusal((Reason("F1", _what(each), hint=_HINT),))


_NAMES = {
    Scope.PLATFORM: ("the platform is frozen", "平台已冻结"),
    Scope.USER: ("this login is frozen", "当前账号已冻结"),
    Scope.PROJECT: ("project {} is frozen", "项目 {} 已冻结"),
    Scope.DEPARTMENT: ("department {} is frozen", "部门 {} 已冻结"),
    Scope.DATASET: ("dataset {} is frozen", "数据集 {} 已冻结"),
}
_HINT = ("Ask the security officers.", "请联系安全管理员。")


def _what(freeze: Freeze) -> tuple[str, str]:
    english, chinese = _NAMES[freeze.scope]
    number = f" (freeze {freeze.number})", f"（冻结 {freeze.number}）"
    return english.format(freeze.target) + number[0], chinese.format(freeze.target) + number[1]


def _check_held(
    decision: Decision, request: QueryRequest, bundles: tuple[Bundle, Bundle], now: datetime
) -> None:
    """Refuse an answer that rests on a grant which was stopped, or has ended, while it was worked on.

    Another grant in its place does not count: it could be of other regions. A template counts as it was asked: one that
    was taken out of the policy meanwhile, or changed, does not.

    Args:
        decision: Under which the answer was made.
        request: The question.
        bundles: The question's policy with the grants of this moment, and the policy in force.
        now: This moment.

    Raises:
        PolicyError: P003 by rule G1.
    """
    joined, subject, purpose = bundles[0], request.subject, request.purpose
    active = {grant.id for grant in evaluate.active_grants(joined, subject, purpose, now)}
    if set(decision.grants) <= active.union(still(decision, subject, purpose, bundles, now)):
        return
    what = (
        "a grant that the question rests on was stopped or has ended meanwhile",
        "查询所依据的授权已在处理过程中被停止或到期",
    )
    hint = ("Apply to the data owner for a grant.", "请向数据提供部门申请授权。")
    raise refusal((Reason("G1", what, policy_version=joined.version, hint=hint),))
