"""Which sealing keys are refused, and that no proof helps them."""

import hashlib
from dataclasses import replace
from math import gcd

import gmpy2
import pytest
from gmpy2 import mpz

from middleplatform.crypto.hazmat import blum_modulus
from middleplatform.crypto.hazmat.paillier import PrivateModulus
from middleplatform.crypto.key_proof import KeyProof, _seed, check_key, prove_key
from middleplatform.crypto.sealed_keys import SealingKey
from middleplatform.errors import ProtocolError

CREATED = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def proof(opening_key):
    return opening_key.prove()


@pytest.fixture(scope="module")
def draw():
    """Return primes of a length and residue modulo 4, each from its own seed."""

    def prime(bits, residue, seed):
        number = mpz.from_bytes(hashlib.shake_256(seed.encode()).digest(bits // 8), "big")
        number |= mpz(3) << (bits - 2)
        number += (residue - number) % 4
        while not gmpy2.is_prime(number):
            number += 4
        return number

    return prime


def refused(key, proof, known=()):
    with pytest.raises(ProtocolError) as refusal:
        check_key(key, proof, known)
    assert refusal.value.code == "X007"
    assert "audit_office" in refusal.value.message("zh")
    return refusal.value.message("en")


def key_of(*primes, holder="audit_office", base=0):
    return SealingKey(int(gmpy2.mpz(1) * _product(primes)), holder, CREATED, base)


def _product(primes):
    product = mpz(1)
    for prime in primes:
        product *= prime
    return product


def forged(key, p, q):
    """Return what a holder of two primes that are no Blum primes can still answer."""
    n, seed = key.modulus, _seed(key)
    w = blum_modulus._non_residue(n, seed)
    private = PrivateModulus(p, q)
    fourth = []
    for y in blum_modulus._challenges(n, seed, b"b", blum_modulus.ROOTS_FOURTH):
        tries = (_fourth_root(value, private) for value in blum_modulus._classes(y, w, n))
        fourth.append(next((root for root in tries if root), mpz(1)))
    return KeyProof(
        key.key_id, key.bits, tuple(blum_modulus.nth_roots(private, seed)), tuple(fourth)
    )


def _fourth_root(value, private):
    roots = [_root_modulo(_root_modulo(value % p, p), p) for p in (private.p, private.q)]
    return private.combine(*roots) if all(roots) else 0


def _root_modulo(value, p):
    """Return a square root that is a square itself where there is one, or 0."""
    if not value or gmpy2.jacobi(value, p) != 1:
        return mpz(0)
    root = _tonelli(value, p)
    return next((each for each in (root, p - root) if gmpy2.jacobi(each, p) == 1), root)


def _tonelli(value, p):
    odd, power = p - 1, 0
    while odd % 2 == 0:
        odd, power = odd // 2, power + 1
    z = next(a for a in range(2, 1000) if gmpy2.jacobi(mpz(a), p) == -1)
    m, c = power, gmpy2.powmod(z, odd, p)
    t, r = gmpy2.powmod(value, odd, p), gmpy2.powmod(value, (odd + 1) // 2, p)
    while t != 1:
        i, square = 0, t
        while square != 1:
            square, i = square * square % p, i + 1
        b = gmpy2.powmod(c, 1 << (m - i - 1), p)
        m, c = i, b * b % p
        t, r = t * c % p, r * b % p
    return r


def test_a_sound_key_passes_with_its_proof(opening_key, proof):
    check_key(opening_key.public, proof, [])
    check_key(opening_key.public, KeyProof.from_bytes(proof.to_bytes()), [opening_key.public])


def test_the_forger_of_these_tests_can_prove_a_sound_key(draw):
    p, q = draw(1024, 3, "a"), draw(1024, 3, "b")
    key = key_of(p, q)
    check_key(key, forged(key, p, q), [])


def test_a_prime_modulus_is_refused(draw, proof):
    assert "no product of two primes" in refused(key_of(draw(2048, 1, "c")), proof)


@pytest.mark.parametrize("small", [3, 5, 1_000_003])
def test_a_small_factor_is_refused(proof, small):
    assert small < 1 << blum_modulus.SMALL_FACTOR_BITS
    rest = (mpz(3) << 2046) // small | 1
    rest += 2 * (small * rest % 4 != 1)
    assert "small factor" in refused(key_of(small, rest), proof)


def test_close_primes_are_refused(draw):
    p = draw(1024, 3, "e")
    q = p + 4
    while not gmpy2.is_prime(q):
        q += 4
    key = key_of(p, q)
    assert "too close" in refused(key, prove_key(key, PrivateModulus(p, q)))


def test_a_factor_in_common_with_a_known_key_is_refused(draw):
    p, q, r = (draw(1024, 3, seed) for seed in "fgh")
    key, other = key_of(p, q), key_of(p, r, holder="other_office")
    proof = prove_key(key, PrivateModulus(p, q))
    check_key(key, proof, [])
    assert "shares a factor" in refused(key, proof, [other])


def test_another_holders_modulus_is_refused(opening_key):
    stolen = replace(opening_key.public, holder="audit_office2")
    own_proof = prove_key(stolen, opening_key._private)
    assert "shares a factor" in refused(stolen, own_proof, [opening_key.public])


def test_a_prime_of_one_modulo_four_is_refused(draw):
    p, q = draw(1024, 1, "i"), draw(1024, 1, "j")
    key = key_of(p, q)
    proof = forged(key, p, q)
    assert sum(root == 1 for root in proof.fourth) > 30, "the forger fails on many challenges"
    assert "proof fails" in refused(key, proof)


def test_one_prime_of_one_modulo_four_is_refused_by_its_residue(draw):
    p, q = draw(1024, 1, "k"), draw(1024, 3, "l")
    key = key_of(p, q)
    assert "no product of two primes" in refused(key, forged(key, p, q))


def test_a_square_factor_is_refused_even_with_the_roots_that_exist(draw):
    p, q = draw(512, 3, "m"), draw(1024, 1, "n")
    key = key_of(p, p, q)
    n, seed = key.modulus, _seed(key)
    assert gcd(int(n), int(p * (p - 1) * (q - 1))) == p
    challenges = blum_modulus._challenges(n, seed, b"n", blum_modulus.ROOTS_NTH)
    assert not any(gmpy2.powmod(y % (p * p), p * (p - 1) // p, p * p) == 1 for y in challenges)
    nothing = KeyProof(key.key_id, key.bits, tuple(challenges), (mpz(1),) * 128)
    assert "proof fails" in refused(key, nothing)


def test_three_primes_are_refused(draw):
    p, q, r = draw(688, 3, "o"), draw(688, 3, "p"), draw(672, 1, "q")
    key = key_of(p, q, r)
    n, seed = key.modulus, _seed(key)
    order = (p - 1) * (q - 1) * (r - 1)
    exponent = gmpy2.invert(n, order)
    nth = [
        gmpy2.powmod(y, exponent, n)
        for y in blum_modulus._challenges(n, seed, b"n", blum_modulus.ROOTS_NTH)
    ]
    assert blum_modulus.are_nth_roots(n, seed, nth)
    w = blum_modulus._non_residue(n, seed)
    reached = [
        any(all(gmpy2.jacobi(v, f) == 1 for f in (p, q, r)) for v in blum_modulus._classes(y, w, n))
        for y in blum_modulus._challenges(n, seed, b"b", blum_modulus.ROOTS_FOURTH)
    ]
    assert sum(reached) < 96, "about half of the challenges have no answer at all"
    proof = KeyProof(key.key_id, key.bits, tuple(nth), (mpz(1),) * 128)
    assert "proof fails" in refused(key, proof)


@pytest.mark.parametrize("kind", ["nth", "fourth"])
def test_each_changed_root_is_refused(opening_key, proof, kind):
    roots = getattr(proof, kind)
    n = opening_key.public.modulus
    for at in (0, len(roots) - 1):
        for wrong in (roots[at] + 1, mpz(0), n, roots[at] + n):
            changed = replace(proof, **{kind: (*roots[:at], wrong, *roots[at + 1 :])})
            assert "proof fails" in refused(opening_key.public, changed)
        fewer = replace(proof, **{kind: (*roots[:at], *roots[at + 1 :])})
        assert "proof fails" in refused(opening_key.public, fewer)


def test_a_proof_serves_one_holder_only(opening_key, proof):
    other = replace(opening_key.public, holder="audit_office2")
    as_if = replace(proof, key_id=other.key_id)
    assert "proof fails" in refused(other, as_if)
    assert "proof fails" in refused(other, proof)


def test_a_proof_is_the_same_every_time(opening_key, proof):
    assert opening_key.prove() == proof


def test_every_root_of_a_proof_is_a_square(opening_key, proof):
    # Two roots of one number that differ by more than the sign give the factors away.
    private = opening_key._private
    assert all(gmpy2.jacobi(root, p) == 1 for root in proof.fourth for p in (private.p, private.q))


@pytest.mark.parametrize("base", [-1, 4, 0])
def test_a_base_that_generates_nothing_is_refused(opening_key, base):
    n = opening_key.public.n
    bad = {-1: n - 1, 4: n - 4, 0: int(opening_key._private.p)}[base]
    key = replace(opening_key.public, base=bad)
    proof = prove_key(key, opening_key._private)
    if base == 4:  # minus a square: nobody can tell that it is small, so grade C trusts the holder
        check_key(key, proof, [])
    else:
        assert "base" in refused(key, proof)


@pytest.mark.parametrize("change", [lambda r: r[:-1], lambda r: r + b"\0", lambda r: b"x" + r[1:]])
def test_a_proof_in_other_bytes_is_refused(proof, change):
    with pytest.raises(ProtocolError) as refusal:
        KeyProof.from_bytes(change(proof.to_bytes()))
    assert refusal.value.code == "X001"
