"""One query, eight stages, in order; no route, flag or caller can skip one.

received -> parse -> qualify -> authorize -> plan -> dispatch -> combine and disclose -> released
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Self

from middleplatform.access.operator_log import where
from middleplatform.audit.log import AuditLog
from middleplatform.authorization.authorize import Asking
from middleplatform.authorization.refusals import refusal
from middleplatform.combine.released import Released
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.errors import AuditError, ConfigError, LimitError, MiddleplatformError
from middleplatform.gateway.approved import decided, hinted, ruled
from middleplatform.gateway.blocks import BlockAnswer, answering
from middleplatform.gateway.combined import combined
from middleplatform.gateway.entries import ended, quality_of, received, released
from middleplatform.gateway.granting import Grants, Leaving, PublishedOnly, qualified
from middleplatform.gateway.intervals import with_noise
from middleplatform.gateway.join_family import guarded
from middleplatform.gateway.leaving import on_grid
from middleplatform.gateway.method import method_notes
from middleplatform.gateway.noise import asked_noise, block_noise, block_noises, check_noise
from middleplatform.gateway.planned import checked, count_alike
from middleplatform.gateway.sealed_cells import answer_sealed
from middleplatform.gateway.sealed_desk import SealingDesk, check_release
from middleplatform.gateway.telling import Telling
from middleplatform.gateway.watch import Watch, silent
from middleplatform.ledger.history import History
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.freeze import Freeze
from middleplatform.model.plan import Plan
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.model.result import Answer
from middleplatform.planner.plan import make_plan
from middleplatform.planner.sealed import sealed_outputs
from middleplatform.ports import Clock, Progress, Rng

__all__ = ["Gateway"]

_LOG = logging.getLogger("middleplatform.gateway")


@dataclass
class Gateway(Telling):
    """The only way in: every face calls ``submit`` or ``explain``.

    Attributes:
        catalog: What exists.
        bundle: What may be done with it. Another may be put here at any time: a question keeps that of its start.
        audit: No receipt, no answer.
        dispatcher: Reaches the nodes.
        questions: Near-duplicate questions by project and day.
        clock: Time.
        rng: For query ids.
        queries_max: Questions under way at once; more are refused with L001.
        database: Runs what stands above the release boundary.
        sealing: Published keys, under which answers may leave; None where none can be published.
        grants: Those that people give and take while it runs, and what they stop.
        freezes: Of the moment at which a question began; None where nobody can know.
    """

    catalog: Catalog
    bundle: Bundle
    audit: AuditLog
    dispatcher: Dispatcher
    questions: History
    clock: Clock
    rng: Rng
    queries_max: int = 8
    database: Released = field(default_factory=Released)
    sealing: SealingDesk | None = None
    grants: Grants = field(default_factory=PublishedOnly)
    freezes: tuple[Freeze, ...] | None = ()
    _running: int = 0
    _published: Callable[[], Bundle] | None = None

    def request(  # noqa: PLR0913 - all that a person says
        self,
        sql: str,
        subject: Subject,
        purpose: str,
        *,
        project: str = "",
        recipient: str = "",
        strict: bool = False,
        sealed_for: str = "",
        noise: str = "",
    ) -> QueryRequest:
        """Return a request with a fresh id; history is kept for the subject's department unless a project is named."""
        return QueryRequest(
            self.rng.token_bytes(16).hex(), sql, subject, purpose, project or subject.department, self.clock.now(),
            recipient, strict, sealed_for, asked_noise(noise),
        )  # fmt: skip

    async def submit(self, request: QueryRequest, progress: Progress | None = None) -> Answer:
        """Answer one query.

        Raises:
            MiddleplatformError: Refused or failed: ``audit_index`` names its entry, ``reasons`` say why.
        """
        pinned = await asyncio.to_thread(self._pinned)
        async with on_grid(pinned.bundle.limits.answer_grid_ms):
            if self._running >= self.queries_max:
                raise LimitError("L001")
            self._running += 1
            try:
                return await pinned._submitted(request, progress or silent)  # noqa: SLF001 - its own copy
            finally:
                self._running -= 1

    def _pinned(self) -> Self:
        """Return a copy that keeps the policy, the grants and the freezes of this moment."""
        made, found = copy(self), self.grants.opening(self.bundle, self.clock.now())
        made.bundle, made.freezes = found.bundle, found.freezes
        made._published = lambda: self.bundle  # noqa: SLF001 - its own copy
        return made

    async def _submitted(self, request: QueryRequest, progress: Progress) -> Answer:
        try:
            return await self._answer(request, progress)
        except MiddleplatformError as error:
            await self._record(request, error)
            raise
        except asyncio.CancelledError:
            self.audit.submit(ended(request, LimitError("L003"), self._now(), self.bundle.digest))
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of it may reach the analyst
            _LOG.error("query %s: %s", request.query_id, where(error))
            failure = ConfigError("C099", record=request.query_id)
            await self._record(request, failure)
            raise failure from None

    async def _answer(self, request: QueryRequest, progress: Progress) -> Answer:
        watch = Watch()
        entered = self.audit.submit(received(request))
        try:  # judged while the disk is at work; nobody hears of it before the entry stands
            query, decision = self._judge(request)
            watch.lap("authorize")
            plan = self._plan(request, query, decision)
            watch.lap("plan")
        finally:
            await asyncio.wrap_future(entered)
        answers = await self._dispatch(request, plan, decision, progress)
        watch.lap("dispatch")
        outcome, sealed = await asyncio.to_thread(
            combined, query, plan, answers, self.database, self.sealing
        )
        watch.lap("combine")
        told = [each.receipts for each in answers]
        entry = released(
            request, decision, plan, query.facts, outcome, told, self._now(), self.catalog.digest, sealed
        )  # fmt: skip
        last = Leaving(
            self.grants, self.bundle, self.catalog, self.clock, self.audit, self._published
        )
        leaves = await asyncio.to_thread(last.enter, request, decision, query.facts.datasets, entry)
        receipt = await asyncio.wrap_future(leaves)
        watch.lap("audit")
        quality = quality_of(self.catalog, query.facts.datasets)
        return Answer(
            request.query_id, outcome, plan.protocol, decision, receipt, quality, watch.laps, sealed
        )

    # --- stages 1 to 4: pure --------------------------------------------------------------------------------------

    def _judge(self, request: QueryRequest) -> tuple[QualifiedQuery, Decision]:
        """Parse, qualify and authorize."""
        query = qualified(request, self.freezes, self.bundle, self.catalog)
        asking = self._asking(request)
        decision = decided(query, asking, self.bundle, self.catalog)
        if not decision.permit:
            raise refusal(hinted(decision.reasons, asking, self.bundle, self.catalog))
        check_release(request, query.facts, self.bundle, self.sealing)
        return query, decision

    def _asking(self, request: QueryRequest) -> Asking:
        return Asking(
            request.subject, request.purpose, request.received_at, request.recipient, request.strict, request.project,
        )  # fmt: skip

    def _plan(self, request: QueryRequest, query: QualifiedQuery, decision: Decision) -> Plan:
        """Plan, count near-duplicates, and judge what will really be sent."""
        plan = self._made(request, query, decision)
        count_alike(self.questions, request, query, self.bundle)
        bundle = ruled(decision, self.bundle, self.catalog)
        return checked(plan, self._asking(request), bundle, self.catalog, request.query_id)

    def _made(self, request: QueryRequest, query: QualifiedQuery, decision: Decision) -> Plan:
        bundle, sealed = self.bundle, bool(request.sealed_for)
        plan = make_plan(query, decision, self.catalog, bundle.limits, bundle=bundle, sealed=sealed)
        check_noise(request, decision, plan, self.catalog, bundle)
        if request.sealed_for:
            sealed_outputs(query, plan)
        told = method_notes(request, decision, bundle, query.facts.datasets)
        return replace(plan, notes=(*plan.notes, *told))

    # --- stages 5 to 7 --------------------------------------------------------------------------------------------

    async def _dispatch(
        self, request: QueryRequest, plan: Plan, decision: Decision, progress: Progress
    ) -> list[BlockAnswer]:
        """Have the blocks answered one after the other, so that each is protected against those before it."""
        answers: list[BlockAnswer] = []
        desk = self.sealing if request.sealed_for else None
        noise = block_noise(request, decision, plan)
        noises = block_noises(plan, decision, self.bundle, self.catalog, noise)
        ask = answering(progress, noise) if desk is None else answer_sealed(desk)
        for number, block in enumerate(plan.blocks):
            progress("dispatch", number, len(plan.blocks))
            given = (self.dispatcher, request, block, number, decision, self.bundle, self._now())
            answer, rules = await ask(*given), decision.disclosure
            answers.append(guarded(self.questions, request, block, answer, rules))
        progress("dispatch", len(plan.blocks), len(plan.blocks))
        return with_noise(answers, noises)

    # --- the log --------------------------------------------------------------------------------------------------

    async def _record(self, request: QueryRequest, error: MiddleplatformError) -> None:
        """Log how a query ended; a log that cannot take it has said so already, unless it was a department's."""
        with suppress(*(AuditError,) if error.prefix == "A" else ()):
            entry = ended(request, error, self._now(), self.bundle.digest)
            error.audit_index = (await asyncio.wrap_future(self.audit.submit(entry))).index

    def _now(self) -> str:
        return self.clock.now().isoformat()

    def close(self) -> None:
        """Close what the gateway itself opened."""
        self.database.close()
        if self.sealing is not None:
            self.sealing.close()
