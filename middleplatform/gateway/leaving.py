"""When an answer leaves: at whole multiples of policy's grid, so that its time tells nothing of data.

A refusal, a failure and an answer leave alike. What takes longer than one step leaves with the next: the step is
chosen longer than questions usually take, and what remains to be told is how many steps, not when within one.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["on_grid", "remaining_s"]


@asynccontextmanager
async def on_grid(grid_ms: int) -> AsyncIterator[None]:
    """Have what is within leave on the grid, whether it returns or raises.

    A cancelled question ends at once: nobody waits for it.

    Args:
        grid_ms: Milliseconds of a step, at least 0.
    """
    came = time.monotonic()
    try:
        yield
    except asyncio.CancelledError:
        raise
    except BaseException:
        await asyncio.sleep(remaining_s(time.monotonic() - came, grid_ms))
        raise
    await asyncio.sleep(remaining_s(time.monotonic() - came, grid_ms))


def remaining_s(passed_s: float, grid_ms: int) -> float:
    """Return the seconds from now to the next step of the grid.

    Args:
        passed_s: Seconds since the question came, at least 0.
        grid_ms: Milliseconds of a step; 0 for no grid.

    Returns:
        0 to one step; 0 without a grid.
    """
    if not grid_ms:
        return 0.0
    step = grid_ms / 1000
    return math.ceil(passed_s / step) * step - passed_s
