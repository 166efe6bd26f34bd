"""Measure ``policy simulate``: audited questions of a log judged under the bundle in force and under a candidate.

Ten shapes of statements (one department, a secure sum, private joins of two and three tables, refusals), each with
other literals; each text is asked by several of two hundred analysts over thirty days, so that hardly any two questions
are the same. One core. The log is a real one: opening it recomputes all of it.

Run: ``python -m benchmarks.bench_policy [--questions N] [--texts N] [--folder DIR]``; prints one JSON object.
"""

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.machine import machine, peak_mib
from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.gateway.entries import received
from middleplatform.governance.replay import Window, asked
from middleplatform.governance.simulate import simulate
from middleplatform.governance.simulation import Simulation
from middleplatform.model.policy import Bundle
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import QueryRequest, Role, Subject
from middleplatform.policy.examples import example

TARGET_S = 60.0
BEGIN = datetime(2026, 5, 10, tzinfo=UTC)
DAYS = 30
ANALYSTS = 200
SHAPES = (
    "SELECT p.region_code, COUNT(*) AS n FROM ga.population p WHERE p.birth_year >= {year} GROUP BY p.region_code",
    (
        "SELECT visit_year, SUM(medical_cost) AS cost, AVG(outpatient_visits) AS visits FROM health.encounter_year"
        " WHERE visit_year >= {year} GROUP BY visit_year"
    ),
    (
        "SELECT p.sex, COUNT(*) FILTER (WHERE p.birth_year >= {year}) AS older,"
        " COUNT(CASE WHEN p.region_code = '990101' THEN 1 END) AS first_district FROM ga.population p GROUP BY p.sex"
    ),
    (
        "SELECT p.region_code, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS place FROM ga.population p"
        " WHERE p.birth_year <> {year} GROUP BY p.region_code ORDER BY place"
    ),
    (
        "SELECT inspect_year, COUNT(*) AS inspections, AVG(score) AS score FROM amr_county.inspection"
        " WHERE inspect_year >= {year} GROUP BY inspect_year"
    ),
    (
        "SELECT p.region_code, COUNT(*) AS n, AVG(h.medical_cost) AS cost FROM health.encounter_year h"
        " JOIN ga.population p ON p.id_number = h.id_number WHERE p.birth_year >= {year} GROUP BY 1"
    ),
    (
        "SELECT p.region_code, CASE WHEN s.copay_pct = 0 THEN '0' WHEN s.copay_pct <= 50 THEN '1-50' ELSE '>50' END"
        " AS band, COUNT(DISTINCT h.id_number) AS n FROM health.encounter_year h JOIN ss.insurance s"
        " ON h.id_number = s.id_number JOIN ga.population p ON p.id_number = h.id_number"
        " WHERE p.birth_year < {year} GROUP BY 1, 2"
    ),
    (
        "WITH a AS (SELECT region_code, COUNT(*) AS n FROM ga.population WHERE birth_year < {year} GROUP BY 1),"
        " b AS (SELECT region_code, COUNT(*) AS m FROM amr.enterprise GROUP BY 1)"
        " SELECT a.region_code, n, m FROM a JOIN b ON a.region_code = b.region_code"
    ),
    "SELECT id_number FROM ga.population WHERE birth_year = {year}",
    "SELECT MAX(income_total) FROM tax.individual_income WHERE tax_year = {year}",
)


def questions(count: int, texts: int) -> Iterator[QueryRequest]:
    """Yield questions; each text is asked by several analysts, at moments of their own."""
    step = timedelta(days=DAYS) / count
    for number in range(count):
        variant, shape = divmod(number % texts, len(SHAPES))
        department = "drc" if number % 3 else "stats"
        # 37 is prime to the number of analysts: one text comes from many.
        login = f"analyst{number * 37 % ANALYSTS:03}"
        subject = Subject(login, department, frozenset({Role.ANALYST}), _regions(number))
        sql = SHAPES[shape].replace("{year}", str(1900 + variant))
        purpose = ("statistics", "planning", "emergency")[number % 7 // 3]
        moment = BEGIN + number * step
        query_id = secrets.token_hex(16)
        yield QueryRequest(
            query_id, sql, subject, purpose, department, moment, strict=number % 13 == 0
        )


def _regions(number: int) -> tuple[str, ...]:
    return ("990101",) if number % 11 == 0 else ("*",)


def written(folder: Path, count: int, texts: int) -> tuple[Path, CheckpointSigner]:
    """Write a log of questions and of how they ended."""
    signer = CheckpointSigner.create(folder / "audit.key", "audit.example/benchmark", SystemRng())
    path = folder / "audit.db"
    with AuditLog.open(path, signer, SystemClock()) as log:
        waiting = []
        for request in questions(count, texts):
            came = received(request)
            body = {
                name: came.body[name] for name in ("query_id", "subject", "department", "purpose")
            }
            end = {
                "at": came.body["at"],
                **body,
                "policy_digest": "ab" * 32,
                "sql_run": request.sql,
            }
            waiting += [log.submit(came), log.submit(AuditRecord("released", end))]
        for each in waiting:
            each.result()
    return path, signer


def candidates(current: Bundle) -> Mapping[str, Bundle]:
    """Return two candidates: other grants and thresholds; the same and other limits, so that texts are read again."""
    rules = {
        name: replace(rule, disclosure=replace(rule.disclosure, min_units=25))
        for name, rule in current.datasets.items()
    }
    middle = BEGIN + timedelta(days=DAYS / 2)
    later = [
        replace(each, starts=middle, purposes=each.purposes | {"emergency"})
        for each in current.grants
        if each.ends > middle
    ]
    one = replace(current, datasets=rules, grants=tuple(later), digest="c1" * 32)
    limits = replace(current.limits, group_columns_max=1)
    return {"same limits": one, "other limits": replace(one, limits=limits, digest="c2" * 32)}


def _seconds(begin: float) -> float:
    return round(time.perf_counter() - begin, 2)


def measured(folder: Path, count: int, texts: int) -> dict[str, object]:
    """Return seconds of each step."""
    catalog = catalogs.load(example("demo") / "catalog")
    current = policies.load(example("demo"), catalog)
    path, signer = written(folder, count, texts)
    found: dict[str, object] = {"questions": count, "texts": texts, "target_s": TARGET_S}
    begin = time.perf_counter()
    with ReadOnlyLog.open(path, (signer.key,), SystemClock()) as log:
        found["open_s"] = _seconds(begin)
        begin = time.perf_counter()
        listed = asked(log.entries(), Window(BEGIN, BEGIN + timedelta(days=DAYS + 1)))
        found["read_s"] = _seconds(begin)
    runs = {}
    for name, candidate in candidates(current).items():
        begin = time.perf_counter()
        told = simulate(candidate, current, catalog, listed)
        runs[name] = {"seconds": _seconds(begin), **_kinds(told)}
    return {**found, "simulate": runs, "peak_mib": peak_mib()}


def _kinds(told: Simulation) -> dict[str, int]:
    return {
        "judged": len(told.outcomes), "allow_to_deny": len(told.allow_to_deny),
        "deny_to_allow": len(told.deny_to_allow), "changed": len(told.changes),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure policy simulations.")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument(
        "--folder", type=Path, help="where to write; a temporary folder unless said"
    )
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        found = measured(Path(name), options.questions, options.texts)
    print(json.dumps({**found, "machine": machine(options.folder)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
