"""Accounting from the command line: a report made, verified and tampered with; records, figures, tickets, the page."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from steady import FixedClock, SeededRng

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.model.record import AuditRecord
from middleplatform.settings import Settings

ASKED = {
    "at": "2026-02-05T03:00:00+00:00", "query_id": "ab" * 16, "subject": "lin", "department": "drc", "roles": ["analyst"],
    "recipient": "drc", "purpose": "planning", "project": "drc",
}  # fmt: skip
ANSWERED = {
    **ASKED, "datasets": ["ga.population"], "columns": ["ga.population.sex"], "grants": ["g1"], "policy_digest": "d" * 64,
    "released_values": 12, "withheld": [["R5", "threshold", 3]], "result_digest": "e" * 64, "protocol": "local",
}  # fmt: skip


@pytest.fixture
def logged(shell):
    """Put a question, its answer and an incident into the log of the settings."""
    signer = CheckpointSigner.create(shell.state / "audit.key", Settings().origin, SeededRng())
    with AuditLog.open(shell.state / "audit.db", signer, FixedClock()) as log:
        log.append(AuditRecord("received", {**ASKED, "sql": "SELECT 1"}))
        log.append(AuditRecord("released", ANSWERED))
        log.append(
            AuditRecord(
                "incident",
                {
                    "at": ASKED["at"],
                    "starts": "2026-02-05T00:00:00+00:00",
                    "ends": "2026-02-06T00:00:00+00:00",
                    "columns": ["ga.population.sex"],
                },
            )
        )
    return shell


def test_a_report_is_made_verified_and_refused_once_it_is_changed(logged, tmp_path):
    files = ("--json", "report.json", "--html", "report.html")
    assert logged("report", "make", "1", *files).code == 0
    for name in ("report.json", "report.html"):
        told = json.loads(logged("report", "verify", name, "--json").out)
        assert (told["index"], told["outcome"], told["size"]) == (1, "released", 3)
    assert "第 1 条记录" in logged("--locale", "zh", "report", "verify", "report.html").err
    (tmp_path / "key.pub").write_text(
        "".join(f"{key}\n" for key in json.loads(logged("audit", "--json").out)["keys"])
    )
    assert logged("report", "verify", "report.json", "--key", "key.pub").code == 0
    for name in ("report.json", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("lin", "liu"), encoding="utf-8")
        assert logged("report", "verify", name).code == 16
    assert json.loads(logged("report", "make", "ab" * 16).out)["counts"] == {
        "released": 12,
        "suppressed": 3,
    }
    assert logged("report", "make", "7").code == 10
    assert logged("report", "make", "1", "--at", "1").code == 16


def test_who_got_what_is_asked_of_the_log_by_person_department_and_incident(logged):
    for asked in (("--person", "lin"), ("--department", "drc"), ("--incident", "2")):
        (found,) = json.loads(logged("audit", "search", *asked, "--json").out)
        assert (found["index"], found["grants"]) == (1, ["g1"])
    assert json.loads(logged("audit", "search", "--person", "liu", "--json").out) == []
    assert logged("audit", "search", "--incident", "1").code == 10


def test_usage_records_are_written_as_csv_and_json(logged, tmp_path):
    assert logged("usage", "records", "ga", "--csv", "ga.csv").code == 0
    (row,) = csv.DictReader(io.StringIO((tmp_path / "ga.csv").read_text(encoding="utf-8")))
    assert (row["role"], row["answers_for_use"]) == ("provider", "drc")
    (one,) = json.loads(logged("usage", "records", "drc", "--role", "user", "--json").out)
    assert one["answers_for_data"] == ["ga"]
    assert json.loads(logged("usage", "records", "ga", "--until", "2026-02-05", "--json").out) == []
    assert "lin" in logged("--locale", "zh", "usage", "records", "ga").out
    assert logged("usage", "note", "1", "--as", "analyst_drc", "--effect", "用于测算").code == 0
    assert logged("usage", "note", "1", "--as", "steward_tax", "--effect", "用于测算").code == 10
    assert json.loads(logged("usage", "records", "ga", "--json").out)[0]["effect"] == ["用于测算"]


def test_a_ticket_goes_its_way_and_shows_in_figures_and_assets(logged):
    said = ("--as", "analyst_drc", "--release", "1", "--text", "三区性别代码有误")
    assert logged("ticket", "open", "correction", *said).code == 0
    assert (
        logged("ticket", "open", "objection", *said[:-1], "110105" + "19491231" + "002X").code == 10
    )
    states = json.loads(logged("usage", "assets", "--json").out)
    assert [each["dataset"] for each in states if each["state"] == "disputed"] == ["ga.population"]
    shown = json.loads(logged("catalog", "show", "ga.population", "--json").out)
    assert (shown["state"], shown["disputed_by"]) == ("disputed", ["YY1"])
    assert logged("ticket", "take", "YY1", "--as", "steward_tax").code == 10
    assert logged("ticket", "take", "YY1", "--as", "steward_ga").code == 0
    done = logged(
        "ticket",
        "answer",
        "yy1",
        "--as",
        "steward_ga",
        "--outcome",
        "corrected",
        "--text",
        "已改",
        "--basis",
        "底册",
        "--json",
    )
    assert json.loads(done.out)["outcome"] == "corrected"
    assert "已更正" in logged("--locale", "zh", "ticket", "show", "YY1", "--as", "auditor").out
    assert (
        logged("ticket", "extend", "YY1", "--as", "bureau", "--days", "2", "--text", "x").code == 10
    )
    assert logged("ticket", "reopen", "YY1", "--as", "analyst_drc", "--text", "仍有误").code == 0
    assert logged("ticket", "withdraw", "YY1", "--as", "analyst_drc", "--text", "误报").code == 0
    assert logged("ticket", "close", "YY1", "--as", "bureau").code == 10
    assert json.loads(logged("ticket", "list", "--overdue", "--as", "bureau", "--json").out) == []
    assert "YY1" in logged("ticket", "list", "--as", "steward_ga").out
    figures = {
        each["department"]: each for each in json.loads(logged("usage", "figures", "--json").out)
    }
    assert figures["ga"]["tickets"] == 1
    assert "ga" in logged("usage", "figures").out
    assert logged("usage", "findings").code == 0
    checks = {
        each["code"]: each["good"]
        for each in json.loads(logged("usage", "inspection", "--json").out)
    }
    assert (checks["log"], checks["separation"]) == (True, None)
    assert "审计日志校验通过" in logged("--locale", "zh", "usage", "inspection").out
    assert "无异议" in logged("--locale", "zh", "usage", "assets").out
    events = [
        each["event"]
        for each in (json.loads(logged("audit", "show", str(n), "--json").out) for n in range(3, 7))
    ]
    assert events == ["ticket"] * 4


def test_the_public_page_of_a_month_that_is_over(logged, tmp_path):
    told = json.loads(
        logged("transparency", "--month", "2026-02", "--html", "page.html", "--json").out
    )
    assert told["totals"]["questions"] == "<10"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;10" in page
    assert "lin" not in page.replace("line", "")
    assert logged("transparency", "--month", f"{datetime.now(UTC):%Y-%m}").code == 10
    assert logged("transparency").code == 0
