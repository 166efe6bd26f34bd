"""The life of a policy: proposed, approved or refused, published, rolled back; each act in the log before it counts.

A draft is a folder of YAML in any editor. ``propose`` takes its files as they are, checked and tested, against the
version in force; approvals are for exactly these files; ``publish`` checks, tests and compares once more. Whoever calls
has made sure who the person is: this module judges what the person may do.

Spec: docs/spec/policy-lifecycle.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from middleplatform.access.roles import person_key
from middleplatform.errors import ConfigError, PolicyError, QueryError
from middleplatform.governance.desk import Desk
from middleplatform.governance.diff import Difference, diff
from middleplatform.governance.examined import Examined, examined, loaded
from middleplatform.governance.four_eyes import (
    Required,
    capacity_of,
    check_officer,
    missing,
    required_approvals,
)
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Subject
from middleplatform.store import policies
from middleplatform.store.acts import Act, Change, PendingAct, next_number
from middleplatform.store.policies import Approval, Kind, Proposal, State, Version

__all__ = ["EVENT", "OPEN", "Lifecycle", "Standing", "Weighed"]

EVENT: Final = "policy"
OPEN: Final = frozenset({State.PROPOSED, State.APPROVED})
"""States in which a proposal can still become anything else."""

_TEXT_MAX = 2000


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force.

    Attributes:
        number: Of the version; 0 for the bundle that the settings name, while nothing was published.
        bundle: Its rules over this process's catalogue.
    """

    number: int
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Weighed:
    """A proposal against what is in force.

    Attributes:
        proposal: Which.
        difference: What it would change now.
        required: Approvals that this needs.
        missing: Those that are not there yet.
        approvals: Those that are there.
    """

    proposal: Proposal
    difference: Difference
    required: Required
    missing: Required
    approvals: tuple[Approval, ...]


class Lifecycle:
    """The acts, over one store.

    Attributes:
        desk: Brings acts into the log and into force.
        catalog: What exists, as this process knows it.
    """

    def __init__(self, desk: Desk, catalog: Catalog, configured: Bundle) -> None:
        """Take the parts.

        Args:
            desk: With the store.
            catalog: What exists.
            configured: What is in force while nothing was published.
        """
        self.desk, self.catalog = desk, catalog
        self._configured = configured
        self._known: tuple[str, Bundle] = ("", configured)
        desk.vouches.append(self._agrees)

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def configured(self) -> Bundle:
        """Return what is in force while nothing was published."""
        return self._configured

    def standing(self) -> Standing:
        """Return what is in force, laid over the catalogue.

        Raises:
            ConfigError: C001 the version no longer loads, e.g. since the catalogue is stricter now; C015.
        """
        with self.desk.store.reading() as connection:
            version = policies.in_force(connection)
            if version is None:
                return Standing(0, self._configured)
            content, bundle = self._known
            if content != version.content:
                bundle = loaded(policies.files_of(connection, version.content), self.catalog)
                self._known = (version.content, bundle)
            return Standing(version.number, bundle)

    def compared(self) -> Standing:
        """Return what a proposal is compared with: what is in force, or nothing at all where that no longer loads.

        So a version that the catalogue has outgrown can be replaced, with the approval of everybody whose data the
        new one opens.
        """
        try:
            return self.standing()
        except ConfigError as error:
            if error.code != "C001":
                raise
        with self.desk.store.reading() as connection:
            version = policies.in_force(connection)
        nothing = replace(
            self._configured, datasets={}, purposes={}, grants=(), templates={}, digest=""
        )
        return Standing(version.number if version else 0, nothing)

    def versions(self) -> tuple[Version, ...]:
        """Return every version, oldest first."""
        with self.desk.store.reading() as connection:
            return policies.versions_all(connection)

    def proposals(self) -> tuple[Proposal, ...]:
        """Return every proposal, oldest first."""
        with self.desk.store.reading() as connection:
            return policies.proposals_all(connection)

    def proposal(self, number: int) -> Proposal:
        """Return a proposal.

        Raises:
            QueryError: Q041.
        """
        with self.desk.store.reading() as connection:
            return policies.proposal(connection, number)

    def proposed(self, number: int) -> Mapping[str, str]:
        """Return a proposal's files as they were written.

        Raises:
            QueryError: Q041.
        """
        with self.desk.store.reading() as connection:
            return policies.files_of(connection, policies.proposal(connection, number).content)

    def files(self, version: int) -> Mapping[str, str]:
        """Return a version's files as they were written.

        Raises:
            QueryError: Q041.
        """
        with self.desk.store.reading() as connection:
            return policies.files_of(connection, policies.version(connection, version).content)

    def weigh(self, number: int) -> Weighed:
        """Return what a proposal would change now, and whose approval it has and needs.

        Raises:
            QueryError: Q041.
            ConfigError: C001 its files no longer load.
        """
        standing = self.compared()
        with self.desk.store.reading() as connection:
            proposal = policies.proposal(connection, number)
            approvals = policies.approvals_of(connection, number)
            files = policies.files_of(connection, proposal.content)
        new = loaded(files, self.catalog)
        difference = diff(standing.bundle, new, self.catalog, self.desk.clock.now())
        required = required_approvals(difference, standing.bundle, new)
        still = missing(required, proposal.author, approvals)
        return Weighed(proposal, difference, required, still, approvals)

    # --- acts ---------------------------------------------------------------------------------------------------

    def propose(self, person: Subject, files: Mapping[str, str], reason: str) -> int:
        """Propose the files of a bundle, and return the proposal's number.

        Args:
            person: A security officer, who will be the author.
            files: Text by name.
            reason: Why, for those who approve and for the log.

        Raises:
            PolicyError: P004.
            ConfigError: C001 check or test refuse the files.
            QueryError: Q040 no reason; Q042 nothing would change, or another version came into force meanwhile.
            AuditError: As ``Desk.perform``, which may refuse every act.
        """
        check_officer(person)
        return self._proposed(person, files, _said(reason), 0)

    def approve(self, person: Subject, number: int, comment: str = "") -> Weighed:
        """Say yes to a proposal, and return what it still needs.

        Raises:
            PolicyError: P004 not the person whose approval is needed.
            QueryError: Q041; Q042 it is closed, stale, or has this person's approval.
        """
        weighed = self.weigh(number)
        self._check_open(weighed.proposal)
        capacity = capacity_of(person, weighed.proposal.author, weighed.required)
        now = self.desk.clock.now()
        given = Approval(person.id, person.department, capacity, _comment(comment), now)

        def decide(connection: Connection, act: int) -> Act:
            proposal = self._open(connection, number)
            before = policies.approvals_of(connection, number)
            if any(person_key(each.person) == person_key(person.id) for each in before):
                what = ("this person has approved it", "该人员已批准")
                raise QueryError("Q042", what=what)
            still = missing(weighed.required, proposal.author, (*before, given))
            changes = [
                Change("approvals", {
                    "number": next_number(connection, policies.approvals.c.number),
                    "proposal": number, "person": person.id, "department": person.department,
                    "capacity": str(capacity), "comment": given.comment, "at": now, "act": act,
                })
            ]  # fmt: skip
            if not still:
                changes.append(_state(number, State.APPROVED))
            body = self._told(weighed.difference, weighed.required) | {
                "capacity": str(capacity),
                "comment": given.comment,
            }
            return _act("approved", person, proposal, body, changes)

        self.desk.perform(decide)
        with self.desk.store.reading() as connection:
            proposal = policies.proposal(connection, number)
            approvals = policies.approvals_of(connection, number)
        still = missing(weighed.required, proposal.author, approvals)
        return replace(weighed, proposal=proposal, missing=still, approvals=approvals)

    def reject(self, person: Subject, number: int, comment: str) -> None:
        """Say no to a proposal, for good.

        Raises:
            PolicyError: P004 not one whose approval it could need.
            QueryError: Q040 no comment; Q041; Q042 it is closed.
        """
        weighed = self.weigh(number)
        asked = Required(second_officer=True, owners=weighed.required.owners)
        capacity = capacity_of(person, weighed.proposal.author, asked)
        body = {"capacity": str(capacity)}
        self._close(person, number, State.REJECTED, _said(comment), body)

    def withdraw(self, person: Subject, number: int, comment: str = "") -> None:
        """Take back one's own proposal.

        Raises:
            PolicyError: P004 it is somebody else's.
            QueryError: Q041; Q042 it is closed.
        """
        check_officer(person)
        with self.desk.store.reading() as connection:
            author = policies.proposal(connection, number).author
        if person_key(person.id) != person_key(author):
            raise PolicyError("P004", what=("withdraw another's proposal", "撤回他人的提案"))
        self._close(person, number, State.WITHDRAWN, _comment(comment), {})

    def publish(self, person: Subject, number: int) -> int:
        """Bring a proposal into force, and return the version's number.

        Raises:
            PolicyError: P004 not a security officer.
            ConfigError: C001 check or test refuse its files.
            QueryError: Q041; Q042 it is closed, stale, or lacks approvals.
        """
        check_officer(person)
        tested = examined(self.proposed(number), self.catalog, self.desk.clock.now())
        weighed = self.weigh(number)
        self._check_open(weighed.proposal)
        made = 0

        def decide(connection: Connection, act: int) -> Act:
            nonlocal made
            proposal = self._open(connection, number)
            approvals = policies.approvals_of(connection, number)
            still = missing(weighed.required, proposal.author, approvals)
            if still:
                raise QueryError("Q042", what=_lacking(still))
            made = proposal.base + 1
            return self._publication(person, weighed, approvals, tested, act)

        self.desk.perform(decide)
        return made

    def roll_back(self, person: Subject, version: int, reason: str) -> tuple[int, int]:
        """Propose an earlier version's files again, and publish them at once if that needs nobody else.

        Returns:
            The proposal's number; the new version's, or 0 while approvals are missing.

        Raises:
            PolicyError: P004.
            ConfigError: C001 check or test refuse the files as things are today.
            QueryError: Q040 no reason; Q041; Q042 it is in force already.
        """
        check_officer(person)
        number = self._proposed(person, self.files(version), _said(reason), version)
        if self.weigh(number).missing:
            return number, 0
        return number, self.publish(person, number)

    # --- how ----------------------------------------------------------------------------------------------------

    def _proposed(
        self, person: Subject, files: Mapping[str, str], reason: str, restores: int
    ) -> int:
        now = self.desk.clock.now()
        tested = examined(files, self.catalog, now)
        new, standing = tested.bundle, self.compared()
        difference = diff(standing.bundle, new, self.catalog, now)
        required = required_approvals(difference, standing.bundle, new)
        made = 0

        def decide(connection: Connection, act: int) -> Act:
            nonlocal made
            base = policies.in_force(connection)
            if (base.number if base else 0) != standing.number:
                raise QueryError("Q042", what=_STALE)
            if base is not None and base.content == policies.content_digest(files):
                what = ("these files are in force already", "这些文件已经生效")
                raise QueryError("Q042", what=what)
            made = next_number(connection, policies.proposals.c.number)
            row = {
                "number": made, "kind": str(Kind.ROLLBACK if restores else Kind.PUBLISH),
                "state": str(State.PROPOSED), "author": person.id,
                "department": person.department, "reason": reason,
                "content": policies.keep(connection, files, now), "digest": new.digest,
                "bundle": new.name, "label": new.version, "base": standing.number,
                "base_digest": standing.bundle.digest, "restores": restores, "at": now,
                "closed_by": "", "comment": "", "act": act,
            }  # fmt: skip
            told = {name: row[name] for name in ("content", "digest", "bundle", "label", "base")}
            body = self._told(difference, required) | told | {
                "proposal": made, "kind": row["kind"], "restores": restores,
                "base_digest": standing.bundle.digest, "reason": reason, "passed": tested.passed,
            }  # fmt: skip
            return Act(EVENT, _who("proposed", person) | body, (Change("proposals", row),))

        self.desk.perform(decide)
        return made

    def _publication(
        self,
        person: Subject,
        weighed: Weighed,
        approvals: tuple[Approval, ...],
        tested: Examined,
        act: int,
    ) -> Act:
        proposal, now = weighed.proposal, self.desk.clock.now()
        version = {
            "number": proposal.base + 1, "kind": str(proposal.kind), "proposal": proposal.number,
            "content": proposal.content, "digest": tested.bundle.digest,
            "bundle": proposal.bundle, "label": proposal.label, "predecessor": proposal.base,
            "restores": proposal.restores, "published_by": person.id, "at": now, "act": act,
        }  # fmt: skip
        closed = _state(proposal.number, State.PUBLISHED, person.id, now)
        body = self._told(weighed.difference, weighed.required) | {
            "version": proposal.base + 1, "predecessor": proposal.base,
            "digest": tested.bundle.digest, "passed": tested.passed,
            "approvals": [
                {"person": each.person, "department": each.department,
                 "capacity": str(each.capacity)}
                for each in approvals
            ],
        }  # fmt: skip
        action = "rolled_back" if proposal.kind is Kind.ROLLBACK else "published"
        changes = [Change("policy_versions", version), closed]
        return _act(action, person, proposal, body, changes)

    def _close(
        self, person: Subject, number: int, state: State, comment: str, more: Mapping[str, object]
    ) -> None:
        def decide(connection: Connection, _: int) -> Act:
            proposal = policies.proposal(connection, number)
            self._check_state(proposal)
            now = self.desk.clock.now()
            closed = _state(number, state, person.id, now, comment)
            return _act(str(state), person, proposal, {**more, "comment": comment}, [closed])

        self.desk.perform(decide)

    def _told(self, difference: Difference, required: Required) -> dict[str, object]:
        return {
            "loosened": difference.loosened, "tightened": difference.tightened,
            "second_officer": required.second_officer, "owners": sorted(required.owners),
            "against": difference.old, "catalog_digest": self.catalog.digest,
        }  # fmt: skip

    def _agrees(self, act: PendingAct) -> bool:
        """Say whether an act, maybe another process's, was judged against this catalogue and this policy."""
        if act.event != EVENT or "against" not in act.body:
            return True
        known = (self.compared().bundle.digest, self.catalog.digest)
        return (act.body["against"], act.body.get("catalog_digest")) == known

    def _open(self, connection: Connection, number: int) -> Proposal:
        """Return a proposal that can still come into force as it is."""
        proposal = policies.proposal(connection, number)
        self._check_state(proposal)
        base = policies.in_force(connection)
        if proposal.base != (base.number if base else 0):
            raise QueryError("Q042", what=_STALE)
        return proposal

    def _check_open(self, proposal: Proposal) -> None:
        """Refuse early what ``_open`` refuses within the transaction, before anything is worked out."""
        with self.desk.store.reading() as connection:
            self._open(connection, proposal.number)
        if proposal.base == 0 and proposal.base_digest != self._configured.digest:
            raise QueryError("Q042", what=_STALE)

    @staticmethod
    def _check_state(proposal: Proposal) -> None:
        if proposal.state not in OPEN:
            what = (f"proposal {proposal.number} is {proposal.state}",
                    f"提案 {proposal.number} 的状态为 {proposal.state}")  # fmt: skip
            raise QueryError("Q042", what=what)


_STALE = (
    "another policy is in force than the one it was made against: propose it again",
    "提案所依据的策略已不再生效：请重新提出",
)


def _lacking(still: Required) -> tuple[str, str]:
    english = ["a second security officer"] if still.second_officer else []
    chinese = ["另一名安全员"] if still.second_officer else []
    english += [f"a steward of {name}" for name in sorted(still.owners)]
    chinese += [f"{name} 的数据管理员" for name in sorted(still.owners)]
    return (
        f"it loosens, and lacks the approval of {', '.join(english)}",
        f"提案有所放宽，尚缺批准：{'、'.join(chinese)}",
    )


def _said(text: str) -> str:
    if not text.strip():
        raise QueryError("Q040", what=("a reason is needed", "须说明理由"))
    return _comment(text)


def _comment(text: str) -> str:
    text = text.strip()
    sound = "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)
    if len(text) > _TEXT_MAX or not sound:
        what = (f"a text is at most {_TEXT_MAX} characters", f"文字至多 {_TEXT_MAX} 个字符")
        raise QueryError("Q040", what=what)
    return text


def _state(number: int, state: State, by: str = "", at: object = None, comment: str = "") -> Change:
    closed = {"closed_by": by, "closed_at": at, "comment": comment} if by else {}
    return Change("proposals", {"state": str(state), **closed}, {"number": number})


def _who(action: str, person: Subject) -> dict[str, object]:
    return {
        "action": action, "subject": person.id, "department": person.department,
        "roles": sorted(str(role) for role in person.roles),
    }  # fmt: skip


def _act(
    action: str,
    person: Subject,
    proposal: Proposal,
    body: Mapping[str, object],
    changes: list[Change],
) -> Act:
    named = {
        "proposal": proposal.number, "kind": str(proposal.kind), "author": proposal.author,
        "content": proposal.content, "digest": proposal.digest, "base": proposal.base,
        "bundle": proposal.bundle, "label": proposal.label, "restores": proposal.restores,
    }  # fmt: skip
    return Act(EVENT, {**named, **_who(action, person), **body}, tuple(changes))
