"""Does a report say what the log says, and does anything else that it is made to say break it?"""

import copy
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.report import Approval, Circumstances, check, decided, make
from middleplatform.audit import verify
from middleplatform.audit.entry import canonical
from middleplatform.errors import AuditError, QueryError
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import Role, Subject

NOW = datetime(2026, 9, 20, tzinfo=UTC)
QUERY = "ab" * 16
SQL = "SELECT sex, COUNT(*) AS n FROM ga.population WHERE birth_year < 1960 GROUP BY sex -- <b>&amp;</pre>"
ASKED = {
    "at": "2026-09-19T00:00:00+00:00", "query_id": QUERY, "subject": "lin", "department": "drc", "roles": ["analyst"],
    "recipient": "drc", "purpose": "planning", "project": "drc",
}  # fmt: skip
ANSWERED = {
    **ASKED, "datasets": ["ga.population", "tax.individual_income"], "columns": ["ga.population.sex"],
    "policy_digest": "d" * 64, "catalog_digest": "c" * 64, "grants": ["GX1/ga", "old"], "protocol": "secure_sum",
    "fragments": [{"name": "b0", "protocol": "secure_sum", "sql": "SELECT 1", "receipts": {"ga": "r1", "tax": "r2"}}],
    "obligations": [["band", "ga.population", "birth_year", "5"]], "budget": "1/50", "result_digest": "e" * 64,
    "disclosure": {"min_units": 10, "dominance": [[1, 50]], "p_percent": 10, "homogeneity": True, "history": True,
                   "method": "noise"},
    "withheld": [["R5", "threshold", 3], ["R6", "secondary", 2]], "released_values": 40,
}  # fmt: skip


@pytest.fixture
def filled(log):
    log.append(AuditRecord("start", {"at": ASKED["at"]}))
    log.append(AuditRecord("received", {**ASKED, "sql": SQL}))
    log.append(AuditRecord("released", ANSWERED))
    other = {**ASKED, "query_id": "cd" * 16}
    log.append(AuditRecord("received", {**other, "sql": "SELECT 1"}))
    log.append(
        AuditRecord(
            "refused",
            {**other, "code": "P001", "rule": "R3", "rules": ["R3"], "policy_digest": "d" * 64},
        )
    )
    return log


@pytest.fixture
def around(catalog):
    approval = Approval("GX1/ga", "《统计法》第三条", "年度测算", NOW, ("steward_ga",))
    return Circumstances(catalog, {"d" * 64: (3, "2026.3")}, {"GX1/ga": approval})


@pytest.fixture
def report(filled, around, signer):
    return make(filled, decided(filled, QUERY), around, signer, NOW)


def broken(text, log, against=None):
    with pytest.raises(AuditError) as caught:
        check(text, log.keys, against)
    assert caught.value.code == "A002"


def leaves(value, path=()):
    """Yield the path of every value that is no list and no mapping."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))
    else:
        yield path


def flipped(value, path):
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    place[path[-1]] = (
        (not old) if isinstance(old, bool) else (old + 1 if isinstance(old, int) else f"{old}1")
    )
    return changed


def written(value):
    return canonical(value).decode() + "\n"


def signed_anew(value, signer):
    """Return a report as the platform itself would sign it."""
    value = {name: each for name, each in value.items() if name != "signature"}
    body = verify.statement("json", canonical(value), signer.name)
    return written({**value, "signature": f"{body}\n{signer.sign(body)}"})


def test_a_report_says_who_what_why_and_on_whose_responsibility(report, filled):
    value, size = check(report.json, filled.keys)
    assert size == 5
    assert value["counts"] == {"released": 40, "suppressed": 5}
    assert value["policy"] == {"digest": "d" * 64, "number": 3, "version": "2026.3"}
    assert [each["department"] for each in value["parties"]] == ["ga", "tax", "drc"]
    assert value["parties"][0]["datasets"] == ["ga.population"]
    assert value["parties"][0]["receipts"] == ["r1"]
    assert "谁使用谁负责" in value["parties"][-1]["answers_zh"]
    assert value["approvals"][0]["basis"] == "《统计法》第三条"
    assert value["approvals"][1] == {"grant": "old"}
    assert value["entries"][0]["entry"]["body"]["sql"] == SQL
    assert any("1/50" in each["en"] for each in value["protections"])


def test_a_refusal_has_its_report_too(filled, around, signer):
    made = make(filled, decided(filled, "4"), around, signer, NOW)
    value, _ = check(made.json, filled.keys)
    assert (value["outcome"], value["protections"], value["counts"]["released"]) == (
        "refused",
        [],
        0,
    )
    assert check(made.html, filled.keys)[0] == value


def test_no_field_can_be_changed(report, filled):
    value = json.loads(report.json)
    paths = list(leaves(value))
    assert len(paths) > 80
    for path in paths:
        broken(written(flipped(value, path)), filled)


def test_no_field_can_be_added_or_left_out(report, filled):
    value = json.loads(report.json)
    for name in value:
        broken(written({key: each for key, each in value.items() if key != name}), filled)
    broken(written({**value, "note": "x"}), filled)
    broken(report.json + "\n", filled)
    broken(report.json.replace(":", ": ", 1), filled)
    broken(json.dumps(value, indent=1), filled)


def test_not_even_the_platform_can_sign_what_the_log_does_not_say(report, filled, signer):
    value = json.loads(report.json)
    check(signed_anew(value, signer), filled.keys)
    told = ("entries", "checkpoint", "counts", "outcome", "origin", "format", "hash")
    paths = [path for path in leaves(value) if path[0] in told]
    assert len(paths) > 50
    for path in paths:
        broken(signed_anew(flipped(value, path), signer), filled)
    swapped = copy.deepcopy(value)
    swapped["entries"].reverse()
    broken(signed_anew(swapped, signer), filled)


def test_entries_of_two_questions_make_no_report(filled, around, signer):
    first = json.loads(make(filled, decided(filled, "2"), around, signer, NOW).json)
    second = json.loads(make(filled, decided(filled, "4"), around, signer, NOW).json)
    first["entries"][0] = second["entries"][0]
    broken(signed_anew(first, signer), filled)


def test_a_page_is_checked_to_its_last_byte(report, filled):
    assert check(report.html, filled.keys)[0] == json.loads(report.json)
    for place in range(0, len(report.html), 41):
        other = "x" if report.html[place] != "x" else "y"
        broken(report.html[:place] + other + report.html[place + 1 :], filled)
    broken(report.html + " ", filled)
    broken(report.html.replace("40", "41"), filled)


def test_a_page_stands_alone_without_script_and_escapes_what_was_asked(report):
    assert "<script" not in report.html
    assert not re.search(r"(?:src|href|url)\s*[=(]", report.html)
    assert "<b>" not in report.html
    assert "&lt;b&gt;" in report.html
    for word in ("决定报告", "Decision report"):
        assert word in report.html


def test_a_sealed_question_stays_sealed_on_the_page(filled, around, signer):
    sealed = {**ASKED, "query_id": "ef" * 16}
    box = {"box": "AAAA", "sealed": "hpke", "to": "0123"}
    filled.append(AuditRecord("received", {**sealed, "sql": box}))
    filled.append(AuditRecord("failed", {**sealed, "code": "S001"}))
    made = make(filled, decided(filled, "ef" * 16), around, signer, NOW)
    head = made.html.partition(verify.JSON_OPENS)[0]
    assert "sealed for the auditor (0123)" in head
    assert "AAAA" not in head
    check(made.html, filled.keys)


def test_an_outsider_checks_it_with_one_file_and_the_public_key(report, filled, tmp_path):
    script = tmp_path / "alone" / "verify.py"
    script.parent.mkdir()
    shutil.copy(verify.__file__, script)
    files = {
        "report.json": report.json, "report.html": report.html, "wrong.json": report.json.replace('"released":40', '"released":41'),
        "key.pub": "\n".join(key.text() for key in filled.keys), "checkpoint": filled.checkpoint(),
    }  # fmt: skip
    for name, text in files.items():
        (script.parent / name).write_text(text, encoding="utf-8")
    filled.append(AuditRecord("stop", {"at": ASKED["at"]}))
    (script.parent / "later").write_text(filled.checkpoint(), encoding="utf-8")
    filled.export(script.parent / "export.jsonl")

    def run(*arguments):
        line = [sys.executable, "-I", "verify.py", *arguments]
        done = subprocess.run(line, cwd=script.parent, capture_output=True, text=True, check=False)
        assert not done.stderr
        return done.returncode, done.stdout

    told = f"report of entry 2, released: verified: 5 entries of {filled.origin}\n"
    assert run("report.json", "key.pub") == (0, told)
    assert run("report.html", "key.pub", "--against", "checkpoint") == (0, told)
    assert run("report.json", "key.pub", "--against", "later")[0] == verify.CONTRADICTED
    assert run("wrong.json", "key.pub")[0] == verify.BAD_CHECKPOINT
    assert (
        run("export.jsonl", "key.pub", "--against", "report.json")[0] == 0
    )  # years later, the same past
    assert run("export.jsonl", "key.pub", "--against", "report.html")[0] == 0


def test_a_report_can_lead_to_an_earlier_checkpoint(filled, around, signer):
    made = make(filled, decided(filled, "2"), around, signer, NOW, size=4)
    note = filled.checkpoint_at(4)
    assert check(made.json, filled.keys, note)[1] == 4
    broken(made.json, filled, filled.checkpoint())
    with pytest.raises(AuditError):
        make(filled, decided(filled, "4"), around, signer, NOW, size=4)


def test_an_answer_that_was_cancelled_while_it_left_counts_as_left(filled):
    filled.append(AuditRecord("failed", {**ASKED, "code": "L003"}))
    assert decided(filled, QUERY).end.index == 2
    filled.append(AuditRecord("received", {**ASKED, "query_id": "ab" * 15 + "ff", "sql": QUERY}))
    assert [each.index for each in decided(filled, "5").entries] == [1, 2]


@pytest.mark.parametrize("wanted", ["0", "99", "zz", "", "1" * 20])
def test_what_is_no_decision_has_no_report(filled, wanted):
    with pytest.raises(QueryError) as caught:
        decided(filled, wanted)
    assert caught.value.code == "Q041"


def test_a_proof_of_every_entry_of_every_small_tree_leads_to_its_root(log):
    for size in range(1, 18):
        log.append(AuditRecord("start", {"at": ASKED["at"], "n": size}))
        edge = verify.Edge("sha256")
        hashes = [edge.digest(b"\x00" + log.entry(index).leaf) for index in range(size)]
        for value in hashes:
            edge.append(value)
        for index in range(size):
            proof = [part.hex() for part in log.inclusion_proof(index, size)]
            assert verify.inclusion_root(edge, hashes[index], index, size, proof) == edge.root()
            assert (
                verify.inclusion_root(
                    edge, hashes[index], index, size, [*proof, proof[-1] if proof else "00" * 32]
                )
                != edge.root()
            )
            assert (
                verify.inclusion_root(edge, hashes[index], (index + 1) % (size + 1), size, proof)
                != edge.root()
            )


def of(login, department, role=Role.ANALYST):
    return Subject(login, department, frozenset({role}), ("*",))


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (of("lin", "drc"), True), (of("LIN", "drc"), True), (of("lin", "tax"), False),
        (of("other", "drc"), False), (of("x", "ga", Role.DEPARTMENT_STEWARD), True),
        (of("x", "tax", Role.DEPARTMENT_STEWARD), True), (of("x", "ss", Role.DEPARTMENT_STEWARD), False),
        (of("x", "None", Role.DEPARTMENT_STEWARD), False), (of("x", "", Role.DEPARTMENT_STEWARD), False),
        (of("x", "ss", Role.AUDITOR), True),
    ],
)  # fmt: skip
def test_a_report_is_for_who_asked_for_that_department_and_for_the_sides(filled, catalog, who, may):
    accounts = Accounts(filled, None, catalog, None, None, None)
    bare = {name: value for name, value in ANSWERED.items() if name != "recipient"}
    filled.append(AuditRecord("released", {**bare, "query_id": "ef" * 16}))
    for wanted in (QUERY, "5"):
        assert accounts._concerned(decided(filled, wanted), who) is may
