"""Private joins through signed messages, as between machines: the same answers, and every refusal as a code."""

import asyncio
from types import SimpleNamespace

import made_join
import made_world as made
import pytest
from made_platform import SeededRng

from middleplatform.dispatch.link import InProcessLink
from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.errors import MiddleplatformError, SourceError
from middleplatform.node.server.app import NodeApp
from middleplatform.node.server.calls import Served
from middleplatform.node.server.gate import Gate
from middleplatform.node.server.metrics import Metrics
from middleplatform.node.service import GATEWAY, KEY_HOLDER

SUM = "SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region"  # fmt: skip
PARTS = "SELECT f.section AS d0, COUNT(*) AS n, SUM(f.staff) AS a0 FROM pub.place p JOIN city.firm f ON p.code = f.code GROUP BY f.section"  # fmt: skip


class Straight:
    """Carries messages to the nodes' applications without a network."""

    def __init__(self, apps):
        self.apps, self.sizes = apps, []

    async def call(self, department, name, body, timeout_s):
        sent, waiting = [], [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return waiting.pop() if waiting else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": f"/v1/{name}", "state": {},
            "headers": [(b"content-length", str(len(body)).encode())],
        }  # fmt: skip
        await asyncio.wait_for(self.apps[department](scope, receive, send), timeout_s)
        if sent[0]["status"] != 200:
            raise SourceError("S001", department=department)
        reply = b"".join(message.get("body", b"") for message in sent)
        self.sizes.append((name, len(body), len(reply)))
        return reply

    def close(self):
        pass


class Wired:
    """A party's rounds, reached by messages; each call waits for its reply."""

    def __init__(self, run, link):
        self._run, self._link = run, link

    def __getattr__(self, name):
        return lambda *asked: self._run(getattr(self._link, name)(*asked))

    def __len__(self):
        return 0


class Applications:
    """Parties, each behind its application."""

    def __init__(self, folder, join="helper"):
        self.parties = made_join.Parties(folder, made_join.bundle(join))
        self.runner, self.gates, apps = asyncio.Runner(), [], {}
        for name, node in self.parties.nodes.items():
            self.gates.append(Gate(name, 2, 2, 30))
            served = Served(
                node, SimpleNamespace(drop=lambda _: None), dict, None, self.parties.rounds[name]
            )
            door = SimpleNamespace(
                identity=node.identity, pins=node.pins, check_peer=lambda *_: None
            )
            apps[name] = NodeApp(served, door, self.gates[-1], node.clock, 300, 1, Metrics())
        self.transport = Straight(apps)
        caller = Caller(
            self.transport, self.parties.keys[GATEWAY], self.parties.pins, self.parties.clock, SeededRng("nonces"), 30
        )  # fmt: skip
        self.rounds = {
            name: Wired(self.runner.run, WireLink(name, caller)) for name in self.parties.nodes
        }

    def __enter__(self):
        self.parties.__enter__()
        return self

    def __exit__(self, *_):
        for gate in self.gates:
            gate.close()
        self.runner.close()
        self.parties.__exit__()

    def join(self, sql, **changes):
        """Return a join whose calls travel as messages."""
        join = self.parties.join(sql, **changes)
        join.rounds = {name: self.rounds[name] for name in join.cohort}
        return join


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with Applications(tmp_path_factory.mktemp("machines")) as opened:
        yield opened


@pytest.mark.parametrize("sql", [SUM, PARTS])
def test_over_the_wire_answers_are_the_pooled_ones(machines, tmp_path, sql):
    join = machines.join(sql).ready()
    cells = join.cells()
    totals = join.totals(cells)
    labels, receipts = join.labels(cells)
    scale = join.layout.sums[0].scale
    found = sorted((*labels[key], len(cells[key]), totals[key]["sum_0"]) for key in cells)
    with made.World(tmp_path, machines.parties.rows) as pooled:
        plain = sorted(
            (*row[:2], int(row[2].scaleb(scale) if scale else row[2]))
            for row in pooled.plain(sql)
            if row[1] >= 10
        )
    assert found == plain
    assert set(receipts) == set(join.cohort)


def test_over_the_wire_points_go_around_too(tmp_path):
    with Applications(tmp_path, "blinded") as machines:
        join = machines.join(PARTS).ready().blind()
        assert join.cells()
        names = [name for name, _, _ in machines.transport.sizes]
        assert (names.count("join_points"), names.count("join_blind")) == (4, 16)


def test_refusals_travel_as_codes(machines):
    join = machines.join(SUM).ready()
    cases = [
        (join.rounds["ga"].join_rows, (join.key, 0), "X002"),
        (join.rounds["tax"].join_rows, (join.key, -1), "X001"),
        (join.rounds[KEY_HOLDER].join_sums, (join.key, 1, b""), "X001"),
        (join.rounds["ga"].join_points, ("k" * 201,), "X001"),
        (join.rounds["ga"].join_reveal, ("nobody's", []), "X001"),
    ]
    for call, told, code in cases:
        with pytest.raises(MiddleplatformError) as caught:
            call(*told)
        assert caught.value.code == code


def test_a_dropped_round_is_forgotten_everywhere(machines):
    join = machines.join(SUM).open()
    before = {name: len(machines.parties.rounds[name]) for name in join.cohort}
    for name in join.cohort:
        join.rounds[name].drop(join.key)
        assert len(machines.parties.rounds[name]) == before[name] - 1


def test_a_link_in_this_process_gives_the_same_calls(machines):
    parties, join = machines.parties, machines.parties.join(SUM)
    links = {
        name: InProcessLink(
            parties.nodes[name], SimpleNamespace(drop=lambda _: None), 30, parties.rounds[name]
        )
        for name in join.cohort
    }
    join.rounds = {name: Wired(machines.runner.run, link) for name, link in links.items()}
    cells = join.ready().cells()
    assert len(join.totals(cells)) == len(cells)
    join.labels(cells)
    again = parties.join(SUM)
    again.rounds = {name: Wired(machines.runner.run, links[name]) for name in again.cohort}
    again.open()
    for name in again.cohort:
        again.rounds[name].drop(again.key)
    assert all(parties.rounds[name]._rounds.content(again.key) is None for name in again.cohort)


def test_a_node_without_private_joins_says_so(machines):
    node = machines.parties.nodes["ga"]
    link = InProcessLink(node, None, 30)
    with pytest.raises(SourceError) as caught:
        machines.runner.run(link.join_open(b"", b""))
    assert caught.value.code == "S001"
    with pytest.raises(MiddleplatformError):
        _ = Served(node, None, dict, None).joined
