"""An application from the command line: asked for, answered in time, shown in both languages, exported for a node."""

import json
from datetime import UTC, datetime, timedelta

import yaml

from middleplatform.policy import grants

ENDS = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
APPLY = (
    "grant", "apply", "--as", "analyst_drc", "--column", "ss.insurance.contribution_base",
    "--column", "tax.individual_income.income_total", "--column", "ga.population.sex", "--operation", "aggregate",
    "--purpose", "planning", "--scenario", "年度测算", "--scope", "全市", "--ends", ENDS,
)  # fmt: skip
LAW = ("--basis", "《统计法》第三条")


def test_an_application_goes_its_way(shell):
    assert shell(*APPLY).code == 0
    assert shell("grant", "sign", "GX1", "--as", "steward_drc").code == 0
    assert "basis" in shell("grant", "check", "GX1", "--as", "bureau").err
    assert shell("grant", "accept", "GX1", "--as", "bureau").code == 10
    assert shell("grant", "return", "GX1", "--as", "bureau", "--missing", "basis").code == 0
    late = shell(*APPLY, *LAW, "--complete", "GX1")
    assert (late.code, "P004" in late.err) == (11, True)  # the steward signs what is completed
    assert shell(*("steward_drc" if each == "analyst_drc" else each for each in APPLY), *LAW,
                 "--subject", "analyst_drc", "--complete", "GX1").code == 0  # fmt: skip
    assert shell("grant", "accept", "gx1", "--as", "bureau").code == 0
    assert (
        shell(
            "grant", "extend", "GX1", "--as", "steward_tax", "--days", "5", "--reason", "量大"
        ).code
        == 0
    )
    assert shell("grant", "extend", "GX1", "--as", "bureau", "--consent", "tax").code == 0
    assert shell("grant", "answer", "GX1", "--as", "steward_ss", "--all").code == 0
    assert (
        shell("grant", "answer", "GX1", "--as", "steward_tax", "--refuse", "--reason", "涉密").code
        == 10
    )
    done = shell("grant", "answer", "GX1", "--as", "steward_tax", "--refuse", "--reason", "商业秘密",
                 "--basis", "税收征管法第八条", "--json")  # fmt: skip
    told = json.loads(done.out)
    assert (told["phase"], [each["outcome"] for each in told["providers"]]) == (
        "answered",
        ["granted", "refused"],
    )
    assert [each["id"] for each in told["grants"]] == ["GX1/ss"]
    assert not any(each["overdue"] for each in told["terms"])
    shown_in_both_languages(shell)
    exported_for_a_node(shell, told)


def shown_in_both_languages(shell):
    english = shell("grant", "history", "GX1", "--as", "steward_ss").out
    chinese = shell("--locale", "zh", "grant", "history", "GX1", "--as", "steward_ss").out
    for said in ("found complete", "art. 21", "in time", "to be done"):
        assert said in english
    for said in ("受理", "第二十一条", "按期", "待办"):
        assert said in chinese
    told = json.loads(shell("grant", "history", "GX1", "--as", "auditor", "--json").out)
    assert [each["act"] for each in told["events"]] == [
        "submitted", "signed", "returned", "completed", "accepted", "extension_asked", "extended", "answered",
        "answered",
    ]  # fmt: skip
    assert [each["name"] for each in told["ahead"]] == ["deliver"]
    assert shell("grant", "history", "GX9", "--as", "auditor").err.startswith("Q041")
    english = shell("grant", "show", "GX1", "--as", "auditor").out
    chinese = shell("--locale", "zh", "grant", "show", "GX1", "--as", "auditor").out
    assert "granted" in english
    assert "同意共享" in chinese
    assert "无条件共享" in chinese
    assert "第二十一条" in chinese
    assert "GX1" in shell("grant", "list", "--as", "steward_tax").out
    assert shell("grant", "show", "GX1", "--as", "visitor").code == 10
    assert json.loads(shell("grant", "list", "--overdue", "--as", "bureau", "--json").out) == []


def exported_for_a_node(shell, told):
    text = shell("grant", "show", "GX1", "--as", "steward_ss", "--yaml").out
    (written,) = yaml.safe_load(text)["grants"]
    grant = grants.build(written)
    assert grant.columns == {"ss.insurance.contribution_base"}
    assert grant == grants.build(told["grants"][0])


def test_an_emergency_is_approved_by_two_and_every_act_is_an_entry(shell):
    asked = shell("grant", "emergency", "--as", "analyst_drc", "--column", "health.encounter_year.*", "--operation", "count",
                  "--purpose", "emergency", *LAW, "--scenario", "疫情", "--scope", "全市", "--hours", "24", "--json")  # fmt: skip
    assert json.loads(asked.out)["phase"] == "answering"
    assert shell("grant", "approve", "GX1", "--as", "steward_health").code == 0
    told = json.loads(shell("grant", "approve", "GX1", "--as", "officer_a", "--json").out)
    assert (told["phase"], len(told["grants"])) == ("answered", 1)
    assert shell("grant", "review", "GX1", "--as", "bureau", "--reason", "无异常").code == 10
    stopped = json.loads(
        shell("grant", "withdraw", "GX1", "--as", "analyst_drc", "--reason", "结束", "--json").out
    )
    assert (stopped["phase"], stopped["grants"], stopped["review_open"]) == ("withdrawn", [], True)
    assert shell("grant", "review", "GX1", "--as", "bureau", "--reason", "无异常").code == 0
    entries = [json.loads(shell("audit", "show", str(n), "--json").out) for n in range(5)]
    assert {each["event"] for each in entries} == {"grant"}
    assert [each["body"]["subject"] for each in entries] == [
        "analyst_drc", "steward_health", "officer_a", "analyst_drc", "bureau",
    ]  # fmt: skip


def test_people_of_the_demonstration_do_not_act_where_departments_are_real(
    shell, monkeypatch, tmp_path
):
    monkeypatch.setenv("MIDDLEPLATFORM_TRUST", str(tmp_path / "trust"))
    ran = shell("grant", "list", "--as", "bureau")
    assert (ran.code, "--token" in ran.err) == (10, True)
