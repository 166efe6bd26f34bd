"""A list of 1,200,000 rows between real processes: within the limits of messages and of memory, and given up in between."""

import asyncio
import signal
from pathlib import Path

import duckdb
import pooled_world as made
import pytest
from join_processes import Rules, running_joins
from node_world import until

from middleplatform.dispatch.dispatcher import KEY_HOLDER

PEOPLE, VISITS = 20_000, 1_200_000
PARTIES = ("ga", "hb", KEY_HOLDER)
MEMORY_MIB = 700
"""What no process may exceed at its peak: the list is 29 MB, and a process without data some 110 MiB."""

SQL = (
    "SELECT p.region AS d0, COUNT(*) AS a0 FROM hb.visits AS v JOIN ga.people AS p ON p.id = v.id"
    " WHERE v.days >= 0 GROUP BY 1"
)
_IDS = "(990101190001010000 + {})::VARCHAR"
_LOADED = {
    "people": f"""
        SELECT {_IDS.format("n * 60")} AS id, 'H' || n AS household, ['东区', '西区', '南区'][1 + n % 3] AS region,
            '男' AS sex, 1950 AS birth_year, TRUE AS local, DATE '2020-01-01' AS joined, 1::DECIMAL(14, 2) AS income,
            1::BIGINT AS score, 1::DECIMAL(8, 4) AS fee, 's' AS secret, 1::DECIMAL(14, 2) AS salary
        FROM range({PEOPLE}) AS r (n)""",
    "visits": f"""
        SELECT {_IDS.format("n")} AS id, '门诊' AS kind, DATE '2022-01-01' AS on_date, 1::DECIMAL(14, 2) AS cost,
            (n % 7)::BIGINT AS days, 'x' AS note
        FROM range({VISITS}) AS r (n)""",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    rules = Rules(*made.write_rules(folder, made.EXACT))
    rows = made.rows()
    made.write_data(folder / "data", {name: rows[name] for name in ("ga", "hb")})
    for department, table in (("ga", "people"), ("hb", "visits")):
        with duckdb.connect(str(folder / "data" / f"{department}.duckdb")) as connection:
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"INSERT INTO {table} {_LOADED[table]}")
    sources = {
        name: rules.source("duckdb", {"path": str(folder / "data" / f"{name}.duckdb"), "threads": "1"})
        for name in ("ga", "hb")
    }  # fmt: skip
    with running_joins(folder / "parties", rules, sources, deadline_s=60) as found:
        yield found


@pytest.fixture(scope="module")
def right(world):
    return world.answered(SQL)


def peak_mib(pid):
    """Return the most memory that a process held, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) >> 10


def test_a_list_in_three_parts_travels_within_the_limits_of_messages_and_memory(world, right):
    assert list(right) == [("东区", 6667), ("南区", 6666), ("西区", 6667)]
    with world.recorded() as exchanges:
        assert world.ask(SQL).rows == right
    parts = [each for each in exchanges if (each.department, each.name) == ("hb", "join_rows")]
    assert [len(each.reply) // 1_000_000 for each in parts] == [12, 12, 4]
    body = max(max(len(each.body), len(each.reply)) for each in exchanges)
    assert body < 64 << 20
    peaks = {name: peak_mib(world.pid(name)) for name in PARTIES}
    assert max(peaks.values()) < MEMORY_MIB, peaks


def test_an_analyst_who_gives_up_between_two_parts_ends_the_work_everywhere(world, right):
    world.fail("hb", "join_rows", "stop", number=1)

    async def given_up():
        asked = asyncio.ensure_future(world.submitted(SQL, "f" * 32))
        await asyncio.to_thread(until, lambda: world.stopped("hb"), "the second part")
        for name in ("ga", KEY_HOLDER):
            assert await asyncio.to_thread(world.metric, name, "joins") == 1
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert asked.cancelled()

    asyncio.run(given_up())
    assert world.holds_no_round(["ga", KEY_HOLDER]), (
        "told at once, though one party does not answer"
    )
    world.wake("hb")
    until(lambda: world.at_rest(PARTIES), "the end of the round at the party that was stopped")
    for name in PARTIES:
        (taken, _), (event, entry) = world.party_entries(name, "f" * 32)
        # Who was stopped may find its part sent before it sees that nobody is there; then the round just ends.
        codes = {"L003", "S002"} if name == "hb" else {"L003"}
        assert (taken, event) == ("received", "failed")
        assert entry["code"] in codes
    entries = [each.record.body for each in world.platform.gateway.audit.entries()]
    assert [each.get("code") for each in entries if each.get("query_id") == "f" * 32] == [
        None,
        "L003",
    ]
    assert world.ask(SQL).rows == right


def test_an_analyst_who_gives_up_while_lists_are_made_ends_the_statement(world, right):
    world.fail("hb", "join_list", "stop")

    async def given_up():
        asked = asyncio.ensure_future(world.submitted(SQL, "e" * 32))
        await asyncio.to_thread(until, lambda: world.stopped("hb"), "the statement")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(given_up())
    world.send("hb", signal.SIGCONT)
    until(lambda: world.at_rest(PARTIES), "the end of the statement")
    events = [(event, entry.get("code")) for event, entry in world.party_entries("hb", "e" * 32)]
    assert events[0] == ("received", None)
    assert {code for _, code in events[1:]} == {"L003"}
    assert world.ask(SQL).rows == right
