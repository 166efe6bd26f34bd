"""The platform as ``serve`` opens it: what another process publishes comes into force, and is what the next start opens."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.governance.desk import Desk
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.governance.watching import watch
from middleplatform.policy.examples import example
from middleplatform.settings import Settings

SQL = "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code"
SUITE = """suite: small
cases:
  - {id: name, persona: analyst_drc, purpose: statistics, sql: SELECT name FROM ga.population, expect: refuse, rule: R1}
"""


@pytest.fixture
def chosen(demo_data, tmp_path):
    return Settings(state=tmp_path / "state", data=demo_data)


def closed_regions():
    """Return the shipped bundle's files, with regions closed and a small suite in the place of the long one."""
    shipped = Path(str(example("demo")))
    found = {each.name: each.read_text(encoding="utf-8") for each in shipped.glob("*.yaml")}
    columns = found["columns.yaml"].replace("region_code: {}", "region_code: {use: denied}")
    return found | {"columns.yaml": columns, "columns_test.yaml": SUITE}


def verdict(platform):
    request = platform.gateway.request(SQL, PERSONAS["analyst_drc"], "statistics")
    return platform.gateway.explain(request).verdict


async def published(platform):
    """Publish as another process does, and wait until this one has it."""
    life, event = platform.lifecycle, asyncio.Event()

    def put(bundle):
        platform.publish(bundle)
        event.set()

    watching = asyncio.create_task(watch(life, platform.standing, put, 0.01))
    desk = Desk(life.desk.store, SystemClock(), SystemRng(), None)
    beside = Lifecycle(desk, life.catalog, platform.standing.bundle)
    officer = PERSONAS["officer_a"]
    number = await asyncio.to_thread(beside.propose, officer, closed_regions(), "close them")
    await asyncio.to_thread(beside.publish, officer, number)
    await event.wait()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def test_what_is_published_comes_into_force_at_once_and_at_the_next_start(chosen):
    with open_platform(chosen, governed=True) as platform:
        before = platform.gateway.bundle.digest
        assert verdict(platform) == "permit"
        asyncio.run(asyncio.wait_for(published(platform), 60))
        after = platform.gateway.bundle.digest
        assert (verdict(platform), after != before) == ("refuse", True)
    with open_platform(chosen) as platform:
        assert platform.standing.number == 1
        held = {each.node.bundle.digest for each in platform.nodes.values()}
        assert {platform.gateway.bundle.digest} | held == {after}


def test_without_a_store_nothing_is_kept_and_the_folder_is_in_force(chosen):
    with open_platform(chosen) as platform:
        assert (platform.lifecycle, platform.standing) == (None, None)
        assert verdict(platform) == "permit"
    assert not (chosen.state / "store.db").exists()
