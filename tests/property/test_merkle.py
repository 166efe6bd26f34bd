"""Merkle proofs against the definition in RFC 9162, written down as it stands there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.audit.merkle import (
    SHA256,
    SM3,
    Frontier,
    HashProfile,
    Tree,
    check_consistency,
    check_inclusion,
)  # fmt: skip
from middleplatform.errors import AuditError

SIZE_MAX = 256


def split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def mth(profile: HashProfile, leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 2.1.1."""
    if not leaves:
        return profile.digest(b"")
    if len(leaves) == 1:
        return profile.digest(b"\x00" + leaves[0])
    k = split(len(leaves))
    return profile.digest(b"\x01" + mth(profile, leaves[:k]) + mth(profile, leaves[k:]))


def path(profile: HashProfile, index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(profile, index, leaves[:k]), mth(profile, leaves[k:])]
    return [*path(profile, index - k, leaves[k:]), mth(profile, leaves[:k])]


def subproof(profile: HashProfile, old: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 2.1.4.1."""
    if old == len(leaves):
        return [] if whole else [mth(profile, leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*subproof(profile, old, leaves[:k], whole), mth(profile, leaves[k:])]
    return [*subproof(profile, old - k, leaves[k:], False), mth(profile, leaves[:k])]


def build(profile: HashProfile, leaves: list[bytes]) -> tuple[Tree, list[bytes]]:
    """Append all leaves; return the tree and the root at every size."""
    frontier, nodes = Frontier(profile), {}
    roots = [frontier.root()]
    for leaf in leaves:
        nodes |= {
            (level, index): value for level, index, value in frontier.append(profile.leaf(leaf))
        }
        roots.append(frontier.root())
    return Tree(profile, lambda level, index: nodes[level, index]), roots


LEAVES = [str(number).encode() for number in range(SIZE_MAX)]


@pytest.mark.parametrize("profile", [SHA256, SM3], ids=["sha256", "sm3"])
def test_all_roots_to_256_are_those_of_the_definition(profile):
    tree, roots = build(profile, LEAVES)
    for size in range(0, SIZE_MAX + 1, 1 if profile is SHA256 else 17):
        assert mth(profile, LEAVES[:size]) == roots[size] == tree.root(size)


def test_all_inclusion_proofs_to_256_hold_and_hold_for_no_other_leaf():
    tree, roots = build(SHA256, LEAVES)
    for size in range(1, SIZE_MAX + 1):
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            check_inclusion(SHA256, index, size, SHA256.leaf(LEAVES[index]), proof, roots[size])
        other = (size // 2 + 1) % size
        if other != size // 2:
            with pytest.raises(AuditError):
                check_inclusion(
                    SHA256, other, size, SHA256.leaf(LEAVES[size // 2]),
                    tree.inclusion_proof(size // 2, size), roots[size],
                )  # fmt: skip


def test_all_consistency_proofs_to_256_hold_and_hold_for_no_other_root():
    tree, roots = build(SHA256, LEAVES)
    for new in range(SIZE_MAX + 1):
        for old in range(new + 1):
            proof = tree.consistency_proof(old, new)
            check_consistency(SHA256, old, roots[old], new, roots[new], proof)
        if new > 1:
            proof = tree.consistency_proof(new - 1, new)
            with pytest.raises(AuditError):
                check_consistency(SHA256, new - 1, roots[new - 2], new, roots[new], proof)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_proofs_are_those_of_the_definition(data):
    profile = data.draw(st.sampled_from([SHA256, SM3]))
    leaves = data.draw(st.lists(st.binary(max_size=8), min_size=1, max_size=70))
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    tree, roots = build(profile, leaves)
    assert roots[size] == mth(profile, leaves)
    assert tree.inclusion_proof(index, size) == path(profile, index, leaves)
    assert tree.consistency_proof(old, size) == subproof(profile, old, leaves, True)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_bit_anywhere_in_a_proof_is_refused(data):
    size = data.draw(st.integers(2, SIZE_MAX))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    tree, roots = build(SHA256, LEAVES[:size])

    def changed(proof: list[bytes]) -> list[bytes]:
        place = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        value = (int.from_bytes(proof[place], "big") ^ 1 << bit).to_bytes(32, "big")
        return [*proof[:place], value, *proof[place + 1 :]]

    with pytest.raises(AuditError):
        check_inclusion(
            SHA256, index, size, SHA256.leaf(LEAVES[index]),
            changed(tree.inclusion_proof(index, size)), roots[size],
        )  # fmt: skip
    with pytest.raises(AuditError):
        check_consistency(
            SHA256, old, roots[old], size, roots[size], changed(tree.consistency_proof(old, size))
        )
