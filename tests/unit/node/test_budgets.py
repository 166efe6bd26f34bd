"""Budgets over the wire and at the desk: the same as in the department's own ledger, and nothing of another form."""

import asyncio
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import made_platform
import made_world as made
import pytest

from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.errors import ConfigError, ProtocolError, QueryError, SourceError
from middleplatform.model.policy import PrivacyRule
from middleplatform.node.budgets import begin_snapshot, offered
from middleplatform.node.server.app import NodeApp
from middleplatform.node.server.calls import Served
from middleplatform.node.server.gate import Gate
from middleplatform.node.server.metrics import Metrics
from middleplatform.node.service import GATEWAY
from middleplatform.wire.frame import REPLY, Message, encode

RULE = PrivacyRule()


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    bundle = made_platform.with_parameters(privacy=RULE)
    with made_platform.Platform(tmp_path_factory.mktemp("noisy"), bundle=bundle) as opened:
        yield opened


class Carrier:
    """Carries one message to an application, or to what a test answers in its place."""

    def __init__(self, app):
        self.app = app

    async def call(self, department, name, body, timeout_s):
        del timeout_s
        sent, waiting = [], [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return waiting.pop() if waiting else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": f"/v1/{name}", "state": {},
            "headers": [(b"content-length", str(len(body)).encode())],
        }  # fmt: skip
        await self.app(scope, receive, send)
        if sent[0]["status"] != 200:
            raise SourceError("S001", department=department)
        return b"".join(message.get("body", b"") for message in sent)


def wire(platform, app, department="ga"):
    rng = made_platform.SeededRng("nonces")
    caller = Caller(Carrier(app), platform.keys[GATEWAY], platform.pins, platform.clock, rng, 30)
    return WireLink(department, caller)


def asked(platform, project="drc", analyst="lin"):
    node, gate = platform.nodes["ga"], Gate("ga", 2, 2, 30)
    door = SimpleNamespace(identity=node.identity, pins=node.pins, check_peer=lambda *_: None)
    served = Served(node, platform.rounds["ga"], dict, lambda _: None)
    app = NodeApp(served, door, gate, node.clock, 300, 1, Metrics())
    try:
        return asyncio.run(wire(platform, app).budget(project, analyst))
    finally:
        gate.close()


def test_the_wire_tells_what_the_ledger_says(noisy):
    node = noisy.nodes["ga"]
    node.budget.reserve("ga.person", "drc", "lin", Fraction(1, 7), RULE, query_id="q", at="t")
    found = asked(noisy)
    assert found == node.budgets("drc", "lin")
    assert [each.left.snapshot.dataset for each in found] == offered(
        "ga", node.catalog, node.bundle
    )
    (one,) = [each.left for each in found if each.left.snapshot.dataset == "ga.person"]
    assert (one.spent_analyst, one.caps) == (Fraction(1, 7), RULE)


def test_names_that_are_too_long_are_refused(noisy):
    with pytest.raises(ProtocolError) as caught:
        asked(noisy, analyst="x" * 201)
    assert caught.value.code == "X001"


@pytest.mark.parametrize("told", [None, "all", [3], [{}], [{"department": "c1"}]])
def test_a_reply_of_another_form_is_a_deviation(noisy, told):
    async def lying(scope, receive, send):
        body = (await receive())["body"]
        nonce = body.split(b'"nonce":"')[1].split(b'"')[0].decode()
        reply = Message(REPLY, scope["path"][4:], "ga", GATEWAY, nonce, noisy.clock.now().isoformat(), {"budgets": told}, ())  # fmt: skip
        await send({"status": 200})
        await send({"body": encode(reply, noisy.keys["ga"])})

    with pytest.raises(ProtocolError) as caught:
        asyncio.run(wire(noisy, lying).budget("drc", "lin"))
    assert caught.value.code == "X001"


def test_a_dataset_that_offers_no_noise_is_not_told_of(noisy):
    node = noisy.nodes["ga"]
    rule = node.bundle.datasets["ga.person"]
    without = replace(rule, disclosure=replace(rule.disclosure, privacy=None))
    bundle = replace(node.bundle, datasets={**node.bundle.datasets, "ga.person": without})
    assert "ga.person" not in offered("ga", node.catalog, bundle)
    assert "ga.person" in offered("ga", node.catalog, node.bundle)
    assert not set(offered("c1", node.catalog, node.bundle)) & set(
        offered("ga", node.catalog, node.bundle)
    )


def test_a_snapshot_is_entered_in_the_nodes_log_before_it_counts(noisy):
    node = noisy.nodes["ga"]

    def begin(dataset, label):
        return begin_snapshot("ga", node.catalog, node.budget, node.journal, (dataset, label, "rows of 2026"), made.NOW.isoformat())  # fmt: skip

    size = node.journal.log.size
    assert begin("ga.person", "2026").label == "2026"
    entry = node.journal.log.entry(size).record
    assert (entry.event, entry.body["dataset"], entry.body["snapshot"], entry.body["reason"]) == ("snapshot", "ga.person", "2026", "rows of 2026")  # fmt: skip
    for dataset, label, kind in (
        ("ga.person", "2026", ConfigError),
        ("city.firm", "2026", QueryError),
        ("ga.none", "2026", QueryError),
    ):
        with pytest.raises(kind):
            begin(dataset, label)
    assert node.journal.log.size == size + 1
    assert node.budget.snapshot("ga.person").label == "2026"
