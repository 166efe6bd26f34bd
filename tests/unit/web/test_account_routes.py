"""Accountability over REST: who got what and who may know; reports that verify offline; tickets; the public page."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from middleplatform.audit import verify
from middleplatform.audit.entry import LogEntry
from middleplatform.audit.proof import check_receipt
from middleplatform.model.record import AuditRecord, Receipt
from middleplatform.model.request import Role
from middleplatform.web import bodies_account as bodies
from tests.fakes.rest_world import governing

STEWARD = Role.DEPARTMENT_STEWARD


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    with governing(tmp_path_factory.mktemp("accounts")) as opened:
        for number, (person, dataset) in enumerate(
            [("lin", "ga.population"), ("wang", "ga.population"), ("lin", "amr.enterprise")]
        ):
            enter(opened, number, person, dataset)
        opened.gateway.clock.moment = opened.clock.moment = datetime(2026, 4, 2, 8, tzinfo=UTC)
        yield opened


def enter(doors, number, person, dataset):
    """Enter a question and its answer, as the gateway does."""
    common = {
        "query_id": f"{number:032x}", "at": doors.clock.now().isoformat(), "subject": person, "department": "drc",
        "recipient": "drc", "purpose": "statistics", "project": "drc",
    }  # fmt: skip
    doors.gateway.audit.append(AuditRecord("received", common | {
        "roles": ["analyst"], "regions": ["*"], "strict": False, "sql": f"SELECT COUNT(*) FROM {dataset}",
    }))  # fmt: skip
    doors.gateway.audit.append(AuditRecord("released", common | {
        "datasets": [dataset], "columns": [f"{dataset}.region_code"], "grants": [], "protocol": "local",
        "released": 4, "suppressed": {}, "result_digest": "ab" * 32, "policy_digest": doors.gateway.bundle.digest,
    }))  # fmt: skip


def test_watchers_find_who_got_what(doors):
    auditor = doors.by_role(Role.AUDITOR)
    found = bodies.ReleasesBody.model_validate(
        doors.ask("GET", "/v1/releases?dataset=ga.population", auditor).value
    )
    assert [each.subject for each in found.releases] == ["lin", "wang"]
    page = doors.ask("GET", "/v1/releases?subject=lin&limit=1", auditor).value
    rest = doors.ask("GET", f"/v1/releases?subject=lin&after={page['next']}", auditor).value
    assert [each["index"] for each in page["releases"] + rest["releases"]] == [1, 5]
    assert doors.ask("GET", "/v1/releases?stop=2026-01-01", auditor).value["releases"] == []
    assert doors.ask("GET", "/v1/releases?incident=1", auditor).value["code"] == "Q040"
    assert doors.ask("GET", "/v1/releases?start=2026-02-30", auditor).value["code"] == "Q040"


def test_a_steward_reads_the_own_departments_usage_and_no_other(doors):
    steward = doors.token("ga_head", "ga", STEWARD)
    own = bodies.UsageBody.model_validate(doors.ask("GET", "/v1/usage", steward).value)
    assert [each.subject for each in own.records] == ["lin", "wang"]
    assert own.retention_years >= 3
    other = doors.ask("GET", "/v1/usage?department=amr", steward)
    assert (other.status, other.value["code"]) == (403, "P004")
    used = doors.ask("GET", "/v1/usage?department=drc&side=user", doors.by_role(Role.DATA_BUREAU))
    assert len(used.value["records"]) == 3


def test_a_user_writes_down_what_became_of_an_answer(doors):
    lin = doors.token("lin", "drc", Role.ANALYST)
    note = doors.ask(
        "POST", "/v1/releases/1/note", lin, {"storage": "仅存于内网", "disposal": "已销毁"}
    )
    assert bodies.WrittenNoteBody.model_validate(note.value).storage == "仅存于内网"
    assert note.status == 201
    used = doors.ask("GET", "/v1/usage?side=user", doors.token("head", "drc", STEWARD)).value[
        "records"
    ]
    assert (used[0]["storage"], used[0]["effect"], used[1]["storage"]) == (["仅存于内网"], [], [])
    assert doors.ask("POST", "/v1/releases/1/note", lin, {}).value["code"] == "Q040"
    for index in (1, 999):  # of another department, and none at all
        stranger = doors.token("zhao", "amr", Role.ANALYST)
        refused = doors.ask("POST", f"/v1/releases/{index}/note", stranger, {"effect": "x"})
        assert (refused.status, refused.value["detail"]) == (404, f"There is no release {index}.")


def test_own_receipts_verify_and_nobody_elses_are_among_them(doors):
    mine = doors.ask("GET", "/v1/receipts", doors.token("lin", "drc", Role.ANALYST)).value
    found = bodies.OwnReceiptsBody.model_validate(mine).receipts
    assert [each.index for each in found] == [1, 5]
    log = doors.gateway.audit
    for each in found:
        receipt = Receipt(
            each.index, each.receipt.leaf_hash, each.receipt.checkpoint, tuple(each.receipt.proof)
        )
        check_receipt(LogEntry(each.index, log.entry(each.index).leaf).record, receipt, log.keys)
    namesake = doors.token("lin_ga", "ga", Role.ANALYST)
    assert doors.ask("GET", "/v1/receipts", namesake).value["receipts"] == []


def test_the_report_of_a_decision_verifies_offline(doors, tmp_path):
    asker = doors.token("lin", "drc", Role.ANALYST)
    (tmp_path / "key.pub").write_text(
        "".join(f"{key.text()}\n" for key in doors.gateway.audit.keys)
    )
    for accept, name in (("application/json", "report.json"), ("text/html", "report.html")):
        seen = doors.ask("GET", f"/v1/decisions/{0:032x}", asker, headers=[("Accept", accept)])
        assert (seen.status, seen.headers["content-type"].partition(";")[0]) == (200, accept)
        assert name.rpartition(".")[2] in seen.headers["content-disposition"]
        (tmp_path / name).write_bytes(seen.body)
        done = subprocess.run(
            [sys.executable, verify.__file__, name, "key.pub"], cwd=tmp_path, capture_output=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
    by_entry = doors.ask("GET", "/v1/decisions/1", asker)
    assert f"{0:032x}" in json.dumps(by_entry.value)


def test_a_decision_of_others_is_as_none(doors):
    stranger = doors.token("zhao", "amr", Role.ANALYST)
    for wanted in (f"{0:032x}", "f" * 32):
        seen = doors.ask("GET", f"/v1/decisions/{wanted}", stranger)
        assert (seen.status, seen.value["code"]) == (404, "Q041")
        assert seen.value["detail"] == f"There is no decision {wanted} in the log."


def test_figures_and_findings_are_of_the_own_department_or_of_all(doors):
    steward, auditor = doors.token("ga_head", "ga", STEWARD), doors.by_role(Role.AUDITOR)
    own = bodies.FiguresBody.model_validate(doors.ask("GET", "/v1/figures", steward).value)
    assert [each.department for each in own.figures] == ["ga"]
    every = bodies.FiguresBody.model_validate(
        doors.ask("GET", "/v1/figures?month=2026-03", auditor).value
    )
    assert len(every.figures) > 3
    findings = doors.ask("GET", "/v1/findings", auditor).value
    bodies.FindingsBody.model_validate(findings)
    assert doors.ask("GET", "/v1/figures?month=2026-13", auditor).value["code"] == "Q040"
    assert doors.ask("GET", "/v1/findings?month=2099-01", auditor).value["code"] == "Q040"


def test_the_public_page_is_for_anybody_and_tells_no_small_count(doors):
    seen = doors.ask("GET", "/v1/transparency?month=2026-03")
    page = bodies.TransparencyBody.model_validate(seen.value)
    assert (page.totals["questions"], page.asking["drc"]) == ("<10", "<10")
    assert doors.ask("GET", "/v1/transparency").value == seen.value
    assert doors.ask("GET", "/v1/transparency?month=2026-04").value["code"] == "Q040"


def test_a_ticket_goes_its_way(doors):
    lin, steward = doors.token("lin", "drc", Role.ANALYST), doors.token("ga_head", "ga", STEWARD)
    wrong = {"kind": "correction", "release": 1, "text": "延庆区人数有误"}
    made = doors.ask("POST", "/v1/tickets", lin, wrong)
    assert (made.status, made.headers["location"]) == (201, "/v1/tickets/YY1")
    assert bodies.TicketBody.model_validate(made.value).dataset == "ga.population"

    def act(name, token, body=None):
        answer = doors.ask("POST", f"/v1/tickets/YY1/{name}", token, body)
        assert answer.status == 200, answer.body
        return bodies.TicketBody.model_validate(answer.value).phase

    assert act("take", steward) == "taken"
    (asset,) = [
        each for each in doors.ask("GET", "/v1/assets", lin).value["assets"] if each["dataset"] == "ga.population"
    ]  # fmt: skip
    assert (asset["state"], asset["pending"]) == ("disputed", ["YY1"])
    good = {"outcome": "corrected", "text": "已更正", "basis": "《政务数据共享条例》第二十六条"}
    assert act("answer", steward, good) == "answered"
    assert act("reopen", lin, {"reason": "仍有误"}) == "open"
    assert act("withdraw", lin, {"reason": "误报"}) == "withdrawn"
    listed = doors.ask("GET", "/v1/tickets", steward).value
    assert [
        each["number"] for each in bodies.TicketsBody.model_validate(listed).model_dump()["tickets"]
    ] == ["YY1"]
    stranger = doors.token("amr_head", "amr", STEWARD)
    for number in ("YY1", "YY9"):
        seen = doors.ask("POST", f"/v1/tickets/{number}/take", stranger)
        assert (seen.status, seen.value["detail"]) == (404, f"There is no ticket {number}.")


def test_a_text_with_an_identity_number_is_no_ticket(doors):
    body = {
        "kind": "objection",
        "dataset": "ga.population",
        "text": "990101199001011239 的年龄有误",
    }
    refused = doors.ask("POST", "/v1/tickets", doors.token("lin", "drc", Role.ANALYST), body)
    assert (refused.status, refused.value["code"]) == (400, "Q040")
    assert "990101199001011239" not in refused.body.decode()
