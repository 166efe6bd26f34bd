import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.messages import signed
from middleplatform.crypto.secure_sum import Party, agreed_digest
from middleplatform.crypto.secure_total import merge_codes, merge_labels, unmask
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.errors import ProtocolError

AGREED = agreed_digest(b"codes")


def vectors_of(cohort_round, data, phase="cells", agreed=AGREED):
    return [
        cohort_round.parties[name].mask(data[name], phase=phase, agreed=agreed)
        for name in cohort_round.context.cohort
    ]


def random_data(cohort_round, words=100, seed=1):
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 2**64, words, dtype=np.uint64) for name in cohort_round.context.cohort
    }


def refused(work, code="X001"):
    with pytest.raises(ProtocolError) as caught:
        work()
    return caught.value.code == code


# --- the whole round


def test_a_round_gives_totals_and_labels_of_survivors(make_round):
    rnd = make_round().agree_all()
    groups = {"d000": [b"x", b"y"], "d001": [b"y"], "d002": [b"z", b"y"]}
    lists = [party.code_list(groups[name]) for name, party in rnd.parties.items()]
    codes = merge_codes(rnd.context, lists, rnd.pins)
    assert len(codes) == 3
    agreed = agreed_digest(b"".join(codes))
    data = {}
    for name, party in rnd.parties.items():
        data[name] = np.zeros(3, dtype=np.uint64)
        data[name][party.place(groups[name], codes)] = 1
    total = unmask(
        rnd.context, vectors_of(rnd, data, agreed=agreed), rnd.pins, phase="cells", agreed=agreed
    )
    survivors = tuple(code for code, count in zip(codes, total, strict=True) if count == 3)
    answers = [party.reveal(survivors) for party in rnd.parties.values()]
    labels = merge_labels(rnd.context, answers, rnd.pins, survivors)
    assert list(labels.values()) == [b"y"]
    assert sorted(total) == [1, 1, 3]


def test_two_phases_of_one_round_both_add_up(make_round):
    rnd = make_round().agree_all()
    for phase in ("cells", "share-ladder"):
        data = random_data(rnd)
        got = unmask(
            rnd.context, vectors_of(rnd, data, phase), rnd.pins, phase=phase, agreed=AGREED
        )
        assert np.array_equal(got, sum(data.values()))


def test_masking_leaves_the_callers_words_alone(make_round):
    rnd = make_round().agree_all()
    data = random_data(rnd)
    before = data["d000"].copy()
    rnd.parties["d000"].mask(data["d000"], phase="cells", agreed=AGREED)
    assert np.array_equal(data["d000"], before)


def test_a_strided_view_is_masked_by_its_values(make_round):
    rnd = make_round(2).agree_all()
    wide = np.arange(20, dtype=np.uint64)
    vectors = vectors_of(rnd, {"d000": wide[::2], "d001": wide[1::2]})
    got = unmask(rnd.context, vectors, rnd.pins, phase="cells", agreed=AGREED)
    assert np.array_equal(got, wide[::2] + wide[1::2])


# --- hellos


def test_a_missing_extra_or_doubled_hello_is_refused(make_round):
    for pick in (
        lambda hellos: hellos[:-1],
        lambda hellos: [*hellos, hellos[-1]],
        lambda hellos: [hellos[0], hellos[1], hellos[1]],
        lambda hellos: hellos[:0],
    ):
        rnd = make_round()
        hellos = pick(list(rnd.hellos.values()))
        assert refused(lambda rnd=rnd, h=hellos: rnd.parties["d000"].agree(h, rnd.pins))


def test_a_department_outside_the_cohort_is_refused(make_round):
    rnd, larger = make_round(3), make_round(4)
    hellos = [*rnd.hellos.values(), larger.hellos["d003"]]
    assert refused(lambda: rnd.parties["d000"].agree(hellos, larger.pins))


def test_an_exchange_key_that_the_relay_swapped_is_refused(make_round):
    rnd = make_round()
    swapped = X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    rnd.hellos["d001"] = replace(rnd.hellos["d001"], exchange_key=swapped)
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), rnd.pins))


def test_a_hello_signed_by_an_unpinned_key_is_refused(make_round, seeded_rng):
    rnd = make_round()
    stranger = IdentityKey.generate(seeded_rng("stranger"))
    rnd.hellos["d001"] = signed(rnd.hellos["d001"], stranger)
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), rnd.pins))


def test_a_hello_under_another_departments_name_is_refused(make_round):
    rnd = make_round()
    rnd.hellos["d001"] = signed(replace(rnd.hellos["d002"], sender="d001"), rnd.keys["d002"])
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), rnd.pins))


def test_a_cohort_member_without_a_pin_is_refused(make_round):
    rnd = make_round()
    pins = PinnedKeys({name: rnd.keys[name].public_key for name in ("d000", "d001")})
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), pins))


@pytest.mark.parametrize("changes", [{"attempt": 2}, {"query_id": "q-2"}, {"key_epoch": 2}])
def test_a_hello_of_another_round_is_refused(make_round, make_context, changes):
    rnd = make_round()
    other = make_round(context=make_context(rnd.context.cohort, **changes))
    rnd.hellos["d001"] = other.hellos["d001"]
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), rnd.pins))


def test_an_own_hello_that_came_back_changed_is_refused(make_round):
    rnd = make_round()
    other = replace(rnd.hellos["d000"], exchange_key=rnd.hellos["d001"].exchange_key)
    rnd.hellos["d000"] = signed(other, rnd.keys["d000"])
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), rnd.pins))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_an_exchange_key_of_small_order_is_refused(make_round, point):
    rnd = make_round()
    rnd.hellos["d001"] = signed(replace(rnd.hellos["d001"], exchange_key=point), rnd.keys["d001"])
    assert refused(lambda: rnd.parties["d000"].agree(list(rnd.hellos.values()), rnd.pins))


def test_a_refused_agreement_ends_the_party(make_round):
    rnd = make_round()
    party = rnd.parties["d000"]
    assert refused(lambda: party.agree([], rnd.pins))
    assert refused(lambda: party.agree(list(rnd.hellos.values()), rnd.pins), "X002")
    assert refused(lambda: party.mask(np.ones(1, np.uint64), phase="cells", agreed=AGREED))


# --- sealed label keys


def keyed(make_round, **changes):
    """A round where everybody but the leader waits for the label key."""
    rnd = make_round(**changes)
    for name, party in rnd.parties.items():
        rnd.sealed |= party.agree(list(rnd.hellos.values()), rnd.pins)
        assert (name == rnd.context.leader) == party.__repr__().endswith("label key known)")
    return rnd


def test_only_the_leader_seals_and_for_everybody_else(make_round):
    rnd = keyed(make_round)
    assert sorted(rnd.sealed) == ["d001", "d002"]


def test_a_sealed_key_for_somebody_else_is_refused(make_round):
    rnd = keyed(make_round)
    assert refused(lambda: rnd.parties["d001"].accept_label_key(rnd.sealed["d002"]))


def test_a_sealed_key_readdressed_by_the_leader_does_not_open(make_round):
    rnd = keyed(make_round)
    message = signed(replace(rnd.sealed["d002"], recipient="d001"), rnd.keys["d000"])
    assert refused(lambda: rnd.parties["d001"].accept_label_key(message))


def test_a_sealed_key_that_was_changed_is_refused_even_when_signed(make_round):
    for at in (0, 31, 47):
        rnd = keyed(make_round)
        sealed = bytearray(rnd.sealed["d001"].sealed)
        sealed[at] ^= 1
        unsigned = replace(rnd.sealed["d001"], sealed=bytes(sealed))
        assert refused(lambda r=rnd, m=unsigned: r.parties["d001"].accept_label_key(m))
        rnd = keyed(make_round)
        message = signed(unsigned, rnd.keys["d000"])
        assert refused(lambda r=rnd, m=message: r.parties["d001"].accept_label_key(m))


def test_a_sealed_key_from_another_than_the_leader_is_refused(make_round):
    rnd = keyed(make_round)
    message = signed(replace(rnd.sealed["d001"], sender="d002"), rnd.keys["d002"])
    assert refused(lambda: rnd.parties["d001"].accept_label_key(message))


def test_a_sealed_key_that_opens_but_is_not_signed_by_the_leader_is_refused(make_round, seeded_rng):
    stranger = IdentityKey.generate(seeded_rng("stranger"))
    for forge in (
        lambda message: signed(message, stranger),
        lambda message: replace(message, signature=bytes(64)),
    ):
        rnd = keyed(make_round)
        message = forge(rnd.sealed["d001"])
        assert refused(lambda r=rnd, m=message: r.parties["d001"].accept_label_key(m))


def test_a_sealed_key_of_another_round_is_refused(make_round, make_context):
    rnd = keyed(make_round)
    other = keyed(make_round, context=make_context(rnd.context.cohort, attempt=2))
    assert refused(lambda: rnd.parties["d001"].accept_label_key(other.sealed["d001"]))
    rebound = replace(other.sealed["d002"], context_digest=rnd.context.digest)
    message = signed(rebound, rnd.keys["d000"])
    assert refused(lambda: rnd.parties["d002"].accept_label_key(message))


def test_a_second_label_key_is_refused(make_round):
    rnd = make_round().agree_all()
    assert refused(lambda: rnd.parties["d001"].accept_label_key(rnd.sealed["d001"]), "X002")
    assert refused(lambda: rnd.parties["d000"].accept_label_key(rnd.sealed["d001"]), "X002")


def test_a_leader_that_deals_two_label_keys_gets_noise(make_round):
    """Codes would no longer meet, and each department's cells would show alone."""
    rnd, twin = keyed(make_round), keyed(make_round)
    leader = twin.parties["d000"]
    leader._label_key = bytes(32)
    rnd.parties["d001"].accept_label_key(rnd.sealed["d001"])
    rnd.parties["d002"].accept_label_key(leader._seal_for("d002"))
    data = random_data(rnd)
    for name in rnd.context.cohort:
        data[name][:] = 0
    got = unmask(rnd.context, vectors_of(rnd, data), rnd.pins, phase="cells", agreed=AGREED)
    assert not (got < 2**32).any()


# --- codes and labels


def test_codes_meet_between_departments_and_never_between_rounds(make_round, make_context):
    rnd = make_round().agree_all()
    codes = [party.label_codes([b"x", b"y"]) for party in rnd.parties.values()]
    assert codes[0] == codes[1] == codes[2]
    assert len(set(codes[0])) == 2
    assert all(len(code) == 16 for code in codes[0])
    again = make_round(context=make_context(rnd.context.cohort, attempt=2)).agree_all()
    assert not set(again.parties["d000"].label_codes([b"x", b"y"])) & set(codes[0])


def test_a_code_list_is_sorted_whatever_the_order_of_labels(make_round):
    labels = [bytes([at]) for at in range(50)]
    first = make_round().agree_all().parties["d000"].code_list(labels)
    second = make_round().agree_all().parties["d000"].code_list(labels[::-1])
    assert first == second


def test_a_second_code_list_or_reveal_is_refused(make_round):
    party = make_round().agree_all().parties["d000"]
    codes = party.code_list([b"x"]).codes
    assert refused(lambda: party.code_list([b"x"]), "X002")
    party.reveal(codes)
    assert refused(lambda: party.reveal(codes), "X002")


def test_labels_are_asked_for_in_order_once_each_and_short(make_round):
    rnd = keyed(make_round)
    assert refused(lambda: rnd.parties["d001"].label_codes([b"x"]))
    ready = make_round().agree_all().parties["d001"]
    assert refused(lambda: ready.reveal([]))
    assert refused(lambda: ready.code_list([b"x", b"x"]))
    assert refused(lambda: ready.code_list([b"x" * 4097]))


def test_a_department_reveals_its_own_labels_only(make_round):
    rnd = make_round().agree_all()
    own, foreign = rnd.parties["d000"].code_list([b"x"]).codes, (b"\xff" * 16,)
    answer = rnd.parties["d000"].reveal(own + foreign)
    assert (answer.codes, answer.labels) == (own, (b"x",))


def test_a_union_that_lacks_an_own_code_or_is_unsorted_is_refused(make_round):
    party = make_round().agree_all().parties["d000"]
    codes = party.code_list([b"x", b"y"]).codes
    assert list(party.place([b"x", b"y"], codes)) in ([0, 1], [1, 0])
    assert refused(lambda: party.place([b"x", b"y"], codes[:1]))
    assert refused(lambda: party.place([b"x", b"y"], codes[::-1]))
    assert refused(lambda: party.place([b"x", b"y"], (*codes, codes[1])))


def test_labels_that_do_not_fit_are_refused_by_the_gateway(make_round):
    rnd = make_round().agree_all()
    for party in rnd.parties.values():
        codes = party.code_list([b"x", b"y"]).codes
    answers = [party.reveal(codes) for party in rnd.parties.values()]
    assert refused(lambda: merge_labels(rnd.context, answers, rnd.pins, codes[:1]))
    assert refused(lambda: merge_labels(rnd.context, answers[1:], rnd.pins, codes))
    lie = signed(replace(answers[0], labels=(b"x", b"other")), rnd.keys["d000"])
    assert refused(lambda: merge_labels(rnd.context, [lie, *answers[1:]], rnd.pins, codes))
    same = [signed(replace(a, labels=(b"x", b"x")), rnd.keys[a.sender]) for a in answers]
    assert refused(lambda: merge_labels(rnd.context, same, rnd.pins, codes))
    unnamed = [signed(replace(a, codes=(), labels=()), rnd.keys[a.sender]) for a in answers]
    assert refused(lambda: merge_labels(rnd.context, unnamed, rnd.pins, codes))


# --- masks


def test_a_second_vector_of_a_phase_is_refused(make_round):
    party = make_round().agree_all().parties["d000"]
    party.mask(np.ones(4, np.uint64), phase="cells", agreed=AGREED)
    for agreed in (AGREED, agreed_digest(b"other")):
        assert refused(
            lambda a=agreed: party.mask(np.ones(4, np.uint64), phase="cells", agreed=a), "X002"
        )
    party.mask(np.ones(4, np.uint64), phase="share-ladder", agreed=AGREED)


def test_of_many_threads_one_masks_a_phase(make_round):
    party = make_round().agree_all().parties["d000"]

    def masks(_):
        try:
            party.mask(np.ones(4, np.uint64), phase="cells", agreed=AGREED)
        except ProtocolError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(masks, range(64))) == 1


def test_phases_lengths_and_agreed_digests_have_distinct_masks(make_round):
    def masked(words=8, **asked):
        party = make_round(2).agree_all().parties["d000"]
        vector = party.mask(
            np.zeros(words, np.uint64), **({"phase": "a", "agreed": AGREED} | asked)
        )
        return vector.payload[:64]

    other = agreed_digest(b"other")
    assert len({masked(), masked(phase="b"), masked(agreed=other), masked(9)}) == 4
    assert masked() == masked()


def test_words_of_another_shape_or_type_are_refused_and_the_phase_is_not_spent(make_round):
    party = make_round().agree_all().parties["d000"]
    for words in (
        np.ones(4, np.int64),
        np.ones((2, 2), np.uint64),
        np.ones(0, np.uint64),
        np.ones(4, ">u8"),
    ):
        assert refused(lambda w=words: party.mask(w, phase="cells", agreed=AGREED))
    assert refused(lambda: party.mask(np.ones(4, np.uint64), phase="cells", agreed=b"short"))
    assert refused(lambda: party.mask(np.ones(4, np.uint64), phase="", agreed=AGREED))
    party.mask(np.ones(4, np.uint64), phase="cells", agreed=AGREED)


def test_a_gateway_that_tells_departments_different_things_gets_noise(make_round):
    """Shifted code lists would lay one department's cell upon another's empty one."""
    rnd = make_round().agree_all()
    told = {"d000": AGREED, "d001": AGREED, "d002": agreed_digest(b"shifted")}
    zeros = np.zeros(64, np.uint64)
    vectors = [p.mask(zeros, phase="cells", agreed=told[n]) for n, p in rnd.parties.items()]
    assert refused(lambda: unmask(rnd.context, vectors, rnd.pins, phase="cells", agreed=AGREED))
    assert not (sum(vector.words for vector in vectors) < 2**32).any()


def test_without_one_department_there_is_no_total(make_round):
    rnd = make_round().agree_all()
    zeros = {name: np.zeros(64, np.uint64) for name in rnd.context.cohort}
    vectors = vectors_of(rnd, zeros)
    for at in range(3):
        rest = vectors[:at] + vectors[at + 1 :]
        assert refused(
            lambda r=rest: unmask(rnd.context, r, rnd.pins, phase="cells", agreed=AGREED)
        )
        assert not (sum(vector.words for vector in rest) < 2**32).any()


def test_vectors_that_do_not_belong_together_are_refused(make_round, make_context):
    rnd = make_round().agree_all()
    vectors = vectors_of(rnd, random_data(rnd))

    def with_first(**changes):
        return [signed(replace(vectors[0], **changes), rnd.keys["d000"]), *vectors[1:]]

    other = make_round(context=make_context(rnd.context.cohort, attempt=2)).agree_all()
    bad = [
        with_first(phase="other"),
        with_first(agreed=bytes(32)),
        with_first(payload=vectors[0].payload[:-8]),
        [replace(vectors[0], payload=vectors[1].payload), *vectors[1:]],
        [*vectors_of(other, random_data(other))[:1], *vectors[1:]],
        [vectors[0], vectors[0], *vectors[1:]],
        [],
    ]
    for messages in bad:
        assert refused(
            lambda m=messages: unmask(rnd.context, m, rnd.pins, phase="cells", agreed=AGREED)
        )
    unmask(rnd.context, vectors[::-1], rnd.pins, phase="cells", agreed=AGREED)


# --- the party as a value


def test_a_party_is_not_copied_or_pickled_and_shows_no_secret(make_round):
    party = make_round().agree_all().parties["d000"]
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(party)
    assert repr(party) == "Party('d000', 'q-1', label key known)"


def test_a_party_claims_its_round_before_it_speaks(make_context, seeded_rng):
    context, used, rng = make_context(["a", "b"]), MemoryUsedRounds(), seeded_rng("a")
    identity = IdentityKey.generate(seeded_rng("identity"))
    Party.start(context, "a", identity, rng, used=used)
    drawn = rng.count
    assert refused(lambda: Party.start(context, "a", identity, rng, used=used), "X002")
    assert rng.count == drawn


def test_a_stranger_to_the_cohort_does_not_start_or_spend_the_round(make_context, seeded_rng):
    context, used = make_context(["a", "b"]), MemoryUsedRounds()
    identity = IdentityKey.generate(seeded_rng("identity"))
    assert refused(lambda: Party.start(context, "c", identity, seeded_rng("c"), used=used))
    Party.start(context, "a", identity, seeded_rng("a"), used=used)
