"""A party without data: a node with no connector opens, takes part in private joins, and answers nothing else."""

from types import SimpleNamespace

import pytest
from made_platform import SeededRng, StillClock

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.errors import MiddleplatformError
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject
from middleplatform.node.config import NodeConfig
from middleplatform.node.service import GATEWAY, KEY_HOLDER
from middleplatform.node.start import open_configured
from middleplatform.policy.examples import example


@pytest.fixture
def opened(tmp_path):
    keys = {name: IdentityKey.generate(SeededRng(name)) for name in (GATEWAY, KEY_HOLDER)}
    pins = PinnedKeys({name: key.public_key for name, key in keys.items()})
    trust = SimpleNamespace(platform="made.example", identity=keys[KEY_HOLDER], pins=pins)
    demo = example("demo")
    config = NodeConfig(KEY_HOLDER, tmp_path, demo / "catalog", demo, listen="127.0.0.1:0")
    node = open_configured(config, trust, StillClock(), SeededRng("rng"))
    yield node, keys[GATEWAY]
    node.close()


def test_a_node_without_connectors_opens_and_waits_for_joins(opened):
    node, _ = opened
    assert node.connectors == ()
    assert node.joins is not None
    assert len(node.joins) == 0
    # A round waits for the slowest department's statement: there is none here whose deadline would say.
    assert node.joins._rounds.idle_s > 60


def test_it_refuses_to_answer(opened):
    node, gateway = opened
    sql = 'SELECT COUNT(*) AS "a0" FROM "ga"."population" AS "t0"'
    subject = Subject("li", "drc", frozenset({Role.ANALYST}))
    for number, protocol in enumerate(("local", "secure_sum", "private_join")):
        fragment = Fragment(
            f"q{number}", 1, 0, KEY_HOLDER, protocol, (KEY_HOLDER,), sql, subject, "statistics", "drc",
            node.node.bundle.digest, node.node.clock.now().isoformat(),
        )  # fmt: skip
        raw = fragment.to_bytes()
        signed = raw, gateway.sign("fragment", raw)
        calls = {
            "local": node.node.answer,
            "secure_sum": node.rounds.hello,
            "private_join": node.joins.join_open,
        }
        with pytest.raises(MiddleplatformError) as caught:
            calls[protocol](*signed)
        assert caught.value.code in ("X001", "X003")
