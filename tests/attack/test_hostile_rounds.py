"""A gateway that lies in a secure sum, against six county nodes: what each step must refuse, and what it cannot see.

Each table reads (name, attack, what the node says). Where a node cannot judge alone, the test asserts today's bound
and names the limitation.
"""

import json
from dataclasses import replace

import duckdb
import numpy as np
import pytest
from node_world import shipped

from middleplatform.crypto.messages import CodeList, LabelList, MaskedVector
from middleplatform.crypto.secure_total import merge_codes, unmask
from middleplatform.crypto.sum_words import (
    LADDER,
    cells_agreed,
    ladder_agreed,
    ladder_layout,
    round_context,
    round_key,
    word_layout,
)
from middleplatform.node.open_rounds import Step
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from tests.attack.hostile import hostile_gateway

COUNTIES = tuple(f"amr_99010{place}" for place in range(1, 7))
FIRST, ONE, LAST = COUNTIES[0], COUNTIES[1], COUNTIES[-1]
COUNT = "SELECT industry_section AS d0, COUNT(*) AS a0 FROM amr_county.enterprise GROUP BY industry_section"
SCORES = "SELECT SUM(score) AS a0 FROM amr_county.inspection"
ROUNDS_MAX = 8


@pytest.fixture(scope="module")
def hostile(demo_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("rounds")
    with hostile_gateway(root, demo_data, COUNTIES, {"rounds_max": ROUNDS_MAX}) as turned:
        yield turned


@pytest.fixture(autouse=True)
def _nothing_left_open(hostile):
    yield
    while hostile.rounds:
        hostile.rounds.pop().drop()


def named(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


class Round:
    """One secure sum, driven by hand."""

    def __init__(self, hostile, sql=COUNT, **changes):
        self.hostile, self.sql = hostile, sql
        made = hostile.fragment(FIRST, sql, protocol="secure_sum", cohort=COUNTIES)
        self.fragment = replace(made, **changes)
        self.key = round_key(self.fragment)
        cell, _ = read_fragment(sql, shipped()[0])
        self.layout = layout_of(cell, shipped()[0])
        self.context = round_context(self.fragment, self.layout)
        self.hellos, self.sealed, self.lists, self.codes = {}, {}, {}, ()
        hostile.rounds.append(self)

    # --- one step at one node; what comes back is said, not raised -------------------------------------------------

    def hello(self, name, **changes):
        raw = replace(self.fragment, **{"department": name, **changes}).to_bytes()
        signature = self.hostile.signed(raw)
        return self.hostile.call(name, lambda link: link.hello(raw, signature))

    def agree(self, name, hellos=None):
        told = list(self.hellos.values()) if hellos is None else hellos
        return self.hostile.call(name, lambda link: link.agree(self.key, told))

    def code(self, name, sealed=...):
        key = self.sealed.get(name) if sealed is ... else sealed
        return self.hostile.call(name, lambda link: link.codes(self.key, key))

    def cells(self, name, codes=None):
        told = self.codes if codes is None else codes
        return self.hostile.call(name, lambda link: link.cells(self.key, told))

    def ladder(self, name, totals=None):
        told = [[10**9] * len(self.codes) for _ in self.layout.sums] if totals is None else totals
        return self.hostile.call(name, lambda link: link.ladder(self.key, told))

    def reveal(self, name, codes=None):
        told = self.codes if codes is None else codes
        return self.hostile.call(name, lambda link: link.reveal(self.key, told))

    def drop(self):
        for name in COUNTIES:
            self.hostile.call(name, lambda link: link.drop(self.key))

    # --- honest steps at all nodes ---------------------------------------------------------------------------------

    def until(self, step):
        """Take every step up to and with ``step`` everywhere, as an honest gateway does."""
        if step >= Step.HELLO:
            self.hellos = self.each(self.hello)
        if step >= Step.AGREE:
            found = self.each(self.agree)
            self.sealed = {name: raw for each in found.values() for name, raw in each.items()}
        if step >= Step.CODES:
            self.lists = self.each(self.code)
            lists = [CodeList.from_bytes(raw) for raw in self.lists.values()]
            self.codes = merge_codes(self.context, lists, self.hostile.trust.pins)
        if step >= Step.CELLS:
            self.vectors = self.each(self.cells)
        if step >= Step.LADDER:
            self.rungs = self.each(self.ladder)
        if step >= Step.REVEAL:
            self.labels = self.each(self.reveal)
        return self

    def each(self, step):
        found = {name: step(name) for name in COUNTIES}
        assert {said.code for said in found.values()} == {""}, found
        return {name: said.value for name, said in found.items()}

    def total(self, vectors, *, phase="cells", agreed=None, layout=None):
        """Add the vectors up as the gateway does."""
        words = unmask(
            self.context,
            [MaskedVector.from_bytes(raw) for raw in vectors.values()],
            self.hostile.trust.pins,
            phase=phase,
            agreed=cells_agreed(self.codes) if agreed is None else agreed,
        )
        return (layout or word_layout(self.layout)).decode(words, cells=len(self.codes))


def by_county(data, sql):
    """Return what each county's plain rows say."""
    found = []
    for name in COUNTIES:
        with duckdb.connect(str(data / f"{name}.duckdb"), read_only=True) as connection:
            found.append(connection.execute(sql).fetchall())
    return found


def truth(data, sql):
    """Return what the six counties' plain rows say, together."""
    return [row for rows in by_county(data, sql) for row in rows]


@pytest.fixture(scope="module")
def alive(hostile, demo_data):
    """Return a look whether all six still answer a legitimate question, and rightly."""
    rows = truth(demo_data, "SELECT COUNT(*) FROM inspection")

    def look(_=""):
        done = Round(hostile, SCORES).until(Step.CELLS)
        assert done.total(done.vectors)["rows_0"].to_pylist() == [sum(count for (count,) in rows)]
        done.drop()

    return look


def refused(hostile, alive, name, act, code, rule=""):
    hostile.assert_refused(name, act, code, rule, alive=alive)


# --- opening ------------------------------------------------------------------------------------------------------

OPENINGS = [
    ("without one of them", {"cohort": COUNTIES[:-1]}, "X003", "R5"),
    ("two of them", {"cohort": COUNTIES[:2]}, "X003", "R5"),
    ("this one alone", {"cohort": (FIRST,)}, "X003", "R5"),
    ("with somebody else", {"cohort": (*COUNTIES, "tax")}, "X003", "R5"),
    ("with the gateway", {"cohort": (*COUNTIES, "gateway")}, "X003", "R5"),
    ("one of them twice", {"cohort": (FIRST, *COUNTIES)}, "X003", "R5"),
    ("in another order", {"cohort": COUNTIES[::-1]}, "X003", "R5"),
    ("without this one", {"cohort": COUNTIES[1:]}, "X001", ""),
    ("under another policy", {"policy_digest": "0" * 64}, "X003", "R0"),
    ("as a local fragment", {"protocol": "local"}, "X001", ""),
    ("a third attempt", {"attempt": 3}, "X001", ""),
    ("no attempt", {"attempt": 0}, "X001", ""),
    ("for firms by code", {"sql": "SELECT uscc AS d0, COUNT(*) AS a0 FROM amr_county.enterprise GROUP BY uscc"}, "X003", "R0"),
    ("for one firm", {"sql": "SELECT COUNT(*) AS a0 FROM amr_county.enterprise WHERE uscc LIKE '91990101%'"}, "X003", "R2"),
    ("for the best score", {"sql": "SELECT MAX(score) AS a0 FROM amr_county.inspection"}, "X003", "R3"),
    ("for a purpose of nobody", {"purpose": "curiosity"}, "X003", "G2"),
    ("long ago", {"issued_at": "2026-01-01T00:00:00+00:00"}, "X005", ""),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "rule"), named(OPENINGS))
def test_no_round_is_opened_but_with_all_holders_under_one_policy(
    hostile, alive, changes, code, rule
):
    refused(hostile, alive, FIRST, lambda: Round(hostile).hello(FIRST, **changes), code, rule)


def test_part_of_a_logical_table_is_not_answered_alone(hostile, alive):
    refused(
        hostile, alive, FIRST,
        lambda: hostile.ask(FIRST, "SELECT COUNT(*) AS a0 FROM amr_county.enterprise"), "X003", "R5",
    )  # fmt: skip


def test_attempt_is_taken_once_also_with_another_cohort_and_after_a_kill(hostile, alive):
    opened = Round(hostile)
    assert opened.hello(FIRST).code == ""
    refused(hostile, alive, FIRST, lambda: opened.hello(FIRST), "X002")
    opened.drop()
    refused(hostile, alive, FIRST, lambda: opened.hello(FIRST), "X002")
    hostile.restart(FIRST)
    refused(hostile, alive, FIRST, lambda: opened.hello(FIRST), "X002")


def test_rounds_that_nobody_ends_are_few_and_leave_room_once_dropped(hostile, alive):
    opened = [Round(hostile) for _ in range(ROUNDS_MAX + 1)]
    said = [each.hello(FIRST).code for each in opened]
    assert said == [""] * ROUNDS_MAX + ["L001"]
    for each in opened:
        each.drop()
    alive()


# --- order --------------------------------------------------------------------------------------------------------

ORDER = [
    ("codes before keys", Step.HELLO, "code", "X001"),
    ("cells before keys", Step.HELLO, "cells", "X001"),
    ("a ladder before keys", Step.HELLO, "ladder", "X001"),
    ("labels before keys", Step.HELLO, "reveal", "X001"),
    ("keys twice", Step.AGREE, "agree", "X002"),
    ("cells before codes", Step.AGREE, "cells", "X001"),
    ("labels before codes", Step.AGREE, "reveal", "X001"),
    ("codes twice", Step.CODES, "code", "X002"),
    ("keys again", Step.CODES, "agree", "X002"),
    ("a ladder before cells", Step.CODES, "ladder", "X001"),
    ("cells twice", Step.CELLS, "cells", "X002"),
    ("codes again", Step.CELLS, "code", "X002"),
    ("a ladder twice", Step.LADDER, "ladder", "X002"),
    ("cells after the ladder", Step.LADDER, "cells", "X002"),
]


@pytest.mark.parametrize(("done", "step", "code"), named(ORDER))
def test_step_out_of_order_ends_the_round_and_stands_in_the_log(hostile, alive, done, step, code):
    opened = Round(hostile, SCORES).until(done)
    refused(hostile, alive, ONE, lambda: getattr(opened, step)(ONE), code)
    assert opened.reveal(ONE).code == "X001", "it is over"


def test_round_that_ended_gives_nothing_more(hostile, alive):
    done = Round(hostile, SCORES).until(Step.REVEAL)
    assert {done.reveal(name).code for name in COUNTIES} == {"X001"}
    assert {done.cells(name).code for name in COUNTIES} == {"X001"}
    alive()


# --- what the gateway relays --------------------------------------------------------------------------------------


def forged(opened):
    """Return a hello that the gateway signed in another's name."""
    good = opened.hellos[LAST]
    key = opened.hostile.key.sign("secure-sum message H", good)
    return good[:-64] + key


def another_rounds(opened):
    return Round(opened.hostile).hello(LAST).value


HELLOS = [
    ("none", lambda *_: []),
    ("one missing", lambda _, own: own[:-1]),
    ("one twice", lambda _, own: [*own[:-1], own[0]]),
    ("one too many", lambda _, own: [*own, own[-1]]),
    ("its own replaced", lambda _, own: [own[0], own[0], *own[2:]]),
    ("one of another round", lambda opened, own: [*own[:-1], another_rounds(opened)]),
    ("a forged one", lambda opened, own: [*own[:-1], forged(opened)]),
    ("another key in one", lambda _, own: [*own[:-1], own[-1][:-96] + bytes(32) + own[-1][-64:]]),
    ("what is none", lambda _, own: [*own[:-1], b"SELECT"]),
]  # fmt: skip


@pytest.mark.parametrize("change", named(HELLOS))
def test_no_key_is_agreed_over_changed_hellos(hostile, alive, change):
    opened = Round(hostile).until(Step.HELLO)
    told = change(opened, list(opened.hellos.values()))
    refused(hostile, alive, ONE, lambda: opened.agree(ONE, told), "X001")


SEALED = [
    ("another's", lambda opened: opened.sealed[LAST]),
    ("another round's", lambda opened: Round(opened.hostile).until(Step.AGREE).sealed[ONE]),
    ("a changed one", lambda opened: opened.sealed[ONE][:-80] + bytes(16) + opened.sealed[ONE][-64:]),
    ("what is none", lambda _: b"key"),
    ("none", lambda _: None),
]  # fmt: skip


@pytest.mark.parametrize("change", named(SEALED))
def test_no_codes_are_made_under_another_key_than_the_leaders(hostile, alive, change):
    opened = Round(hostile).until(Step.AGREE)
    told = change(opened)
    refused(hostile, alive, ONE, lambda: opened.code(ONE, told), "X001")


def own_codes(opened):
    return CodeList.from_bytes(opened.lists[ONE]).codes


CODES = [
    ("without its own", lambda opened: [code for code in opened.codes if code != own_codes(opened)[0]]),
    ("none", lambda _: []),
    ("in another order", lambda opened: opened.codes[::-1]),
    ("one twice", lambda opened: [opened.codes[0], *opened.codes]),
    ("a short one", lambda opened: [*opened.codes, b"\xff" * 15]),
    ("another round's", lambda opened: Round(opened.hostile).until(Step.CODES).codes),
]  # fmt: skip


@pytest.mark.parametrize("change", named(CODES))
def test_no_cells_are_masked_for_other_codes(hostile, alive, change):
    opened = Round(hostile).until(Step.CODES)
    told = change(opened)
    refused(hostile, alive, ONE, lambda: opened.cells(ONE, told), "X001")


def test_two_counties_told_differently_give_masks_that_do_not_cancel(hostile, demo_data, alive):
    """A code more for one county, to tell its cells from the others': the sum is noise then."""
    opened = Round(hostile, SCORES).until(Step.CODES)
    more = tuple(sorted([*opened.codes, b"\x7f" * 16]))
    vectors = {name: opened.cells(name, more if name == ONE else None).value for name in COUNTIES}
    parsed = [MaskedVector.from_bytes(raw).words for raw in vectors.values()]
    words = len(parsed[0])
    total = np.zeros(words, dtype=np.uint64)
    for each in parsed:
        total += each[:words]
    plain = sum(count for (count,) in truth(demo_data, "SELECT COUNT(*) FROM inspection"))
    assert plain not in total.tolist()
    alive()


def test_one_countys_vector_shows_none_of_its_words_and_a_retry_has_fresh_masks(
    hostile, demo_data, alive
):
    first = Round(hostile, SCORES).until(Step.CELLS)
    again = Round(hostile, SCORES, query_id=first.fragment.query_id, attempt=2).until(Step.CELLS)
    plain = by_county(demo_data, "SELECT COUNT(*), SUM(score) FROM inspection")
    for name, ((count, total),) in zip(COUNTIES, plain, strict=True):
        own = MaskedVector.from_bytes(first.vectors[name]).words
        other = MaskedVector.from_bytes(again.vectors[name]).words
        assert not set(own.tolist()) & {0, count, int(total)}
        assert not set(own.tolist()) & set(other.tolist())
    assert first.total(first.vectors) == again.total(again.vectors)
    alive()


# --- ladder -------------------------------------------------------------------------------------------------------

TOTALS = [
    ("none", []),
    ("for other cells", [[1, 2]]),
    ("for other sums", [[1], [1]]),
    ("below nothing", [[-1]]),
    ("beyond 127 bits", [[2**127]]),
    ("a thousand digits", [[10**1_000]]),
]


@pytest.mark.parametrize("totals", named(TOTALS))
def test_no_ladder_is_climbed_for_impossible_totals(hostile, alive, totals):
    opened = Round(hostile, SCORES).until(Step.CELLS)
    refused(hostile, alive, ONE, lambda: opened.ladder(ONE, totals), "X001")


def firms(data):
    """Return each county's firms' total scores: what a ladder's rungs are about."""
    query = "SELECT SUM(score) FROM inspection GROUP BY uscc"
    return [np.array([int(total) for (total,) in rows]) for rows in by_county(data, query)]


def rung_by_rule(counties, total, rung):
    """Return what a rung counts: firms above that percent, or all of a county that has a firm above the total."""
    if not total:
        return 0
    return sum(
        len(each) if each.max() > total else sum(100 * int(one) > rung * total for one in each)
        for each in counties
    )


# A limitation (docs/limitations.md, "choose the totals of the share ladder"): no node knows the true total, so rungs
# of the gateway's own choice are counted: once a round, by nameless group, and of no county that has a larger firm.
ABSURD = [
    ("nothing", lambda _: 0),
    ("one point", lambda _: 1),
    ("less than the largest firm", lambda largest: largest - 1),
    ("the largest firm", lambda largest: largest),
    ("twice the largest firm", lambda largest: 2 * largest),
    ("the largest number there is", lambda _: 2**127 - 1),
]


@pytest.mark.parametrize("choose", named(ABSURD))
def test_what_a_ladder_of_the_gateways_own_totals_tells_and_no_more(
    hostile, demo_data, alive, choose
):
    counties = firms(demo_data)
    total = choose(max(int(each.max()) for each in counties))
    opened = Round(hostile, SCORES).until(Step.CELLS)
    rungs = opened.each(lambda name: opened.ladder(name, [[total]]))
    found = opened.total(
        rungs,
        phase="share-ladder",
        agreed=ladder_agreed(opened.codes, [[total]]),
        layout=ladder_layout(opened.layout),
    )
    assert [found[f"over_0_{rung}"].to_pylist() for rung in LADDER] == [
        [rung_by_rule(counties, total, rung)] for rung in LADDER
    ]
    refused(hostile, alive, ONE, lambda: opened.ladder(ONE, [[total]]), "X002")


# --- labels -------------------------------------------------------------------------------------------------------

REVEALS = [
    ("codes that no cell has", lambda opened: [*opened.codes, b"\xff" * 16]),
    ("codes in another order", lambda opened: opened.codes[::-1]),
    ("a code twice", lambda opened: [opened.codes[0], opened.codes[0]]),
    ("another round's codes", lambda opened: Round(opened.hostile).until(Step.CODES).codes),
]


@pytest.mark.parametrize("change", named(REVEALS))
def test_no_label_is_told_of_codes_that_were_not_agreed(hostile, alive, change):
    opened = Round(hostile).until(Step.CELLS)
    told = change(opened)
    refused(hostile, alive, ONE, lambda: opened.reveal(ONE, told), "X001")


def test_labels_are_told_once_and_the_log_says_how_many(hostile, alive):
    """A limitation (docs/limitations.md, "ask for the labels of withheld groups"): a node knows no total, so it tells
    the label of any code of the round. It tells them once, and its own log has the number of them.
    """
    done = Round(hostile).until(Step.CELLS)
    before = len(hostile.log(ONE))
    said = done.reveal(ONE)
    assert said.code == ""
    labels = LabelList.from_bytes(said.value[0]).labels
    assert {json.loads(label)[0] for label in labels} == {"C", "H"}
    (entry,) = hostile.log(ONE)[before:]
    assert (entry.event, entry.body["cells"]) == ("released", 2)
    assert done.reveal(ONE).code == "X001"
    done.drop()
    alive()
