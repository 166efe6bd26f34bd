"""Nodes inside the gateway's process follow what is published and granted, as nodes of their own do."""

import asyncio
from datetime import timedelta

import pytest

from middleplatform.access.system import SystemClock
from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import Answer
from middleplatform.governance.handling import Handling
from middleplatform.governance.terms import Rules
from middleplatform.policy import regulation
from middleplatform.settings import Settings
from tests.unit.demo.test_governed import SQL, closed_regions

YEARS = "SELECT sex, SUM(education_years) AS y FROM ga.population GROUP BY sex"
OFFICER, OWNER, BUREAU = (PERSONAS[name] for name in ("officer_a", "steward_ga", "bureau"))


@pytest.fixture
def platform(demo_data, tmp_path):
    chosen = Settings(state=tmp_path / "state", data=demo_data)
    with open_platform(chosen, governed=True) as opened:
        yield opened


def code(platform, sql, who="analyst_drc"):
    request = platform.gateway.request(sql, PERSONAS[who], "statistics")
    try:
        asyncio.run(platform.gateway.submit(request))
    except MiddleplatformError as error:
        return error.code
    return ""


def test_a_grant_and_a_version_hold_at_the_node_from_the_next_question_on(platform):
    assert code(platform, SQL) == ""
    assert code(platform, YEARS, "visitor") == "P003"
    life = platform.lifecycle
    handling = Handling(life.desk, platform.gateway.bundle, Rules(regulation.load()))
    wish = {
        "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
        "subjects": ["visitor"], "columns": ["ga.population.education_years", "ga.population.id_number"],
        "operations": ["aggregate", "count", "group"],
        "ends": f"{SystemClock().now() + timedelta(days=30):%Y-%m-%d}",
    }  # fmt: skip
    state = handling.apply(wish, PERSONAS["steward_amr"])
    handling.act(1, BUREAU, lambda s, now: acts.accept(s, BUREAU, now))
    wanted, columns = state.application, state.parts["ga"].columns
    given = Answer(columns, wanted.operations, wanted.regions, wanted.ends)
    handling.act(1, OWNER, lambda s, now: acts.answer(s, given, OWNER, now))
    assert code(platform, YEARS, "visitor") == ""
    handling.act(1, OFFICER, lambda s, now: stopping.suspend(s, "核查", OFFICER, now))
    assert code(platform, YEARS, "visitor") == "P003"

    life.publish(OFFICER, life.propose(OFFICER, closed_regions(), "close them"))
    platform.publish(life.standing().bundle)
    assert code(platform, SQL) == "P001"
    assert code(platform, "SELECT sex, COUNT(*) AS n FROM ga.population GROUP BY sex") == ""
    node = platform.nodes["ga"].node
    assert (node.policies.number, node.bundle.digest) == (1, platform.gateway.bundle.digest)
