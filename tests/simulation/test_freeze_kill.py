"""Kill -9 at every step of freezing, of the second yes, and of an alert: old state or new, and the log agrees.

Run as a script, this file is the officer's process: for each act and step it forks one that does it and kills itself.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "fakes"), str(ROOT / "tests" / "simulation")]

from doors import HandClock  # noqa: E402 - it lies in the folder of fakes
from policy_world import HAN, LU, configured, open_log, small_catalog, world  # noqa: E402 - likewise
from test_policy_kill import Deadline, FreshRng, MortalLog, MortalStore  # noqa: E402 - the harness

from middleplatform.governance.desk import Desk  # noqa: E402 - as above
from middleplatform.governance.detection import Detector  # noqa: E402 - as above
from middleplatform.governance.freezes import Freezing  # noqa: E402 - as above
from middleplatform.governance.grants_in_force import GrantsInForce  # noqa: E402 - as above
from middleplatform.model.freeze import Scope  # noqa: E402 - as above
from middleplatform.model.policy import ProbingRule  # noqa: E402 - as above
from middleplatform.model.record import AuditRecord  # noqa: E402 - as above
from middleplatform.store import acts  # noqa: E402 - as above
from middleplatform.store.database import Store  # noqa: E402 - as above

STEPS = 11
"""Three transactions, before, within and after each; and before and after the entry."""
DECIDED = 2
"""Up to this step nothing of the act is kept; after it, the next start finishes the act."""
ACTS = ("freeze", "lift", "alert")
BEFORE = {"freeze": [], "lift": [1], "alert": [1]}
AFTER = {"freeze": [1], "lift": [], "alert": [1, 2]}


class ReadLog(MortalLog):
    """Dies likewise, and can be read in full."""

    def __init__(self, log, deadline):
        super().__init__(log, deadline)
        self.origin = log.origin

    def entry(self, index):
        return self.log.entry(index)

    def entries(self, start=0, stop=None):
        return self.log.entries(start, stop)


def rules():
    """Return a policy under which the log of ``ready`` has crossed a rule."""
    rule = ProbingRule("refusals", "user", Fraction(2), 60, "user")
    bundle = configured()
    return replace(bundle, limits=replace(bundle.limits, probing=(rule,)))


@contextmanager
def opened(folder, deadline=None):
    """Give the desk of stops over a folder's store and log, in a process that may die or in one that lives."""
    url, clock = f"sqlite:///{folder / 'store.db'}", HandClock()
    kind = Store if deadline is None else MortalStore
    with kind.open(url) as store, open_log(folder, clock) as log:
        if deadline is not None:
            store.deadline = deadline
        held = log if deadline is None else ReadLog(log, deadline)
        yield Freezing(Desk(store, clock, FreshRng(), held), small_catalog()), log


def act(freezing, name):
    """Do the act of that name."""
    if name == "freeze":
        freezing.freeze(HAN, Scope.PLATFORM, "", "泄露")
    elif name == "lift":
        freezing.unfreeze(LU, 1, "查清")
    else:
        Detector(freezing.desk).look(rules())


def act_and_die(folder, name, at):
    """Do it in a process that dies at a step, and return how it ended."""
    child = os.fork()
    if not child:
        with opened(folder, Deadline(at)) as (freezing, _):
            act(freezing, name)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refused(number):
    body = {"at": HandClock().now().isoformat(), "query_id": f"q{number}", "subject": "lin",
            "department": "drc", "project": "drc", "code": "P001"}  # fmt: skip
    return AuditRecord("refused", body)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Return a folder for each act and step, as the killed process left it, and how each process ended."""
    root = tmp_path_factory.mktemp("killed")
    for name in ACTS:
        ready = root / f"{name}-ready"
        ready.mkdir()
        with world(ready) as made:
            freezing = Freezing(made.life.desk, small_catalog())
            for number in range(3):
                made.log.append(refused(number))
            if name != "freeze":
                freezing.freeze(HAN, Scope.PLATFORM, "", "泄露")
            if name == "lift":
                freezing.unfreeze(HAN, 1, "查清")
        for at in range(STEPS + 2):
            shutil.copytree(ready, root / f"{name}-{at}")
    told = subprocess.run(
        [sys.executable, __file__, str(root)], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return root, [int(line) for line in told.stdout.split()]


def told(log):
    """Return the numbers of the freezes that hold, as the log alone tells."""
    found = []
    for each in log.entries():
        body = each.record.body
        if "frozen" in body:
            found.append(body["frozen"]["number"])
        elif body.get("action") == "lifted":
            found.remove(body["freeze"]["number"])
    return found


def holding(freezing):
    return [each.freeze.number for each in freezing.listed(HAN) if each.state == "open"]


def test_each_step_ends_its_process_and_there_are_no_more(ended):
    _, codes = ended
    assert codes == [0, *[-signal.SIGKILL] * STEPS, 0] * len(ACTS)


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_after_a_kill_a_freeze_holds_as_before_or_as_decided_and_the_log_agrees(ended, name, at):
    root, _ = ended
    with opened(root / f"{name}-{at}") as (freezing, log):
        grants = GrantsInForce(freezing.desk.store)
        looked = grants.in_force(configured(), HandClock().now()).freezes
        decided = AFTER[name] if at > DECIDED else BEFORE[name]
        stopped = [each.number for each in looked]
        assert stopped == (
            [1] if name == "lift" and at < STEPS else decided
        )  # what stops does not wait
        freezing.desk.finish()
        assert holding(freezing) == told(log) == decided
        with freezing.desk.store.reading() as connection:
            assert acts.pending(connection) is None
        if at <= DECIDED or name == "alert":
            act(freezing, name)
        assert holding(freezing) == told(log) == AFTER[name]
        alerts = [each for each in log.entries() if each.record.event == "alert"]
        assert len(alerts) == (name == "alert")


if __name__ == "__main__":
    configured()  # what every fork would work out again
    for each in ACTS:
        for step in range(STEPS + 2):
            sys.stdout.write(f"{act_and_die(Path(sys.argv[1]) / f'{each}-{step}', each, step)}\n")
            sys.stdout.flush()
