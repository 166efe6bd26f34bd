"""Do answer times tell whether a question hit anybody? Two samples of a thousand requests each, on policy's grid."""

import asyncio
import random
import time
from dataclasses import replace

import pooled_world as world
import pytest
from asking import ANALYST, opened
from scipy.stats import ks_2samp

REQUESTS = 2_000
"""Both samples together."""
GRID_MS = 250
SLOWER_S = 0.02
"""What a hit takes longer, made here: a real department's difference hangs on its data and machine."""
AT_ONCE = 5
CERTAIN, UNTOLD = 1e-6, 1e-4

HIT = "SELECT COUNT(*) AS n FROM ga.people AS p WHERE p.birth_year < 2000"
MISS = "SELECT COUNT(*) AS n FROM ga.people AS p WHERE p.birth_year < 1900"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway whose departments take longer where somebody is hit."""
    folder = tmp_path_factory.mktemp("times")
    world.write_data(folder / "data", world.rows())
    catalog, bundle = world.write_rules(folder, world.STRICT)
    with opened(folder / "state", folder / "data", catalog, bundle) as platform:
        local = platform.gateway.dispatcher.local

        async def slower(fragment):
            found = await local(fragment)
            if found.cells["m0"].null_count:
                await asyncio.sleep(SLOWER_S)
            return found

        platform.gateway.dispatcher.local = slower
        platform.gateway.queries_max = AT_ONCE
        yield platform.gateway


def times(gateway, grid_ms, requests, at_once):
    """Return the seconds of hits and of misses, asked in random order, a few at once."""
    gateway.bundle = replace(
        gateway.bundle, limits=replace(gateway.bundle.limits, answer_grid_ms=grid_ms)
    )
    asked = [HIT, MISS] * (requests // 2)
    random.Random(grid_ms).shuffle(asked)
    found = {HIT: [], MISS: []}

    async def asking():
        while asked:
            sql = asked.pop()
            request = gateway.request(sql, ANALYST, "statistics")
            began = time.perf_counter()
            await gateway.submit(request)
            found[sql].append(time.perf_counter() - began)

    async def all_of_them():
        await asyncio.gather(*(asking() for _ in range(at_once)))

    asyncio.run(all_of_them())
    return found[HIT], found[MISS]


def steps(seconds):
    """Return on which step of the grid each answer left: what lies within one is the reader's own clock."""
    return [round(each * 1000 / GRID_MS) for each in seconds]


def test_without_the_grid_times_tell(gateway):
    """The control: the test finds what there is to find, from a tenth of the requests."""
    hits, misses = times(gateway, 0, REQUESTS // 10, 1)
    assert ks_2samp(hits, misses, method="asymp").pvalue < CERTAIN


def test_on_the_grid_times_tell_nothing(gateway):
    hits, misses = times(gateway, GRID_MS, REQUESTS, AT_ONCE)
    assert len(hits) + len(misses) >= REQUESTS
    assert ks_2samp(hits, misses, method="asymp").pvalue > UNTOLD
    assert ks_2samp(steps(hits), steps(misses), method="asymp").pvalue > UNTOLD
    assert min(hits + misses) >= GRID_MS / 1000
