"""A store, a clock turned by hand, and the sessions over them."""

import shutil

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


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A store with nothing in it, made once."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(tmp_path, empty):
    shutil.copy(empty, tmp_path / "store.db")
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def sessions(store, clock, rng):
    return Sessions(store, clock, rng)
