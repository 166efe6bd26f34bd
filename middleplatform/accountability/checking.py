"""What somebody holds, checked against the log in words: a receipt, answer, report, checkpoint, or an entry's index.

Each check is a list of steps in the order in which one rests on the other; the first that breaks ends it. The keys are
those of this log as this platform knows them: who does not trust the platform checks with ``audit/verify.py``.

Spec: docs/spec/audit-log.md, "Checking in words".
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from middleplatform.accountability.report import check
from middleplatform.audit.checkpoint import Checkpoint, open_checkpoint
from middleplatform.audit.merkle import check_inclusion
from middleplatform.audit.proof import check_extension, parse_proof
from middleplatform.audit.reader import LogView
from middleplatform.audit.verify import REPORT_OPENS
from middleplatform.errors import AuditError
from middleplatform.model.record import Receipt

__all__ = ["Checked", "Step", "checked", "extends", "receipt_of", "witnessed"]

_INDEX_DIGITS_MAX = 15
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at.

    Attributes:
        what: What must hold, in English and Chinese.
        good: Whether it does.
        why: What breaks, in English and Chinese; empty where it holds.
    """

    what: Pair
    good: bool
    why: Pair = ("", "")


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Attributes:
        kind: What was given: ``"entry"``, ``"receipt"``, ``"report"``, ``"checkpoint"``; empty for none of them.
        steps: In order; the last one breaks where any does.
        index: Leaf index of the entry that it is about; -1 for none.
    """

    kind: str
    steps: tuple[Step, ...] = ()
    index: int = -1

    @property
    def good(self) -> bool:
        """Whether all of it holds."""
        return bool(self.steps) and all(each.good for each in self.steps)


_Steps = Iterator[tuple[Pair, Callable[[], object]]]


def checked(log: LogView, given: str) -> Checked:
    """Check what somebody typed or pasted.

    Args:
        log: The platform's.
        given: A leaf index; a receipt, or an answer with one, as JSON; a ``.tlog-proof``; a signed checkpoint; a report
            of a decision, JSON or page.

    Raises:
        AuditError: A001 the log cannot be read.
    """
    text = given.lstrip("\ufeff").strip()
    if text.isascii() and text.isdigit() and len(text) <= _INDEX_DIGITS_MAX:
        return _entry(log, int(text))
    if text.startswith(REPORT_OPENS):
        return _report(log, text + "\n")
    if text.startswith("{"):
        return _json(log, text)
    if text.startswith("c2sp.org/tlog-proof@"):
        return _proof(log, text + "\n")
    if text.startswith(log.origin + "\n"):
        return _done("checkpoint", _checkpoint_steps(log, text + "\n"))
    return Checked("")


def receipt_of(log: LogView, index: int) -> Receipt:
    """Return the receipt of an entry under the newest checkpoint.

    Raises:
        AuditError: A004 there is no such entry.
    """
    size = log.size
    entry = log.entry(index)
    proof = tuple(part.hex() for part in log.inclusion_proof(index, size))
    return Receipt(index, log.profile.leaf(entry.leaf).hex(), log.checkpoint_at(size), proof)


def extends(log: LogView, old: int, new: int) -> Checked:
    """Check that what was signed at one size is the beginning of what was signed at another.

    Raises:
        AuditError: A004 a size is beyond the log, or nothing was signed at it.
    """
    older, newer = log.checkpoint_at(old), log.checkpoint_at(new)
    proof = log.consistency_proof(old, new)
    first: list[Checkpoint] = []

    def steps() -> _Steps:
        yield (
            ("the older checkpoint is signed by the log's key", "较早检查点由日志密钥签名"),
            lambda: first.append(open_checkpoint(older, log.keys).checkpoint),
        )
        yield (
            ("the newer checkpoint is signed by the log's key", "较新检查点由日志密钥签名"),
            lambda: first.append(open_checkpoint(newer, log.keys).checkpoint),
        )
        yield (
            (f"the first {old} of {new} entries are the same", f"{new} 条记录的前 {old} 条未变"),
            lambda: check_extension(first[0], first[1], proof, log.profile),
        )

    return _done("checkpoint", steps())


def witnessed(log: LogView, text: str) -> tuple[str, ...]:
    """Return the names of those who cosigned a checkpoint of the log, which keeps only cosignatures that it verified.

    Raises:
        AuditError: A002 it is not signed by the log.
    """
    own = {(key.name, key.key_id) for key in log.keys}
    signed = open_checkpoint(text, log.keys)
    return tuple(each.name for each in signed.signatures if (each.name, each.key_id) not in own)


# --- kinds --------------------------------------------------------------------------------------------------------


def _entry(log: LogView, index: int) -> Checked:
    try:
        receipt = receipt_of(log, index)
    except AuditError as error:
        if error.code != "A004":
            raise
        return Checked("entry", (_broken(_STANDS, error),), index)
    return _done("entry", _receipt_steps(log, receipt), index)


def _json(log: LogView, text: str) -> Checked:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Checked("")
    digest = value.get("result_digest") if isinstance(value, dict) else None
    inner = value.get("receipt", value) if isinstance(value, dict) else None
    receipt = _receipt(inner)
    if receipt is None:
        return Checked("")
    steps = _receipt_steps(log, receipt, digest if isinstance(digest, str) else "")
    return _done("receipt", steps, receipt.index)


def _receipt(value: object) -> Receipt | None:
    if not isinstance(value, Mapping):
        return None
    index, leaf, note, proof = (
        value.get(name) for name in ("index", "leaf_hash", "checkpoint", "proof")
    )
    if not (isinstance(index, int) and 0 <= index < 10**_INDEX_DIGITS_MAX):
        return None
    if not (isinstance(leaf, str) and isinstance(note, str) and isinstance(proof, list)):
        return None
    return Receipt(index, leaf, note, tuple(map(str, proof)))


def _proof(log: LogView, text: str) -> Checked:
    line = text.partition("\n")[2].partition("\n")[0].removeprefix("index ")
    if not (line.isascii() and line.isdigit() and len(line) <= _INDEX_DIGITS_MAX):
        return Checked("")
    index = int(line)
    try:
        receipt = parse_proof(text, log.entry(index).record, log.profile)
    except AuditError as error:
        if error.code not in ("A002", "A004"):
            raise
        return Checked("receipt", (_broken(_STANDS, error),), index)
    return _done("receipt", _receipt_steps(log, receipt), index)


def _report(log: LogView, text: str) -> Checked:
    found: list[Mapping[str, object]] = []

    def steps() -> _Steps:
        yield (
            (
                "the report is signed by the log's key, and its entries are in the tree that its checkpoint signs",
                "报告由日志密钥签名，所载记录均在其检查点签名的树中",
            ),
            lambda: found.append(check(text, log.keys)[0]),
        )
        yield from _checkpoint_steps(log, str(found[0]["checkpoint"]))

    made = _done("report", steps())
    entries = found[0]["entries"] if found else None
    last = entries[-1] if isinstance(entries, list) else {}
    index = last["entry"]["index"] if isinstance(last, dict) and "entry" in last else -1
    return Checked(made.kind, made.steps, index)


# --- steps --------------------------------------------------------------------------------------------------------

_STANDS = ("the log has this very entry at that index", "日志在该序号处存有该记录")
_SIGNED = ("the checkpoint is signed by the log's key", "检查点由日志密钥签名")
_COVERED = (
    "the proof leads from the entry to the checkpoint's root",
    "证明路径由该记录通向检查点的根",
)
_SAME = (
    "the checkpoint is a beginning of the log as it is now",
    "检查点所覆盖的记录仍是当前日志的开头",
)
_ANSWER = ("the answer's digest is the one that was logged", "结果摘要与日志所载一致")


def _receipt_steps(log: LogView, receipt: Receipt, digest: str = "") -> _Steps:
    heads: list[Checkpoint] = []
    yield _SIGNED, lambda: heads.append(open_checkpoint(receipt.checkpoint, log.keys).checkpoint)
    yield _STANDS, lambda: _stands(log, receipt)
    yield _COVERED, lambda: _covered(log, receipt, heads[0])
    yield _SAME, lambda: _same(log, heads[0])
    if digest:
        yield _ANSWER, lambda: _answered(log, receipt.index, digest)


def _checkpoint_steps(log: LogView, note: str) -> _Steps:
    heads: list[Checkpoint] = []
    yield _SIGNED, lambda: heads.append(open_checkpoint(note, log.keys).checkpoint)
    yield _SAME, lambda: _same(log, heads[0])


def _stands(log: LogView, receipt: Receipt) -> None:
    if log.profile.leaf(log.entry(receipt.index).leaf).hex() != receipt.leaf_hash:
        raise AuditError("A002", what=("the leaf hash is another's", "叶子哈希与该记录不符"))


def _covered(log: LogView, receipt: Receipt, head: Checkpoint) -> None:
    try:
        leaf, proof = bytes.fromhex(receipt.leaf_hash), list(map(bytes.fromhex, receipt.proof))
    except ValueError:
        raise AuditError("A002", what=("malformed proof", "证明格式错误")) from None
    check_inclusion(log.profile, receipt.index, head.size, leaf, proof, head.root)


def _same(log: LogView, head: Checkpoint) -> None:
    newest = open_checkpoint(log.checkpoint(), log.keys).checkpoint
    if head.size > newest.size:
        what = (
            f"it covers {head.size} entries, the log has {newest.size}",
            f"它覆盖 {head.size} 条记录，而日志只有 {newest.size} 条",
        )
        raise AuditError("A002", what=what)
    proof = log.consistency_proof(head.size, newest.size)
    check_extension(head, newest, proof, log.profile)


def _answered(log: LogView, index: int, digest: str) -> None:
    if log.entry(index).record.body.get("result_digest") != digest:
        raise AuditError("A002", what=("the answer is another's", "结果与该记录不符"))


def _done(kind: str, steps: _Steps, index: int = -1) -> Checked:
    found: list[Step] = []
    for what, look in steps:
        try:
            look()
        except AuditError as error:
            if error.code not in ("A002", "A004"):
                raise
            found.append(_broken(what, error))
            break
        found.append(Step(what, good=True))
    return Checked(kind, tuple(found), index)


def _broken(what: Pair, error: AuditError) -> Step:
    return Step(what, good=False, why=(error.message("en"), error.message("zh")))
