"""Judging statements that nobody has asked is bounded: nobody can have the processor, or all who wait, for himself."""

import asyncio
import threading

import pytest
from policy_world import configured, files, small_catalog

from middleplatform.errors import AuditError
from middleplatform.model.request import Role
from middleplatform.web.checks import Checks
from tests.fakes.rest_world import governing

BODY = {"sql": "SELECT COUNT(*) FROM ga.population", "purpose": "statistics"}


class Slow:
    """Judges until it is let go; says how many were judged at once."""

    def __init__(self, judge):
        self.judge, self.go = judge, threading.Event()
        self.count, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, *asked):
        with self.lock:
            self.count += 1
            self.most = max(self.most, self.count)
        self.go.wait(20)
        with self.lock:
            self.count -= 1
        return self.judge(*asked)


async def _all(service, slow):
    """Have one person explain twelve statements and another one more; return both outcomes."""
    async with service.client() as one, service.client("department_steward") as other:
        own = [asyncio.create_task(one.post("/v1/explain", json=BODY)) for _ in range(12)]
        done: set = set()
        while len(done) < 4:
            done, _ = await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)
        late = asyncio.create_task(other.post("/v1/explain", json=BODY))
        slow.go.set()
        return [each.status_code for each in await asyncio.gather(*own)], await late


def test_one_person_has_eight_and_two_are_judged_at_once(service):
    slow = service.gateway.advise = Slow(service.gateway.advise)
    own, other = asyncio.run(_all(service, slow))
    assert sorted(own) == [200] * 8 + [429] * 4
    assert (other.status_code, slow.most) == (200, 2)
    slow.go.set()
    assert service.ask("POST", "/v1/explain", json=BODY).status_code == 200


# --- drafts of policy, and the log as a whole ---------------------------------------------------------------------


@pytest.fixture
def doors(tmp_path):
    with governing(tmp_path, small_catalog(), configured()) as opened:
        yield opened


PROPOSAL = {"files": files(tax=30), "reason": "x"}


async def _proposed(doors, slow):
    """Have one officer send twelve drafts; return the outcomes."""
    han = doors.token("han", "db", Role.SECURITY_OFFICER)
    own = [
        asyncio.create_task(doors.send("POST", "/v1/policy/proposals", han, PROPOSAL))
        for _ in range(12)
    ]
    done: set = set()
    while len(done) < 4:
        done, _ = await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)
    slow.go.set()
    return [each.status for each in await asyncio.gather(*own)]


def test_of_one_officers_drafts_two_are_judged_at_once_and_eight_taken(doors):
    slow = doors.lifecycle.propose = Slow(doors.lifecycle.propose)
    assert sorted(asyncio.run(_proposed(doors, slow))) == [201] * 8 + [429] * 4
    assert slow.most == 2


@pytest.mark.parametrize(
    ("room", "method", "path", "role", "body"),
    [
        ("drafts", "POST", "/v1/policy/proposals", Role.SECURITY_OFFICER, PROPOSAL),
        ("drafts", "POST", "/v1/policy/simulations", Role.SECURITY_OFFICER, {"files": files()}),
        ("inspections", "GET", "/v1/inspection", Role.AUDITOR, None),
    ],
)
def test_rest_has_no_way_round_the_rooms_of_the_console(doors, room, method, path, role, body):
    assert getattr(doors.app.state, room), "without a console, too"
    setattr(doors.app.state, room, Checks(own_max=0))
    seen = doors.ask(method, path, doors.by_role(role), body)
    assert (seen.status, seen.value["code"]) == (429, "L001")
    assert seen.headers["retry-after"]


def test_waiting_for_a_simulation_holds_no_place(doors, monkeypatch):
    doors.app.state.drafts = Checks(at_once=1, own_max=1)
    held, log = threading.Event(), doors.gateway.audit
    plain = log.entries
    monkeypatch.setattr(log, "entries", lambda: held.wait(20) and plain())
    officer = doors.by_role(Role.SECURITY_OFFICER)

    async def both():
        first = asyncio.create_task(
            doors.send("POST", "/v1/policy/simulations?wait=20", officer, {"files": files()})
        )
        while not doors.app.state.simulations._jobs:  # noqa: ASYNC110 - it has begun
            await asyncio.sleep(0.01)
        second = await doors.send("POST", "/v1/policy/simulations", officer, {"files": files()})
        held.set()
        return (await first).status, second.status

    assert asyncio.run(both()) == (202, 202)


def test_a_place_is_free_again_after_a_failure(doors):
    doors.app.state.inspections = Checks(at_once=1, own_max=1)
    services = type(doors.app.state.services)
    auditor = doors.by_role(Role.AUDITOR)

    def broken(*_):
        raise AuditError("A001")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(services, "inspection", broken)
        assert doors.ask("GET", "/v1/inspection", auditor).value["code"] == "A001"
    assert doors.ask("GET", "/v1/inspection", auditor).status == 200
