"""The pages of officers, departments and auditors, used as nobody means them to be used."""

import asyncio
import csv
import dataclasses
import io
import re
from html import unescape
from urllib.parse import urlencode

import httpx
import pytest
from analyst_world import opened_world, text_of

from middleplatform.access import csv_cells

HOME = "/console/policy"
USAGE = "/console/department/usage"


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("misused"), demo_data) as made:
        yield made


def at_once(world, *asked):
    """Send forms at once; return their statuses."""

    async def all_of_them():
        async def one(person, address, fields):
            transport = httpx.ASGITransport(world.app)
            cookies, form = {"session": person}, {"csrf": f"token-of-{person}", **fields}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test", cookies=cookies
            ) as client:
                return (await client.post(address, data=form)).status_code

        return await asyncio.gather(*(one(*each) for each in asked))

    return world.loop.run_until_complete(all_of_them())


# --- days and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [USAGE, f"{USAGE}/export/csv"])
def test_the_last_day_of_all_is_a_day(world, address):
    asked = f"{address}?until=9999-12-31T23:00:00Z"
    assert world.get(asked, "steward_ga").status_code == 200


def test_usage_is_a_file_that_spreadsheets_read_as_utf_8(world):
    assert world.get(f"{USAGE}/export/csv", "steward_ga").content.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("text", ["a\r=1+1", "a\r\n=1+1", "a\n=1+1", "\r=1+1", ["a\r=1+1", "b"]])
def test_no_cell_of_a_file_begins_within_a_text(text):
    made = csv_cells.table(["head"], [[text]])
    assert "\r" not in made
    ((_,), (cell,)) = csv.reader(io.StringIO(made))
    assert cell.splitlines()[0] in ("a", "'")


# --- where one is ----------------------------------------------------------------------------------------------------

FILES = {"name": ["a.yaml"], "text": ["x: 1\n"]}


@pytest.mark.parametrize(
    ("address", "person", "fields", "there"),
    [
        (f"{HOME}/draft/check", "officer_a", FILES, f"{HOME}/draft"),
        (f"{HOME}/draft/classify", "officer_a", {**FILES, "column": "ga.population.sex"}, f"{HOME}/draft"),
        (f"{HOME}/classify?dataset=ga.population&column=sex", "officer_a", {"min_units": "many"},
         f"{HOME}/classify?dataset=ga.population&column=sex"),
        (f"{HOME}/proposals/77/approve", "officer_a", {}, f"{HOME}/proposals/77"),
        ("/console/freezes/77/end", "officer_a", {"reason": "r"}, "/console/freezes"),
        ("/console/freezes", "officer_a", {"scope": "none"}, "/console/freezes"),
        ("/console/tickets/TK77/close", "steward_ga", {}, "/console/tickets/TK77"),
        ("/console/nowhere/at/all", "officer_a", {}, "/console"),
    ],
)  # fmt: skip
def test_the_other_language_of_a_page_that_answers_a_form_is_a_page(
    world, address, person, fields, there
):
    page = world.post(address, person, **fields)
    assert page.status_code != 303
    (link,) = re.findall(r'href="/console/language/zh\?next=([^"]*)"', page.text)
    changed = world.get("/console/language/zh?next=" + unescape(link), person)
    assert changed.headers["location"] == there
    assert world.get(there, person).status_code in (200, 404)


def test_a_way_back_in_any_script_is_an_address(world):
    asked = "/console/language/zh?next=/console/中文?q=a%2526b"
    for headers, name in (({}, "location"), ({"HX-Request": "true"}, "hx-redirect")):
        made = world.get(asked, "officer_a", **headers)
        assert made.headers[name] == "/console/%E4%B8%AD%E6%96%87?q=a%26b"


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", "/\\evil.example", "https://evil.example", "/console/../..//evil.example\\", "/consolex",
        "/console/\r\nSet-Cookie: a=b", "javascript:alert(1)", "/console@evil.example", " /console/x", "\t/console/x",
    ],
)  # fmt: skip
def test_no_way_back_leads_out(world, wanted):
    asked = "/console/language/zh?" + urlencode({"next": wanted})
    for headers, name in (({}, "location"), ({"HX-Request": "true"}, "hx-redirect")):
        assert world.get(asked, "officer_a", **headers).headers[name] == "/console"


@pytest.mark.parametrize(
    ("address", "person", "kept"),
    [
        ("/console/freezes?state=open&page=2", "officer_a", {"state": "open"}),
        (f"{HOME}?state=proposed", "officer_a", {"state": "proposed"}),
        (f"{HOME}/tests?only=failed", "officer_a", {"only": "failed"}),
        ("/console/department/connectors?department=ga", "bureau", {"department": "ga"}),
        ('/console/freezes?state="><script>', "officer_a", {"state": '"><script>'}),
    ],
)
def test_a_search_keeps_what_the_list_is_narrowed_to_already(world, address, person, kept):
    page = world.get(address, person)
    (form,) = re.findall(r'<form class="filter" role="search".*?</form>', page.text, re.DOTALL)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)
    assert {name: unescape(value) for name, value in fields} == kept
    assert "><script>" not in page.text


def test_a_draft_that_can_be_checked_can_be_classified(world):
    long = {"name": ["a.yaml"], "text": ["# " + "x" * 200_000 + "\n"]}
    for act in ("check", "classify"):
        found = world.post(f"{HOME}/draft/{act}", "officer_a", column="ga.population.sex", **long)
        assert found.status_code != 413, act
    place = f"{HOME}/classify?dataset=ga.population&column=sex"
    assert world.post(place, "officer_a", level="core", **long).status_code != 413


@pytest.mark.parametrize(
    ("address", "person", "fields", "most"),
    [
        (f"{HOME}/draft/check", "officer_a", FILES, 8),
        ("/console/audit/inspection", "auditor", {}, 2),
        ("/console/department/receipts", "steward_ga", {"log": "{}", "key": "x"}, 2),
    ],
)
def test_nobody_keeps_all_the_processors_with_long_work(world, address, person, fields, most):
    def done(count):
        return [
            each for each in at_once(world, *[(person, address, fields)] * count) if each != 429
        ]

    assert len(done(most)) == most
    assert most <= len(done(3 * most)) < 3 * most
    assert len(done(1)) == 1


# --- words ------------------------------------------------------------------------------------------------------------


def test_verdicts_of_tests_are_words_of_the_readers_language(world):
    said = text_of(world.get(f"{HOME}/tests?q=R15-where", "officer_a", "zh"))
    assert "拒绝 R1" in said
    assert "refuse R1" not in said
    assert "refuse R1" in text_of(world.get(f"{HOME}/tests?q=R15-where", "officer_a"))


@pytest.mark.parametrize(
    ("language", "said"), [("en", "basis\nscope"), ("zh", "使用依据\n使用范围")]
)
def test_the_one_list_of_what_is_missing_begins_in_words(world, language, said):
    wish = {
        "column": ["ss.insurance.contribution_base"], "purpose": "statistics", "scenario": "年度统计",
        "operation": ["aggregate"], "everyone": "yes", "ends": "2027-06-30",
    }  # fmt: skip
    sent = world.post("/console/my/applications/new", "visitor", **wish)
    number = sent.headers["location"].rpartition("/")[2]
    assert world.post(f"/console/my/applications/{number}/sign", "steward_amr").status_code == 303
    page = world.get(f"/console/department/applications/{number}", "bureau", language)
    (missing,) = re.findall(r'<textarea id="missing"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    assert missing == said


def test_nobody_accepts_an_application_that_was_completed_since_it_was_looked_at(world):
    mine, theirs = "/console/my/applications", "/console/department/applications"
    wish = {
        "column": ["ss.insurance.contribution_base"], "purpose": "statistics", "scenario": "年度统计", "basis": "x",
        "scope": "全市", "operation": ["aggregate"], "everyone": "yes", "ends": "2027-06-30",
    }  # fmt: skip
    sent = world.post(f"{mine}/new", "visitor", **wish)
    number = sent.headers["location"].rpartition("/")[2]
    world.post(f"{mine}/{number}/sign", "steward_amr")

    def seen():
        page = world.get(f"{theirs}/{number}", "bureau")
        return re.search(r'name="seen" value="(\d+)"', page.text)[1]

    before = seen()
    assert world.post(f"{theirs}/{number}/return", "bureau", missing="x").status_code == 303
    more = wish | {"column": [*wish["column"], "tax.individual_income.income_total"]}
    assert world.post(f"{mine}/new", "steward_amr", number=number, **more).status_code == 303
    stale = world.post(f"{theirs}/{number}/accept", "bureau", seen=before)
    assert stale.status_code == 409
    assert "look at it again" in text_of(stale)
    zh = world.post(f"{theirs}/{number}/accept", "bureau", "zh", seen=before)
    assert "请重新查看" in text_of(zh)
    assert world.post(f"{theirs}/{number}/accept", "bureau", seen=seen()).status_code == 303


# --- what waits -------------------------------------------------------------------------------------------------------


def waiting(world, person):
    page = world.get("/console/catalog", person)
    found = re.findall(r'<a href="([^"]+)"[^>]*>[^<]*</a><span class="count">(\d+)<', page.text)
    return int(dict(found).get(HOME, 0))


def drafted(world, **changed):
    """Return the fields of a draft over the files in force, some of them changed."""
    page = world.get(f"{HOME}/draft", "officer_a")
    names = re.findall(r'name="name" value="([^"]+)"', page.text)
    texts = re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    files = dict(zip(names, map(unescape, texts), strict=True))
    for name, (old, new) in changed.items():
        assert old in files[f"{name}.yaml"]
        files[f"{name}.yaml"] = files[f"{name}.yaml"].replace(old, new, 1)
    return {"name": list(files), "text": list(files.values()), "reason": "for a test"}


def proposed(world, fields):
    made = world.post(f"{HOME}/draft/propose", "officer_a", **fields)
    assert made.status_code == 303, text_of(made)[-500:]
    return made.headers["location"]


@pytest.fixture(scope="module")
def published(world):
    """Two versions, of which the second is stricter."""
    first = drafted(world, manifest=("\n", " # kept\n"))
    assert world.post(f"{proposed(world, first)}/publish", "officer_a").status_code == 303
    place = f"{HOME}/classify?dataset=ga.population&column=sex"
    page = world.post(place, "officer_a", min_units="50")
    stricter = {
        "name": re.findall(r'name="name" value="([^"]+)"', page.text),
        "text": [unescape(each) for each in re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)],
    }  # fmt: skip
    second = proposed(world, stricter | {"reason": "stricter"})
    assert waiting(world, "officer_b") == 0, "what only tightens wants nobody's approval"
    assert world.post(f"{second}/publish", "officer_a").status_code == 303
    return first


def test_what_waits_is_what_this_person_can_approve(world, published):
    place = proposed(world, published)
    everybody = ("officer_a", "officer_b", "steward_ga", "steward_tax")
    assert [waiting(world, each) for each in everybody] == [0, 1, 1, 0]
    assert world.post(f"{place}/approve", "officer_b").status_code == 303
    assert [waiting(world, each) for each in everybody] == [0, 0, 1, 0]
    assert world.post(f"{place}/approve", "steward_ga").status_code == 303
    assert [waiting(world, each) for each in everybody] == [0, 0, 0, 0]
    assert world.post(f"{place}/withdraw", "officer_a").status_code == 303


def test_what_two_do_at_once_is_done_once(world, published):
    place = proposed(world, published)
    number, lifecycle = int(place.rpartition("/")[2]), world.platform.lifecycle
    seen = at_once(world, *[("officer_b", f"{place}/approve", {})] * 6)
    assert seen.count(303) == 1
    assert [each.person for each in lifecycle.weigh(number).approvals] == ["officer_b"]
    before = len(lifecycle.versions())
    publishing = [(each, f"{place}/publish", {}) for each in ("officer_a", "officer_b")]
    assert set(at_once(world, *publishing)) == {409}, "the data owner has not approved yet"
    assert world.post(f"{place}/approve", "steward_ga").status_code == 303
    assert sorted(at_once(world, *publishing)) == [303, 409]
    assert len(lifecycle.versions()) == before + 1
    for act in ("approve", "reject", "publish", "withdraw"):
        assert world.post(f"{place}/{act}", "officer_a", comment="late").status_code in (403, 409)


@pytest.mark.parametrize(("language", "said"), [("en", "compare once more"), ("zh", "请重新比较")])
def test_a_draft_that_was_begun_before_the_version_in_force_is_shown_once_more(
    world, published, language, said
):
    assert published
    begun = re.search(r'name="base" value="(\d+)"', world.get(f"{HOME}/draft", "officer_a").text)[1]
    other = drafted(world, manifest=("\n", f" # {language}\n"))
    mine = drafted(world, manifest=("\n", f" # mine {language}\n")) | {"base": begun}
    # Classifying a column on the way does not make it forget.
    column = {"column": "ga.population.birth_year"}
    form = world.post(f"{HOME}/draft/classify", "officer_a", **mine, **column)
    assert f'name="base" value="{begun}"' in form.text
    assert world.post(f"{proposed(world, other)}/publish", "officer_a").status_code == 303
    shown = world.post(f"{HOME}/draft/propose", "officer_a", language, **mine)
    assert shown.status_code == 409
    assert said in text_of(shown)
    now = re.search(r'name="base" value="(\d+)"', shown.text)[1]
    assert int(now) == int(begun) + 1
    place = proposed(world, mine | {"base": now})
    assert world.post(f"{place}/withdraw", "officer_a").status_code == 303


@pytest.fixture
def outgrow(world, monkeypatch):
    """Return what takes a column of a dataset that the policy names out of the catalogue."""

    def without_sex():
        lifecycle = world.platform.lifecycle
        population = lifecycle.catalog.datasets["ga.population"]
        columns = {name: each for name, each in population.columns.items() if name != "sex"}
        less = dataclasses.replace(population, columns=columns)
        datasets = {**lifecycle.catalog.datasets, "ga.population": less}
        changed = dataclasses.replace(lifecycle.catalog, datasets=datasets)
        monkeypatch.setattr(lifecycle, "catalog", changed)

    return without_sex


@pytest.mark.parametrize(("language", "said"), [("en", "cannot be compared"), ("zh", "无法比较")])
def test_a_version_that_the_catalogue_has_outgrown_can_still_be_read(
    world, published, outgrow, language, said
):
    assert published
    assert said not in text_of(world.get(f"{HOME}/versions/2", "auditor", language))
    outgrow()
    page = world.get(f"{HOME}/versions/2", "auditor", language)
    assert page.status_code == 200
    assert said in text_of(page)
    assert "ga.population:" in page.text


@pytest.mark.parametrize(
    ("language", "said"), [("en", "no longer load"), ("zh", "已无法按当前目录加载")]
)
def test_a_proposal_that_the_catalogue_has_outgrown_can_be_read_and_withdrawn(
    world, published, outgrow, language, said
):
    # Neither what is in force now nor the version before it.
    files = dict(zip(published["name"], published["text"], strict=True))
    files["manifest.yaml"] += f"# {language}\n"
    place = proposed(world, published | {"text": list(files.values())})
    assert said not in text_of(world.get(place, "auditor", language))
    outgrow()
    page = world.get(place, "officer_b", language)
    assert page.status_code == 200
    assert said in text_of(page)
    assert "columns.yaml" in text_of(page)
    assert f"{place}/withdraw" not in page.text
    assert f"{place}/withdraw" not in world.get(place, "auditor", language).text
    for act in ("approve", "reject", "publish"):
        refused = world.post(f"{place}/{act}", "officer_b", language, comment="no")
        assert refused.status_code == 422, act
    assert world.post(f"{HOME}/versions/1/restore", "officer_b", reason="r").status_code == 422
    assert f"{place}/withdraw" in world.get(place, "officer_a", language).text
    assert world.post(f"{place}/withdraw", "officer_a").status_code == 303
    assert waiting(world, "officer_b") == 0
