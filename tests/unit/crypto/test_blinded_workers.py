"""Worker processes: the same answers as without, in order, on more than one core, and none is left."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from middleplatform.crypto.blinded import BlindKey, blind, blind_again, tokens
from middleplatform.crypto.curve_workers import PIECE_ROWS, Workers
from middleplatform.errors import LimitError, ProtocolError

CONTEXT = bytes(32)
ROWS = 3 * PIECE_ROWS + 17


def alive(number):
    """Return whether a process runs, and is not merely waiting to be read off."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def ended(numbers):
    """Wait until none of the processes runs."""
    for each in numbers:
        try:
            watched = os.pidfd_open(each)
        except ProcessLookupError:
            continue
        try:
            if not select.select([watched], [], [], 10)[0]:
                return False
        finally:
            os.close(watched)
    return True


@pytest.fixture
def keys(seeded_rng):
    return [BlindKey.fresh(seeded_rng(name), CONTEXT) for name in "ab"]


def test_processes_give_what_the_caller_itself_computes_and_none_is_left(keys):
    identifiers = pa.array([f"990101{at:012d}" for at in range(ROWS)])
    found = []
    with Workers(2) as two:
        for workers in (two, Workers.inline()):
            points = blind(identifiers, "person", keys[0], workers)
            again = blind_again(points, keys[1], workers)
            found.append([points, again, tokens(again, CONTEXT, workers)])
        numbers = two.processes
        assert len(set(numbers)) == 2
        assert all(alive(each) for each in numbers)
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))
    assert ended(numbers)
    assert two.processes == ()


def test_both_processes_work(keys):
    with Workers(2) as workers:
        blind(pa.array(range(ROWS)), "person", keys[0], workers)
        ticks = [
            int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11])
            for each in workers.processes
        ]
    assert min(ticks) > 0


def test_several_callers_at_once_each_get_their_own(keys):
    found = {}

    def work(name, start):
        found[name] = blind(pa.array(range(start, start + ROWS)), "person", keys[0], workers)

    with Workers(2) as workers:
        threads = [threading.Thread(target=work, args=(at, at * ROWS)) for at in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    for at in range(3):
        expected = blind(pa.array([at * ROWS + ROWS - 1]), "person", keys[0], Workers.inline())
        assert np.array_equal(found[at][-1:], expected)


def test_a_refused_point_ends_the_call_and_not_the_pool(keys):
    bad = np.frombuffer((2).to_bytes(32, "little") * ROWS, dtype=np.uint8).reshape(-1, 32)
    with Workers(2) as workers:
        with pytest.raises(ProtocolError) as caught:
            blind_again(bad, keys[0], workers)
        assert caught.value.code == "X001"
        assert len(blind(pa.array([1, 2]), "person", keys[0], workers)) == 2


def test_a_process_that_dies_is_replaced(keys):
    expected = blind(pa.array(range(5)), "person", keys[0], Workers.inline())
    with Workers(1) as workers:
        blind(pa.array([1]), "person", keys[0], workers)
        (first,) = workers.processes
        os.kill(first, signal.SIGKILL)
        assert np.array_equal(blind(pa.array(range(5)), "person", keys[0], workers), expected)
        (second,) = workers.processes
        assert second != first
    assert ended([first, second])


def test_closing_ends_what_is_under_way_and_refuses_what_comes(keys):
    workers = Workers(2)
    blind(pa.array([1]), "person", keys[0], workers)
    numbers, ends = workers.processes, []

    def work():
        try:
            blind(pa.array(range(400_000)), "person", keys[0], workers)
        except LimitError as error:
            ends.append(error.code)

    thread = threading.Thread(target=work)
    thread.start()
    workers.close()
    thread.join()
    assert ends == ["L001"]
    assert ended(numbers)
    with pytest.raises(LimitError):
        blind(pa.array([1]), "person", keys[0], workers)
    workers.close()


@pytest.mark.parametrize("processes", [0, 1])
def test_a_caller_who_stops_waiting_ends_its_own_call_only(keys, processes):
    stop = threading.Event()
    with Workers(processes) as workers:
        assert len(blind(pa.array([1]), "person", keys[0], workers.until(stop))) == 1
        stop.set()
        with pytest.raises(LimitError) as caught:
            blind(pa.array([1]), "person", keys[0], workers.until(stop))
        assert caught.value.code == "L003"
        assert len(blind(pa.array([1]), "person", keys[0], workers)) == 1


PARENT = """
import sys
import pyarrow as pa
from middleplatform.crypto.blinded import BlindKey, blind
from middleplatform.crypto.curve_workers import Workers
workers = Workers(2)
blind(pa.array(range(9)), "person", BlindKey(bytes(32), bytes(32)), workers)
print(*workers.processes, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_no_process_outlives_a_parent_that_is_killed_or_ends_without_closing(how):
    # The parent has no file that a child could load again, and no guard around what it does.
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    numbers = [int(each) for each in parent.stdout.readline().split()]
    assert len(numbers) == 2
    assert all(alive(each) for each in numbers)
    if how:
        parent.send_signal(how)
    parent.stdin.close()
    parent.wait()
    parent.stdout.close()
    assert ended(numbers)


def test_a_secret_stands_in_no_argument_and_no_variable(keys):
    with Workers(1) as workers:
        blind(pa.array([1]), "person", keys[0], workers)
        (number,) = workers.processes
        told = b"".join(
            Path(f"/proc/{number}/{name}").read_bytes() for name in ("cmdline", "environ")
        )
    assert keys[0].scalar not in told
    assert keys[0].scalar.hex().encode() not in told


def test_a_pool_that_was_never_used_has_no_process():
    with Workers(2) as workers:
        assert workers.processes == ()
    assert repr(Workers.inline()) == "Workers(processes=0)"
