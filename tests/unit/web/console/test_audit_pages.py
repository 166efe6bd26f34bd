"""The auditor's pages over a running platform: every page, every check, both languages, and who must not see them."""

import base64
import json
import re

import pytest
from analyst_world import opened_world, text_of

from middleplatform.accountability import checking
from middleplatform.audit.browse import Wanted, newest

COUNT = "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code"
REFUSED = "SELECT id_number, name FROM ga.population"
LOG, PROOF, RELEASES = "/console/audit/log", "/console/audit/proof", "/console/audit/releases"
AUDITOR = (LOG, PROOF, "/console/audit/checkpoint", "/console/audit/inspection")
WATCHER = (
    RELEASES, "/console/audit/figures", "/console/audit/findings", "/console/audit/transparency",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("auditor"), demo_data) as made:
        made.answered(COUNT)
        made.answered(REFUSED)
        yield made


@pytest.fixture(scope="module")
def log(world):
    return world.platform.gateway.audit


@pytest.fixture(scope="module")
def released(log):
    return newest(log, Wanted(event="released"), 1).entries[0]


@pytest.mark.parametrize("path", [*AUDITOR, *WATCHER, f"{LOG}/0"])
def test_every_page_opens_in_both_languages_and_needs_no_inline_script(world, path):
    for language, name in (("en", "en"), ("zh", "zh-CN")):
        page = world.get(path, "auditor", language)
        assert (page.status_code, page.headers["content-language"]) == (200, name)
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page.text)


@pytest.mark.parametrize(("person", "status"), [("analyst_drc", 403), ("sysadmin", 403), ("", 303)])
def test_whoever_does_not_watch_sees_none_of_it(world, person, status):
    found = {world.get(path, person).status_code for path in (*AUDITOR, *WATCHER, f"{LOG}/0")}
    assert found == {status}
    assert world.post(PROOF, person, given="0").status_code == status


def test_an_officer_watches_but_does_not_read_the_log(world):
    assert {world.get(path, "officer_a").status_code for path in WATCHER} == {200}
    assert {world.get(path, "officer_a").status_code for path in AUDITOR} == {403}


@pytest.mark.parametrize("path", [PROOF, "/console/audit/inspection"])
def test_a_form_without_its_token_checks_nothing(world, path):
    sent = world.ask("POST", path, "auditor", data={"csrf": "", "given": "0"})
    assert (sent.status_code, "Verified" in sent.text) == (403, False)


# --- the log --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "holds", "lacks"),
    [
        ("event=refused", "refused", "released"),
        ("event=released&dataset=ga.population", "released", "refused"),
        ("person=analyst_drc&event=received", "asked", "released"),
        ("event=released&department=drc&since=2020-01-01", "released", "refused"),
    ],
)
def test_filters_leave_what_was_asked_for(world, asked, holds, lacks):
    table = text_of(world.get(f"{LOG}?{asked}", "auditor")).partition("About")[2]
    assert (holds in table, lacks in table) == (True, False)


@pytest.mark.parametrize("asked", ["person=nobody", "dataset=ga.popul", "until=2020-01-01"])
def test_what_no_entry_names_is_not_found(world, asked):
    assert "Nothing found" in world.get(f"{LOG}?{asked}", "auditor").text


def test_a_moment_that_is_none_is_refused(world):
    assert world.get(f"{LOG}?since=yesterday", "auditor").status_code == 400


def test_pages_are_cut_by_index_and_each_entry_stands_on_one(log):
    seen, before = [], None
    while True:
        page = newest(log, Wanted(), 2, before)
        seen += [each.index for each in page.entries]
        before = page.before
        if before is None:
            break
    assert seen == list(range(log.size))[::-1]


def test_an_entry_tells_its_proof_and_leads_to_the_others_of_its_query(world, log, released):
    page = world.get(f"{LOG}/{released.index}", "auditor").text
    asked = newest(log, Wanted("received", query_id=released.record.body["query_id"]), 1).entries[0]
    assert "Verified" in page
    assert f'href="{LOG}/{asked.index}"' in page
    assert log.profile.leaf(released.leaf).hex() in page


@pytest.mark.parametrize("index", ["999999", "x", "9" * 40])
def test_an_entry_that_is_not_there_is_not_found(world, index):
    assert world.get(f"{LOG}/{index}", "auditor").status_code == 404


# --- proofs ---------------------------------------------------------------------------------------------------------


def check(world, given):
    page = world.post(PROOF, "auditor", given=given)
    assert page.status_code == 200
    return text_of(page)


def receipt(log, index):
    found = checking.receipt_of(log, index)
    return {
        "index": index, "leaf_hash": found.leaf_hash, "checkpoint": found.checkpoint, "proof": list(found.proof),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "html"])
def test_a_report_verifies_as_pasted_and_not_once_a_character_is_another(world, released, form):
    report = world.get(f"{LOG}/{released.index}/report/{form}", "auditor").text
    assert "Not verified" not in (good := check(world, report.replace("\n", "\r\n")))
    assert f"Entry {released.index}" in good
    assert "Not verified" in check(world, report.replace("ga.population", "ga.populatiom", 1))


def test_a_receipt_its_file_an_index_and_a_checkpoint_verify(world, log, released):
    proof = world.get(f"{LOG}/{released.index}/proof", "auditor").text
    mine = json.dumps({
        "receipt": receipt(log, released.index), "result_digest": released.record.body["result_digest"],
    })  # fmt: skip
    for given in (str(released.index), mine, proof, log.checkpoint()):
        assert "Not verified" not in (said := check(world, given)), given
        assert "Verified" in said


def test_who_cosigned_a_checkpoint_is_named_and_the_log_itself_is_no_witness(
    world, log, monkeypatch
):
    bare = log.checkpoint()
    assert checking.witnessed(log, bare) == ()
    cosigned = bare + "— <b>witness</b> " + base64.b64encode(bytes(4 + 8 + 64)).decode() + "\n"
    assert checking.witnessed(log, cosigned) == ("<b>witness</b>",)
    monkeypatch.setattr(log, "checkpoint", lambda: cosigned)
    page = world.get("/console/audit/checkpoint", "auditor").text
    assert "<li><code>&lt;b&gt;witness&lt;/b&gt;</code></li>" in page
    assert "Nobody cosigned" not in page


@pytest.mark.parametrize(
    ("change", "breaks"),
    [
        ({"index": 0}, "the leaf hash is another's"),
        ({"leaf_hash": "00" * 32}, "the leaf hash is another's"),
        ({"proof": ["00" * 32]}, "the proof leads from the entry"),
        ({"proof": ["xyz"]}, "malformed proof"),
        ({"checkpoint": "x"}, "malformed checkpoint"),
        ({"index": 10**9}, "no entry"),
    ],
)
def test_a_forged_receipt_breaks_at_the_step_that_is_forged(world, log, released, change, breaks):
    said = check(world, json.dumps(receipt(log, released.index) | change))
    assert "Not verified" in said
    assert breaks in said


def test_another_answer_under_a_true_receipt_is_found_out(world, log, released):
    given = {"receipt": receipt(log, released.index), "result_digest": "00" * 32}
    assert "the answer is another's" in check(world, json.dumps(given))


@pytest.mark.parametrize(
    "given", ["", "hello", "{", "[]", '{"index": true}', "c2sp.org/tlog-proof@v1\nindex x"]
)
def test_what_is_nothing_of_the_kind_is_called_so(world, given):
    assert "Nothing that can be checked" in check(world, given)


def test_two_signed_sizes_are_compared(world, log):
    page = world.get(f"/console/audit/checkpoint?old={log.size}&new={log.size}", "auditor").text
    assert "Verified" in page
    beyond = world.get(f"/console/audit/checkpoint?old=0&new={log.size + 1}", "auditor")
    assert beyond.status_code == 400


# --- who got what, conduct ------------------------------------------------------------------------------------------


def test_releases_are_found_and_given_as_files(world, released):
    asked = "dataset=ga.population&subject=analyst_drc"
    assert f'href="{LOG}/{released.index}"' in world.get(f"{RELEASES}?{asked}", "auditor").text
    value = world.get(f"{RELEASES}/export/json?{asked}", "auditor").json()
    assert [each["index"] for each in value["releases"]] == [released.index]
    lines = world.get(f"{RELEASES}/export/csv?{asked}", "auditor").text.splitlines()
    assert (len(lines), lines[0].lstrip("\ufeff").split(",")[0]) == (2, "index")
    assert world.get(f"{RELEASES}/export/exe", "auditor").status_code == 404


def test_nothing_is_found_for_another_and_no_incident_is_refused(world):
    assert "Nothing" in world.get(f"{RELEASES}?subject=analyst_stats", "auditor").text
    assert world.get(f"{RELEASES}?incident=0", "auditor").status_code == 400


def test_an_inspection_looks_at_the_log(world):
    page = text_of(world.post("/console/audit/inspection", "auditor"))
    assert "the audit log verifies yes" in page


def test_a_month_that_is_not_over_is_refused(world):
    for path in ("figures", "findings", "transparency"):
        assert world.get(f"/console/audit/{path}?month=2999-01", "auditor").status_code == 400
