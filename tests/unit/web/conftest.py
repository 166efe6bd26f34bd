"""The application over a fake gateway, driven in process; one token for every role."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.tokens import TokenStore
from middleplatform.model.request import Role, Subject
from middleplatform.web.api import build
from middleplatform.web.jobs import Bounds
from tests.fakes.doors import CountingRng, FakeGateway, HandClock, open_fake
from tests.fakes.rest_world import governing


@dataclass
class Service:
    """The application and all that a test turns."""

    gateway: FakeGateway
    tokens: TokenStore
    clock: HandClock
    app: object
    by_role: dict[str, str]
    seconds: list[float]

    def client(self, role: str = "analyst", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        given = {"Authorization": f"Bearer {self.by_role[role]}"} if role else {}
        return httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=given | headers
        )

    def ask(
        self, method: str, path: str, role: str = "analyst", **settings: object
    ) -> httpx.Response:
        """One request, from its own event loop."""

        async def once() -> httpx.Response:
            async with self.client(role) as client:
                return await client.request(method, path, **settings)

        return asyncio.run(once())


@pytest.fixture
def make_service(tmp_path) -> Callable[..., Service]:
    opened = []

    def make(bounds: Bounds = Bounds(), requests_max: int = 256) -> Service:  # noqa: B008 - frozen
        clock = HandClock()
        gateway = open_fake(tmp_path)
        tokens = TokenStore(tmp_path / "tokens.sqlite", clock, CountingRng())
        opened.append((gateway, tokens))
        by_role = {
            str(role): tokens.add(
                Subject(f"user_{role}", "drc", frozenset({role})), timedelta(days=1)
            )[0]
            for role in Role
        }
        seconds = [0.0]
        log = OperatorLog(tmp_path / "operator.log", clock, CountingRng())
        app = build(
            gateway, tokens, log, bounds, timer=lambda: seconds[0], requests_max=requests_max
        )
        return Service(gateway, tokens, clock, app, by_role, seconds)

    yield make
    for gateway, tokens in opened:
        gateway.audit.close()
        tokens.close()


@pytest.fixture
def service(make_service) -> Service:
    return make_service()


@pytest.fixture(scope="module")
def governed(tmp_path_factory):
    with governing(tmp_path_factory.mktemp("governed")) as opened:
        yield opened
