"""Recompute a stored log from its entries and say which entry breaks.

Every leaf is hashed anew and every stored subtree compared; the root must be the one in the newest
checkpoint, and the log's key must have signed that. What a whole, older copy of the file hides,
only an older checkpoint kept elsewhere shows: see ``against`` in ``log.AuditLog.verify`` and the
witnesses.
"""

import hmac
import json
from collections.abc import Iterator, Sequence

from middleplatform.audit.checkpoint import SignedCheckpoint, open_checkpoint
from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import VerifierKey
from middleplatform.audit.merkle import Frontier, HashProfile, node_position
from middleplatform.audit.places import LogStore
from middleplatform.errors import AuditError

__all__ = ["check_store"]


def check_store(
    store: LogStore, profile: HashProfile, keys: Sequence[VerifierKey]
) -> tuple[Frontier, SignedCheckpoint]:
    """Verify the whole store.

    Returns:
        The right edge of its tree and its newest checkpoint.

    Raises:
        AuditError: A002, naming the entry or the checkpoint that breaks.
    """
    signed = _newest(store, profile, keys)
    frontier = Frontier(profile)
    nodes = iter(store.nodes())
    for index, leaf in store.entries(0, 2**63 - 1):
        if index != frontier.size:
            raise _misplaced(store, frontier.size)
        _compare(store, frontier, nodes, leaf)
    size = signed.checkpoint.size
    if frontier.size < size:
        raise invalid(
            f"truncated: entries {frontier.size} to {size - 1} are missing",
            f"日志被截断：缺少第 {frontier.size} 至 {size - 1} 条记录",
        )
    if frontier.size > size:
        raise invalid(f"entry {size} is in no checkpoint", f"第 {size} 条记录不在任何检查点中")
    if next(nodes, None) is not None:
        raise invalid("the tree has nodes without entries", "存在无对应记录的树节点")
    if not hmac.compare_digest(frontier.root(), signed.checkpoint.root):
        raise _rewritten(store, profile, keys)
    if not store.guarded():
        raise invalid("the append-only triggers were altered", "防改触发器被修改")
    return frontier, signed


def _newest(store: LogStore, profile: HashProfile, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    origin, name = store.identity()
    if (origin, name) != (keys[0].name, profile.name):
        raise invalid("it is another log, or has another hash function", "日志来源或散列算法不符")
    latest = store.latest_checkpoint()
    if latest is None:
        raise invalid("it has no checkpoint", "没有检查点")
    size, note = latest
    signed = open_checkpoint(note, keys)  # its error names the checkpoint
    if signed.checkpoint.size != size:
        raise invalid(f"checkpoint {size} was altered", f"检查点 {size} 被篡改")
    return signed


def _compare(
    store: LogStore, frontier: Frontier, nodes: Iterator[tuple[int, bytes]], leaf: bytes
) -> None:
    """Append ``leaf``; hold every subtree that it completes against the stored one."""
    index = frontier.size
    for level, place, value in frontier.append(frontier.profile.leaf(leaf)):
        position, stored = next(nodes, (-1, b""))
        if position != node_position(level, place):
            raise invalid(f"entry {index} has no tree node", f"第 {index} 条记录缺少树节点")
        if not hmac.compare_digest(stored, value):
            if level == 0 and _claimed(leaf) != index:
                raise _misplaced(store, index)
            raise invalid(f"entry {index} was altered", f"第 {index} 条记录被篡改")


def _claimed(leaf: bytes) -> object:
    """Return the index that a leaf says it has, or None."""
    try:
        value = json.loads(leaf)
    except ValueError:
        return None
    return value.get("index") if isinstance(value, dict) else None


def _misplaced(store: LogStore, index: int) -> AuditError:
    """Tell an entry that stands elsewhere from one that is gone or had its index changed."""
    leaf = store.entry(index)
    if leaf is not None and not isinstance(_claimed(leaf), int):
        return invalid(f"entry {index} was altered", f"第 {index} 条记录被篡改")
    if any(_claimed(other) == index for _, other in store.entries(0, 2**63 - 1)):
        return invalid(f"entry {index} was reordered", f"第 {index} 条记录被调换位置")
    latest, (count, _) = store.latest_checkpoint(), store.extent()
    if (
        leaf is not None and latest is not None and count >= latest[0]
    ):  # none is missing: its own index was changed
        return invalid(f"entry {index} was altered", f"第 {index} 条记录被篡改")
    return invalid(f"entry {index} was dropped", f"第 {index} 条记录被删除")


def _rewritten(store: LogStore, profile: HashProfile, keys: Sequence[VerifierKey]) -> AuditError:
    """Narrow down a consistently recomputed forgery by the checkpoints signed on the way."""
    frontier, good = Frontier(profile), 0
    leaves = store.entries(0, 2**63 - 1)
    for size, note in store.checkpoints():
        while frontier.size < size:
            frontier.append(profile.leaf(next(leaves)[1]))
        try:
            checkpoint = open_checkpoint(note, keys).checkpoint
        except AuditError:
            continue  # a forged intermediate checkpoint proves nothing either way
        if checkpoint.size == size and not hmac.compare_digest(checkpoint.root, frontier.root()):
            return invalid(
                f"an entry from {good} to {size - 1} was altered",
                f"第 {good} 至 {size - 1} 条记录中有记录被篡改",
            )
        good = size
    return invalid("the newest checkpoint does not match the entries", "最新检查点与记录不符")
