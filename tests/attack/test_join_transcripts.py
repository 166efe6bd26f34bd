"""What each party of a private join sees could be made from what the specification says that it learns.

A simulator is given that and nothing else. What it makes up has the same steps and lengths as the real transcript, the
real gateway computes the same answer from it, and no test of chance tells it from the real one. Each test of chance is
shown a transcript of a party that leaks, and must tell that one.
"""

import hashlib
import json
from functools import partial
from itertools import pairwise

import join_people as made
import made_join
import numpy as np
import pyarrow as pa
import pytest
import transcripts as seen
from evenness import (
    HONEST,
    LEAKING,
    even_bytes,
    even_places,
    even_words,
    neighbours,
    same_bytes,
    same_words,
    unrelated,
)
from join_simulator import Leak, OwnList, Round, Simulated
from made_joined import Joined, rows
from transcripts import Recorded, Transcript, record

from middleplatform.access.system import SystemRng
from middleplatform.crypto.blinded import BlindKey, blind, blind_again, tokens
from middleplatform.crypto.curve_workers import Workers
from middleplatform.node.service import KEY_HOLDER

PARTIES = ("ga", "tax", KEY_HOLDER)
LEAST = 10


@pytest.fixture(scope="module")
def held():
    return made.people()


@pytest.fixture(scope="module", params=["helper", "blinded"])
def protocol(request):
    return request.param


@pytest.fixture(scope="module")
def joined(held, protocol, tmp_path_factory):
    folder = tmp_path_factory.mktemp(protocol)
    with Joined(folder, made_join.bundle(protocol), held) as opened:
        yield opened


@pytest.fixture(scope="module")
def by_helper(held, tmp_path_factory):
    with Joined(tmp_path_factory.mktemp("leaks"), made_join.bundle(), held) as opened:
        yield opened


@pytest.fixture(scope="module")
def real(joined):
    """Three rounds of one question."""
    return [record(joined, made.BOTH) for _ in range(3)]


# --- the ideal: what the gateway learns, from the plain rows and the specification --------------------------------------


def word(name, label, value):
    """Return a word of a list row that is one table row with nothing missing."""
    del label
    return 1 if name.startswith(("rows_", "units_", "full_")) else value


def leak_of(held, plan, protocol, draw):
    """Return what the specification says that the gateway learns of the question ``BOTH``."""
    tables = dict(zip(("ga", "tax"), made.by_unit(held), strict=True))
    units = {name: place for place, name in enumerate(draw.permutation(sorted({*tables["ga"], *tables["tax"]})))}  # fmt: skip
    lists, numbers = {}, {}
    for side in plan.sides:
        (name,) = side.departments
        labels = sorted({label for label, _ in tables[name].values()})
        numbers[name] = {label: at for at, label in enumerate(draw.permutation(labels).tolist())}
        names = [json.dumps([label], ensure_ascii=False, separators=(",", ":")).encode() for label in numbers[name]]  # fmt: skip
        lists[name] = OwnList(
            side.number, len(side.words),
            np.array([units[each] for each in tables[name]]), np.array([numbers[name][label] for label, _ in tables[name].values()]), names,
        )  # fmt: skip
    return Leak(lists, totals_of(plan, tables, numbers), blinded=protocol == "blinded")


def totals_of(plan, tables, numbers):
    cells = {}
    for each in {*tables["ga"]} & {*tables["tax"]}:
        both = tables["ga"][each], tables["tax"][each]
        key = numbers["ga"][both[0][0]], numbers["tax"][both[1][0]]
        cells.setdefault(key, []).append((both[0][1], int(100 * both[1][1])))
    return {
        (side.number, key): np.array(
            [
                sum(word(w.name, None, row[side.number]) for row in found) % 2**64
                for w in side.words
            ],
            np.uint64,
        )
        for side in plan.sides
        for key, found in cells.items()
        if len(found) >= LEAST
    }  # fmt: skip


def simulated(joined, held, protocol, seed):
    """Return transcript and answer of the real gateway over parties that are made up."""
    plan = joined.parties.join(made.BOTH).plan
    draw = np.random.default_rng(seed)
    shared = Round(leak_of(held, plan, protocol, draw), draw)
    transcript, keys = Transcript(), joined.parties.keys
    links = {
        name: Recorded(
            Simulated(name, shared, keys[name], plan.departments, joined.parties.bundle.digest),
            transcript,
        )
        for name in PARTIES
    }
    joined.use(**links)
    try:
        return transcript, joined.ask(made.BOTH)
    finally:
        joined.use()


@pytest.fixture(scope="module")
def ideal(joined, held, protocol):
    return [simulated(joined, held, protocol, seed) for seed in (1, 2, 3)]


# --- the gateway ----------------------------------------------------------------------------------------------------


def test_the_simulated_transcript_has_the_steps_and_lengths_of_the_real_one(real, ideal):
    for (one, _), (other, _) in zip(real, ideal, strict=True):
        assert one.parties() == other.parties() == sorted(PARTIES)
        for party in PARTIES:
            told = one.shapes(party), other.shapes(party)
            # Under the blinded protocol lists pass by each other: which comes first is chance, in time.
            steps, made_up = (sorted(each, key=repr) for each in told) if one.points("ga") else told
            assert steps == made_up


def test_the_gateway_computes_the_same_answer_from_the_simulated_transcript(real, ideal):
    answers = [rows(answer) for _, answer in (*real, *ideal)]
    assert len(answers[0]) == 6
    assert all(found == answers[0] for found in answers)


def pattern(transcript):
    """Return how many rows of the lists have equal tokens and codes: what no renaming changes."""
    codes = [transcript.column(name, "codes").tolist() for name in ("ga", "tax")]
    tokens = [[each.tobytes() for each in transcript.tokens(name)] for name in ("ga", "tax")]
    both = [dict(zip(*each, strict=True)) for each in zip(tokens, codes, strict=True)]
    shared = sorted({*both[0]} & {*both[1]})
    cells = np.unique([(both[0][each], both[1][each]) for each in shared], axis=0, return_counts=True)[1]  # fmt: skip
    alike = [sorted(np.bincount(each).tolist()) for each in codes]
    distinct = [len({*each}) for each in tokens]
    return alike, distinct, len(shared), sorted(cells.tolist())


def test_rows_are_equal_where_the_plain_ones_are_and_nowhere_else(real, ideal, held):
    patterns = [pattern(transcript) for transcript, _ in (*real, *ideal)]
    assert all(found == patterns[0] for found in patterns)
    persons, payers = made.by_unit(held)
    assert patterns[0][1:3] == ([len(persons), len(payers)], len({*persons} & {*payers}))


def fields(rounds):
    """Return all bytes of each field that is to look random, over some rounds."""
    found = {"tokens": b"", "codes": b"", "words": b"", "sums": b"", "sealed": b""}
    for transcript, _ in rounds:
        both = np.concatenate([transcript.tokens(name) for name in ("ga", "tax")])
        found["tokens"] += np.unique(both, axis=0).tobytes()  # those of both lists once
        for name in ("ga", "tax"):
            found["codes"] += b"".join(transcript.heads()[name].codes)
            found["words"] += transcript.column(name, "words").tobytes()
            found["sealed"] += transcript.heads()[name].note
        found["sums"] += b"".join(transcript.sums(side).tobytes() for side in (0, 1) if transcript.groups(side))  # fmt: skip
        found["sealed"] += b"".join(
            raw[-112:-64] for each in transcript.messages if each.step == "join_agree" for raw in each.reply.values()
        )  # fmt: skip
        found["sealed"] += b"".join(
            each.reply for each in transcript.messages if each.step in ("join_points", "join_blind") and not each.reply.startswith(b"MPJL1")
        )  # fmt: skip
    found["codes and sealed"] = found.pop("codes") + found.pop("sealed")
    return found


@pytest.mark.parametrize("field", ["tokens", "words", "sums", "codes and sealed"])
def test_no_field_is_told_from_even_draws_or_from_the_simulated_one(joined, real, ideal, field):
    few = field in ("codes and sealed", "sums")
    more = [record(joined, made.BOTH) for _ in range(12 if few else 0)]
    one, other = fields([*real, *more])[field], fields(ideal)[field]
    assert even_bytes(one) > HONEST
    if not few:
        assert same_bytes(one, other) > HONEST
    if field != "codes and sealed":
        words = [np.frombuffer(each, "<u8") for each in (one, other)]
        assert even_words(words[0]) > HONEST
        assert same_words(*words) > HONEST


CHANCES = {
    "bytes of tokens": lambda found: even_bytes(found["tokens"]),
    "bytes of words": lambda found: even_bytes(found["words"]),
    "words": lambda found: even_words(np.frombuffer(found["words"], "<u8")),
}


@pytest.mark.parametrize(
    ("leak", "chance"),
    [
        (seen.Texts, "bytes of tokens"),
        (seen.Unmasked, "bytes of words"),
        (seen.Unmasked, "words"),
        (seen.HalfMasked, "bytes of words"),
        (seen.HalfMasked, "words"),
        (seen.OneMask, "bytes of words"),
    ],
)
def test_a_party_that_leaks_is_told_from_even_draws(by_helper, leak, chance):
    with_leak = [record(by_helper, made.BOTH, {"tax": leak})]
    assert CHANCES[chance](fields(with_leak)) < LEAKING


def test_no_label_is_the_preimage_of_a_code_and_one_that_is_is_found(by_helper):
    labels = [json.dumps([label], ensure_ascii=False, separators=(",", ":")).encode() for label in (*made.REGIONS, *made.DISTRICTS)]  # fmt: skip
    digests = {hashlib.sha256(label).digest()[:16] for label in labels}
    for leak, found in ((None, 0), (seen.NamedCodes, 2)):
        transcript, _ = record(by_helper, made.BOTH, {"tax": leak} if leak else {})
        codes = {code for head in transcript.heads().values() for code in head.codes}
        assert len(codes & digests) == found


# --- order and places -----------------------------------------------------------------------------------------------


def order_of(transcript, name):
    """Return the place of each person in a department's list: known to the test, which has the tokens by name."""
    places = {each.tobytes(): at for at, each in enumerate(transcript.tokens(name))}
    return np.array([places[token] for _, token in sorted(transcript.secrets[name].items())])


def test_places_of_a_person_in_lists_and_rounds_are_unrelated(by_helper):
    one, other = (record(by_helper, made.BOTH)[0] for _ in range(2))
    for name in ("ga", "tax"):
        orders = order_of(one, name), order_of(other, name)
        assert unrelated(*orders) > HONEST
        # Nor to the order of identity numbers, of which birth dates are a part.
        assert unrelated(orders[0], np.arange(orders[0].size)) > HONEST


def test_a_list_that_is_not_shuffled_is_told(by_helper):
    leak = {"ga": seen.Unshuffled}
    one, other = (record(by_helper, made.BOTH, leak)[0] for _ in range(2))
    assert unrelated(order_of(one, "ga"), order_of(other, "ga")) < LEAKING


@pytest.fixture(scope="module")
def asked(by_helper):
    """What a key holder is asked in many rounds, and over how many rows."""
    rounds = [record(by_helper, made.BOTH)[0] for _ in range(6)]
    return [
        (each.places(side)[0], each.heads()[name].rows)
        for each in rounds
        for side, name in enumerate(("ga", "tax"))
    ]


def drawn(groups, rows, draw):
    """Return disjoint places of groups of the same sizes: all that a helper learns is in the arguments."""
    order = draw.permutation(rows)
    ends = np.cumsum([0, *map(len, groups)])
    return [np.sort(order[first:last]) for first, last in pairwise(ends)]


def test_a_helper_sees_places_like_drawn_ones(asked):
    draw = np.random.default_rng(5)
    chances = {"real": [], "drawn": []}
    for groups, count in asked:
        for name, each in (("real", groups), ("drawn", drawn(groups, count, draw))):
            chances[name] += [even_places(each, count), neighbours(each, count)]
            assert all(np.all(np.diff(places) > 0) for places in each)
    for found in chances.values():
        assert min(found) > HONEST


def test_groups_that_stand_together_in_a_list_are_told(asked):
    for groups, count in asked:
        ends = np.cumsum([0, *map(len, groups)])
        sorted_by_label = [np.arange(first, last) for first, last in pairwise(ends)]  # fmt: skip
        assert even_places(sorted_by_label, count) < LEAKING
        assert neighbours(sorted_by_label, count) < LEAKING


def test_a_key_holder_sees_lengths_and_sizes_only(by_helper, held):
    """All that is sent to it, taken apart: hellos, sizes of lists, sizes of groups, places; no token, code or word."""
    transcript, _ = record(by_helper, made.BOTH)
    steps = [each.step for each in transcript.of(KEY_HOLDER)]
    assert steps == ["join_open", "join_agree", "join_sums", "join_sums", "join_reveal"]
    told = b"".join(raw for each in transcript.of(KEY_HOLDER) for raw in seen.pieces(each.told))
    for name in ("ga", "tax"):
        for token in {each.tobytes() for each in transcript.tokens(name)}:
            assert token not in told
        for word_there in transcript.column(name, "words").ravel():
            assert word_there.tobytes() not in told
        assert not any(code in told for code in transcript.heads()[name].codes)
    sizes = {each.purpose: each.content for each in transcript.opened if each.party == KEY_HOLDER}
    widths = [len(side.words) for side in by_helper.parties.join(made.BOTH).plan.sides]
    assert sizes == {
        f"count note {side}": (len(held[table]), widths[side])
        for side, table in enumerate(("person", "payer"))
    }
    assert transcript.of(KEY_HOLDER, "join_reveal")[0].told[1] == ()


def test_a_partner_who_removes_masks_is_sent_no_row_of_the_others_list(held, tmp_path):
    with Joined(tmp_path, made_join.bundle(), held, key_holder=False) as opened:
        transcript, _ = record(opened, made.BOTH)
    for party, other in (("ga", "tax"), ("tax", "ga")):
        told = b"".join(raw for each in transcript.of(party) for raw in seen.pieces(each.told))
        codes = transcript.heads()[other].codes
        assert not any(token.tobytes() in told for token in transcript.tokens(other))
        assert not any(each.tobytes() in told for each in transcript.column(other, "words").ravel())
        assert not any(code in told for code in codes)
        assert [each.step for each in transcript.of(party)].count("join_sums") == 1


def test_a_helper_of_a_list_with_several_rows_a_key_sees_nameless_label_tuples(by_helper, held):
    transcript, _ = record(by_helper, made.FAN)
    purposes = {each.purpose for each in transcript.opened if each.party == KEY_HOLDER}
    assert purposes == {"count note 1", "marks/1"}
    (marks,) = (each.content for each in transcript.opened if each.purpose == "marks/1")
    assert len(marks) == transcript.heads()["hr"].rows
    # As many places of each nameless tuple as the department has rows of it, a person counted once.
    pairs = {(row[0], row[3]) for row in held["income"]}
    kinds = sorted([kind for _, kind in pairs].count(kind) for kind in ("工资", "经营"))
    assert sorted(np.bincount(np.frombuffer(marks, np.uint8)).tolist()) == kinds


# --- a department in the ring -----------------------------------------------------------------------------------------

P = 2**255 - 19
_A = 486662


def on_curve(points):
    """Return the share of u-coordinates whose point is on curve25519: Euler's criterion."""
    us = [int.from_bytes(row.tobytes(), "little") for row in points]
    return sum(pow(u * (u * u + _A * u + 1), (P - 1) // 2, P) in (0, 1) for u in us) / len(us)


def random_points(count):
    """Return points of the prime-order subgroup, drawn evenly: what a department's view is simulated by."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - of this test only
        X25519PrivateKey,
    )

    draw = np.random.default_rng(25519)
    keys = (X25519PrivateKey.from_private_bytes(draw.bytes(32)) for _ in range(count))
    return np.frombuffer(b"".join(key.public_key().public_bytes_raw() for key in keys), np.uint8).reshape(-1, 32)  # fmt: skip


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """Two rounds of three departments, whose lists go round."""
    folder = tmp_path_factory.mktemp("ring")
    with Joined(folder, made_join.bundle("blinded"), made.people(240)) as opened:
        yield [record(opened, made.THREE)[0] for _ in range(2)]


def test_a_department_sees_as_many_points_as_there_are_keys_and_each_once(ring):
    for transcript in ring:
        for party in ("ga", "hr", "tax"):
            lists = transcript.points(party)
            assert {purpose for _, purpose in lists} == {"points/ga", "points/hr", "points/tax"}
            for (_, purpose), points in lists.items():
                tokens = {each.tobytes() for each in transcript.tokens(purpose.removeprefix("points/"))}  # fmt: skip
                assert len(points) == len(tokens) == len({each.tobytes() for each in points})


def test_points_are_told_neither_from_random_ones_nor_linked_between_lists_and_rounds(ring):
    lists = [points for transcript in ring for party in ("ga", "hr", "tax") for points in transcript.points(party).values()]  # fmt: skip
    assert len(lists) == 18
    every = [each.tobytes() for points in lists for each in points]
    assert len({*every}) == len(every)
    drawn_ones = random_points(2_000)
    for points in (np.concatenate(lists), drawn_ones):
        assert even_bytes(np.ascontiguousarray(points[:, :31]).tobytes()) > HONEST
        assert even_words(np.ascontiguousarray(points[:, 8:16]).view("<u8")) > HONEST
    assert same_bytes(np.concatenate(lists).tobytes(), drawn_ones.tobytes()) > HONEST
    assert on_curve(np.concatenate(lists)[::40]) == on_curve(drawn_ones[::40]) == 1


def test_hashes_in_the_place_of_points_are_told_by_the_curves_twist():
    texts = (b"%d" % each for each in range(400))
    hashes = np.frombuffer(b"".join(hashlib.sha256(each).digest() for each in texts), np.uint8)
    assert 0.4 < on_curve(hashes.reshape(-1, 32)) < 0.6


# --- between queries, and against all numbers of a region -----------------------------------------------------------------


def shared_between(one, other):
    """Return how many tokens, codes, masked words and sealed bytes two transcripts have in common."""
    found = {}
    for name in ("ga", "tax"):
        for what, get in {
            "tokens": lambda each, name=name: [row.tobytes() for row in each.tokens(name)],
            "codes": lambda each, name=name: list(each.heads()[name].codes),
            "words": lambda each, name=name: each.column(name, "words").ravel().tolist(),
            "notes": lambda each, name=name: [each.heads()[name].note],
        }.items():
            found[what] = found.get(what, 0) + len({*get(one)} & {*get(other)})
    return found


NOTHING = {"tokens": 0, "codes": 0, "words": 0, "notes": 0}


def test_two_queries_have_no_token_code_word_or_sealed_byte_in_common(real):
    for at, (one, _) in enumerate(real):
        for other, _ in real[at + 1 :]:
            assert shared_between(one, other) == NOTHING


@pytest.mark.parametrize(("leak", "what"), [(seen.Hashed, "tokens"), (seen.NamedCodes, "codes"), (seen.Unmasked, "words")])  # fmt: skip
def test_what_two_queries_of_a_leaking_party_share_is_found(by_helper, leak, what):
    one, other = (record(by_helper, made.BOTH, {"tax": leak})[0] for _ in range(2))
    assert shared_between(one, other)[what] > 0


def windows(raw):
    """Return every 8 bytes of a transcript, as numbers, sorted."""
    data = np.frombuffer(raw, np.uint8)
    whole = np.lib.stride_tricks.sliding_window_view(data, 8)
    return np.unique(np.ascontiguousarray(whole).view("<u8").ravel())


def digests(numbers, salts):
    """Yield (recipe, first 8 bytes of each candidate's image as numbers) for what a gateway can compute by itself."""
    texts = [each.encode() for each in numbers]
    yield "number", np.array([int.from_bytes(text[-8:], "little") for text in texts], np.uint64)
    yield "integer", np.array([int(text[:17]) for text in texts], np.uint64)
    for salt in salts:
        for name, make in (("sha256", hashlib.sha256), ("sha512", hashlib.sha512), ("md5", hashlib.md5)):  # fmt: skip
            start = partial(make, salt)
            found = bytearray()
            for text in texts:
                state = start()
                state.update(text)
                found += state.digest()[:8]
            yield name, np.frombuffer(bytes(found), "<u8")


def found_by_trying(transcript, numbers):
    """Return by which recipes some number of the region is found in what the gateway has."""
    seen_there = windows(transcript.raw())
    salts = (b"", transcript.context())
    return {
        name
        for name, images in digests(numbers, salts)
        if np.isin(images, seen_there, assume_unique=False).any()
    }


@pytest.fixture(scope="module")
def region():
    return made.region_numbers()


def test_no_number_of_the_region_is_found_by_trying_them_all(real, region):
    assert len(region) == 48_000
    assert found_by_trying(real[0][0], region) == set()


def test_a_hash_of_an_identity_number_is_found_by_trying_them_all(by_helper, region):
    transcript, _ = record(by_helper, made.BOTH, {"tax": seen.Hashed})
    assert found_by_trying(transcript, region) == {"sha256"}


def test_who_has_the_departments_key_finds_every_number_under_the_helper_protocol(by_helper, region):  # fmt: skip
    """The limit that the specification states: the gateway colludes with no department."""
    transcript, _ = record(by_helper, made.BOTH)
    tokens = {each.tobytes() for each in transcript.tokens("tax")}
    assert {*transcript.secrets["ga"].values()} & tokens
    assert len(tokens & {*transcript.secrets["tax"].values()}) == len(tokens)
    assert len(region) > len(tokens)


def test_points_and_tokens_of_all_numbers_match_nothing_under_the_blinded_protocol(ring, region):
    """What a gateway can compute lacks the departments' numbers, and stands nowhere: neither as points nor as tokens."""
    (transcript, _) = ring
    context = transcript.context()
    own = BlindKey.fresh(SystemRng(), context)
    points = blind(pa.array(region), "person", own, Workers.inline())
    parties = ("ga", "hr", "tax")
    there = {each.tobytes() for party in parties for found in transcript.points(party).values() for each in found}  # fmt: skip
    assert not {each.tobytes() for each in points} & there
    matched = {each.tobytes() for party in parties for each in transcript.tokens(party)}
    assert not {each.tobytes() for each in tokens(points, context, Workers.inline())} & matched
    # Who had the numbers of all departments would find every person by the same recipe.
    found = blind(pa.array(region), "person", transcript.numbers["ga"], Workers.inline())
    for party in ("hr", "tax"):
        found = blind_again(found, transcript.numbers[party], Workers.inline())
    assert matched <= {each.tobytes() for each in tokens(found, context, Workers.inline())}
