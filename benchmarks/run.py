"""Run every benchmark and write ``results/latest.json`` and ``results/latest.md``.

Run: ``python -m benchmarks.run [--quick] [--folder DIR] [--only PART ...]``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import QUIET_LOAD, machine, wait_until_quiet

_RESULTS = Path(__file__).parent / "results"


def _printed(module: str, *options: str) -> str:
    """Run a benchmark in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _object(module: str, *options: str) -> Mapping[str, object]:
    """Return the one JSON object that a benchmark prints, without the machine, told once elsewhere."""
    return _bare(json.loads(_printed(module, *options)))


def _lines(module: str, *options: str) -> list[Mapping[str, object]]:
    """Return the JSON objects that a benchmark prints, one a line."""
    found = [json.loads(line) for line in _printed(module, *options).splitlines()]
    return [_bare(line) for line in found if line["benchmark"] != "machine"]


def _bare(found: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in found.items() if name != "machine"}


def _told(name: str, quiet_s: float) -> float:
    load = wait_until_quiet(quiet_s)
    note = "" if load < QUIET_LOAD else " (not quiet)"
    print(f"{name}: load {load}{note}", file=sys.stderr, flush=True)
    return load


@dataclass(frozen=True)
class How:
    """What the parts are told: ``quick`` takes fewer questions and a tenth of the rows."""

    quick: bool
    folder: Path | None

    def pick(self, quick: Sequence[str], whole: Sequence[str]) -> list[str]:
        return list(quick if self.quick else whole)

    @property
    def where(self) -> list[str]:
        return [] if self.folder is None else ["--folder", str(self.folder)]


PARTS: Mapping[str, Callable[[How], object]] = {
    "control_plane": lambda how: _object(
        "bench_control_plane", "--queries", *how.pick(["40"], ["320"])
    ),
    "governed_aggregate": lambda how: _object(
        "bench_governed_aggregate",
        *how.pick(["--rows", "1000000", "--runs", "3"], ["--rows", "10000000", "--runs", "7"]),
        *how.where,
    ),
    "postgres": lambda how: _object(
        "bench_postgres", *how.pick(["--rows", "200000", "--runs", "2"], [])
    ),
    "node": lambda how: _object("bench_node", "--calls", *how.pick(["60"], ["400"])),
    "hundred_departments": lambda how: _object(
        "bench_hundred_departments", *how.pick(["--departments", "12", "--sums", "2"], [])
    ),
    "audit": lambda how: _lines(
        "bench_audit", "--entries", *how.pick(["10000"], ["100000"]), *how.where
    ),
    "secure_sum": lambda _: _lines("bench_secure_sum"),
    "join": lambda how: _object(
        "bench_join", *how.pick(["--quick"], ["--large", "--peers"]), *how.where
    ),
    "sealed": lambda how: _object("bench_sealed", *how.pick(["1000"], [])),
    "blinded": lambda how: _object("bench_blinded", *how.pick(["5000"], [])),
    "perturb": lambda how: _object(
        "bench_disclosure",
        *how.pick(["--rows", "100000", "--units", "24500", "--runs", "3"], []),
        *how.where,
    ),
    "history": lambda how: _object(
        "bench_history",
        *how.pick(["--earlier", "1000", "--questions", "100", "--runs", "5"], []),
        *how.where,
    ),
    "privacy": lambda how: _object(
        "bench_privacy", *how.pick(["--rows", "100000", "--runs", "2", "--no-peer"], [])
    ),
    "policy": lambda how: _object(
        "bench_policy", *how.pick(["--questions", "1000", "--texts", "200"], []), *how.where
    ),
}
"""Every part, in order, with what measures it."""


def measure(how: How, name: str, known: Mapping) -> Mapping[str, object]:
    """Measure a part; the others stay as they are in ``known``."""
    load = _told(name, 0 if how.quick else 180)
    part = PARTS[name](how)
    loads = {**known.get("loads", {}), name: load}
    quick = {*known.get("quick_parts", ())} - {name} | ({name} if how.quick else set())
    return {
        **known,
        name: part,
        "quick": bool(quick),
        "quick_parts": sorted(quick),
        "machine": machine(how.folder),
        "quiet": all(load < QUIET_LOAD for load in loads.values()),
        "loads": loads,
        "days": {**known.get("days", {}), name: datetime.now(UTC).date().isoformat()},
    }


# --- Markdown -----------------------------------------------------------------------------------


def markdown(found: Mapping) -> str:
    """Return the figures as Markdown tables, ready for the README."""
    return "\n".join([*_about(found), "", *_control(found["control_plane"]), "",
                      *_governed(found["governed_aggregate"]), "", *_postgres(found["postgres"]), "",
                      *_node(found["node"]), *_hundred(found["hundred_departments"]), "",
                      *_join(found.get("join", {"sizes": ()})), "",
                      *_sealed(found.get("sealed")), *_blinded(found.get("blinded")),
                      *_perturb(found.get("perturb")), *_history(found.get("history")),
                      *_privacy(found.get("privacy")), *_policy(found.get("policy")),
                      *_parts(found), ""])  # fmt: skip


def _about(found: Mapping) -> Iterator[str]:
    here = found["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in here["libraries"].items())
    yield (
        f"Measured on {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['system']}, "
        f"Python {here['python']}, {libraries}; a durable 4 kB takes {here['fsync_4k_p50_ms']} ms (p50)."
    )
    if not found["quiet"]:
        loads = ", ".join(f"{name} {load}" for name, load in found["loads"].items())
        yield f"**The machine was not quiet** (load at the start of each part: {loads}): read times as upper bounds."
    older = sorted({day for name, day in found.get("days", {}).items() if name in PARTS})
    if len(older) > 1:
        days = ", ".join(f"{name} {day}" for name, day in found["days"].items())
        yield f"Not all of one day: {days}."
    if found["quick"]:
        yield "**A quick run**: few questions and a tenth of the rows; not for the README."


def _control(found: Mapping) -> Iterator[str]:
    yield "| Control plane (all but the departments' SQL, log entries included) | p50 ms | p95 ms | p99 ms |"
    yield "|---|--:|--:|--:|"
    yield _row(
        "**local, one client** (target p50 15)", found["local_single_client"]["control_plane_ms"]
    )
    for shape, cuts in found["by_shape"].items():
        yield _row(f"— {shape}", cuts)
    yield _row(
        "secure sum, six departments", found["secure_sum_six_departments"]["control_plane_ms"]
    )
    together = found["local_concurrent"]
    title = f"whole answer, {together['clients']} clients, {together['questions_per_second']} questions/s"
    yield _row(title, together["total_ms"])
    stages = found["local_single_client"]["stages_p50_ms"]
    yield ""
    yield (
        "Stages, p50 ms: "
        + ", ".join(f"{name} {value}" for name, value in stages.items())
        + (" (dispatch includes the departments' SQL).")
    )


def _row(title: str, cuts: Mapping) -> str:
    return f"| {title} | {cuts['p50']} | {cuts['p95']} | {cuts['p99']} |"


def _governed(found: Mapping) -> Iterator[str]:
    yield (
        f"| Aggregate over {found['rows']:,} rows, {found['units']:,} units | history | raw s | governed s "
        "| ratio (target 1.5) | raw MiB | governed MiB |"
    )
    yield "|---|---|--:|--:|--:|--:|--:|"
    for query, modes in found["queries"].items():
        for mode, figures in modes.items():
            peak = figures["peak_mib"]
            yield (
                f"| {query} | {mode.removeprefix('history_').replace('_', ' ')} | {figures['raw_s']} "
                f"| {figures['governed_s']} | {figures['ratio']} | {peak['raw']} | {peak['governed']} |"
            )
    yield ""
    yield "| One project's questions in order, each held against all before it | s | ended | MiB |"
    yield "|---|--:|---|--:|"
    for told in found["history"]["one_project_in_order"]:
        yield f"| {told['question']} | {told['seconds']} | {told['code'] or 'answered'} | {told['peak_mib']} |"


def _postgres(found: Mapping) -> Iterator[str]:
    yield (
        f"| PostgreSQL {found['server']}, {found['rows']:,} rows, one machine | evidence pushed down, s "
        "| rows read out into DuckDB, s | read out ÷ pushed | plain, s | KiB out, pushed | MiB out, read out |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for query, figures in found["queries"].items():
        yield (
            f"| {query} | {figures['pushed_s']} | {figures['read_out_s']} | {figures['ratio']} | {figures['plain_s']} "
            f"| {figures['pushed_kib']} | {figures['read_out_mib']} |"
        )


def _node(found: Mapping) -> Iterator[str]:
    calls, large = found["round_trip"], found["throughput"]
    small, anew = calls["small fragment"], calls["small fragment, nothing remembered"]
    yield "| Node behind mutual TLS, loopback | p50 | p95 |"
    yield "|---|--:|--:|"
    yield f"| empty call, ms | {calls['status']['p50_ms']} | {calls['status']['p95_ms']} |"
    yield (
        f"| **small fragment** asked again: all checks and two durable records, ms (target p50 "
        f"{small['target_p50_ms']:g}) | {small['p50_ms']} | {small['p95_ms']} |"
    )
    yield (
        f"| the same with nothing remembered: engine, disclosure and history each time, ms "
        f"| {anew['p50_ms']} | {anew['p95_ms']} |"
    )
    yield f"| result of {large['result_mb']} MB as Arrow, MB/s | {large['mb_per_s_p50']} | |"


def _hundred(found: Mapping) -> Iterator[str]:
    target = f"target {found['target_s']:g}"
    for question in ("counts", "sums, with dominance judged"):
        told = found[question]
        slowest = max(told["all_s"])
        yield (
            f"| one secure sum over {found['departments']} departments, {found['cores']} cores in all, {question}, s "
            f"({target}) | {told['p50_s']} | {slowest} (slowest of {len(told['all_s'])}) |"
        )


def _join(found: Mapping) -> Iterator[str]:
    if not found["sizes"]:
        return
    yield (
        "| Private join of two departments over TLS, COUNT, SUM and AVG by group, rows a side "
        "| plain join of pooled data, s | private, s | ratio (target) | MiB: gateway, departments |"
    )
    yield "|---|--:|--:|--:|--:|"
    for each in found["sizes"]:
        peak = dict(each["peak_mib"])
        peak.pop("plain")
        target = f" ({each['target_ratio']:g})" if "target_ratio" in each else ""
        memory = ", ".join(str(value) for value in peak.values())
        yield (
            f"| {each['rows']:,} | {each['plain_s']} | {each['private_s']} | {each['ratio']}{target} | {memory} |"
        )
    for peer in found.get("peers", []):
        if "times_faster" in peer:
            yield (
                f"| {peer['rows']:,}: {peer['peer']} {peer['version']}, matching alone | | {peer['seconds']} "
                f"| the join is {peer['times_faster']} times faster ({peer['target']:g}) | {peer['peak_mib']} |"
            )


def _sealed(found: Mapping | None) -> Iterator[str]:
    if found is None:
        return
    yield (
        f"| Sealed sum: {found['groups']:,} groups, {found['departments']} departments, {found['bits']} bits, times "
        "plain phe per 64-bit cell | times | target |"
    )
    yield "|---|--:|--:|"
    for step, times in found["times_plain_phe_grade_b"].items():
        yield f"| {step} | {times} | {found['targets'].get(step, '')} |"
    yield ""


def _blinded(found: Mapping | None) -> Iterator[str]:
    if found is None:
        return
    peer = found["times_faster_than_openmined_psi"]
    yield f"| Blinded tokens, {found['rows_a_side']:,} rows a side | seconds | times curve alone (target 1.5) |"
    yield "|---|--:|--:|"
    for name, title in (("all_cores", "all cores"), ("one_core", "one core")):
        yield f"| {title} | {found[name]['seconds']} | {found[name]['times_curve_alone']} |"
    if peer:
        yield f"| openmined-psi, same run | {found['openmined_psi']['seconds']} | {peer} times slower |"
    yield ""


def _perturb(found: Mapping | None) -> Iterator[str]:
    if found is None:
        return
    yield (
        f"| Tier S over {found['rows']:,} rows, {found['units']:,} units | evidence s | cell keys s | decision s "
        f"| whole s (target {found['target_s']}) | processor s | plain SQL s |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|"
    steps = ("evidence", "cell_keys", "decision", "whole", "processor", "plain_s")
    for question, told in found["questions"].items():
        figures = (told[name] for name in steps)
        yield f"| {question} | {' | '.join(map(str, figures))} |"
    yield ""


def _history(found: Mapping | None) -> Iterator[str]:
    if found is None:
        return
    yield (
        f"| History, {found['units']:,} units | decision ms, usual | worst | first after start, worst "
        "| the same again | cap ms, usual |"
    )
    yield "|---|--:|--:|--:|--:|--:|"
    for told in found["decisions"]:
        usual, worst = told["usual"], told["worst"]
        yield (
            f"| {told['earlier']:,} earlier populations | {usual['decision_ms']} | {worst['decision_ms']} "
            f"| {worst['first_ms']} | {usual['again_ms']} | {usual['cap_ms']} |"
        )
    growth = {name: told for name, told in found["growth"].items() if name != "questions"}
    figures = ", ".join(
        f"{name}: {told['bytes_per_1000'] / 1e6:.1f} MB" for name, told in growth.items()
    )
    yield f"| 1,000 different questions on disk | {figures} | | | | |"
    yield ""


def _privacy(found: Mapping | None) -> Iterator[str]:
    if found is None:
        return
    targets = found["targets"]
    yield (
        f"| Tier D, epsilon {found['epsilon']}, {found['rows']:,} rows, {found['units']:,} units "
        f"| COUNT error (target {targets['count']:.1%}) | SUM ({targets['sum']:.1%}) | AVG ({targets['avg']:.1%}) "
        f"| s over plain SQL (target {targets['seconds_over_plain']}) |"
    )
    yield "|---|--:|--:|--:|--:|"
    for name in ("middleplatform", "smartnoise"):
        told = found.get(name, {})
        if "mean_relative_error" in told:
            found_errors = told["mean_relative_error"]
            errors = " | ".join(f"{found_errors[each]:.2%}" for each in ("count", "sum", "avg"))
            yield f"| {name} | {errors} | {told.get('seconds_over_plain', told.get('seconds', ''))} |"
    yield ""


def _policy(found: Mapping | None) -> Iterator[str]:
    if found is None:
        return
    yield (
        f"| `policy simulate`, {found['questions']:,} audited questions of {found['texts']:,} texts, one core "
        f"| seconds (target {found['target_s']:g}) | verdicts that change |"
    )
    yield "|---|--:|--:|"
    yield f"| opening the log, reading the questions | {found['open_s']} + {found['read_s']} | |"
    for name, told in found["simulate"].items():
        yield f"| candidate with {name} | {told['seconds']} | {told['changed']:,} |"
    yield ""


def _parts(found: Mapping) -> Iterator[str]:
    yield "| Part | figure |"
    yield "|---|---|"
    for line in found["audit"] + found["secure_sum"]:
        figures = ", ".join(
            f"{name} {value}" for name, value in line.items() if name != "benchmark"
        )
        yield f"| {line['benchmark']} | {figures} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run every benchmark.")
    parser.add_argument(
        "--quick", action="store_true", help="two minutes instead of a quarter of an hour"
    )
    parser.add_argument("--folder", type=Path, help="keep the ten million rows here")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, metavar="PART",
        help=f"measure these again and keep the rest of latest.json: {', '.join(PARTS)}",
    )  # fmt: skip
    options = parser.parse_args()
    latest = _RESULTS / "latest.json"
    found = json.loads(latest.read_text(encoding="utf-8")) if options.only else {}
    _RESULTS.mkdir(exist_ok=True)
    for name in options.only or PARTS:
        found = measure(How(options.quick, options.folder), name, found)
        # After each part: one that fails takes none of the others with it.
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        latest.write_text(text, encoding="utf-8")
    (_RESULTS / "latest.md").write_text("# Latest results\n\n" + markdown(found), encoding="utf-8")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
