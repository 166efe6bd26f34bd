"""A template that is published is answered from the next question on, by gateway and nodes; taken back, by neither."""

import asyncio
import re

import pytest

from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.policy.examples import example
from middleplatform.settings import Settings
from tests.docs.pages import ROOT

OFFICER, SECOND, OWNER = (PERSONAS[name] for name in ("officer_a", "officer_b", "steward_ss"))
GUIDE = (ROOT / "docs/howto/approve-a-template.md").read_text(encoding="utf-8")
TEMPLATE = re.search(r"```yaml\n(templates:.*?)```", GUIDE, re.DOTALL)[1]
ASKED = (
    "SELECT s.plan_code, AVG(s.contribution_base) AS base "
    "FROM ss.insurance s WHERE s.copay_pct >= 25 GROUP BY s.plan_code"
)


@pytest.fixture
def platform(demo_data, tmp_path):
    with open_platform(Settings(state=tmp_path / "state", data=demo_data), governed=True) as opened:
        yield opened


def published(platform, *approving, template=""):
    """Publish the demonstration's policy with a template, or without any."""
    found = {
        each.name: each.read_text(encoding="utf-8")
        for each in example("demo").iterdir()
        if each.name.endswith(".yaml")
    }
    life = platform.lifecycle
    files = {**found, "templates.yaml": template} if template else found
    number = life.propose(OFFICER, files, "a template")
    for each in approving:
        life.approve(each, number)
    life.publish(OFFICER, number)
    platform.publish(life.standing().bundle)


def code(platform, sql=ASKED):
    request = platform.gateway.request(sql, PERSONAS["analyst_drc"], "statistics")
    try:
        asyncio.run(platform.gateway.submit(request))
    except MiddleplatformError as error:
        return error.code
    return ""


def test_a_template_is_published_with_two_more_yes_answered_and_taken_back_with_none(platform):
    assert code(platform) == "P003"
    published(platform, SECOND, OWNER, template=TEMPLATE)
    assert code(platform) == ""
    told = [entry.record.body for entry in platform.nodes["ss"].node.journal.log.entries()]
    assert told[-1]["template"] == "base_by_plan"
    assert code(platform, ASKED.replace("25", "95")) == "P003"
    published(platform)
    assert code(platform) == "P003"
