"""Vectors of RFC 9380 and RFC 7748, and the committed round of the blinded protocol.

Beside our code stands the curve written out anew: whole points with both coordinates, and no X25519.
"""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest

from middleplatform.crypto.blinded import BlindKey, blind, blind_again, tokens
from middleplatform.crypto.curve_workers import Workers
from middleplatform.crypto.hazmat.hash_to_curve import (
    encode,
    field_elements,
    map_to_curve,
    multiply,
)

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests/vectors/crypto"
P, J = 2**255 - 19, 486662
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def vectors(name):
    return json.loads((FOLDER / name).read_text())


# --- The curve, anew ----------------------------------------------------------------------------


def height(u):
    """Return v squared: the curve is v^2 = u^3 + J u^2 + u."""
    return (u * u * u + J * u * u + u) % P


def root(square):
    found = pow(square, (P + 3) // 8, P)
    return found if found * found % P == square else found * ROOT_OF_MINUS_ONE % P


def elligator(r):
    """RFC 9380, section 6.7.1, step by step."""
    u1 = -J * pow(1 + 2 * r * r, -1, P) % P
    if pow(height(u1), (P - 1) // 2, P) in {0, 1}:
        u, odd = u1, 1
    else:
        u, odd = (-u1 - J) % P, 0
    v = root(height(u))
    return u, v if v % 2 == odd else -v % P


def added(a, b):
    """RFC 7748's curve by the law of chord and tangent; None is the neutral point."""
    if a is None or b is None:
        return b if a is None else a
    (u1, v1), (u2, v2) = a, b
    if u1 == u2 and (v1 + v2) % P == 0:
        return None
    rise, run = (3 * u1 * u1 + 2 * J * u1 + 1, 2 * v1) if a == b else (v2 - v1, u2 - u1)
    slope = rise * pow(run, -1, P) % P
    u3 = (slope * slope - J - u1 - u2) % P
    return u3, (slope * (u1 - u3) - v1) % P


def times(number, point):
    found = None
    while number:
        found = added(found, point) if number & 1 else found
        point, number = added(point, point), number >> 1
    return found


def clamped(raw):
    return int.from_bytes(raw, "little") & ((1 << 254) - 8) | 1 << 254


def expanded(message, tag, count):
    """RFC 9380, section 5.3.1, for SHA-512."""
    tag += bytes([len(tag)])
    first = hashlib.sha512(bytes(128) + message + count.to_bytes(2, "big") + b"\0" + tag).digest()
    blocks = [hashlib.sha512(first + b"\1" + tag).digest()]
    while 64 * len(blocks) < count:
        mixed = bytes(a ^ b for a, b in zip(first, blocks[-1], strict=True))
        blocks.append(hashlib.sha512(mixed + bytes([len(blocks) + 1]) + tag).digest())
    return b"".join(blocks)[:count]


def hashed_point(message, tag):
    return elligator(int.from_bytes(expanded(message, tag, 48), "big") % P)


def pair(two):
    return tuple(int(each, 16) for each in two)


# --- RFC 9380, appendix J.4 ---------------------------------------------------------------------


@pytest.mark.parametrize("at", range(5))
def test_hashes_as_rfc_9380_says(at):
    suite = vectors("rfc9380.json")["J.4.2"]
    vector, tag = suite["vectors"][at], suite["dst"].encode()
    message = vector["msg"].encode()
    (element,) = field_elements([message], tag)
    assert int(element) == int(vector["u0"], 16)
    assert encode([message], tag) == pair(vector["Q"])[0].to_bytes(32, "little")
    assert hashed_point(message, tag) == pair(vector["Q"])
    assert times(8, pair(vector["Q"])) == pair(vector["P"])


@pytest.mark.parametrize("at", range(5))
def test_a_product_of_q_is_one_of_p_so_that_clamping_clears_the_cofactor(at):
    vector = vectors("rfc9380.json")["J.4.2"]["vectors"][at]
    secret = hashlib.sha256(f"secret {at}".encode()).digest()
    product = multiply(secret, pair(vector["Q"])[0].to_bytes(32, "little"))
    u, _ = times(clamped(secret) // 8, pair(vector["P"]))
    assert int.from_bytes(product, "little") == u


@pytest.mark.parametrize("at", range(5))
def test_maps_the_elements_of_the_random_oracle_suite_as_rfc_9380_says(at):
    vector = vectors("rfc9380.json")["J.4.1"]["vectors"][at]
    elements = [int(vector[name], 16) for name in ("u0", "u1")]
    points = [pair(vector[name]) for name in ("Q0", "Q1")]
    assert [int(u) for u in map_to_curve(elements)] == [u for u, _ in points]
    assert [elligator(each) for each in elements] == points
    assert times(8, added(*points)) == pair(vector["P"])


def test_maps_many_at_once_as_one_by_one_and_zero_and_the_largest_too():
    elements = [0, 1, 2, P - 1, P - 2, *[int.from_bytes(bytes([at]) * 31) for at in range(1, 40)]]
    assert [int(u) for u in map_to_curve(elements)] == [elligator(each)[0] for each in elements]
    assert map_to_curve([]) == []


# --- RFC 7748 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(2))
def test_multiplies_as_rfc_7748_says(at):
    scalar, u, product = (
        bytes.fromhex(each) for each in vectors("rfc7748.json")["products"][at].values()
    )
    assert multiply(scalar, u) == product


def test_the_iterated_product_is_that_of_rfc_7748_after_1_and_1000_rounds():
    iterated = vectors("rfc7748.json")["iterated"]
    scalar = u = bytes.fromhex(iterated["start"])
    for count in range(1, 1001):
        scalar, u = multiply(scalar, u), scalar
        if str(count) in iterated:
            assert scalar.hex() == iterated[str(count)]


def test_the_exchange_of_rfc_7748_commutes():
    given = {name: bytes.fromhex(raw) for name, raw in vectors("rfc7748.json")["exchange"].items()}
    base = (9).to_bytes(32, "little")
    both = multiply(given["alice"], base) + multiply(given["bob"], base)
    assert both == given["alice_public"] + given["bob_public"]
    assert multiply(given["alice"], given["bob_public"]) == given["shared"]
    assert multiply(given["bob"], given["alice_public"]) == given["shared"]


# --- The committed round ------------------------------------------------------------------------


def tagged(tag, *parts):
    parts = [part.encode() if isinstance(part, str) else part for part in (tag, *parts)]
    return hashlib.sha256(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).digest()


def by_the_specification(vector):
    """Return points, product and tokens of the round by the formulas of the page, without X25519."""
    context = bytes.fromhex(vector["context"])
    start = tagged("middleplatform private-join identifier v1", context, vector["domain"])
    cut = tagged("middleplatform private-join token v1", context)
    found = []
    for identifier in vector["identifiers"]:
        if isinstance(identifier, int):
            value = b"\x01" + identifier.to_bytes(8, "big", signed=True)
        else:
            value = b"\x02" + identifier.encode()
        point = hashed_point(start + value, b"MPPJ1_curve25519_XMD:SHA-512_ELL2_NU_")
        once = times(clamped(bytes.fromhex(vector["a"])), point)
        twice = times(clamped(bytes.fromhex(vector["b"])), once)
        raw = twice[0].to_bytes(32, "little")
        token = hashlib.sha256(cut + raw).digest()[:16]
        found.append([once[0].to_bytes(32, "little").hex(), raw.hex(), token.hex()])
    return [list(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("at", range(2))
def test_the_committed_round_is_what_the_specification_gives_and_what_we_compute(at):
    vector = vectors("blinded.json")["rounds"][at]
    expected = [vector["blinded"], vector["blinded_again"], vector["tokens"]]
    assert by_the_specification(vector) == expected
    context = bytes.fromhex(vector["context"])
    a, b = (BlindKey(bytes.fromhex(vector[name]), context) for name in "ab")
    with Workers.inline() as workers:
        once = blind(pa.array(vector["identifiers"]), vector["domain"], a, workers)
        twice = blind_again(once, b, workers)
        cut = tokens(twice, context, workers)
    ours = [[row.tobytes().hex() for row in column] for column in (once, twice, cut)]
    assert ours == expected


def test_the_example_of_the_specification_is_the_committed_one():
    page = (ROOT / "docs/spec/private-join-blinded.md").read_text()
    vector = vectors("blinded.json")["rounds"][0]
    for name in ("blinded", "blinded_again", "tokens"):
        assert vector[name][0] in page, name
