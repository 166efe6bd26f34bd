"""The console in a real browser: one Chromium a file, one service a session, a fresh tab a test.

A test that ends with a script's error, with something that the content security policy had to stop, or with a console
error has failed, whatever else it looked at.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.service import Service, serving
from tests.browser.specimen import Specimen, listening

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-default-browser-check",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
DRAWN = "() => !document.querySelector('sql-editor:not(:has(div)), data-chart:not(:has(.drawing))')"
WAIT_MS = 15_000
AXE = {"resultTypes": ["violations"]}
WATCH = """
window.stopped = [];
addEventListener("securitypolicyviolation", (event) =>
  window.stopped.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));
"""
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's browser, with a profile of its own.

    Of a file and not of a session: while it is open an event loop runs in this thread, and no other test could run one.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "Chromium is needed: .ci/packages installs it"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program, args=ARGUMENTS, timeout=60_000
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def specimen() -> Iterator[Specimen]:
    """Every part of a page on one page, over sessions that a test hands out."""
    made = Specimen()
    with listening(made):
        yield made


class Tab:
    """A page in a context of its own, and what must not happen in it."""

    def __init__(self, page: Page, url: str, language: str, *, scripts: bool = True) -> None:
        self.page, self.url, self.language, self.scripts = page, url, language, scripts
        self.errors: list[str] = []
        self.status = 0
        page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        page.on("console", self._said)

    def _said(self, message) -> None:
        # The browser reports every answer that is no success; a refusal is one on purpose.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(f"console: {message.text}")

    def open(self, path: str) -> Page:
        """Go to a path of the console and wait for its editors and charts; checks may be under way."""
        answer = self.page.goto(self.url + path)
        self.status = 0 if answer is None else answer.status
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait for the page's editors and charts."""
        if self.scripts:
            self.page.wait_for_function(DRAWN)

    def say(self, english: str, chinese: str) -> str:
        return chinese if self.language == "zh" else english

    def check(self) -> None:
        """Fail for what a script did wrong or the content security policy stopped so far."""
        self.page.wait_for_load_state()
        assert self.errors == []
        if self.scripts:
            assert self.page.evaluate("window.stopped ?? []") == []

    def axe(self, part: str | None = None) -> list[str]:
        """Return what axe-core finds against the accessibility of the page as it is, or of a part of it."""
        found = Axe().run(self.page, part, options=AXE).response["violations"]
        return [
            f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for each in found
            for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def shoot(self, name: str, *, whole: bool = True) -> None:
        """Keep a picture, for people to look at: of the whole page, or of what the window shows."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.language}.png", full_page=whole)


@pytest.fixture(scope="module")
def contexts(chromium) -> Iterator[Callable[..., BrowserContext]]:
    """Return what gives a context of some kind, the same each time and with fresh cookies: files are loaded once."""
    made: dict[str, BrowserContext] = {}

    def find(
        url: str, language: str, cookies: dict[str, str], whose: str, **settings
    ) -> BrowserContext:
        key = repr((url, language, sorted(cookies.items()), whose, sorted(settings.items())))
        if key not in made:
            made[key] = chromium.new_context(
                locale=LANGUAGES[language], timezone_id="Asia/Shanghai", **settings
            )
            made[key].set_default_timeout(WAIT_MS)
            made[key].add_init_script(WATCH)
        made[key].clear_cookies()
        made[key].add_cookies([
            {"name": name, "value": value, "url": url} for name, value in cookies.items()
        ])  # fmt: skip
        return made[key]

    yield find
    for each in made.values():
        each.close()


@pytest.fixture
def tab(contexts) -> Iterator[Callable[..., Tab]]:
    """Return what opens a tab: ``tab(url, "zh", cookies={"session": ...}, width=360)``.

    ``whose`` keeps the cookies of somebody apart who logs in by hand.
    """
    made = []

    def make(
        url: str,
        language: str = "en",
        *,
        cookies=None,
        whose="",
        width=1280,
        height=900,
        **settings,
    ) -> Tab:
        size = {"width": width, "height": height}
        context = contexts(url, language, cookies or {}, whose, viewport=size, **settings)
        scripts = settings.get("java_script_enabled", True)
        made.append(Tab(context.new_page(), url, language, scripts=scripts))
        return made[-1]

    yield make
    for each in made:
        each.check()
    for each in made:
        each.page.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory, demo_data) -> Iterator[Service]:
    """The platform's service on the demonstration's departments; tests share its state."""
    with serving(tmp_path_factory.mktemp("console"), demo_data) as running:
        yield running


@pytest.fixture
def entered(tab, service) -> Callable[..., Tab]:
    """Return what opens a tab in which somebody is logged in: ``entered("analyst_drc", "zh")``."""
    return lambda person, language="en", **settings: tab(
        service.url, language, cookies=service.cookies(person), **settings
    )
