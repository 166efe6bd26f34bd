"""Questions in the store of several gateways: each of them can tell of what one of them took, and none waits for it."""

import asyncio
from threading import Event

import pytest
from doors import CountingRng, HandClock
from postgres_server import ADMIN
from shared_gateways import LIN, finish, lost, request, stop

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import PolicyError, QueryError
from middleplatform.model.request import Subject
from middleplatform.web.jobs import Bounds
from middleplatform.web.shared_jobs import SharedJobTable


class Refusing:
    """A gateway that refuses every question once it may."""

    def __init__(self):
        self.go = asyncio.Event()

    async def submit(self, asked, _progress=None):
        await self.go.wait()
        raise PolicyError("P004", what=(f"ask {asked.project}", "查询"))


def table(process, gateway, tmp_path):
    log = OperatorLog(tmp_path / "operator.log", HandClock(), CountingRng())
    return SharedJobTable(gateway, Bounds(), lambda: 0.0, log, process.kept)


def test_a_question_of_one_gateway_can_be_followed_at_the_other_to_its_end(join, tmp_path):
    one, two = join(), join()

    async def follow():
        gateway = Refusing()
        here, there = table(one, gateway, tmp_path), table(two, None, tmp_path)
        job = here.submit(request(1))
        await here.accepted(job)
        seen = await there.find(job.id, LIN)
        assert seen.status == "running"
        with pytest.raises(QueryError) as caught:
            await there.cancel(seen)
        assert caught.value.code == "Q042"
        with pytest.raises(QueryError):
            await there.find(job.id, Subject("wang", "drc", frozenset(), ()))
        gateway.go.set()
        assert await seen.finished(30)
        assert (seen.status, seen.error.message("en")) == ("refused", job.error.message("en"))
        assert (await there.find(job.id, LIN)).status == "refused"
        await here.close()
        await there.close()

    asyncio.run(follow())


def test_the_loop_goes_on_while_the_store_is_asked_for_anothers_question(join, tmp_path):
    one, two = join(), join()
    find, go = two.kept.find, Event()

    def slow(query_id, subject):
        assert go.wait(30)  # set by the loop alone: were it the loop that waits here, nobody would
        return find(query_id, subject)

    async def follow():
        gateway = Refusing()
        here, there = table(one, gateway, tmp_path), table(two, None, tmp_path)
        job = here.submit(request(1))
        await here.accepted(job)
        two.kept.find = slow
        asked = asyncio.create_task(there.find(job.id, LIN))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(go.set)
        assert (await asked).status == "running"
        gateway.go.set()
        await here.close()
        await there.close()

    asyncio.run(follow())


def test_a_canceled_question_is_canceled_for_all(join, tmp_path):
    one, two = join(), join()

    async def cancel():
        here, there = table(one, Refusing(), tmp_path), table(two, None, tmp_path)
        job = here.submit(request(1))
        await here.accepted(job)
        await here.cancel(job)
        assert (await there.find(job.id, LIN)).status == "canceled"
        await here.close()

    asyncio.run(cancel())


def test_a_question_that_the_store_does_not_take_is_not_asked(join, tmp_path, server):
    one = join()
    server.run("DROP TABLE jobs", database=one.member.store.engine.url.database, user=ADMIN)

    async def ask():
        here = table(one, Refusing(), tmp_path)
        job = here.submit(request(1))
        await here.accepted(job)
        assert (job.status, job.error.code) == ("failed", "C015")
        await here.close()

    asyncio.run(ask())


@pytest.mark.parametrize("canceled", [False, True])
def test_a_question_that_another_gateway_has_ended_ends_alike_here(join, tmp_path, canceled):
    one, two = join(), join()

    async def ask():
        gateway = Refusing()
        here = table(one, gateway, tmp_path)
        job = here.submit(request(1))
        await here.accepted(job)
        stop(one)
        await asyncio.to_thread(lost, one, two)
        assert finish(two) == 1
        if canceled:
            await here.cancel(job)
        else:
            gateway.go.set()
        assert await job.finished(30)
        assert (job.status, job.error.code) == ("failed", "L006")
        await here.close()

    asyncio.run(ask())


def test_a_question_that_was_canceled_before_it_began_is_no_gateways(join, tmp_path):
    one = join()

    async def cancel():
        here = table(one, Refusing(), tmp_path)
        job = here.submit(request(1))
        await here.cancel(job)
        await here.accepted(job)
        assert (job.status, one.kept.find(job.id, LIN)) == ("canceled", None)
        await here.close()

    asyncio.run(cancel())
