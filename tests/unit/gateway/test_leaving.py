"""Answers and refusals leave on the grid of policy."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.errors import DisclosureError
from middleplatform.gateway.leaving import on_grid, remaining_s


@given(passed=st.floats(0, 100), grid=st.integers(1, 5000))
def test_what_remains_ends_on_a_step_and_is_at_most_one(passed, grid):
    remaining = remaining_s(passed, grid)
    assert 0 <= remaining <= grid / 1000
    steps = (passed + remaining) / (grid / 1000)
    assert abs(steps - round(steps)) < 1e-6


def test_without_a_grid_nothing_waits():
    assert remaining_s(0.123, 0) == 0


async def within(seconds, grid, error=None):
    came = time.monotonic()
    try:
        async with on_grid(grid):
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
    except DisclosureError as found:
        assert found is error  # noqa: PT017 - the time matters too
    return time.monotonic() - came


@pytest.mark.parametrize("error", [None, DisclosureError("D010", rule="R14")])
def test_what_is_quick_and_what_is_slow_leave_at_the_same_step(error):
    quick, slow = (asyncio.run(within(seconds, 300, error)) for seconds in (0.0, 0.1))
    assert quick >= 0.3
    assert slow >= 0.3


def test_what_needs_longer_leaves_with_the_next_step():
    assert asyncio.run(within(0.12, 100)) >= 0.2


def test_a_cancelled_question_ends_at_once():
    async def cancelled():
        asked = asyncio.create_task(within(30, 60_000))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(asyncio.wait_for(cancelled(), 20))
