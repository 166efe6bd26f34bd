"""The node of the throughput benchmark: the real server around one made table. Used by ``bench_node``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import SimpleNamespace

from benchmarks.bench_node import big_table
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.enrolment import quick
from middleplatform.enrolment.trust import Trust
from middleplatform.model.result import PartialResult
from middleplatform.node.config import NodeConfig
from middleplatform.node.journal import Journal
from middleplatform.node.server.run import serve
from middleplatform.wire.tables import digest_of, encode_table


@dataclass
class BigNode:
    """Answers everything with one table; it encodes anew each time, as a node does."""

    department: str
    journal: Journal
    clock: SystemClock
    rng: SystemRng
    rows: int

    def __post_init__(self) -> None:
        self.table = big_table(self.rows)
        self.bundle = self.catalog = SimpleNamespace(digest="0" * 64)

    def answer(self, raw: bytes, signature: bytes, stop: Event | None = None) -> PartialResult:
        del raw, signature, stop
        payload = encode_table(self.table)
        return PartialResult("ga", self.table, "none", digest_of(payload), payload)


def main() -> None:
    root, port, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    clock, rng = SystemClock(), SystemRng()
    trust = Trust.open(quick.node_trust(root, "ga"), "ga", clock)
    state = quick.node_state(root, "ga")
    journal = Journal.open(state, "ga", trust.platform, clock, rng)
    opened = SimpleNamespace(
        node=BigNode("ga", journal, clock, rng, rows), rounds=(), joins=None, registered={}
    )
    config = NodeConfig("ga", state, state, state, listen=f"127.0.0.1:{port}", lifeline=True)
    serve(config, trust, opened, lambda address: print(address, flush=True))
    journal.close()


if __name__ == "__main__":
    main()
