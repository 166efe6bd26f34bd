"""A suite is read whole, judged by the judge that is handed in, and reported case by case."""

import pytest

from middleplatform.errors import ConfigError
from middleplatform.model.request import Role
from middleplatform.policy import suite
from middleplatform.policy.suite import Verdict

PERSONAS = "personas:\n  ann: {department: drc, roles: [analyst], regions: [990101]}\n"
CASES = """
suite: small
now: 2026-06-01T08:00:00+08:00
cases:
  - {id: a, persona: ann, purpose: statistics, sql: SELECT 1, expect: permit, protocol: local}
  - {id: b, persona: ann, purpose: statistics, sql: SELECT 2, expect: refuse, rule: R2, code: P001}
  - id: c
    persona: ann
    purpose: statistics
    sql: SELECT 3
    expect: refuse
    rule: R14
    stage: history
    prior: [SELECT 0, {sql: "SELECT {n}", n: [7, 9]}]
"""


def load(tmp_path, cases=CASES, people=PERSONAS):
    (tmp_path / "x_test.yaml").write_text(cases, encoding="utf-8")
    (tmp_path / "personas.yaml").write_text(people, encoding="utf-8")
    return suite.load(tmp_path)


def judge(case):
    return {
        "a": Verdict("permit", protocol="local"),
        "b": Verdict("refuse", "R2", "P001"),
        "c": Verdict("refuse", "R14", "D010"),
    }[case.id]


def test_case_carries_persona_moment_and_prior_statements(tmp_path):
    (small,) = load(tmp_path)
    assert small.name == "small"
    first, _, last = small.cases
    assert first.subject.department == "drc"
    assert first.subject.roles == {Role.ANALYST}
    assert first.subject.regions == ("990101",)
    assert first.now.isoformat() == "2026-06-01T00:00:00+00:00"
    assert last.prior == ("SELECT 0", "SELECT 7", "SELECT 8", "SELECT 9")


def test_expected_verdicts_pass_and_other_stages_are_told_as_not_judged(tmp_path):
    (small,) = load(tmp_path)
    report = suite.run(small, judge)
    assert [each.case.id for each in report.passed] == ["a", "b"]
    assert [each.case.id for each in report.not_judged] == ["c"]
    assert report.failed == ()
    assert len(suite.run(small, judge, suite.STAGES).passed) == 3


@pytest.mark.parametrize(
    ("verdict", "differences"),
    [
        (Verdict("permit"), ("verdict", "rule", "code")),
        (Verdict("refuse", "R3", "P001"), ("rule",)),
        (Verdict("refuse", "R2", "P002"), ("code",)),
    ],
)
def test_unexpected_verdict_fails_and_says_how(tmp_path, verdict, differences):
    (small,) = load(tmp_path)
    report = suite.run(small, lambda case: verdict if case.id == "b" else judge(case))
    assert [(each.case.id, each.differences) for each in report.failed] == [("b", differences)]


def test_permit_by_another_protocol_fails(tmp_path):
    (small,) = load(tmp_path)
    report = suite.run(small, lambda case: Verdict("permit") if case.id == "a" else judge(case))
    assert [each.differences for each in report.failed] == [("protocol",)]


def test_what_the_judge_raises_is_not_swallowed(tmp_path):
    (small,) = load(tmp_path)
    with pytest.raises(KeyError):
        suite.run(small, lambda _: {}["nothing"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: b", "id: a", "the id is used twice"),
        ("id: a, persona: ann", "id: a, persona: bob", "persona bob is unknown"),
        ("expect: permit", "expect: maybe", "must be one of: permit, refuse"),
        (", rule: R2", "", "field rule is missing"),
        ("rule: R2", "rule: R99", "R0 to R14"),
        ("stage: history", "stage: later", "must be one of: authorization, history"),
        ("suite: small", "suit: small", "unknown field suit"),
        ("cases:", "kases:", "unknown field kases"),
    ],
)
def test_broken_suite_is_refused(tmp_path, old, new, said):
    assert old in CASES
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, CASES.replace(old, new, 1))
    assert caught.value.code == "C001"
    assert said in caught.value.message("en")


def test_suite_without_personas_is_refused(tmp_path):
    (tmp_path / "x_test.yaml").write_text(CASES, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"personas\.yaml: the file is missing"):
        suite.load(tmp_path)


def test_folder_without_suites_has_none(tmp_path):
    assert suite.load(tmp_path) == ()
