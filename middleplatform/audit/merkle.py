"""Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1): hashing, proofs and their checks.

Pure. A tree of ``size`` leaves is known by its *complete subtrees*: node ``(level, index)`` covers
the leaves ``index * 2**level`` to ``(index + 1) * 2**level - 1``. Complete subtrees never change,
so they may be stored; what lies at the ragged right edge is computed from them.

Spec: docs/spec/audit-log.md, "Tree".
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from middleplatform.audit.faults import invalid
from middleplatform.errors import AuditError

__all__ = [
    "PROFILES", "SHA256", "SM3", "Frontier", "HashProfile", "Tree", "check_consistency",
    "check_inclusion", "node_count", "node_position",
]  # fmt: skip

_LEAF, _NODE = b"\x00", b"\x01"  # RFC 6962 domain separation: a node can never pass for a leaf


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sm3(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


@dataclass(frozen=True, slots=True)
class HashProfile:
    """The hash function of a tree; both profiles give 32 bytes.

    Attributes:
        name: ``"sha256"`` (FIPS 180-4, the default) or ``"sm3"`` (GB/T 32905-2016).
        digest: The function.
    """

    name: str
    digest: Callable[[bytes], bytes]

    def leaf(self, data: bytes) -> bytes:
        """Return the leaf hash of ``data``, 32 bytes."""
        return self.digest(_LEAF + data)

    def parent(self, left: bytes, right: bytes) -> bytes:
        """Return the hash of the node over ``left`` and ``right``, 32 bytes each."""
        return self.digest(_NODE + left + right)

    def empty(self) -> bytes:
        """Return the root of a tree without leaves."""
        return self.digest(b"")


SHA256 = HashProfile("sha256", _sha256)
SM3 = HashProfile("sm3", _sm3)
PROFILES = {profile.name: profile for profile in (SHA256, SM3)}


def node_count(size: int) -> int:
    """Return how many complete subtrees a tree of ``size`` leaves has, leaves included."""
    return 2 * size - size.bit_count()


def node_position(level: int, index: int) -> int:
    """Return the place of a subtree in the order in which appending completes them, from 0."""
    last_leaf = ((index + 1) << level) - 1
    return node_count(last_leaf) + level


class Frontier:
    """The right edge of a growing tree: enough to append and to know the root, O(log size) hashes.

    Args:
        profile: Hash function.
        size: Leaves so far.
        hashes: Roots of the complete subtrees that make up the tree, left to right; one for each
            bit set in ``size``.
    """

    def __init__(self, profile: HashProfile, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        assert len(hashes) == size.bit_count(), "one hash for each bit of the size"
        self.profile = profile
        self.size = size
        self._hashes = list(hashes)

    def copy(self) -> "Frontier":
        """Return an independent copy."""
        return Frontier(self.profile, self.size, self._hashes)

    def nodes(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield ``(level, index, hash)`` of the edge, left to right."""
        levels = [level for level in range(self.size.bit_length()) if self.size >> level & 1]
        for level, value in zip(reversed(levels), self._hashes, strict=True):
            yield level, (self.size >> level) - 1, value

    def append(self, leaf_hash: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf; return the subtrees it completes, ``(level, index, hash)``, lowest first."""
        completed = [(0, self.size, leaf_hash)]
        level, index, value = 0, self.size, leaf_hash
        while index & 1:
            value = self.profile.parent(self._hashes.pop(), value)
            level, index = level + 1, index >> 1
            completed.append((level, index, value))
        self._hashes.append(value)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root hash, 32 bytes."""
        if not self._hashes:
            return self.profile.empty()
        *lefts, value = self._hashes
        for left in reversed(lefts):
            value = self.profile.parent(left, value)
        return value


class Tree:
    """Roots and proofs of any size, read from complete subtrees.

    Args:
        profile: Hash function.
        node: Gives the hash of the complete subtree ``(level, index)``.
    """

    def __init__(self, profile: HashProfile, node: Callable[[int, int], bytes]) -> None:
        self._profile = profile
        self._node = node
        self._ragged: dict[
            tuple[int, int], bytes
        ] = {}  # a batch asks for the same edge again and again

    def edge(self, size: int) -> list[bytes]:
        """Return the roots of the complete subtrees that make up the first ``size`` leaves, left to right."""
        levels = [level for level in range(size.bit_length()) if size >> level & 1]
        return [self._node(level, (size >> level) - 1) for level in reversed(levels)]

    def root(self, size: int) -> bytes:
        """Return the root of the first ``size`` leaves."""
        return self._range(0, size) if size else self._profile.empty()

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of a leaf, bottom up (RFC 9162 2.1.3.1)."""
        assert 0 <= index < size, "the leaf is in the tree"
        proof: list[bytes] = []
        start, stop = 0, size
        while stop - start > 1:
            middle = start + _split(stop - start)
            if index < middle:
                proof.append(self._range(middle, stop))
                stop = middle
            else:
                proof.append(self._range(start, middle))
                start = middle
        return proof[::-1]

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of ``old`` leaves is a prefix of that of ``new``.

        RFC 9162 2.1.4.1. Empty when ``old`` is 0 or equals ``new``.
        """
        assert 0 <= old <= new, "the older tree is not larger"
        if old in (0, new):
            return []
        proof: list[bytes] = []
        start, stop = 0, new
        whole = True  # the old tree is still a complete subtree that the verifier knows already
        while stop != old:
            middle = start + _split(stop - start)
            if old <= middle:
                proof.append(self._range(middle, stop))
                stop = middle
            else:
                proof.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            proof.append(self._range(start, stop))
        return proof[::-1]

    def _range(self, start: int, stop: int) -> bytes:
        """Return MTH over leaves ``start`` to ``stop - 1``, a range that the tree splits into."""
        count = stop - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self._node(level, start >> level)
        if (start, stop) not in self._ragged:
            middle = start + _split(count)
            value = self._profile.parent(self._range(start, middle), self._range(middle, stop))
            self._ragged[start, stop] = value
        return self._ragged[start, stop]


def _split(count: int) -> int:
    """Return the largest power of two smaller than ``count``, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _climb(low: int, high: int) -> tuple[int, int]:
    """Drop a level, and every further level at which ``low`` is a lone left edge."""
    while not low & 1 and low:
        low, high = low >> 1, high >> 1
    return low >> 1, high >> 1


def check_inclusion(
    profile: HashProfile,
    index: int,
    size: int,
    leaf_hash: bytes,
    proof: Sequence[bytes],
    root: bytes,
) -> None:
    """Refuse a leaf that the proof does not place in the tree (RFC 9162 2.1.3.2).

    Raises:
        AuditError: A002 when it does not.
    """
    low, high, value = index, size - 1, leaf_hash
    if not 0 <= index < size:
        raise _inclusion_refused()
    for sibling in proof:
        if high == 0:
            raise _inclusion_refused()
        if low & 1 or low == high:
            value = profile.parent(sibling, value)
            low, high = _climb(low, high)
        else:
            value = profile.parent(value, sibling)
            low, high = low >> 1, high >> 1
    if high != 0 or not hmac.compare_digest(value, root):
        raise _inclusion_refused()


def check_consistency(
    profile: HashProfile,
    old: int,
    old_root: bytes,
    new: int,
    new_root: bytes,
    proof: Sequence[bytes],
) -> None:
    """Refuse a tree that is not an extension of the older one (RFC 9162 2.1.4.2).

    An empty older tree is a prefix of every tree; its proof is empty.

    Raises:
        AuditError: A002 when it is not.
    """
    if not 0 <= old <= new:
        raise _consistency_refused()
    if old in (0, new):
        known = profile.empty() if old == 0 else new_root
        if proof or not hmac.compare_digest(old_root, known):
            raise _consistency_refused()
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise _consistency_refused()
    before, after = _rebuild(profile, old, new, path)
    if not (hmac.compare_digest(before, old_root) and hmac.compare_digest(after, new_root)):
        raise _consistency_refused()


def _rebuild(
    profile: HashProfile, old: int, new: int, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Compute both roots from the path of a consistency proof."""
    low, high = old - 1, new - 1
    while low & 1:
        low, high = low >> 1, high >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if high == 0:
            raise _consistency_refused()
        if low & 1 or low == high:
            before, after = profile.parent(sibling, before), profile.parent(sibling, after)
            low, high = _climb(low, high)
        else:
            after = profile.parent(after, sibling)
            low, high = low >> 1, high >> 1
    if high != 0:
        raise _consistency_refused()
    return before, after


def _inclusion_refused() -> AuditError:
    return invalid("the inclusion proof does not hold", "包含证明不成立")


def _consistency_refused() -> AuditError:
    return invalid("the consistency proof does not hold", "一致性证明不成立")
