"""A department that drops out: another attempt under fresh keys and masks, then one clear error; nothing stays anywhere."""

import asyncio
import threading
from dataclasses import replace

import made_platform
import made_world as made
import pytest

from middleplatform.crypto.messages import Hello, MaskedVector
from middleplatform.crypto.sum_words import round_context, round_key
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.errors import MiddleplatformError, ProtocolError, SourceError
from middleplatform.model.plan import Layout, Population
from middleplatform.model.query import Field
from middleplatform.node.served import ServedFragments

SUM = "SELECT SUM(staff) AS s, COUNT(*) AS n FROM city.firm"
STEPS = ["hello", "agree", "codes", "cells", "ladder", "reveal"]


class Recorder:
    """A link that keeps what crosses it and fails at one step, before or after the node took it."""

    def __init__(self, link, step="", failures=0, *, code="S001", heard=True):
        self.link, self.step, self.failures, self.code, self.heard = link, step, failures, code, heard  # fmt: skip
        self.department, self.crossed = link.department, []

    def __getattr__(self, name):
        whole = getattr(self.link, name)

        async def call(*args):
            fails = name == self.step and self.failures > 0
            if fails:
                self.failures -= 1
            if fails and not self.heard:
                raise SourceError(self.code, department=self.department)
            answer = await whole(*args)
            self.crossed.append((name, args, answer))
            if fails:
                error = ProtocolError if self.code.startswith("X") else SourceError
                raise error(self.code, department=self.department)
            return answer

        return call

    def answers(self, name):
        return [answer for step, _, answer in self.crossed if step == name]

    def calls(self, name):
        return [args for step, args, _ in self.crossed if step == name]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    bundle = made_platform.with_parameters(homogeneity=False)
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path_factory.mktemp("retry"), bundle, rows) as platform:
        yield platform


@pytest.fixture
def plain(small):
    small.use_link(small.links["c2"])
    return made.rows_of(small.ask(SUM).release.table)


def nothing_left(platform):
    return not any(len(rounds) for rounds in platform.rounds.values())


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_a_department_lost_once_is_asked_again_and_the_answer_is_right(small, plain, step, heard):
    link = Recorder(small.links["c2"], step, 1, heard=heard)
    small.use_link(link)
    assert made.rows_of(small.ask(SUM).release.table) == plain
    assert [event for event, _ in small.entries()][-2:] == ["received", "released"]
    assert nothing_left(small)


@pytest.mark.parametrize("step", STEPS)
def test_a_department_lost_twice_is_named_and_nothing_is_released(small, step):
    small.use_link(Recorder(small.links["c2"], step, 2))
    with pytest.raises(SourceError) as caught:
        small.ask(SUM)
    assert (caught.value.code, caught.value.parts["department"]) == ("S001", "c2")
    assert [event for event, _ in small.entries()][-2:] == ["received", "failed"]
    assert nothing_left(small)


def test_the_second_attempt_has_fresh_keys_and_masks(small):
    links = {name: Recorder(link) for name, link in small.links.items()}
    links["c2"] = Recorder(small.links["c2"], "cells", 1)
    small.gateway.dispatcher = type(small.dispatcher)(links, small.keys["gateway"], small.pins)
    small.ask(SUM)
    for name in made_platform.CITY:
        first, second = [Hello.from_bytes(raw) for raw in links[name].answers("hello")]
        assert first.exchange_key != second.exchange_key
        assert first.context_digest != second.context_digest
    before, after = [MaskedVector.from_bytes(raw).words for raw in links["c2"].answers("cells")]
    assert (before != after).all()
    codes = links["c2"].answers("codes")
    assert codes[0][-80:-64] != codes[1][-80:-64]


def test_the_lost_attempt_is_refused_for_good(small):
    link = Recorder(small.links["c2"], "cells", 1)
    small.use_link(link)
    small.ask(SUM)
    node, rounds = small.nodes["c2"], small.rounds["c2"]
    for raw, signature in link.calls("hello"):
        node.served = ServedFragments(
            None, node.clock
        )  # as after a restart: the durable record alone must refuse
        with pytest.raises(ProtocolError) as caught:
            rounds.hello(raw, signature)
        assert caught.value.code == "X002"
    key = link.calls("agree")[0][0]
    with pytest.raises(ProtocolError):
        rounds.cells(key, link.calls("cells")[0][1])


def test_a_retry_with_another_cohort_is_refused(small):
    """Else the gateway would drop a department and learn its values by subtraction."""
    sql = 'SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"'
    fragment = small.fragment(sql, "c2", "secure_sum")
    small.rounds["c2"].hello(*small.signed(fragment))
    small.rounds["c2"].drop(round_key(fragment))
    fewer = replace(fragment, cohort=("c1", "c2"), attempt=2)
    with pytest.raises(ProtocolError) as caught:
        small.rounds["c2"].hello(*small.signed(fewer))
    assert caught.value.code == "X003"
    # And should a table ever lie with fewer than all of its holders, the record of rounds still refuses.
    layout = Layout(Field("t0", "code"), (Population(None, (), strict=False),), (), (), (), (), ())
    used = MemoryUsedRounds()
    used.claim(round_context(fragment, layout))
    with pytest.raises(ProtocolError) as caught:
        used.claim(round_context(fewer, layout))
    assert caught.value.code == "X002"


@pytest.mark.parametrize("code", ["S002", "S003", "X001"])
def test_only_a_department_that_cannot_be_reached_is_asked_again(small, code):
    link = Recorder(small.links["c2"], "cells", 1, code=code)
    small.use_link(link)
    with pytest.raises(MiddleplatformError) as caught:
        small.ask(SUM)
    assert caught.value.code == code
    assert len(link.calls("hello")) == 1
    assert nothing_left(small)


def test_a_cancelled_question_leaves_no_round(small):
    reached, resume = threading.Event(), threading.Event()

    class Slow(Recorder):
        async def cells(self, *args):
            reached.set()
            await asyncio.to_thread(resume.wait, 20)
            return await self.link.cells(*args)

    small.use_link(Slow(small.links["c2"]))

    async def ask_and_cancel():
        task = asyncio.ensure_future(small.gateway.submit(small.request(SUM)))
        await asyncio.to_thread(reached.wait, 20)
        task.cancel()
        resume.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    made.wait(ask_and_cancel())
    assert nothing_left(small)


def test_a_department_that_never_answers_does_not_hold_up_the_error_of_another(small):
    """The first failure ends the wait; who hangs is cancelled."""
    cancelled = threading.Event()

    class Hanging(Recorder):
        async def agree(self, *_):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

    links = {**small.links, "c3": Hanging(small.links["c3"]), "c2": Recorder(small.links["c2"], "agree", 9)}  # fmt: skip
    small.gateway.dispatcher = type(small.dispatcher)(links, small.keys["gateway"], small.pins)
    with pytest.raises(SourceError) as caught:
        small.ask(SUM)
    assert caught.value.parts["department"] == "c2"
    assert cancelled.is_set()
    assert nothing_left(small)
