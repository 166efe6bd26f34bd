"""Asking on the command line: tables for people, JSON and CSV for programs, refusals with their place."""

import csv
import io
import json
from pathlib import Path

import pytest

from middleplatform.access.legend import MARKS
from middleplatform.errors import PolicyError, QueryError
from middleplatform.model.advice import Advice, Form
from middleplatform.model.decision import Reason, Span
from middleplatform.model.request import Role, Subject
from middleplatform.model.result import Explanation
from tests.fakes.doors import noisy_release

ASK = ("query", "SELECT 1", "--as", "analyst_drc", "--purpose", "statistics")


def test_answer_shows_values_marks_legend_notes_and_receipt(shell):
    ran = shell(*ASK)
    assert (ran.code, ran.err) == (0, "")
    for text in ("990101", "-10.50", "[T]", "[D]", "NULL", "3 rows", "fewer distinct units",
                 "rule R5, threshold: 1 values", "birth_year is banded by 10.", "audit entry 0", "local"):  # fmt: skip
        assert text in ran.out
    assert shell.opened[0].closed


def test_answer_is_told_in_chinese(shell):
    ran = shell(*ASK, "--locale", "zh")
    for text in (
        "3 行",
        "不同单元数低于阈值",
        "少数单元占比过大",
        "birth_year 已按 10 分段。",
        "回执",
    ):
        assert text in ran.out


def test_every_reason_of_a_withheld_value_has_a_mark_of_its_own_in_both_languages():
    assert set(MARKS) == {
        "threshold", "complement", "dominance", "p_percent", "homogeneity", "secondary", "overlap",
    }  # fmt: skip
    assert len({sign for sign, _ in MARKS.values()}) == len(MARKS)
    assert all(english and chinese for _, (english, chinese) in MARKS.values())


def test_json_is_the_documented_answer(shell):
    ran = shell(*ASK, "--json")
    value = json.loads(ran.out)
    assert set(value) == {
        "query_id", "status", "protocol", "columns", "rows", "suppressed", "withheld", "notes",
        "quality", "policy", "result_digest", "receipt",
    }  # fmt: skip
    assert value["rows"][1] == ["=1+1", None, None]


def test_csv_runs_no_formula_and_tells_withheld_from_missing(shell):
    ran = shell(*ASK, "--csv")
    rows = list(csv.reader(io.StringIO(ran.out)))
    assert rows == [
        ["区", "n", "avg_income"], ["990101", "15", "-10.50"],
        ["'=1+1", "*threshold", "*dominance"], ["", "12", "7.25"],
    ]  # fmt: skip
    assert "audit entry 0" in ran.err


def noisy(gateway):
    gateway.outcome = noisy_release()


@pytest.mark.parametrize(("locale", "legend"), [("en", "± half the width"), ("zh", "± 为区间半宽")])
def test_a_noisy_answer_shows_half_widths_and_says_what_they_are(shell, locale, legend):
    assert "±" not in shell(*ASK).out
    shell.prepare = noisy
    out = shell(*ASK, "--locale", locale).out
    for text in ("15 ± 12.3", "12 ± 12.3", "7.25 ± 0.513", legend):
        assert text in out
    assert "-10.50 ±" not in out
    assert "[T] ±" not in out


def test_csv_of_a_noisy_answer_has_half_widths_after_its_columns(shell):
    shell.prepare = noisy
    rows = list(csv.reader(io.StringIO(shell(*ASK, "--csv").out)))
    assert rows == [
        ["区", "n", "avg_income", "n_half_width", "avg_income_half_width"],
        ["990101", "15", "-10.50", "12.25", ""],
        ["'=1+1", "*threshold", "*dominance", "", ""], ["", "12", "7.25", "12.25", "0.51234"],
    ]  # fmt: skip


def test_json_of_a_noisy_answer_has_half_widths_shaped_as_its_rows(shell):
    shell.prepare = noisy
    value = json.loads(shell(*ASK, "--json").out)
    assert value["intervals"] == [[None, 12.25, None], [None, None, None], [None, 12.25, 0.51234]]


def test_request_carries_all_that_was_said(shell):
    shell(*ASK, "--project", "p1", "--recipient", "stats", "--strict")
    (asked,) = shell.opened[0].gateway.asked
    assert (asked.subject.id, asked.purpose, asked.project, asked.recipient, asked.strict) == (
        "analyst_drc", "statistics", "p1", "stats", True,
    )  # fmt: skip


def test_statement_comes_from_a_file(shell, tmp_path):
    (tmp_path / "q.sql").write_text("SELECT '人口'", encoding="utf-8")
    shell("query", "-f", "q.sql", *ASK[2:])
    assert shell.opened[0].gateway.asked[0].sql == "SELECT '人口'"


@pytest.mark.parametrize("wrong", [
    ("query", *ASK[2:]), ("query", "SELECT 1", "-f", "q.sql", *ASK[2:]), ("query", "-f", "none.sql", *ASK[2:]),
    ("query", "-f", "latin.sql", *ASK[2:]), ("query", "SELECT \udc80", *ASK[2:]),
    ("query", "SELECT 1", "--as", "nobody", "--purpose", "x"), ("query", "SELECT 1", "--token", "@none", "--purpose", "x"),
])  # fmt: skip
def test_request_that_cannot_be_read_is_one_clear_message(shell, tmp_path, wrong):
    (tmp_path / "latin.sql").write_bytes(b"SELECT '\xe9'")
    ran = shell(*wrong)
    assert (ran.code, ran.out) == (10, "")
    assert ran.err.startswith("Q040  ")
    assert "Traceback" not in ran.err


SQL = "SELECT '深圳市',\n       '一二三' || id_number FROM ga.population"


def refusing(gateway):
    start = SQL.index("id_number")
    error = PolicyError("P001", rule="R2", what=("id_number is a key", "id_number 是主键"))
    error.reasons = (
        Reason("R2", ("id_number is a key", "id_number 是主键"), "ga.population.id_number", "ga", "2026.1",
               Span(start, start + 9, 2, 15), ("COUNT(DISTINCT id_number)", "COUNT(DISTINCT id_number)")),
        Reason("R4", ("rows in the answer", "答案中出现数据行")),
    )  # fmt: skip
    error.audit_index = 41
    gateway.outcome = error


def test_refusal_names_rule_column_owner_version_place_hint_and_entry(shell):
    shell.prepare = refusing
    ran = shell("query", SQL, *ASK[2:])
    assert (ran.code, ran.out) == (11, "")
    assert ran.err.splitlines() == [
        "P001  Refused by policy",
        "  Refused by rule R2: id_number is a key.",
        "  rule: R2",
        "  what: id_number is a key",
        "  column: ga.population.id_number",
        "  owner: ga",
        "  policy version: 2026.1",
        "     2 |        '一二三' || id_number FROM ga.population",
        "       |                    ^^^^^^^^^",
        "  instead: COUNT(DISTINCT id_number)",
        "  also R4: rows in the answer",
        "  audit entry: 41",
    ]


def test_refusal_is_told_in_chinese(shell):
    shell.prepare = refusing
    ran = shell("query", SQL, *ASK[2:], "--locale=zh")
    for text in (
        "策略拒绝",
        "规则: R2",
        "列: ga.population.id_number",
        "提供部门: ga",
        "可行写法",
        "审计记录: 41",
    ):
        assert text in ran.err


def test_refusal_for_programs_is_the_problem_document(shell):
    shell.prepare = refusing
    ran = shell("query", SQL, *ASK[2:], "--json")
    value = json.loads(ran.out)
    assert (ran.code, value["code"], value["rule"], value["audit_index"]) == (11, "P001", "R2", 41)
    assert value["span"]["line"] == 2


def test_syntax_error_shows_its_place(shell):
    def failing(gateway):
        gateway.outcome = QueryError("Q001", line=1, column=8)

    shell.prepare = failing
    ran = shell("query", "SELECT )", *ASK[2:])
    assert ran.code == 10
    assert "     1 | SELECT )\n       |        ^" in ran.err


def test_what_a_statement_holds_cannot_steer_the_terminal(shell):
    shell.prepare = refusing
    ran = shell("query", "SELECT \x1b[2J" + SQL, *ASK[2:])
    assert "\x1b" not in ran.out + ran.err


def advising(gateway):
    told = Explanation(
        "refuse", "P001", (Reason("R1", ("name may not be used", "name 不得使用")),), "", ()
    )
    subject = Subject("lin", "drc", frozenset({Role.ANALYST}))
    request = gateway.request("SELECT COUNT(*) AS n\nFROM ga.population", subject, "planning")
    gateway.advised = Advice(told, Form(request, (("name left out", "去掉 name"),)))


def test_explain_shows_the_form_that_would_pass(shell):
    shell.prepare = advising
    ran = shell("explain", *ASK[1:])
    assert ran.code == 11
    assert ran.out.splitlines()[-4:] == [
        "would pass (name left out):", "  SELECT COUNT(*) AS n", "  FROM ga.population", "  --purpose planning",
    ]  # fmt: skip
    assert "可通过的写法 (去掉 name):" in shell("explain", *ASK[1:], "--locale=zh").out
    form = json.loads(shell("explain", *ASK[1:], "--json").out)["form"]
    assert (form["purpose"], form["changes"]) == ("planning", ["name left out"])


def test_explain_shows_steps_rewrites_and_limits(shell):
    ran = shell("explain", *ASK[1:], "--locale", "zh")
    assert ran.code == 0
    for text in ("允许", "一条 SELECT", "改写: 甲", "限制: 乙"):
        assert text in ran.out
    assert json.loads(shell("explain", *ASK[1:], "--json").out)["verdict"] == "permit"


def test_token_lets_its_subject_ask(shell, monkeypatch):
    monkeypatch.setenv("MIDDLEPLATFORM_ORIGIN", "doors.example/audit")  # the fake gateway's log
    made = shell(
        "token", "add", "lin", "--department", "drc", "--role", "analyst", "--region", "990101"
    )
    Path("token").write_text(made.out)
    for said in (made.out.strip(), "@token"):
        ran = shell("query", "SELECT 1", "--token", said, "--purpose", "statistics")
        assert ran.code == 0
        subject = shell.opened[-1].gateway.asked[0].subject
        assert (subject.id, subject.department, subject.regions) == ("lin", "drc", ("990101",))
    assert made.out.strip() not in made.err


def test_bad_token_asks_nothing(shell):
    ran = shell("query", "SELECT 1", "--token", "mpt_x", "--purpose", "statistics")
    assert (ran.code, ran.err.splitlines()[0]) == (11, "P005  Refused by policy")
    assert shell.opened[-1].gateway.asked == []
