"""A gateway and a platform that answer as a test tells them; catalogue, bundle and log are real."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Self

import pyarrow as pa

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.gateway.noise import asked_noise
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.model.advice import Advice
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.policy import Bundle
from middleplatform.model.record import AuditRecord, Receipt
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.model.result import Answer, Explanation, Release, Step, Withholding
from middleplatform.policy.examples import example
from middleplatform.settings import Settings


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


class CountingRng:
    """Bytes that follow from a count: never twice the same."""

    def __init__(self) -> None:
        self._count = 0

    def token_bytes(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(f"doors {self._count}".encode()).digest(count)


def release() -> Release:
    """Three rows of which two values are withheld; one label is a formula, one column has no name of its own."""
    table = pa.table({
        "区": pa.array(["990101", "=1+1", None]),
        "n": pa.array([15, None, 12], pa.int64()),
        "avg_income": pa.array([Decimal("-10.50"), None, Decimal("7.25")], pa.decimal128(18, 2)),
    })  # fmt: skip
    marks = pa.table({
        "区": pa.array([None, None, None], pa.string()),
        "n": pa.array([None, "threshold", None], pa.string()),
        "avg_income": pa.array([None, "dominance", None], pa.string()),
    })  # fmt: skip
    withheld = (Withholding("R5", "dominance", 1), Withholding("R5", "threshold", 1))
    notes = (("birth_year is banded by 10.", "birth_year 已按 10 分段。"),)
    return Release(table, marks, withheld, notes, "ab" * 32)


def noisy_release() -> Release:
    """The same with half widths: of a count, and of a mean that is told none where its count is small."""
    intervals = pa.table({
        "区": pa.nulls(3),
        "n": pa.array([12.25, None, 12.25]),
        "avg_income": pa.array([None, None, 0.51234]),
    })  # fmt: skip
    return replace(release(), intervals=intervals)


@dataclass
class FakeGateway:
    """Answers ``outcome``: an answer's release, or the error to raise; ``gate`` holds it back."""

    catalog: Catalog
    bundle: Bundle
    audit: AuditLog
    outcome: Release | Exception = field(default_factory=release)
    gate: asyncio.Event | None = None
    asked: list[QueryRequest] = field(default_factory=list)
    clock: HandClock = field(default_factory=HandClock)
    rng: CountingRng = field(default_factory=CountingRng)
    sealing: SealingDesk | None = None
    dispatcher: Dispatcher = field(default_factory=lambda: Dispatcher({}, None, None))
    advised: Advice | None = None
    running_most: int = 0
    _running: int = 0

    def request(
        self, sql: str, subject: Subject, purpose: str, *,
        project: str = "", recipient: str = "", strict: bool = False, sealed_for: str = "", noise: str = "",
    ) -> QueryRequest:  # fmt: skip
        return QueryRequest(
            self.rng.token_bytes(16).hex(), sql, subject, purpose, project, self.clock.now(),
            recipient, strict, sealed_for, asked_noise(noise),
        )  # fmt: skip

    async def submit(self, request: QueryRequest, progress: object = None) -> Answer:
        del progress
        self.asked.append(request)
        self._running += 1
        self.running_most = max(self.running_most, self._running)
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self._running -= 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        decision = Decision(permit=True, reasons=(), obligations=(), bundle_digest="cd" * 32)
        return Answer(request.query_id, self.outcome, "local", decision, self.record(), 0.97)

    def record(self) -> Receipt:
        body = {
            "at": self.clock.now().isoformat(),
            "subject": "lin",
            "department": "drc",
            "recipient": "drc",
            "purpose": "statistics",
            "datasets": ["ga.population"],
            "columns": ["ga.population.birth_year"],
            "query_id": "00" * 16,
            "result_digest": "ab" * 32,
        }
        return self.audit.append(AuditRecord("released", body))

    def explain(self, request: QueryRequest) -> Explanation:
        self.asked.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        step = Step("parse", "gateway", ("one SELECT", "一条 SELECT"), request.sql, ("it", "它"))
        return Explanation("permit", "", (), "local", (step,), (("a", "甲"),), (("b", "乙"),))

    def rules(self) -> Bundle:
        return self.bundle

    def advise(self, request: QueryRequest) -> Advice:
        return self.advised or Advice(self.explain(request))


@dataclass
class FakePlatform:
    """A platform over the fake gateway; remembers whether it was closed."""

    gateway: FakeGateway
    settings: Settings
    closed: bool = False
    lifecycle: object = None

    def close(self) -> None:
        self.closed = True
        self.gateway.audit.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cache
def _shipped() -> tuple[Catalog, Bundle]:
    folder = example("demo")
    catalog = catalogs.load(folder / "catalog")
    return catalog, policies.load(folder, catalog)


def open_fake(state: Path) -> FakeGateway:
    """Open a fake gateway with a real log in ``state``."""
    catalog, bundle = _shipped()
    signer = CheckpointSigner.load_or_create(
        state / "audit.key", "doors.example/audit", CountingRng()
    )
    return FakeGateway(catalog, bundle, AuditLog.open(state / "audit.db", signer, HandClock()))
