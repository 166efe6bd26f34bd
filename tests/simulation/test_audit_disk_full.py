"""A full disk: every waiter hears A001, nothing acknowledged is lost, and the log goes on once there is room.

Run as a script, this file fills a log under a limit on the size of files, which SQLite meets as it meets a full disk.
"""

import json
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.errors import AuditError
from middleplatform.model.record import AuditRecord


class StillClock:
    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)


class FixedRng:
    def token_bytes(self, count: int) -> bytes:
        return bytes(range(count))


def record(number: int) -> AuditRecord:
    return AuditRecord(
        "released", {"at": "2026-03-01T00:00:00Z", "query_id": str(number), "sql": "x" * 20_000}
    )


def open_log(folder: Path) -> AuditLog:
    signer = CheckpointSigner.load_or_create(folder / "log.key", "audit.example/full", FixedRng())
    return AuditLog.open(folder / "audit.sqlite", signer, StillClock())


def fill(folder: Path) -> None:
    """Append under the limit until it bites, go on failing, lift it, append again; print what was acknowledged."""
    log = open_log(folder)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    acknowledged, refused, number = [], [], 0
    while len(refused) < 40:
        futures = [(number + step, log.submit(record(number + step))) for step in range(10)]
        number += 10
        for name, future in futures:
            try:
                acknowledged.append((future.result().index, name))
            except AuditError as error:
                refused.append(error.code)
    during = log.verify()
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    more = range(number, number + 20)
    acknowledged += [(log.append(record(name)).index, name) for name in more]
    log.verify()
    log.close()
    sys.stdout.write(
        json.dumps(
            {"acknowledged": acknowledged, "refused": sorted(set(refused)), "during": during}
        )
    )


def test_a_full_disk_refuses_every_waiter_loses_nothing_and_heals(tmp_path):
    root = Path(sys.modules[AuditLog.__module__].__file__).parents[2]
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["refused"] == ["A001"]
    assert said["during"] == len(said["acknowledged"]) - 20
    assert said["during"] >= 10
    with open_log(tmp_path) as log:
        assert log.size == len(said["acknowledged"])
        for index, name in said["acknowledged"]:
            assert log.entry(index).record == record(name)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
