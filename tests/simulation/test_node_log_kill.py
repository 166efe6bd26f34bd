"""Kill -9 at any instant of a node: a claimed fragment stays claimed, and no receipt is without its entry.

Run as a script, this file is the node's part that writes: threads claim fragments, sign receipts, enter them, and
print each receipt only after its entry. The test kills it while it works, many times over on one state folder, and
then plays every fragment again.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from middleplatform.audit.keys import VerifierKey
from middleplatform.audit.log import AuditLog
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.crypto.identity import IdentityKey
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt
from middleplatform.errors import ProtocolError
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject
from middleplatform.node.journal import Journal
from middleplatform.node.served import ServedFragments

KILLS = 8
THREADS = 8
SEED = 9901


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SeededRng:
    def token_bytes(self, count: int) -> bytes:
        return hashlib.shake_256(b"node").digest(count)


def fragment(query_id: str, issued_at: str) -> Fragment:
    return Fragment(
        query_id=query_id, attempt=1, number=0, department="ga", protocol="local", cohort=("ga",),
        sql="SELECT 1", subject=Subject("lin", "drc", frozenset({Role.ANALYST})), purpose="statistics",
        project="drc", policy_digest="66" * 32, issued_at=issued_at,
    )  # fmt: skip


def answer_until_killed(folder: Path, run: int) -> None:
    clock = SystemClock()
    served = ServedFragments(folder / "served.db", clock)
    journal = Journal.open(folder, "ga", "simulation.example", clock, SeededRng())
    identity = IdentityKey.generate(SeededRng())

    def work(thread: int) -> None:
        number = 0
        while True:
            made = fragment(f"{run}-{thread}-{number}", clock.now().isoformat())
            served.claim(made)
            os.write(1, f"claimed {made.query_id} {made.issued_at}\n".encode())
            fields = ReceiptFields(made.query_id, made.digest(), "77" * 32, "local", 1, "88" * 32)
            receipt = sign_receipt(identity, fields)
            index = journal.ran(made, fields, receipt).index
            os.write(1, f"entered {made.query_id} {index} {receipt}\n".encode())
            number += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed_run(folder: Path, run: int, lines_wanted: int) -> list[list[str]]:
    """Start a node, kill it after so many lines, and return all that it managed to print."""
    root = Path(sys.modules[AuditLog.__module__].__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(run)],
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert child.stdout is not None
    lines = []
    try:
        for line in child.stdout:
            lines.append(line)
            if len(lines) >= lines_wanted:
                break
    finally:
        child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, "the node ended before it was killed"
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


def test_claims_and_entries_outlive_every_kill(tmp_path):
    chance = random.Random(SEED)
    claimed: dict[str, str] = {}
    entered: dict[int, tuple[str, str]] = {}
    checkpoint = None
    for run in range(KILLS):
        for line in killed_run(tmp_path, run, chance.randint(1, 400)):
            if line[0] == "claimed":
                claimed[line[1]] = line[2]
            else:
                entered[int(line[2])] = (line[1], line[3])
        with ServedFragments(tmp_path / "served.db", SystemClock()) as served:
            for query_id, issued_at in claimed.items():
                with pytest.raises(ProtocolError) as caught:
                    served.claim(fragment(query_id, issued_at))
                assert caught.value.code == "X002"
        with Journal.open(
            tmp_path, "ga", "simulation.example", SystemClock(), SeededRng()
        ) as journal:
            assert journal.log.verify(against=checkpoint) == journal.log.size
            checkpoint = journal.log.checkpoint()
            for index, (query_id, receipt) in entered.items():
                body = journal.log.entry(index).record.body
                assert (body["query_id"], body["receipt"]) == (query_id, receipt)
            logged = {each.record.body["query_id"] for each in journal.log.entries()}
        assert {query_id for query_id, _ in entered.values()} <= logged
    assert len(entered) > KILLS


def test_a_log_is_read_and_verified_while_a_node_writes_it_and_after_it_was_killed(tmp_path):
    root = Path(sys.modules[AuditLog.__module__].__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, __file__, str(tmp_path), "0"],
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)},
    ) as child:  # fmt: skip
        try:
            sizes = [0]
            while len(sizes) < 20:
                for _ in range(20):
                    child.stdout.readline()
                with opened(tmp_path, child) as log:
                    assert log.size >= sizes[-1]
                    assert len(list(log.entries())) == log.size == log.verify()
                    sizes.append(log.size)
        finally:
            child.kill()
            child.communicate()
    with opened(tmp_path, child) as log:
        assert log.verify() >= sizes[-1] > sizes[1]


def opened(folder: Path, child: "subprocess.Popen[bytes]") -> ReadOnlyLog:
    assert child.returncode in (None, -signal.SIGKILL)
    key = VerifierKey.parse((folder / "audit.pub").read_text().strip())
    return ReadOnlyLog.open(folder / "audit.db", [key], SystemClock())


if __name__ == "__main__":
    answer_until_killed(Path(sys.argv[1]), int(sys.argv[2]))
