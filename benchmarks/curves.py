"""Measure what secure sums and private joins cost over rows, groups and departments; draw it into the documentation.

Every point is real node processes over mutual TLS on this machine, the gateway in this process: the middle of a few
questions, each computed anew. ``results/curves.json`` keeps the points, ``docs/pictures/cost-curves.svg`` shows them.

Run: ``python -m benchmarks.curves [--rows-max N] [--only PANEL ...] [--missing] [--draw]``; ``--missing`` measures what
``curves.json`` lacks, ``--draw`` nothing. On a busy machine processor seconds say more than seconds.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.join_nodes import Asked, Nodes, running
from benchmarks.join_world import JOIN, TOTALS, JoinWorld, build
from benchmarks.machine import machine
from benchmarks.picture import Panel, svg

_HERE = Path(__file__).parent
POINTS = _HERE / "results" / "curves.json"
PICTURE = _HERE.parent / "docs" / "pictures" / "cost-curves.svg"

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
GROUPS = (10, 100, 1_000, 10_000)
HOLDERS = (2, 4, 9, 19)
"""Of the incomes: a join has one department more."""

_MIDDLE = 1_000_000
RUNS = 3
THREADS = 2
PLAIN, SUM, JOINED = "plain join of pooled data", "secure sum", "private join (helper)"


@dataclass(frozen=True)
class Spot:
    """Where is measured.

    Attributes:
        panel: ``"rows"``, ``"groups"`` or ``"departments"``.
        rows: Of each side.
        groups: Of residents, and kinds of incomes.
        holders: Of the incomes.
    """

    panel: str
    rows: int = _MIDDLE
    groups: int = 100
    holders: int = 2

    def across(self, curve: str) -> int:
        """Return the value on the horizontal axis."""
        if self.panel == "departments":
            return self.holders + (curve != SUM)
        return self.rows if self.panel == "rows" else self.groups


def spots(rows_max: int) -> Iterator[Spot]:
    """Return all spots, cheap ones first."""
    yield from (Spot("rows", rows=rows) for rows in ROWS if rows <= min(_MIDDLE, rows_max))
    yield from (Spot("groups", rows=min(_MIDDLE, rows_max), groups=groups) for groups in GROUPS)
    yield from (
        Spot("departments", rows=min(_MIDDLE, rows_max), holders=holders) for holders in HOLDERS
    )
    yield from (Spot("rows", rows=rows) for rows in ROWS if _MIDDLE < rows <= rows_max)


def measured(spot: Spot, folder: Path) -> list[dict[str, object]]:
    """Return the points of a spot."""
    data, state = folder / "data", folder / "state"
    data.mkdir()
    state.mkdir()
    world = build(data, spot.rows, groups=spot.groups, departments=spot.holders + 1)
    threads = THREADS if spot.holders <= 2 else 1  # as many engines as cores, and more
    memory = max(256, 4096 // spot.holders)
    with running(world, state, threads=threads, memory_mb=memory) as nodes:
        points = [_point(spot, SUM, TOTALS, nodes), _point(spot, JOINED, JOIN, nodes)]
    return [_plain(spot, world), *points]


def _point(spot: Spot, curve: str, sql: str, nodes: Nodes) -> dict[str, object]:
    nodes.ask(sql)
    nodes.forget_peaks()
    asked = [nodes.ask(sql) for _ in range(RUNS)]
    peaks = nodes.peaks_mib()
    seconds = statistics.median(each.seconds for each in asked)
    return {
        **_where(spot, curve), "seconds": round(seconds, 4), "wire_mb": round(_wire_mb(asked[-1]), 4),
        "processor_s": round(statistics.median(each.processor_s for each in asked), 4),
        "peak_mib": max(peaks.values()),
    }  # fmt: skip


def _wire_mb(asked: Asked) -> float:
    return sum(each["mb_out"] + each["mb_in"] for each in asked.calls.values())


def _plain(spot: Spot, world: JoinWorld) -> dict[str, object]:
    times, spent = [], []
    with world.pooled(JOIN, threads=THREADS, memory_mb=4096) as database:
        for _ in range(RUNS):
            before, begin = time.process_time(), time.perf_counter()
            database.sql(JOIN).to_arrow_table()
            times.append(time.perf_counter() - begin)
            spent.append(time.process_time() - before)
    return {
        **_where(spot, PLAIN), "seconds": round(statistics.median(times), 4),
        "processor_s": round(statistics.median(spent), 4),
    }  # fmt: skip


def _where(spot: Spot, curve: str) -> dict[str, object]:
    return {
        "panel": spot.panel, "curve": curve, "x": spot.across(curve), "rows": spot.rows, "groups": spot.groups,
        "holders": spot.holders,
    }  # fmt: skip


def panels(points: list[Mapping[str, object]]) -> list[Panel]:
    """Return seconds above, then processor seconds of all processes, then bytes on the wire."""
    titles = {
        "rows": ("over rows 行数", "rows of each side"),
        "groups": ("over groups 分组数", "groups"),
        "departments": ("over departments 部门数", "departments that take part"),
    }
    found = []
    rows = (
        ("seconds", "seconds 秒"),
        ("processor_s", "processor seconds 处理器秒"),
        ("wire_mb", "MB on the wire 传输量"),
    )
    for value, up in rows:
        for name, (title, across) in titles.items():
            curves: dict[str, list[tuple[float, float]]] = {}
            for each in points:
                if each["panel"] == name and value in each:
                    at = (float(each["x"]), max(float(each[value]), 1e-4))
                    curves.setdefault(str(each["curve"]), []).append(at)
            if curves:
                found.append(Panel(title, across, up, curves))
    return found


def drawing(found: Mapping) -> str:
    """Return the picture of what was measured."""
    here = found["machine"]
    most = {each["panel"]: f"{each['rows']:,}" for each in found["points"]}
    first = (
        "Over rows: 100 groups, 3 departments. "
        f"Over groups: {most.get('groups', '')} rows a side, 3 departments. "
        f"Over departments: {most.get('departments', '')} rows a side in all, 100 groups."
    )
    loads = sorted(each["load"] for each in found["points"])
    second = (
        f"Measured {found['day']} on {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, load between "
        f"{loads[0]} and {loads[-1]} at the start of points; all nodes and the gateway on this one machine, mutual TLS."
    )
    return svg(panels(found["points"]), 3, (first, second))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows-max", type=int, default=ROWS[-1])
    parser.add_argument("--only", nargs="+", choices=("rows", "groups", "departments"))
    parser.add_argument("--missing", action="store_true", help="only what is not in curves.json")
    parser.add_argument("--draw", action="store_true", help="draw results/curves.json again")
    parser.add_argument("--folder", type=Path, help="for the data; a temporary one by default")
    options = parser.parse_args()
    known = json.loads(POINTS.read_text(encoding="utf-8")) if POINTS.exists() else {"points": []}
    if not options.draw:
        chosen = options.only or ("rows", "groups", "departments")
        for spot in spots(options.rows_max):
            if spot.panel in chosen and not (options.missing and _known(known["points"], spot)):
                known = {**known, "points": _with(known["points"], spot, options.folder)}
                _keep(known)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawing(json.loads(POINTS.read_text(encoding="utf-8"))), encoding="utf-8")


def _with(
    points: list[dict[str, object]], spot: Spot, folder: Path | None
) -> list[dict[str, object]]:
    """Return the points with those of a spot measured anew."""
    load = round(os.getloadavg()[0], 2)
    print(spot, "load", load, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        found = [{**each, "load": load} for each in measured(spot, Path(made))]
    return [*(each for each in points if not _is(each, spot)), *found]


def _is(point: Mapping[str, object], spot: Spot) -> bool:
    found = tuple(map(point.get, ("panel", "rows", "groups", "holders")))
    return found == (spot.panel, spot.rows, spot.groups, spot.holders)


def _known(points: list[dict[str, object]], spot: Spot) -> bool:
    return any(_is(each, spot) for each in points)


def _keep(known: Mapping) -> None:
    day = datetime.now(UTC).date().isoformat()
    told = {"benchmark": "curves", **known, "day": day, "machine": machine()}
    POINTS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
