"""Measure the audit log: durable appends, their latency, and the self-check on opening.

Run: ``python benchmarks/bench_audit.py [--folder DIR] [--entries N]``. Prints one JSON object a
line; the first names the machine. The folder must lie on the disk to be measured, not in memory.
"""

import argparse
import json
import os
import platform
import resource
import secrets
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from middleplatform.audit import verify
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.search import ReleaseQuery
from middleplatform.model.record import AuditRecord

SQL = (
    "SELECT district, count(*) AS persons FROM ga.population WHERE age BETWEEN 60 AND 79 "
    "GROUP BY district ORDER BY persons DESC"
)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemRng:
    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def record(number: int) -> AuditRecord:
    """An entry of usual size: about 1 kB."""
    body = {
        "at": "2026-03-01T08:00:00Z", "query_id": f"{number:032x}", "subject": "lin",
        "department": "drc",
        "recipient": "drc", "purpose": "policy_research", "project": "aging-2026",
        "grants": ["G-2026-001"],
        "policy_digest": "ab" * 32, "sql": SQL, "rewritten": SQL,
        "fragments": [{"department": "ga", "digest": "cd" * 32, "receipt": "ef" * 64}],
        "decision": "permit", "rules": ["R5"], "cells_released": 6, "cells_withheld": 1,
        "datasets": ["ga.population"], "columns": ["ga.population.age", "ga.population.district"],
        "result_digest": "01" * 32, "trace_id": f"{number:016x}",
    }  # fmt: skip
    return AuditRecord("released", body)


def emit(name: str, **figures: object) -> None:
    print(json.dumps({"benchmark": name, **figures}), flush=True)


def machine(folder: Path) -> None:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    system = max(
        (row for row in mounts if str(folder).startswith(row[1])), key=lambda row: len(row[1])
    )[2]
    emit(
        "machine",
        cpu=model,
        cores=os.cpu_count(),
        python=platform.python_version(),
        file_system=system,
    )


def bare_fsync(folder: Path, rounds: int = 200) -> None:
    """What the disk alone takes for a durable 4 kB: the floor for one writer."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(rounds):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    emit("bare fsync", p50_ms=round(1000 * statistics.median(times), 3))


def appends(folder: Path, signer: CheckpointSigner, writers: int, each: int) -> None:
    times: list[float] = []
    with AuditLog.open(folder / f"writers{writers}.sqlite", signer, SystemClock()) as log:

        def work(writer: int) -> None:
            mine = []
            for number in range(each):
                entry = record(writer * each + number)
                begin = time.perf_counter()
                log.append(entry)
                mine.append(time.perf_counter() - begin)
            times.extend(mine)

        threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - begin
    cuts = statistics.quantiles(times, n=100)
    emit(
        "durable appends", writers=writers, entries=len(times),
        per_second=round(len(times) / elapsed),
        p50_ms=round(1000 * cuts[49], 3), p99_ms=round(1000 * cuts[98], 3),
    )  # fmt: skip


def whole_log(folder: Path, signer: CheckpointSigner, entries: int) -> None:
    path = folder / "whole.sqlite"
    with AuditLog.open(path, signer, SystemClock()) as log:
        begin = time.perf_counter()
        for future in [log.submit(record(number)) for number in range(min(entries, 60_000))]:
            future.result()
        for future in [log.submit(record(number)) for number in range(60_000, entries)]:
            future.result()
        emit(
            "queued appends",
            entries=entries,
            per_second=round(entries / (time.perf_counter() - begin)),
        )
    begin = time.perf_counter()
    log = AuditLog.open(path, signer, SystemClock())
    emit(
        "open with self-check",
        entries=entries,
        seconds=round(time.perf_counter() - begin, 3),
        mib=path.stat().st_size >> 20,
    )
    begin = time.perf_counter()
    log.export(folder / "export.jsonl")
    emit("export", entries=entries, seconds=round(time.perf_counter() - begin, 3))
    begin = time.perf_counter()
    verify.verify(folder / "export.jsonl", verify.read_keys(signer.key.text()))
    emit("verify.py", entries=entries, seconds=round(time.perf_counter() - begin, 3))
    begin = time.perf_counter()
    found = sum(1 for _ in log.releases(ReleaseQuery(column="ga.population.age")))
    emit(
        "who got what", entries=entries, found=found, seconds=round(time.perf_counter() - begin, 3)
    )
    begin = time.perf_counter()
    asked = range(0, entries, max(entries // 1000, 1))
    for index in asked:
        log.inclusion_proof(index, entries)
    each_ms = 1000 * (time.perf_counter() - begin) / len(asked)
    emit("inclusion proof", entries=entries, each_ms=round(each_ms, 3))
    log.close()
    emit("memory", peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the audit log.")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to write; default: a temporary folder"
    )
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        machine(folder)
        bare_fsync(folder)
        signer = CheckpointSigner.create(folder / "log.key", "audit.example/benchmark", SystemRng())
        appends(folder, signer, 1, 1000)
        appends(folder, signer, 64, 300)
        whole_log(folder, signer, options.entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
