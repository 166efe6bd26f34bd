"""Submit, watch, fetch: one subject's questions, in bounds."""

import asyncio
import json

import pyarrow as pa
import pytest

from middleplatform.errors import AuditError, PolicyError, SourceError
from middleplatform.model.request import Subject
from middleplatform.web import bodies
from middleplatform.web.jobs import Bounds
from tests.fakes.doors import noisy_release

BODY = {"sql": "SELECT COUNT(*) FROM ga.population", "purpose": "statistics"}


def run(service, script):
    async def scene():
        async with service.client() as client:
            return await script(client)

    return asyncio.run(scene())


async def until(client, query_id, status):
    async with asyncio.timeout(20):  # a watchdog: a question that never gets there must fail
        while (  # noqa: ASYNC110 - what a client does: it can only poll
            await client.get(f"/v1/queries/{query_id}")
        ).json()["status"] != status:
            await asyncio.sleep(0)


def test_question_is_accepted_watched_and_fetched(service):
    async def script(client):
        service.gateway.gate = asyncio.Event()
        taken = await client.post("/v1/queries", json=BODY)
        where = taken.headers["location"]
        early = await client.get(where + "/result")
        await until(client, taken.json()["id"], "running")
        service.gateway.gate.set()
        await until(client, taken.json()["id"], "answered")
        return taken, early, await client.get(where + "/result")

    taken, early, result = run(service, script)
    assert (taken.status_code, taken.json()["status"]) == (202, "queued")
    assert taken.headers["location"] == f"/v1/queries/{taken.json()['id']}"
    assert (early.status_code, early.headers["retry-after"]) == (202, "1")
    assert result.status_code == 200
    value = bodies.AnswerBody.model_validate_json(result.content)
    assert value.query_id == taken.json()["id"]
    assert value.rows[0] == ["990101", 15, "-10.50"]
    assert value.suppressed[0].reason == "threshold"
    assert value.receipt.index == 0


def test_wait_gives_the_answer_at_once(service):
    answer = service.ask("POST", "/v1/queries?wait=5", json=BODY)
    assert (answer.status_code, answer.json()["status"]) == (200, "answered")


def test_timings_never_leave(service):
    assert "timing" not in service.ask("POST", "/v1/queries?wait=5", json=BODY).text


def test_arrow_stream_carries_values_marks_and_the_receipt(service):
    answer = service.ask(
        "POST", "/v1/queries?wait=5", json=BODY,
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    )  # fmt: skip
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column_names == ["区", "n", "avg_income", "mark:区", "mark:n", "mark:avg_income"]
    assert table["n"].to_pylist() == [15, None, 12]
    assert table["mark:n"].to_pylist() == [None, "threshold", None]
    head = json.loads(table.schema.metadata[b"middleplatform"])
    assert (head["receipt"]["index"], head["protocol"]) == (0, "local")
    assert "rows" not in head


def test_a_noisy_answer_tells_half_widths_in_the_shape_of_its_rows(service):
    service.gateway.outcome = noisy_release()
    found = service.ask("POST", "/v1/queries?wait=5", json=BODY)
    value = bodies.AnswerBody.model_validate_json(found.content)
    assert value.intervals == [[None, 12.25, None], [None, None, None], [None, 12.25, 0.51234]]
    answer = service.ask(
        "POST", "/v1/queries?wait=5", json=BODY,
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    )  # fmt: skip
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column_names[6:] == ["half_width:区", "half_width:n", "half_width:avg_income"]
    assert table["half_width:n"].to_pylist() == [12.25, None, 12.25]


def test_an_exact_answer_has_no_intervals(service):
    assert "intervals" not in service.ask("POST", "/v1/queries?wait=5", json=BODY).json()


def test_other_media_types_are_not_acceptable(service):
    answer = service.ask("POST", "/v1/queries?wait=5", json=BODY, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "Q040")


def test_anothers_question_looks_like_none(service):
    async def script(client):
        taken = await client.post("/v1/queries?wait=5", json=BODY)
        query_id = taken.json()["query_id"]
        async with service.client("data_bureau") as other:
            return [
                [await each.get(f"/v1/queries/{name}{tail}") for name in (query_id, "f" * 32)]
                for each in (other,)
                for tail in ("", "/result")
            ]

    for theirs, nobodys in run(service, script):
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json() == nobodys.json()


def test_same_login_of_another_department_is_another_subject(service):
    async def script(client):
        taken = await client.post("/v1/queries?wait=5", json=BODY)
        table = service.app.state.jobs
        found = await table.find(taken.json()["query_id"], service.gateway.asked[0].subject)
        with pytest.raises(Exception, match="no such query"):
            await table.find(found.id, Subject("user_analyst", "tax", found.subject.roles))

    run(service, script)


def refusal():
    error = PolicyError("P001", rule="R2", what=("a key", "主键"))
    error.audit_index = 7
    return error


def test_refusal_is_a_problem_of_that_question(service):
    service.gateway.outcome = refusal()

    async def script(client):
        told = await client.post("/v1/queries?wait=5", json=BODY)
        status = await client.get(told.json()["instance"])
        return told, status, await client.get(told.json()["instance"] + "/result")

    told, status, result = run(service, script)
    assert (told.status_code, told.json()["rule"], told.json()["audit_index"]) == (403, "R2", 7)
    assert (status.status_code, status.json()["status"]) == (200, "refused")
    assert bodies.StatusBody.model_validate_json(status.content).problem.code == "P001"
    assert result.json() == told.json()


@pytest.mark.parametrize(("error", "status", "retry"), [
    (SourceError("S002", department="ga"), 504, True), (SourceError("S001", department="ga"), 502, True),
    (AuditError("A001"), 503, False),
])  # fmt: skip
def test_failure_is_told_with_its_status(service, error, status, retry):
    service.gateway.outcome = error
    answer = service.ask("POST", "/v1/queries?wait=5", json=BODY)
    assert (answer.status_code, "retry-after" in answer.headers) == (status, retry)


def test_unexpected_exception_ends_the_question_and_tells_nothing(service, tmp_path):
    service.gateway.outcome = RuntimeError("row 990101199001011234")
    answer = service.ask("POST", "/v1/queries?wait=5", json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (500, "C099")
    assert "1101" not in answer.text
    (line,) = (tmp_path / "operator.log").read_text().splitlines()
    assert json.loads(line)["record"] in answer.json()["detail"]
    assert "1101" not in line


def test_only_so_many_run_at_once_and_the_rest_wait(make_service):
    service = make_service(Bounds(running_max=2))

    async def script(client):
        service.gateway.gate = asyncio.Event()
        taken = [await client.post("/v1/queries", json=BODY) for _ in range(6)]
        await until(client, taken[1].json()["id"], "running")
        waiting = (await client.get(taken[5].headers["location"])).json()["status"]
        service.gateway.gate.set()
        for each in taken:
            await until(client, each.json()["id"], "answered")
        return waiting

    assert run(service, script) == "queued"
    assert service.gateway.running_most == 2


def test_full_table_refuses_with_a_time_to_come_back(make_service):
    service = make_service(Bounds(jobs_max=2))

    async def script(client):
        service.gateway.gate = asyncio.Event()
        for _ in range(2):
            await client.post("/v1/queries", json=BODY)
        refused = await client.post("/v1/queries", json=BODY)
        service.gateway.gate.set()
        return refused

    refused = run(service, script)
    assert (refused.status_code, refused.json()["code"]) == (429, "L001")
    assert int(refused.headers["retry-after"]) > 0


def test_too_many_requests_at_once_are_refused_and_the_rest_still_served(make_service):
    service = make_service(requests_max=2)

    async def script(client):
        service.gateway.gate = asyncio.Event()
        other = service.client("data_bureau")
        waiting = [
            asyncio.create_task(each.post("/v1/queries?wait=20", json=BODY))
            for each in (client, other)
        ]
        while len(service.gateway.asked) < 2:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0)
        refused = await client.get("/v1/health")
        service.gateway.gate.set()
        answers = [(await each).status_code for each in waiting]
        return refused, answers, (await client.get("/v1/health")).status_code

    refused, answers, after = run(service, script)
    assert (refused.status_code, refused.json()["code"]) == (429, "L001")
    assert refused.headers["retry-after"]
    assert (answers, after) == ([200, 200], 200)


def test_one_subject_cannot_take_anothers_place(make_service):
    service = make_service(Bounds(jobs_max=4, per_subject_max=2))

    async def script(client):
        service.gateway.gate = asyncio.Event()
        mine = [(await client.post("/v1/queries", json=BODY)).status_code for _ in range(3)]
        async with service.client("data_bureau") as other:
            theirs = (await other.post("/v1/queries", json=BODY)).status_code
        service.gateway.gate.set()
        return mine, theirs

    assert run(service, script) == ([202, 202, 429], 202)


def test_own_oldest_finished_answer_makes_room(make_service):
    service = make_service(Bounds(per_subject_max=2))

    async def script(client):
        ids = []
        for _ in range(3):
            service.seconds[0] += 1
            ids.append((await client.post("/v1/queries?wait=5", json=BODY)).json()["query_id"])
        return [(await client.get(f"/v1/queries/{each}")).status_code for each in ids]

    assert run(service, script) == [404, 200, 200]


def test_answer_expires(make_service):
    service = make_service(Bounds(keep_s=60))

    async def script(client):
        query_id = (await client.post("/v1/queries?wait=5", json=BODY)).json()["query_id"]
        codes = []
        for second in (59.9, 60.0):
            service.seconds[0] = second
            codes.append((await client.get(f"/v1/queries/{query_id}")).status_code)
        return codes

    assert run(service, script) == [200, 404]


def test_closing_ends_what_is_at_work(service):
    async def script(client):
        service.gateway.gate = asyncio.Event()
        taken = await client.post("/v1/queries", json=BODY)
        await until(client, taken.json()["id"], "running")
        await service.app.state.jobs.close()

    run(service, script)
    assert service.gateway._running == 0
