"""The kill switch at the command line: one stops, two go on, a drill stops nothing; in both languages."""

import json

import pytest

WHY = ("--reason", "疑似泄露")


def one(shell, *arguments):
    done = shell(*arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_one_stops_and_two_go_on(shell):
    made = one(shell, "freeze", "dataset", "amr.inspection", *WHY, "--as", "steward_amr")
    assert (made["number"], made["state"], made["capacity"]) == (1, "open", "department_steward")
    assert shell("unfreeze", "1", *WHY, "--as", "steward_health").code == 11
    assert one(shell, "unfreeze", "1", *WHY, "--as", "steward_amr")["state"] == "open"
    assert shell("unfreeze", "1", *WHY, "--as", "steward_amr").code == 10
    assert one(shell, "unfreeze", "1", *WHY, "--as", "officer_a")["state"] == "lifted"
    assert one(shell, "freeze", "list", "--as", "officer_a") == []
    (over,) = one(shell, "freeze", "list", "--all", "--as", "auditor")
    assert [each["person"] for each in over["consents"]] == ["steward_amr", "officer_a"]
    entries = [json.loads(shell("audit", "show", str(n), "--json").out) for n in range(3)]
    assert [each["event"] for each in entries] == ["freeze"] * 3
    assert [each["body"]["action"] for each in entries] == ["frozen", "consented", "lifted"]


def test_a_slip_of_the_pen_is_no_stop(shell):
    assert shell("freeze", "dataset", "amr.inspektion", *WHY, "--as", "officer_a").code == 10
    assert shell("freeze", "department", "amz", *WHY, "--as", "officer_a").code == 10
    assert shell("freeze", "platform", *WHY, "--as", "analyst_drc").code == 11
    assert shell("freeze", "platform", "--reason", " ", "--as", "officer_a").code == 10
    assert shell("freeze", "platform", *WHY, "--hours", "0", "--as", "officer_a").code == 10
    assert one(shell, "freeze", "list", "--all", "--as", "officer_a") == []


def test_a_drill_and_an_end_are_told_in_both_languages(shell):
    drill = shell("freeze", "platform", *WHY, "--drill", "--as", "officer_a")
    assert "nothing is stopped" in drill.err
    ending = one(shell, "freeze", "user", "lin", *WHY, "--hours", "2", "--as", "officer_b")
    assert ending["ends"] > ending["at"]
    assert "drill" in shell("freeze", "list", "--as", "officer_a").out
    chinese = shell("--locale", "zh", "freeze", "list", "--as", "officer_a").out
    assert "演练" in chinese
    assert "生效中" in chinese


@pytest.mark.parametrize(("who", "code"), [("officer_a", 0), ("auditor", 0), ("steward_amr", 11)])
def test_alerts_are_for_officers_and_auditors(shell, who, code):
    assert shell("alerts", "list", "--as", who).code == code
