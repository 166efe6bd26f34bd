"""A simulation in the browser, in each of its states: at work, ended by itself, canceled, failed, gone, long."""

import re
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from fastapi.responses import PlainTextResponse
from playwright.sync_api import expect

from middleplatform.errors import ConfigError
from middleplatform.governance.replay import Asked, Ended, Why
from middleplatform.governance.simulation import Kind, Outcome, Simulation, Terms, Unjudged
from middleplatform.policy.suite import Verdict
from middleplatform.web.console import pages, simulate
from middleplatform.web.simulations import Simulations, Trial
from tests.browser.specimen import QuietLog, Specimen, listening
from tests.fakes.doors import CountingRng

JOBS = "/console/policy/simulations"
OFFICER = {"session": "security_officer"}
LANGUAGES = ("en", "zh")
ALLOWED, DENIED = Verdict("permit"), Verdict("refuse", "R1", "P001")


def made(changes, unjudged):
    """Return a result with changes of two kinds."""
    ways = (
        (Kind.ALLOW_TO_DENY, ALLOWED, DENIED, ()),
        (Kind.TERMS, ALLOWED, ALLOWED, (Terms("min_units", "10", "20"), Terms("statement"))),
    )
    questions = [
        Asked(number, f"{number:032x}", f"person_{number % 30}", datetime(2026, 5, 1, tzinfo=UTC), None,
              ended=Ended("released"))
        for number in range(changes + unjudged)
    ]  # fmt: skip
    outcomes = [
        Outcome(each, kind, before, after, ("ga.population", "tax.individual_income"), terms)
        for each in questions[:changes] for kind, before, after, terms in [ways[each.index % 2]]
    ]  # fmt: skip
    rest = [Unjudged(each, (Why.SEALED, Why.INSIDE)[each.index % 2]) for each in questions[changes:]]  # fmt: skip
    return Simulation("ab" * 32, "cd" * 32, tuple(outcomes), tuple(rest))


class Standing(Specimen):
    """The console's pages of simulation over work of the test's own.

    Attributes:
        gate: What work that waits waits for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.app.state.simulations = Simulations(CountingRng(), QuietLog())
        self.app.router.lifespan_context = self._open
        simulate.register(self.app)
        pages.add(self.app, "GET", "/console/begin/{work}", self._begin, pages.ALL)

    @asynccontextmanager
    async def _open(self, app):
        yield
        await app.state.simulations.close()

    async def _begin(self, request):
        work, trial = getattr(self, request.path_params["work"]), Trial(files={"a.yaml": ""})
        job = request.app.state.simulations.start(request.state.subject, work, trial)
        return PlainTextResponse(job.id)

    def held(self, hear):
        hear("simulate", 70, 400)
        self.gate.wait(60)
        hear("simulate", 400, 400)
        return made(60, 40)

    def failing(self, _):
        raise ConfigError("C001", what=("the catalogue is newer", "目录较新"))

    def quick(self, _):
        return made(60, 40)


@pytest.fixture(scope="module")
def standing():
    made = Standing()
    with listening(made):
        yield made
        made.gate.set()


def begun(opened, work):
    """Begin a simulation and open its page."""
    number = opened.open(f"/console/begin/{work}").locator("body").inner_text()
    return opened.open(f"{JOBS}/{number}")


def sound(opened, name):
    opened.shoot(f"simulation-{name}")
    assert opened.axe() == []
    assert opened.overflow() <= 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_result_comes_by_itself_once_it_is_there(tab, standing, language):
    standing.gate.clear()
    opened = tab(standing.url, language, cookies=OFFICER, width=360)
    page = begun(opened, "held")
    bar = page.get_by_label(opened.say("70 of 400 statements", "已判定 70 条语句，共 400 条"))
    expect(bar).to_have_attribute("max", "400")
    sound(opened, "working")
    standing.gate.set()
    found = page.get_by_role("heading", name=opened.say("What would change", "将发生的变化"))
    expect(found).to_be_visible()
    assert page.locator(".state.loading").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_result_is_walked_through_with_its_filters(tab, standing, language):
    opened = tab(standing.url, language, cookies=OFFICER, width=360)
    page = begun(opened, "quick")
    sound(opened, "result")
    for view in (
        ("By rule", "按规则"),
        ("By analyst", "按人员"),
        ("By dataset", "按数据集"),
        ("Not judged", "未判定"),
    ):
        page.get_by_role("link", name=opened.say(*view)).click()
        expect(page.locator(".tabs a[aria-current]").first).to_have_text(opened.say(*view))
        sound(opened, re.sub(r"\W", "", view[0]))
    page.get_by_role("link", name=opened.say("By rule", "按规则")).click()
    page.get_by_role("link", name="min_units").click()
    expect(page.get_by_text(opened.say("1 to 25 of 30", "第 1–25 项，共 30 项"))).to_be_visible()
    sound(opened, "filtered")
    page.get_by_label(opened.say("Search questions", "搜索查询")).fill("person_1")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("rule=min_units"))
    page.get_by_role("link", name=opened.say("Show every rule", "显示全部规则")).click()
    expect(page).not_to_have_url(re.compile("rule=min_units"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_canceled_failed_and_gone_are_pages(tab, standing, language):
    standing.gate.clear()
    opened = tab(standing.url, language, cookies=OFFICER, width=360)
    page = begun(opened, "held")
    page.get_by_role("button", name=opened.say("Cancel the simulation", "取消模拟")).press("Enter")
    expect(
        page.get_by_text(opened.say("This simulation was canceled", "该模拟已取消"))
    ).to_be_visible()
    sound(opened, "canceled")
    standing.gate.set()
    page = begun(opened, "failing")
    expect(page.get_by_role("alert")).to_contain_text("C001")
    sound(opened, "failed")
    opened.open(f"{JOBS}/{'0' * 32}")
    sound(opened, "gone")


def test_without_scripts_it_is_looked_at_again_by_a_link(tab, standing):
    standing.gate.clear()
    opened = tab(standing.url, "en", cookies=OFFICER, java_script_enabled=False)
    page = begun(opened, "held")
    again = page.get_by_role("link", name="Look again")
    expect(again).to_be_visible()
    standing.gate.set()
    again.click()
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
