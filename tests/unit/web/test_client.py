"""The Python client over a real server on this machine: watches, ends, lists page by page, acts."""

import asyncio
import threading

import pytest
import uvicorn

from middleplatform.client import Client
from middleplatform.client.rest import Refused
from middleplatform.errors import SourceError
from middleplatform.model.request import Role
from tests.fakes.rest_world import governing

WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
    "columns": ["tax.individual_income.income_total"], "operations": ["aggregate"], "ends": "2026-12-31",
}  # fmt: skip


class Server(uvicorn.Server):
    """A server that tells when it is there."""

    def __init__(self, app):
        super().__init__(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
        self.ready = threading.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.ready.set()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with governing(tmp_path_factory.mktemp("client")) as doors:
        server = Server(doors.app)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert server.ready.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield doors, server, f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


def test_a_question_is_watched_and_ended(served):
    doors, server, address = served
    client = Client(address, doors.by_role(Role.ANALYST))
    doors.gateway.gate = asyncio.Event()
    query_id = client.begin("SELECT 1", "statistics", project="p")
    events = client.events(query_id)
    first = next(events)
    assert first["id"] == query_id
    assert client.cancel(query_id)["status"] == "canceled"
    assert [first, *events][-1]["problem"]["code"] == "L003"
    doors.gateway.gate = None
    again = client.begin("SELECT 1", "statistics")
    assert list(client.events(again))[-1]["status"] == "answered"
    assert server.started


def test_refusals_and_lost_gateways_are_told_apart(served):
    doors, _, address = served
    client = Client(address, doors.by_role(Role.ANALYST))
    for call in (lambda: list(client.events("0" * 32)), lambda: client.cancel("../keys")):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "Q041"
    with pytest.raises(SourceError):
        list(Client("http://127.0.0.1:9", "t", timeout_s=2).events("0" * 32))


def test_lists_come_whole_and_acts_are_done(served):
    doors, _, address = served
    head = Client(address, doors.token("head", "drc", Role.DEPARTMENT_STEWARD))
    assert head.me()["department"] == "drc"
    made = [head.act("/v1/applications", WISH)["number"] for _ in range(3)]
    found = head.listed("/v1/applications", "applications", limit=1)
    assert [each["number"] for each in found] == made
    bureau = Client(address, doors.by_role(Role.DATA_BUREAU))
    assert bureau.act(f"/v1/applications/{made[0]}/accept")["phase"] == "answering"
    assert bureau.get("/v1/applications", phase="answering")["applications"][0]["number"] == made[0]
