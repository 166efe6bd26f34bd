"""Blinded tokens: equal where identifiers are, random to everyone else, and nothing else is multiplied."""

import copy
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.crypto.blinded import (
    ROWS_MAX,
    TEXT_BYTES_MAX,
    BlindKey,
    blind,
    blind_again,
    check_points,
    distinct,
    route,
    tokens,
)
from middleplatform.crypto.curve_workers import Workers
from middleplatform.crypto.hazmat.hash_to_curve import all_on_curve, encode, multiply
from middleplatform.errors import MiddleplatformError

P, J = 2**255 - 19, 486662
CONTEXT = bytes(range(32))
INLINE = Workers.inline()


@pytest.fixture
def key_of(seeded_rng):
    return lambda name, context=CONTEXT: BlindKey.fresh(seeded_rng(name), context)


def refused(code, work, *arguments):
    with pytest.raises(MiddleplatformError) as caught:
        work(*arguments)
    assert caught.value.code == code
    return caught.value


def rows(array):
    return [row.tobytes() for row in array]


def points_of(*numbers):
    raw = b"".join(number.to_bytes(32, "little") for number in numbers)
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, 32)


def carried(keys, lists, domain="person"):
    """Return the tokens of each department's list after the whole way of each."""
    found = {}
    for owner, identifiers in lists.items():
        opening, closing = keys[owner].split(_Os())
        way = route(owner, list(lists))
        points = blind(identifiers, domain, opening if way[-1] == owner else keys[owner], INLINE)
        for name in way:
            points = blind_again(points, closing if name == owner else keys[name], INLINE)
        found[owner] = rows(tokens(points, CONTEXT, INLINE))
    return found


class _Os:
    def __init__(self):
        self.random = np.random.default_rng(5)

    def token_bytes(self, count):
        return self.random.bytes(count)


# --- What it is for -----------------------------------------------------------------------------


@pytest.mark.parametrize("departments", [2, 3, 5])
def test_tokens_of_all_lists_match_exactly_where_identifiers_do(key_of, departments):
    names = [f"d{at}" for at in range(departments)]
    held = {name: [f"id {each}" for each in range(at, 9, at + 1)] for at, name in enumerate(names)}
    found = carried(
        {name: key_of(name) for name in names}, {n: pa.array(i) for n, i in held.items()}
    )
    meant = {}
    for name in names:
        for identifier, token in zip(held[name], found[name], strict=True):
            assert meant.setdefault(identifier, token) == token
    assert len(set(meant.values())) == len(meant)


@given(
    st.lists(st.text(max_size=40), min_size=1, max_size=4, unique=True),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)
def test_the_order_of_two_keys_does_not_matter(identifiers, one, other):
    a, b = BlindKey(one, CONTEXT), BlindKey(other, CONTEXT)
    ab, ba = (
        blind_again(blind(pa.array(identifiers), "person", first, INLINE), second, INLINE)
        for first, second in ((a, b), (b, a))
    )
    assert rows(ab) == rows(ba)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_an_opening_and_its_closing_key_are_the_key(own, drawn):
    class Drawn:
        def token_bytes(self, count):
            return drawn[:count]

    key = BlindKey(own, CONTEXT)
    opening, closing = key.split(Drawn())
    identifiers = pa.array([7])
    through = blind_again(blind(identifiers, "person", opening, INLINE), closing, INLINE)
    assert rows(through) == rows(blind(identifiers, "person", key, INLINE))


def test_every_route_ends_with_all_keys_on_the_list_and_never_shows_a_step_of_another_to_two_hands():
    assert route("a", ["a", "b"]) == ("b",)
    assert route("b", ["a", "b"]) == ("a",)
    assert route("b", ["a", "b", "c"]) == ("c", "a", "b")
    for owner in "abcde":
        assert sorted(route(owner, list("abcde"))) == list("abcde")
        assert route(owner, list("abcde"))[-1] == owner


def test_a_number_and_a_text_and_two_domains_and_two_spellings_have_different_points(key_of):
    key = key_of("a")
    same = [
        blind(pa.array(values), domain, key, INLINE)[0].tobytes()
        for values, domain in (
            ([49], "person"),
            (["1"], "person"),
            (["49"], "person"),
            ([49], "firm"),
            (["1 "], "person"),
        )
    ]
    assert len(set(same)) == len(same)


def test_slices_chunks_and_long_lists_give_the_same_points_as_single_rows(key_of):
    key = key_of("a")
    texts = [f"{at:x}" * (at % 7) + f"-{at}" for at in range(2100)]
    whole = rows(blind(pa.array(texts), "person", key, INLINE))
    assert rows(blind(pa.array(texts).slice(2040, 30), "person", key, INLINE)) == whole[2040:2070]
    cut = pa.chunked_array([texts[:3], texts[3:9]])
    assert rows(blind(cut, "person", key, INLINE)) == whole[:9]
    numbers = blind(pa.array(range(2060)), "person", key, INLINE)
    assert rows(blind(pa.array([2055]), "person", key, INLINE)) == rows(numbers[2055:2056])


def test_empty_lists_stay_empty(key_of):
    for empty in (pa.array([], pa.string()), pa.array([], pa.int64())):
        points = blind(empty, "person", key_of("a"), INLINE)
        assert points.shape == (0, 32)
        assert tokens(blind_again(points, key_of("b"), INLINE), CONTEXT, INLINE).shape == (0, 16)


def test_distinct_keeps_the_order_and_says_where_each_row_stands():
    once, places = distinct(pa.array(["b", "a", "b", "c", "a"]))
    assert once.to_pylist() == ["b", "a", "c"]
    assert places.tolist() == [0, 1, 0, 2, 1]
    assert places.dtype == np.uint32
    once, places = distinct(pa.chunked_array([[5, 5], [7, 5]]))
    assert (once.to_pylist(), places.tolist()) == ([5, 7], [0, 0, 1, 0])


# --- What others see ----------------------------------------------------------------------------


def squares(raw):
    """Return how many u give a point of the curve, and how many are themselves squares."""
    numbers = [int.from_bytes(raw[at : at + 32], "little") for at in range(0, len(raw), 32)]
    curve = [pow(u * (u * u + J * u + 1), (P - 1) // 2, P) == 1 for u in numbers]
    return sum(curve), sum(pow(u, (P - 1) // 2, P) == 1 for u in numbers)


def test_hashed_points_lie_on_the_curve_where_hashes_taken_as_points_tell_a_bit():
    messages = [f"person {at}".encode() for at in range(400)]
    on_curve, square = squares(encode(messages, b"tag"))
    assert on_curve == 400
    assert all_on_curve(encode(messages, b"tag"))
    assert abs(square - 200) < 60, "u itself is as often a square as not (six deviations)"
    raw = np.random.default_rng(1).bytes(400 * 32)
    assert 140 < squares(raw)[0] < 260, (
        "half of all strings are points of the twist: the bit that leaks"
    )


def test_blinded_points_lie_on_the_curve_and_are_spread_like_points_of_the_subgroup(key_of):
    points = blind(pa.array(range(2000)), "person", key_of("a"), INLINE)
    on_curve, square = squares(points[:400].tobytes())
    # In the subgroup of odd order every point is a double, and u of a double is a square.
    assert (on_curve, square) == (400, 400)
    high = np.unpackbits(points, axis=1, bitorder="little")[:, :255].sum(axis=0)
    assert int(high.min()) > 1000 - 6 * 23
    assert int(high.max()) < 1000 + 6 * 23


def test_tokens_are_uniform_and_sixteen_bytes(key_of):
    points = blind(pa.array(range(4000)), "person", key_of("a"), INLINE)
    cut = tokens(points, CONTEXT, INLINE)
    assert cut.shape == (4000, 16)
    counts = np.bincount(cut.reshape(-1), minlength=256)
    chi = float(((counts - 250.0) ** 2 / 250.0).sum())
    assert 120 < chi < 400, "255 degrees of freedom: beyond six deviations"


def test_nothing_of_two_rounds_can_be_linked_even_under_one_key(seeded_rng):
    identifiers = pa.array([f"id {at}" for at in range(50)])
    seen = []
    for context in (b"1" * 32, b"2" * 32):
        key = BlindKey.fresh(seeded_rng("the same"), context)
        points = blind(identifiers, "person", key, INLINE)
        seen += [set(rows(points)), set(rows(tokens(points, context, INLINE)))]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[3]
    same_point = points[:1]
    assert rows(tokens(same_point, b"1" * 32, INLINE)) != rows(
        tokens(same_point, b"2" * 32, INLINE)
    )


def test_two_rounds_with_fresh_keys_share_no_point_and_no_token(key_of):
    identifiers = pa.array([f"id {at}" for at in range(50)])
    one, two = (blind(identifiers, "person", key_of(name), INLINE) for name in ("one", "two"))
    assert not set(rows(one)) & set(rows(two))


def test_a_party_without_the_other_key_finds_no_identifier_by_trying_all(key_of):
    a, b = key_of("a"), key_of("b")
    region = [f"990101{at:012d}" for at in range(300)]
    held = pa.array(region[100:110])
    at_gateway = set(
        rows(tokens(blind_again(blind(held, "person", b, INLINE), a, INLINE), CONTEXT, INLINE))
    )
    at_a = set(rows(blind(held, "person", b, INLINE)))
    tried = blind(pa.array(region), "person", a, INLINE)
    assert not set(rows(tried)) & at_a
    assert not set(rows(tokens(tried, CONTEXT, INLINE))) & at_gateway
    plain = np.frombuffer(multiply(a.scalar, tried.tobytes()), dtype=np.uint8).reshape(-1, 32)
    assert not set(rows(tokens(plain, CONTEXT, INLINE))) & at_gateway


def test_two_colluding_others_cannot_compare_the_own_list_with_theirs(key_of):
    # What three departments see without closing keys: b's number on a's list (a strips its own) and on b's own list.
    a, b = key_of("a"), key_of("b")
    identifiers = pa.array(["x", "y"])
    others = set(rows(blind_again(blind(identifiers, "person", a, INLINE), b, INLINE)))
    opening, _ = b.split(_Os())
    comparable = set(rows(blind_again(blind(identifiers, "person", b, INLINE), a, INLINE)))
    hidden = set(rows(blind_again(blind(identifiers, "person", opening, INLINE), a, INLINE)))
    assert others == comparable, "with one number they could"
    assert not others & hidden


# --- What is refused ----------------------------------------------------------------------------


def test_a_list_of_another_length_than_declared_is_refused(key_of):
    points = blind(pa.array(range(5)), "person", key_of("a"), INLINE)
    assert check_points(points, 5) is points
    for wrong in (
        points[:4],
        np.concatenate([points, points[:1]]),
        points[:, :31],
        points.astype(np.uint16),
        points[0],
    ):
        refused("X001", check_points, wrong, 5)


def test_a_list_beyond_the_cap_is_refused_before_it_is_read():
    endless = np.broadcast_to(points_of(9), (ROWS_MAX + 1, 32))
    refused("X001", check_points, endless, ROWS_MAX + 1)


@pytest.mark.parametrize("number", [0, P, P + 1, P + 9, 2**255 - 1, 2**255, 2**255 + 9, 2**256 - 1])
def test_a_number_that_is_no_canonical_point_is_refused(key_of, number):
    points = points_of(9, number)
    refused("X001", check_points, points, 2)
    refused("X001", blind_again, points, key_of("a"), INLINE)


SMALL = [
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


@pytest.mark.parametrize("number", SMALL)
def test_a_point_of_small_order_is_refused(key_of, number):
    error = refused("X001", blind_again, points_of(9, number), key_of("a"), INLINE)
    assert str(number) not in str(error)


def test_a_point_of_the_twist_is_refused(key_of):
    assert not all_on_curve(points_of(2).tobytes())
    refused("X001", blind_again, points_of(9, 2), key_of("a"), INLINE)
    refused("X001", blind_again, points_of(*[9] * 5000, 2), key_of("a"), INLINE)


def test_the_largest_canonical_points_pass_the_form():
    assert len(check_points(points_of(P - 1, P - 256, 2**254), 3)) == 3


def test_missing_long_and_foreign_identifiers_and_repeated_ones_are_refused(key_of):
    key = key_of("a")
    for wrong in (pa.array(["x", None]), pa.array([1.5]), pa.array([b"x"])):
        with pytest.raises(ValueError, match="identifier"):
            blind(wrong, "person", key, INLINE)
    refused("X004", blind, pa.array(["x" * (TEXT_BYTES_MAX + 1)]), "person", key, INLINE)
    assert len(blind(pa.array(["x" * TEXT_BYTES_MAX, ""]), "person", key, INLINE)) == 2
    error = refused("X001", blind, pa.array(["secret-id", "b", "secret-id"]), "person", key, INLINE)
    assert "secret-id" not in str(error) + str(error.detail)


def test_a_key_is_neither_shown_nor_copied_nor_pickled(key_of):
    key = key_of("a")
    assert key.scalar.hex() not in repr(key)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            way(key)


def test_every_key_has_the_form_of_rfc_7748(key_of):
    for at in range(50):
        opening, closing = key_of(f"k{at}").split(_Os())
        for key in (opening, closing):
            number = int.from_bytes(key.scalar, "little")
            assert number % 8 == 0
            assert 2**254 <= number < 2**255
