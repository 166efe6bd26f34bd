"""Simulations at work: one after the other, few at once, ended before the next statement."""

import asyncio
import threading
from itertools import count
from types import SimpleNamespace

import pytest
from policy_world import files, small_catalog

from middleplatform.access.operator_log import OperatorLog
from middleplatform.audit.entry import LogEntry
from middleplatform.errors import ConfigError, LimitError, QueryError
from middleplatform.governance.simulation import Simulation
from middleplatform.model.request import Role, Subject
from middleplatform.web.simulating import begin
from middleplatform.web.simulations import Simulations, Trial
from tests.fakes.doors import CountingRng, HandClock

HAN, LU = (Subject(name, "db", frozenset({Role.SECURITY_OFFICER})) for name in ("han", "lu"))
ENTRY = b'{"event": "start", "body": {}}'
FOUND = Simulation("ab" * 32, "cd" * 32, ())


def run(tmp_path, script):
    async def scene():
        log = OperatorLog(tmp_path / "operator.log", HandClock(), CountingRng())
        table = Simulations(CountingRng(), log)
        async with asyncio.timeout(20):
            try:
                return await script(table)
            finally:
                await table.close()

    return asyncio.run(scene())


def gated(gate, seen=None):
    """Return work of three statements that waits at the second."""

    def work(hear):
        for done in (1, 2, 3):
            hear("simulate", done, 3)
            if seen is not None:
                seen.append(done)
            if done == 2:
                gate.wait(10)
        return FOUND

    return work


def test_one_is_at_work_and_few_wait(tmp_path):
    gate = threading.Event()

    async def script(table):
        jobs = [table.start(HAN, gated(gate)) for _ in range(4)]
        with pytest.raises(LimitError) as caught:
            table.start(LU, gated(gate))
        gate.set()
        for job in jobs:
            await job.ended.wait()
        return caught.value.code, [(job.status, job.done, job.total, job.result) for job in jobs]

    assert run(tmp_path, script) == ("L001", [("finished", 3, 3, FOUND)] * 4)


def test_one_that_is_ended_judges_no_further_statement(tmp_path):
    gate, seen = threading.Event(), []

    async def script(table):
        first, waiting = table.start(HAN, gated(gate, seen)), table.start(HAN, gated(gate, seen))
        while not seen[1:]:  # noqa: ASYNC110 - a thread is waited for
            await asyncio.sleep(0)
        for job in (first, waiting):
            table.cancel(job)
        gate.set()
        await table.close()
        return first.status, waiting.status, first.result

    assert run(tmp_path, script) == ("canceled", "canceled", None)
    assert seen == [1, 2]


def test_a_failure_tells_its_code_and_no_text_of_a_library(tmp_path):
    def broken(_):
        raise KeyError("990101199001011234")

    def refused(_):
        raise ConfigError("C001", what=("x", "x"))

    async def script(table):
        jobs = [table.start(HAN, work) for work in (broken, refused)]
        for job in jobs:
            await job.ended.wait()
        return [(job.status, job.error.code) for job in jobs]

    assert run(tmp_path, script) == [("failed", "C099"), ("failed", "C001")]
    assert "1990" not in (tmp_path / "operator.log").read_text()


def test_the_last_sixteen_are_kept_each_for_its_officer(tmp_path):
    async def script(table):
        jobs = []
        for _ in range(17):
            jobs.append(table.start(HAN, lambda _: FOUND))
            await jobs[-1].ended.wait()
        with pytest.raises(QueryError):
            table.find(jobs[0].id, HAN)
        with pytest.raises(QueryError):
            table.find(jobs[1].id, LU)
        table.cancel(jobs[1])
        return table.find(jobs[1].id, HAN).status

    assert run(tmp_path, script) == "finished"


def test_one_is_ended_while_it_reads_a_long_log(tmp_path):
    read = threading.Event()

    def endless():
        for number in count():
            if number == 3:
                read.set()
            yield LogEntry(number, ENTRY)

    async def script(table):
        desk = SimpleNamespace(clock=HandClock())
        lifecycle = SimpleNamespace(desk=desk, catalog=small_catalog())
        log = SimpleNamespace(entries=endless)
        job = await begin(table, HAN, lifecycle, log, Trial(files=files()))
        await asyncio.to_thread(read.wait, 10)
        table.cancel(job)
        await table.close()
        return job.status

    assert run(tmp_path, script) == "canceled"
