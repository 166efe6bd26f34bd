"""The whole application over the demonstration's departments, and a session for each of its persons."""

import asyncio
import re
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from html import unescape

import httpx
from steady import FixedClock, SeededRng

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.tokens import TokenStore
from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.settings import Settings
from middleplatform.web.api import build
from middleplatform.web.jobs import Bounds
from middleplatform.web.services import Services


@dataclass
class Sessions:
    """The secret is the persona's name."""

    def subject(self, secret):
        return PERSONAS.get(secret)

    def csrf(self, secret):
        return f"token-of-{secret}"

    def end(self, secret):
        del secret


class Hand(Services):
    """The services with sessions that a test hands out."""

    @property
    def sessions(self):
        return Sessions()


@dataclass
class World:
    """A running application.

    Attributes:
        app: It.
        platform: Beneath it.
        loop: On which all requests run, since questions go on between them.
    """

    app: object
    platform: object
    loop: asyncio.AbstractEventLoop
    seconds: list = field(default_factory=lambda: [0.0])

    def ask(self, method, path, person="analyst_drc", *, language="en", data=None, **headers):
        """Send one request; a form carries its token."""
        form = None if data is None else {"csrf": f"token-of-{person}", **data}

        async def once():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test", headers={"Accept-Language": language, **headers},
                cookies={"session": person} if person else {},
            ) as client:  # fmt: skip
                return await client.request(method, path, data=form)

        return self.loop.run_until_complete(once())

    def get(self, path, person="analyst_drc", language="en", **headers):
        return self.ask("GET", path, person, language=language, **headers)

    def post(self, path, person="analyst_drc", language="en", /, headers=None, **data):
        return self.ask("POST", path, person, language=language, data=data, **(headers or {}))

    def answered(self, sql, person="analyst_drc", language="en", **fields):
        """Ask a question and return its address and its page once it has ended."""
        sent = self.post(
            "/console/ask", person, language, sql=sql, **{"purpose": "statistics", **fields}
        )
        assert sent.status_code == 303, sent.text
        path = sent.headers["location"]
        for _ in range(100):
            page = self.get(path, person, language)
            if "hx-trigger" not in page.text:
                return path, page
        raise AssertionError("the question does not end")


def text_of(page):
    """Return what a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


@contextmanager
def opened_world(folder, data, clock=None, bundle=None):
    clock, rng = clock or FixedClock(), SeededRng()
    settings = Settings(
        state=folder / "state", data=data, bundle=bundle, threads=1, memory_mb=512, deadline_s=120
    )
    with (
        closing(asyncio.new_event_loop()) as loop,
        open_platform(settings, clock=clock, rng=rng, governed=True) as platform,
        TokenStore(folder / "tokens.sqlite", clock, rng) as tokens,
    ):
        log = OperatorLog(folder / "operator.log", clock, rng)
        seconds = [0.0]
        app = build(
            platform.gateway,
            tokens,
            log,
            Bounds(),
            services=Hand(platform),
            timer=lambda: seconds[0],
        )
        yield World(app, platform, loop, seconds)
        loop.run_until_complete(app.state.jobs.close())
