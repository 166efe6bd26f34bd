"""A network that is late, cut, half-open, silent, dribbling or doubled between gateway and node: one clear error in
bounded time or the right answer, never a wrong one, and the next question is answered.
"""

import asyncio

import pytest
from fault_proxy import Fault, FaultProxy
from node_world import PEOPLE, duckdb_sources, running_world, until


@pytest.fixture(scope="module")
def world(demo_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    with running_world(folder, duckdb_sources(demo_data, ["ga"]), deadline_s=2) as found:
        yield found


@pytest.fixture(scope="module")
def proxy(world):
    port = int(world.address("ga").rpartition(":")[2])
    with FaultProxy(port) as found:
        world.admit("ga", f"127.0.0.1:{found.port}")
        yield found


@pytest.fixture(scope="module")
def right(world, proxy):
    found = world.answered(PEOPLE)
    assert proxy.accepted, "the gateway goes past the proxy"
    return found


@pytest.fixture(scope="module")
def place(world, proxy, right):
    """Return the number of bytes after a part of all that one question carries on a connection of its own."""
    proxy.cut()
    world.has_noticed()
    proxy.befall()
    assert world.answered(PEOPLE) == right
    whole = dict(proxy.carried)

    def found(way, part):
        # Names of projects differ in length: the whole ends a little earlier.
        return int((whole[way] - 80) * part)

    return found


@pytest.fixture(autouse=True)
def _healed(world, proxy, right):
    """Begin without open connections; end with the right answer and nothing under way."""
    proxy.cut()
    world.has_noticed()
    yield
    proxy.befall()
    assert world.answered(PEOPLE) == right
    until(world.at_rest, "a node at rest")


def failed(world, codes):
    """Ask: it must fail with one of these codes, and the platform's log must say so."""
    found = world.ask(PEOPLE)
    assert found.code in codes
    assert world.entries(found) == [("received", ""), ("failed", found.code)]


def test_a_slow_network_within_the_deadline_changes_no_answer(world, proxy, right):
    proxy.befall(Fault(delay_s=0.1))
    assert world.answered(PEOPLE) == right


def test_a_network_slower_than_the_deadline_is_late(world, proxy):
    proxy.befall(Fault(delay_s=2.5))
    failed(world, {"S002"})


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("part", [0, 0.2, 0.5, 1])
def test_a_connection_cut_anywhere_each_time_is_unreachable(world, proxy, place, way, part):
    proxy.befall(Fault(**{f"{way}_max": place(way, part)}))
    failed(world, {"S001"})


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_connection_cut_once_is_survived_by_another_attempt(world, proxy, right, place, way):
    proxy.befall(Fault(**{f"{way}_max": place(way, 1)}, times=1))
    found = world.ask(PEOPLE)
    assert (found.code, found.rows) == ("", right)
    assert world.entries(found)[-1] == ("released", "")


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("part", [0.3, 1])
def test_a_connection_that_falls_silent_is_late_never_for_ever(world, proxy, place, way, part):
    proxy.befall(Fault(**{f"{way}_max": place(way, part)}, then="silence"))
    failed(world, {"S002"})


def test_a_half_open_connection_is_late_never_for_ever(world, proxy):
    proxy.befall(Fault(deaf=True))
    failed(world, {"S002"})


def test_a_reply_that_dribbles_in_is_the_right_one_or_late(world, proxy, right):
    proxy.befall(Fault(piece=50))
    assert world.answered(PEOPLE) == right
    proxy.cut()
    world.has_noticed()
    proxy.befall(Fault(piece=1))
    found = world.ask(PEOPLE)
    assert (found.code, found.rows) in (("", right), ("S002", ()))


def test_connections_that_come_twice_change_no_answer(world, proxy, right):
    proxy.befall(Fault(doubled=True))
    found = world.ask(PEOPLE)
    assert (found.code, found.rows) == ("", right)
    assert [event for event, _ in world.node_entries("ga", found)] == ["released"]


def test_an_idle_connection_that_was_cut_is_survived(world, proxy, right):
    assert world.answered(PEOPLE) == right
    proxy.cut()
    found = world.ask(PEOPLE)
    assert (found.code, found.rows) == ("", right)


def test_an_idle_connection_that_fell_silent_is_late_once_and_not_used_again(world, proxy, right):
    assert world.answered(PEOPLE) == right
    proxy.silence()
    failed(world, {"S002"})
    found = world.ask(PEOPLE)
    assert (found.code, found.rows) == ("", right)


def test_questions_over_a_network_that_is_cut_once_anywhere_are_all_answered_right(
    world, proxy, right, place
):
    for step in range(12):
        proxy.cut()
        world.has_noticed()
        way = "up" if step % 2 else "down"
        proxy.befall(Fault(**{f"{way}_max": place(way, step / 12)}, times=1))
        found = world.ask(PEOPLE)
        assert (found.code, found.rows) == ("", right)


def test_a_caller_who_gives_up_ends_the_call_at_the_node(world, proxy):
    gateway = world.platform.gateway

    async def given_up():
        request = gateway.request(PEOPLE, world.analyst, "statistics")
        asked = asyncio.ensure_future(gateway.submit(request))
        await asyncio.to_thread(until, lambda: proxy.accepted > before, "a connection")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert asked.cancelled()

    before = proxy.accepted
    proxy.befall(Fault(deaf=True))
    asyncio.run(given_up())
