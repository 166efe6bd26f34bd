"""From a folder to the version in force and back, by commands; who acts says so with a token."""

import json

import pytest

from middleplatform.governance.written import read_folder, write_folder
from middleplatform.policy.examples import example
from tests.fakes.policy_world import GA, HAN, LU, TAX, files


@pytest.fixture
def office(shell, tmp_path, monkeypatch):
    """Give the commands a small configured bundle, and each person a token in a file."""
    write_folder(files(), tmp_path / "configured")
    monkeypatch.setenv("MIDDLEPLATFORM_BUNDLE", str(tmp_path / "configured"))
    (tmp_path / "catalog").mkdir()
    for name in ("departments.yaml", "ga.yaml", "tax.yaml"):
        shipped = example("demo") / "catalog" / name
        (tmp_path / "catalog" / name).write_bytes(shipped.read_bytes())
    monkeypatch.setenv("MIDDLEPLATFORM_CATALOG", str(tmp_path / "catalog"))
    for each in (HAN, LU, GA, TAX):
        ran = shell("token", "add", each.id, "--department", each.department, "--role", *each.roles)
        (tmp_path / each.id).write_text(ran.out)
    return shell


def draft(tmp_path, name, **how):
    write_folder(files(**how), tmp_path / name)
    return name


def act(office, *said, by=HAN):
    return office("policy", *said, "--token", f"@{by.id}", "--locale", "en")


def test_from_a_folder_to_the_version_in_force_and_back(office, tmp_path):
    strict, loose = draft(tmp_path, "a", tax=30, note="# 一\r\n"), draft(tmp_path, "b", tax=10)
    ran = act(office, "propose", strict, "--reason", "stricter")
    assert ran.code == 0
    assert "setting datasets / tax.individual_income / disclosure / min_units: 20 -> 30" in ran.out
    assert act(office, "publish", "1").code == 0
    ran = act(office, "propose", loose, "--reason", "too strict")
    assert "Missing: a second security officer, a steward of tax" in ran.err
    ran = act(office, "publish", "2")
    assert (ran.code, "lacks the approval of a second security officer, a steward of tax" in ran.err) == (10, True)  # fmt: skip
    assert act(office, "approve", "2").code == 11
    assert act(office, "approve", "2", by=GA).code == 11
    assert act(office, "approve", "2", by=LU).code == 0
    assert "Missing" not in act(office, "approve", "2", "--comment", "seen", by=TAX).err
    assert "Version 2 is in force." in act(office, "publish", "2").err
    ran = act(office, "rollback", "1", "--reason", "an incident", by=LU)
    assert "Version 3 is in force." in ran.err
    found = json.loads(office("policy", "versions", "--json").out)
    assert [(each["number"], each["kind"], each["published_by"]) for each in found] == [(1, "publish", "han"), (2, "publish", "han"), (3, "rollback", "lu")]  # fmt: skip
    assert office("policy", "export", "3", "out").code == 0
    assert read_folder(tmp_path / "out") == files(tax=30, note="# 一\r\n")
    assert office("policy", "export", "3", "out").code == 10
    shown = json.loads(office("policy", "show", "--json").out)
    assert shown["digest"] == found[2]["digest"]
    # Four tokens were made before the acts on policy.
    assert "Verified: 12 entries" in office("audit", "verify", "--locale", "en").err


def test_watch_and_import_take_a_folder_as_propose_does(office, tmp_path):
    strict = draft(tmp_path, "a", tax=30)
    watched = ("--reason", "edited", "--settle", "0", "--once", "--publish")
    assert "Version 1 is in force (proposal 1)." in act(office, "watch", strict, *watched).err
    assert "In force already, as version 1." in act(office, "watch", strict, *watched).err
    loose = draft(tmp_path, "b", tax=10)
    assert "Proposed as 2, waits for approvals." in act(office, "watch", loose, *watched).err
    assert act(office, "reject", "2", "--comment", "once more", by=LU).code == 0
    assert act(office, "import", loose, "--reason", "edited").code == 0
    found = json.loads(office("policy", "proposals", "--json").out)
    assert (found[1]["content"], found[1]["digest"]) == (found[2]["content"], found[2]["digest"])
    (tmp_path / "b" / "columns.yaml").write_text("datasets: {half")
    ran = act(office, "watch", loose, *watched)
    assert (ran.code, "Not proposed: C001" in ran.err) == (17, True)


def test_a_proposal_is_reviewed_rejected_and_withdrawn(office, tmp_path):
    for number, (how, by) in enumerate((("reject", LU), ("withdraw", HAN)), 1):
        act(office, "propose", draft(tmp_path, how, tax=10), "--reason", "looser")
        ran = json.loads(office("policy", "review", str(number), "--json").out)
        assert (ran["state"], ran["missing"]) == ("proposed", {"second_officer": True, "owners": ["tax"]})  # fmt: skip
        assert act(office, how, str(number), "--comment", "not now", by=by).code == 0
    found = json.loads(office("policy", "proposals", "--json").out)
    assert [(each["state"], each["closed_by"]) for each in found] == [("rejected", "lu"), ("withdrawn", "han")]  # fmt: skip
    assert "驳回" in office("policy", "reject", "--help", "--locale", "zh").out
    assert "rejected" in office("policy", "proposals", "--locale", "zh").out


def test_without_a_good_token_nobody_acts(office, tmp_path):
    folder = draft(tmp_path, "a", tax=30)
    (tmp_path / "none").write_text("mpt_0123456789abcdef_" + "A" * 43)
    ran = office("policy", "propose", folder, "--reason", "x", "--token", "@none")
    assert ran.code == 11
    assert office("policy", "propose", folder, "--reason", "x").code == 2
    assert json.loads(office("policy", "proposals", "--json").out) == []


def test_a_person_of_the_demonstration_acts_in_no_shared_store(office, tmp_path, monkeypatch):
    folder = draft(tmp_path, "a", tax=30)
    monkeypatch.setenv("MIDDLEPLATFORM_STORE", f"sqlite:///{tmp_path / 'shared.db'}")
    ran = office("policy", "propose", folder, "--reason", "x", "--as", "officer_a")
    assert ran.code == 10


def test_a_folder_that_is_none_is_told(office, tmp_path):
    assert act(office, "propose", "absent", "--reason", "x").code == 17
    (tmp_path / "empty").mkdir()
    assert act(office, "propose", "empty", "--reason", "x").code == 17
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "a.yaml").write_bytes(b"\xff")
    assert act(office, "propose", "bytes", "--reason", "x").code == 17
