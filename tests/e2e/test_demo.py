"""Does the demonstration run as processes, answer as it must, leave logs that agree, and leave nothing running?"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from demo_pool import CASES, check, pooled
from exact_demo import exact_demo

NODES = ["amr", *(f"amr_99010{place}" for place in range(1, 7)), "ga", "health", "ss", "tax"]
PARTIES = [*NODES, "keyholder"]


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
    """The demonstration run to its end under exact values: its folder, what it printed, and its exit code."""
    folder = tmp_path_factory.mktemp("shown")
    return folder, ran(installed, folder, {"MIDDLEPLATFORM_BUNDLE": str(exact_demo(folder))})


@pytest.fixture(scope="module")
def as_shipped(installed: Path, tmp_path_factory: pytest.TempPathFactory):
    """The same under the policy that is shipped."""
    folder = tmp_path_factory.mktemp("shipped")
    return folder, ran(installed, folder, {})


def ran(installed: Path, folder: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(installed), "demo", "--report", str(folder / "report.json")], cwd=folder, env=environment(folder) | more,
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("run", ["shown", "as_shipped"])
def test_every_question_ends_as_it_must(run, request):
    folder, done = request.getfixturevalue(run)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(reported(folder)) == 110
    assert all(row["as_expected"] for row in reported(folder))


def test_one_table_is_shown_in_each_way_of_release(shown, as_shipped):
    exact, shipped = ({row["id"]: row for row in reported(each[0])} for each in (shown, as_shipped))
    told = " ".join(as_shipped[1].stdout.split())
    # Exact: what is shown is the exact number; more is withheld than the threshold alone would.
    right = {tuple(row[:2]): row[2] for row in exact["D01"]["rows"]}
    values = {tuple(row[:2]): row[2] for row in shipped["D01"]["rows"]}
    assert all(value in (None, right[label]) for label, value in values.items())
    assert shipped["D01"]["suppressed"] > exact["D01"]["suppressed"] > 0
    assert "secondary" in told
    # By cell key, and with differential privacy: near, and not the same.
    for name, most in (("D02", 7), ("D03", 200)):
        exactly = {row[0]: row[1] for row in exact["D02"]["rows"]}
        found = {row[0]: row[1] for row in shipped[name]["rows"]}
        assert found.keys() == exactly.keys()
        assert found != exactly
        assert all(abs(found[label] - exactly[label]) <= most for label in found)


def test_a_differentially_private_answer_is_shown_with_its_intervals(as_shipped):
    shipped = {row["id"]: row for row in reported(as_shipped[0])}
    noisy = shipped["D03"]
    assert len(noisy["intervals"]) == len(noisy["rows"]) > 1
    assert all(label is None and people > 0 for label, people, _ in noisy["intervals"])
    assert shipped["D02"]["intervals"] is None
    told = " ".join(as_shipped[1].stdout.split())
    assert told.count(" ± ") >= len(noisy["rows"])


def test_each_answer_of_a_private_join_is_the_pooled_one_and_says_who_took_part(shown):
    folder, done = shown
    joined = [row for row in reported(folder) if row["protocol"] == "private_join"]
    of_sql = {(case.sql, case.sealed): case for case in CASES.values()}
    asked = [of_sql[row["sql"], row["sealed"]] for row in joined]
    assert {case.id for case in asked} >= {
        f"Q{number:02}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 12)
    }
    with pooled(folder / "departments") as database:
        for case, row in zip(asked, joined, strict=True):
            assert "keyholder" in row["parties"]
            assert len(row["parties"]) > 2
            assert f"took part: {', '.join(row['parties'])}" in " ".join(done.stdout.split())
            check(database, case, row["columns"], row["rows"], row["suppressed"])


def test_the_assumption_of_private_joins_is_printed_once(shown):
    told = " ".join(shown[1].stdout.split())
    assert told.count("the gateway colludes with no department") == 1


def test_a_sealed_answer_is_opened_by_its_recipient_only(shown):
    folder, _ = shown
    rows = {row["id"]: row for row in reported(folder)}
    for number in ("5", "12", "C02"):
        opened, plain = rows[f"{number}-sealed"], rows[number]
        assert (opened["sealed"], plain["sealed"]) == (True, False)
        assert sorted(opened["rows"]) == sorted(plain["rows"])
    keys = list(folder.rglob("*.key"))
    recipient = folder / "state" / "platform" / "recipient"
    assert [path.name for path in keys if path.parent == recipient] == ["analyst_drc.key"]
    left = [
        json.loads(path.read_text(encoding="utf-8")) for path in recipient.glob("answer-*.json")
    ]
    assert len(left) == 4
    for answer in left:
        labels = {"region_code", "copay_band", "inspect_year"}
        shown = [row[place] for row in answer["rows"] for place, each in enumerate(answer["columns"]) if each["name"] not in labels]  # fmt: skip
        assert set(shown) == {None}, "what left the gateway shows labels only"


def reported(folder: Path) -> list[dict]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_it_says_which_department_lies_in_what(shown):
    _, done = shown
    told = " ".join(done.stdout.split())
    assert "11 node processes on this machine" in told
    assert "postgres: ga" in told, "PostgreSQL is installed by .ci/packages"
    assert "masks removed by keyholder (no data)" in told


def test_nothing_is_left_running(shown):
    folder, _ = shown
    assert processes_of(folder) == []


def test_each_departments_log_agrees_with_the_platforms(shown, installed: Path):
    platform = shown[0] / "state" / "platform"
    agreed = 0
    for name in PARTIES:
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
            lambda: len(list(tmp_path.glob("state/platform/nodes/*/node.sock"))) == len(PARTIES),
            240,
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
