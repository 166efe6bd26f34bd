"""People come in by the console's pages: with a token, a code, or a provider of identities that runs as a process."""

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.access.tokens import TokenStore
from middleplatform.governance.desk import Desk
from middleplatform.login.opened import Login, open_login
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings
from middleplatform.store.database import Store
from middleplatform.web.api import build
from middleplatform.web.jobs import Bounds
from middleplatform.web.services import Services
from tests.fakes.doors import FakePlatform, open_fake
from tests.fakes.provider_process import log_in_at, provider

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
HERE = "http://127.0.0.1:8809"
FILE = """address: {address}
provider:
  issuer: {issuer}
  client_id: middleplatform
  client_secret_file: secret
  name: {{en: City login, zh: 市统一认证}}
claims:
  department: {{claim: dept, values: {{发改委: drc}}}}
  roles: {{claim: groups, values: {{mp-analyst: analyst, mp-audit: auditor}}}}
  regions: {{always: ["*"]}}
"""
PEOPLE = (
    {"sub": "zhao", "dept": "发改委", "groups": ["mp-analyst", "others"]},
    {"sub": "nobody", "dept": "发改委", "groups": ["others"]},
    {"sub": "both", "dept": "发改委", "groups": ["mp-analyst", "mp-audit"]},
)


@pytest.fixture(scope="module")
def issuer():
    with provider(*PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """What every test shares: store, log, tokens."""
    folder = tmp_path_factory.mktemp("login")
    clock, rng = SystemClock(), SystemRng()
    gateway = open_fake(folder)
    store = Store.open(f"sqlite:///{folder / 'store.db'}")
    tokens = TokenStore(folder / "tokens.sqlite", clock, rng)
    yield folder, gateway, store, tokens
    store.close()
    tokens.close()
    gateway.audit.close()


@dataclass
class Place:
    """One service, and what a test reads of it."""

    app: object
    login: Login
    token: str
    log: object
    operator_log: object

    def browser(self, base=HERE, client=("127.0.0.1", 5000)):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True, client=client)
        return httpx.AsyncClient(transport=transport, base_url=base)

    def entries(self):
        return [each.record.body for each in self.log.entries() if each.record.event == "login"]


@pytest.fixture(scope="module")
def place(parts, issuer):
    return opened(parts, issuer)


def opened(parts, issuer, address=HERE, **settings):
    folder, gateway, store, tokens = parts
    clock, rng = SystemClock(), SystemRng()
    file = folder / "login.yaml"
    (folder / "secret").write_text("s3cret", encoding="utf-8")
    (folder / "secret").chmod(0o600)
    file.write_text(FILE.format(address=address, issuer=issuer), encoding="utf-8")
    chosen = replace(Settings(), state=folder, login=file, **settings)
    desk = Desk(store, clock, rng, gateway.audit)
    login = open_login(chosen, store, desk, tokens, {"lin": LIN}, clock, rng)
    services = Services(FakePlatform(gateway, chosen), login)
    operator_log = folder / f"{rng.token_bytes(4).hex()}.log"
    log = OperatorLog(operator_log, clock, rng)
    app = build(gateway, tokens, log, Bounds(), services=services)
    token, _ = tokens.add(LIN, timedelta(hours=1))
    return Place(app, login, token, gateway.audit, operator_log)


async def page_with(browser, path="/console/login"):
    """Open the login page and return the hidden fields of its forms."""
    page = await browser.get(path)
    assert page.status_code == 200
    return {"visit": re.search(r'name="visit" value="([^"]+)"', page.text)[1]}


def drive(browser, steps):
    """Run what a browser does on an event loop of its own."""

    async def whole():
        async with browser:
            return await steps(browser)

    return asyncio.run(whole())


def by_token(token, **more):
    async def steps(browser):
        fields = await page_with(browser)
        return await browser.post("/console/login", data=fields | {"token": token} | more)

    return steps


def test_token_lets_in_and_the_form_of_the_page_lets_out(place):
    async def steps(browser):
        made = await by_token(place.token)(browser)
        assert (made.status_code, made.headers["location"]) == (303, "/console")
        home = await browser.get("/console")
        assert home.status_code == 200
        assert ">lin<" in home.text
        csrf = re.search(r'name="csrf" value="([^"]+)"', home.text)[1]
        assert (await browser.post("/console/logout", data={"csrf": "A" * 43})).status_code == 403
        assert (await browser.get("/console")).status_code == 200
        out = await browser.post("/console/logout", data={"csrf": csrf})
        assert out.headers["location"].startswith("/console/login")
        assert (await browser.get("/console")).status_code == 303

    drive(place.browser(), steps)
    assert [each["what"] for each in place.entries()][-2:] == ["began", "ended"]


def test_cookie_over_https_is_for_this_host_alone_and_unseen_by_scripts(place):
    async def steps(browser):
        await by_token(place.token)(browser)
        return await browser.get("/console"), list(browser.cookies.jar)

    home, jar = drive(place.browser("https://data.gov.example", ("203.0.113.5", 1)), steps)
    assert home.status_code == 200
    kept = {each.name: each for each in jar}
    cookie = kept["__Host-session"]
    assert (cookie.secure, cookie.path, cookie.domain_specified) == (True, "/", False)
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite").lower() == "lax"
    assert {"session", "visit"}.isdisjoint(kept)


@pytest.mark.parametrize(("base", "client"), [
    ("http://data.gov.example", ("203.0.113.5", 1)), ("http://127.0.0.1:8809", ("203.0.113.5", 1)),
])  # fmt: skip
def test_nobody_logs_in_over_plain_http_from_elsewhere(place, base, client):
    async def steps(browser):
        page = await browser.get("/console/login")
        assert "<form" not in re.sub(r"(?s)<header.*?</header>", "", page.text)
        made = await browser.post("/console/login", data={"token": place.token})
        assert made.status_code == 403
        assert (await browser.get("/console/login/oidc")).status_code == 403
        assert "session" not in browser.cookies

    drive(place.browser(base, client), steps)


@pytest.mark.parametrize("given", [
    {"headers": {"Origin": "https://evil.example"}}, {"headers": {"Origin": "null"}},
    {"headers": {"Sec-Fetch-Site": "cross-site"}}, {"headers": {"Sec-Fetch-Site": "same-site"}},
    {"visit": "A" * 43}, {"visit": ""}, {"forget": True},
])  # fmt: skip
def test_form_of_another_site_logs_nobody_in(place, given):
    async def steps(browser):
        fields = await page_with(browser)
        if given.get("forget"):
            browser.cookies.clear()
        fields |= {"token": place.token} | ({"visit": given["visit"]} if "visit" in given else {})
        made = await browser.post("/console/login", data=fields, headers=given.get("headers"))
        assert made.status_code == 403
        assert "session" not in browser.cookies

    drive(place.browser(), steps)


@pytest.mark.parametrize("token", ["", "x", "mpt_0000000000000000_" + "A" * 43])
def test_wrong_token_is_told_on_the_page_and_nothing_of_it_shown(place, token):
    made = drive(place.browser(), by_token(token))
    assert made.status_code == 403
    assert "The login did not succeed" in made.text
    assert "AAAAAAAA" not in made.text


def test_too_many_wrong_ones_wait_and_are_told_how_long(parts, issuer):
    place = opened(parts, issuer)
    wrong = place.token[:-2] + ("AA" if place.token[-2:] != "AA" else "BB")
    browser = ("http://127.0.0.1:8809", ("127.0.0.9", 1))
    found = [drive(place.browser(*browser), by_token(wrong)).status_code for _ in range(5)]
    assert found == [403] * 5
    made = drive(place.browser(*browser), by_token(place.token))
    assert made.status_code == 429
    assert 1 <= int(made.headers["Retry-After"]) <= 30
    assert drive(place.browser(), by_token(place.token)).status_code == 303
    locked = [each for each in place.entries() if each["what"] == "locked"][-1]
    assert (locked["named"], locked["address"]) == (place.token.split("_")[1], "127.0.0.9")


def test_code_of_the_demonstration_lets_in(parts, issuer):
    place = opened(parts, issuer)
    (shown,) = place.login.demo.shown_once()
    made = drive(place.browser(), by_token("", code=shown.code))
    assert (made.status_code, made.headers["location"]) == (303, "/console")
    page = drive(place.browser(), lambda browser: browser.get("/console/login")).text
    assert 'name="code"' in page
    assert shown.code not in page


@pytest.mark.parametrize(("wanted", "path"), [
    ("/console/tickets?page=2", "/console/tickets?page=2"), ("https://evil.example", "/console"),
    ("//evil.example", "/console"), ("/console\\@evil", "/console"), ("/v1/health", "/console"),
])  # fmt: skip
def test_after_the_login_only_pages_of_ours_are_shown(place, wanted, path):
    async def steps(browser):
        fields = await page_with(browser)
        asked = httpx.QueryParams({"next": wanted})
        made = await browser.post(f"/console/login?{asked}", data=fields | {"token": place.token})
        started = await browser.get(f"/console/login/oidc?{asked}")
        back = log_in_at(started.headers["location"], "zhao")
        return made, await browser.get(urlsplit(back).path + "?" + urlsplit(back).query)

    for made in drive(place.browser(), steps):
        assert (made.status_code, made.headers["location"]) == (303, path)


def come_back(sub, spoil=lambda query: query):
    """Log in as ``sub`` at the provider and bring its answer back."""

    async def steps(browser):
        started = await browser.get("/console/login/oidc?next=/console")
        assert started.status_code == 303
        back = urlsplit(log_in_at(started.headers["location"], sub))
        return await browser.get(f"{back.path}?{spoil(back.query)}")

    return steps


def test_provider_lets_in_whom_its_claims_name(place, issuer):
    async def steps(browser):
        made = await come_back("zhao")(browser)
        assert (made.status_code, made.headers["location"]) == (303, "/console")
        return await browser.get("/console")

    home = drive(place.browser(), steps)
    assert ">zhao<" in home.text
    entry = place.entries()[-1]
    assert (entry["subject"], entry["how"], entry["credential"]) == ("zhao", "oidc", issuer)
    assert (entry["department"], entry["roles"]) == ("drc", ["analyst"])


@pytest.mark.parametrize(("sub", "said"), [("nobody", "did not succeed"), ("both", "together")])
def test_claims_that_give_too_little_or_too_much_let_nobody_in(place, sub, said):
    async def steps(browser):
        made = await come_back(sub)(browser)
        assert made.status_code in (403, 400, 422)
        assert said in made.text
        assert "session" not in browser.cookies

    drive(place.browser(), steps)


def test_answer_is_taken_once_and_in_the_browser_that_asked(place):
    async def steps(browser):
        started = await browser.get("/console/login/oidc")
        back = urlsplit(log_in_at(started.headers["location"], "zhao"))
        path = f"{back.path}?{back.query}"
        async with place.browser() as other:
            assert (await other.get(path)).status_code == 403
        kept = dict(browser.cookies)
        assert (await browser.get(path)).status_code == 303
        browser.cookies.update(kept)
        assert (await browser.get(path)).status_code == 403

    drive(place.browser(), steps)


@pytest.mark.parametrize("spoil", [
    lambda query: query + "&code=another", lambda query: query + "&state=another", lambda _: "",
    lambda query: "error=access_denied&" + query, lambda query: query.replace("code=", "code=x"),
    lambda query: query + "&iss=https%3A%2F%2Fevil.example",
])  # fmt: skip
def test_spoiled_answer_lets_nobody_in(place, spoil):
    made = drive(place.browser(client=("127.0.0.3", 1)), come_back("zhao", spoil))
    assert made.status_code == 403
    assert "The login did not succeed" in made.text


def test_answer_that_another_site_sends_here_disturbs_no_login(parts, issuer):
    place = opened(parts, issuer)

    async def steps(browser):
        started = await browser.get("/console/login/oidc")
        back = urlsplit(log_in_at(started.headers["location"], "zhao"))
        for _ in range(30):
            foreign = await browser.get(f"{back.path}?code=x&state={'A' * 43}")
            assert foreign.status_code == 403
        return await browser.get(f"{back.path}?{back.query}")

    made = drive(place.browser(client=("127.0.0.5", 1)), steps)
    assert (made.status_code, made.headers["location"]) == (303, "/console")


def test_why_a_login_failed_is_for_the_operator(place):
    drive(place.browser(client=("127.0.0.4", 1)), come_back("nobody"))
    assert "the claims give no role" in place.operator_log.read_text(encoding="utf-8")


def test_going_out_also_leads_out_of_the_provider(place, issuer):
    async def steps(browser):
        out = await browser.get("/console/login?out=1")
        (link,) = re.findall(r'href="(/console/logout/provider[^"]*)"', out.text)
        return await browser.get(link, headers={"sec-fetch-site": "same-origin"})

    where = drive(place.browser(), steps).headers["location"]
    assert where.startswith(f"{issuer}/oauth2/end_session?")
    assert parse_qs(urlsplit(where).query)["post_logout_redirect_uri"] == [f"{HERE}/console/login"]


@pytest.mark.parametrize(
    ("site", "change"),
    [
        ("cross-site", None), ("same-site", None), ("none", None), ("same-origin", ""),
        ("same-origin", "?visit="), ("same-origin", "?visit=" + "A" * 43), ("cross-site", ""),
    ],
)  # fmt: skip
def test_another_site_leads_nobody_out_of_the_provider(place, site, change):
    async def steps(browser):
        out = await browser.get("/console/login?out=1")
        (link,) = re.findall(r'href="(/console/logout/provider[^"]*)"', out.text)
        link = link if change is None else link.partition("?")[0] + change
        return await browser.get(link, headers={"sec-fetch-site": site})

    made = drive(place.browser(client=("127.0.0.6", 1)), steps)
    assert (made.status_code, "location" in made.headers) == (403, False)


def test_provider_that_is_down_is_told_and_tokens_still_let_in(parts):
    place = opened(parts, "http://127.0.0.1:9")
    made = drive(place.browser(), lambda browser: browser.get("/console/login/oidc"))
    assert made.status_code == 502
    assert "cannot be used now" in made.text
    assert drive(place.browser(), by_token(place.token)).status_code == 303


def test_session_of_a_withdrawn_token_shows_nothing_more(place, parts):
    tokens = parts[3]

    async def steps(browser):
        await by_token(place.token)(browser)
        assert (await browser.get("/console")).status_code == 200
        tokens.revoke(place.token.split("_")[1])
        return await browser.get("/console")

    made = drive(place.browser(), steps)
    assert (made.status_code, made.headers["location"].split("?")[0]) == (303, "/console/login")


def test_who_sends_login_forms_slowly_leaves_the_service_to_others(place):
    go = asyncio.Event()

    async def slow():
        yield b"token="
        await go.wait()

    async def steps(nuisance):
        kind = {"content-type": "application/x-www-form-urlencoded"}
        sent = [
            asyncio.create_task(nuisance.post("/console/login", content=slow(), headers=kind))
            for _ in range(40)
        ]
        done: set = set()
        while len(done) < 8:
            done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        async with place.browser(client=("127.0.0.9", 1)) as other:
            served = await other.get("/console/login")
        go.set()
        return sorted([(await each).status_code for each in sent]), served.status_code

    codes, served = drive(place.browser(client=("127.0.0.8", 1)), steps)
    assert codes == [403] * 32 + [429] * 8
    assert served == 200
