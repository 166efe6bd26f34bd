"""One object for every face: who got what, usage, figures, reports, findings, the public page, tickets.

Takes a log, a store, a catalogue, a policy and the rules; gives plain frozen values. What a person may see is decided
here, so that a command, a route and a page cannot differ.

Spec: docs/spec/accountability.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from middleplatform.accountability import conduct, inspection, transparency, usage
from middleplatform.accountability.approved import approved, configured, templates
from middleplatform.accountability.assets import AssetState, asset_states
from middleplatform.accountability.disposal import write_note
from middleplatform.accountability.figures import STALE_DAYS, Figures, cases, figures
from middleplatform.accountability.periods import Period, month
from middleplatform.accountability.report import (
    Approval,
    Circumstances,
    Decided,
    Report,
    decided,
    make,
)
from middleplatform.accountability.ticket_desk import TicketDesk, tickets
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.reader import LogView
from middleplatform.audit.search import ReleaseQuery, Usage
from middleplatform.errors import ConfigError, PolicyError, QueryError
from middleplatform.governance.desk import Desk
from middleplatform.governance.terms import Rules
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Role, Subject, same_person
from middleplatform.policy.sources import merge
from middleplatform.policy.written import Written
from middleplatform.ports import Clock
from middleplatform.store.database import Store
from middleplatform.store.policies import files_of, versions_all

__all__ = ["Accounts"]

_WATCH = frozenset({Role.AUDITOR, Role.DATA_BUREAU, Role.SECURITY_OFFICER})


@dataclass(frozen=True, slots=True)
class Accounts:
    """What can be accounted for.

    Attributes:
        log: The audit log, read only or not.
        store: Applications, policies and tickets.
        catalog: What exists.
        bundle: Policy in force.
        rules: Deadlines and working days.
        clock: Time.
    """

    log: LogView
    store: Store
    catalog: Catalog
    bundle: Bundle
    rules: Rules
    clock: Clock

    # --- who may ------------------------------------------------------------------------------------------------

    def check_watcher(self, who: Subject) -> None:
        """Refuse whoever is neither auditor, data bureau nor security officer.

        Raises:
            PolicyError: P004.
        """
        if not _WATCH & who.roles:
            raise PolicyError("P004", what=("see other departments' records", "查看其他部门的记录"))

    def check_department(self, who: Subject, department: str) -> None:
        """Refuse whoever is neither a watcher nor the steward of ``department``.

        Raises:
            PolicyError: P004.
        """
        if Role.DEPARTMENT_STEWARD not in who.roles or who.department != department:
            self.check_watcher(who)

    # --- who got what -------------------------------------------------------------------------------------------

    def who_got_what(self, query: ReleaseQuery, incident: int | None = None) -> tuple[Usage, ...]:
        """Return every release that a query or an incident is about, oldest first.

        Raises:
            QueryError: Q040 the entry is no incident.
            AuditError: A004 there is no such entry.
        """
        return usage.who_got_what(self.log, query, incident)

    def usage_records(
        self, department: str, role: str, window: ReleaseQuery | None = None
    ) -> tuple[usage.UsageRecord, ...]:
        """Return the usage records of a department, as ``"provider"`` or ``"user"``."""
        kind = usage.provided if role == "provider" else usage.used
        found = kind(self.log, department, self.catalog, self.approvals(), window)
        known = usage.with_templates(self.log, found, cache(self.templates))
        return usage.with_notes(self.log, known)

    def note_usage(self, desk: Desk, release: int, said: Mapping[str, str], who: Subject) -> None:
        """Have a user write down effect, storage or disposal of an answer; as ``disposal.write_note``.

        Raises:
            MiddleplatformError: As ``write_note`` refuses.
        """
        write_note(desk, self.log, release, said, who)

    def retention_years(self) -> int:
        """Return how long usage records are kept: as long as the log, by the regulation at least."""
        kept = self.rules.regulation.retention.get("usage_record")
        return max(self.log.retention_years, kept.years if kept else 0)

    # --- figures ------------------------------------------------------------------------------------------------

    def figures(
        self, period: Period | None = None, stale_days: int = STALE_DAYS
    ) -> tuple[Figures, ...]:
        """Return the figures of every provider."""
        now = self.clock.now()
        with self.store.reading() as connection:
            return figures(connection, self.catalog, self.rules, now, period, stale_days)

    def findings(self, period: Period | None = None) -> tuple[conduct.Finding, ...]:
        """Return every duty that was not met."""
        span, now = period or Period(), self.clock.now()
        refusals = conduct.beyond(self.log)
        with self.store.reading() as connection:
            known, complaints = cases(connection), tickets(connection)
        return conduct.findings(
            known, complaints, refusals, self.figures(span), self.rules, now, span
        )  # fmt: skip

    def inspection(self, holders: inspection.Holders) -> tuple[inspection.Check, ...]:
        """Return the checklist of an inspection.

        Args:
            holders: Login and roles of every token, or session, that lets somebody in now.
        """
        with self.store.reading() as connection:
            known, complaints = cases(connection), tickets(connection)
        return (
            *inspection.of_duties(holders),
            *inspection.of_log(self.log, self.retention_years()),
            *inspection.of_terms(known, complaints, self.figures(), self.rules, self.clock.now()),
        )

    def assets(self, names: Iterable[str] | None = None) -> tuple[AssetState, ...]:
        """Return how datasets stand by the tickets about them; all unless named."""
        with self.store.reading() as connection:
            found = tickets(connection)
        return asset_states(self.catalog.datasets if names is None else names, found)

    # --- reports ------------------------------------------------------------------------------------------------

    def report(
        self,
        wanted: str,
        signer: CheckpointSigner,
        who: Subject | None = None,
        size: int | None = None,
    ) -> Report:
        """Return the signed report of a decision.

        Args:
            wanted: Id of the query, or the leaf index of one of its entries.
            signer: The log's key.
            who: Whose request it is; None for the operator, who reads the log itself.
            size: Of the checkpoint that the proofs lead to; the newest unless given.

        Raises:
            QueryError: Q041 there is no such decision that ``who`` may see.
            AuditError: A004 no checkpoint of that size covers it.
        """
        found = decided(self.log, wanted)
        if who is not None and not self._concerned(found, who):
            what = (f"decision {wanted} in the log", f"日志中的决定 {wanted}")
            raise QueryError("Q041", what=what)
        under = str(found.end.record.body.get("policy_digest", ""))
        known = {**self.approvals(), **self.templates(under)}
        around = Circumstances(self.catalog, self.versions(), known)
        return make(self.log, found, around, signer, self.clock.now(), size=size)

    def _concerned(self, found: Decided, who: Subject) -> bool:
        """Say whether ``who`` watches, asked, is the steward of a side, or received the answer.

        Who asked did so for a department: a person who has gone to another one left its answers there.
        """
        body = found.end.record.body
        asked = same_person(str(body.get("subject", "")), who.id)
        if _WATCH & who.roles or (asked and body.get("department") == who.department):
            return True
        used = body.get("datasets")
        names = used if isinstance(used, list) else []
        sides = {
            self.catalog.datasets[name].owner for name in names if name in self.catalog.datasets
        }
        sides |= {str(body.get(name, "")) for name in ("department", "recipient")} - {""}
        return Role.DEPARTMENT_STEWARD in who.roles and who.department in sides

    def versions(self) -> Mapping[str, tuple[int, str]]:
        """Return (number, label) of each policy that is known, by digest."""
        found = {self.bundle.digest: (0, self.bundle.version)}
        with self.store.reading() as connection:
            found |= {each.digest: (each.number, each.label) for each in versions_all(connection)}
        return found

    def approvals(self) -> Mapping[str, Approval]:
        """Return each grant that is known, by id: of applications, and of the policy in force."""
        found = {each.grant: each for each in configured(self.bundle)}
        with self.store.reading() as connection:
            known = cases(connection)
        return found | {each.grant: each for case in known for each in approved(case)}

    def templates(self, policy: str) -> Mapping[str, Approval]:
        """Return the templates of the policy of this digest, by number, as that policy said them.

        Nothing where the policy is not known, or its files are none today: then nobody can say what it said.
        """
        raw = self.bundle.raw
        if policy != self.bundle.digest:
            with self.store.reading() as connection:
                known = [each for each in versions_all(connection) if each.digest == policy]
                files = files_of(connection, known[-1].content) if known else {}
            try:
                raw = merge(Written("bundle", files)).value if files else {}
            except ConfigError:
                raw = {}
        return {each.grant: each for each in templates(raw)}

    # --- for the public -----------------------------------------------------------------------------------------

    def transparency(self, said: str = "") -> transparency.Transparency:
        """Return the public page of a month that is over, ``"2026-10"``; the last one unless said.

        Raises:
            QueryError: Q040 it is no month, or not over.
        """
        period = month(said, self.clock.now())
        assert period.start is not None, "a month has a beginning"
        name = said or f"{period.start.astimezone(SHANGHAI):%Y-%m}"
        entries = () if self._before_the_log(period) else self.log.entries()
        found = transparency.counted(entries, period, self.catalog)
        with self.store.reading() as connection:
            return transparency.published(
                found, connection, period, self.catalog, self.bundle, name
            )  # fmt: skip

    def _before_the_log(self, period: Period) -> bool:
        """Say whether a period was over when the log began: anybody may ask for any month, and the log is long."""
        first = self.log.entry(0).at if self.log.size else None
        return first is not None and period.stop is not None and period.stop <= first

    # --- tickets ------------------------------------------------------------------------------------------------

    def tickets(self, desk: Desk) -> TicketDesk:
        """Return the desk of tickets over ``desk``."""
        return TicketDesk(desk, self.catalog, self.rules, self.log.entry)

    def now(self) -> datetime:
        """Return the present moment."""
        return self.clock.now()
