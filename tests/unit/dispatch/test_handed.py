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

    async def grant(self, document):
        self._called(f"grants {document.number}")

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
    assert desk.told() == ["held", "policy 2", "policy 3", "grants 1"]
    assert desk.told() == []
    desk.newest, desk.granted = 4, 2
    assert desk.told() == ["policy 4", "grants 2"]


def test_without_documents_nothing_is_asked():
    desk = Desk()
    desk.handed.documents = None
    assert desk.told() == []


def test_what_a_node_refuses_is_not_sent_to_it_again():
    desk = Desk()
    desk.newest, desk.fails = 1, {"policy 1": ProtocolError("X009", department="ga", what="old")}
    assert desk.told() == ["held", "policy 1", "grants 1"]
    assert desk.told() == []
    desk.newest = 2
    assert desk.told() == ["policy 2"]


def test_a_node_that_cannot_be_reached_is_told_next_time():
    desk = Desk()
    desk.newest, desk.fails = 1, {"policy 1": SourceError("S001", department="ga")}
    with pytest.raises(SourceError):
        desk.told()
    desk.fails = {}
    assert desk.told() == ["policy 1", "grants 1"]


@pytest.mark.parametrize(("says", "lost"), [(0, True), (1, False), (2, False), (None, False), ("0", False), (True, False)])  # fmt: skip
def test_a_node_that_says_that_it_holds_less_is_asked_and_told_again(says, lost):
    desk = Desk()
    desk.newest = 1
    desk.told()
    assert desk.handed.heard(says) is lost
    assert desk.told() == (["held", "policy 1", "grants 1"] if lost else [])
