from types import SimpleNamespace

import pytest
from doors import HandClock
from postgres_server import running_server
from shared_gateways import FreshRng, address

from middleplatform.governance import membership
from middleplatform.governance.kept import Kept
from middleplatform.governance.shared import open_log
from middleplatform.settings import Settings
from middleplatform.store.database import Store


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        running.run("CREATE ROLE platform LOGIN", "CREATE DATABASE ready OWNER platform")
        Store.open(address(running, "ready")).close()
        yield running


@pytest.fixture
def settings(server, tmp_path, monkeypatch):
    """Return the settings of a platform whose store is an empty database."""
    name = f"p{FreshRng().token_bytes(8).hex()}"
    server.run(f"CREATE DATABASE {name} TEMPLATE ready OWNER platform")
    monkeypatch.setattr(membership, "LOOK_S", 0.05)
    return Settings(state=tmp_path / "state", store=address(server, name))


@pytest.fixture
def join(settings):
    """Open the log as another process of the platform; all are closed in the end."""
    opened = []

    def joined(*, serving=True):
        log, member = open_log(settings, HandClock(), FreshRng(), serving=serving)
        opened.append(log)
        return SimpleNamespace(log=log, member=member, kept=Kept(member, log))

    yield joined
    for each in opened:
        each.close()
