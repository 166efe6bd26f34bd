"""What the tests of the log share: a still clock, a seeded generator, a key, a log in a fresh folder."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from middleplatform.audit.keys import CheckpointSigner, WitnessSigner
from middleplatform.audit.log import AuditLog
from middleplatform.model.record import AuditRecord

ORIGIN = "audit.example/middleplatform"


class StillClock:
    """Always the same moment, until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


class SeededRng:
    """Bytes that follow from a seed."""

    def __init__(self, seed: str) -> None:
        self._seed, self._count = seed, 0

    def token_bytes(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(f"{self._seed} {self._count}".encode()).digest(count)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def make_rng() -> Callable[[str], SeededRng]:
    return SeededRng


@pytest.fixture
def signer(tmp_path: Path) -> CheckpointSigner:
    return CheckpointSigner.create(tmp_path / "log.key", ORIGIN, SeededRng("log"))


@pytest.fixture
def make_witness_signer(tmp_path: Path) -> Callable[[str], WitnessSigner]:
    return lambda name: WitnessSigner.create(
        tmp_path / f"{name}.key", f"{name}.example/witness", SeededRng(name)
    )


@pytest.fixture
def record() -> Callable[..., AuditRecord]:
    """Make the record of a release; keywords replace parts of its body."""

    def make(number: int = 0, event: str = "released", **changes: object) -> AuditRecord:
        body: dict[str, object] = {
            "at": f"2026-01-{number % 28 + 1:02d}T09:00:00Z",
            "query_id": f"{number:032x}",
            "subject": "lin",
            "department": "drc",
            "recipient": "drc",
            "purpose": "policy_research",
            "sql": f"SELECT count(*) FROM ga.population WHERE age > {number}",
            "datasets": ["ga.population"],
            "columns": ["ga.population.age"],
            "result_digest": "00" * 32,
        }
        return AuditRecord(event, body | changes)

    return make


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "audit.sqlite"


@pytest.fixture
def log(log_path: Path, signer: CheckpointSigner, clock: StillClock) -> Iterator[AuditLog]:
    with AuditLog.open(log_path, signer, clock) as opened:
        yield opened
