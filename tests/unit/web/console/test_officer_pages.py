"""The security officer's pages over a running platform: every page, every form, both languages."""

import re
from html import unescape

import pytest
from analyst_world import opened_world, text_of
from markupsafe import escape

HOME = "/console/policy"


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("officer"), demo_data) as made:
        yield made


PATHS = (
    HOME,
    f"{HOME}/draft",
    f"{HOME}/tests",
    f"{HOME}/tests?only=failed",
    f"{HOME}/classification",
    f"{HOME}/classification?q=sex&dataset=ga.population&level=none",
    f"{HOME}/classify?dataset=ga.population&column=sex",
    "/console/freezes",
    "/console/freezes/alerts",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_page_opens_in_both_languages(world, path):
    found = [world.get(path, "officer_a", language) for language in ("en", "zh")]
    assert [page.status_code for page in found] == [200, 200]
    assert re.search("[\u4e00-\u9fff]", text_of(found[1]).replace("中文", ""))
    for page in found:
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page.text)


def drafted(world):
    page = world.get(f"{HOME}/draft", "officer_a")
    names = re.findall(r'name="name" value="([^"]+)"', page.text)
    texts = [
        unescape(each)
        for each in re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    ]
    return dict(zip(names, texts, strict=True))


def sent(files, **more):
    return {"name": list(files), "text": list(files.values()), **more}


def test_a_draft_is_checked_while_it_is_written_and_proposed_and_withdrawn(world):
    files = drafted(world)
    broken = {**files, "columns.yaml": files["columns.yaml"].replace("datasets:", "datasetz:", 1)}
    found = world.post(
        f"{HOME}/draft/check", "officer_a", headers={"HX-Request": "true"}, **sent(broken)
    )
    assert "<h1>" not in found.text
    assert re.search(r"columns\.yaml:\d+:\d+", found.text)
    assert (
        world.post(f"{HOME}/draft/propose", "officer_a", **sent(broken, reason="r")).status_code
        == 422
    )
    changed = {**files, "manifest.yaml": files["manifest.yaml"] + "# weighed\n"}
    said = text_of(world.post(f"{HOME}/draft/check", "officer_a", **sent(changed, full="yes")))
    assert "none needed" in said
    assert "a reason is needed" in text_of(
        world.post(f"{HOME}/draft/propose", "officer_a", **sent(changed))
    )
    made = world.post(f"{HOME}/draft/propose", "officer_a", **sent(changed, reason="a comment"))
    assert made.status_code == 303, text_of(made)
    place = made.headers["location"]
    for language in ("en", "zh"):
        assert world.get(place, "officer_a", language).status_code == 200
        assert world.get(f"{place}?view=files", "auditor", language).status_code == 200
    assert (
        world.get(f"{HOME}/draft?proposal={place.rpartition('/')[2]}", "officer_a").status_code
        == 200
    )
    assert world.post(f"{place}/approve", "analyst_drc").status_code == 403
    done = world.post(f"{place}/publish", "officer_a")
    assert done.status_code == 303
    assert world.get(done.headers["location"], "officer_a").status_code == 200
    assert world.post(f"{place}/withdraw", "officer_a").status_code >= 400


def test_classifying_a_column_leads_into_a_draft_that_passes_the_check(world):
    place = f"{HOME}/classify?dataset=ga.population&column=sex"
    page = world.post(place, "officer_a", level="core", min_units="50")
    assert page.status_code == 200
    assert "core" in unescape(page.text)
    assert "finds nothing" in text_of(page) or "to weigh" in text_of(page)
    wrong = world.post(place, "officer_a", min_units="many")
    assert wrong.status_code == 422
    assert "a number" in text_of(wrong)
    assert world.post(place, "officer_a", csrf="", level="core").status_code == 403
    assert world.get(f"{HOME}/classify?dataset=no&column=no", "officer_a").status_code == 404


def files_in(page):
    """Return the files that a form carries on, whether hidden or in text areas."""
    names = re.findall(r'name="name" value="([^"]+)"', page.text)
    areas = re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    hidden = re.findall(r'name="text" value="([^"]*)"', page.text)
    return dict(zip(names, map(unescape, areas or hidden), strict=True))


def test_several_columns_are_classified_in_one_draft(world):
    files = drafted(world)
    at = f"{HOME}/draft/classify"
    page = world.post(at, "officer_a", column="ga.population.sex", **sent(files, reason="two"))
    assert page.status_code == 200
    assert files_in(page) == files
    place = f"{HOME}/classify?dataset=ga.population&column=sex"
    first = world.post(place, "officer_a", level="core", **sent(files_in(page), reason="two"))
    assert "two</textarea>" in first.text
    assert "ga.population.sex stands in columns.yaml now." in text_of(first)
    assert "<option selected>ga.population.birth_year</option>" in first.text, "the next column"
    page = world.post(at, "officer_a", column="ga.population.birth_year", **sent(files_in(first)))
    assert 'value="5"' in page.text, "the entry that the draft has is shown"
    place = f"{HOME}/classify?dataset=ga.population&column=birth_year"
    both = files_in(world.post(place, "officer_a", generalise="10", **sent(files_in(page))))
    again = world.post(place, "officer_a", "zh", generalise="10", **sent(both))
    assert "原已如此" in text_of(again)
    assert files_in(again) == both
    changed = {name for name in files if files[name] != both[name]}
    assert changed == {"columns.yaml"}
    assert "sex: {level: core}" in both["columns.yaml"]
    assert "birth_year: {generalise: 10}" in both["columns.yaml"]


def test_levels_are_words_in_chinese_and_codes_in_the_address(world):
    board = world.get(f"{HOME}/classification?dataset=health.encounter_year", "officer_a", "zh")
    assert "一般4级" in text_of(board)
    assert "general-" not in text_of(board)
    assert '<option value="general-4">一般4级</option>' in board.text


def test_a_dataset_without_rules_is_named_whole(world):
    files = drafted(world)
    rules = files["columns.yaml"]
    files["columns.yaml"] = rules[: rules.index("  amr.complaint:")]
    said = text_of(world.post(f"{HOME}/draft/check", "officer_a", **sent(files)))
    assert "amr.complaint not classified" in said


def test_a_draft_that_does_not_load_is_shown_with_its_faults_before_a_column_is_classified(world):
    files = drafted(world)
    broken = {**files, "columns.yaml": files["columns.yaml"].replace("datasets:", "datasetz:", 1)}
    for path in (f"{HOME}/draft/classify", f"{HOME}/classify?dataset=ga.population&column=sex"):
        page = world.post(path, "officer_a", column="ga.population.sex", **sent(broken))
        assert page.status_code == 422
        assert re.search(r"columns\.yaml:\d+:\d+", page.text)
        assert files_in(page) == broken
    at, column = f"{HOME}/draft/classify", {"column": "ga.population.sex"}
    assert world.post(at, "officer_a", csrf="", **sent(files, **column)).status_code == 403
    assert world.post(at, "steward_ga", **sent(files, **column)).status_code == 403
    assert world.post(at, "officer_a", **sent(files, column="no.such.column")).status_code == 404


def test_an_entry_that_cannot_be_written_alone_is_told_at_the_draft(world):
    files = drafted(world)
    before, _, after = files["columns.yaml"].partition("      sex: {}")
    files["columns.yaml"] = f"{before}      ? sex\n      : {{}}{after}"
    place = f"{HOME}/classify?dataset=ga.population&column=sex"
    for language, said in (("en", "cannot be changed alone"), ("zh", "无法单独修改")):
        page = world.post(place, "officer_a", language, level="core", **sent(files, reason="why"))
        assert page.status_code == 422
        assert said in text_of(page)
        assert files_in(page) == files
        assert "why</textarea>" in page.text


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        ({"scope": "dataset", "target": "ga.<no>", "reason": 'a "leak"', "hours": "3"}, 404, ("ga.&lt;no&gt;", "ga.&lt;no&gt;")),
        ({"scope": "user", "target": "lin", "reason": "", "hours": "5", "drill": "yes"}, 400, ("reason", "理由")),
        ({"scope": "project", "target": "drc", "reason": "why", "hours": "many"}, 400, ("hours", "小时")),
        ({"scope": "moon", "target": "x", "reason": "why"}, 400, ("a kind", "类型")),
    ],
)  # fmt: skip
def test_a_freeze_that_is_refused_is_told_at_its_form_with_what_was_typed(
    world, typed, status, said
):
    for place, language in enumerate(("en", "zh")):
        page = world.post("/console/freezes", "officer_a", language, **typed)
        assert page.status_code == status
        told, _, form = page.text.partition('<form method="post" action="/console/freezes#stop">')
        assert said[place] in told.rpartition('<section aria-labelledby="stop">')[2]
        assert f'value="{escape(typed["target"])}"' in form
        assert f"{escape(typed['reason'])}</textarea>" in form
        assert f'value="{typed.get("hours", "")}"' in form
        assert ("checked" in form) is ("drill" in typed)
        if typed["scope"] != "moon":
            assert f'<option value="{typed["scope"]}" selected>' in form


def test_who_may_not_stop_this_is_told_at_the_form(world):
    page = world.post(
        "/console/freezes", "steward_ga", scope="dataset", target="tax.payment", reason="theirs"
    )
    assert page.status_code == 403
    assert "theirs</textarea>" in page.text
    assert "P004" in page.text


def test_one_person_stops_and_two_let_go_on(world):
    place = "/console/freezes"
    assert world.post(place, "analyst_drc", scope="platform", reason="r").status_code == 403
    assert world.post(place, "officer_a", csrf="", scope="platform", reason="r").status_code == 403
    assert (
        world.post(place, "officer_a", scope="dataset", target="ga.no", reason="r").status_code
        == 404
    )
    assert (
        world.post(
            place, "officer_a", scope="dataset", target="ga.population", reason=""
        ).status_code
        == 400
    )
    made = world.post(
        place, "officer_a", scope="dataset", target="ga.population", reason="a leak", hours="2"
    )
    assert made.status_code == 303
    assert "a leak" in text_of(world.get(place, "officer_b", "zh"))
    assert world.post(f"{place}/1/end", "officer_a", reason="over").status_code == 303
    assert "in force" in text_of(world.get(f"{place}?state=open", "officer_a"))
    for language, back in (("en", "Unfreeze"), ("zh", "解除冻结")):
        again = world.post(f"{place}/1/end", "officer_a", language, reason="a second yes")
        assert again.status_code == 409
        assert f"<h1>{back}</h1>" in again.text
        assert "a second yes</textarea>" in again.text
    assert world.post(f"{place}/1/end", "officer_b", reason="").status_code == 400
    assert world.post(f"{place}/99/end", "officer_b", reason="x").status_code == 404
    assert world.post(f"{place}/1/end", "officer_b", reason="over").status_code == 303
    assert "No" in text_of(world.get(f"{place}?state=open", "officer_a"))
    assert "a leak" in text_of(world.get(f"{place}?state=lifted", "auditor"))
