"""What the tests of the log share: a still clock, a seeded generator, a key, a log in a file or in a real PostgreSQL."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from postgres_server import ADMIN, running_server
from sqlalchemy import create_engine

from middleplatform.audit.keys import CheckpointSigner, WitnessSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.shared_log import open_shared
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


@pytest.fixture(scope="session")
def postgres():
    """Return a server with a database that belongs to an ordinary role."""
    with running_server() as server:
        server.run("CREATE ROLE platform LOGIN", "CREATE DATABASE platform OWNER platform")
        yield server


@pytest.fixture
def engine(postgres):
    """Return a database without a log."""
    postgres.run("DROP SCHEMA IF EXISTS audit_log CASCADE", database="platform", user=ADMIN)
    url = f"postgresql+pg8000://platform@127.0.0.1:{postgres.port}/platform"
    made = create_engine(url, pool_pre_ping=True)
    yield made
    made.dispose()


@pytest.fixture
def share(engine, signer, clock):
    """Open the log in the database, as one of the gateways that share it."""

    def opened(name="one", fence=lambda _: None, signed=signer, **more):
        return open_shared(engine, signed, clock, fence, f"{signed.name}#{name}", **more)

    return opened


@pytest.fixture
def log(request, log_path: Path, signer: CheckpointSigner, clock: StillClock) -> Iterator[AuditLog]:
    """Open a log in a file; in a database where a test is asked for both (``BOTH``)."""
    if getattr(request, "param", "file") == "file":
        opened = AuditLog.open(log_path, signer, clock)
    else:
        opened = request.getfixturevalue("share")()
    with opened:
        yield opened
