"""Does who removes masks keep those of magnitudes, and seal them once, of what is released, and of nothing else?"""

from dataclasses import replace

import made_join
import made_world as made
import numpy as np
import pytest

from middleplatform.crypto.encoding import Reader
from middleplatform.crypto.receipts import verify_receipt
from middleplatform.crypto.sealed_layout import decode_join_words, join_layout, join_ticket_subject
from middleplatform.crypto.sealed_sum import SealedWords, add, add_plain, open_words
from middleplatform.crypto.secure_sum import agreed_digest
from middleplatform.crypto.tickets import SignedInput
from middleplatform.errors import MiddleplatformError
from middleplatform.node.join_seal import HeldMasks
from middleplatform.node.service import KEY_HOLDER
from middleplatform.planner.side_words import summed_columns, width, word_totals
from middleplatform.wire.frame import unpack
from middleplatform.wire.join_lists import GroupSums, ReleasedCells
from tests.fakes.sealed_joined import bundle, document
from tests.fakes.sealed_world import opening_key

PEOPLE = "FROM ga.person p JOIN tax.payer t ON p.id = t.id"
TWO = f"SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 {PEOPLE} GROUP BY p.region"
BOTH = f"SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0, AVG(p.education) AS a1 {PEOPLE} GROUP BY p.region"  # fmt: skip
SPREAD = f"SELECT p.sex AS d0, COUNT(*) AS n, SUM(p.education) AS a0, VAR_SAMP(p.education) AS a1 {PEOPLE} GROUP BY p.sex"  # fmt: skip
PARTS = "SELECT f.section AS d0, COUNT(*) AS n, SUM(f.staff) AS a0 FROM pub.place p JOIN city.firm f ON p.code = f.code GROUP BY f.section"  # fmt: skip
COUNTED = f"SELECT p.region AS d0, COUNT(*) AS n {PEOPLE} GROUP BY p.region"


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parties")
    with made_join.Parties(folder, bundle(), rounds_max=500) as opened:
        for node in opened.nodes.values():
            node.take_key(document(opening_key()))
        yield opened


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("pooled"), made_join.rows()) as world:
        yield world


class Sealing:
    """A sealed join whose lists have been sent, as the gateway has it."""

    def __init__(self, parties, sql=TWO, *, key_holder=True, **changes):
        told = {"sealed_for": opening_key().public.key_id, **changes}
        self.join = parties.join(sql, key_holder=key_holder, **told).ready()
        self.key, self.plan, self.layout = self.join.key, self.join.plan, self.join.layout
        self.cells = self.join.cells()
        self.sealers = self.plan.sealers(self.join.key_holder)
        self.masked, self.told = {}, {}

    def sums(self):
        """Have every helper tell its sums; what is theirs of magnitudes is not among them."""
        for side in self.plan.sides:
            if not side.words:
                continue
            keys, asked = self.join.groups(side.number, self.cells)
            assert len(keys) == len(self.cells)
            helper = self.plan.helper(side.number, self.join.key_holder)
            raw = self.join.rounds[helper].join_sums(self.key, side.number, asked.to_bytes())
            self.told[side.number] = GroupSums.from_bytes(raw, len(keys), width(side)).words
            masked = np.zeros_like(self.told[side.number])
            for name, starts, positions in zip(side.departments, asked.starts, asked.positions, strict=True):  # fmt: skip
                for group in range(len(keys)):
                    own = self.join.lists_of[name][2][positions[starts[group] : starts[group + 1]]]
                    masked[group] += own.sum(axis=0, dtype=np.uint64)
            self.masked[side.number] = masked
        return self

    def sides(self, sealer):
        return [
            side.number
            for side in self.plan.sides
            if side.words and self.plan.helper(side.number, self.join.key_holder) == sealer
        ]

    def asked(self, sealer=None, released=None, places=None, **more):
        """Return what an honest gateway sends, but for what is told."""
        count = len(self.cells)
        free = np.ones((count, len(self.layout.formulas)), np.bool_) if released is None else released  # fmt: skip
        at = np.arange(len(free), dtype=np.int32) if places is None else np.array(places, np.int32)
        sides = more.get("sides", self.sides(sealer or self.sealers[0]))
        return ReleasedCells(free, dict.fromkeys(sides, at)).to_bytes()

    def seal(self, sealer=None, raw=None, **told):
        name = sealer or self.sealers[0]
        return self.join.rounds[name].join_seal(self.key, raw or self.asked(name, **told))

    def words(self, raw):
        return SealedWords.from_bytes(unpack(raw, 2)[0], opening_key().public)

    def opened(self, raw):
        """Return the slots of one part, by cell: with the masks still to be taken off."""
        return open_words(opening_key(), self.words(raw)).reshape(-1, join_layout(self.layout).words_per_cell)  # fmt: skip

    def own(self):
        """Return what the gateway adds: its masked sums of magnitudes."""
        measures = join_layout(self.layout).measures
        names = [(each.name, limb) for each in measures for limb in range(each.words)]
        found = np.zeros((len(self.cells), len(names)), np.uint64)
        for number, masked in self.masked.items():
            for name, limb, place in summed_columns(self.plan.sides[number]):
                found[:, names.index((name, limb))] = masked[:, place]
        return found


def refused(call):
    with pytest.raises(MiddleplatformError) as caught:
        call()
    return caught.value.code


# --- honest -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_holder", [True, False])
@pytest.mark.parametrize("sql", [TWO, BOTH, SPREAD, PARTS])
def test_sealed_masks_and_masked_sums_make_the_totals(parties, pooled, sql, key_holder):
    sealing = Sealing(parties, sql, key_holder=key_holder).sums()
    parts = [sealing.words(sealing.seal(name)) for name in sealing.sealers]
    whole = open_words(opening_key(), add_plain(add(parts), sealing.own().reshape(-1)))
    layout = join_layout(sealing.layout)
    found = decode_join_words(layout, whole.reshape(len(sealing.cells), -1))
    expected = sorted(row[2] for row in pooled.plain(sql))
    assert sorted(found["sum_0"].to_pylist()) == expected


@pytest.mark.parametrize("sql", [TWO, BOTH, SPREAD, PARTS])
def test_of_magnitudes_a_helper_tells_the_gateway_nothing_and_of_counts_all(parties, sql):
    sealing = Sealing(parties, sql).sums()
    units = sorted(len(rows) for rows in sealing.cells.values())
    for number, told in sealing.told.items():
        side = sealing.plan.sides[number]
        places = [place for _, _, place in summed_columns(side)]
        assert places
        assert not told[:, places].any()
        totals = word_totals(side, told + sealing.masked[number])
        counted = [name for name in totals if name.startswith("units_")]
        assert all(sorted(map(int, totals[name])) == units for name in counted)
        summed = [name for name in totals if name.startswith("sum_")]
        assert all(abs(int(each)) > 10**12 for name in summed for each in totals[name])


@pytest.mark.parametrize("key_holder", [True, False])
def test_who_has_no_magnitudes_to_seal_seals_zeros(parties, key_holder):
    sealing = Sealing(parties, COUNTED, key_holder=key_holder).sums()
    assert len(sealing.sealers) == 1
    assert not sealing.opened(sealing.seal()).any()


def test_what_is_not_released_is_sealed_as_zero_and_the_rest_is_not(parties):
    sealing = Sealing(parties, BOTH).sums()
    free = np.ones((len(sealing.cells), 3), np.bool_)
    free[0, 1] = free[1, 2] = False
    names = [each.name for each in join_layout(sealing.layout).measures]
    slots = sealing.opened(sealing.seal(released=free))
    first, second = (names.index(f"sum_{number}") for number in (0, 1))
    assert [bool(word) for word in slots[:, first]] == [False, True, True]
    assert [bool(word) for word in slots[:, second]] == [True, False, True]


def test_a_cell_that_has_no_row_of_the_side_is_sealed_as_zero(parties):
    sealing = Sealing(parties).sums()
    slots = sealing.opened(sealing.seal(places=[2, -1, 0]))
    assert [bool(row.any()) for row in slots] == [True, False, True]


def test_cells_are_sealed_in_the_order_that_the_gateway_asks_for(parties):
    one, other = (Sealing(parties, TWO).sums() for _ in range(2))
    first = one.opened(one.seal(places=[0, 1, 2]))
    turned = other.opened(other.seal(places=[2, 0, 1]))
    for sealing, slots, order in ((one, first, [0, 1, 2]), (other, turned, [2, 0, 1])):
        place = [name for name, _, _ in summed_columns(sealing.plan.sides[1])].index("sum_0")
        assert place == 0
        masked = sealing.own()[order]
        totals = (slots + masked).view(np.int64)
        assert (totals[:, -1] > 0).all()
        assert (totals[:, -1] < 10**9).all()


def test_where_nothing_matched_a_helper_that_was_asked_no_sums_seals_zeros(parties):
    sealing = Sealing(parties)
    assert not sealing.opened(sealing.seal(places=[-1, -1, -1])).any()


def test_a_receipt_covers_what_was_sealed(parties):
    sealing = Sealing(parties).sums()
    raw = sealing.seal()
    _, receipt = sealing.join.rounds[KEY_HOLDER].join_reveal(sealing.key, [])
    fields = verify_receipt(receipt, KEY_HOLDER, parties.pins)
    assert fields.result_digest == agreed_digest(raw).hex()


def test_the_signature_is_over_these_words_for_this_question(parties):
    sealing = Sealing(parties).sums()
    words, signature = unpack(sealing.seal(), 2)
    signed = SignedInput.read(Reader(signature))
    fragment = sealing.join.fragment(KEY_HOLDER)
    subject = join_ticket_subject(fragment, sealing.layout, sealing.sealers)
    signed.verify(subject, parties.pins)
    assert signed.covers([SealedWords.from_bytes(words, opening_key().public)])
    others = (
        replace(subject, query_id="q.0"),
        replace(subject, attempt=2),
        replace(subject, cohort=("ga",)),
        replace(subject, layout_hash=bytes(32)),
    )
    assert {refused(lambda other=other: signed.verify(other, parties.pins)) for other in others} == {"X001"}  # fmt: skip


# --- a gateway that lies ----------------------------------------------------------------------------------------------

WRONG = {
    "a group twice": {"places": [0, 1, 1]},
    "a group that is none": {"places": [0, 1, 3]},
    "another side": {"sides": [0]},
    "no side": {"sides": []},
    "one side more": {"sides": [0, 1]},
    "values of another block": {"released": np.ones((3, 3), np.bool_)},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_released_cell_of_this_round_ends_it(parties, wrong):
    sealing = Sealing(parties).sums()
    assert refused(lambda: sealing.seal(**WRONG[wrong])) == "X001"
    assert refused(sealing.seal) == "X001"
    assert parties.last(KEY_HOLDER)[1]["code"] == "X001"


def test_more_cells_than_policy_allows_are_not_sealed(tmp_path):
    told = replace(bundle(), limits=replace(bundle().limits, cells_max=3))
    with made_join.Parties(tmp_path, told) as parties:
        for node in parties.nodes.values():
            node.take_key(document(opening_key()))
        sealing = Sealing(parties).sums()
        free = np.ones((4, 2), np.bool_)
        assert refused(lambda: sealing.seal(released=free, places=[0, 1, 2, -1])) == "L002"


def test_groups_are_sealed_once(parties):
    sealing = Sealing(parties).sums()
    sealing.seal()
    assert refused(sealing.seal) == "X002"


def test_no_sums_are_told_after_sealing(parties):
    sealing = Sealing(parties, BOTH)
    sealing.seal(places=[-1, -1, -1])
    assert refused(sealing.sums) == "X002"


def test_groups_that_no_sums_were_asked_of_are_not_sealed(parties):
    assert refused(Sealing(parties).seal) == "X001"


def test_a_round_that_is_not_sealed_seals_nothing(parties):
    sealing = Sealing(parties, sealed_for="").sums()
    assert refused(sealing.seal) == "X001"


@pytest.mark.parametrize("key_holder", [True, False])
def test_who_removes_no_masks_of_magnitudes_seals_nothing(parties, key_holder):
    sealing = Sealing(parties, key_holder=key_holder).sums()
    (other,) = {"ga", "tax"} - {*sealing.sealers} if not key_holder else {"tax"}
    raw = sealing.asked(sides=[])
    assert refused(lambda: sealing.seal(other, raw)) == "X001"


def test_a_recipients_key_that_was_not_handed_over_opens_no_round(parties):
    join = parties.join(TWO, sealed_for=opening_key("li", 1).public.key_id)
    signed = parties.signed(join.fragment(KEY_HOLDER))
    assert refused(lambda: join.rounds[KEY_HOLDER].join_open(*signed)) == "X001"


def test_parties_that_were_told_of_other_recipients_share_no_round(parties):
    """Else a helper that believes in a plain round would tell the masks of magnitudes."""
    sealed = parties.join(TWO, sealed_for=opening_key().public.key_id)
    plain = parties.join(TWO, **{**sealed.changes, "sealed_for": ""})
    rounds = sealed.rounds
    hellos = [
        rounds[name].join_open(*parties.signed((plain if name == KEY_HOLDER else sealed).fragment(name)))
        for name in sealed.cohort
    ]  # fmt: skip
    for name in sealed.cohort:
        assert refused(lambda name=name: rounds[name].join_agree(sealed.key, hellos)) == "X001"


def test_masks_are_let_go_of_when_they_are_sealed(parties):
    sealing = Sealing(parties).sums()
    held = sealing.join.rounds[KEY_HOLDER]._rounds.content(sealing.key).held
    assert held._sides
    sealing.seal()
    assert held._sides == {}


def test_kept_masks_are_a_copy_and_what_is_told_has_none(parties):
    join = parties.join(BOTH)
    held = HeldMasks(join.plan)
    words = np.arange(1, 1 + 2 * width(join.plan.sides[1]), dtype=np.uint64).reshape(2, -1)
    before = words.copy()
    told = held.keep(1, words)
    columns = [place for _, _, place in summed_columns(join.plan.sides[1])]
    assert np.array_equal(words, before)
    assert not told[:, columns].any()
    words[:] = 0
    assert np.array_equal(held._sides[1], before[:, columns])


# --- the platform's key holder ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("name", ["ga", "tax"])
def test_who_knows_a_key_holder_opens_no_join_without_it(parties, name, sealed):
    told = {"sealed_for": opening_key().public.key_id} if sealed else {}
    join = parties.join(TWO, key_holder=False, **told)
    parties.know(key_holder=True)
    signed = parties.signed(join.fragment(name))
    with pytest.raises(MiddleplatformError) as caught:
        join.rounds[name].join_open(*signed)
    assert (caught.value.code, caught.value.rule) == ("X003", "R10")
    assert parties.last(name)[1]["code"] == "X003"


def test_who_knows_none_joins_without_it(parties):
    join = parties.join(TWO, key_holder=False).open()
    assert len(join.hellos) == 2
