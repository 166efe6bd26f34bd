"""Does the demonstration run as processes, answer as it must, leave logs that agree, and leave nothing running?"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NODES = ["amr", *(f"amr_99010{place}" for place in range(1, 7)), "ga", "health", "ss", "tax"]


def processes_of(folder: Path) -> list[str]:
    """Return the command lines that name ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MIDDLEPLATFORM_")}  # fmt: skip
    places = {"MIDDLEPLATFORM_STATE": folder / "state", "MIDDLEPLATFORM_DATA": folder / "departments"}  # fmt: skip
    return {**kept, **{name: str(path) for name, path in places.items()}}


@pytest.fixture(scope="module")
def shown(installed: Path, tmp_path_factory: pytest.TempPathFactory):
    """The demonstration run to its end: its folder, what it printed, and its exit code."""
    folder = tmp_path_factory.mktemp("shown")
    done = subprocess.run(
        [str(installed), "demo", "--report", str(folder / "report.json")], cwd=folder, env=environment(folder),
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    return folder, done


def test_every_question_ends_as_it_must(shown):
    folder, done = shown
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(report) == 102
    assert all(row["as_expected"] for row in report)


def test_it_says_which_department_lies_in_what(shown):
    _, done = shown
    told = " ".join(done.stdout.split())
    assert "11 node processes on this machine" in told
    assert "postgres: ga" in told, "PostgreSQL is installed by .ci/packages"


def test_nothing_is_left_running(shown):
    folder, _ = shown
    assert processes_of(folder) == []


def test_each_departments_log_agrees_with_the_platforms(shown, installed: Path):
    platform = shown[0] / "state" / "platform"
    agreed = 0
    for name in NODES:
        command = [
            str(installed), "audit", "reconcile", "--json", "--platform", str(platform / "log" / "audit.db"),
            "--node", str(platform / "nodes" / name / "audit.db"), "--node-key", str(platform / "gateway"), "--department", name,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        agreed += json.loads(done.stdout)["entries"]["matched"]
    assert agreed > 50


def test_a_demonstration_that_is_killed_leaves_nothing_running(installed: Path, tmp_path: Path):
    process = subprocess.Popen(
        [str(installed), "demo", "--report", str(tmp_path / "report.json")], cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _until(
            lambda: len(list(tmp_path.glob("state/platform/nodes/*/node.sock"))) == len(NODES), 240
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(processes_of(tmp_path)) > 0 or sys.platform != "linux", "the nodes ran"
    _until(lambda: processes_of(tmp_path) == [], 60)


def _until(condition, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.1)
