"""Known answers of the tree and what its checks refuse."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from middleplatform.audit.merkle import (
    PROFILES,
    SHA256,
    SM3,
    Frontier,
    Tree,
    check_consistency,
    check_inclusion,
    node_count,
    node_position,
)  # fmt: skip
from middleplatform.errors import AuditError

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
TREE = json.loads((VECTORS / "rfc6962.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in TREE["leaves"]]
NODES = [[bytes.fromhex(value) for value in level] for level in TREE["nodes"]]
ROOTS = [bytes.fromhex(value) for value in TREE["roots"]]


def known_tree() -> Tree:
    return Tree(SHA256, lambda level, index: NODES[level][index])


def test_appending_gives_the_published_subtrees_and_roots():
    frontier = Frontier(SHA256)
    completed = {}
    for size, leaf in enumerate(LEAVES):
        assert frontier.root() == ROOTS[size]
        completed |= {
            (level, index): value for level, index, value in frontier.append(SHA256.leaf(leaf))
        }
    assert frontier.root() == ROOTS[8]
    assert completed == {
        (level, index): value for level, row in enumerate(NODES) for index, value in enumerate(row)
    }


def test_the_root_of_every_size_is_read_from_complete_subtrees():
    assert [known_tree().root(size) for size in range(9)] == ROOTS


def test_the_inclusion_proofs_drawn_in_the_rfc():
    # RFC 9162 section 2.1.5: seven leaves; d0 is [b, h, l], d3 [c, g, l], d4 [f, j, k], d6 [i, k].
    (a, b, c, _, _, f, j, *_), (g, h, i, *_), (k, _) = NODES[:3]
    ell = known_range(4, 7)
    assert a == SHA256.leaf(LEAVES[0])
    assert known_tree().inclusion_proof(0, 7) == [b, h, ell]
    assert known_tree().inclusion_proof(3, 7) == [c, g, ell]
    assert known_tree().inclusion_proof(4, 7) == [f, j, k]
    assert known_tree().inclusion_proof(6, 7) == [i, k]


def test_the_published_consistency_proofs_of_three_four_and_six_in_seven():
    tree = known_tree()
    assert tree.consistency_proof(3, 7) == [
        NODES[0][2],
        NODES[0][3],
        NODES[1][0],
        known_range(4, 7),
    ]
    assert tree.consistency_proof(4, 7) == [known_range(4, 7)]
    assert tree.consistency_proof(6, 7) == [NODES[1][2], NODES[0][6], NODES[2][0]]


def known_range(start: int, stop: int) -> bytes:
    if stop - start == 1:
        return NODES[0][start]
    middle = start + (1 << ((stop - start - 1).bit_length() - 1))
    return SHA256.parent(known_range(start, middle), known_range(middle, stop))


def test_sm3_gives_the_answers_of_its_standard():
    for data, digest in json.loads((VECTORS / "sm3.json").read_text())["digests"]:
        assert SM3.digest(bytes.fromhex(data)).hex() == digest


def test_both_profiles_separate_leaves_from_nodes():
    for profile in PROFILES.values():
        left, right = profile.leaf(b"a"), profile.leaf(b"b")
        assert profile.parent(left, right) != profile.leaf(left + right)


def test_positions_follow_the_order_of_completion():
    frontier = Frontier(SHA256)
    order = [
        node[:2]
        for leaf in range(300)
        for node in frontier.append(SHA256.leaf(bytes([leaf % 256])))
    ]
    assert [node_position(level, index) for level, index in order] == list(range(len(order)))
    assert node_count(300) == len(order)


def test_a_frontier_continues_from_its_nodes():
    frontier = Frontier(SHA256)
    for leaf in LEAVES[:7]:
        frontier.append(SHA256.leaf(leaf))
    again = Frontier(SHA256, 7, [value for _, _, value in frontier.nodes()])
    again.append(SHA256.leaf(LEAVES[7]))
    assert again.root() == ROOTS[8]
    assert frontier.copy().root() == frontier.root() == ROOTS[7]


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [(-1, 8, []), (8, 8, []), (0, 0, []), (0, 1, [b"\0" * 32]), (0, 8, []), (3, 2, [b"\0" * 32])],
)
def test_an_inclusion_proof_of_the_wrong_shape_is_refused(index, size, proof):
    with pytest.raises(AuditError, match="inclusion proof"):
        check_inclusion(SHA256, index, size, NODES[0][0], proof, ROOTS[8])


def test_an_inclusion_proof_with_one_hash_too_many_or_few_is_refused():
    proof = known_tree().inclusion_proof(2, 8)
    for bad in (proof[:-1], [*proof, proof[0]], proof[::-1]):
        with pytest.raises(AuditError, match="inclusion proof"):
            check_inclusion(SHA256, 2, 8, NODES[0][2], bad, ROOTS[8])


@pytest.mark.parametrize(("old", "new"), [(-1, 8), (8, 7), (3, 8), (4, 8), (8, 8), (0, 8)])
def test_a_consistency_proof_of_the_wrong_shape_is_refused(old, new):
    proof = [b"\0" * 32] if old in (8, 0) else []
    with pytest.raises(AuditError, match="consistency proof"):
        check_consistency(SHA256, old, ROOTS[old], new, ROOTS[new], proof)


def test_a_consistency_proof_with_one_hash_too_many_or_few_is_refused():
    for old, new in [(3, 7), (4, 7), (6, 8)]:
        proof = known_tree().consistency_proof(old, new)
        for bad in (proof[:-1], [*proof, proof[0]]):
            with pytest.raises(AuditError, match="consistency proof"):
                check_consistency(SHA256, old, ROOTS[old], new, ROOTS[new], bad)


def test_two_trees_of_one_size_are_consistent_only_when_equal():
    check_consistency(SHA256, 8, ROOTS[8], 8, ROOTS[8], [])
    with pytest.raises(AuditError, match="consistency proof"):
        check_consistency(SHA256, 8, ROOTS[7], 8, ROOTS[8], [])


def test_every_root_extends_the_one_before():
    for old, new in pairwise(range(9)):
        check_consistency(
            SHA256, old, ROOTS[old], new, ROOTS[new], known_tree().consistency_proof(old, new)
        )
