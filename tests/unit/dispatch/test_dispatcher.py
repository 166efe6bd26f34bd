"""The dispatcher relays and checks receipts; a link keeps its deadline."""

import threading
from dataclasses import replace

import made_world as made
import pytest

from middleplatform.crypto.receipts import ReceiptFields, sign_receipt, verify_receipt
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.dispatch.link import InProcessLink
from middleplatform.errors import ProtocolError, SourceError

SQL = 'SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0"'


class Forging:
    """Answers rightly but for the receipt."""

    department = "ga"

    def __init__(self, link, forge):
        self.link, self.forge = link, forge

    async def answer(self, raw, signature):
        found = await self.link.answer(raw, signature)
        return replace(found, receipt=self.forge(found.receipt))


def dispatch(platform, link, fragment):
    dispatcher = Dispatcher({"ga": link}, platform.keys["gateway"], platform.pins)
    return made.wait(dispatcher.local(fragment))


def test_an_answer_with_its_own_receipt_comes_back(platform):
    fragment = platform.fragment(SQL)
    found = dispatch(platform, platform.links["ga"], fragment)
    assert verify_receipt(found.receipt, "ga", platform.pins).fragment_digest == fragment.digest()


def receipt(platform, fragment, *, key="ga", **changes):
    values = {
        "query_id": fragment.query_id, "fragment_digest": fragment.digest(), "policy_digest": "0" * 64, "protocol": "local", "cells": 1, "result_digest": "0" * 64,
    }  # fmt: skip
    return sign_receipt(platform.keys[key], ReceiptFields(**{**values, **changes}))


@pytest.mark.parametrize(
    "case", ["another query", "another fragment", "another key", "cut", "none"]
)
def test_a_receipt_that_does_not_fit_is_refused(platform, case):
    fragment = platform.fragment(SQL)
    forged = {
        "another query": receipt(platform, fragment, query_id="other"), "another fragment": receipt(platform, fragment, fragment_digest="1" * 64),
        "another key": receipt(platform, fragment, key="c1"), "cut": receipt(platform, fragment)[:-4], "none": "",
    }[case]  # fmt: skip
    with pytest.raises(ProtocolError) as caught:
        dispatch(platform, Forging(platform.links["ga"], lambda _: forged), fragment)
    assert caught.value.code == "X001"


def test_a_department_without_a_link_is_unreachable(platform):
    with pytest.raises(SourceError) as caught:
        platform.dispatcher.link("nowhere")
    assert caught.value.code == "S001"


class Stuck:
    department = "ga"

    def __init__(self):
        self.released = threading.Event()

    def answer(self, raw, signature, stop):
        del raw, signature
        stop.wait(30)
        self.released.set()


def test_a_late_department_is_given_up_and_its_work_ends():
    node = Stuck()
    with pytest.raises(SourceError) as caught:
        made.wait(InProcessLink(node, None, 0.05).answer(b"", b""))
    assert (caught.value.code, caught.value.parts["department"]) == ("S002", "ga")
    assert node.released.wait(30)
