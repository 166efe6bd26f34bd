"""Kill -9 at every step of publishing: afterwards the old version is in force or the new one, and the log agrees.

Run as a script, this file is the officer's process: for each step it forks one that publishes and kills itself there.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "fakes")]

from doors import HandClock  # noqa: E402 - it lies in the folder of fakes
from policy_world import (  # noqa: E402 - likewise
    HAN,
    LU,
    TAX,
    configured,
    files,
    open_log,
    small_catalog,
    world,
)

from middleplatform.governance.desk import Desk  # noqa: E402 - likewise
from middleplatform.governance.examined import examined  # noqa: E402 - likewise
from middleplatform.governance.lifecycle import Lifecycle  # noqa: E402 - likewise
from middleplatform.model.record import Receipt  # noqa: E402 - likewise
from middleplatform.store import acts  # noqa: E402 - likewise
from middleplatform.store.database import Store  # noqa: E402 - likewise

STEPS = 11
"""Three transactions, before, within and after each; and before and after the entry."""
DECIDED = 2
"""Up to this step nothing of the act is kept; after it, the next start finishes the act."""


class FreshRng:
    """Ids that no other process has."""

    def token_bytes(self, count):
        return os.urandom(count)


class Deadline:
    """Kills its process at the step of this number, from 1; at 0 never."""

    def __init__(self, at):
        self.at, self.passed = at, 0

    def step(self):
        self.passed += 1
        if self.passed == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(Store):
    """Dies before a transaction, within it, or after it."""

    deadline = Deadline(0)

    @contextmanager
    def writing(self):
        self.deadline.step()
        with super().writing() as connection:
            yield connection
            self.deadline.step()
        self.deadline.step()


class MortalLog:
    """Dies before an entry or after it."""

    def __init__(self, log, deadline):
        self.log, self.deadline, self.claimant = log, deadline, log.claimant

    @property
    def size(self):
        return self.log.size

    def entries(self, start=0):
        return self.log.entries(start)

    def append(self, record) -> Receipt:
        self.deadline.step()
        receipt = self.log.append(record)
        self.deadline.step()
        return receipt


@contextmanager
def opened(folder, deadline=None):
    """Give the life-cycle of a folder's store and log, as a process that may die or as one that lives."""
    url, clock = f"sqlite:///{folder / 'store.db'}", HandClock()
    kind = Store if deadline is None else MortalStore
    with kind.open(url) as store, open_log(folder, clock) as log:
        if deadline is not None:
            store.deadline = deadline
        held = log if deadline is None else MortalLog(log, deadline)
        yield Lifecycle(Desk(store, clock, FreshRng(), held), small_catalog(), configured()), log


def publish_and_die(folder, at):
    """Publish proposal 2 of ``folder`` in a process that dies at a step, and return how it ended."""
    child = os.fork()
    if not child:
        with opened(folder, Deadline(at)) as (life, _):
            life.publish(HAN, 2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Return a folder for each step, as the killed process left it, and how each process ended."""
    root = tmp_path_factory.mktemp("killed")
    ready = root / "ready"
    ready.mkdir()
    with world(ready) as made:
        number = made.loosened()
        made.life.approve(LU, number)
        made.life.approve(TAX, number)
    for at in range(STEPS + 2):
        shutil.copytree(ready, root / str(at))
    told = subprocess.run(
        [sys.executable, __file__, str(root)], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return root, [int(line) for line in told.stdout.split()]


def published(log):
    """Return (version, digest) of every entry that says that a policy was published."""
    bodies = [each.record.body for each in log.entries() if each.record.event == "policy"]
    return [(each["version"], each["digest"]) for each in bodies if "version" in each]


def versions(life):
    return [(each.number, each.digest) for each in life.versions()]


def test_each_step_ends_its_process_and_there_are_no_more(ended):
    _, codes = ended
    assert codes == [0, *[-signal.SIGKILL] * STEPS, 0]


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_after_a_kill_the_version_is_the_old_or_the_new_one_and_the_log_agrees(ended, at):
    root, _ = ended
    with opened(root / str(at)) as (life, log):
        left, entered = versions(life), published(log)
        assert set(left) <= set(entered)  # nothing is in force that the log does not know
        life.desk.finish()
        assert versions(life) == published(log)
        assert len(entered) - len(left) <= 1
        with life.desk.store.reading() as connection:
            assert acts.pending(connection) is None
        assert life.desk.finish() is False
        number = life.standing().number
        assert number == (1 if at <= DECIDED else 2)
        if number == 1:
            assert life.publish(HAN, 2) == 2
        assert versions(life) == published(log)


if __name__ == "__main__":
    configured()  # what every fork would work out again
    examined(files(), small_catalog(), HandClock().now())
    for step in range(STEPS + 2):
        sys.stdout.write(f"{publish_and_die(Path(sys.argv[1]) / str(step), step)}\n")
        sys.stdout.flush()
