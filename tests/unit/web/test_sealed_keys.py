"""Keys and sealed answers over REST, and the Python client against a real server on this machine."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
import uvicorn

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.tokens import TokenStore
from middleplatform.client import Client, open_answer
from middleplatform.client.rest import Refused
from middleplatform.errors import QueryError, SourceError
from middleplatform.model.request import Role, Subject
from middleplatform.web.api import build
from middleplatform.web.jobs import Bounds
from tests.fakes.doors import CountingRng
from tests.fakes.sealed_world import SealedPlatform, made, opening_key, texts

SQL = "SELECT region, COUNT(*) AS n, AVG(education) AS a FROM ga.person GROUP BY region ORDER BY region"


@dataclass
class Doors:
    """A platform behind REST, with a token for each of three logins."""

    platform: SealedPlatform
    app: object
    tokens: dict

    def ask(self, method, path, login="li", **settings):
        async def once():
            headers = {"Authorization": f"Bearer {self.tokens[login]}"}
            headers |= settings.pop("headers", {})
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, **settings)

        return asyncio.run(once())


@pytest.fixture
def doors(tmp_path):
    with SealedPlatform(tmp_path) as platform:
        store = TokenStore(tmp_path / "tokens.sqlite", platform.clock, CountingRng())
        officer = Subject("sun", "drc", frozenset({Role.SECURITY_OFFICER}))
        known = (made.ANALYST, made.COUNTY, officer)
        tokens = {each.id: store.add(each, timedelta(days=1))[0] for each in known}
        log = OperatorLog(tmp_path / "operator.log", platform.clock, CountingRng())
        yield Doors(platform, build(platform.gateway, store, log, Bounds()), tokens)
        store.close()


def publication(key, **more):
    document, proof = texts(key)
    return {"json": {"key": document, "proof": proof, **more}}


def test_a_key_is_published_listed_and_withdrawn(doors):
    key = opening_key("wang")
    made_known = doors.ask("POST", "/v1/keys", "wang", **publication(key))
    assert made_known.status_code == 200
    assert made_known.json()["id"] == key.public.key_id
    listed = doors.ask("GET", "/v1/keys", "sun").json()
    # Both were published at one moment of the clock; then their random ids are in order.
    assert sorted(each["login"] for each in listed["keys"]) == ["li", "wang"]
    assert set(listed["parties"]) == set(doors.platform.keys)
    assert doors.ask("POST", f"/v1/keys/{key.public.key_id}/revoke", "li", json={}).status_code == 403  # fmt: skip
    gone = doors.ask("POST", f"/v1/keys/{key.public.key_id}/revoke", "sun", json={"reason": "lost"})
    assert (gone.status_code, gone.json()["reason"]) == (200, "lost")


@pytest.mark.parametrize(
    "body", [{"key": "AA==", "proof": "AA=="}, {"key": "?", "proof": "?"}, {"key": "AA=="}]
)
def test_what_is_no_key_is_refused(doors, body):
    answer = doors.ask("POST", "/v1/keys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "Q040")
    assert len(doors.platform.desk.listed()) == 1


def test_a_key_of_somebody_else_is_not_published(doors):
    assert doors.ask("POST", "/v1/keys", "wang", **publication(opening_key("li", 1))).json()["code"] == "Q040"  # fmt: skip


def test_an_answer_over_rest_is_the_file_that_opens(doors):
    asked = {"sql": SQL, "purpose": "statistics"}
    plain = doors.ask("POST", "/v1/queries?wait=20", json=asked).json()
    sealed = doors.ask("POST", "/v1/queries?wait=20", json=asked | {"sealed_for": doors.platform.published.id}).json()  # fmt: skip
    opened = doors.platform.open(sealed)
    assert opened.release.digest == plain["result_digest"]
    assert [row[1:] for row in sealed["rows"]] == [[None, None]] * 3
    assert "sealed" not in plain


def test_a_sealed_answer_is_no_arrow_stream(doors):
    asked = {"sql": SQL, "purpose": "statistics", "sealed_for": doors.platform.published.id}
    answer = doors.ask("POST", "/v1/queries?wait=20", json=asked, headers={"Accept": "application/vnd.apache.arrow.stream"})  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (406, "Q040")


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.fixture
def address(doors):
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            ready.set()

    server = Server(uvicorn.Config(doors.app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))  # fmt: skip
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_the_client_publishes_asks_and_opens(doors, address):
    client, key = Client(address, doors.tokens["wang"]), opening_key("wang")
    published = client.publish(key)
    sql = SQL.replace("FROM ga.person", "FROM ga.person WHERE region = '990101'")
    answer = client.ask(sql, "statistics", sealed_for=published["id"])
    opened = open_answer(answer, key, client.parties(), doors.platform.book)
    assert opened.release.table["n"].to_pylist() == client_counts(client, sql)
    client.revoke(published["id"], "done")
    with pytest.raises(Refused) as caught:
        client.ask(sql, "statistics", sealed_for=published["id"])
    (own,) = [each for each in client.keys()["keys"] if each["id"] == published["id"]]
    assert (caught.value.code, own["reason"]) == ("Q040", "done")


def client_counts(client, sql):
    return [row[1] for row in client.ask(sql, "statistics")["rows"]]


def test_the_client_tells_refusals_and_unreachable_gateways_apart(address):
    with pytest.raises(Refused) as caught:
        Client(address, "mpt_" + "0" * 16 + "_" + "a" * 43, locale="zh").keys()
    assert caught.value.code == "P005"
    assert "令牌" in caught.value.problem["detail"]
    with pytest.raises(SourceError):
        Client("http://127.0.0.1:9", "t", timeout_s=2).keys()


@pytest.mark.parametrize("place", ["http://gateway.example:80", "ftp://127.0.0.1", "nothing"])
def test_a_token_does_not_travel_unencrypted(place):
    with pytest.raises(QueryError) as caught:
        Client(place, "t")
    assert caught.value.code == "Q040"
