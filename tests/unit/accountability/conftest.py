"""A log, a store and people for the tests of accountability."""

from datetime import UTC, datetime, timedelta

import pytest
from steady import SeededRng

from middleplatform import catalog as catalogs
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.governance.terms import Rules
from middleplatform.policy import regulation
from middleplatform.policy.examples import example
from middleplatform.policy.suite import personas
from middleplatform.store.database import Store

FRIDAY = datetime(2026, 9, 18, 2, tzinfo=UTC)
ORIGIN = "audit.example/made"


class MovedClock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.moment = FRIDAY

    def now(self):
        return self.moment

    def pass_days(self, days):
        self.moment += timedelta(days=days)


@pytest.fixture
def clock():
    return MovedClock()


@pytest.fixture(scope="session")
def people():
    return personas(example("demo") / "personas.yaml")


@pytest.fixture(scope="session")
def catalog():
    return catalogs.load(example("demo") / "catalog")


@pytest.fixture(scope="session")
def rules():
    return Rules(regulation.load())


@pytest.fixture
def signer(tmp_path):
    return CheckpointSigner.create(tmp_path / "audit.key", ORIGIN, SeededRng(b"log"))


@pytest.fixture
def log(tmp_path, signer, clock):
    with AuditLog.open(tmp_path / "audit.db", signer, clock) as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened
