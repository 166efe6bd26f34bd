"""``audit reconcile`` over the logs of a real platform and its nodes, honest and not."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from asking import opened

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.crypto.identity import IdentityKey
from middleplatform.demo.runtime import PERSONAS
from middleplatform.enrolment.quick import enrol_all, gateway_trust
from middleplatform.errors import PolicyError

QUESTIONS = (
    "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code",
    (
        "WITH a AS (SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code),"
        " b AS (SELECT region_code, COUNT(*) AS m FROM amr.enterprise GROUP BY region_code)"
        " SELECT a.region_code, n, m FROM a JOIN b ON a.region_code = b.region_code"
    ),
    "SELECT inspect_year, COUNT(*) AS n FROM amr_county.inspection GROUP BY inspect_year",
)
REFUSED = "SELECT id_number FROM ga.population"


@pytest.fixture(scope="module")
def asked(tmp_path_factory, demo_data):
    """Return the state folder of a platform that was asked and closed, with each node's public key."""
    state = tmp_path_factory.mktemp("asked") / "state"
    with opened(state, demo_data, clock=SystemClock(), rng=SystemRng()) as platform:
        asyncio.run(ask_all(platform.gateway))
    for path in (state / "nodes").glob("*.key"):
        public = IdentityKey.load(path).public_key.hex()
        path.with_suffix(".pub").write_text(public + "\n")
    return state


async def ask_all(gateway):
    for sql in QUESTIONS:
        await gateway.submit(gateway.request(sql, PERSONAS["analyst_drc"], "statistics"))
    with pytest.raises(PolicyError):
        await gateway.submit(gateway.request(REFUSED, PERSONAS["analyst_drc"], "statistics"))


def words(state, department, platform=None, node=None):
    return (
        "audit", "reconcile", "--node-key", str(state / "nodes" / f"{department}.pub"),
        "--platform", str(platform or state / "audit.db"),
        "--node", str(node or state / "nodes" / department / "audit.db"),
    )  # fmt: skip


def rewritten(folder, target, leave_out):
    """Return a log of the same name and key, signed anew without the entries of one query."""
    target.mkdir()
    signer = CheckpointSigner.load(folder / "audit.key")
    shutil.copy(folder / "audit.key", target / "audit.key")
    with (
        AuditLog.open(folder / "audit.db", signer, SystemClock()) as whole,
        AuditLog.open(target / "audit.db", signer, SystemClock()) as part,
    ):
        for entry in whole.entries():
            if entry.record.body.get("query_id") != leave_out:
                part.append(entry.record)
    return target / "audit.db"


def answered(state, department):
    """Return the query id of the first answer in a node's log."""
    folder = state / "nodes" / department
    signer = CheckpointSigner.load(folder / "audit.key")
    with AuditLog.open(folder / "audit.db", signer, SystemClock()) as log:
        released = [each.record for each in log.entries() if each.record.event == "released"]
    return released[0].body["query_id"]


@pytest.mark.parametrize(
    ("department", "receipts"), [("ga", 2), ("amr", 1), ("amr_990103", 1), ("tax", 0)]
)
def test_honest_logs_agree_on_every_receipt(shell, asked, department, receipts):
    ran = shell(*words(asked, department), "--json")
    said = json.loads(ran.out)
    assert (ran.code, said["agrees"], said["findings"]) == (0, True, [])
    assert (said["department"], said["entries"]["matched"]) == (department, receipts)
    assert f"{receipts} receipts agree" in shell(*words(asked, department)).err


def test_exports_agree_as_their_databases_do(shell, asked, tmp_path):
    for name, log in (("platform", asked / "audit.db"), ("ga", asked / "nodes/ga/audit.db")):
        keys = json.loads(shell("audit", "head", "--log", str(log), "--json").out)["keys"]
        Path(f"{name}.pub").write_text("\n".join(keys) + "\n")
        assert shell("audit", "export", f"{name}.jsonl", "--log", str(log)).code == 0
    both = words(asked, "ga", tmp_path / "platform.jsonl", tmp_path / "ga.jsonl")
    assert shell(*both).code == 0
    whole = Path("ga.jsonl").read_text()
    Path("ga.jsonl").write_text(whole.replace('"statistics"', '"audit"', 1))
    broken = shell(*both)
    assert (broken.code, broken.err[:4], "altered" in broken.err) == (16, "A002", True)
    Path("ga.jsonl").write_text("\n".join(whole.splitlines()[:-2]) + "\n")
    assert shell(*both).err.startswith("A002")


@pytest.mark.parametrize(("hides", "kind"), [("platform", "hidden"), ("node", "not_at_node")])
def test_whoever_hides_a_query_is_named_though_the_own_log_verifies(
    shell, asked, tmp_path, hides, kind
):
    query = answered(asked, "ga")
    folder = asked if hides == "platform" else asked / "nodes" / "ga"
    log = rewritten(folder, tmp_path / "hiding", query)
    assert shell("audit", "verify", "--log", str(log)).code == 0
    both = words(asked, "ga", **{hides: log})
    # The entries are of this moment: the logs are said to have been taken well after it.
    ran = shell(*both, "--until", "2999-01-01", "--json")
    (found,) = json.loads(ran.out)["findings"]
    assert (ran.code, found["kind"], found["query_id"]) == (16, kind, query)
    told = shell(*both, "--until", "2999-01-01", "--locale", "zh")
    assert (told.code, query in told.out, "1 处问题" in told.err) == (16, True, True)


def test_receipts_of_another_key_are_no_receipts(shell, asked):
    other = words(asked, "ga")
    other = (*other[:3], str(asked / "nodes" / "tax.pub"), *other[4:])
    ran = shell(*other, "--department", "ga", "--json")
    assert ran.code == 16
    assert {each["kind"] for each in json.loads(ran.out)["findings"]} == {"bad_receipt"}


def test_a_trust_folder_names_the_departments_key(shell, asked, tmp_path):
    enrol_all(tmp_path / "all", {"ga": "127.0.0.1:9443"}, SystemRng(), SystemClock())
    said = words(asked, "ga")
    with_folder = (*said[:3], str(gateway_trust(tmp_path / "all")), *said[4:])
    ran = shell(*with_folder, "--node-key", said[3], "--json")
    assert (ran.code, json.loads(ran.out)["agrees"]) == (0, True)
    unknown = (*said[:3], str(gateway_trust(tmp_path / "all")), *said[4:], "--department", "tax")
    assert shell(*unknown).err.startswith("Q040")


@pytest.mark.parametrize("content", ["", "not a key\n", "ab" * 31 + "\n", "zz" * 32 + "\n"])
def test_a_file_without_a_key_is_one_clear_message(shell, asked, content):
    Path("empty.pub").write_text(content)
    said = words(asked, "ga")
    ran = shell(*said[:3], "empty.pub", *said[4:])
    assert (ran.code, ran.err[:4]) == (10, "Q040")


def test_a_log_that_is_not_there_or_no_log_is_one_clear_message(shell, asked):
    assert shell(*words(asked, "ga", platform="none.db")).err.startswith("Q040")
    Path("text.jsonl").write_text("no log\n")
    shutil.copy(asked / "nodes/ga/audit.pub", "text.pub")
    ran = shell(*words(asked, "ga", node="text.jsonl"))
    assert (ran.code, ran.err[:4]) == (16, "A002")
    assert shell(*words(asked, "ga"), "--since", "soon").err.startswith("Q040")
