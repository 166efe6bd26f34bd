"""Does a gate bound what it holds, also when callers leave and sources hang?"""

import asyncio
import threading

import pytest

from middleplatform.errors import LimitError, MiddleplatformError, SourceError
from middleplatform.node.server.gate import Gate


def never():
    return asyncio.get_running_loop().create_future()


def left():
    gone = asyncio.get_running_loop().create_future()
    gone.set_result(None)
    return gone


async def code_of(gate, work, gone=never):
    try:
        await gate.run(work, gone)
    except MiddleplatformError as error:
        return error.code
    return "ok"


def test_callers_that_leave_do_not_make_room_while_their_calls_wait():
    release = threading.Event()

    async def scene():
        gate = Gate("ga", 1, 2, 60)
        hung = asyncio.ensure_future(gate.run(lambda _: release.wait(30), never))
        await asyncio.sleep(0)
        codes = [await code_of(gate, lambda _: None, left) for _ in range(5)]
        release.set()
        await hung
        gate.close()
        while gate.running:  # noqa: ASYNC110 - all places are free in the end, and nothing tells when
            await asyncio.sleep(0)
        return codes

    assert asyncio.run(scene()) == ["L003", "L003", "L001", "L001", "L001"]


def test_a_late_call_keeps_its_place_until_its_thread_is_done():
    release = threading.Event()

    async def scene():
        gate = Gate("ga", 1, 0, 0.01)
        with pytest.raises(SourceError) as late:
            await gate.run(lambda _: release.wait(30), never)
        with pytest.raises(LimitError) as busy:
            await gate.run(lambda _: None, never)
        release.set()
        while gate.running:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        again = await gate.run(lambda _: "answer", never)
        gate.close()
        return late.value.code, busy.value.code, again

    assert asyncio.run(scene()) == ("S002", "L001", "answer")
