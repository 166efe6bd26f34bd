"""The other commands, and how every command ends."""

import json
import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from middleplatform.cli.main import main
from middleplatform.errors import AuditError, ConfigError
from middleplatform.policy.examples import example
from tests.fakes.doors import open_fake

ASK = ("query", "SELECT 1", "--as", "analyst_drc", "--purpose", "statistics")


def test_catalog_lists_shows_and_searches(shell):
    assert "ga.population" in shell("catalog").out
    assert shell("catalog").out == shell("catalog", "list").out
    listed = json.loads(shell("catalog", "--json").out)
    assert listed == json.loads(shell("catalog", "list", "--json").out)
    shown = shell("catalog", "show", "ga.population", "--locale", "zh").out
    assert "birth_year" in shown
    assert "公安局" in shell("catalog", "show", "ga").out
    found = json.loads(shell("catalog", "search", "出生", "--json").out)
    assert {"dataset", "column", "name_zh", "held"} <= set(found[0])
    missing = shell("catalog", "show", "ga.nothing")
    assert (missing.code, missing.err[:4]) == (10, "Q021")


def test_policy_check_passes_the_shipped_bundle_and_names_every_problem_of_a_broken_one(
    shell, tmp_path
):
    good = shell("policy", "check", str(example("demo")))
    assert good.code == 0
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "bundle.yaml").write_text("name: x\nversion: [\n", encoding="utf-8")
    for locale, word in (("en", "not valid"), ("zh", "无效")):
        ran = shell("policy", "check", str(bad), "--locale", locale)
        assert ran.code == 17
        assert ran.err.startswith("C001")
        assert "bundle.yaml:" in ran.err
        assert word in ran.err
    gone = shell("policy", "check", str(tmp_path / "gone"))
    assert (gone.code, gone.err[:4]) == (17, "C001")


def test_policy_check_lists_findings_and_errors_decide_the_exit_code(shell, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "b.yaml").write_text(
        "name: t\nversion: '1'\neffective: 2026-01-01\n"
        "purposes: {p: {name_zh: 甲, name_en: a, roles: [analyst]}}\n"
        "datasets: {ga.population: {purposes: [p], disclosure: {min_units: 2}, columns: {}}}\n",
        encoding="utf-8",
    )
    ran = shell("policy", "check", str(bundle), "--json")
    value = json.loads(ran.out)
    assert value["findings"]
    assert ran.code == (17 if value["errors"] else 0)


def test_policy_show_names_version_and_digest(shell):
    value = json.loads(shell("policy", "show", "--json").out)
    assert value["digest"] in shell("policy", "show").out
    assert value["bundle"]["purposes"]


SUITE = """
suite: small
cases:
  - {id: row, persona: lin, purpose: statistics, EXPECTED, sql: SELECT id_number FROM ga.population}
"""


def test_policy_test_names_the_cases_that_differ(shell, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(str(example("demo")), bundle)
    (bundle / "columns_test.yaml").unlink()
    (bundle / "personas.yaml").write_text(
        "personas:\n  lin: {department: drc, roles: [analyst]}\n", encoding="utf-8"
    )
    for expected, code, differences in (
        ("expect: refuse, rule: R2", 0, []),
        ("expect: permit", 17, ["verdict"]),
    ):
        text = SUITE.replace("EXPECTED", expected)
        (bundle / "small_test.yaml").write_text(text, encoding="utf-8")
        ran = shell("policy", "test", str(bundle), "--json")
        (case,) = json.loads(ran.out)["cases"]
        assert (ran.code, case["differences"]) == (code, differences)
        assert case["verdict"]["verdict"] == "refuse"
    assert "differs" in shell("policy", "test", str(bundle)).out
    assert shell("policy", "test", str(bundle), "--suite", "none").code == 17
    assert shell.opened is None, "judging a draft opens no platform and leaves nothing in the log"


def record(state):
    """Fill the platform's log with three entries, and close it."""
    gateway = open_fake(state)
    for _ in range(3):
        gateway.record()
    gateway.audit.close()


def test_audit_reads_proves_searches_and_counts(shell):
    record(shell.state)
    assert shell("audit").out.startswith("doors.example/audit\n3\n")
    head = json.loads(shell("audit", "head", "--json").out)
    assert head["size"] == 3
    assert json.loads(shell("audit", "show", "1", "--json").out)["event"] == "released"
    assert shell("audit", "proof", "2").out.startswith("c2sp.org/tlog-proof@v1\nindex 2\n")
    proof = json.loads(shell("audit", "proof", "2", "--json").out)
    assert proof["leaf_hash"]
    found = json.loads(shell("audit", "search", "--dataset", "ga.population", "--json").out)
    assert [each["index"] for each in found] == [0, 1, 2]
    assert "lin" in shell("audit", "search", "--column", "ga.population.birth_year").out
    late = shell("audit", "search", "--since", "2026-03-02", "--json")
    assert json.loads(late.out) == []
    assert shell("audit", "search", "--until", "yesterday").err.startswith("Q040")
    assert "0 entries" in shell("audit", "retention").err
    none = shell("audit", "show", "9")
    assert (none.code, none.err[:4]) == (16, "A004")


def test_export_verifies_without_opening_the_platform_and_an_altered_one_is_named(shell):
    record(shell.state)
    assert "3 entries" in shell("audit", "export", "log.jsonl").err
    keys = json.loads(shell("audit", "head", "--json").out)["keys"]
    Path("log.pub").write_text("\n".join(keys) + "\n")
    assert "3 entries" in shell("audit", "verify", "log.jsonl", "log.pub").err
    assert "3 entries" in shell("audit", "verify").err
    whole = Path("log.jsonl").read_text()
    Path("log.jsonl").write_text(whole.replace('"lin"', '"wei"', 1))
    broken = shell("audit", "verify", "log.jsonl", "log.pub")
    assert (broken.code, "entry 0 was altered" in broken.err) == (16, True)
    for wrong in (
        ("log.jsonl",),
        ("log.jsonl", "none.pub"),
        ("none.jsonl", "log.pub"),
        ("log.jsonl", "log.jsonl"),
    ):
        assert shell("audit", "verify", *wrong).err.startswith("Q040")
    assert shell.opened is None


def test_audit_reads_a_log_that_another_process_writes_and_any_log_that_is_named(shell, tmp_path):
    gateway = open_fake(shell.state)
    gateway.record()
    assert "1 entries" in shell("audit", "verify").err
    gateway.record()
    assert "2 entries" in shell("audit", "verify").err
    keys = [key.text() for key in gateway.audit.keys]
    gateway.audit.close()
    moved = tmp_path / "elsewhere.db"
    (shell.state / "audit.db").rename(moved)
    none = shell("audit", "head")
    assert (none.code, none.err[:4]) == (10, "Q041")
    assert shell("audit", "head", "--log", "elsewhere.db").err.startswith("C006")
    Path("mine.pub").write_text("\n".join(keys) + "\n")
    for said in (
        ("audit", "--log", "elsewhere.db", "--key", "mine.pub"),
        ("audit", "head", "--log", "elsewhere.db", "--key", "mine.pub"),
        ("audit", "--log", "elsewhere.db", "head", "--key", "mine.pub"),
    ):
        assert json.loads(shell(*said, "--json").out)["size"] == 2
    Path("elsewhere.pub").write_text("\n".join(keys) + "\n")
    assert "2 entries" in shell("audit", "verify", "--log", "elsewhere.db").err
    Path("wrong.pub").write_text("nothing\n")
    for wrong in ("wrong.pub", "none.pub"):
        ran = shell("audit", "head", "--log", "elsewhere.db", "--key", wrong)
        assert ran.err.startswith("Q040")


def test_tokens_are_made_listed_and_revoked(shell):
    made = json.loads(
        shell("token", "add", "wei", "--department", "audit", "--role", "auditor", "--json").out
    )
    assert made["token"].startswith("mpt_" + made["id"])
    listed = shell("token", "list")
    assert made["id"] in listed.out
    assert made["token"] not in listed.out
    assert json.loads(shell("token", "revoke", made["id"], "--json").out)["revoked_at"]
    assert shell("token", "revoke", "none").err.startswith("Q041")
    both = shell(
        "token", "add", "wei", "--department", "audit", "--role", "auditor", "--role", "analyst"
    )
    assert (both.code, both.err[:4]) == (10, "Q040")
    assert (
        shell(
            "token", "add", "wei", "--department", "audit", "--role", "auditor", "--days", "9" * 30
        ).code
        == 10
    )


def _logins(shell, tmp_path):
    """Return the bodies of the log's entries about who is let in."""
    path = tmp_path / "export.jsonl"
    path.unlink(missing_ok=True)
    assert shell("audit", "export", str(path)).code == 0
    lines = map(json.loads, path.read_text().splitlines())
    entries = (each["entry"] for each in lines if "entry" in each)
    return [each["body"] for each in entries if each["event"] == "login"]


def test_every_token_that_is_made_or_revoked_is_in_the_log_with_who_did_it(shell, tmp_path):
    first = json.loads(
        shell("token", "add", "root", "--department", "db", "--role", "system_administrator", "--json").out
    )  # fmt: skip
    (tmp_path / "root").write_text(first["token"])
    made = json.loads(shell(
        "token", "add", "lin", "--department", "drc", "--role", "analyst", "--reason", "新入职",
        "--token", "@root", "--json",
    ).out)  # fmt: skip
    assert shell("token", "revoke", made["id"], "--reason", "离职", "--token", "@root").code == 0
    operator, root, gone = _logins(shell, tmp_path)
    assert (operator["what"], operator["token"], operator["by"]) == (
        "token_made", first["id"], "operator",
    )  # fmt: skip
    assert (operator["how"], operator["account"]) == (
        "command line",
        pwd.getpwuid(os.getuid()).pw_name,
    )
    assert operator["reason"] == "at the command line"
    assert (root["what"], root["subject"], root["by"], root["reason"]) == (
        "token_made", "lin", "root", "新入职",
    )  # fmt: skip
    assert "account" not in root  # a person acted
    assert (gone["what"], gone["token"], gone["reason"]) == ("token_revoked", made["id"], "离职")
    for secret in (first["token"], made["token"]):
        assert secret not in json.dumps([operator, root, gone])


def test_tokens_are_made_by_no_other_role_and_refusals_leave_no_entry(shell, tmp_path):
    lin = shell("token", "add", "lin", "--department", "drc", "--role", "analyst")
    (tmp_path / "lin").write_text(lin.out)
    assert len(_logins(shell, tmp_path)) == 1
    add = ("token", "add", "mo", "--department", "drc", "--role", "analyst")
    for said, code in (
        ((*add, "--token", "@lin"), 11), ((*add, "--reason", " "), 10), ((*add, "--days", "0"), 10),
        (("token", "revoke", "0" * 16), 10), ((*add, "--token", "mpt_x"), 11),
    ):  # fmt: skip
        assert shell(*said).code == code, said
    assert len(_logins(shell, tmp_path)) == 1
    assert len(json.loads(shell("token", "list", "--json").out)) == 1


def test_without_a_log_that_takes_the_entry_no_token_is_made_or_revoked(shell, tmp_path):
    made = json.loads(
        shell("token", "add", "lin", "--department", "drc", "--role", "analyst", "--json").out
    )
    key = tmp_path / "state" / "audit.key"
    kept = key.read_text()
    key.write_text("broken\n")
    for said in (
        ("token", "add", "mo", "--department", "drc", "--role", "analyst"),
        ("token", "revoke", made["id"]),
    ):
        assert shell(*said).code == 17
    key.write_text(kept)
    (listed,) = json.loads(shell("token", "list", "--json").out)
    assert (listed["id"], listed["revoked_at"]) == (made["id"], None)


def test_version_names_the_parts(shell):
    assert shell("version").out.startswith("middleplatform ")
    assert set(json.loads(shell("version", "--json").out)) >= {
        "middleplatform",
        "duckdb",
        "sqlglot",
    }


@pytest.mark.parametrize(("arguments", "english", "chinese"), [
    ((), "the following arguments are required", "缺少参数"),
    (("nothing",), "invalid choice", "无效"),
    (("query", "SELECT 1", "--purpose", "x"), "one of the arguments", "需要以下参数之一"),
    (("query", "SELECT 1", "--as", "a", "--token", "b", "--purpose", "x"), "not allowed with", "不能与"),
    (("audit", "show", "x"), "invalid int value", "无效"),
    (("version", "--nothing"), "unrecognized arguments", "无法识别的参数"),
])  # fmt: skip
def test_wrong_usage_ends_with_2_in_the_chosen_language(
    shell, monkeypatch, arguments, english, chinese
):
    ran = shell(*arguments)
    assert (ran.code, english in ran.err) == (2, True)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    ran = shell(*arguments)
    assert (ran.code, chinese in ran.err, "用法" in ran.err) == (2, True, True)


def test_language_comes_from_the_environment_unless_said(shell, monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert shell("catalog", "show", "x").err.startswith("Q021  请求无法受理")
    assert shell("--locale", "en", "catalog", "show", "x").err.startswith("Q021  The request")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert shell("catalog", "show", "x").err.startswith("Q021  The request")


def test_bad_settings_are_one_clear_message(shell, monkeypatch, tmp_path):
    (tmp_path / "s.toml").write_text("retention_years = 1")
    ran = shell("--settings", "s.toml", "audit")
    assert (ran.code, ran.err[:4], "retention_years" in ran.err) == (17, "C003", True)
    assert shell("--settings", "none.toml", "audit").err.startswith("C003")
    monkeypatch.setenv("MIDDLEPLATFORM_NOTHING", "1")
    assert shell("audit").err.startswith("C003")


@pytest.mark.parametrize(("error", "code"), [
    (ConfigError("C005", department="ga", detail="lock held by pid 7"), 17),
    (ConfigError("C004", department="ga"), 17), (ConfigError("C011", what="state"), 17),
    (AuditError("A003"), 16),
])  # fmt: skip
def test_platform_that_does_not_open_is_one_clear_message_with_its_exit_code(shell, error, code):
    def failing(_):
        raise error

    shell.prepare = failing
    ran = shell(*ASK)
    assert (ran.code, ran.err.splitlines()[0][:4]) == (code, error.code)
    assert "pid 7" not in ran.err
    written = shell.state / "operator.log"
    assert ("pid 7" in written.read_text()) if error.detail else not written.exists()


def test_unexpected_exception_shows_a_record_number_and_no_traceback(shell):
    def failing(_):
        raise RuntimeError("value 990101199001011234")

    shell.prepare = failing
    ran = shell(*ASK)
    line = json.loads((shell.state / "operator.log").read_text())
    assert ran.code == 17
    assert ran.err.startswith("C099")
    assert line["record"] in ran.err
    assert line["frames"]
    assert "Traceback" not in ran.err
    assert "1101" not in ran.err + ran.out + json.dumps(line)


def test_interrupt_ends_with_130_and_says_nothing(shell):
    def interrupted(_):
        raise KeyboardInterrupt

    shell.prepare = interrupted
    ran = shell(*ASK)
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_reader_that_goes_away_ends_quietly(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["version"]) == 141
