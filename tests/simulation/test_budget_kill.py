"""Kill -9 at any instant, from several processes at once: no cap is ever overspent, and the sum is exact.

Run as a script, this file is a spender: it opens the ledger, lets threads reserve, start, commit and release, and
prints a line before it gives anything back and after each call has returned. The test kills spenders while they
spend, until ten thousand reservations were judged, then holds the ledger against all that was printed.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from queue import Queue

import pytest

from middleplatform.errors import DisclosureError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import Charge, Snapshot
from middleplatform.model.policy import PrivacyRule

RESERVATIONS = 10_000
PROCESSES, THREADS = 4, 8
LINES_BEFORE_A_KILL = (300, 1_500)
SEED = 9901
DATASETS = ("ga.person", "tax.income")
PROJECTS, ANALYSTS = "aaabc", "uuuvwxy"
"""Some more often than others: so each kind of cap is reached."""
LOSSES = (
    Fraction(1, 9_973), Fraction(1, 50), Fraction(3, 700), Fraction(1, 997), Fraction(2, 9_999),
)  # fmt: skip
LEAST = Fraction(1, 9_973 * 997 * 9_999 * 700)
"""Every sum of losses is a whole multiple of it."""
CAPS = PrivacyRule(rho_snapshot=Fraction(15), rho_project=Fraction(15, 2), rho_analyst=Fraction(6))


def spend_until_killed(path: Path, seed: int) -> None:
    ledger = BudgetLedger(path)

    def tell(*words: object) -> None:
        os.write(1, (" ".join(map(str, words)) + "\n").encode())  # one write: never half a line

    def work(thread: int) -> None:
        chance = random.Random(f"{seed} {thread}")
        while True:
            rho = chance.choice(LOSSES)
            datasets = chance.choice((DATASETS[:1], DATASETS[1:], DATASETS))
            who = (chance.choice(PROJECTS), chance.choice(ANALYSTS))
            charges = [Charge(name, rho, CAPS) for name in datasets]
            try:
                taken = ledger.reserve_all(charges, *who, f"q{seed}", "2026-03-01T08:00:00Z")
            except DisclosureError as error:
                tell("refused", error.parts["what"][0].split(" ")[0])
                continue
            tell("reserved", taken.number, rho, ",".join(datasets), *who)
            if chance.random() < 0.3:
                tell("releasing", taken.number)
                assert ledger.release(taken)
                tell("released", taken.number)
                continue
            ledger.start(taken)
            assert not ledger.release(taken), "what was read is never given back"
            tell("started", taken.number)
            if chance.random() < 0.8:
                ledger.commit(taken)
                tell("committed", taken.number)

    for number in range(THREADS):
        threading.Thread(target=work, args=(number,)).start()


@dataclass
class Told:
    """All that the spenders printed, by what it says."""

    reserved: dict[int, tuple[Fraction, tuple[str, ...], str, str]] = field(default_factory=dict)
    marks: dict[str, set[int]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def judged(self) -> int:
        return len(self.reserved) + self.refused.total()

    def take(self, line: str) -> None:
        word, *rest = line.split()
        if word == "refused":
            self.refused[rest[0]] += 1
        elif word == "reserved":
            number, rho, datasets, project, analyst = rest
            assert int(number) not in self.reserved, "a number given twice"
            self.reserved[int(number)] = (
                Fraction(rho), tuple(datasets.split(",")), project, analyst,
            )  # fmt: skip
        else:
            self.marks.setdefault(word, set()).add(int(rest[0]))


def run_spenders(path: Path) -> tuple[Told, int]:
    """Let processes spend, killing one after the other, until enough was judged; return what they said, and kills."""
    chance, told, lines, kills = random.Random(SEED), Told(), Queue(), 0
    root = Path(sys.modules[BudgetLedger.__module__].__file__).parents[2]
    running: dict[int, subprocess.Popen[bytes]] = {}
    readers = []

    def start(seed: int) -> None:
        child = subprocess.Popen(
            [sys.executable, __file__, str(path), str(seed)],
            stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip
        running[seed] = child
        reader = threading.Thread(target=lambda: [lines.put(each) for each in child.stdout])
        reader.start()
        readers.append((reader, child))

    seeds = iter(range(1, 10_000))
    try:
        for _ in range(PROCESSES):
            start(next(seeds))
        heard, until = 0, chance.randint(*LINES_BEFORE_A_KILL)
        while told.judged < RESERVATIONS:
            told.take(lines.get(timeout=60).decode())
            heard += 1
            if heard >= until:
                running.pop(chance.choice(sorted(running))).send_signal(signal.SIGKILL)
                kills += 1
                heard, until = 0, chance.randint(*LINES_BEFORE_A_KILL)
                start(next(seeds))
    finally:
        for child in running.values():
            child.send_signal(signal.SIGKILL)
        for reader, child in readers:
            child.wait(60)
            reader.join(60)
            child.stdout.close()
    while not lines.empty():
        told.take(lines.get().decode())
    return told, kills + len(running)


def test_killed_spenders_never_overspend_and_the_sum_is_exact(tmp_path):
    path = tmp_path / "budget.db"
    BudgetLedger(path).close()
    told, kills = run_spenders(path)
    assert told.judged >= RESERVATIONS
    assert set(told.refused) == {"dataset", "project", "the"}, "a kind of cap was never reached"
    assert len(told.reserved) >= RESERVATIONS // 2

    with BudgetLedger(path) as ledger:  # opening holds the kept sums against the entries
        entries, spent = ledger.entries(), ledger.spent()
        sums: Counter[tuple[str, str, str]] = Counter()
        for each in entries:
            if each.state != "released":
                name = each.snapshot.dataset
                for scope in (
                    ("snapshot", ""),
                    ("project", each.project),
                    ("analyst", each.analyst),
                ):
                    sums[name, *scope] += each.rho
        kept = {(key[0].dataset, *key[1:]): rho for key, rho in spent.items() if rho}
        assert kept == {key: rho for key, rho in sums.items() if rho}
        caps = {
            "snapshot": CAPS.rho_snapshot,
            "project": CAPS.rho_project,
            "analyst": CAPS.rho_analyst,
        }
        assert all(rho <= caps[scope] for (_, scope, _), rho in kept.items())

        found: dict[int, list] = {}
        for each in entries:
            found.setdefault(each.number, []).append(each)
        for number, (rho, datasets, project, analyst) in told.reserved.items():
            rows = found[number]
            assert tuple(row.snapshot.dataset for row in rows) == datasets
            assert {(row.rho, row.project, row.analyst) for row in rows} == {
                (rho, project, analyst)
            }
        states = {number: rows[0].state for number, rows in found.items()}
        marks = {
            word: told.marks.get(word, set())
            for word in ("releasing", "released", "started", "committed")
        }
        given_back = {number for number, state in states.items() if state == "released"}
        assert marks["released"] <= given_back <= marks["releasing"]
        assert all(states[number] in {"started", "committed"} for number in marks["started"])
        assert all(states[number] == "committed" for number in marks["committed"])
        # What nobody was told of was under way when its process ended: it counts, and there is little of it.
        silent = set(found) - set(told.reserved)
        assert len(silent) <= kills * THREADS
        assert not silent & given_back

        fill_to_the_brim(ledger)


def fill_to_the_brim(ledger: BudgetLedger) -> None:
    """Spend what is left of one dataset to the last unit: then not one unit more."""
    whole = CAPS.rho_snapshot
    wide = PrivacyRule(rho_snapshot=whole, rho_project=whole, rho_analyst=whole)
    more = {"query_id": "last", "at": "2026-03-01T08:00:00Z"}
    rest = ledger.left(DATASETS[0], "last", "last", wide).by_snapshot
    assert rest == whole - ledger.spent()[Snapshot(DATASETS[0]), "snapshot", ""]
    with pytest.raises(DisclosureError) as caught:
        ledger.reserve(DATASETS[0], "last", "last", rest + LEAST, wide, **more)
    assert caught.value.code == "D013"
    if rest:
        ledger.reserve(DATASETS[0], "last", "last", rest, wide, **more)
    assert ledger.left(DATASETS[0], "last", "last", wide).by_snapshot == 0
    with pytest.raises(DisclosureError):
        ledger.reserve(DATASETS[0], "last", "last", LEAST, wide, **more)


if __name__ == "__main__":
    spend_until_killed(Path(sys.argv[1]), int(sys.argv[2]))
