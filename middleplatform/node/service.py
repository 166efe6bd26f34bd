"""A department's node: takes signed fragments, checks them against its own bundle, answers what may leave.

Spec: docs/spec/node.md.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from threading import Event

import pyarrow as pa

from middleplatform.authorization.authorize import Asking
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.crypto.used_rounds import UsedRounds
from middleplatform.disclosure.disclose import Marks, disclose, small_cells
from middleplatform.disclosure.evidence import Flags
from middleplatform.disclosure.groups import single_sensitive
from middleplatform.errors import ConfigError, MiddleplatformError, ProtocolError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.ledger.history import History
from middleplatform.model.budget import Balance
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.join import JoinPlan
from middleplatform.model.plan import Fragment, Layout
from middleplatform.model.policy import Bundle
from middleplatform.model.query import CellQuery, QueryFacts
from middleplatform.model.result import PartialResult
from middleplatform.node.budgets import balances
from middleplatform.node.held_policies import Held, HeldPolicies, Rules, with_template
from middleplatform.node.journal import Journal
from middleplatform.node.judging import decoded, judged
from middleplatform.node.measure import Measured, Source, Sources
from middleplatform.node.noisy_answers import NoisyAnswers
from middleplatform.node.overlap import Memory, Overlap
from middleplatform.node.perturbed import perturbed
from middleplatform.node.private import Private, Question, check_noise, noisy_cells
from middleplatform.node.release import released_cells, sensitive_dimensions, sensitivity
from middleplatform.node.remembered import Given, GivenAnswers
from middleplatform.node.sealed_keys import KnownKeys
from middleplatform.node.sealed_release import sealed_cells, signed, without_words
from middleplatform.node.served import ServedFragments
from middleplatform.node.units import UnitNumbers
from middleplatform.planner.join_plan import join_plan
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.planner.rewrite import apply_obligations
from middleplatform.planner.side_statement import check_side
from middleplatform.ports import Clock, Rng
from middleplatform.sql.render import fragment as text_of
from middleplatform.wire.tables import digest_of, encode_table, sealed_digest

__all__ = ["CLOCK_TOLERANCE_S", "GATEWAY", "KEY_HOLDER", "Node", "Task"]

GATEWAY = "gateway"
KEY_HOLDER = "keyholder"
"""The party that removes the masks of private joins where the platform has one; it holds no data."""
CLOCK_TOLERANCE_S = 300
"""Seconds by which the gateway's clock may differ, unless the node's settings say otherwise."""
_SIGNED_AS = "fragment"


@dataclass(frozen=True)
class Task:
    """A fragment that this node has checked and may run.

    Attributes:
        fragment: As signed.
        cell: As read from its text, the node's own row filters added.
        layout: Of its words.
        decision: Of the node's own bundle.
        facts: Of its text.
        rules: By which it was judged; none of a later version touches it.
        held: Whose rules these are.
        join: How the sides of a private join are put together; None for the other protocols.
        key: The recipient's key under which words leave; None for a plain release.
    """

    fragment: Fragment
    cell: CellQuery
    layout: Layout
    decision: Decision
    facts: QueryFacts
    rules: Rules
    held: Held | None = None
    join: JoinPlan | None = None
    key: SealingKey | None = None

    @property
    def bundle(self) -> Bundle:
        """Return the rules that are enforced.

        Reveals:
            Nothing.
        """
        return self.rules.merged

    @cached_property
    def text(self) -> str:
        """Return the statement as it is run, the node's own row filters in it.

        Reveals:
            Nothing.
        """
        return text_of(self.cell)


@dataclass
class Node:
    """One department's node.

    Attributes:
        department: Its code.
        source: Its connector.
        catalog: Its own copy.
        bundle: What it enforces now: the stricter of its own copy and what was published.
        identity: Its key.
        pins: Identity keys of the gateway (``GATEWAY``) and of the other departments.
        history: What it has released.
        used: Rounds that it has taken part in.
        served: Fragments that it has taken.
        journal: Its own log.
        clock: For grants.
        rng: For exchange keys.
        tolerance_s: Seconds by which the gateway's clock may differ.
        given: Answers that may be given again.
        keys: Recipients' keys.
        budget: What differentially private answers have spent.
        noisy: What they said.
        policies: Published versions and the grants of the moment; None where none can come.
    """

    department: str
    source: Source | Sources
    catalog: Catalog
    bundle: Bundle
    identity: IdentityKey
    pins: PinnedKeys
    history: History
    used: UsedRounds
    served: ServedFragments
    journal: Journal
    clock: Clock
    rng: Rng
    tolerance_s: int = CLOCK_TOLERANCE_S
    given: GivenAnswers = field(default_factory=lambda: GivenAnswers(0))
    keys: KnownKeys = field(default_factory=KnownKeys)
    budget: BudgetLedger = field(default_factory=lambda: BudgetLedger(None))
    noisy: NoisyAnswers = field(default_factory=lambda: NoisyAnswers(None))
    policies: HeldPolicies | None = None
    _memory: Memory = field(default_factory=Memory)

    # --- policy ---------------------------------------------------------------------------------------------------

    def take_policy(self, raw: bytes, signature: bytes) -> bool:
        """Take a version of the policy: see ``held_policies.HeldPolicies.take``. What is under way keeps its own.

        Reveals:
            To the gateway: whether it is refused.
        """
        assert self.policies is not None, "a node that takes policies"
        new = self.policies.take(raw, signature)
        if new and self.policies.newest is not None:
            self.bundle = self.policies.newest.rules.merged
        return new

    def take_grants(self, raw: bytes, signature: bytes) -> bool:
        """Take the grants of a moment: see ``held_policies.HeldPolicies.take_grants``.

        Reveals:
            To the gateway: whether they are refused.
        """
        assert self.policies is not None, "a node that takes policies"
        return self.policies.take_grants(raw, signature)

    def rules(self, fragment: Fragment | None = None) -> tuple[Rules, Held | None]:
        """Return the rules of the version that a question began under, or of the newest one.

        Raises:
            ProtocolError: X003 the version is unknown here, or too old by now.

        Reveals:
            To the gateway: that.
        """
        if self.policies is None:
            return Rules(self.bundle, self.bundle), None
        policies = self.policies
        held = policies.newest if fragment is None else policies.find(fragment.policy_digest)
        if held is None:
            raise self._refusal("R0", "a policy that this node does not have, or no longer")
        return policies.rules(held), held

    # --- checking -------------------------------------------------------------------------------------------------

    def accept(self, raw: bytes, signature: bytes, protocol: str) -> Task:
        """Check a fragment: signature, form, number, department, and every fact by this node's own bundle.

        Raises:
            ProtocolError: X001 not signed by the gateway or malformed, X002 served before, X003 refused by policy.

        Reveals:
            To the gateway: which rule refuses.
        """
        task = self.checked(raw, signature, protocol)
        if protocol != "local":
            self.journal.taken(task.fragment, task.bundle.digest)
        return task

    def checked(self, raw: bytes, signature: bytes, protocol: str) -> Task:
        """Check a fragment as ``accept`` does, and enter refusals only: who goes on enters that it was taken.

        Raises:
            ProtocolError: As ``accept``.

        Reveals:
            As ``accept``.
        """
        fragment: Fragment | None = None
        try:
            self.pins.verify(GATEWAY, _SIGNED_AS, raw, signature)
            fragment = decoded(raw)
            task = self._read(fragment, protocol)
        except Exception as error:
            told = (
                error if isinstance(error, MiddleplatformError) else ConfigError("C099", record="-")
            )
            if fragment is None:
                digest = sha256(raw).hexdigest()
                entry = self.journal.refused(
                    None, told.code, policy_digest=self.bundle.digest, digest=digest
                )
            else:
                entry = self.journal.ended(fragment, told, self.bundle.digest)
            told.audit_index = entry.index
            raise
        return task

    def _read(self, fragment: Fragment, protocol: str) -> Task:
        try:
            return self._checked(fragment, protocol)
        except RecursionError:
            raise self._refusal("R0", "a fragment nested too deep") from None

    def _checked(self, fragment: Fragment, protocol: str) -> Task:
        self._timely(fragment)
        if (
            fragment.department != self.department
            or fragment.protocol != protocol
            or self.department not in fragment.cohort
        ):
            raise ProtocolError("X001", detail="a fragment for somebody else")
        if protocol == "local" and fragment.cohort != (self.department,):
            raise ProtocolError("X001", detail="a local fragment with a cohort")
        if self.department == KEY_HOLDER and protocol != "private_join":
            raise ProtocolError("X001", detail="a key holder takes part in private joins only")
        rules, held = self.rules(fragment)
        self.served.claim(fragment)
        cell, decision, facts = self._authorized(fragment, rules)
        if protocol != "local" and fragment.policy_digest != rules.document.digest:
            raise self._refusal("R0", "a round under another policy than this node's")
        if protocol == "secure_sum" and fragment.sealed_for and decision.disclosure.keyed:
            raise self._refusal("R5", "a sealed sum of data that is perturbed")
        layout = layout_of(cell, self.catalog)
        check_noise(fragment, decision.disclosure, cell, layout, rules.each)
        join = (
            self._joined(fragment, cell, layout, decision, rules)
            if protocol == "private_join"
            else None
        )
        key = self.keys.find(fragment.sealed_for) if fragment.sealed_for else None
        return Task(fragment, cell, layout, decision, facts, rules, held, join, key)

    def _joined(
        self, fragment: Fragment, cell: CellQuery, layout: Layout, decision: Decision, rules: Rules
    ) -> JoinPlan:
        """Return how this node itself would have the block joined; its own part in it must be the one it has."""
        sealed = bool(fragment.sealed_for)
        try:
            plan, *others = [
                join_plan(cell, layout, self.catalog, bundle, decision.disclosure, sealed=sealed)
                for bundle in rules.each
            ]
        except MiddleplatformError as error:
            raise self._refusal(error.rule or "R10", error.public_message) from None
        if any(each != plan for each in others):
            raise self._refusal("R10", "a join that the department's own policy has otherwise")
        extra = set(fragment.cohort) - set(plan.departments)
        if not extra <= {KEY_HOLDER} or fragment.cohort != tuple(
            sorted({*plan.departments, *extra})
        ):
            raise self._refusal("R10", "a cohort other than who holds the tables")
        if KEY_HOLDER in self.pins.names and not extra:
            # A gateway that lies could choose a partner department as the helper, and learn more together with it.
            raise self._refusal("R10", "a private join without the platform's key holder")
        if self.department != KEY_HOLDER:
            check_side(plan, self.department, self.catalog)
        elif KEY_HOLDER in plan.departments:
            raise self._refusal("R10", "a key holder with data of its own")
        return plan

    def _timely(self, fragment: Fragment) -> None:
        """Refuse a fragment of another time: grants are judged by this node's clock."""
        try:
            issued = datetime.fromisoformat(fragment.issued_at)
            far = abs(self.clock.now() - issued) > timedelta(seconds=self.tolerance_s)
        except (ValueError, TypeError):
            raise ProtocolError("X001", detail="a fragment without a moment") from None
        if far:
            raise ProtocolError("X005", department=self.department, limit=self.tolerance_s)

    def _authorized(
        self, fragment: Fragment, rules: Rules, *, inside: bool = False
    ) -> tuple[CellQuery, Decision, QueryFacts]:
        try:
            cell, facts = read_fragment(fragment.sql, self.catalog)
        except MiddleplatformError as error:
            raise self._refusal(error.rule or "R0", error.public_message) from None
        asking = Asking(
            fragment.subject,
            fragment.purpose,
            self.clock.now(),
            project=fragment.project,
            inside=inside,
        )
        ruled = with_template(rules, fragment, facts, self.catalog)
        found = judged(
            facts, asking, ruled, self.catalog, sealed=bool(fragment.sealed_for), together=fragment.protocol != "local",
        )  # fmt: skip
        if found.rule:
            raise self._refusal(found.rule, found.detail)
        for name in facts.datasets:
            if fragment.protocol == "private_join":
                continue  # whose side each lies on is the join plan's to say
            if self.department not in self.catalog.datasets[name].held_by:
                raise self._refusal("R0", "a dataset that this department does not hold")
            if fragment.protocol == "local" and len(self.catalog.datasets[name].held_by) > 1:
                raise self._refusal("R5", "a part of a logical table on its own")
            if (
                fragment.protocol == "secure_sum"
                and tuple(sorted(self.catalog.datasets[name].held_by)) != fragment.cohort
            ):
                raise self._refusal("R5", "a cohort other than the holders of the table")
        return apply_obligations(cell, found.decision.obligations), found.decision, facts

    def _refusal(self, rule: str, detail: str) -> ProtocolError:
        return ProtocolError("X003", rule=rule, detail=detail, department=self.department)

    # --- local ----------------------------------------------------------------------------------------------------

    def answer(self, raw: bytes, signature: bytes, stop: Event | None = None) -> PartialResult:
        """Answer a fragment all of whose rows lie here: cells that may leave, and marks for the rest.

        Args:
            raw: Canonical bytes of the fragment.
            signature: The gateway's.
            stop: Set when nobody waits for the answer any more.

        Returns:
            Labels, words and marks: see ``release.released_cells``.

        Raises:
            ProtocolError: As ``accept``.
            DisclosureError: D010 by history.
            SourceError: The source failed.

        Reveals:
            To the gateway: released cells, and for the others the rule that withholds them.
        """
        task = self.accept(raw, signature, "local")
        try:
            given = self._given(task, stop or Event())
            if task.key is not None:
                return self._sealed(task, task.key, given.cells)
            receipt = self.receipt(task, given.cells.num_rows, given.digest)
        except Exception as error:
            self.failed(task, error)
            raise
        return PartialResult(self.department, given.cells, receipt, given.digest, given.payload)

    def _sealed(self, task: Task, key: SealingKey, cells: pa.Table) -> PartialResult:
        """Return labels and marks, and the words under the recipient's key; one receipt covers both."""
        words = sealed_cells(cells, task.layout, key)
        shown, sealed = (
            without_words(cells),
            signed(words, self.identity, task.fragment, task.layout),
        )
        payload = encode_table(shown)
        digest = sealed_digest(digest_of(payload), digest_of(sealed))
        receipt = self.receipt(task, shown.num_rows, digest)
        return PartialResult(self.department, shown, receipt, digest, payload, sealed)

    def take_key(self, document: bytes) -> None:
        """Remember a recipient's public key: see ``sealed_keys.KnownKeys.take``.

        Reveals:
            To the gateway: whether it is refused.
        """
        self.keys.take(document)

    def budgets(self, project: str, analyst: str) -> list[Balance]:
        """Return what a project and an analyst may still spend: see ``budgets.balances``.

        Reveals:
            To the gateway: what questions have spent.
        """
        return balances(self.department, self.catalog, self.bundle, self.budget, project, analyst)

    def _given(self, task: Task, stop: Event) -> Given:
        """Return what is released: as it was before, where project, question, policy and data are the same."""
        decision = task.decision
        if task.fragment.noise:
            cells = noisy_cells(task.cell, task.layout, self.noisy_words(task, stop))
            payload = encode_table(cells)
            return Given(cells, payload, digest_of(payload))
        question: Hashable = (
            task.fragment.project,
            task.text,
            decision.disclosure,
            decision.obligations,
            task.bundle.digest,
        )
        fixed = self.source.fixed(task.cell)
        found = self.given.find(question) if fixed else None
        if found is None:
            cells = self._local(task, stop)
            payload = encode_table(cells)
            found = Given(cells, payload, digest_of(payload))
            if fixed:
                self.given.keep(question, found)
        return found

    def noisy_words(self, task: Task, stop: Event) -> pa.Table:
        """Return labels and noisy words of a task that asks for noise: see ``private.Private.words``.

        Reveals:
            Nothing: the caller decides what leaves.
        """
        asked = Question(
            task.fragment, task.cell, task.layout, task.text, task.decision.disclosure.privacy
        )
        private = Private(self.catalog, task.bundle, self.budget, self.noisy, self.rng)
        return private.words(asked, self.source.until(stop), self.moment())

    def failed(self, task: Task, error: Exception) -> None:
        """Enter that an accepted fragment was not answered; a log that cannot take it has said so already.

        Args:
            task: The task.
            error: What ended it; one that nobody expected is entered as C099.

        Reveals:
            Nothing.
        """
        told = error if isinstance(error, MiddleplatformError) else ConfigError("C099", record="-")
        if told.prefix != "A":
            told.audit_index = self.journal.ended(task.fragment, told, task.bundle.digest).index

    def own(self, fragment: Fragment, stop: Event | None = None) -> PartialResult:
        """Answer a fragment of the department's own steward, who asks inside the department (see ``own``).

        No receipt: its digest could be guessed from (docs/adr/0013).

        Raises:
            ProtocolError: X003 refused by the node's own bundle.

        Reveals:
            To the steward: cells of any size of the own data, where a grant says so.
        """
        rules, held = self.rules()
        cell, decision, facts = self._authorized(fragment, rules, inside=True)
        task = Task(fragment, cell, layout_of(cell, self.catalog), decision, facts, rules, held)
        return PartialResult(self.department, self._local(task, stop or Event()), receipt="")

    def _local(self, task: Task, stop: Event) -> pa.Table:
        source = self.source.until(stop)
        measured = source.measure(task.cell, task.layout)
        marks = disclose(task.layout, measured.evidence, task.decision.disclosure)
        telling = self._mark_groups(task, measured, marks)
        parameters = task.decision.disclosure
        if parameters.method == "table":
            from middleplatform.node.protected import (  # noqa: PLC0415 - the solver is heavy: most nodes need none
                Margins,
                protect,
            )

            margins = Margins(source, self.catalog, self.sensitive(task, pinned=False))
            protect(task.cell, task.layout, measured, marks, parameters, margins)
        if parameters.history:
            overlap = self.overlap(task, source)
            overlap.check(task.cell, task.layout, measured, marks, self.moment())
        if parameters.method == "perturb":
            measured, fewer = perturbed(
                task.cell, task.layout, measured, marks, parameters, source, self._memory.numbers
            )
            telling = telling | fewer
        return released_cells(
            task.cell, task.layout, measured, marks, self.sensitive(task), telling
        )

    def overlap(self, task: Task, source: Source | Sources) -> Overlap:
        """Return what compares a task's populations with what this node has released to its project.

        Reveals:
            Nothing.
        """
        return Overlap(
            self.history,
            source,
            self.catalog,
            task.decision.disclosure,
            task.fragment.project,
            self._memory,
            task.decision.obligations,
            sensitivity(task.bundle),
        )

    def _mark_groups(self, task: Task, measured: Measured, marks: Marks) -> Flags:
        """Mark groups that have one sensitive value in common; return the cells whose labels would tell."""
        parameters = task.decision.disclosure
        telling = small_cells(measured.evidence, parameters)
        if parameters.homogeneity and parameters.min_units > 1:
            labels = measured.table.select([item.name for item in task.cell.dimensions])
            alone = single_sensitive(labels, self.sensitive(task, pinned=False))
            for row in alone.nonzero()[0]:
                for column in range(marks.shape[1]):
                    marks[row, column] = marks[row, column] or "homogeneity"
            telling = telling | alone
        return telling

    def sensitive(self, task: Task, *, pinned: bool = True) -> tuple[str, ...]:
        """Return the names of the dimensions whose values are sensitive.

        Args:
            task: The task.
            pinned: Count those too that the statement fixes to one value.

        Reveals:
            Nothing.
        """
        return sensitive_dimensions(task.cell, sensitivity(task.bundle), pinned=pinned)

    def receipt(self, task: Task, cells: int, digest: str) -> str:
        """Sign what was run and released; it is in the node's own log before it leaves.

        Raises:
            AuditError: A001 the log cannot take it: nothing is released.
            ProtocolError: X003 a grant that it rests on was stopped, or has ended, meanwhile.

        Reveals:
            To whoever reads the log: digests and the number of cells.
        """
        asked = task.fragment
        if (
            self.policies is not None
            and task.held is not None
            and not self.policies.unchanged(
                task.held, task.decision.grants, asked.subject, asked.purpose
            )
        ):
            raise self._refusal("G1", "a grant was stopped or has ended while the question ran")
        fields = ReceiptFields(
            task.fragment.query_id,
            task.fragment.digest(),
            task.bundle.digest,
            task.fragment.protocol,
            cells,
            digest,
        )
        receipt = sign_receipt(self.identity, fields)
        self.journal.ran(
            task.fragment,
            fields,
            receipt,
            sql=task.text,
            obligations=task.decision.obligations,
            facts=task.facts,
        )
        return receipt

    @property
    def units(self) -> UnitNumbers:
        """Return the numbers and record keys of this node's units.

        Reveals:
            Nothing: they stay here.
        """
        return self._memory.numbers

    def moment(self) -> str:
        """Return this moment, ISO 8601.

        Reveals:
            Nothing.
        """
        return self.clock.now().astimezone().isoformat()
