"""Measure history at a node: a decision beside many earlier populations, and what a thousand questions leave on disk.

A universe of 100,000 units, one row each, numbered as they come. The worst case has earlier populations all as large as
the new one, so that sizes exclude none of them; the usual case has populations of all sizes. Decisions are of one whole
population, compared, kept and synchronised to disk; reading the units from the source is not in them (see
``bench_disclosure``). Growth is that of the file, its log written back.

Run: ``python -m benchmarks.bench_history [--earlier N ...] [--units N] [--runs N] [--questions N] [--folder DIR]``;
prints one JSON object.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.machine import machine, peak_mib
from middleplatform.ledger.history import History
from middleplatform.ledger.released import BASE, Holder
from middleplatform.node.comparison import Comparison, Kept
from middleplatform.node.populations import Cells, Population
from middleplatform.node.units import UnitNumbers

LEAST = 10
HOLDER = Holder("project", "ga.population|person_id", BASE)
MOMENT = "2026-03-01T00:00:00+00:00"


def _population(chosen: np.ndarray) -> Population:
    units = np.sort(chosen).astype(np.int64)
    return Population.of(units, np.ones(len(units), dtype=np.int64))


def _decide(history: History, universe: Population, own: Population) -> None:
    with history.released.writing():
        compared = Comparison(history.released, [HOLDER], universe, LEAST)
        if compared.seen(own) or not compared.close(own):
            compared.keep(own.digest.hex(), [Kept("", own, counted=True)], MOMENT)


def _filled(history: History, universe: Population, many: Iterable[Population]) -> None:
    """Keep earlier populations without comparing them."""
    with history.released.writing():
        compared = Comparison(history.released, [HOLDER], universe, LEAST)
        for place, each in enumerate(many):
            compared.keep(f"earlier {place}", [Kept("", each, counted=True)], MOMENT)


def _ms(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begin)


def decisions(folder: Path, earlier: int, units: int, runs: int) -> dict[str, object]:
    """Return milliseconds of one decision beside so many earlier populations."""
    rng = np.random.default_rng(earlier)
    universe = _population(np.arange(units))
    sizes = {"usual": lambda: int(rng.integers(LEAST, units)), "worst": lambda: units // 3}
    found: dict[str, object] = {"earlier": earlier}
    for case, size in sizes.items():
        path = folder / f"{case}{earlier}.db"
        own = [_population(rng.choice(units, size(), replace=False)) for _ in range(runs)]
        many = (_population(rng.choice(units, size(), replace=False)) for _ in range(earlier))
        history = History(path, sets=True)
        _filled(history, universe, many)
        history.close()
        found[case] = _measured(path, universe, own)
    return found


def _measured(path: Path, universe: Population, own: Sequence[Population]) -> dict[str, object]:
    """Open a filled history and decide on populations: the first one reads the others from disk."""
    history = History(path, sets=True)
    first, *took = [_timed_decision(history, universe, each) for each in own]
    again = [_timed_decision(history, universe, each) for each in own]
    compared = Comparison(history.released, [HOLDER], universe, LEAST)
    cap = []
    for each in own:
        begin = time.perf_counter()
        compared.crossed(each, 1_000_000_000)
        cap.append(1000 * (time.perf_counter() - begin))
    history.close()
    return {
        "first_ms": round(first, 1),
        "decision_ms": round(statistics.median(took), 1),
        "longest_ms": round(max(took), 1),
        "again_ms": round(statistics.median(again), 1),
        "cap_ms": round(statistics.median(cap), 1),
        "file_mib": round(path.stat().st_size / 2**20, 1),
    }


def _timed_decision(history: History, universe: Population, own: Population) -> float:
    begin = time.perf_counter()
    _decide(history, universe, own)
    return 1000 * (time.perf_counter() - begin)


def growth(folder: Path, units: int, questions: int) -> dict[str, object]:
    """Return bytes of the file for a thousand questions of three kinds, all different, and asked once more."""
    universe = _population(np.arange(units))
    found: dict[str, object] = {"questions": questions}
    for kind, groups in {"whole": 1, "6 groups": 6, "100 groups": 100}.items():
        path = folder / f"growth{groups}.db"
        history = History(path, sets=True)
        sizes = []
        for _ in range(2):
            rng = np.random.default_rng(groups)
            for place in range(questions):
                _ask(history, universe, rng, groups, place)
            history._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes.append(path.stat().st_size)
        history.close()
        found[kind] = {
            "bytes_per_1000": round(1000 * sizes[0] / questions),
            "asked_again": round(1000 * (sizes[1] - sizes[0]) / questions),
        }
    return found


def _ask(
    history: History, universe: Population, rng: np.random.Generator, groups: int, place: int
) -> None:
    """Keep what one question about a random part of the units leaves."""
    units = np.flatnonzero(rng.random(universe.size) < rng.random()).astype(np.int64)
    cell = rng.integers(0, groups, len(units))
    order = np.lexsort((units, cell))
    cells = Cells(
        tuple(map(str, range(groups))),
        ("d0",),
        cell[order],
        units[order],
        np.ones(len(units), dtype=np.int64),
    )
    kept = [Kept("*", cells.whole)]
    if groups > 1:
        kept += [Kept(str(at), cells.at(at)) for at in range(groups) if cells.at(at).size >= LEAST]
    with history.released.writing():
        Comparison(history.released, [HOLDER], universe, LEAST).keep(f"q{place}", kept, MOMENT)


def numbers(folder: Path, count: int) -> dict[str, object]:
    """Return seconds to number so many identifiers, first, again, and after a restart, and for their record keys."""
    (folder / "units").mkdir(exist_ok=True)
    order = np.random.default_rng(1).permutation(count)
    identifiers = pa.array([f"9901011990{place:08d}" for place in order])
    units = UnitNumbers(bytes(32), folder / "units")
    first = _ms(lambda: units.numbers("d", identifiers))
    again = _ms(lambda: units.numbers("d", identifiers))
    keys = _ms(lambda: units.record_keys("d", np.arange(count)))
    fresh = UnitNumbers(bytes(32), folder / "units")
    start = _ms(lambda: fresh.numbers("d", identifiers[:1]))
    return {
        "units": count,
        "first_ms": round(first),
        "again_ms": round(again),
        "record_keys_ms": round(keys),
        "start_ms": round(start),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--earlier", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=asked.folder) as made:
        folder = Path(made)
        found = {
            "benchmark": "history",
            "units": asked.units,
            "decisions": [
                decisions(folder, each, asked.units, asked.runs) for each in asked.earlier
            ],
            "growth": growth(folder, asked.units, asked.questions),
            "numbers": numbers(folder, 10 * asked.units),
            "peak_mib": peak_mib(),
            "machine": machine(asked.folder),
        }
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
