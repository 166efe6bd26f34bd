"""Kill -9 at any instant of a platform under load: no acknowledged entry is lost, and the log verifies.

Run as a script, this file is a stem process: it imports the platform once, then forks one platform a run, which
answers questions of several analysts at once and prints each receipt only after it has the answer. The test kills the
fork at random instants, from its opening on, many times over on the same state.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

import sqlglot
from asking import ANALYST, opened
from governance_data import build

from middleplatform.audit.checkpoint import open_checkpoint
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SHA256, check_inclusion
from middleplatform.audit.proof import check_receipt
from middleplatform.demo.runtime import SystemClock, SystemRng
from middleplatform.errors import MiddleplatformError
from middleplatform.model.record import Receipt
from middleplatform.settings import Settings

KILLS = 60
ANALYSTS = 4
SEED = 9901
EXAMPLE = Path(__file__).parents[2] / "policies" / "examples" / "cases"
QUESTIONS = (
    "SELECT district, SUM(income) AS s FROM tax.taxpayers GROUP BY district",
    "SELECT diagnosis, COUNT(DISTINCT id_number) AS n FROM health.visits GROUP BY diagnosis",
    "SELECT name FROM tax.taxpayers",
    "SELECT AVG(amount) AS a FROM social.pensions WHERE district = '东城区'",
)


# --- the platform that is killed ----------------------------------------------------------------------------------


def tell(body):
    """Print one line in one write, unbuffered: what the parent reads was acknowledged."""
    os.write(1, (json.dumps(body, ensure_ascii=False) + "\n").encode())


async def analyst(gateway, run, number):
    asked = 0
    while True:
        sql = QUESTIONS[(asked + number) % len(QUESTIONS)]
        request = gateway.request(sql, ANALYST, "statistics", project=f"{run}-{number}-{asked}")
        try:
            receipt = (await gateway.submit(request)).receipt
            tell([request.query_id, receipt.index, receipt.leaf_hash, receipt.checkpoint, list(receipt.proof)])  # fmt: skip
        except MiddleplatformError as error:
            if error.code != "P001":
                raise
            tell([request.query_id, error.audit_index])
        asked += 1


def answer_until_killed(state, data, run):
    async def everybody(gateway):
        await asyncio.gather(*(analyst(gateway, run, each) for each in range(ANALYSTS)))

    with opened(state, data, EXAMPLE / "catalog", EXAMPLE, SystemClock(), SystemRng()) as platform:
        tell("open")
        asyncio.run(everybody(platform.gateway))


def stem(state, data):
    """Fork a platform for every line on standard input; tell its process number first."""
    sqlglot.transpile(
        "SELECT 1 AS n", read="postgres", write="duckdb"
    )  # loads what a first question would
    for line in sys.stdin:
        child = os.fork()
        if not child:
            answer_until_killed(state, data, int(line))
            os._exit(1)
        tell(child)
        _, status = os.waitpid(child, 0)
        tell(["ended", os.WTERMSIG(status)])


# --- the test -----------------------------------------------------------------------------------------------------


def killed_run(process, run, chance):
    """Start a platform, kill it at a random instant, and return the acknowledgements that it managed to print."""
    process.stdin.write(f"{run}\n")
    process.stdin.flush()
    child = json.loads(process.stdout.readline())
    lines = []
    wanted = chance.choice((0, 0, *range(1, 16)))
    while len([line for line in lines if line != "open"]) < wanted:
        lines.append(json.loads(process.stdout.readline()))
        assert lines[-1][0] != "ended", "the platform ended before it was killed"
    time.sleep(chance.random() * 0.05)
    os.kill(child, signal.SIGKILL)
    while lines[-1:] == [] or lines[-1][0] != "ended":
        lines.append(json.loads(process.stdout.readline()))
    assert lines.pop() == ["ended", signal.SIGKILL], "the platform ended before it was killed"
    return [line for line in lines if line != "open"]


def checked(log, acknowledged):
    """Check that every acknowledged entry is there, with the leaf that was promised and a valid proof."""
    head = open_checkpoint(log.checkpoint(), log.keys).checkpoint
    for query_id, index, *receipt in acknowledged:
        entry = log.entry(index)
        assert entry.record.body["query_id"] == query_id
        assert entry.record.event == ("released" if receipt else "refused")
        if receipt:
            check_receipt(
                entry.record, Receipt(index, receipt[0], receipt[1], tuple(receipt[2])), log.keys
            )
        proof = log.inclusion_proof(index, head.size)
        check_inclusion(SHA256, index, head.size, SHA256.leaf(entry.leaf), proof, head.root)


def test_no_acknowledged_answer_is_lost_and_the_log_verifies_after_every_kill(tmp_path):
    state, data = tmp_path / "state", tmp_path / "data"
    build(data)
    chance = random.Random(SEED)
    root = Path(sys.modules[AuditLog.__module__].__file__).parents[2]
    acknowledged = []
    checkpoint = None
    with subprocess.Popen(
        [sys.executable, __file__, str(state), str(data)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:  # fmt: skip
        for run in range(KILLS):
            latest = killed_run(process, run, chance)
            if not (state / "audit.db").exists():
                continue
            acknowledged += latest
            signer = CheckpointSigner.load_or_create(
                state / "audit.key", Settings().origin, SystemRng()
            )
            with AuditLog.open(state / "audit.db", signer, SystemClock()) as log:
                assert log.verify(against=checkpoint) == log.size
                checked(log, latest)
                checkpoint = log.checkpoint()
        with AuditLog.open(state / "audit.db", signer, SystemClock()) as log:
            checked(log, acknowledged)
            received = sum(entry.record.event == "received" for entry in log.entries())
        process.stdin.close()
    assert len(acknowledged) > KILLS
    assert len({index for _, index, *_ in acknowledged}) == len(acknowledged)
    assert received >= len(acknowledged), "every answer's question is in the log too"


if __name__ == "__main__":
    stem(Path(sys.argv[1]), Path(sys.argv[2]))
