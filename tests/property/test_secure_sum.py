"""Secure sum: exact for every input, and a vector or a partial sum tells nothing."""

import hashlib
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.messages import CodeList, Hello, LabelList, MaskedVector, SealedKey
from middleplatform.crypto.round_context import SUITE, RoundContext
from middleplatform.crypto.secure_sum import Party, agreed_digest
from middleplatform.crypto.secure_total import unmask
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.errors import ProtocolError

AGREED = agreed_digest(b"codes")
LAYOUT = WordLayout((Measure("narrow", 1), Measure("wide", 2)))
CHI_SQUARE_MIN, CHI_SQUARE_MAX = 130, 400
"""255 degrees of freedom: mean 255, deviation 23; outside once in more than ten million times."""


class SeededRng:
    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def token_bytes(self, count):
        self.count += 1
        return hashlib.shake_256(f"{self.seed}/{self.count}".encode()).digest(count)


def ready_cohort(size, seed=0):
    cohort = tuple(f"d{at:03}" for at in range(size))
    context = RoundContext(SUITE, 1, "q", 1, cohort, LAYOUT.digest, "00" * 32)
    keys = {name: IdentityKey.generate(SeededRng(f"key {name}")) for name in cohort}
    pins = PinnedKeys({name: key.public_key for name, key in keys.items()})
    started = {
        name: Party.start(context, name, key, SeededRng(f"{seed} {name}"), used=MemoryUsedRounds())
        for name, key in keys.items()
    }
    hellos = [hello for _, hello in started.values()]
    sealed = {}
    for name, (party, _) in started.items():
        sealed |= party.agree(hellos, pins)
        if name != context.leader:
            party.accept_label_key(sealed[name])
    return context, pins, [party for party, _ in started.values()]


def masked(parties, data, phase="cells"):
    pairs = zip(parties, data, strict=True)
    return [party.mask(words, phase=phase, agreed=AGREED) for party, words in pairs]


def chi_square(words):
    counts = np.bincount(np.frombuffer(words.tobytes(), dtype=np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2 / expected).sum())


def looks_uniform(words):
    return CHI_SQUARE_MIN < chi_square(words) < CHI_SQUARE_MAX


@st.composite
def cohort_data(draw):
    size = draw(st.integers(2, 7))
    cells = draw(st.integers(1, 40))
    narrow, wide = (2**63 - 1) // size, ((2**63 - 1) // size) << 48
    column = st.tuples(st.integers(-narrow, narrow), st.integers(-wide, wide))
    rows = st.lists(column, min_size=cells, max_size=cells)
    return [draw(rows) for _ in range(size)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cohort_data(), st.integers(0, 2**32))
def test_totals_equal_plain_sums_exactly(data, seed):
    size, cells = len(data), len(data[0])
    context, pins, parties = ready_cohort(size, seed)
    encoded = [
        LAYOUT.encode(
            {
                "narrow": pa.array([row[0] for row in rows], pa.int64()),
                "wide": pa.array([Decimal(row[1]) for row in rows], pa.decimal128(38, 0)),
            },
            positions=np.arange(cells),
            cells=cells,
            parties=size,
        )
        for rows in data
    ]
    total = unmask(context, masked(parties, encoded), pins, phase="cells", agreed=AGREED)
    totals = LAYOUT.decode(total, cells=cells)
    for at, name in enumerate(("narrow", "wide")):
        plain = [sum(rows[cell][at] for rows in data) for cell in range(cells)]
        assert [int(value) for value in totals[name].to_pylist()] == plain


@pytest.mark.parametrize("words", [1, 2, 16383, 16384, 16385, 32768, 50000])
def test_totals_are_exact_across_the_chunks_of_the_keystream(words):
    context, pins, parties = ready_cohort(3)
    rng = np.random.default_rng(words)
    data = [rng.integers(0, 2**64, words, dtype=np.uint64) for _ in parties]
    total = unmask(context, masked(parties, data), pins, phase="cells", agreed=AGREED)
    assert np.array_equal(total, data[0] + data[1] + data[2])


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_masked_vector_looks_uniform_whatever_it_hides(size):
    _, _, parties = ready_cohort(size)
    plain = np.arange(20_000, dtype=np.uint64)
    assert not looks_uniform(plain)
    for vector in masked(parties, [plain] * size):
        assert looks_uniform(vector.words)
        assert looks_uniform(vector.words - plain)
        assert looks_uniform(np.diff(vector.words))


def test_no_word_of_a_mask_comes_twice_within_a_vector():
    """A keystream that began anew somewhere would show differences between cells."""
    _, _, parties = ready_cohort(2)
    vector = parties[0].mask(np.zeros(100_000, np.uint64), phase="cells", agreed=AGREED)
    assert len(set(vector.words.tolist())) == 100_000


def test_every_partial_sum_looks_uniform_and_only_the_whole_does_not():
    size = 4
    _, _, parties = ready_cohort(size)
    vectors = masked(parties, [np.zeros(20_000, np.uint64)] * size)
    for chosen in range(1, 2**size):
        part = sum(vectors[at].words for at in range(size) if chosen >> at & 1)
        assert looks_uniform(part) == (chosen != 2**size - 1)
    assert not part.any()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(2, 5), st.data())
def test_the_vectors_of_all_others_do_not_depend_on_a_departments_data(size, data):
    changed = data.draw(st.integers(0, size - 1))
    words = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4))
    plain = [np.full(4, at, dtype=np.uint64) for at in range(size)]
    other = [*plain]
    other[changed] = np.array(words, dtype=np.uint64)
    first, second = (masked(ready_cohort(size)[2], each) for each in (plain, other))
    for at in range(size):
        if at != changed:
            assert first[at] == second[at]


def test_any_data_of_two_departments_with_one_total_explains_what_the_gateway_saw():
    """Moving words from one to the other moves the mask between them and nothing else."""
    size, moved = 3, np.arange(1, 9, dtype=np.uint64)
    plain = [np.full(8, 100, dtype=np.uint64) for _ in range(size)]
    other = [plain[0] + moved, plain[1] - moved, plain[2]]
    first, second = (masked(ready_cohort(size)[2], data) for data in (plain, other))
    shifts = [b.words - a.words for a, b in zip(first, second, strict=True)]
    assert np.array_equal(shifts[0], moved)
    assert np.array_equal(shifts[0] + shifts[1], np.zeros(8, np.uint64))
    assert not shifts[2].any()
    assert np.array_equal(sum(v.words for v in first), sum(v.words for v in second))


def test_two_rounds_over_the_same_data_share_no_word():
    data = [np.full(1000, 7, dtype=np.uint64)] * 3
    first = masked(ready_cohort(3, seed=1)[2], data)
    second = masked(ready_cohort(3, seed=2)[2], data)
    for a, b in zip(first, second, strict=True):
        assert looks_uniform(a.words - b.words)
        assert not np.intersect1d(a.words, b.words).size


DIGEST, SIGNATURE, NAMES = st.binary(min_size=32, max_size=32), bytes(64), st.text(max_size=10)
CODES = st.sets(st.binary(min_size=16, max_size=16), max_size=6).map(lambda c: tuple(sorted(c)))
PHASES = st.text("abcxyz019-", min_size=1, max_size=32)
MESSAGES = st.one_of(
    st.builds(Hello, DIGEST, NAMES, st.just(SIGNATURE), DIGEST),
    st.builds(SealedKey, DIGEST, NAMES, st.just(SIGNATURE), NAMES, st.binary(min_size=48, max_size=48)),
    st.builds(CodeList, DIGEST, NAMES, st.just(SIGNATURE), CODES),
    st.builds(
        MaskedVector, DIGEST, NAMES, st.just(SIGNATURE), PHASES, DIGEST,
        st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=6).map(b"".join),
    ),
    CODES.flatmap(
        lambda codes: st.builds(
            LabelList, DIGEST, NAMES, st.just(SIGNATURE), st.just(codes),
            st.tuples(*[st.binary(max_size=20) for _ in codes]),
        )
    ),
    st.builds(
        RoundContext, st.just(SUITE), st.integers(0, 2**32 - 1), st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True),
        st.integers(1, 2**32 - 1), st.sets(st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True), min_size=2, max_size=5).map(
            lambda names: tuple(sorted(names))
        ),
        DIGEST, DIGEST.map(bytes.hex),
    ),
)  # fmt: skip


def read_or_refuse(kind, raw):
    """Whatever is taken must be what would be written; all else is refused with X001."""
    try:
        message = kind.from_bytes(raw)
    except ProtocolError as error:
        if error.code != "X001":
            raise
        return None
    assert message.to_bytes() == raw
    return message


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MESSAGES, st.data())
def test_decoding_takes_canonical_bytes_only(message, data):
    raw = message.to_bytes()
    assert read_or_refuse(type(message), raw) == message
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] ^= data.draw(st.integers(1, 255))
    assert read_or_refuse(type(message), bytes(changed)) != message
    assert read_or_refuse(type(message), raw[:at]) is None
    assert read_or_refuse(type(message), raw + data.draw(st.binary(min_size=1, max_size=9))) is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from([Hello, SealedKey, CodeList, MaskedVector, LabelList]), st.binary(max_size=300)
)
def test_decoding_noise_never_fails_in_another_way(kind, noise):
    read_or_refuse(RoundContext, noise)
    read_or_refuse(kind, noise)
    read_or_refuse(kind, b"MPSS1" + kind.kind + noise)
    read_or_refuse(kind, b"MPSS1" + kind.kind + bytes(32) + bytes(4) + noise)
