"""Cells under a key: exact totals, one refusal for whatever is wrong, nothing told by what is sent."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st
from phe import EncryptedNumber

from middleplatform.crypto.hazmat.blum_modulus import draw_pair
from middleplatform.crypto.hazmat.fixed_base import FixedBase
from middleplatform.crypto.sealed_pool import RandomPool, half_length_base
from middleplatform.crypto.sealed_sum import (
    CELLS_MAX,
    SealedWords,
    ZeroSum,
    add,
    add_plain,
    open_words,
    rerandomise,
    seal,
)
from middleplatform.errors import ProtocolError

NAMES = ("a", "b", "c")
CELLS = np.array([0, 1, -1, 2**59, -(2**59), *range(60)], dtype=np.int64)


@pytest.fixture(scope="module")
def key(opening_key):
    return opening_key.public


@pytest.fixture(scope="module")
def sealed(key):
    return seal(CELLS, key, parties=3)


def code_of(work):
    with pytest.raises(ProtocolError) as refusal:
        work()
    return refusal.value.code


def zero_sums(names=NAMES, bound=b"round 1"):
    def secret(one, other):
        return bytes([sum(map(ord, one + other)) % 256]) * 32

    return {
        own: ZeroSum(own, {each: secret(own, each) for each in names if each != own}, bound)
        for own in names
    }


@pytest.mark.parametrize("grade", ["A", "B", "C"])
@pytest.mark.parametrize("slot_bytes", [5, 8])
def test_every_grade_and_width_opens_to_the_sum(opening_key, grade, slot_bytes):
    words = np.arange(-40, 40) * 2**20
    one = seal(words, opening_key.public, parties=2, grade=grade, slot_bytes=slot_bytes)
    assert open_words(opening_key, one).tolist() == words.tolist()
    assert open_words(opening_key, add([one, one])).tolist() == (2 * words).tolist()


def test_keys_of_the_default_length_open_too(make_opening_key, seeded_rng):
    created = "2026-01-01T00:00:00Z"
    opening = type(make_opening_key("x")).generate(3072, "audit", created, seeded_rng("3072"))
    one = seal(CELLS, opening.public, parties=1)
    assert len(one.to_bytes()) == 50 + 2 * 768
    assert open_words(opening, one).tolist() == CELLS.tolist()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda count: st.lists(
            st.lists(st.integers(-(2**60), 2**60), min_size=count, max_size=count),
            min_size=1,
            max_size=4,
        )
    )
)
def test_sealed_sums_are_sums(opening_key, vectors):
    arrays = [np.array(each, dtype=np.int64) for each in vectors]
    total = add([seal(each, opening_key.public, parties=4) for each in arrays])
    expected = [sum(column) for column in zip(*vectors, strict=True)]
    assert open_words(opening_key, total).tolist() == expected


@pytest.mark.parametrize("grade", ["A", "B", "C"])
def test_what_leaves_shows_of_the_cells_their_number_only(key, grade):
    nothing = seal(np.zeros_like(CELLS), key, parties=3, grade=grade).to_bytes()
    something = seal(CELLS, key, parties=3, grade=grade).to_bytes()
    assert nothing[:50] == something[:50]
    assert len(nothing) == len(something)
    assert nothing[50:] != something[50:]


def test_known_words_are_added_under_fresh_randomness(opening_key, key, sealed):
    total = add_plain(sealed, CELLS)
    assert open_words(opening_key, total).tolist() == (2 * CELLS).tolist()
    plain = sealed.packing.pack(CELLS)
    square = key.modulus**2
    for before, after, m in zip(sealed.ciphertexts, total.ciphertexts, plain, strict=True):
        assert after != before * (1 + m * key.modulus) % square


def test_the_join_s_residues_open_modulo_two_to_the_64(opening_key):
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, 2**64, 100, dtype=np.uint64) for _ in range(2))
    one = seal(first, opening_key.public, parties=2, slot_bytes=9)
    opened = open_words(opening_key, add_plain(one, second))
    assert opened.dtype == np.uint64
    assert np.array_equal(opened, first + second)


def test_other_ciphertexts_of_the_same_cells_open_alike(opening_key, sealed):
    other = rerandomise(sealed)
    assert not set(other.ciphertexts) & set(sealed.ciphertexts)
    assert open_words(opening_key, other).tolist() == CELLS.tolist()


def test_a_bare_phe_key_adds_and_opens(opening_key, sealed):
    private = opening_key.to_phe()
    numbers = [EncryptedNumber(private.public_key, int(c), 0) for c in sealed.ciphertexts]
    for number, m in zip(numbers, sealed.packing.pack(CELLS), strict=True):
        assert private.decrypt(number) == m
        assert private.decrypt(number + number) == 2 * m


def test_what_phe_encrypts_opens_here(opening_key, sealed):
    public = opening_key.to_phe().public_key
    theirs = tuple(mpz(public.raw_encrypt(int(m) % public.n)) for m in sealed.packing.pack(CELLS))
    both = add([sealed, replace(sealed, ciphertexts=theirs)])
    assert open_words(opening_key, both).tolist() == (2 * CELLS).tolist()


# Masks


def test_masks_cancel_in_the_sum_of_all(opening_key, key):
    parts = [seal(CELLS, key, parties=3, zero_sum=each) for each in zero_sums().values()]
    assert open_words(opening_key, add(parts)).tolist() == (3 * CELLS).tolist()


@pytest.mark.parametrize("left_out", range(3))
def test_a_partial_sum_of_masked_cells_is_noise_even_to_the_holder(opening_key, key, left_out):
    parts = [seal(CELLS, key, parties=3, zero_sum=each) for each in zero_sums().values()]
    some = add(parts[:left_out] + parts[left_out + 1 :])
    assert code_of(lambda: open_words(opening_key, some)) == "X001"
    claimed = replace(some, added=3)
    assert code_of(lambda: open_words(opening_key, claimed)) == "X004"
    unmasked = replace(some, masked=False)
    assert code_of(lambda: open_words(opening_key, unmasked)) == "X004"


def test_masked_plaintexts_are_uniform_and_differ_by_round(opening_key, key):
    # 16 buckets of the plaintext's range; the 99.9 % point of chi-square with 15 degrees is 37.7.
    words = np.zeros(160 * 31, dtype=np.int64)
    plains = []
    for bound in (b"round 1", b"round 2"):
        part = seal(words, key, parties=3, grade="C", zero_sum=zero_sums(bound=bound)["b"])
        plains.append(opening_key.decrypt_all(part.ciphertexts))
    assert not set(plains[0]) & set(plains[1])
    for plain in plains:
        counts = np.bincount([int(16 * m // key.modulus) for m in plain], minlength=16)
        assert ((counts - 10) ** 2 / 10).sum() < 37.7


@pytest.mark.parametrize("change", ["bound", "secret", "width", "count"])
def test_masks_that_were_not_made_alike_do_not_cancel(opening_key, key, change):
    sums = zero_sums(("a", "b"))
    words = np.zeros(31, dtype=np.int64)
    parts = [seal(words, key, parties=2, zero_sum=sums["a"])]
    other = {
        "bound": lambda: seal(words, key, parties=2, zero_sum=zero_sums(("a", "b"), b"2")["b"]),
        "secret": lambda: seal(
            words, key, parties=2, zero_sum=ZeroSum("b", {"a": bytes(32)}, b"round 1")
        ),
        "width": lambda: replace(
            seal(words, key, parties=2, slot_bytes=5, zero_sum=sums["b"]), slot_bytes=8
        ),
        "count": lambda: replace(
            seal(np.zeros(62, np.int64), key, parties=2, zero_sum=sums["b"]),
            count=31,
            ciphertexts=seal(
                np.zeros(62, np.int64), key, parties=2, zero_sum=sums["b"]
            ).ciphertexts[:1],
        ),
    }[change]()
    assert code_of(lambda: open_words(opening_key, add([*parts, other]))) == "X004"


@pytest.mark.parametrize(
    "secrets", [{}, {"a": bytes(32)}, {"b": bytes(31)}, {"b": bytes(32), "c": bytes(33)}]
)
def test_secrets_of_no_zero_sum_are_refused(secrets):
    assert code_of(lambda: ZeroSum("a", secrets, b"")) == "X001"


def test_secrets_of_another_number_of_parties_are_refused(key):
    sums = zero_sums(("a", "b"))
    assert code_of(lambda: seal(CELLS, key, parties=3, zero_sum=sums["a"])) == "X001"


def test_secrets_show_in_no_representation():
    assert "secrets" not in repr(zero_sums()["a"])


# Ranges


@pytest.mark.parametrize("parties", [1, 2, 5])
def test_the_range_check_is_exact(opening_key, key, parties):
    largest = (2**63 - 1) // parties
    parts = [seal(np.array([largest, -largest]), key, parties=parties)] * parties
    total = parties * largest
    assert open_words(opening_key, add(parts)).tolist() == [total, -total]
    beyond = np.array([-(-(2**63) // parties)] if parties > 1 else [-(2**63)], dtype=np.int64)
    assert code_of(lambda: seal(beyond, key, parties=parties)) == "X004"


def test_more_cells_than_a_message_holds_are_refused(key):
    words = np.zeros(CELLS_MAX + 1, dtype=np.int64)
    assert code_of(lambda: seal(words, key, parties=1)) == "X001"


# Bytes


def test_bytes_come_back(key, sealed):
    assert SealedWords.from_bytes(sealed.to_bytes(), key) == sealed


def test_no_cells_are_a_message_too(opening_key, key):
    nothing = seal(np.array([], dtype=np.int64), key, parties=1)
    again = SealedWords.from_bytes(nothing.to_bytes(), key)
    assert open_words(opening_key, again).tolist() == []


@pytest.mark.parametrize("at", [*range(10), 10, 12, 14, 17, 18, 30, 49])
def test_a_changed_header_is_refused(key, sealed, at):
    raw = bytearray(sealed.to_bytes())
    raw[at] ^= 0x80
    assert code_of(lambda: SealedWords.from_bytes(bytes(raw), key)) == "X001"


@pytest.mark.parametrize("change", [{"grade": "C"}, {"parties": 4}, {"added": 2}, {"count": 64}])
def test_what_a_reader_cannot_judge_is_in_the_digest_that_is_signed(sealed, change):
    assert replace(sealed, **change).digest != sealed.digest


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: raw[:49], lambda _: b""]
)
def test_another_length_is_refused(key, sealed, change):
    assert code_of(lambda: SealedWords.from_bytes(change(sealed.to_bytes()), key)) == "X001"


def test_ciphertexts_out_of_range_are_refused(opening_key, key, sealed):
    n = key.modulus
    for bad in (mpz(0), n * n, n * n + 1, n, 7 * n, opening_key._private.p):
        raw = sealed.to_bytes()[:50] + b"".join(
            each.to_bytes(512, "big") for each in (bad, *sealed.ciphertexts[1:])
        )
        assert code_of(lambda raw=raw: SealedWords.from_bytes(raw, key)) == "X001"
        changed = replace(sealed, ciphertexts=(bad, *sealed.ciphertexts[1:]))
        assert code_of(lambda changed=changed: open_words(opening_key, changed)) == "X001"


def test_a_shared_factor_is_an_alarm(opening_key, sealed):
    changed = replace(sealed, ciphertexts=(opening_key._private.p, *sealed.ciphertexts[1:]))
    with pytest.raises(ProtocolError) as refusal:
        open_words(opening_key, changed)
    assert refusal.value.detail.startswith("factor")


def test_words_of_another_key_are_refused(make_opening_key, key, sealed):
    other = make_opening_key("other")
    assert code_of(lambda: SealedWords.from_bytes(sealed.to_bytes(), other.public)) == "X001"
    assert code_of(lambda: open_words(other, sealed)) == "X001"
    foreign = seal(CELLS, other.public, parties=3)
    assert code_of(lambda: add([sealed, foreign])) == "X001"
    assert key != other.public


def test_a_tampered_ciphertext_does_not_open_to_cells(opening_key, sealed):
    changed = (sealed.ciphertexts[0] + 1, *sealed.ciphertexts[1:])
    assert code_of(lambda: open_words(opening_key, replace(sealed, ciphertexts=changed))) == "X004"


@pytest.mark.parametrize(
    "change",
    [
        {"slot_bytes": 5},
        {"grade": "C"},
        {"parties": 4},
        {"zero_sum": zero_sums()["a"]},
        {"words": CELLS[:40]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_vectors_that_are_not_alike_do_not_add(key, sealed, change):
    how = {"words": CELLS // 2**30, "parties": 3} | change
    other = seal(how.pop("words"), key, **how)
    assert code_of(lambda: add([sealed, other])) == "X001"


def test_more_vectors_than_parties_do_not_add(sealed):
    assert code_of(lambda: add([sealed] * 4)) == "X001"
    assert code_of(lambda: add([])) == "X001"
    full = add([sealed] * 3)
    assert code_of(lambda: add_plain(full, CELLS)) == "X001"
    assert code_of(lambda: add_plain(sealed, CELLS[:1])) == "X001"


# Randomness


def test_a_pool_gives_each_factor_once(key, seeded_rng):
    pool = RandomPool(key, "C", seeded_rng("pool"))
    pool.fill(5)
    assert pool.waiting == 5
    first, second = pool.take(3), pool.take(4)
    assert pool.waiting == 0
    assert len({*first, *second}) == 7


def test_the_pool_that_is_given_is_used_even_when_it_is_empty(key, seeded_rng):
    rng = seeded_rng("empty")
    seal(CELLS, key, parties=1, pool=RandomPool(key, "B", rng))
    assert rng.count == 3


def test_a_pool_is_neither_copied_nor_pickled(key):
    pool = RandomPool(key)
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            spread(pool)


FORKED = """
import os, sys
from middleplatform.crypto.sealed_keys import SealingKey
from middleplatform.crypto.sealed_pool import RandomPool
pool = RandomPool(SealingKey.from_bytes(bytes.fromhex(sys.argv[1])), "C")
pool.fill(2)
if os.fork() == 0:
    print(pool.take(1)[0], flush=True)
    os._exit(0)
os.wait()
print(pool.take(1)[0])
"""


def test_a_forked_process_does_not_give_out_its_parents_factors(key):
    command = [sys.executable, "-c", FORKED, key.to_bytes().hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    child, parent = done.stdout.split()
    assert child != parent


def test_a_pool_of_another_grade_or_key_is_refused(make_opening_key, key):
    for pool in (RandomPool(key, "A"), RandomPool(make_opening_key("other").public)):
        assert code_of(lambda pool=pool: seal(CELLS, key, parties=1, pool=pool)) == "X001"


def test_grade_c_needs_a_key_that_is_made_for_it(make_opening_key):
    key = make_opening_key("no subgroup").public
    assert code_of(lambda: seal(CELLS, key, parties=1, grade="C")) == "X001"


@pytest.mark.parametrize("grade", ["A", "B", "C"])
def test_factors_are_residues_of_the_order_that_opening_removes(opening_key, seeded_rng, grade):
    private, n = opening_key._private, opening_key.public.modulus
    order = (private.p - 1) * (private.q - 1)
    for factor in RandomPool(opening_key.public, grade, seeded_rng(grade)).take(3):
        assert factor != 1
        assert gmpy2.powmod(factor, order, n * n) == 1


def test_grade_c_keeps_to_its_subgroup_and_grade_b_does_not(make_opening_key, seeded_rng):
    p, q, order = draw_pair(2048, seeded_rng("sealed"), 512)
    opening = make_opening_key("sealed", subgroup=True)  # the same draws
    n = opening.public.modulus
    assert n == p * q
    factors = {g: RandomPool(opening.public, g, seeded_rng("o")).take(1)[0] for g in "BC"}
    assert gmpy2.bit_length(order) in (511, 512)
    assert gmpy2.powmod(factors["C"], 2 * order, n * n) == 1
    assert gmpy2.powmod(factors["B"], 2 * order, n * n) != 1


def test_the_comb_is_a_power(seeded_rng):
    modulus = mpz(2) ** 521 - 1
    for bits in (128, 512, 1024):
        table = FixedBase(mpz(3), modulus, bits)
        for at in range(3):
            digits = seeded_rng(f"{bits} {at}").token_bytes(table.exponent_bytes)
            exponent = table.exponent(digits)
            assert gmpy2.bit_length(mpz(exponent)) <= bits
            assert table.power(digits) == gmpy2.powmod(3, exponent, modulus)
        assert table.exponent(b"\xff" * table.exponent_bytes) == 2**bits - 1


def test_the_base_of_grade_b_is_minus_a_square(opening_key):
    n = opening_key.public.modulus
    base = half_length_base(n)
    assert gmpy2.jacobi(base, n) == 1
    assert all(
        gmpy2.jacobi(-base, p) == 1 for p in (opening_key._private.p, opening_key._private.q)
    )


@pytest.mark.parametrize(("grade", "count"), [("A", 96), ("B", 800), ("C", 800)])
@pytest.mark.parametrize("value", [0, 2**62])
def test_ciphertexts_look_uniform_whatever_they_hold(key, seeded_rng, grade, count, value):
    words = np.full(31 * count, value, dtype=np.int64)
    pool = RandomPool(key, grade, seeded_rng(f"uniform {grade} {value}"))
    sealed = seal(words, key, parties=1, grade=grade, pool=pool)
    square = key.modulus**2
    buckets = np.bincount([int(16 * c // square) for c in sealed.ciphertexts], minlength=16)
    expected = count / 16
    assert ((buckets - expected) ** 2 / expected).sum() < 37.7  # 15 degrees, 99.9 %
    low = np.frombuffer(
        b"".join((c & ((1 << 3968) - 1)).to_bytes(496, "big") for c in sealed.ciphertexts), np.uint8
    )
    counts, expected = np.bincount(low, minlength=256), low.size / 256
    assert ((counts - expected) ** 2 / expected).sum() < 330.5  # 255 degrees, 99.9 %
    assert len(set(sealed.ciphertexts)) == count
