"""An approved template from the editor's side to its answer, at a telephone's width, in both languages."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from middleplatform.policy.examples import example
from tests.browser.service import serving
from tests.docs.pages import ROOT

GUIDE = ROOT / "docs/howto/approve-a-template.md"


@pytest.fixture(scope="module")
def approving(tmp_path_factory, demo_data):
    """Return a service whose policy has the guide's template."""
    folder = tmp_path_factory.mktemp("templates")
    bundle = folder / "bundle"
    shutil.copytree(str(example("demo")), bundle)
    template = re.search(
        r"```yaml\n(templates:.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    (bundle / "templates.yaml").write_text(template[1], encoding="utf-8")
    with serving(folder / "state", demo_data, bundle) as found:
        yield found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_template_is_found_filled_in_asked_and_answered(tab, approving, language):
    made = tab(approving.url, language, cookies=approving.cookies("analyst_drc"), width=360)
    page = made.open("/console/templates")
    expect(page.get_by_role("table")).to_contain_text("base_by_plan")
    assert (made.overflow() <= 0, made.axe()) == (True, [])
    made.shoot("templates")

    made.open("/console/ask")
    page.locator("details summary").filter(
        has_text=made.say("Approved templates", "获批模板")
    ).click()
    page.get_by_label(":least").select_option("25")
    assert (made.overflow() <= 0, made.axe()) == (True, [])
    made.shoot("templates-ask")
    take = made.say("Take Average contribution base by plan", "采用“按参保类型的平均缴费基数”")
    page.get_by_role("button", name=take).click()

    expect(page.locator(".cm-content")).to_contain_text("s.copay_pct >= 25")
    assert page.locator(".cm-lintRange-error").count() == 0
    page.get_by_role("button", name=made.say("Ask", "提交查询"), exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(made.say("Answer", "结果"))
    made.check()
