"""The analyst's way through the console: refused, the form that passes taken, answered, drawn, taken along."""

import re

import pytest
from playwright.sync_api import expect

LANGUAGES = ("en", "zh")
REFUSED = (
    "SELECT region_code, name, COUNT(*) AS people FROM ga.population GROUP BY region_code, name"
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_refused_then_the_offered_form_then_answer_chart_and_file(tab, service, language):
    made = tab(service.url, language, cookies=service.cookies("analyst_drc"))
    page = made.open("/console/ask")
    editor = page.locator(".cm-content")
    editor.click()
    page.keyboard.insert_text(REFUSED)
    fault = page.locator(".cm-lintRange-error").first
    expect(fault).to_have_text("name")
    made.shoot("analyst-fault")
    assert made.axe() == []
    page.get_by_role("button", name=made.say("Ask", "提交查询"), exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text(
        made.say("Refused by policy", "策略拒绝")
    )
    expect(page.locator("pre.faults mark").first).to_contain_text("name")
    made.shoot("analyst-refused")
    assert made.axe() == []
    page.get_by_role("button", name=made.say("Take this form", "采用此写法")).click()

    expect(page.locator(".cm-content")).not_to_contain_text("name,")
    page.get_by_role("button", name=made.say("What would happen", "预览处理过程")).click()
    expect(page.locator("svg.picture")).to_be_visible()
    made.shoot("analyst-explained")
    assert made.axe() == []
    page.get_by_role("button", name=made.say("Ask", "提交查询"), exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text(made.say("Answer", "结果"))
    expect(page.locator("data-chart svg")).to_be_visible()
    expect(page.get_by_role("cell", name="990101")).to_be_visible()
    made.shoot("analyst-answer")
    assert made.axe() == []
    with page.expect_download() as taken:
        page.get_by_role("link", name="Excel").click()
    assert re.fullmatch(r"answer-\w+\.xlsx", taken.value.suggested_filename)


def test_one_click_in_the_editor_takes_the_form_that_passes(tab, service):
    made = tab(service.url, "en", cookies=service.cookies("analyst_drc"))
    page = made.open("/console/ask")
    page.locator(".cm-content").click()
    page.keyboard.insert_text("SELECT MAX(income_total) FROM tax.individual_income")
    expect(page.locator(".cm-lintRange-error").first).to_have_text("income_total")
    page.keyboard.press("F8")
    told = page.locator(".cm-diagnostic").first
    told.get_by_role("button", name="Use the form that passes").click()
    expect(page.locator(".cm-content")).to_contain_text("AVG(income_total)")
    expect(page.locator(".cm-lintRange-error")).to_have_count(0)


def test_everything_works_without_scripts(tab, service):
    made = tab(
        service.url,
        "en",
        cookies=service.cookies("analyst_drc"),
        java_script_enabled=False,
        width=360,
    )
    page = made.open("/console/ask")
    page.get_by_label("Question (SQL)").fill("SELECT id_number FROM ga.population")
    page.get_by_role("button", name="What would happen").click()
    expect(page.locator("pre.faults mark")).to_have_text(re.compile("id_number"))
    page.get_by_role("button", name="Ask it now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Answer")
    assert made.overflow() <= 0
