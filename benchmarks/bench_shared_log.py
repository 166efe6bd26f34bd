"""What a log in PostgreSQL takes, one gateway and two, beside one in a file: ``python benchmarks/bench_shared_log.py``.

The server is a throw-away one with ``fsync`` off: what a disk adds is measured by ``bench_audit.py``.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from postgres_server import running_server

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.governance.shared import open_log
from middleplatform.model.record import AuditRecord
from middleplatform.settings import Settings


def record(number):
    body = {"at": "2026-01-01T00:00:00Z", "query_id": f"{number:032x}", "sql": "x" * 600}
    return AuditRecord("released", body)


def appends(name, logs, writers, each):
    """Let ``writers`` threads of each log append ``each`` entries, one after the other."""
    times = []

    def work(log, writer):
        for number in range(each):
            begin = time.perf_counter()
            log.append(record(writer * each + number))
            times.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=work, args=(log, n)) for log in logs for n in range(writers)]
    begin = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    elapsed = time.perf_counter() - begin
    cuts = statistics.quantiles(times, n=100)
    told = {
        "log": name, "gateways": len(logs), "writers": writers, "entries": len(times),
        "per_second": round(len(times) / elapsed), "p50_ms": round(1000 * cuts[49], 2),
        "p99_ms": round(1000 * cuts[98], 2),
    }  # fmt: skip
    print(json.dumps(told), flush=True)


def main():
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        server = held.enter_context(running_server())
        server.run("CREATE ROLE platform LOGIN", "CREATE DATABASE platform OWNER platform")
        url = f"postgresql+pg8000://platform@127.0.0.1:{server.port}/platform"
        settings = Settings(state=folder / "state", store=url)
        shared = [
            held.enter_context(open_log(settings, SystemClock(), SystemRng(), serving=True)[0])
            for _ in range(2)
        ]
        signer = CheckpointSigner.load(folder / "state" / "audit.key")
        file = held.enter_context(AuditLog.open(folder / "file.db", signer, SystemClock()))
        for writers, each in ((1, 500), (8, 200), (64, 50)):
            appends("file", [file], writers, each)
            appends("shared", shared[:1], writers, each)
            appends("shared", shared, writers, each)
        begin = time.perf_counter()
        size = shared[0].verify()
        print(json.dumps({"verify": size, "seconds": round(time.perf_counter() - begin, 2)}))


if __name__ == "__main__":
    main()
