"""A private join goes through once, in order, with the cohort and the sizes that were agreed; all else is refused."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.crypto.hazmat.pair_keys import seal_once
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.join_party import JoinParty, join_context
from middleplatform.crypto.round_context import JOIN_SUITE, SUITE
from middleplatform.crypto.secure_sum import Party
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.errors import ProtocolError
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject

PEOPLE = pa.array(["990101198001010011", "990101198001010028"])
WORDS = np.arange(40, dtype=np.uint64).reshape(20, 2)
HALVES = (np.arange(20, dtype=np.uint32), np.array([0, 10, 20], dtype=np.uint32))


def refused(code, act, *arguments, **named):
    with pytest.raises(ProtocolError) as error:
        act(*arguments, **named)
    assert error.value.code == code


@pytest.fixture
def listed(make_join):
    """A join whose first department has masked its list for the key holder, which knows its size."""
    join = make_join()
    masked = join["d1"].mask(WORDS, 0, "keyholder")
    note = join["d1"].count_note(0, "keyholder", 20, 2)
    join["keyholder"].accept_count_note("d1", 0, note)
    return join, masked, note


# --- Keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", ["audit", "keyholder"])
def test_the_label_key_goes_to_departments_and_never_to_a_key_holder(make_join, holder):
    join = make_join(("d1", "d2", "d3"), (holder,))
    assert sorted(join.sealed) == ["d2", "d3"]
    assert {each.sender for each in join.sealed.values()} == {"d1"}
    assert (
        join["d1"].tokens(PEOPLE, "person").tobytes()
        == join["d3"].tokens(PEOPLE, "person").tobytes()
    )


def test_a_key_holder_can_compute_no_token_and_no_code(make_join):
    holder = make_join()["keyholder"]
    refused("X001", holder.tokens, PEOPLE, "person")
    for shared in (True, False):
        refused("X001", holder.second_tokens, PEOPLE, "person", 0, 0, shared=shared)
        refused("X001", holder.codes, [b"label"], 0, shared=shared)
    refused("X001", holder.mask, WORDS, 0, "d1")
    refused("X001", holder.count_note, 0, "d1", 20, 2)


def test_a_key_holder_refuses_a_label_key_even_from_the_leader(make_join, seeded_rng):
    join = make_join(agreed=False)
    for party in join.parties.values():
        join.sealed |= party.agree(join.hellos, join.pins)
    leaking, _ = Party.start(
        join.context, "d1", join.keys["d1"], seeded_rng("seed d1"), used=MemoryUsedRounds(),
        departments=("d1", "d2", "keyholder"),
    )  # fmt: skip
    sealed = leaking.agree(join.hellos, join.pins)["keyholder"]
    sealed.check(join.context, join.pins)
    refused("X001", join["keyholder"].accept_key, sealed)
    refused("X001", join["keyholder"].tokens, PEOPLE, "person")


def test_nothing_is_computed_before_the_keys_are_agreed(make_join):
    party = make_join(agreed=False)["d1"]
    refused("X001", party.tokens, PEOPLE, "person")
    refused("X001", party.codes, [b"x"], 0, shared=True)
    refused("X001", party.mask, WORDS, 0, "keyholder")
    refused("X001", party.seal_for, "d2", "points", b"")


@pytest.mark.parametrize(
    "departments",
    [("d1",), (), ("d1", "d1"), ("d2", "d1"), ("d1", "d9"), ("d1", "d2", "keyholder", "stranger")],
)
def test_departments_are_two_or_more_of_the_cohort(make_context, seeded_rng, departments):
    context = make_context(("d1", "d2", "keyholder"), suite=JOIN_SUITE)
    key, used = IdentityKey.generate(seeded_rng("d1")), MemoryUsedRounds()
    refused(
        "X001",
        JoinParty.start,
        context,
        "d1",
        key,
        seeded_rng("d1"),
        used=used,
        departments=departments,
    )
    used.claim(context)  # nothing was claimed


def test_contexts_of_the_two_protocols_are_not_taken_for_each_other(make_context, seeded_rng):
    key, names = IdentityKey.generate(seeded_rng("d1")), ("d1", "d2")
    for suite, departments in ((SUITE, names), (JOIN_SUITE, None)):
        context = make_context(names, suite=suite)
        refused(
            "X001", Party.start, context, "d1", key, seeded_rng("d1"), used=MemoryUsedRounds(), departments=departments
        )  # fmt: skip


def test_a_query_and_attempt_is_taken_once_and_a_retry_has_other_keys(make_context, seeded_rng):
    names = ("d1", "d2", "keyholder")
    key, used = IdentityKey.generate(seeded_rng("d1")), MemoryUsedRounds()

    def start(**changes):
        context = make_context(changes.pop("cohort", names), suite=JOIN_SUITE, **changes)
        JoinParty.start(context, "d1", key, seeded_rng("d1"), used=used, departments=("d1", "d2"))

    start()
    refused("X002", start)
    refused("X002", start, attempt=2, cohort=("d1", "d2"))
    start(attempt=2)


def test_hellos_of_another_round_end_the_party(make_join, make_context):
    join = make_join(agreed=False)
    other = make_join(
        agreed=False, context=make_context(join.context.cohort, suite=JOIN_SUITE, attempt=2)
    )
    refused("X001", join["d1"].agree, [join.hellos[0], *other.hellos[1:]], join.pins)
    refused("X002", join["d1"].agree, join.hellos, join.pins)
    refused("X001", join["d1"].mask, WORDS, 0, "keyholder")


def test_a_label_key_that_is_refused_ends_the_party(make_join):
    join = make_join(("d1", "d2", "d3"), agreed=False)
    for party in join.parties.values():
        join.sealed |= party.agree(join.hellos, join.pins)
    refused("X001", join["d2"].accept_key, join.sealed["d3"])
    refused("X001", join["d2"].seal_for, "d1", "points", b"")
    refused("X001", join["d2"].mask, WORDS, 0, "keyholder")
    refused("X002", join["d2"].accept_key, join.sealed["d2"])


def test_a_hello_under_a_key_that_is_not_pinned_is_refused(make_join, seeded_rng):
    join = make_join(agreed=False)
    keys = {name: key.public_key for name, key in join.keys.items()}
    strange = PinnedKeys(keys | {"d2": IdentityKey.generate(seeded_rng("strange")).public_key})
    refused("X001", join["keyholder"].agree, join.hellos, strange)


def test_a_party_is_neither_copied_nor_pickled_nor_shown(make_join):
    party = make_join()["d1"]
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            act(party)
    assert repr(party) == "JoinParty(Party('d1', 'q-1', label key known))"


def test_the_context_changes_with_whatever_a_department_is_told():
    subject = Subject("a01", "audit_990101", frozenset({Role.ANALYST}), ("990101",))
    first = Fragment(
        "q1", 1, 0, "d1", "private_join", ("d1", "d2", "k"), "SELECT 1", subject, "audit", "p1", "0" * 64, "now"
    )  # fmt: skip
    digests = {join_context(first, ("d1", "d2")).digest, join_context(first, ("d1", "k")).digest}
    for change in (
        {"sql": "SELECT 2"}, {"sealed_for": "key"}, {"attempt": 2}, {"number": 1}, {"query_id": "q2"},
        {"purpose": "other"}, {"project": "p2"}, {"subject": replace(subject, roles=frozenset())},
        {"subject": replace(subject, regions=("*",))}, {"policy_digest": "1" * 64}, {"cohort": ("d1", "d2")},
    ):  # fmt: skip
        digests.add(join_context(replace(first, **change), ("d1", "d2")).digest)
    assert len(digests) == 13
    asked_of_another = replace(first, department="d2", issued_at="later")
    assert join_context(asked_of_another, ("d1", "d2")) == join_context(first, ("d1", "d2"))


# --- Lists -----------------------------------------------------------------------------------------


def test_codes_and_second_tokens_agree_within_a_side_that_is_shared_and_nowhere_else(make_join):
    join = make_join(("d1", "d2", "d3"))
    d1, d2, holder = join["d1"], join["d2"], "keyholder"
    assert d1.codes([b"a", b"b"], 0, shared=True) == d2.codes([b"a", b"b"], 0, shared=True)
    tokens = [
        join[name].second_tokens(PEOPLE, "person", side, number, shared=shared).tobytes()
        for name in ("d1", "d2")
        for side, number in ((0, 0), (0, 1), (1, 0))
        for shared in (True, False)
    ]
    assert len(set(tokens)) == 9  # the three shared ones are of both departments
    assert d1.tokens(PEOPLE, "person").tobytes() not in tokens
    codes = [
        join[name].codes([b"a"], side, shared=shared)[0]
        for name in ("d1", "d2")
        for side in (0, 1)
        for shared in (True, False)
    ]
    assert len(set(codes)) == 6
    assert {len(code) for code in codes} == {16}
    refused("X001", d1.codes, [b"x" * 4097], 0, shared=True)
    assert holder not in join.sealed


def test_a_list_is_masked_once_whatever_the_arguments(make_join):
    join = make_join(("d1", "d2", "d3"))
    join["d1"].mask(WORDS, 0, "keyholder")
    refused("X002", join["d1"].mask, WORDS, 0, "keyholder")
    refused("X002", join["d1"].mask, WORDS, 1, "d2")


def test_each_order_is_drawn_anew(make_join):
    party = make_join()["d1"]
    assert not np.array_equal(party.permutation(1000), party.permutation(1000))
    refused("X001", party.permutation, -1)


@pytest.mark.parametrize(
    "words",
    [
        WORDS.astype(np.int64),
        WORDS.reshape(-1),
        WORDS.astype(float),
        np.zeros((1, 4097), dtype=np.uint64),
    ],
)
def test_words_of_another_shape_or_type_are_not_masked(make_join, words):
    refused("X001", make_join()["d1"].mask, words, 0, "keyholder")


@pytest.mark.parametrize("helper", ["d1", "stranger", ""])
def test_nobody_but_another_party_removes_masks(make_join, helper):
    refused("X001", make_join()["d1"].mask, WORDS, 0, helper)


def test_a_list_has_one_size(make_join):
    first = make_join()["d1"]
    first.mask(WORDS, 0, "keyholder")
    refused("X001", first.count_note, 0, "keyholder", 21, 2)
    second = make_join()["d1"]
    second.count_note(0, "keyholder", 21, 2)
    refused("X001", second.mask, WORDS, 0, "keyholder")
    refused("X002", second.count_note, 0, "keyholder", 21, 2)


def test_an_empty_list_can_be_told_and_added_to_others(make_join):
    join = make_join(("d1", "d2", "d3"))
    holder = join["keyholder"]
    for name, words in (("d1", WORDS), ("d2", WORDS[:0])):
        assert join[name].mask(words, 0, "keyholder").shape == words.shape
        note = join[name].count_note(0, "keyholder", *words.shape)
        assert holder.accept_count_note(name, 0, note) == words.shape
    nowhere = (np.zeros(0, dtype=np.uint32), np.zeros(3, dtype=np.uint32))
    sums = holder.side_sums(0, ["d1", "d2"], {"d1": HALVES, "d2": nowhere}, least=10)
    assert sums.shape == (2, 2)


# --- The helper ------------------------------------------------------------------------------------


def test_totals_are_the_pooled_ones(listed):
    join, masked, _ = listed
    sums = join["keyholder"].side_sums(0, ["d1"], {"d1": HALVES}, least=10)
    totals = np.array([masked[:10].sum(axis=0), masked[10:].sum(axis=0)]) + sums
    assert totals.tolist() == [WORDS[:10].sum(axis=0).tolist(), WORDS[10:].sum(axis=0).tolist()]


def test_a_note_opens_for_its_helper_owner_side_and_round_only_and_once(make_join, make_context):
    join = make_join(("d1", "d2", "d3"))
    note = join["d1"].count_note(0, "keyholder", 20, 2)
    again = make_join(
        ("d1", "d2", "d3"), context=make_context(join.context.cohort, suite=JOIN_SUITE, attempt=2)
    )
    holder = join["keyholder"]
    for party, owner, side in (
        (join["d2"], "d1", 0),
        (holder, "d2", 0),
        (holder, "d1", 1),
        (again["keyholder"], "d1", 0),
    ):
        refused("X001", party.accept_count_note, owner, side, note)
    assert holder.accept_count_note("d1", 0, note) == (20, 2)
    refused("X002", holder.accept_count_note, "d1", 0, note)
    refused("X001", holder.accept_count_note, "keyholder", 0, note)


def test_a_note_of_a_party_without_rows_is_refused_even_if_it_opens(make_join):
    join = make_join()
    key, bound = join["keyholder"]._sealing("d1", "keyholder", "d1", "count note", bytes(4))
    forged = seal_once(key, (20).to_bytes(8, "big") + (2).to_bytes(4, "big"), bound)
    refused("X001", join["d1"].accept_count_note, "keyholder", 0, forged)


@pytest.mark.parametrize("at", [0, 11, 12, 27])
def test_a_note_that_was_changed_does_not_open(make_join, at):
    join = make_join()
    note = bytearray(join["d1"].count_note(0, "keyholder", 20, 2))
    note[at] ^= 1
    refused("X001", join["keyholder"].accept_count_note, "d1", 0, bytes(note))
    refused("X001", join["keyholder"].side_sums, 0, ["d1"], {"d1": HALVES}, least=1)


def test_sums_are_given_once_a_side_even_after_a_refusal(listed):
    join, _, _ = listed
    holder = join["keyholder"]
    refused("X001", holder.side_sums, 0, ["d1"], {"d1": HALVES}, least=11)
    refused("X002", holder.side_sums, 0, ["d1"], {"d1": HALVES}, least=10)


def at(positions, starts):
    return np.array(positions, dtype=np.uint32), np.array(starts, dtype=np.uint32)


@pytest.mark.parametrize(
    "lists",
    [
        at(range(20), [0, 9, 20]),  # a group that is too small
        at(range(20), [0, 20, 20]),  # one that is empty
        at(range(1, 21), [0, 10, 20]),  # out of range
        at([*range(10), 0, *range(11, 20)], [0, 10, 20]),  # a row in two groups
        at([*range(9), 0, *range(10, 20)], [0, 10, 20]),  # a row twice in one
        at(range(20), [0, 10]),  # rows of no group
        at(range(20), [5, 10, 20]),
    ],
)
def test_groups_that_lie_are_refused(listed, lists):
    join, _, _ = listed
    refused("X001", join["keyholder"].side_sums, 0, ["d1"], {"d1": lists}, least=10)


@pytest.mark.parametrize(
    ("side", "owners", "lists", "least"),
    [
        (0, ["d1", "d2"], {"d1": HALVES}, 10),  # the owner's own part alone
        (0, ["d1"], {"d1": HALVES, "d2": HALVES}, 10),
        (0, ["d1", "d2"], {"d1": HALVES, "d2": HALVES}, 10),  # no note of the other
        (1, ["d1"], {"d1": HALVES}, 10),  # no note for this side
        (0, [], {}, 10),
        (0, ["d1"], {"d1": HALVES}, 0),
    ],
)
def test_sums_are_of_all_owners_of_a_side_or_none(listed, side, owners, lists, least):
    join, _, _ = listed
    refused("X001", join["keyholder"].side_sums, side, owners, lists, least=least)


def test_owners_must_have_the_same_groups_and_words(make_join):
    for shape, lists in (((20, 3), HALVES), ((20, 2), at(range(20), [0, 5, 10, 20]))):
        join = make_join(("d1", "d2", "d3"))
        for name, size in (("d1", (20, 2)), ("d2", shape)):
            note = join[name].count_note(0, "keyholder", *size)
            join["keyholder"].accept_count_note(name, 0, note)
        both = {"d1": HALVES, "d2": lists}
        refused("X001", join["keyholder"].side_sums, 0, ["d1", "d2"], both, least=1)


def test_a_department_whose_size_was_told_wrong_gets_noise(make_join):
    join = make_join()
    masked = join["d1"].mask(WORDS, 0, "keyholder")
    # The key is bound to the size: even a helper that believed another one could not use the stream.
    join["keyholder"]._noted["d1", 0] = (21, 2)
    sums = join["keyholder"].side_sums(0, ["d1"], {"d1": HALVES}, least=10)
    totals = np.array([masked[:10].sum(axis=0), masked[10:].sum(axis=0)]) + sums
    assert not (totals == [WORDS[:10].sum(axis=0), WORDS[10:].sum(axis=0)]).any()


@st.composite
def sides(draw):
    """A side of one to three owners: rows of each, and each owner's rows by group."""
    width, groups = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    owners = []
    for _ in range(draw(st.integers(1, 3))):
        named = draw(st.lists(st.integers(-1, groups - 1), max_size=30))
        seed = draw(st.integers(0, 2**32 - 1))
        owners.append((np.array(named, dtype=np.int64), seed))
    return width, groups, owners


@given(sides(), st.sampled_from(["keyholder", "d4"]))
def test_sums_over_all_owners_are_the_pooled_ones_for_any_groups(make_join, case, helper):
    width, groups, owners = case
    names = [f"d{at}" for at in range(1, len(owners) + 1)]
    join = make_join((*names, "d4"), ("keyholder",))
    want = np.zeros((groups, width), dtype=np.uint64)
    got = np.zeros_like(want)
    sizes, lists = np.zeros(groups, dtype=np.int64), {}
    for name, (group, seed) in zip(names, owners, strict=True):
        words = np.random.default_rng(seed).integers(0, 2**64, (len(group), width), dtype=np.uint64)
        masked = join[name].mask(words, 2, helper)
        note = join[name].count_note(2, helper, *words.shape)
        join[helper].accept_count_note(name, 2, note)
        chosen = [np.flatnonzero(group == each) for each in range(groups)]
        sizes += [len(rows) for rows in chosen]
        starts = np.cumsum([0, *map(len, chosen)])
        lists[name] = (np.concatenate(chosen).astype(np.uint32), starts.astype(np.uint32))
        for number, rows in enumerate(chosen):
            want[number] += words[rows].sum(axis=0, dtype=np.uint64)
            got[number] += masked[rows].sum(axis=0, dtype=np.uint64)
    if int(sizes.min()) < 2:
        refused("X001", join[helper].side_sums, 2, names, lists, least=2)
    else:
        assert np.array_equal(got + join[helper].side_sums(2, names, lists, least=2), want)


# --- Relay -----------------------------------------------------------------------------------------


def test_what_is_sealed_opens_for_its_recipient_sender_and_purpose_only_and_once(make_join):
    join = make_join(("d1", "d2", "d3"))
    raw = join["d1"].seal_for("d2", "points/d1", b"payload")
    assert b"payload" not in raw
    refused("X001", join["d3"].open_from, "d1", "points/d1", raw)
    refused("X001", join["d2"].open_from, "d3", "points/d1", raw)
    refused("X001", join["d2"].open_from, "d1", "points/d3", raw)
    assert join["d2"].open_from("d1", "points/d1", raw) == b"payload"
    refused("X002", join["d2"].open_from, "d1", "points/d1", raw)
    refused("X002", join["d1"].seal_for, "d2", "points/d1", b"other")
    # What comes back is another message than what went out.
    refused("X001", join["d1"].open_from, "d2", "points/d1", raw)
    empty = join["d1"].seal_for("d3", "points/d3", b"")
    assert join["d3"].open_from("d1", "points/d3", empty) == b""


@pytest.mark.parametrize("purpose", ["", "-x", "a b", "x" * 129, "a\n"])
def test_a_purpose_is_a_short_name(make_join, purpose):
    refused("X001", make_join()["d1"].seal_for, "d2", purpose, b"")
    refused("X001", make_join()["d1"].open_from, "d2", purpose, bytes(16))
