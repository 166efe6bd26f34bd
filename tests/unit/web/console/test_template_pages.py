"""Approved templates in the browser: listed, taken into the editor with one click, asked and answered."""

import re
import shutil
from dataclasses import replace
from html import unescape

import pytest
from analyst_world import opened_world, text_of

from middleplatform.policy.examples import example

SQL = """\
SELECT s.plan_code, AVG(s.contribution_base) AS base
      FROM ss.insurance s WHERE s.copay_pct >= :least GROUP BY s.plan_code"""
NORMAL = SQL.replace("\n      ", "\n").replace(":least", "25")
"""As the YAML gives it, without the margin."""
JOINED = (
    "SELECT p.sex, COUNT(*) AS n, SUM(s.contribution_base) AS base FROM ga.population p "
    "JOIN ss.insurance s ON p.id_number = s.id_number GROUP BY p.sex"
)
WRITTEN = f"""
templates:
  base:
    title_zh: 按参保类型的平均缴费基数
    title_en: Average contribution base by plan
    sql: |-
      {SQL}
    parameters: {{least: [0, 25]}}
    departments: [drc]
    purposes: [statistics, planning]
    regions: ["*"]
    starts: 2026-01-01
    ends: 2036-01-01
    basis: 《统计法》第三条；缴费基数公示
    risk: {{secrecy: 不涉及, personal: 仅汇总, assessed_by: 社保局, assessed_on: 2025-12-01}}
    approved_by: [officer_a, officer_b, steward_ss]
  joined:
    title_zh: 按性别的缴费基数合计
    title_en: Contribution bases by sex
    sql: {JOINED}
    departments: [drc]
    purposes: [planning]
    regions: ["*"]
    starts: 2026-01-01
    ends: 2036-01-01
    basis: 《统计法》第三条
    risk: {{secrecy: 不涉及, personal: 仅汇总, assessed_by: 社保局, assessed_on: 2025-12-01}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    folder = tmp_path_factory.mktemp("templates")
    bundle = folder / "bundle"
    shutil.copytree(str(example("demo")), bundle)
    (bundle / "templates.yaml").write_text(WRITTEN, encoding="utf-8")
    with opened_world(folder, demo_data, bundle=bundle) as made:
        yield made


@pytest.fixture
def many(world):
    """Thirty copies more; another statement each, as a policy must have them."""
    gateway = world.app.state.gateway
    old, found = gateway.bundle, gateway.bundle.templates["base"]
    more = {
        f"t{n:02}": replace(found, name=f"t{n:02}", title_en=f"Copy {n}", sql=f"{SQL} LIMIT {n}")
        for n in range(30)
    }
    gateway.bundle = replace(old, templates={"base": found, **more})
    yield
    gateway.bundle = old


def editor(page):
    return unescape(
        re.search(r'<textarea[^>]*name="sql"[^>]*>\n?(.*?)</textarea>', page.text, re.DOTALL).group(
            1
        )
    )


def test_taken_asked_and_answered_with_no_human_step_and_the_log_names_it(world):
    page = world.post("/console/ask/template", template="base", **{"base.least": "25"})
    _, answered = world.answered(editor(page))
    assert "base" in text_of(answered)
    (entry,) = list(world.platform.gateway.audit.entries())[-1:]
    assert (entry.record.event, entry.record.body["grants"][-1]) == ("released", "T/base")
    _, refused = world.answered(editor(page).replace("25", "50"))
    said = text_of(refused)
    assert "P003" in said
    assert "Approved template base covers this: Average contribution base by plan." in said


def test_rows_of_two_departments_are_joined_under_one_and_every_party_lets_it_pass(world):
    _, answered = world.answered(JOINED, purpose="planning")
    (entry,) = list(world.platform.gateway.audit.entries())[-1:]
    body = entry.record.body
    assert (entry.record.event, body["protocol"]) == ("released", "private_join"), text_of(answered)
    assert "T/joined" in body["grants"]
    world.answered(JOINED.replace("COUNT(*) AS n, ", ""), purpose="planning")
    (entry,) = list(world.platform.gateway.audit.entries())[-1:]
    assert (entry.record.event, entry.record.body["rule"]) == ("refused", "G1")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_lists_what_is_open_in_pages_and_by_words(world, language):
    page = world.get("/console/templates", language=language)
    assert page.status_code == 200
    said = text_of(page)
    assert (
        "按参保类型的平均缴费基数" if language == "zh" else "Average contribution base by plan"
    ) in said
    assert "《统计法》第三条" in said
    assert "Copy 29" not in said
    assert (
        world.get("/console/templates?page=2", language=language).text.count('name="template"') == 6
    )
    assert world.get("/console/templates?q=Copy+29").text.count('name="template"') == 1
    assert not re.search(r"<style|\son\w+=|\sstyle=|javascript:", page.text)


@pytest.mark.usefixtures("many")
def test_ids_stand_once(world):
    for path in ("/console/templates", "/console/ask"):
        ids = re.findall(r'\sid="([^"]+)"', world.get(path).text)
        assert sorted(ids) == sorted(set(ids))


@pytest.mark.usefixtures("many")
def test_beside_the_editor_there_are_a_few_and_the_way_to_all(world):
    page = world.get("/console/ask")
    assert page.text.count('name="template"') == 5
    assert '<a href="/console/templates">' in page.text


def test_one_click_fills_the_editor_with_the_chosen_value(world):
    page = world.post("/console/ask/template", template="base", **{"base.least": "25"})
    assert page.status_code == 200
    assert editor(page) == NORMAL
    assert re.search(r'value="planning" selected', page.text)


def test_a_value_that_is_not_permitted_is_not_taken(world):
    page = world.post("/console/ask/template", template="base", **{"base.least": "0 OR TRUE"})
    assert editor(page) == NORMAL.replace("25", "0")


def test_what_is_closed_to_a_person_is_neither_listed_nor_taken(world):
    page = world.get("/console/templates", "steward_ga")
    assert "No template is open to you." in text_of(page)
    assert 'name="template"' not in world.get("/console/ask", "steward_ga").text
    for person, name in (("steward_ga", "base"), ("analyst_drc", "none")):
        assert world.post("/console/ask/template", person, template=name).status_code == 404


@pytest.mark.parametrize("person", ["officer_a", "auditor", "sysadmin"])
def test_who_may_not_ask_sees_none(world, person):
    assert world.get("/console/templates", person).status_code == 403
    assert world.post("/console/ask/template", person, template="base").status_code == 403


def test_a_form_without_its_token_takes_nothing(world):
    sent = world.ask("POST", "/console/ask/template", data={"csrf": "", "template": "base"})
    assert sent.status_code == 403
