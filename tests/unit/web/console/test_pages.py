"""What holds for every page of the console: who is let in, from where forms come, which language it speaks."""

import base64
import re

import pytest

from middleplatform.errors import ConfigError, LimitError
from middleplatform.model.request import Role
from middleplatform.web.console import forms, listing, pages

OFFICER = frozenset({Role.SECURITY_OFFICER})


def said(request):
    """Show what the form said."""
    return pages.redirect(request, "/console", (forms.form_of(request).one("word"), "已"))


def test_stranger_is_sent_to_the_login_and_back_to_the_page(browser):
    found = browser.ask("GET", "/console?q=a b")
    assert found.status_code == 303
    assert found.headers["location"] == "/console/login?next=/console%3Fq%3Da%2520b"


def test_script_of_a_stranger_is_told_to_go_to_the_login(browser):
    found = browser.ask("GET", "/console", headers={"HX-Request": "true"})
    assert found.status_code == 401
    assert found.headers["hx-redirect"].startswith("/console/login")


@pytest.mark.parametrize("role", list(Role))
def test_page_opens_for_its_roles_only(browser, role):
    pages.add(
        browser.app,
        "GET",
        "/console/x",
        lambda request: pages.render(request, "home.html", cards=[], department=("drc", "drc")),
        OFFICER,
    )
    found = browser.ask("GET", "/console/x", role)
    assert found.status_code == (200 if role == "security_officer" else 403)
    if found.status_code == 403:
        assert "P004" in found.text
        assert "<html" in found.text


def test_two_pages_cannot_have_one_address(browser):
    with pytest.raises(AssertionError):
        pages.add(browser.app, "GET", "/console", said, OFFICER)


GOOD = {"word": "yes", "csrf": "token-of-security_officer"}


@pytest.mark.parametrize(
    ("role", "data", "headers", "status"),
    [
        ("security_officer", GOOD, {}, 303),
        ("security_officer", GOOD, {"Sec-Fetch-Site": "same-origin"}, 303),
        ("security_officer", GOOD, {"Origin": "http://test"}, 303),
        ("security_officer", {"word": "yes"}, {"X-CSRF-Token": "token-of-security_officer"}, 303),
        ("security_officer", {"word": "yes"}, {}, 403),
        ("security_officer", GOOD | {"csrf": "token-of-auditor"}, {}, 403),
        ("security_officer", GOOD | {"csrf": "错"}, {}, 403),
        ("security_officer", GOOD, {"Sec-Fetch-Site": "cross-site"}, 403),
        ("security_officer", GOOD, {"Sec-Fetch-Site": "same-site"}, 403),
        ("security_officer", GOOD, {"Sec-Fetch-Site": "none"}, 403),
        ("security_officer", GOOD, {"Origin": "https://elsewhere.example"}, 403),
        ("security_officer", GOOD, {"Origin": "null"}, 403),
        ("security_officer", GOOD, {"Origin": "http://["}, 403),
        ("auditor", GOOD | {"csrf": "token-of-auditor"}, {}, 403),
        ("", GOOD, {}, 303),
    ],
)  # fmt: skip
def test_form_counts_only_from_a_page_of_the_same_session(browser, role, data, headers, status):
    pages.add(browser.app, "POST", "/console/x", said, OFFICER)
    found = browser.ask("POST", "/console/x", role, data=data, headers=headers)
    assert found.status_code == status
    assert ("notice" in found.headers.get("set-cookie", "")) == (status == 303 and bool(role))


def test_body_that_is_no_form_is_refused(browser):
    pages.add(browser.app, "POST", "/console/x", said, OFFICER)
    for settings in (
        {"json": {}},
        {"content": b"word=%FF", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ):
        assert browser.ask("POST", "/console/x", "security_officer", **settings).status_code == 400


def test_notice_is_shown_once_and_escaped(browser):
    pages.add(browser.app, "POST", "/console/x", said, OFFICER)
    made = browser.ask(
        "POST", "/console/x", "security_officer", data=GOOD | {"word": "<b>done</b>"}
    )
    cookie = made.headers["set-cookie"].partition(";")[0]
    shown = browser.ask(
        "GET", "/console", headers={"Cookie": f"session=security_officer; {cookie}"}
    )
    assert "&lt;b&gt;done&lt;/b&gt;" in shown.text
    assert 'notice=""' in shown.headers["set-cookie"]


NESTED = base64.urlsafe_b64encode(b"[" * 9000).decode()


@pytest.mark.parametrize("notice", ["x", "bm8=", "WzFd", "e30=", "WyJhIiwgImIiLCAiYyJd", NESTED])
def test_notice_that_is_not_ours_is_dropped(browser, notice):
    shown = browser.ask("GET", "/console", headers={"Cookie": f"session=auditor; notice={notice}"})
    assert shown.status_code == 200
    assert 'role="status"' not in shown.text


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9", "zh-CN"),
        ("zh", "en", "zh-CN"),
        ("en", "zh", "en"),
        ("fr", "zh", "zh-CN"),
    ],
)
def test_language_is_the_chosen_one_else_the_browsers(browser, cookie, accepted, language):
    headers = {"Cookie": f"session=auditor; language={cookie}", "Accept-Language": accepted}
    found = browser.ask("GET", "/console", headers=headers)
    assert f'<html lang="{language}">' in found.text
    assert found.headers["content-language"] == language


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/console/x?q=1", "/console/x?q=1"),
        ("/console?q=1", "/console?q=1"),
        ("//elsewhere.example", "/console"),
        ("https://elsewhere.example/console/", "/console"),
        ("/console/\\elsewhere", "/console"),
        ("/consoles", "/console"),
        ("/v1/audit/entries", "/console"),
        ("", "/console"),
    ],
)
def test_switch_of_languages_leads_back_into_the_console_only(browser, wanted, target):
    found = browser.ask("GET", "/console/language/zh", params={"next": wanted})
    assert found.headers["location"] == target
    assert "language=zh" in found.headers["set-cookie"]


def test_page_may_load_files_of_this_host_only(browser):
    found = browser.ask("GET", "/console", "auditor")
    rules = dict(
        each.strip().split(" ", 1) for each in found.headers["content-security-policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert found.headers["cache-control"] == "no-store"
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", found.text)


def test_static_file_is_kept_for_good_and_found_by_its_exact_name_only(browser):
    page = browser.ask("GET", "/console", "auditor").text
    path = re.search(r"/console/static/console\.[0-9a-f]{16}\.css", page)[0]
    found = browser.ask("GET", path)
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = browser.ask("GET", path, headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for wrong in (
        "/console/static/console.css",
        "/console/static/..%2Fapp.py",
        "/console/static/LICENSES.md",
    ):
        missing = browser.ask("GET", wrong)
        assert missing.status_code == 404
        assert missing.headers["cache-control"] == "no-store"


def test_unknown_address_is_a_page_in_the_language_of_the_reader(browser):
    found = browser.ask("GET", "/console/nowhere", headers={"Accept-Language": "zh"})
    assert found.status_code == 404
    assert "不存在该地址" in found.text
    assert "不存在该地址" not in browser.ask("GET", "/v1/nowhere").text


def test_what_nobody_foresaw_is_a_page_without_its_text(browser):
    def broken(_):
        raise RuntimeError("secret")

    pages.add(browser.app, "GET", "/console/x", broken, None)
    found = browser.ask("GET", "/console/x")
    assert found.status_code == 500
    assert "C099" in found.text
    assert "secret" not in found.text


def test_error_of_the_sessions_themselves_is_a_page(browser):
    def broken(_):
        raise RuntimeError("secret")

    browser.app.state.services.sessions.subject = broken
    found = browser.ask("GET", "/console", "auditor")
    assert found.status_code == 500
    assert "C099" in found.text


def test_who_asks_too_fast_costs_no_look_at_the_sessions(browser):
    def busy(_):
        raise LimitError("L001")

    looked = []
    browser.app.state.services.sessions.subject = looked.append
    pages.add(browser.app, "GET", "/console/x", busy, None)
    found = browser.ask("GET", "/console/x", "auditor")
    assert (found.status_code, looked) == (429, [])
    assert found.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("role", "seen"), [("security_officer", True), ("auditor", False)])
def test_navigation_and_home_show_what_the_role_may_open(browser, role, seen):
    entry = pages.Entry(
        "/console/x", ("Rules", "规则"), ("Change them.", "修改。"), OFFICER, waiting=lambda _: 3
    )
    pages.navigate(browser.app, entry)
    found = browser.ask("GET", "/console", role).text
    assert ("Rules" in found) == ("3 waiting" in found) == seen


@pytest.mark.parametrize(
    ("query", "items", "numbers"),
    [
        ("", [0, 1], (1, 1, 2, 3)),
        ("page=2", [2, 3], (2, 3, 4, 3)),
        ("page=99", [4], (3, 5, 5, 3)),
        ("page=-1", [0, 1], (1, 1, 2, 3)),
        ("page=²", [0, 1], (1, 1, 2, 3)),
        ("q=ITEM+3", [3], (1, 1, 1, 1)),
        ("q=none", [], (1, 0, 0, 1)),
    ],
)
def test_list_is_filtered_and_cut_by_its_address(browser, query, items, numbers):
    kept = []

    def handler(request):
        kept.append(listing.listed(request, range(5), lambda each: f"item {each}", 2))
        return pages.render(request, "home.html", cards=[], department=("drc", "drc"))

    pages.add(browser.app, "GET", "/console/x", handler, pages.ALL)
    assert browser.ask("GET", f"/console/x?{query}", "auditor").status_code == 200
    found = kept[0]
    assert list(found) == items
    assert (found.number, found.first, found.last, found.pages) == numbers


def test_home_shows_what_waits_first_and_stays_when_an_area_cannot_say(browser):
    def broken(_):
        raise ConfigError("C015", what=("it is away", "不可用"))

    for name, waiting in (("Calm", lambda _: 0), ("Broken", broken), ("Urgent", lambda _: 2)):
        entry = pages.Entry(
            f"/console/{name}", (name, name), ("About.", "说明。"), OFFICER, waiting=waiting
        )
        pages.navigate(browser.app, entry)
    found = browser.ask("GET", "/console", "security_officer")
    cards = re.findall(r'<h2><a href="/console/(\w+)"', found.text)
    assert cards[0] == "Urgent"
    assert set(cards) >= {"Calm", "Broken"}
    told = dict(
        re.findall(r'<h2><a href="/console/(\w+)".*?</h2>(.*?)</li>', found.text, re.DOTALL)
    )
    assert [name for name in ("Urgent", "Calm", "Broken") if "waiting" in told[name]] == [
        "Urgent",
        "Calm",
    ]
