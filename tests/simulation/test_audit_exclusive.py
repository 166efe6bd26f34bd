"""Two processes never write one log; the lock dies with its holder."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

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


def open_log(folder: Path) -> AuditLog:
    signer = CheckpointSigner.load_or_create(folder / "log.key", "audit.example/two", FixedRng())
    return AuditLog.open(folder / "audit.sqlite", signer, StillClock())


def hold(folder: Path) -> None:
    """Open the log, say so, and hold it until the input ends or we are killed."""
    try:
        log = open_log(folder)
    except AuditError as error:
        sys.stdout.write(error.code + "\n")
        return
    log.append(AuditRecord("released", {"at": "2026-03-01T00:00:00Z"}))
    sys.stdout.write("open\n")
    sys.stdout.flush()
    sys.stdin.read()
    log.close()


def start(folder: Path) -> "subprocess.Popen[str]":
    root = Path(sys.modules[AuditLog.__module__].__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, __file__, str(folder)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip


def test_a_second_process_is_refused_until_the_first_is_gone_even_by_kill(tmp_path):
    with start(tmp_path) as first:
        assert first.stdout.readline() == "open\n"
        with start(tmp_path) as second:
            assert second.stdout.readline() == "A003\n"
        with pytest.raises(AuditError) as caught:
            open_log(tmp_path)
        assert caught.value.code == "A003"
        first.kill()
        first.wait()
    with open_log(tmp_path) as log:
        assert log.size == 1


def test_two_processes_taking_turns_make_one_log(tmp_path):
    for turn in range(3):
        with start(tmp_path) as holder:
            assert holder.stdout.readline() == "open\n"
            holder.stdin.close()
            assert holder.wait() == 0
        with open_log(tmp_path) as log:
            assert log.verify() == turn + 1


if __name__ == "__main__":
    hold(Path(sys.argv[1]))
