"""Who asks too fast is told to wait; nobody waits for what another did."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from middleplatform.login.configured import Limits
from middleplatform.web.limits import RateLimits, address_of

LIMITS = Limits(address_per_minute=60, login_per_minute=40)
"""30 at once from one address, 20 with one credential."""


@pytest.fixture
def seconds():
    return [0.0]


@pytest.fixture
def app(seconds):
    made = FastAPI()

    async def answer(request: Request) -> PlainTextResponse:
        status = 401 if request.headers.get("authorization") == "Bearer wrong" else 200
        return PlainTextResponse(address_of(request), status)

    made.add_route("/v1/health", answer)
    made.add_route("/console", answer)
    made.add_middleware(RateLimits, limits=LIMITS, timer=lambda: seconds[0])
    return made


def ask(app, count, address="192.0.2.1", path="/v1/health", **headers):
    async def many():
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=headers
        ) as client:
            return [await client.get(path) for _ in range(count)]

    return asyncio.run(many())


def statuses(answers):
    return [each.status_code for each in answers]


def test_address_has_so_many_and_then_waits_as_long_as_told(app, seconds):
    found = ask(app, 31)
    assert statuses(found) == [200] * 30 + [429]
    assert found[-1].json()["code"] == "L007"
    assert found[-1].headers["Retry-After"] == "1"
    seconds[0] += 1
    assert statuses(ask(app, 2)) == [200, 429]
    assert statuses(ask(app, 1, "192.0.2.2")) == [200]


def test_credential_has_so_many_from_all_addresses_together(app):
    assert statuses(ask(app, 20, "192.0.2.1", Authorization="Bearer a")) == [200] * 20
    assert statuses(ask(app, 1, "192.0.2.2", Authorization="Bearer a")) == [429]
    assert statuses(ask(app, 1, "192.0.2.2", "/console", Cookie="session=a")) == [200]


def test_a_credential_written_otherwise_is_the_same_one(app):
    ask(app, 20, Authorization="Bearer a")
    for written in ("bearer a", "BEARER a", "Bearer  a"):
        assert statuses(ask(app, 1, "192.0.2.2", Authorization=written)) == [429]


def test_a_header_that_counts_for_nothing_makes_no_other_credential(app):
    headers = {"path": "/console", "Cookie": "session=a"}
    ask(app, 20, **headers)
    assert statuses(ask(app, 1, "192.0.2.2", Authorization="Bearer b", **headers)) == [429]


def test_who_knows_only_the_id_of_a_token_cannot_use_up_its_holders_requests(app):
    ask(app, 25, "198.51.100.1", Authorization="Bearer mpt_00ff00ff00ff00ff_wrong")
    assert statuses(
        ask(app, 1, "192.0.2.1", Authorization="Bearer mpt_00ff00ff00ff00ff_right")
    ) == [200]


def test_wrong_credentials_cost_more(app):
    found = statuses(ask(app, 10, Authorization="Bearer wrong"))
    assert found == [401] * 5 + [429] * 5
    assert statuses(ask(app, 1, "192.0.2.2")) == [200]


@pytest.mark.parametrize(("given", "taken"), [
    ("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("::ffff:192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::/64"), ("not an address", "not an address"),
])  # fmt: skip
def test_of_ipv6_the_network_counts(app, given, taken):
    assert ask(app, 1, given)[0].text == taken
