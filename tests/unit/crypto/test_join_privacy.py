"""What a gateway sees of a private join tells it neither who is in a list nor whether two queries name the same people."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from middleplatform.crypto.join_tokens import tokens
from middleplatform.crypto.round_context import JOIN_SUITE

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_COHORT = ("civil_990101", "hrss_990101", "keyholder")


def number_of(day, serial):
    """Return one identity number of the unused region, check digit included (GB 11643)."""
    digits = f"990101{day:%Y%m%d}{serial:03}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return digits + "10X98765432"[total % 11]


@pytest.fixture(scope="module")
def region():
    """All numbers of one region and sixteen days."""
    days = [date(1980, 1, 1) + timedelta(days=at) for at in range(16)]
    return [number_of(day, serial) for day in days for serial in range(1000)]


@dataclass
class Seen:
    """What the gateway has of a round: what it is told, what it relays, what it receives."""

    context: object
    relayed: list[bytes]
    tokens: np.ndarray
    codes: list[bytes]
    masked: np.ndarray


def transcript(make_join, people, words, **named):
    join = make_join(_COHORT[:2], _COHORT[2:], **named)
    party, helper = join[_COHORT[0]], _COHORT[2]
    order = party.permutation(len(people))
    ids = pa.array(people, pa.string()).take(pa.array(order))
    relayed = [each.to_bytes() for each in (*join.hellos, *join.sealed.values())]
    relayed.append(party.count_note(0, helper, *words.shape))
    return Seen(
        join.context,
        relayed,
        party.tokens(ids, "person"),
        party.codes([b"a", b"b"], 0, shared=True),
        party.mask(words[order], 0, helper),
    )


def as_set(table):
    return {row.tobytes() for row in table}


def test_identity_numbers_cannot_be_found_by_trying_a_whole_region(make_join, region):
    people = region[::7]
    seen = transcript(make_join, people, np.zeros((len(people), 1), dtype=np.uint64))
    wanted = as_set(seen.tokens)
    context = seen.context
    public = [
        b"", context.digest, context.to_bytes(), context.layout_hash, context.query_id.encode(), b"person",
        *seen.relayed, *(raw[-96:-64] for raw in seen.relayed),
    ]  # fmt: skip
    tried = 0
    for name in region:
        for salt in public:
            text = name.encode()
            for digest in (
                hashlib.sha256(salt + text).digest(),
                hashlib.sha256(text + salt).digest(),
                hmac.digest(salt, text, "sha256"),
                hashlib.md5(salt + text).digest(),
            ):
                tried += 2
                assert digest[:16] not in wanted
                assert digest[-16:] not in wanted
    assert tried == len(region) * len(public) * 8
    # Nor under any key that is made of what everybody sees, by the very recipe.
    everybody = pa.array(region)
    for salt in public:
        for key in (hashlib.sha256(salt).digest(), hmac.digest(context.digest, salt, "sha256")):
            assert not as_set(tokens(key, "person", everybody)) & wanted


def test_who_has_the_key_finds_every_number_by_trying(make_join, region):
    join = make_join()
    wanted = as_set(join["d1"].tokens(pa.array(region[::7]), "person"))
    found = as_set(join["d2"].tokens(pa.array(region), "person"))
    assert wanted <= found  # why the gateway never gets it, and colludes with no department
    assert len(found) == len(region)


@pytest.mark.parametrize("change", ["attempt", "query", "keys"])
def test_tokens_of_two_rounds_are_not_linkable(make_join, make_context, region, change):
    ids = pa.array(region)
    named = {
        "attempt": {"context": make_context(("d1", "d2"), suite=JOIN_SUITE, attempt=2)},
        "query": {"context": make_context(("d1", "d2"), suite=JOIN_SUITE, query_id="q-2")},
        "keys": {"seed": "fresh"},
    }[change]
    first = make_join(holders=())["d1"].tokens(ids, "person")
    second = make_join(holders=(), **named)["d1"].tokens(ids, "person")
    assert not as_set(first) & as_set(second)
    # Tokens of one person agree in half of their bits, as those of two people do.
    bits = np.unpackbits(first ^ second, axis=1).sum(axis=1)
    assert abs(bits.mean() - 64) < 5 * np.sqrt(32 / len(ids))
    assert abs(bits.var() - 32) < 5 * 32 * np.sqrt(2 / len(ids))
    places = np.unpackbits(first ^ second, axis=1).mean(axis=0)
    assert np.abs(places - 0.5).max() < 5.5 * 0.5 / np.sqrt(len(ids))
    # Their order tells nothing either.
    ranks = [
        np.argsort(np.argsort(each[:, :8].copy().view(">u8").ravel())) for each in (first, second)
    ]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 5 / np.sqrt(len(ids))


def test_a_retry_shows_nothing_twice(make_join, make_context, region):
    words = np.arange(2 * len(region), dtype=np.uint64).reshape(-1, 2)
    contexts = [make_context(_COHORT, suite=JOIN_SUITE, attempt=at) for at in (1, 2)]
    first, second = (
        transcript(make_join, region, words, context=context, seed=f"draws of {context.attempt}")
        for context in contexts
    )
    assert not as_set(first.tokens) & as_set(second.tokens)
    assert not {*first.codes} & {*second.codes}
    assert not {*first.relayed} & {*second.relayed}
    # The difference of two masked lists of the same rows is no difference of two rows.
    assert not np.intersect1d(first.masked, second.masked).size
    steps = np.abs((first.masked - second.masked).view(np.int64).astype(float))
    assert np.median(steps) > 2**60


def test_a_retry_shows_nothing_twice_even_if_the_generator_repeats_itself(
    make_join, make_context, region
):
    words = np.arange(len(region), dtype=np.uint64).reshape(-1, 1)
    contexts = [make_context(_COHORT, suite=JOIN_SUITE, attempt=at) for at in (1, 2)]
    first, second = (transcript(make_join, region, words, context=each) for each in contexts)
    assert not as_set(first.tokens) & as_set(second.tokens)
    assert not np.intersect1d(first.masked, second.masked).size


def test_transcripts_of_two_data_sets_of_one_size_have_one_shape(make_join, region):
    one = transcript(make_join, region[:500], np.zeros((500, 3), dtype=np.uint64))
    other = transcript(
        make_join, region[-500:], np.full((500, 3), 2**64 - 1, dtype=np.uint64), seed="other"
    )
    for first, second in ((one.tokens, other.tokens), (one.masked, other.masked)):
        assert (first.shape, first.dtype) == (second.shape, second.dtype)
    assert [len(raw) for raw in one.relayed] == [len(raw) for raw in other.relayed]
    assert [len(code) for code in one.codes] == [len(code) for code in other.codes]


def test_no_message_holds_an_identity_number_or_a_key(make_join, region):
    seen = transcript(make_join, region, np.ones((len(region), 1), dtype=np.uint64))
    everything = b"".join(
        [*seen.relayed, *seen.codes, seen.tokens.tobytes(), seen.masked.tobytes()]
    )
    assert not [name for name in region if name.encode() in everything]


def test_with_the_same_draws_one_changed_word_changes_one_masked_word(make_join, region):
    people, words = region[:200], np.arange(600, dtype=np.uint64).reshape(200, 3)
    changed = words.copy()
    changed[17, 2] = 2**63
    one, other = (transcript(make_join, people, each) for each in (words, changed))
    assert one.relayed == other.relayed
    assert np.array_equal(one.tokens, other.tokens)
    different = one.masked != other.masked
    assert different.sum() == 1
    assert (other.masked - one.masked)[different].tolist() == [2**63 - int(words[17, 2])]


def test_the_places_of_a_group_do_not_depend_on_where_its_rows_stood(make_join):
    rows, size, draws = 40, 10, 3_000
    parties = make_join().parties
    party, found = parties["d1"], np.zeros((2, rows), dtype=np.int64)
    for _ in range(draws):
        # The first group is the table's first rows in one data set, and spread over it in the other.
        for at, group in enumerate((np.arange(size), np.arange(0, rows, rows // size))):
            found[at, np.argsort(party.permutation(rows))[group]] += 1
    for counts in found:
        # 39 degrees of freedom, and places of one group exclude each other: above 85 with probability below 1e-4.
        assert ((counts - draws * size / rows) ** 2 / (draws * size / rows)).sum() < 85
