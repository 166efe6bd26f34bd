"""A node's rounds: each step once and in order, few at a time, none for ever, no second vector under one mask."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import made_platform
import numpy as np
import pytest

from middleplatform.crypto.messages import MaskedVector
from middleplatform.crypto.sum_words import round_key
from middleplatform.errors import LimitError, MiddleplatformError, ProtocolError, SourceError
from middleplatform.node.open_rounds import OpenRounds, Step
from middleplatform.node.secure_round import SecureRounds

COUNT = 'SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"'
SUM = 'SELECT SUM("t0"."staff") AS "a0" FROM "city"."firm" AS "t0"'


class Ticks:
    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


class Cohort:
    """Three departments' rounds, driven by hand up to a step."""

    def __init__(self, platform, sql=SUM, **limits):
        self.platform = platform
        self.rounds = {
            name: SecureRounds(platform.nodes[name], **limits) for name in made_platform.CITY
        }
        self.fragments = dict.fromkeys(self.rounds)
        first = platform.fragment(sql, "c1", "secure_sum")
        for name in self.rounds:
            self.fragments[name] = platform.fragment(sql, name, "secure_sum", query_id=first.query_id)  # fmt: skip
        self.key = round_key(first)
        self.codes = ()

    def each(self, call):
        return {name: call(name, rounds) for name, rounds in self.rounds.items()}

    def until(self, step):
        """Take every step up to and with ``step`` at every department."""
        if step >= Step.HELLO:
            signed = self.platform.signed
            self.hellos = list(self.each(lambda name, rounds: rounds.hello(*signed(self.fragments[name]))).values())  # fmt: skip
        if step >= Step.AGREE:
            found = self.each(lambda _, rounds: rounds.agree(self.key, self.hellos))
            self.sealed = {name: raw for each in found.values() for name, raw in each.items()}
        if step >= Step.CODES:
            lists = self.each(lambda name, rounds: rounds.codes(self.key, self.sealed.get(name)))
            self.codes = [next(iter(lists.values()))[-64 - 16 : -64]]
        if step >= Step.CELLS:
            self.vectors = self.each(lambda _, rounds: rounds.cells(self.key, self.codes))
        if step >= Step.LADDER:
            self.each(lambda _, rounds: rounds.ladder(self.key, [[10**9]]))
        return self

    def take(self, step, name="c2"):
        """Take one step at one department."""
        rounds = self.rounds[name]
        return {
            Step.AGREE: lambda: rounds.agree(self.key, self.hellos),
            Step.CODES: lambda: rounds.codes(self.key, self.sealed.get(name)),
            Step.CELLS: lambda: rounds.cells(self.key, self.codes),
            Step.LADDER: lambda: rounds.ladder(self.key, [[10**9]]),
            Step.SEAL: lambda: rounds.seal(self.key, self.codes, b""),
            Step.REVEAL: lambda: rounds.reveal(self.key, self.codes),
        }[step]()


def refused(call):
    with pytest.raises(MiddleplatformError) as caught:
        call()
    return caught.value.code


STEPS = [Step.AGREE, Step.CODES, Step.CELLS, Step.LADDER]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_comes_twice_ends_the_round_here_and_only_here(platform, step):
    cohort = Cohort(platform).until(step)
    assert refused(lambda: cohort.take(step)) == "X002"
    assert len(cohort.rounds["c2"]) == 0
    for later in [each for each in Step if each > step]:
        assert refused(lambda later=later: cohort.take(later)) == "X001"
    assert len(cohort.rounds["c1"]) == 1


@pytest.mark.parametrize(
    ("done", "early"),
    [
        (Step.HELLO, Step.CODES), (Step.HELLO, Step.CELLS), (Step.AGREE, Step.CELLS), (Step.AGREE, Step.REVEAL),
        (Step.CODES, Step.LADDER),
    ],
)  # fmt: skip
def test_a_step_that_is_not_due_ends_the_round(platform, done, early):
    cohort = Cohort(platform).until(done)
    cohort.sealed = getattr(cohort, "sealed", {})
    assert refused(lambda: cohort.take(early)) == "X001"
    assert len(cohort.rounds["c2"]) == 0


def test_a_step_back_ends_the_round(platform):
    cohort = Cohort(platform).until(Step.LADDER)
    assert refused(lambda: cohort.take(Step.CELLS)) == "X002"
    assert refused(lambda: cohort.take(Step.REVEAL)) == "X001"


def test_labels_are_revealed_of_codes_that_the_cells_had_only(platform):
    cohort = Cohort(platform).until(Step.CODES)
    assert refused(lambda: cohort.take(Step.REVEAL, "c1")) == "X001"
    cohort = Cohort(platform).until(Step.CELLS)
    assert refused(lambda: cohort.rounds["c1"].reveal(cohort.key, [b"\xff" * 16])) == "X001"
    raw, receipt = cohort.take(Step.REVEAL)
    assert b"[]" in raw
    assert receipt.startswith("mpr1.")
    assert refused(lambda: cohort.take(Step.REVEAL)) == "X001"


def test_of_many_askers_at_once_at_most_one_gets_masked_cells(platform):
    for _ in range(5):
        cohort = Cohort(platform).until(Step.CODES)
        start = threading.Barrier(8)

        def ask(_, cohort=cohort, start=start):
            start.wait()
            try:
                return cohort.take(Step.CELLS)
            except ProtocolError:
                return None

        with ThreadPoolExecutor(8) as threads:
            given = [raw for raw in threads.map(ask, range(8)) if raw is not None]
        assert len(given) <= 1
        assert len(cohort.rounds["c2"]) == 0


@pytest.mark.parametrize(
    "totals",
    [[], [[10**9], [10**9]], [[]], [[1, 2]], [[-1]], [[2**127]], [[True]], [[1.5]], [["7"]]],
)
def test_a_ladder_of_impossible_totals_is_refused(platform, totals):
    cohort = Cohort(platform).until(Step.CELLS)
    assert refused(lambda: cohort.rounds["c2"].ladder(cohort.key, totals)) == "X001"
    assert len(cohort.rounds["c2"]) == 0


def ladder_sums(cohort, total):
    """Return the counts that a ladder of ``total`` gives, a rung each."""
    vectors = cohort.each(lambda _, rounds: rounds.ladder(cohort.key, [[total]]))
    words = sum(MaskedVector.from_bytes(raw).words for raw in vectors.values())
    return words.astype(np.int64).tolist()


def test_a_ladder_counts_units_by_their_share(platform):
    staff = [row[4] for row in platform.rows["firm"]]
    total = sum(staff)
    found = ladder_sums(Cohort(platform).until(Step.CELLS), total)
    assert found == [sum(100 * each > rung * total for each in staff) for rung in range(100)]
    few = max(staff)
    found = ladder_sums(Cohort(platform).until(Step.CELLS), few)
    assert found == [sum(100 * each > rung * few for each in staff) for rung in range(100)]


def test_a_made_up_total_shows_nothing_of_the_units_of_who_has_a_larger_one(platform):
    by_region = {}
    for row in platform.rows["firm"]:
        by_region.setdefault(row[1], []).append(row[4])
    total = max(max(each) for each in by_region.values()) - 1
    expected = [
        sum(len(each) if max(each) > total else sum(100 * one > rung * total for one in each) for each in by_region.values())
        for rung in range(100)
    ]  # fmt: skip
    assert ladder_sums(Cohort(platform).until(Step.CELLS), total) == expected
    assert ladder_sums(Cohort(platform).until(Step.CELLS), 1) == [len(platform.rows["firm"])] * 100


def test_a_third_attempt_is_refused(platform):
    rounds = SecureRounds(platform.nodes["c1"])
    fragment = platform.fragment(COUNT, "c1", "secure_sum", attempt=3)
    assert refused(lambda: rounds.hello(*platform.signed(fragment))) == "X001"
    assert len(rounds) == 0


def test_more_rounds_than_allowed_are_refused_and_a_place_comes_back(platform):
    rounds = SecureRounds(platform.nodes["c1"], rounds_max=2)
    fragments = [platform.fragment(COUNT, "c1", "secure_sum") for _ in range(4)]
    for fragment in fragments[:2]:
        rounds.hello(*platform.signed(fragment))
    with pytest.raises(LimitError) as caught:
        rounds.hello(*platform.signed(fragments[2]))
    assert caught.value.code == "L001"
    rounds.drop(round_key(fragments[0]))
    refused(lambda: rounds.hello(b"", b""))
    rounds.hello(*platform.signed(fragments[3]))
    assert len(rounds) == 2


def test_a_round_that_nobody_goes_on_with_is_forgotten(platform):
    ticks = Ticks()
    cohort = Cohort(platform, idle_s=10, now=ticks).until(Step.HELLO)
    ticks.at += 9
    cohort.take(Step.AGREE)
    ticks.at += 9
    rounds = cohort.rounds["c2"]
    rounds.sweep()
    assert len(rounds) == 1
    assert len(cohort.rounds["c1"]) == 1
    assert refused(lambda: cohort.take(Step.AGREE, "c1")) == "X001"
    ticks.at += 1
    rounds.sweep()
    assert len(rounds) == 0


def test_a_round_that_nobody_ended_has_an_end_in_the_nodes_log(platform):
    ticks = Ticks()
    cohort = Cohort(platform, idle_s=10, now=ticks).until(Step.HELLO)
    ticks.at += 11
    rounds = next(iter(cohort.rounds.values()))
    rounds.sweep()
    node = platform.nodes[next(iter(cohort.rounds))]
    last = list(node.journal.log.entries())[-1].record
    assert (last.event, last.body["code"], len(rounds)) == ("failed", "S002", 0)


def test_an_expired_round_makes_room_for_another(platform):
    ticks = Ticks()
    rounds = SecureRounds(platform.nodes["c1"], rounds_max=1, idle_s=10, now=ticks)
    first, second = (platform.fragment(COUNT, "c1", "secure_sum") for _ in range(2))
    rounds.hello(*platform.signed(first))
    ticks.at += 10
    rounds.hello(*platform.signed(second))
    assert len(rounds) == 1


class Content:
    """Something that a round holds."""


def test_a_forgotten_round_is_freed_without_any_further_call():
    gone = threading.Event()
    rounds = OpenRounds(idle_s=0.02)

    def fill():
        content = Content()
        weakref.finalize(content, gone.set)
        with rounds.opening() as put:
            put("r", content)

    fill()
    assert gone.wait(20)
    assert len(rounds) == 0


@pytest.mark.parametrize("end", ["drop", "refused", "last step"])
def test_an_ended_round_is_freed(end):
    rounds, gone = OpenRounds(idle_s=60), threading.Event()
    with rounds.opening() as put:
        content = Content()
        weakref.finalize(content, gone.set)
        put("r", content)
        del content
    if end == "drop":
        rounds.drop("r")
    elif end == "refused":
        refused(lambda: rounds.step("r", Step.CELLS).__enter__())
    else:
        for step in [*STEPS, Step.REVEAL]:
            with rounds.step("r", step):
                pass
    gc.collect()
    assert gone.is_set()


def test_a_step_under_way_does_not_expire_and_gives_nothing_once_dropped():
    ticks = Ticks()
    rounds = OpenRounds(idle_s=1, now=ticks)
    with rounds.opening() as put:
        put("r", Content())
    with rounds.step("r", Step.AGREE):
        ticks.at += 100
        rounds.sweep()
    assert len(rounds) == 1

    def dropped_meanwhile():
        with rounds.step("r", Step.CODES):
            rounds.drop("r")

    assert refused(dropped_meanwhile) == "X001"


def test_a_round_that_is_dropped_while_it_opens_never_opens(platform):
    rounds = SecureRounds(platform.nodes["c1"])
    fragment = platform.fragment(COUNT, "c1", "secure_sum")
    rounds.drop(round_key(fragment))
    assert refused(lambda: rounds.hello(*platform.signed(fragment))) == "X002"
    assert len(rounds) == 0


def test_a_dropped_round_stops_its_statement(platform):
    cohort = Cohort(platform).until(Step.AGREE)
    node = platform.nodes["c2"]
    stop, held = threading.Event(), node.source

    class Waiting:
        def __init__(self):
            self.started, self.limits = threading.Event(), held.limits

        def until(self, stop):
            self.stop = stop
            return self

        def measure(self, *_):
            self.started.set()
            if self.stop.wait(20):
                raise SourceError("S002", department="c2")

    node.source = Waiting()
    try:
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(cohort.rounds["c2"].codes, cohort.key, cohort.sealed["c2"], stop)
            assert node.source.started.wait(20)
            cohort.rounds["c2"].drop(cohort.key)
            assert refused(call.result) == "S002"
    finally:
        node.source = held
    assert stop.is_set()


def test_a_failing_source_ends_the_round(platform):
    cohort = Cohort(platform).until(Step.AGREE)
    node = platform.nodes["c2"]
    held = node.source

    class Failing:
        limits = held.limits

        def until(self, _):
            return self

        def measure(self, *_):
            raise SourceError("S003", department="c2")

    node.source = Failing()
    try:
        assert refused(lambda: cohort.take(Step.CODES)) == "S003"
    finally:
        node.source = held
    assert len(cohort.rounds["c2"]) == 0
