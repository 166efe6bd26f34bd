"""The console over a fake gateway, driven in process; a session for every role."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import ConfigError
from middleplatform.model.request import Role, Subject
from middleplatform.web import problems
from middleplatform.web.console import app as console
from middleplatform.web.places import Places
from middleplatform.web.shell import Shell
from tests.fakes.doors import CountingRng, HandClock


@dataclass
class HandSessions:
    """Sessions that a test hands out: the secret is the name of the role."""

    ended: list[str] = field(default_factory=list)

    def subject(self, secret: str) -> Subject | None:
        if secret in self.ended or secret not in list(Role):
            return None
        return Subject(f"user_{secret}", "drc", frozenset({Role(secret)}))

    def csrf(self, secret: str) -> str:
        return f"token-of-{secret}"

    def end(self, secret: str) -> None:
        self.ended.append(secret)


class NoStore:
    """The services of a platform without a store: nothing waits anywhere, since nobody can say."""

    platform, login = SimpleNamespace(lifecycle=None), None

    def __init__(self) -> None:
        self.sessions = HandSessions()

    @property
    def lifecycle(self) -> object:
        raise ConfigError("C015", what=("there is none", "未配置"))

    freezes = notebook = lifecycle

    def accounts(self) -> object:
        return self.lifecycle

    tickets = handling = accounts


@dataclass
class Browser:
    """An application with nothing but the console."""

    app: FastAPI

    def ask(self, method: str, path: str, role: str = "", **settings: object) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            cookies = {"session": role} if role else {}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test", cookies=cookies
            ) as client:
                return await client.request(method, path, **settings)

        return asyncio.run(once())


@pytest.fixture
def browser(tmp_path) -> Browser:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    log = OperatorLog(tmp_path / "operator.log", HandClock(), CountingRng())
    app.state.operator_log = log
    app.state.services = NoStore()
    problems.install(app)
    app.state.places = Places(256, 32)
    console.register(app)
    app.add_middleware(Shell, operator_log=log)
    return Browser(app)
