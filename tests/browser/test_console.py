"""The parts that pages are made of, in a browser: with the keyboard, on a small screen, under the content security policy."""

import re

import pytest
from playwright.sync_api import expect

LANGUAGES = ("en", "zh")


@pytest.fixture
def parts(tab, specimen):
    """Return what opens the page with every part."""

    def open_parts(language="en", **settings):
        made = tab(specimen.url, language, cookies={"session": "analyst"}, **settings)
        made.open("/console/specimen")
        return made

    return open_parts


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_is_accessible_in_both_languages_in_light_and_dark(parts, language):
    made = parts(language, color_scheme="dark" if language == "zh" else "light")
    made.page.locator(".cm-lintRange-error").wait_for()
    made.page.locator("data-chart svg").wait_for()
    made.shoot("specimen")
    assert made.axe() == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_fits_a_small_screen_and_is_accessible_there(parts, language):
    made = parts(language, width=360, height=740, has_touch=True)
    made.page.locator("data-chart svg").wait_for()
    assert made.overflow() <= 0
    made.shoot("specimen-small")
    assert made.axe() == []


def test_first_key_leads_past_the_navigation(parts):
    page = parts().page
    page.keyboard.press("Tab")
    link = page.locator(":focus")
    assert link.inner_text() == "Skip to the content"
    assert link.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


REACHED = """async () => {
    let focused = document.activeElement;
    while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
    if (focused === document.body) return null;
    const editor = focused.closest(".cm-editor");
    if (editor) await new Promise((done) => setTimeout(done, 50));  // it notices its focus a little later
    const style = getComputedStyle(editor ?? focused);
    return [focused.outerHTML.slice(0, 80), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""
FIELDS = "a[href], button, input:not([type=hidden]), select, textarea"


def test_every_link_button_and_field_is_reached_with_the_tab_key_and_seen(tab, specimen):
    page = tab(specimen.url, cookies={"session": "analyst"}).open("/console/specimen?q=dataset_5")
    page.locator(".cm-content").wait_for()
    wanted = page.locator(FIELDS).locator("visible=true").count()
    seen = []
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        if (found := page.evaluate(REACHED)) is None:
            break
        seen.append(found)
    assert [name for name, outlined in seen if not outlined] == []
    others = [name for name, _ in seen if name.startswith("<div")]
    assert len(others) == 2  # the list that scrolls, and the editor
    assert len(seen) == wanted + len(others)


def test_language_is_switched_and_stays_and_the_page_with_it(tab, specimen):
    made = tab(specimen.url, cookies={"session": "analyst"})
    page = made.open("/console/specimen?q=dataset_1&page=1")
    page.get_by_role("link", name="中文").click()
    expect(page).to_have_url(re.compile(r"/console/specimen\?q=dataset_1\&page=1$"))
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.get_by_role("link", name="首页").first.click()
    expect(page).to_have_title("首页 · 数据中台")
    page.get_by_role("link", name="English").click()
    expect(page).to_have_title("Home · Data middle platform")


def test_list_is_filtered_paged_and_linked_to(parts):
    page = parts().page
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile(r"\?page=2$"))
    expect(page.get_by_role("rowheader").first).to_have_text("dataset_25")
    page.get_by_role("searchbox").fill("DATASET_5")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?q=DATASET_5$"))
    expect(page.get_by_text("1 to 10 of 10")).to_be_visible()
    page.get_by_role("searchbox").fill("none such")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_text("1 to 25 of 60")).to_be_visible()


def test_form_is_sent_and_its_sentence_shown_once(parts):
    page = parts().page
    page.get_by_role("button", name="Send").click()
    expect(page).to_have_url(
        re.compile(r"/console/specimen$")
    )  # the browser itself asks for what is required
    page.get_by_label("Word").fill("<b>first</b>")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Sent: <b>first</b>")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Sent:")).to_have_count(0)


def test_dialog_opens_and_closes_with_the_keyboard_and_gives_the_focus_back(parts):
    made = parts()
    page, opener = made.page, made.page.get_by_role("button", name="Stop it")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Stop this?")
    assert dialog.is_visible()
    assert made.axe() == []
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert opener.evaluate("each => each === document.activeElement")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Cancel").click()
    assert not dialog.is_visible()


def test_editor_completes_names_of_the_catalogue(parts):
    page = parts().page
    page.get_by_role("textbox", name="Question").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("SELECT p. FROM ga.population p")
    for _ in range(len(" FROM ga.population p")):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+Space")
    offered = page.locator(".cm-tooltip-autocomplete li")
    offered.filter(has_text="birth_year").click()
    assert page.locator("#sql").input_value() == "SELECT p.birth_year FROM ga.population p"


@pytest.mark.parametrize("language", LANGUAGES)
def test_refusal_is_underlined_at_its_place_and_one_click_passes(parts, specimen, language):
    before = len(specimen.checks)
    made = parts(language)
    page = made.page
    assert page.locator(".cm-lintRange-error").inner_text() == "id_number"
    # The page asks by itself soon after it opened, maybe before it was looked at.
    for _ in range(200):
        if len(specimen.checks) > before:
            break
        page.wait_for_timeout(50)
    assert len(specimen.checks) > before
    page.get_by_role("textbox", name=made.say("Question", "查询")).click()
    page.keyboard.press("F8")
    told = page.locator(".cm-diagnostic")
    told.wait_for()
    assert made.say("rule R3 · ga", "规则 R3 · ga") in told.inner_text()
    made.shoot("editor")
    assert made.axe() == []
    told.get_by_role("button", name="Count people").click()
    assert page.locator("#sql").input_value().startswith("SELECT sex, COUNT(*) AS n FROM")
    page.locator(".cm-lintRange-error").wait_for(state="detached")
    assert "COUNT(*)" in specimen.checks[-1]


def test_places_are_counted_as_the_platform_counts_them(parts):
    page = parts().page
    page.get_by_role("textbox", name="Question").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("SELECT '𠮷', id_number, x")  # a character of two UTF-16 units
    page.locator(".cm-lintRange-error", has_text="id_number").wait_for()
    assert page.locator(".cm-lintRange-error").inner_text() == "id_number"


def test_editor_sends_what_it_shows_and_lets_the_keyboard_go_on(parts):
    page = parts().page
    page.get_by_role("textbox", name="Question").click()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Ask"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+End")
    page.keyboard.insert_text(" more")
    with page.expect_request(
        lambda request: request.method == "POST" and "check" not in request.url
    ) as sent:
        page.keyboard.press("Control+Enter")
    assert "more" in sent.value.post_data
    expect(page.get_by_text("Sent:")).to_be_visible()


def test_chart_tells_its_numbers_and_what_is_withheld(parts):
    drawn = parts().page.get_by_role("img", name="People by district")
    told = drawn.get_attribute("aria-label")
    assert "990101, men: 120 (110 – 130), women: 130" in told
    assert "990103, men: withheld" in told
    assert drawn.locator("svg").count() == 1


def test_progress_is_replaced_by_what_comes(parts):
    page = parts().page
    page.locator("#arrived").wait_for()
    assert page.get_by_text("Departments work").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_works_without_scripts(parts, language):
    made = parts(language, java_script_enabled=False)
    page = made.page
    assert page.locator("#sql").is_visible()
    page.locator("#word").fill("plain")
    page.get_by_role("button", name=made.say("Send", "提交")).click()
    expect(page.get_by_text(made.say("Sent: plain", "已提交：plain"))).to_be_visible()


def test_browser_stops_every_script_and_style_that_stands_in_a_page(tab, specimen):
    made = tab(specimen.url, cookies={"session": "analyst"})
    page = made.open("/console/specimen/frame")
    page.locator("#x").click()
    assert page.title() == "Inline"
    assert page.locator("#x").evaluate("each => getComputedStyle(each).color") == "rgb(0, 0, 0)"
    stopped = page.evaluate("window.stopped.splice(0)")
    assert {re.match(r"[a-z-]+", each)[0] for each in stopped} == {
        "script-src-elem",
        "script-src-attr",
        "style-src-attr",
    }
    made.errors.clear()


@pytest.mark.parametrize("language", LANGUAGES)
def test_error_and_home_pages_are_accessible(tab, specimen, language):
    made = tab(specimen.url, language, cookies={"session": "analyst"}, width=360)
    for name, path in (("error", "/console/nowhere"), ("home", "/console")):
        made.open(path)
        assert made.overflow() <= 0
        made.shoot(name)
        assert made.axe() == []
