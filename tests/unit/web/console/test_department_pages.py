"""The department's pages over a running platform: who opens them, tickets, usage, receipts, connectors."""

import re
from dataclasses import dataclass, replace
from html import unescape

import pytest
from analyst_world import opened_world, text_of

from middleplatform.accountability import ticket_acts
from middleplatform.accountability.ticket_desk import TicketDesk, number_of
from middleplatform.accountability.tickets import Subject as About
from middleplatform.demo.runtime import PERSONAS
from middleplatform.errors import SourceError
from middleplatform.web.console import tickets

ANSWERING = "/console/department/applications"
TICKETS = "/console/tickets"
WANTED = "ss.insurance.contribution_base"
LAW = "《政务数据共享条例》第二十七条"
ROLES = {
    "analyst": "visitor",
    "steward": "steward_ss",
    "bureau": "bureau",
    "officer": "officer_a",
    "auditor": "auditor",
}
PAGES = {
    ANSWERING: {"steward", "bureau", "officer", "auditor"},
    TICKETS: set(ROLES),
    f"{TICKETS}/new": {"analyst", "steward"},
    "/console/department/usage": {"steward", "bureau"},
    "/console/department/receipts": {"steward"},
    "/console/department/connectors": {"steward", "bureau"},
    "/console/department/quality": {"steward", "bureau"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("department"), demo_data) as made:
        yield made


def _plain(page):
    """Assert that a page needs nothing that the content security policy stops."""
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", page.text)
    return page


# --- who may open what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_for_its_roles_only_in_both_languages(world, path):
    for role, person in ROLES.items():
        wanted = 200 if role in PAGES[path] else 403
        pages = [_plain(world.get(path, person, language)) for language in ("en", "zh")]
        assert [page.status_code for page in pages] == [wanted, wanted], (role, text_of(pages[0]))
        assert [page.headers["content-language"] for page in pages] == ["en", "zh-CN"]


def test_forged_forms_do_nothing(world):
    forged = world.ask("POST", f"{TICKETS}/new", "steward_ss", data={"csrf": "token-of-bureau"})
    assert forged.status_code == 403


# --- tickets --------------------------------------------------------------------------------------------------------


def test_a_ticket_is_opened_taken_answered_contradicted_and_closed(world):
    wrong = world.post(
        f"{TICKETS}/new", "visitor", about="ss.insurance.nothing", kind="objection", text="有误"
    )
    assert wrong.status_code in (400, 403, 404, 422)
    assert "有误" in wrong.text
    opened = world.post(
        f"{TICKETS}/new", "visitor", about=WANTED, kind="correction", text="基数有误"
    )
    assert opened.status_code == 303, text_of(opened)
    path = opened.headers["location"]
    assert "waits for you" in text_of(world.get(f"{TICKETS}?view=waiting", "steward_ss"))
    early = world.post(
        f"{path}/answer", "steward_ss", outcome="corrected", text="已改", basis="核实"
    )
    assert early.status_code == 400
    assert world.post(f"{path}/take", "steward_ss").status_code == 303
    bare = world.post(
        f"{path}/answer", "steward_ss", outcome="unfounded", text="无误", basis="核实"
    )
    assert "needs the law it rests on" in text_of(bare)
    assert unescape(bare.text).count("无误") == 1
    answer = {"outcome": "unfounded", "text": "无误", "basis": LAW}
    assert world.post(f"{path}/answer", "steward_ss", **answer).status_code == 303
    assert world.post(f"{path}/reopen", "visitor", **{"reopen-reason": "仍有误"}).status_code == 303
    assert world.post(f"{path}/take", "steward_ss").status_code == 303
    answer["outcome"] = "corrected"
    assert world.post(f"{path}/answer", "steward_ss", **answer).status_code == 303
    assert world.post(f"{path}/close", "auditor").status_code == 403
    assert world.post(f"{path}/close", "visitor").status_code == 303
    assert "closed" in text_of(_plain(world.get(path, "auditor")))
    assert "已办结" in text_of(world.get(path, "bureau", "zh"))


def test_a_ticket_is_taken_back_and_is_nobody_elses(world):
    path = world.post(
        f"{TICKETS}/new", "visitor", about="ss.insurance", kind="objection", text="疑义"
    ).headers["location"]  # fmt: skip
    assert world.get(path, "steward_tax").status_code == 404
    assert (
        world.post(f"{path}/withdraw", "steward_tax", **{"withdraw-reason": "x"}).status_code == 404
    )
    assert (
        world.post(f"{path}/withdraw", "steward_ss", **{"withdraw-reason": "x"}).status_code == 403
    )
    assert (
        world.post(f"{path}/withdraw", "visitor", **{"withdraw-reason": "看错"}).status_code == 303
    )
    assert world.post(f"{path}/nothing", "visitor").status_code == 404


def test_a_ticket_offers_what_would_not_be_refused_and_nothing_else(world):
    desk, now = world.app.state.services.tickets(), world.platform.gateway.clock.now()
    about, opener, provider = About("ss.insurance"), PERSONAS["visitor"], PERSONAS["steward_ss"]
    written = replace(
        opener, id=opener.id.upper()
    )  # the same person, as another login writes the name
    number = number_of(desk.open("objection", about, "疑义", opener).number)

    def offered(who):
        return tickets._can(desk.show(number, who), who, desk.rules, now)

    def done(who, make):
        desk.act(number, who, make)

    extends = {"extend"} if desk.rules.regulation.deadlines["correct"].extension else set()
    bureau, auditor = PERSONAS["bureau"], PERSONAS["auditor"]
    assert (offered(provider), offered(bureau)) == ({"take"}, extends)
    assert offered(opener) == offered(written) == {"withdraw"}
    done(provider, lambda seen, at: ticket_acts.take(seen, provider, at))
    assert (offered(provider), offered(opener)) == ({"answer"}, {"withdraw"})
    done(
        provider, lambda seen, at: ticket_acts.answer(seen, "unfounded", "无误", LAW, provider, at)
    )
    assert (offered(provider), offered(bureau)) == (set(), {"close"})
    assert offered(opener) == offered(written) == {"close", "reopen"}
    assert tickets._waits(desk.show(number, opener), written)
    done(written, lambda seen, at: ticket_acts.close(seen, written, at))
    assert not any(offered(each) for each in (provider, opener, bureau, auditor))
    assert set(tickets._TRIES) == set(tickets._MAKES)


def test_a_refusal_shows_the_ticket_as_others_left_it_meanwhile(world, monkeypatch):
    path = world.post(
        f"{TICKETS}/new", "visitor", about="ss.insurance", kind="objection", text="疑义"
    ).headers["location"]  # fmt: skip
    act, opener = TicketDesk.act, PERSONAS["visitor"]

    def overtaken(desk, number, who, make):
        act(desk, number, opener, lambda seen, now: ticket_acts.withdraw(seen, "看错", opener, now))
        return act(desk, number, who, make)

    monkeypatch.setattr(TicketDesk, "act", overtaken)
    page = world.post(f"{path}/take", "steward_ss")
    assert page.status_code == 400
    assert "withdrawn" in text_of(page)
    assert f'action="{path}/take"' not in page.text
    assert 'role="alert"' in page.text


@pytest.mark.parametrize("release", ["1e3", "-1", "１", "9" * 16])
def test_a_release_that_is_no_index_is_refused_at_the_form(world, release):
    sent = {"about": "ss.insurance", "kind": "objection", "text": "疑义", "release": release}
    page = world.post(f"{TICKETS}/new", "visitor", **sent)
    assert (page.status_code, "no number of an entry" in text_of(page)) == (400, True)


# --- usage and receipts ---------------------------------------------------------------------------------------------

COUNT = "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code"
USAGE = "/console/department/usage"
RECEIPTS = "/console/department/receipts"


@pytest.fixture(scope="module")
def asked(world):
    """A question about the public security bureau's data, answered."""
    path, page = world.answered(COUNT, "analyst_drc")
    assert page.status_code == 200
    return path.rpartition("/")[2]


def test_usage_is_listed_filtered_and_taken_along(world, asked):
    said = text_of(world.get(USAGE, "steward_ga"))
    assert "analyst_drc" in said
    assert "ga.population.region_code" in said
    assert "analyst_drc" in text_of(world.get(f"{USAGE}?side=user", "steward_drc"))
    later = text_of(world.get(f"{USAGE}?since=2099-01-01", "steward_ga"))
    assert "No answer has been released" in later
    rows = world.get(f"{USAGE}/export/json?q={asked}", "steward_ga").json()
    assert [(each["subject"], each["query_id"]) for each in rows] == [("analyst_drc", asked)]
    table = world.get(f"{USAGE}/export/csv", "steward_ga")
    assert table.headers["content-disposition"] == 'attachment; filename="usage-provider.csv"'
    assert asked in table.text
    assert world.get(f"{USAGE}/export/exe", "steward_ga").status_code == 404


def test_usage_of_another_department_is_the_bureaus_to_see(world, asked):
    assert world.get(f"{USAGE}?department=ga", "steward_tax").status_code == 403
    assert world.get(f"{USAGE}/export/csv?department=ga", "steward_tax").status_code == 403
    assert "analyst_drc" in text_of(world.get(f"{USAGE}?department=ga", "bureau"))
    assert asked in world.get(f"{USAGE}/export/json?department=ga", "bureau").text


def test_a_day_that_is_none_is_said_in_place(world):
    page = _plain(world.get(f"{USAGE}?since=yesterday", "steward_ga"))
    assert page.status_code == 400
    assert "yesterday is no day" in text_of(page)


@pytest.fixture(scope="module")
def own_log(world, asked, tmp_path_factory):
    """The export of the department's own log with its public key, once it has answered."""
    assert asked
    log = world.platform.nodes["ga"].node.journal.log
    path = tmp_path_factory.mktemp("own") / "ga.jsonl"
    log.export(path)
    return {"log": path.read_text(), "key": "\n".join(key.text() for key in log.keys)}


def test_own_receipts_are_listed_and_agree_with_the_own_log(world, asked, own_log):
    page = _plain(world.get(RECEIPTS, "steward_ga"))
    assert asked[:12] in text_of(page)
    assert "1 verified" in text_of(page)
    found = text_of(world.post(RECEIPTS, "steward_ga", **own_log))
    assert re.search(r"[1-9]\d* receipts agree, 0 faults", found)
    assert "0 处问题" in text_of(world.post(RECEIPTS, "steward_ga", "zh", **own_log))


def test_an_own_log_that_does_not_verify_is_refused_in_place(world, own_log):
    lines = own_log["log"].splitlines(keepends=True)
    cut = world.post(RECEIPTS, "steward_ga", log="".join(lines[:-1]), key=own_log["key"])
    assert cut.status_code == 422
    assert "A002" not in text_of(cut)
    other = own_log["log"].replace('"analyst_drc"', '"analyst_dxc"')
    altered = world.post(RECEIPTS, "steward_ga", log=other, key=own_log["key"])
    assert "was altered" in text_of(altered)
    no_key = world.post(RECEIPTS, "steward_ga", log=own_log["log"], key="nothing")
    assert no_key.status_code == 400
    assert "no public key" in text_of(no_key)
    others = world.post(RECEIPTS, "steward_tax", **own_log)
    assert "not your department" in text_of(others)
    assert world.post(RECEIPTS, "bureau", **own_log).status_code == 403
    forged = world.ask("POST", RECEIPTS, "steward_ga", data={**own_log, "csrf": "x"})
    assert forged.status_code == 403


# --- connectors and quality -----------------------------------------------------------------------------------------

CONNECTORS = "/console/department/connectors"
QUALITY = "/console/department/quality"


def test_a_node_says_what_it_enforces_and_serves(world):
    said = text_of(_plain(world.get(CONNECTORS, "steward_ga")))
    assert "runs in the gateway's process" in said
    assert "ga.population" in said
    assert "DuckDB names as registered as registered" in said
    assert "not the gateway's" not in said
    assert "ga.population" in text_of(world.get(f"{CONNECTORS}?department=ga", "bureau"))
    # A steward sees the own department's only, whatever the address says.
    assert "ga.population" not in text_of(world.get(f"{CONNECTORS}?department=ga", "steward_tax"))


def test_a_source_that_changed_or_is_gone_says_so(world, monkeypatch):
    source = world.platform.nodes["ga"].node.source
    described = dict(source.connector.describe(["population"]))
    monkeypatch.setattr(type(source.connector), "describe", lambda *_: {})
    said = text_of(world.get(CONNECTORS, "steward_ga"))
    assert "cannot be asked" in said
    assert "the table is missing" in said
    assert "数据表缺失" in text_of(world.get(CONNECTORS, "steward_ga", "zh"))
    assert described


@dataclass
class _Link:
    """A node elsewhere, in the place of the link to it."""

    told: dict | Exception

    async def status(self):
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_node_elsewhere_is_asked_and_what_it_keeps_is_said(world, monkeypatch, language):
    monkeypatch.delitem(world.platform.nodes, "ga")
    links = world.platform.gateway.dispatcher._links
    told = {
        "policy_digest": "0" * 64,
        "catalog_digest": "1" * 64,
        "policy": {"version": 3},
        "running": 2,
    }
    monkeypatch.setitem(links, "ga", _Link(told))
    said = text_of(_plain(world.get(CONNECTORS, "steward_ga", language)))
    assert ("stay inside the department" if language == "en" else "只在部门内部可见") in said
    assert ("questions fail" if language == "en" else "查询将失败") in said
    monkeypatch.setitem(links, "ga", _Link(SourceError("S001", department="ga")))
    page = world.get(CONNECTORS, "steward_ga", language)
    assert page.status_code == 200
    assert "middleplatform node status" in text_of(page)


@pytest.mark.parametrize(
    "told",
    [
        {"policy_digest": 5, "catalog_digest": ["0"], "policy": {"version": {}, "stricter": 5}},
        {"policy": "<b>3</b>", "running": "<b>", "time": "yesterday", "version": {"a": 1}},
        {"policy_digest": "0" * 100_000, "policy": {"stricter": ["<b>x</b>"] * 50}, "time": 17},
        {},
    ],
)
def test_a_node_elsewhere_that_says_anything_at_all_breaks_no_page(world, monkeypatch, told):
    monkeypatch.delitem(world.platform.nodes, "ga")
    monkeypatch.setitem(world.platform.gateway.dispatcher._links, "ga", _Link(told))
    page = _plain(world.get(CONNECTORS, "steward_ga"))
    assert page.status_code == 200
    assert "<b>" not in page.text
    assert len(page.text) < 100_000


def test_quality_by_column_with_its_tickets(world):
    world.post(
        f"{TICKETS}/new",
        "analyst_drc",
        about="ga.population.birth_year",
        kind="correction",
        text="年份有误",
    )
    said = text_of(_plain(world.get(f"{QUALITY}?dataset=ga.population", "steward_ga")))
    assert "ga.population.birth_year" in said
    assert re.search(r"YY\d+", said)
    assert "disputed" in said
    number = re.search(r"YY\d+", said)[0]
    assert number in text_of(world.get(f"{TICKETS}?dataset=ga.population", "steward_ga"))
    assert "answers for no dataset" in text_of(world.get(QUALITY, "bureau"))
    assert "ga.population" in text_of(world.get(f"{QUALITY}?department=ga", "bureau"))


def test_questions_that_measure_quality_open_in_the_editor_and_may_be_asked(world):
    page = world.get(QUALITY, "steward_ga")
    found = [unescape(each) for each in re.findall(r'name="sql" value="([^"]+)"', page.text)]
    assert any("HAVING COUNT(*) > 1" in each for each in found)
    purpose = re.search(r'name="purpose" value="(\w+)"', page.text)[1]
    assert purpose == "data_quality"
    opened = world.post("/console/ask/open", "steward_ga", sql=found[0], purpose=purpose)
    assert "registered_twice" in opened.text
    for sql in found:
        told = world.post("/console/ask/check", "steward_ga", sql=sql, purpose=purpose).json()
        assert told["verdict"] == "permit", (sql, told)
