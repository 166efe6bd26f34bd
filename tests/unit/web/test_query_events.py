"""How far a question is, told as it changes; and questions that their askers end."""

import asyncio
import json

from middleplatform.model.request import Role
from middleplatform.web.jobs import Bounds, Job

BODY = {"sql": "SELECT COUNT(*) FROM ga.population", "purpose": "statistics"}


def run(service, script):
    async def scene():
        async with asyncio.timeout(20), service.client() as client:
            return await script(client)

    return asyncio.run(scene())


def told(text):
    """Return the data of each event of a stream."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.strip()]
    return [
        json.loads(lines[1].removeprefix("data: "))
        for lines in blocks
        if lines[0] == "event: status"
    ]


async def until(holds):
    while not holds():  # noqa: ASYNC110 - the watchdog of ``run`` ends it
        await asyncio.sleep(0)


async def asked(service, client):
    """Ask a question that stays at work until the gate opens; return it and its place."""
    service.gateway.gate = asyncio.Event()
    place = (await client.post("/v1/queries", json=BODY)).headers["location"]
    job = next(iter(service.app.state.jobs._jobs.values()))
    await until(lambda: job.status == "running")
    return job, place


def test_events_tell_each_change_to_the_end(service):
    async def script(client):
        job, place = await asked(service, client)
        reading = asyncio.create_task(client.get(place + "/events"))
        for done in (1, 2):
            await until(lambda: job._changes)
            job.hear("dispatch", done, 2)
            await until(lambda: not job._changes)
        await until(lambda: job._changes)
        service.gateway.gate.set()
        return await reading

    answer = run(service, script)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    assert answer.headers["cache-control"] == "no-store"
    events = told(answer.text)
    assert [each["status"] for each in events] == ["running", "running", "running", "answered"]
    assert [each.get("stage", {}).get("done") for each in events] == [None, 1, 2, None]


def test_an_ended_question_is_told_at_once_and_with_its_problem(service):
    async def script(client):
        service.gateway.outcome = KeyError("990101199001011234")
        refused = await client.post("/v1/queries?wait=5", json=BODY)
        return await client.get(refused.json()["instance"] + "/events")

    (event,) = told(run(service, script).text)
    assert (event["status"], event["problem"]["code"]) == ("failed", "C099")


def test_stages_leave_on_the_grid_of_policy(service):
    limits = service.gateway.bundle.limits
    service.gateway.bundle = type("Bundle", (), {"limits": type(limits)(answer_grid_ms=400)})()

    async def script(client):
        job, place = await asked(service, client)
        reading = asyncio.create_task(client.get(place + "/events"))
        await until(lambda: job._changes)
        for done in range(10):  # within one step of the grid
            job.hear("dispatch", done, 10)
            await asyncio.sleep(0)
        await until(lambda: not job._changes)
        await until(lambda: job._changes)
        service.gateway.gate.set()
        return await reading

    events = told(run(service, script).text)
    assert [each.get("stage", {}).get("done") for each in events] == [None, 9, None]


def test_a_question_at_work_is_ended_by_its_asker(service):
    async def script(client):
        job, place = await asked(service, client)
        reading = asyncio.create_task(client.get(place + "/events"))
        await until(lambda: job._changes)
        ended = await client.delete(place)
        return ended, await client.get(place + "/result"), await reading, await client.delete(place)

    ended, result, events, again = run(service, script)
    assert (ended.status_code, ended.json()["status"]) == (200, "canceled")
    assert (result.status_code, result.json()["code"]) == (409, "L003")
    assert told(events.text)[-1]["status"] == "canceled"
    assert again.json() == ended.json(), "ending twice is ending once"
    assert service.gateway._running == 0


def test_a_waiting_question_is_ended_before_anybody_is_asked(make_service):
    service = make_service(Bounds(running_max=1))

    async def script(client):
        await asked(service, client)
        second = await client.post("/v1/queries", json=BODY)
        ended = await client.delete(second.headers["location"])
        service.gateway.gate.set()
        return ended

    assert run(service, script).json()["status"] == "canceled"
    assert len(service.gateway.asked) == 1


def test_an_answer_stays_when_its_question_is_ended_too_late(service):
    async def script(client):
        answer = await client.post("/v1/queries?wait=5", json=BODY)
        place = f"/v1/queries/{answer.json()['query_id']}"
        return await client.delete(place), await client.get(place + "/result"), answer

    ended, result, answer = run(service, script)
    assert (ended.json()["status"], result.json()) == ("answered", answer.json())


def test_one_person_watches_few_questions_at_once(make_service):
    service = make_service(Bounds(watched_max=2))

    async def script(client):
        job, place = await asked(service, client)
        reading = [asyncio.create_task(client.get(place + "/events")) for _ in range(2)]
        await until(lambda: len(job._changes) == 2)
        third = await client.get(place + "/events")
        service.gateway.gate.set()
        await asyncio.gather(*reading)
        return third, await client.get(place + "/events")

    third, later = run(service, script)
    assert (third.status_code, third.json()["code"]) == (429, "L001")
    assert later.status_code == 200


def test_all_together_watch_few_questions_at_once(make_service):
    service = make_service(Bounds(streams_max=1))

    async def script(client):
        job, place = await asked(service, client)
        reading = asyncio.create_task(client.get(place + "/events"))
        await until(lambda: job._changes)
        second = await client.get(place + "/events")
        service.gateway.gate.set()
        await reading
        return second

    assert run(service, script).json()["code"] == "L001"


def test_a_withdrawn_token_hears_nothing_more(service):
    async def script(client):
        job, place = await asked(service, client)
        reading = asyncio.create_task(client.get(place + "/events"))
        await until(lambda: job._changes)
        for record in service.tokens.records():
            service.tokens.revoke(record.id)
        service.gateway.gate.set()
        return await reading

    assert [each["status"] for each in told(run(service, script).text)] == ["running"]


def test_a_change_between_two_looks_is_not_lost():
    async def scene():
        request = type("Request", (), {"query_id": "00", "subject": Role.ANALYST})()
        job = Job(request)
        seen = job.changes
        job.tell()
        return await job.changed(seen, 5), await job.changed(job.changes, 0.01)

    assert asyncio.run(scene()) == (True, False)
