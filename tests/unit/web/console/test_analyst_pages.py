"""The analyst's pages over a running platform: every page, every state, both languages."""

import asyncio
import io
import json
import re
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from html import unescape

import pytest
from analyst_world import opened_world, text_of
from pyarrow import parquet

from middleplatform.access import shapes
from middleplatform.accountability.tickets import Subject as About
from middleplatform.demo.runtime import PERSONAS
from middleplatform.errors import SourceError
from middleplatform.governance import acts
from middleplatform.web import arrow
from middleplatform.web.console import answers, saved
from middleplatform.web.jobs import Job, KeptAnswer

COUNT = "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code"
REFUSED = "SELECT id_number,\n  name FROM ga.population"
NEEDS = "SELECT AVG(contribution_base) FROM ss.insurance"
MINE = "/console/my/applications"
PATHS = (
    "/console", "/console/catalog", "/console/catalog/ga.population", "/console/catalog/health.encounter_year",
    "/console/ask", "/console/history", "/console/saved", "/console/budget", MINE, f"{MINE}/new",
)  # fmt: skip
ASKING = ("/console/ask", "/console/history", "/console/saved", "/console/budget")


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("analyst"), demo_data) as made:
        yield made


@pytest.fixture(scope="module")
def answer(world):
    return world.answered(COUNT)


def _plain(page):
    """Assert that a page needs nothing that the content security policy stops."""
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", page.text)
    return page


@contextmanager
def _instead(world, submit):
    """Have questions answered otherwise for a while."""
    jobs = world.app.state.jobs
    real, jobs._gateway = jobs._gateway, type("Other", (), {"submit": staticmethod(submit)})
    try:
        yield
    finally:
        jobs._gateway = real


# --- who may open what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_every_page_opens_in_both_languages(world, path):
    pages = [_plain(world.get(path, language=language)) for language in ("en", "zh")]
    assert [page.status_code for page in pages] == [200, 200]
    assert [page.headers["content-language"] for page in pages] == ["en", "zh-CN"]
    assert re.search("[\u4e00-\u9fff]", text_of(pages[1]).replace("中文", ""))


@pytest.mark.parametrize("person", ["auditor", "officer_a", ""])
def test_who_may_not_ask_sees_the_catalogue_at_most(world, person):
    status = 403 if person else 303
    assert {world.get(path, person).status_code for path in ASKING} == {status}
    for path in ("/console/ask", "/console/ask/check", "/console/ask/explain", "/console/saved"):
        assert world.post(path, person, sql=COUNT).status_code == status
    assert world.get("/console/catalog", person).status_code == (200 if person else 303)


def test_a_number_longer_than_any_is_no_fault_of_ours(world, answer):
    path, _ = answer
    long = "9" * 5000
    for asked in (
        f"/console/ask?saved={long}",
        f"/console/ask?entry={long}",
        f"{path}/chart?y={long}",
    ):
        assert world.get(asked).status_code == 404, asked[:40]
    assert world.get(f"{path}?y={long}").status_code == 200


def test_a_form_without_its_token_asks_nothing(world):
    sent = world.ask(
        "POST", "/console/ask", data={"csrf": "", "sql": COUNT, "purpose": "statistics"}
    )
    assert sent.status_code == 403


# --- catalogue ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("q=人口", "ga.population", "tax.enterprise_tax"),
        ("q=income_total", "tax.individual_income", "ga.population"),
        ("owner=tax", "tax.enterprise_tax", "ga.population"),
        ("use=sensitive_dimension", "health.encounter_year", "ga.population"),
        ("mine=grant", "ss.insurance", "amr_county.inspection"),
        ("sharing=not_shared", "ga.population", "tax.individual_income"),
        ("q=nothing+has+this", "No dataset matches", "ga.population"),
    ],
)
def test_the_catalogue_is_searched_and_filtered(world, query, there, gone):
    said = text_of(world.get(f"/console/catalog?{query}"))
    rows = said.partition("Search")[2].partition("Search")[2] or said
    assert there in rows
    assert f" {gone} " not in rows


def test_a_disputed_dataset_says_so(world):
    services = world.app.state.services
    about = About("amr.enterprise", "", -1)
    services.tickets().open("objection", about, "数据有误", PERSONAS["analyst_stats"])
    assert "disputed" in text_of(world.get("/console/catalog?state=disputed"))
    assert "amr.enterprise" in text_of(world.get("/console/catalog?state=disputed"))
    assert "存在异议" in text_of(world.get("/console/catalog/amr.enterprise", language="zh"))


def test_a_dataset_says_what_may_be_done_with_each_column(world):
    said = text_of(world.get("/console/catalog/tax.individual_income"))
    assert "SUM(income_total), AVG(income_total)" in said
    assert "COUNT(DISTINCT id_number)" in said
    assert "yours to use" in said
    other = world.get("/console/catalog/tax.individual_income", "visitor")
    assert "needs a grant" in text_of(other)
    assert f"{MINE}/new?column=tax.individual_income" in other.text
    assert "不予共享" in text_of(world.get("/console/catalog/ga.population", language="zh"))


@pytest.mark.parametrize("name", ["ga.nothing", "x" * 500, "<b>"])
def test_a_dataset_that_is_not_there_is_a_page_that_says_so(world, name):
    page = _plain(world.get(f"/console/catalog/{name}"))
    assert page.status_code == 404
    assert "<b>" not in page.text


# --- asking ---------------------------------------------------------------------------------------------------------


def test_the_form_takes_over_what_another_page_sends(world):
    page = world.post(
        "/console/ask/open", sql=REFUSED + '<&"', purpose="planning", noise="policy", strict="yes"
    )
    assert '<&"' in unescape(page.text)
    assert re.search(r'value="planning" selected', page.text)
    assert re.search(r'value="policy" selected', page.text)
    assert re.search(r'name="strict" value="yes" checked', page.text)


def test_purposes_offered_are_those_of_the_person(world):
    assert 'value="data_quality"' in world.get("/console/ask", "steward_ga").text
    page = world.get("/console/ask", "bureau").text
    assert 'value="emergency"' in page
    assert 'value="planning"' not in page


def test_the_editor_is_told_what_is_wrong_and_what_would_pass(world):
    told = world.post("/console/ask/check", sql=REFUSED, purpose="statistics").json()
    first = told["diagnostics"][0]
    assert REFUSED[first["from"] : first["to"]] in ("id_number", "name")
    assert first["actions"][0]["replace"]["text"] == told["form"]["sql"]
    assert (
        world.post("/console/ask/check", sql=told["form"]["sql"], purpose="statistics").json()[
            "verdict"
        ]
        == "permit"
    )
    assert "tables" in world.get("/console/ask/completions").json()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_explain_draws_what_would_happen_and_runs_nothing(world, language):
    before = world.platform.gateway.audit.size
    page = _plain(
        world.post("/console/ask/explain", "analyst_drc", language, sql=COUNT, purpose="statistics")
    )
    assert page.status_code == 200
    assert "<svg" in page.text
    assert ("公安局" if language == "zh" else "Public Security Bureau") in text_of(page)
    assert world.platform.gateway.audit.size == before
    part = world.post(
        "/console/ask/explain",
        "analyst_drc",
        language,
        {"HX-Request": "true"},
        sql=COUNT,
        purpose="statistics",
    )
    assert "<html" not in part.text
    assert "<svg" in part.text


def test_explain_of_a_refused_question_underlines_it_and_offers_a_form(world):
    page = _plain(world.post("/console/ask/explain", sql=REFUSED, purpose="statistics"))
    assert "<mark>" in page.text
    assert "This form would pass" in page.text
    assert "<svg" not in page.text


def test_nothing_is_asked_without_a_statement_or_with_a_noise_that_is_none(world):
    assert world.post("/console/ask", sql=" ", purpose="statistics").status_code == 400
    assert (
        world.post("/console/ask", sql=COUNT, purpose="statistics", noise="much").status_code == 400
    )


# --- on the way -----------------------------------------------------------------------------------------------------


def test_a_question_at_work_says_how_far_it_is_and_can_be_canceled(world, monkeypatch):
    monkeypatch.setattr(answers, "_AT_ONCE_S", 0.01)
    monkeypatch.setattr(answers, "_WAIT_S", 0.01)

    async def held(request, progress):
        del request
        progress("dispatch", 1, 3)
        await asyncio.Event().wait()

    with _instead(world, held):
        path = world.post("/console/ask", sql=COUNT, purpose="statistics").headers["location"]
        page = _plain(world.get(path))
        assert "Departments are computing" in text_of(page)
        assert "1 of 3" in text_of(page)
        part = world.get(f"{path}/progress", **{"HX-Request": "true"})
        assert part.status_code == 200
        assert "<html" not in part.text
        assert "各部门正在计算" in text_of(world.get(f"{path}/progress", language="zh"))
        assert world.get(path, "analyst_stats").status_code == 404
        assert world.post(f"{path}/cancel").status_code == 303
    ended = world.get(path)
    assert "L003" in ended.text
    assert world.get(f"{path}/progress").headers["hx-refresh"] == "true"


def test_how_far_a_question_is_leaves_on_the_grid_of_answers(world, monkeypatch):
    """With a grid of hours nothing is told of a question but its end."""
    monkeypatch.setattr(answers, "_AT_ONCE_S", 0.01)
    monkeypatch.setattr(answers, "_WAIT_S", 0.01)
    gateway = world.platform.gateway
    limits = replace(gateway.bundle.limits, answer_grid_ms=36_000_000)
    monkeypatch.setattr(gateway, "bundle", replace(gateway.bundle, limits=limits))
    gate = asyncio.Event()

    async def held(request, progress):
        del request
        progress("dispatch", 1, 3)
        await gate.wait()
        raise SourceError("S001", department="ga")

    with _instead(world, held):
        path = world.post("/console/ask", sql=COUNT, purpose="statistics").headers["location"]
        world.loop.call_later(0.05, gate.set)
        part = world.get(f"{path}/progress", **{"HX-Request": "true"})
    assert part.headers["hx-refresh"] == "true"
    assert "Departments" not in part.text


def test_a_department_that_cannot_be_reached_is_a_page_of_its_own(world):
    async def fails(request, progress):
        del request, progress
        raise SourceError("S001", department="ga")

    with _instead(world, fails):
        _, page = world.answered(COUNT)
    assert page.status_code == 502
    assert "cannot be reached" in text_of(page)
    assert "This form would pass" not in page.text


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_answer_is_a_table_a_chart_files_and_a_proof(world, answer, language):
    path, _ = answer
    page = _plain(world.get(path, language=language))
    assert page.status_code == 200
    assert "990101" in text_of(page)
    assert f'src="{path}/chart?y=1"' in page.text
    for each in ("csv", "xlsx", "parquet", "arrow", "json"):
        assert f"{path}/export/{each}" in page.text
    index = int(re.search(r"(?:entry|日志第) (\d+)", text_of(page)).group(1))
    assert world.platform.gateway.audit.entry(index).record.event == "released"


def test_the_chart_draws_released_cells_only(world, answer):
    path, page = answer
    drawn = world.get(f"{path}/chart?y=1").json()
    assert (drawn["kind"], drawn["x_name"], drawn["y_name"]) == ("bar", "region_code", "n")
    for place, value in zip(drawn["x"], drawn["series"][0]["values"], strict=True):
        assert place in page.text
        assert value is None or f">{value:.0f}<" in page.text
    assert world.get(f"{path}/chart?y=0").status_code == 404
    assert world.get(f"{path}/chart?y=x").status_code == 404


def test_files_of_an_answer_come_with_their_receipt(world, answer):
    path, _ = answer
    made = {
        each: world.get(f"{path}/export/{each}")
        for each in ("csv", "xlsx", "parquet", "arrow", "json")
    }
    assert all("attachment" in each.headers["content-disposition"] for each in made.values())
    with zipfile.ZipFile(io.BytesIO(made["csv"].content)) as archive:
        head = json.loads(archive.read("receipt.json"))
    metadata = parquet.read_table(io.BytesIO(made["parquet"].content)).schema.metadata
    assert json.loads(metadata[b"middleplatform"]) == head
    whole = made["json"].json()
    assert head.items() <= whole.items()
    assert whole["rows"]
    assert world.get(f"{path}/export/exe").status_code == 404
    assert world.get(f"{path}/export/csv", "analyst_stats").status_code == 404


@pytest.mark.parametrize("sql", [COUNT, REFUSED])
def test_a_decision_has_a_signed_report_for_who_asked_only(world, sql):
    path, page = world.answered(sql)
    assert f"{path}/report/html" in page.text
    told = world.get(f"{path}/report/json")
    assert json.loads(told.text)
    assert "attachment" in told.headers["content-disposition"]
    assert "<html" in world.get(f"{path}/report/html").text
    assert world.get(f"{path}/report/json", "analyst_stats").status_code == 404
    assert world.get(f"{path}/report/pdf").status_code == 404
    assert world.get("/console/answers/x/report/json").status_code == 404


def test_withheld_values_are_marked_and_explained(world):
    sql = (
        "SELECT tax_year, CASE WHEN income_total >= 30000 THEN 'x' ELSE 'y' END AS band, COUNT(*) AS n"
        " FROM tax.individual_income GROUP BY 1, 2"
    )
    path, page = world.answered(sql)
    said = text_of(page)
    assert page.status_code == 200
    assert "[T]" in said
    assert "fewer distinct units than the threshold" in said
    assert re.search(r"rule R5: \d+ values", said)
    assert "不同单元数低于阈值" in text_of(world.get(path, language="zh"))
    assert "data-chart" not in page.text, "nothing is left to draw"
    assert world.get(f"{path}/chart?y=2").status_code == 404


def test_what_was_rewritten_is_told_with_the_answer(world):
    sql = "SELECT birth_year, COUNT(*) AS n FROM ga.population GROUP BY 1"
    assert "birth_year was grouped in bands of 5" in text_of(world.answered(sql)[1])


def test_noisy_values_have_intervals_in_table_and_chart(world):
    path, page = world.answered(
        "SELECT CASE WHEN admissions < 1 THEN '0' ELSE '1+' END AS stays, COUNT(*) AS people"
        " FROM health.encounter_year WHERE visit_year = 2019 GROUP BY 1",
        noise="policy",
    )
    assert "±" in text_of(page)
    series = world.get(f"{path}/chart?y=1").json()["series"][0]
    assert all(
        low < value < high
        for low, value, high in zip(series["low"], series["values"], series["high"], strict=True)
    )


def test_an_answer_that_another_gateway_got_is_the_same_page(world, answer):
    path, page = answer
    job = world.app.state.jobs._jobs[path.rpartition("/")[2]]

    async def other():
        made = Job(job.request)
        made.status, made.ended = "answered", 0.0
        made.kept = KeptAnswer(json.dumps(shapes.answer(job.answer)), arrow.stream(job.answer))
        made.done.set()
        return made

    made = world.loop.run_until_complete(other())
    world.app.state.jobs._jobs[job.id] = made
    again = world.get(path)
    world.app.state.jobs._jobs[job.id] = job
    assert text_of(again) == text_of(page)


@pytest.mark.parametrize("path", ["/console/answers/00", "/console/answers/" + "f" * 32])
def test_an_answer_that_is_not_there_leads_to_the_history(world, path):
    page = _plain(world.get(path))
    assert page.status_code == 404
    assert "/console/history" in page.text


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_refusal_names_rule_place_owner_and_the_form_that_passes(world, language):
    _, page = world.answered(REFUSED, language=language)
    _plain(page)
    said = text_of(page)
    assert page.status_code == 403
    assert "<mark>" in page.text
    assert ("公安局" if language == "zh" else "Public Security Bureau") in said
    assert ("以下写法可以通过" if language == "zh" else "This form would pass") in said
    form = unescape(
        re.search(
            r'action="/console/ask">.*?name="sql" value="([^"]*)"', page.text, re.DOTALL
        ).group(1)
    )
    _, passed = world.answered(form)
    assert passed.status_code == 200


def test_a_refusal_for_want_of_a_grant_leads_to_the_application_filled_in(world):
    _, page = world.answered(NEEDS)
    link = unescape(re.search(rf'href="({MINE}/new[^"]*)"', page.text).group(1))
    form = world.get(link)
    assert re.search(r'value="ss.insurance.contribution_base" checked', form.text)
    assert re.search(r'value="statistics" selected', form.text)


def test_a_text_from_the_statement_is_never_markup(world):
    _, page = world.answered("SELECT '<script>' AS a, name FROM ga.population")
    assert "<script>" not in page.text.partition("<main")[2]


# --- history, saved questions, budget -------------------------------------------------------------------------------


def test_history_shows_the_own_questions_and_opens_them_again(world):
    world.answered("SELECT COUNT(*) AS 我的 FROM ga.population", "analyst_stats")
    world.answered(REFUSED, "analyst_stats")
    page = _plain(world.get("/console/history", "analyst_stats"))
    said = text_of(page)
    assert "answered" in said
    assert "refused P001" in said
    assert "我的" in said
    assert "Older" not in said
    entry = re.findall(r"/console/ask\?entry=(\d+)", page.text)[-1]
    assert "我的" in world.get(f"/console/ask?entry={entry}", "analyst_stats").text
    assert world.get(f"/console/ask?entry={entry}").status_code == 404
    assert "Newest" in text_of(world.get("/console/history?before=1", "analyst_stats"))


def test_a_question_is_saved_opened_and_removed(world):
    sent = world.post(
        "/console/saved", name="各区<人口>", sql=COUNT, purpose="planning", strict="yes"
    )
    assert sent.headers["location"] == "/console/saved"
    page = _plain(world.get("/console/saved"))
    assert "各区<人口>" in text_of(page)
    number = re.search(r"saved=(\d+)", page.text).group(1)
    opened = world.get(f"/console/ask?saved={number}")
    assert re.search(r'value="planning" selected', opened.text)
    assert re.search(r'name="strict" value="yes" checked', opened.text)
    assert world.get(f"/console/ask?saved={number}", "analyst_stats").status_code == 404
    assert world.post(f"/console/saved/{number}/remove", "analyst_stats").status_code == 404
    assert world.post(f"/console/saved/{number}/remove").status_code == 303
    assert world.post("/console/saved/x/remove").status_code == 404
    assert "Nothing here yet" in text_of(world.get("/console/saved"))
    assert world.post("/console/saved", name="", sql=COUNT).status_code == 400


def test_budget_says_what_is_left_by_dataset_and_project(world):
    said = text_of(world.get("/console/budget?project=elderly"))
    assert "health.encounter_year" in said
    assert world.get("/console/budget?project=mine").status_code == 403


# --- applications ---------------------------------------------------------------------------------------------------

WISH = {
    "column": "ss.insurance.contribution_base", "operation": "aggregate", "purpose": "statistics",
    "basis": "统计法", "scenario": "年度统计", "scope": "全市", "ends": "2027-01-01", "regions": "",
}  # fmt: skip


def _handling(world):
    return world.app.state.services.handling()


def _apply(world, **changes):
    sent = world.post(f"{MINE}/new", **{**WISH, **changes})
    assert sent.status_code == 303, text_of(sent)
    return sent.headers["location"]


def test_an_application_is_made_signed_completed_and_withdrawn(world):
    path = _apply(world, basis="")
    number = path.rpartition("/")[2]
    assert "waits for its signature" in text_of(_plain(world.get(path)))
    assert f"{path}/sign" not in world.get(path).text
    assert world.get(path, "visitor").status_code == 404
    assert world.post(f"{path}/sign", "steward_drc").status_code == 303
    bureau = PERSONAS["bureau"]
    _handling(world).act(
        int(number[2:]), bureau, lambda state, now: acts.send_back(state, ["依据"], bureau, now)
    )
    page = world.get(path, "steward_drc", "zh")
    assert "待补正" in text_of(page)
    assert "依据" in text_of(page)
    form = world.post(f"{path}/complete", "steward_drc")
    assert f'name="number" value="{number}"' in form.text
    assert "全市" in form.text
    assert world.post(f"{MINE}/new", "steward_drc", number=number, **WISH).status_code == 303
    assert "desk check" in text_of(world.get(path))
    assert number in text_of(world.get(MINE))
    assert world.post(f"{path}/withdraw", **{"withdraw-reason": "不再需要"}).status_code == 303
    assert "withdrawn" in text_of(world.get(path))
    assert f"{path}/withdraw" not in world.get(path).text
    assert world.post(f"{path}/nothing").status_code == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ends": "2020-01-01"}, "time limit"),
        ({"operation": ""}, "operations"),
        ({"column": "ga.population.key_person_flag"}, "not shared"),
        ({"regions": "abc"}, "regions"),
        ({"purpose": "data_quality"}, "purpose"),
    ],
)
def test_an_application_that_cannot_be_taken_is_shown_again_with_what_is_wrong(
    world, changes, said
):
    page = _plain(world.post(f"{MINE}/new", **{**WISH, "scenario": "很<长>", **changes}))
    assert page.status_code == 422
    assert said in text_of(page)
    assert "很<长>" in unescape(page.text)


def test_a_steward_is_told_how_many_applications_wait(world):
    _apply(world)
    assert re.search(r"[1-9] waiting", text_of(world.get("/console", "steward_drc")))


def test_an_application_can_be_made_anew_for_longer(world):
    form = world.post(f"{_apply(world)}/again")
    assert 'value="2028-01-01"' in form.text
    assert 'name="number"' not in form.text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_budgets_are_cut_into_pages_and_a_page_too_far_is_the_last(world, monkeypatch, language):
    whole = world.get("/console/budget", "analyst_drc", language)
    every = re.findall(r'href="/console/catalog/([^"]+)"', whole.text)
    monkeypatch.setattr(saved, "SIZE", 1)
    seen = []
    for number in range(1, len(every) + 1):
        page = world.get(f"/console/budget?page={number}", "analyst_drc", language)
        seen += re.findall(r'href="/console/catalog/([^"]+)"', page.text)
    assert seen == every
    far = world.get("/console/budget?page=999", "analyst_drc", language)
    assert re.findall(r'href="/console/catalog/([^"]+)"', far.text) == every[-1:]
