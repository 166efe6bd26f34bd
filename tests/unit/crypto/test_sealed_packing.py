"""Cells in plaintexts: nothing spills, nothing is lost, and the edges are exact."""

import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.crypto.sealed_packing import Packing
from middleplatform.errors import ProtocolError

BITS = (2048, 3072)
N = {bits: mpz(1) << (bits - 1) | 1 for bits in BITS}  # the smallest modulus of a length


def test_slots_are_those_of_the_specification():
    assert [Packing(3072, w, 5).slots for w in (8, 5, 9)] == [47, 76, 42]
    assert [Packing(2048, w, 5).slots for w in (8, 5, 9)] == [31, 51, 28]


@given(st.data(), st.sampled_from(BITS), st.sampled_from((5, 8)), st.integers(1, 1024))
def test_sums_of_packed_vectors_are_packed_sums(data, bits, width, parties):
    packing = Packing(bits, width, parties)
    summed = data.draw(st.integers(1, min(parties, 4)))
    cell = st.integers(1 - packing.limit, packing.limit - 1)
    count = data.draw(st.integers(1, 100))
    vectors = [data.draw(st.lists(cell, min_size=count, max_size=count)) for _ in range(summed)]
    packed = [packing.pack(np.array(vector, dtype=np.int64)) for vector in vectors]
    n = N[bits]
    totals = [sum(column) % n for column in zip(*packed, strict=True)]
    assert packing.unpack(totals, count, n).tolist() == [sum(c) for c in zip(*vectors, strict=True)]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", [5, 8])
@pytest.mark.parametrize("parties", [1, 2, 3, 5, 1024])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_cell_of_all_parties_still_adds_and_one_more_is_refused(
    bits, width, parties, sign
):
    packing = Packing(bits, width, parties)
    largest = (2 ** (8 * width - 1) - 1) // parties  # the largest whole number below the bound
    count = 2 * packing.slots + 1
    cells = np.full(count, sign * largest, dtype=np.int64)
    totals = [m * parties % N[bits] for m in packing.pack(cells)]
    assert (packing.unpack(totals, count, N[bits]) == parties * cells).all()
    if width == 5 or parties > 1:
        beyond = -(-(2 ** (8 * width - 1)) // parties)
        with pytest.raises(ProtocolError, match="range") as refusal:
            packing.pack(np.array([sign * beyond], dtype=np.int64))
        assert refusal.value.code == "X004"


def test_the_least_word_is_refused_though_its_absolute_value_is_no_word():
    with pytest.raises(ProtocolError) as refusal:
        Packing(2048, 8, 1).pack(np.array([-(2**63)], dtype=np.int64))
    assert refusal.value.code == "X004"


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=90), st.sampled_from((1, 2, 128)))
def test_residues_add_modulo_two_to_the_64(residues, parties):
    packing = Packing(2048, 9, parties)
    packed = packing.pack(np.array(residues, dtype=np.uint64))
    opened = packing.unpack([parties * m for m in packed], len(residues), N[2048])
    assert opened.dtype == np.uint64
    assert opened.tolist() == [parties * each % 2**64 for each in residues]


def test_residues_of_more_parties_than_fit_are_refused():
    assert Packing(2048, 9, 128).slots == 28
    with pytest.raises(ProtocolError) as refusal:
        Packing(2048, 9, 129)
    assert refusal.value.code == "X004"


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", [5, 8, 9])
def test_every_sum_stays_below_a_third_of_the_smallest_modulus(bits, width):
    packing = Packing(bits, width, 1)
    largest = sum((2 ** (8 * width - 1)) << (8 * width * slot) for slot in range(packing.slots))
    assert largest < N[bits] // 3


@pytest.mark.parametrize(("width", "parties"), [(4, 1), (16, 1), (8, 0), (8, 1025)])
def test_other_packings_are_refused(width, parties):
    with pytest.raises(ProtocolError) as refusal:
        Packing(2048, width, parties)
    assert refusal.value.code == "X001"


@pytest.mark.parametrize("words", [np.zeros((2, 2), np.int64), np.zeros(2, np.uint64), np.zeros(2)])
def test_words_of_another_shape_or_type_are_refused(words):
    with pytest.raises(ProtocolError) as refusal:
        Packing(2048, 8, 1).pack(words)
    assert refusal.value.code == "X001"


def test_a_plaintext_that_is_no_sum_of_slots_is_refused():
    packing, n = Packing(2048, 8, 2), N[2048]
    beyond = mpz(1) << (64 * packing.slots)
    for noise in (n // 2, n // 2 + 1, n // 3, beyond):
        with pytest.raises(ProtocolError) as refusal:
            packing.unpack([noise], 1, n)
        assert refusal.value.code == "X004"


def test_a_cell_beyond_the_last_is_refused():
    packing = Packing(2048, 8, 2)
    plain = packing.pack(np.array([1, 2, 3], dtype=np.int64))
    with pytest.raises(ProtocolError) as refusal:
        packing.unpack(plain, 2, N[2048])
    assert refusal.value.code == "X004"


def test_another_number_of_plaintexts_is_refused():
    packing = Packing(2048, 8, 2)
    plain = packing.pack(np.arange(packing.slots + 1))
    with pytest.raises(ProtocolError) as refusal:
        packing.unpack(plain, packing.slots, N[2048])
    assert refusal.value.code == "X001"


def test_no_cells_are_no_plaintexts():
    packing = Packing(2048, 8, 2)
    assert packing.pack(np.array([], dtype=np.int64)) == []
    assert packing.unpack([], 0, N[2048]).tolist() == []
