"""A store, a clock turned by hand, and the sessions over them."""

import pytest

from middleplatform.login.sessions import Sessions
from middleplatform.store.database import Store
from tests.fakes.doors import CountingRng, HandClock


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def rng():
    return CountingRng()


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def sessions(store, clock, rng):
    return Sessions(store, clock, rng)
