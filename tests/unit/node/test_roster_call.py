"""Is a roster that a node could not take just now told apart from one that it will never take, and are its bytes bounded?"""

import asyncio

import pytest

from middleplatform.errors import ConfigError, LimitError, ProtocolError
from middleplatform.node.server.app import NodeApp
from middleplatform.node.server.calls import Served
from middleplatform.node.server.gate import Gate
from middleplatform.node.server.metrics import Metrics


class Open:
    """Lets everybody in."""

    def check_peer(self, certificate, party):
        pass


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 200),
        (ProtocolError("X006", party="roster", what=("old", "旧")), 409),
        (ProtocolError("X001"), 503),
        (LimitError("L001"), 503),
        (ConfigError("C011", what="roster.json"), 503),
    ],
)
def test_only_a_roster_that_is_refused_for_good_is_told_so(error, status):
    def take(_):
        if error is not None:
            raise error

    async def scene():
        gate, sent = Gate("ga", 1, 1, 5), []
        served = Served(None, None, dict, take)
        app = NodeApp(served, Open(), gate, None, 300, 1, Metrics())
        waiting = [{"type": "http.request", "body": b"roster", "more_body": False}]

        async def receive():
            return waiting.pop() if waiting else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/roster", "state": {},
            "headers": [(b"content-length", b"6")],
        }  # fmt: skip
        await app(scope, receive, send)
        gate.close()
        return sent[0]["status"]

    assert asyncio.run(scene()) == status


def test_rosters_too_are_read_eight_at_once():
    async def scene():
        gate, begun, more = Gate("ga", 1, 64, 5), [], asyncio.Event()
        app = NodeApp(
            Served(None, None, dict, lambda _: None), Open(), gate, None, 300, 1, Metrics()
        )

        async def call():
            told = False

            async def receive():
                nonlocal told
                if told:
                    return await asyncio.Event().wait()
                begun.append(1)
                await more.wait()
                told = True
                return {"type": "http.request", "body": b"roster", "more_body": False}

            async def send(message):
                pass

            scope = {
                "type": "http", "method": "POST", "path": "/v1/roster", "state": {},
                "headers": [(b"content-length", b"6")],
            }  # fmt: skip
            await app(scope, receive, send)

        calls = [asyncio.ensure_future(call()) for _ in range(20)]
        for _ in range(100):
            await asyncio.sleep(0)
        reading = len(begun)
        more.set()
        await asyncio.gather(*calls)
        gate.close()
        return reading, len(begun)

    assert asyncio.run(scene()) == (8, 20)
