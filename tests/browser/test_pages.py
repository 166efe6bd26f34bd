"""Every page of the console, for people who may open it: accessible, in both languages, on a small screen."""

import re
from html import unescape

import pytest
from fastapi import FastAPI
from playwright.sync_api import expect

from middleplatform.web.console import app as console

LANGUAGES = ("en", "zh")
OLD = "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE 2024 - birth_year >= 60 GROUP BY region_code"

PAGES = {
    "/console": ["analyst_drc", "steward_ga", "officer_a", "auditor", "bureau"],
    "/console/admin/connectors": ["sysadmin"],
    "/console/admin/sessions": ["sysadmin", "officer_a"],
    "/console/admin/tokens": ["sysadmin"],
    "/console/answers/{query_id}": ["analyst_drc"],
    "/console/ask": ["analyst_drc"],
    "/console/audit/checkpoint": ["auditor"],
    "/console/audit/figures": ["auditor"],
    "/console/audit/findings": ["auditor"],
    "/console/audit/inspection": ["auditor"],
    "/console/audit/log": ["auditor"],
    "/console/audit/log/{index}": ["auditor"],
    "/console/audit/proof": ["auditor"],
    "/console/audit/releases": ["auditor", "officer_a"],
    "/console/audit/transparency": ["auditor"],
    "/console/budget": ["analyst_drc"],
    "/console/catalog": ["analyst_drc"],
    "/console/catalog/{dataset}": ["analyst_drc"],
    "/console/department/applications": ["steward_ss", "bureau", "officer_a", "auditor"],
    "/console/department/applications/{number}": ["steward_ss", "bureau", "officer_a", "auditor"],
    "/console/department/connectors": ["steward_ga"],
    "/console/department/quality": ["steward_ga"],
    "/console/department/receipts": ["steward_ga"],
    "/console/department/usage": ["steward_ga", "bureau"],
    "/console/history": ["analyst_drc"],
    "/console/login": [""],
    "/console/my/applications": ["analyst_drc"],
    "/console/my/applications/emergency": ["analyst_drc"],
    "/console/my/applications/new": ["analyst_drc"],
    "/console/my/applications/{number}": ["analyst_drc"],
    "/console/policy": ["officer_a", "steward_ga", "auditor"],
    "/console/freezes": ["officer_a", "bureau"],
    "/console/freezes/alerts": ["officer_a"],
    "/console/policy/classification": ["officer_a"],
    "/console/policy/classify": ["officer_a"],
    "/console/policy/draft": ["officer_a"],
    "/console/policy/simulate": ["officer_a"],
    "/console/policy/simulations/{simulation}": ["officer_a"],
    "/console/policy/tests": ["officer_a"],
    "/console/policy/proposals/{proposal}": ["officer_a"],
    "/console/policy/versions/{version}": ["officer_a"],
    "/console/saved": ["analyst_drc"],
    "/console/templates": ["analyst_drc"],
    "/console/tickets": ["analyst_drc"],
    "/console/tickets/new": ["analyst_drc"],
    "/console/tickets/{ticket}": ["steward_ga"],
}
"""Who opens which page; several where they see different things. An empty name is nobody logged in."""

QUERIES = {"/console/policy/classify": "?dataset=ga.population&column=education_years"}
"""What a page is asked for that shows nothing without it."""

NO_PAGES = {
    "/console/answers/{query_id}/chart": "JSON",
    "/console/answers/{query_id}/export/{format}": "a file",
    "/console/answers/{query_id}/progress": "a part of a page",
    "/console/answers/{query_id}/report/{format}": "a file",
    "/console/ask/completions": "JSON",
    "/console/audit/log/{index}/proof": "a file",
    "/console/audit/log/{index}/report/{format}": "a file",
    "/console/audit/releases/export/{format}": "a file",
    "/console/department/usage/export/{format}": "a file",
    "/console/language/{locale}": "a redirection",
    "/console/login/callback": "a redirection",
    "/console/login/oidc": "a redirection",
    "/console/logout/provider": "a redirection",
    "/console/policy/simulations/{simulation}/progress": "a part of a page",
}
"""What else can be asked for, and why it is not a page."""


def registered():
    app = FastAPI()
    console.register(app)
    return {path for method, path in app.state.console.table if method == "GET"}


def test_no_page_is_forgotten_here():
    assert registered() == set(PAGES) | set(NO_PAGES)


@pytest.fixture(scope="module")
def places(service):
    """Things that pages are about: what stands for the parameters of an address."""
    asked = service.send("analyst_drc", "/console/ask", sql=OLD, purpose="statistics")
    applied = service.send(
        "analyst_drc", "/console/my/applications/new", column="ss.insurance.contribution_base", purpose="statistics",
        basis="三定方案第四条", scenario="年度统计", scope="全市参保人员", operation="aggregate", everyone="yes", ends="2027-10-31",
    )  # fmt: skip
    ticket = service.send(
        "analyst_drc",
        "/console/tickets/new",
        about="ga.population",
        kind="objection",
        text="数据有误",
    )
    with service.client("officer_a") as client:
        page = client.get("/console/policy/draft").text
    names = re.findall(r'name="name" value="([^"]+)"', page)
    texts = [
        unescape(each)
        for each in re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    ]
    texts[names.index("manifest.yaml")] += "# weighed\n"
    proposed = service.send(
        "officer_a", "/console/policy/draft/propose", name=names, text=texts, reason="a comment"
    )
    published = service.send("officer_a", f"{proposed.headers['location']}/publish")
    return {
        "simulation": simulated(service, names, texts),
        "proposal": re.search(r"/proposals/(\d+)$", proposed.headers["location"])[1],
        "version": re.search(r"/versions/(\d+)$", published.headers["location"])[1],
        "ticket": re.search(r"/tickets/(\w+)$", ticket.headers["location"])[1],
        "query_id": re.search(r"/answers/(\w+)", asked.headers["location"])[1],
        "dataset": "ga.population",
        "index": "0",
        "number": re.search(r"/applications/(\w+)$", applied.headers["location"])[1],
    }


def simulated(service, names, texts):
    """Simulate a draft by which years of birth may not be used; return its number once it has ended."""
    narrow = [each.replace("birth_year: {generalise: 5}", "birth_year: {use: denied}") for each in texts]  # fmt: skip
    assert narrow != texts
    begun = service.send("officer_a", "/console/policy/draft/simulate", name=names, text=narrow)
    assert begun.status_code == 303, begun.text
    with service.client("officer_a") as client:
        for _ in range(100):
            page = client.get(begun.headers["location"]).text
            if "hx-trigger" not in page:
                assert "No department was contacted" in page
                return begun.headers["location"].rpartition("/")[2]
    raise AssertionError("the simulation does not end")


@pytest.mark.parametrize("language", LANGUAGES)
def test_login_leads_to_the_page_that_was_wanted_and_out_again(tab, service, language):
    made = tab(service.url, language, width=360)
    page = made.open("/console/catalog?q=population")
    assert "/console/login?next=" in page.url
    field = page.get_by_label(made.say("Login code", "登录码"))
    field.fill("AAAAA-BBBBB-CCCCC-DDDDD")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert made.axe() == []
    assert made.overflow() <= 0
    made.shoot("login-refused")
    field.fill(service.codes["analyst_stats"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/console/catalog\?q=population$"))
    page.get_by_role("button", name=made.say("Log out", "退出")).click()
    expect(page).to_have_url(re.compile("/console/login"))
    made.open("/console/catalog")
    assert "/console/login?next=" in page.url


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("path", "person"), [(path, person) for path, people in PAGES.items() for person in people]
)
def test_page_is_accessible_and_fits_a_small_screen(tab, service, places, path, person, language):
    cookies = service.cookies(person) if person else {}
    made = tab(service.url, language, cookies=cookies, width=360)
    address = path.format(**places) + QUERIES.get(path, "")
    page = made.open(address)
    assert (page.url, made.status) == (made.url + address, 200)
    assert page.locator("html").get_attribute("lang") == made.say("en", "zh-CN")
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.locator(".state.failed").count() == 0
    assert made.overflow() <= 0
    made.shoot("page" + re.sub(r"\W+", "-", path.removeprefix("/console")) + f"-{person}")
    assert made.axe() == []
