"""A node whose clock, certificate, disk or launcher fails, or whose department refuses the gateway: what the asker,
both logs and the node's operator see, and that the same question is answered once all is well again.
"""

import resource
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from node_world import (
    PEOPLE,
    duckdb_sources,
    gone,
    known_values,
    other_launcher,
    running_world,
    until,
)

from middleplatform.access.system import SystemClock

TAX = "SELECT tax_year, COUNT(*) AS n FROM tax.individual_income GROUP BY tax_year"
FAKETIME = (
    "libfaketime is needed: run .ci/packages as administrator, or install the package 'libfaketime'"
)


class Shifted:
    """This machine's clock, so many hours ahead."""

    def __init__(self, hours):
        self.by = timedelta(hours=hours)

    def now(self):
        return SystemClock().now() + self.by


@pytest.fixture(scope="module")
def world(demo_data, tmp_path_factory):
    """Return two nodes that were enrolled a day ago."""
    folder = tmp_path_factory.mktemp("faults")
    sources = duckdb_sources(demo_data, ["ga", "tax"])
    with running_world(folder, sources, clock=Shifted(-24)) as found:
        yield found


@pytest.fixture(scope="module")
def right(world):
    return world.answered(TAX)


@pytest.fixture(scope="module")
def secrets(demo_data):
    return known_values(demo_data, "tax", "individual_income", ["id_number"])


@pytest.fixture(autouse=True)
def _healed(world, right, secrets):
    """After each test: the same answer as before, nothing under way, nothing told."""
    yield
    assert world.answered(TAX) == right
    until(world.at_rest, "nodes at rest")
    assert world.leaks(secrets) == set()


def failed(world, code):
    """Ask: it must fail with this code, and the platform's log must say so, and nobody else is concerned."""
    found = world.ask(TAX)
    assert found.code == code
    assert "tax" in found.message
    assert world.entries(found) == [("received", ""), ("failed", code)]
    assert world.ask(PEOPLE).code == ""
    return found


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_revoked_node_is_refused_at_the_next_request_on_open_connections_too(world):
    address = world.address("tax")
    world.office.revoke("tax")
    world.publish()
    failed(world, "X006")
    world.admit("tax", address)


def test_a_revoked_certificate_of_a_node_is_refused_though_its_department_still_counts(world):
    (serial, *_) = [each.serial for each in world.office.issued()[::-1] if each.party == "tax"]
    world.office.revoke("tax", serial)
    world.publish()
    found = failed(world, "X006")
    assert "revoked" in found.message
    assert world.node_entries("tax", found) == []
    world.admit("tax")


def test_a_department_that_refuses_the_gateway_is_obeyed_at_the_next_request(world):
    world.trust("tax").refuse("gateway")
    found = failed(world, "X006")
    assert world.node_entries("tax", found) == []
    assert "a caller was refused" in world.operator_log("tax")
    world.trust("tax").refuse("gateway", lift=True)


def test_a_certificate_that_does_not_hold_yet_is_refused_by_the_gateway(world):
    address = world.address("tax")
    world.admit("tax", address, clock=Shifted(1))
    found = failed(world, "X006")
    assert "clocks" in found.message
    world.admit("tax", address)


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def skewed(world, monkeypatch):
    """Return what starts the node again with its clock ahead; afterwards it runs by the true one."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, FAKETIME

    def start(hours):
        world.kill("tax")
        monkeypatch.setenv("LD_PRELOAD", str(libraries[0]))
        monkeypatch.setenv("FAKETIME", f"{hours:+}h")
        monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        world.restart("tax")
        monkeypatch.undo()

    yield start
    world.kill("tax")
    world.restart("tax")


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_an_hour_off_is_named_and_nothing_is_evaluated(world, skewed, hours):
    skewed(hours)
    found = failed(world, "X005")
    assert world.node_entries("tax", found) == []
    entry = world.newest_entry("tax")
    assert (entry["event"], entry["code"]) == ("refused", "X005")
    assert "X005" in world.operator_log("tax")


def test_a_clock_before_the_gateways_certificate_holds_is_told_to_both_sides(world, skewed):
    world.admit("gateway")
    skewed(-1)
    found = failed(world, "X006")
    assert world.node_entries("tax", found) == []
    assert "does not hold yet" in world.operator_log("tax")


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["none", "claim"])
def test_a_full_disk_lets_no_answer_and_no_receipt_leave_and_is_no_longer_felt_once_there_is_room(
    world, room
):
    state, pid = world.state("tax"), world.pid("tax")
    # Room for the record of served fragments, not for the log: it was written more.
    sizes = {name: (state / name).stat().st_size for name in ("audit.db-wal", "served.db-wal")}
    assert sizes["audit.db-wal"] > sizes["served.db-wal"] + 50_000
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    limit = 0 if room == "none" else sizes["audit.db-wal"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
    found = world.ask(TAX)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert found.code == "A001"
    assert world.entries(found) == [("received", ""), ("failed", "A001")]
    assert world.node_entries("tax", found) == []


# --- launchers --------------------------------------------------------------------------------------------------------


def test_nodes_end_with_the_process_that_started_them_also_when_it_is_killed(demo_data, tmp_path):
    with other_launcher(tmp_path, demo_data, ["ga"]) as (launcher, pids):
        assert pids
        launcher.kill()
        launcher.wait()
        until(lambda: all(gone(pid) for pid in pids), "the end of the nodes")


def test_a_node_asked_to_stop_ends_with_0_and_leaves_no_socket(world):
    process = world.processes.process("tax")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert world.newest_entry("tax")["event"] == "stop"
    assert not world.processes.socket("tax").exists()
    world.restart("tax")
