"""A store of its own for every test, on SQLite and on a real PostgreSQL server, which is started once a session."""

from itertools import count

import pytest
from postgres_server import ADMIN, running_server

from middleplatform.store.database import Store

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres():
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    """Return the address of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'store.db'}"
    server = request.getfixturevalue("postgres")
    name = f"store_{next(_NUMBERS)}"
    server.run(f"CREATE DATABASE {name}")
    return f"postgresql+pg8000://{ADMIN}@127.0.0.1:{server.port}/{name}"


@pytest.fixture
def store(store_url):
    with Store.open(store_url) as opened:
        yield opened
