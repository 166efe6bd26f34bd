"""A store of its own for every test, on SQLite and on a real PostgreSQL server, which is started once a session."""

from itertools import count

import pytest
from postgres_server import ADMIN, running_server
from sqlalchemy import delete

from middleplatform.store.alike import populations, questions
from middleplatform.store.database import Store
from middleplatform.store.jobs import jobs
from middleplatform.store.leases import fences, leases
from middleplatform.store.sealing_keys import sealing_keys
from middleplatform.store.tokens import tokens

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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_url(request, tmp_path_factory):
    """Return the address of a store that the tests of a module use one after the other."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('kept') / 'store.db'}"
    else:
        server = request.getfixturevalue("postgres")
        name = f"store_{next(_NUMBERS)}"
        server.run(f"CREATE DATABASE {name}")
        url = f"postgresql+pg8000://{ADMIN}@127.0.0.1:{server.port}/{name}"
    Store.open(url).close()
    return url


@pytest.fixture
def kept(kept_url):
    """Return that store, with nothing of what gateways share in it."""
    with Store.open(kept_url) as opened:
        with opened.writing() as connection:
            for each in (leases, fences, jobs, tokens, sealing_keys, questions, populations):
                connection.execute(delete(each))
        yield opened
