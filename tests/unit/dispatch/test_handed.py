"""A node is asked once what it holds, told what is newer, and not told twice what it refused."""

import asyncio

import pytest

from middleplatform.dispatch.handed import Handed, Signed
from middleplatform.errors import ProtocolError, SourceError


class Desk:
    """Documents up to a number, and a node that writes down what it is handed."""

    def __init__(self, holds=0):
        self.holds, self.newest, self.granted = holds, 0, 1
        self.calls, self.fails = [], {}
        self.handed = Handed("ga", self.held, self.policy, self.grant)
        self.handed.documents = self

    def policies(self, after):
        return [Signed(n, b"", b"") for n in range(max(after, self.newest - 2) + 1, self.newest + 1)]  # fmt: skip

    def grants(self, after):
        return Signed(self.granted, b"", b"") if self.granted > after else None

    async def held(self):
        self.calls.append("held")
        return self.holds

    async def policy(self, document):
        self._called(f"policy {document.number}")
        self.holds = document.number
        return self.holds

    async def grant(self, document):
        self._called(f"grants {document.number}")
        return self.holds

    def _called(self, what):
        self.calls.append(what)
        if what in self.fails:
            raise self.fails[what]

    def told(self):
        """Return what is handed over before the next fragment."""
        self.calls.clear()
        asyncio.run(self.handed.up_to_date())
        return list(self.calls)


def test_what_is_newer_is_handed_over_once_and_in_order():
    desk = Desk(holds=1)
    desk.newest = 3
    assert desk.told() == ["held", "grants 1", "policy 2", "policy 3"]
    assert desk.told() == []
    desk.newest, desk.granted = 4, 2
    assert desk.told() == ["grants 2", "policy 4"]


def test_without_documents_nothing_is_asked():
    desk = Desk()
    desk.handed.documents = None
    assert desk.told() == []


def test_what_a_node_refuses_is_not_sent_to_it_again():
    desk = Desk()
    desk.newest, desk.fails = 1, {"policy 1": ProtocolError("X009", department="ga", what="old")}
    assert desk.told() == ["held", "grants 1", "policy 1"]
    assert desk.told() == []
    desk.newest = 2
    assert desk.told() == ["policy 2"]


def test_a_node_that_cannot_be_reached_is_told_next_time():
    desk = Desk()
    desk.newest, desk.fails = 1, {"policy 1": SourceError("S001", department="ga")}
    with pytest.raises(SourceError):
        desk.told()
    desk.fails = {}
    assert desk.told() == ["policy 1"]


@pytest.mark.parametrize(("holds", "lost"), [(0, True), (1, False), (2, False)])
def test_a_node_that_holds_less_than_it_was_handed_is_told_again(holds, lost):
    desk = Desk()
    desk.newest = 1
    desk.told()
    desk.holds = holds
    assert asyncio.run(desk.handed.lost()) is lost
    assert desk.told() == (["grants 1", "policy 1"] if lost else [])


def test_where_nothing_was_handed_over_nothing_can_be_lost():
    desk = Desk()
    desk.told()
    assert asyncio.run(desk.handed.lost()) is False
    desk.handed.documents = None
    assert asyncio.run(desk.handed.lost()) is False
    assert desk.calls == ["held", "grants 1"]


def test_a_node_that_has_lost_its_documents_says_so_with_the_next_grants():
    desk = Desk()
    desk.newest = 1
    desk.told()
    desk.holds, desk.granted = 0, 2
    assert desk.told() == ["grants 2", "policy 1"]
