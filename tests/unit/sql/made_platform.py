"""A whole platform of made departments in one process, every part replaceable by a fake."""

import hashlib
import itertools
from dataclasses import replace

import made_world as made

from connectors.duckdb import DuckDBConnector
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.dispatch.link import InProcessLink
from middleplatform.gateway import Gateway
from middleplatform.ledger.history import History
from middleplatform.model.plan import Fragment
from middleplatform.node.journal import Journal
from middleplatform.node.measure import Source
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.served import ServedFragments
from middleplatform.node.service import GATEWAY, Node

HOLDERS = ("ga", "c1", "c2", "c3")
CITY = ("c1", "c2", "c3")
REGIONS = {"c1": "990101", "c2": "990102", "c3": "990103"}


class StillClock:
    def __init__(self):
        self.moment = made.NOW

    def now(self):
        return self.moment


class SeededRng:
    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def token_bytes(self, count):
        self.count += 1
        return hashlib.shake_256(f"{self.seed}/{self.count}".encode()).digest(count)


def part_of(rows, department):
    """Return the rows that one holder of the city's tables has."""
    region = REGIONS[department]
    firms = [row for row in rows["firm"] if row[1] == region]
    codes = {row[0] for row in firms}
    return {**rows, "firm": firms, "visit": [row for row in rows["visit"] if row[0] in codes]}


class Platform:
    """Nodes, dispatcher and gateway over made rows; ``links`` may be replaced before the first question."""

    def __init__(self, folder, bundle=made.BUNDLE, rows=None, queries_max=8):
        self.rows, self.bundle, self.clock = rows or made.make_rows(), bundle, StillClock()
        self.keys = {name: IdentityKey.generate(SeededRng(name)) for name in (GATEWAY, *HOLDERS)}
        self.pins = PinnedKeys({name: key.public_key for name, key in self.keys.items()})
        self.nodes, self.connectors, self.numbers = {}, [], itertools.count()
        for name in HOLDERS:
            held = self.rows if name == "ga" else part_of(self.rows, name)
            tables = ("person", "income", "参保") if name == "ga" else ("firm", "visit")
            path = made.write_database(folder / f"{name}.duckdb", held, tables)
            connector = DuckDBConnector(path, threads=1, memory_mb=256)
            self.connectors.append(connector)
            self.nodes[name] = Node(
                name, Source(name, connector, made.EXECUTION), made.CATALOG, bundle, self.keys[name], self.pins, History(None),
                MemoryUsedRounds(), ServedFragments(None, self.clock), Journal.open(folder / f"{name}.node", name, "made.example", self.clock, SeededRng(f"log {name}")),
                self.clock, SeededRng(f"rng {name}"),
            )  # fmt: skip
        self.rounds = {name: SecureRounds(node) for name, node in self.nodes.items()}
        self.links = {name: InProcessLink(node, self.rounds[name], 30) for name, node in self.nodes.items()}  # fmt: skip
        self.dispatcher = Dispatcher(self.links, self.keys[GATEWAY], self.pins)
        signer = CheckpointSigner.create(folder / "log.key", "audit.example/made", SeededRng("log"))
        self.audit = AuditLog.open(folder / "audit.db", signer, self.clock)
        self.gateway = Gateway(
            made.CATALOG, bundle, self.audit, self.dispatcher, History(None), self.clock, SeededRng("ids"), queries_max
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connector in self.connectors:
            connector.close()
        for node in self.nodes.values():
            node.served.close()
            node.journal.close()
        self.gateway.close()
        self.audit.close()

    def use_link(self, link):
        """Put ``link`` in the place of its department's."""
        self.gateway.dispatcher = Dispatcher(
            {**self.links, link.department: link}, self.keys[GATEWAY], self.pins
        )

    def request(self, sql, subject=made.ANALYST, purpose="statistics", **asked):
        return self.gateway.request(sql, subject, purpose, **asked)

    def ask(self, sql, **asked):
        return made.wait(self.gateway.submit(self.request(sql, **asked)))

    def fragment(self, sql, department="ga", protocol="local", cohort=None, **changes):
        """Return a fragment as the gateway would issue it."""
        values = {
            "query_id": f"q{next(self.numbers)}", "attempt": 1, "number": 0, "department": department, "protocol": protocol,
            "cohort": cohort or ((department,) if protocol == "local" else CITY), "sql": sql, "subject": made.ANALYST, "purpose": "statistics",
            "project": "drc", "policy_digest": self.bundle.digest, "issued_at": made.NOW.isoformat(),
        }  # fmt: skip
        return Fragment(**{**values, **changes})

    def signed(self, fragment, key=GATEWAY, raw=None):
        """Return a fragment's bytes and a signature over them."""
        raw = fragment.to_bytes() if raw is None else raw
        return raw, self.keys[key].sign("fragment", raw)

    def entries(self):
        """Return the log's entries: (event, body)."""
        return [(entry.record.event, entry.record.body) for entry in self.audit.entries()]


def with_parameters(bundle=made.BUNDLE, **changes):
    """Return ``bundle`` with changed disclosure parameters everywhere."""
    datasets = {
        name: replace(rule, disclosure=replace(rule.disclosure, **changes))
        for name, rule in bundle.datasets.items()
    }
    return replace(bundle, datasets=datasets)


def complete_rows(seed=7):
    """Return rows without missing measures, so that no complement of missing ones is small."""
    rows = made.make_rows(seed)
    rows["person"] = [(*row[:8], 10 if row[8] is None else row[8], row[9]) for row in rows["person"]]  # fmt: skip
    rows["firm"] = [(*row[:3], row[3] or 1, 5 if row[4] is None else row[4], row[5]) for row in rows["firm"]]  # fmt: skip
    return rows
