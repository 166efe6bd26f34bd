"""Kill -9 at any instant loses no acknowledged entry and leaves no half one.

Run as a script, this file is the writer: it opens the log, lets eight threads append, and prints the index and leaf
hash of every receipt only after it has it. The test kills it while it writes, many times over on one log.
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

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SHA256
from middleplatform.model.record import AuditRecord

KILLS = 12
WRITERS = 8
SEED = 9901


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SeededRng:
    def token_bytes(self, count: int) -> bytes:
        return hashlib.shake_256(b"simulation").digest(count)


def record(run: int, writer: int, number: int) -> AuditRecord:
    body = {
        "at": "2026-03-01T08:00:00Z",
        "query_id": f"{run}-{writer}-{number}",
        "sql": "x" * (number * 37 % 5000),
    }
    return AuditRecord("released", body)


def open_log(folder: Path) -> AuditLog:
    signer = CheckpointSigner.load_or_create(
        folder / "log.key", "audit.example/simulation", SeededRng()
    )
    return AuditLog.open(folder / "audit.sqlite", signer, SystemClock())


def write_until_killed(folder: Path, run: int) -> None:
    log = open_log(folder)
    lock = threading.Lock()

    def work(writer: int) -> None:
        number = 0
        while True:
            receipt = log.append(record(run, writer, number))
            line = f"{receipt.index} {receipt.leaf_hash} {run}-{writer}-{number}\n".encode()
            with lock:
                os.write(1, line)  # one write, unbuffered: what the parent reads was acknowledged
            number += 1

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed_run(folder: Path, run: int, acknowledgements: int) -> list[tuple[int, str, str]]:
    """Start a writer, kill it after so many acknowledgements, and return all it managed to print."""
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
            if len(lines) >= acknowledgements:
                break
    finally:
        child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, "the writer ended before it was killed"
    whole = [line.decode().split() for line in lines if line.endswith(b"\n")]
    return [(int(index), leaf_hash, name) for index, leaf_hash, name in whole]


def test_no_acknowledged_entry_is_lost_and_the_log_verifies_after_every_kill(tmp_path):
    chance = random.Random(SEED)
    acknowledged: dict[int, tuple[str, str]] = {}
    checkpoint = None
    for run in range(KILLS):
        for index, leaf_hash, name in killed_run(tmp_path, run, chance.randint(1, 400)):
            assert index not in acknowledged, "one place was given away twice"
            acknowledged[index] = (leaf_hash, name)
        with open_log(tmp_path) as log:
            assert log.verify(against=checkpoint) == log.size > max(acknowledged)
            for index, (leaf_hash, name) in acknowledged.items():
                entry = log.entry(index)
                assert SHA256.leaf(entry.leaf).hex() == leaf_hash
                assert entry.record.body["query_id"] == name
            checkpoint = log.checkpoint()
    assert len(acknowledged) >= KILLS


def test_a_writer_killed_before_its_first_entry_leaves_a_log_that_opens(tmp_path):
    root = Path(sys.modules[AuditLog.__module__].__file__).parents[2]
    chance = random.Random(SEED)
    for run in range(4):
        folder = tmp_path / str(run)
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, __file__, str(folder), str(run)],
            stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(root)},
        ) as child:  # fmt: skip
            while not list(folder.iterdir()):
                assert child.poll() is None
            threading.Event().wait(chance.random() * 0.01)
            child.kill()
        with open_log(folder) as log:
            assert log.verify() == log.size


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]), int(sys.argv[2]))
