"""The REST interface with governance behind it: a fake gateway that answers as told, a real store and a real log."""

import asyncio
import json
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.tokens import TokenStore
from middleplatform.governance.desk import Desk
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.login.configured import Limits
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings
from middleplatform.store.database import Store
from middleplatform.web.api import build
from middleplatform.web.jobs import Bounds
from middleplatform.web.services import Services
from tests.fakes.doors import CountingRng, FakeGateway, FakePlatform, HandClock, open_fake

UNLIMITED = Limits(address_per_minute=10**9, login_per_minute=10**9)
"""As fast as a test asks."""
DEPARTMENTS = {
    Role.ANALYST: "drc", Role.DEPARTMENT_STEWARD: "ga", Role.SECURITY_OFFICER: "db", Role.DATA_BUREAU: "db",
    Role.AUDITOR: "audit", Role.SYSTEM_ADMINISTRATOR: "db",
}  # fmt: skip


@dataclass
class Seen:
    """A response, and how often the request's body was asked for."""

    status: int
    body: bytes
    headers: dict[str, str]
    reads: int

    @property
    def value(self):
        return json.loads(self.body)


@dataclass
class Governed:
    """The application over a fake gateway and a real store and log; a token for each person."""

    gateway: FakeGateway
    lifecycle: Lifecycle
    tokens: TokenStore
    clock: HandClock
    app: object
    people: dict[str, str] = field(default_factory=dict)

    def token(self, login: str, department: str, *roles: Role) -> str:
        """Return a person's token, made once."""
        if login not in self.people:
            person = Subject(login, department, frozenset(roles))
            self.people[login] = self.tokens.add(person, timedelta(days=300))[0]
        return self.people[login]

    def by_role(self, role: Role) -> str:
        return self.token(f"the_{role}", DEPARTMENTS[role], role)

    async def send(self, method, path, token="", body=None, headers=()) -> Seen:
        """Send one request past any client, so that every header and every read is seen."""
        where, _, query = path.partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if token:
            lines.append((b"authorization", f"Bearer {token}".encode()))
        if body is not None:
            lines.append((b"content-type", b"application/json"))
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
            "method": method, "path": where, "raw_path": where.encode(), "query_string": query.encode(),
            "root_path": "", "scheme": "http", "headers": lines, "client": ("127.0.0.1", 1), "server": ("test", 80),
        }  # fmt: skip
        seen = Seen(0, b"", {}, 0)

        async def receive():
            seen.reads += 1
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message):
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                seen.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                seen.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return seen

    def ask(self, method, path, token="", body=None, headers=()) -> Seen:
        return asyncio.run(self.send(method, path, token, body, headers))


@cache
def _empty():
    """Return the bytes of a new store's file: bringing one to its form takes longer than a test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def governing(folder, catalog=None, bundle=None):
    """Give the application with its desks; the shipped catalogue and policy unless given."""
    gateway = open_fake(folder)
    (folder / "store.db").write_bytes(_empty())
    with Store.open(f"sqlite:///{folder / 'store.db'}") as store:
        desk = Desk(store, gateway.clock, gateway.rng, gateway.audit)
        life = Lifecycle(desk, catalog or gateway.catalog, bundle or gateway.bundle)
        platform = FakePlatform(gateway, Settings(state=folder), lifecycle=life)
        tokens = TokenStore(folder / "tokens.sqlite", gateway.clock, CountingRng())
        log = OperatorLog(folder / "operator.log", gateway.clock, CountingRng())
        app = build(gateway, tokens, log, Bounds(), services=Services(platform), limits=UNLIMITED)
        yield Governed(gateway, life, tokens, gateway.clock, app)
        tokens.close()
        gateway.audit.close()
