"""Whoever comes next finds a place, however greedy others are: in the table, at work, among the open requests."""

import asyncio
from datetime import UTC, datetime

import pytest

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import ConfigError, LimitError
from middleplatform.model.request import QueryRequest, Role, Subject
from middleplatform.settings import Settings
from middleplatform.web.jobs import Bounds, JobTable
from middleplatform.web.places import Places, Room
from tests.fakes.doors import CountingRng, HandClock

BODY = {"sql": "SELECT COUNT(*) FROM ga.population", "purpose": "statistics"}


def person(login):
    return Subject(login, "drc", frozenset({Role.ANALYST}))


class Stuck:
    """A gateway that answers nothing until it may; says who was at work."""

    def __init__(self):
        self.go, self.at_work, self.order = asyncio.Event(), [], []

    async def submit(self, asked, _progress=None):
        self.at_work.append(asked.subject.id)
        self.order.append(asked.subject.id)
        await self.go.wait()
        self.at_work.remove(asked.subject.id)
        raise LimitError("L003")


def table(gateway, tmp_path, **bounds):
    log = OperatorLog(tmp_path / "operator.log", HandClock(), CountingRng())
    return JobTable(gateway, Bounds(**bounds), lambda: 0.0, log)


def submit(jobs, login, number):
    asked = QueryRequest(f"{login}-{number}", "", person(login), "", "", datetime.now(UTC))
    return jobs.submit(asked)


def taken(jobs, login, times):
    """Submit so often, and return how many were taken."""
    count = 0
    for number in range(times):
        try:
            submit(jobs, login, number)
        except LimitError:
            continue
        count += 1
    return count


def test_eight_greedy_people_leave_room_in_the_table(tmp_path):
    async def script():
        gateway = Stuck()
        jobs = table(gateway, tmp_path)
        greedy = [taken(jobs, f"greedy{number}", 64) for number in range(8)]
        more = [taken(jobs, f"greedy{number}", 64) for number in range(8)]
        modest = [taken(jobs, f"modest{number}", 3) for number in range(10)]
        await jobs.close()
        return sum(greedy) + sum(more), max(greedy), modest

    together, most, modest = asyncio.run(script())
    assert (most, modest) == (64, [3] * 10)
    assert together < 512 - 30


def test_other_letters_are_no_other_person_in_the_table(tmp_path):
    async def script():
        jobs = table(Stuck(), tmp_path, per_subject_max=2)
        found = [taken(jobs, login, 2) for login in ("li", "LI", "Li")]
        await jobs.close()
        return found

    assert asyncio.run(script()) == [2, 0, 0]


def test_one_person_leaves_places_at_work_and_others_come_before_his_next(tmp_path):
    async def script():
        gateway = Stuck()
        jobs = table(gateway, tmp_path, running_max=4)
        for number in range(6):
            submit(jobs, "greedy", number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        alone = list(gateway.at_work)
        submit(jobs, "modest", 0)
        submit(jobs, "other", 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        beside = list(gateway.at_work)
        gateway.go.set()
        while len(gateway.order) < 8:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0)
        await jobs.close()
        return alone, beside, gateway.order

    alone, beside, order = asyncio.run(script())
    assert alone == ["greedy"] * 3
    assert beside == [*alone, "modest"]
    assert order[4] == "other"  # before the greedy one's fourth, which came before it


@pytest.mark.parametrize(("bounds", "own"), [((8, 0), 6), ((1, 0), 1), ((2, 0), 2), ((8, 2), 2)])
def test_three_quarters_of_the_places_at_work_unless_said(bounds, own):
    assert Bounds(running_max=bounds[0], own_running_max=bounds[1]).own_running == own


def test_a_setting_says_how_many_questions_of_one_person_run():
    assert Settings(queries_own_max=2).queries_own_max == 2
    with pytest.raises(ConfigError):
        Settings(queries_own_max=-1)


def test_who_no_longer_waits_for_a_place_takes_none():
    async def script():
        room = Room(1, 1)
        entered = []

        async def work(login, go):
            async with room.one(person(login)):
                entered.append(login)
                await go.wait()

        go, now = asyncio.Event(), asyncio.Event()
        now.set()
        first = asyncio.create_task(work("a", go))
        gone = asyncio.create_task(work("b", now))
        last = asyncio.create_task(work("c", now))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, last)
        given = [asyncio.create_task(work(each, now)) for each in ("d", "e")]
        await asyncio.sleep(0)  # d was given the place and is canceled before it knows
        given[0].cancel()
        await asyncio.gather(*given, return_exceptions=True)
        return entered

    found = asyncio.run(script())
    assert found[:2] == ["a", "c"]
    assert found[-1] == "e"


def test_places_are_given_back_and_counted_by_person():
    places = Places(10, 3)
    with places.one(person("li")), places.one(person("LI")), places.one(person("Li")):
        with pytest.raises(LimitError):
            places.check(person("li"))
        places.check(person("wang"))
    places.check(person("li"))


def waits(client, times):
    return [
        asyncio.create_task(client.post("/v1/queries?wait=20", json=BODY)) for _ in range(times)
    ]


def test_one_persons_waiting_requests_leave_the_service_to_others(make_service):
    service = make_service(requests_max=16)

    async def script():
        service.gateway.gate = asyncio.Event()
        async with service.client() as greedy, service.client("data_bureau") as other:
            mine = waits(greedy, 12)
            done: set = set()
            while len(done) < 10:
                done, _ = await asyncio.wait(mine, return_when=asyncio.FIRST_COMPLETED)
            health = await other.get("/v1/health")
            theirs = waits(other, 1)[0]
            chinese = await greedy.get("/v1/me", headers={"accept-language": "zh-CN"})
            service.gateway.gate.set()
            codes = sorted([(await each).status_code for each in mine])
            return codes, health.status_code, (await theirs).status_code, chinese

    codes, health, theirs, chinese = asyncio.run(script())
    assert codes == [200] * 2 + [429] * 10
    assert (health, theirs) == (200, 200)
    assert (chinese.status_code, chinese.json()["code"]) == (429, "L001")
    assert chinese.headers["retry-after"]
    assert "并发" in chinese.text
