"""Receipts that stand alone: check one offline, carry one as a file (C2SP tlog-proof).

The text::

    c2sp.org/tlog-proof@v1
    index 2
    ylLxfWKkZYOUVVk3DfVxFiJdzTnhk61lvpiZZc+x7Ow=

    audit.example/middleplatform
    3
    lfGghOhm7K9VrAU/YszSxr5SnvNeqZyGOgGg9Wyymds=

    — audit.example/middleplatform cLkMa4Ry... (base64 of key id and signature)

Spec: docs/spec/audit-log.md, "Receipt".
"""

import base64
from collections.abc import Iterable

from middleplatform.audit.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
)  # fmt: skip
from middleplatform.audit.entry import leaf_bytes, leaf_head
from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import VerifierKey, strict_base64
from middleplatform.audit.merkle import SHA256, HashProfile, check_consistency, check_inclusion
from middleplatform.errors import AuditError
from middleplatform.model.record import AuditRecord, Receipt

__all__ = ["check_extension", "check_receipt", "parse_proof", "proof_text"]

_HEADER = "c2sp.org/tlog-proof@v1"
_PROOF_MAX = 63
_INDEX_MAX = 2**63 - 1


def _malformed() -> AuditError:
    return invalid("malformed proof", "证明格式错误")


def check_receipt(
    record: AuditRecord,
    receipt: Receipt,
    keys: Iterable[VerifierKey],
    profile: HashProfile = SHA256,
) -> SignedCheckpoint:
    """Check that ``record`` is in the log whose checkpoint the receipt carries, offline.

    Args:
        record: The event, whole, with any sealed part as it was sealed.
        receipt: What the log gave for it.
        keys: The log's public keys.
        profile: The log's hash function.

    Returns:
        The checkpoint, for the check of its witnesses.

    Raises:
        AuditError: A002 when the record, its place, the proof or the signature is not what the log
            committed to.
    """
    signed = open_checkpoint(receipt.checkpoint, keys)
    leaf = profile.leaf(leaf_bytes(leaf_head(record), receipt.index))
    if leaf.hex() != receipt.leaf_hash:
        raise invalid("the record is not the one that was logged", "记录与日志中的不符")
    try:
        proof = [bytes.fromhex(part) for part in receipt.proof]
    except ValueError:
        raise _malformed() from None
    head = signed.checkpoint
    check_inclusion(profile, receipt.index, head.size, leaf, proof, head.root)
    return signed


def check_extension(
    old: Checkpoint, new: Checkpoint, proof: Iterable[bytes], profile: HashProfile = SHA256
) -> None:
    """Check that ``new`` only adds to ``old``.

    Raises:
        AuditError: A002 when the origins differ, the log shrank or its past changed.
    """
    if old.origin != new.origin:
        raise invalid("the checkpoints are of different logs", "检查点来自不同日志")
    check_consistency(profile, old.size, old.root, new.size, new.root, tuple(proof))


def proof_text(receipt: Receipt) -> str:
    """Return the receipt as a ``.tlog-proof`` file."""
    hashes = "".join(
        base64.b64encode(bytes.fromhex(part)).decode() + "\n" for part in receipt.proof
    )
    return f"{_HEADER}\nindex {receipt.index}\n{hashes}\n{receipt.checkpoint}"


def parse_proof(text: str, record: AuditRecord, profile: HashProfile = SHA256) -> Receipt:
    """Read a ``.tlog-proof`` file for ``record``; ``check_receipt`` must follow.

    Raises:
        AuditError: A002 for every form that ``proof_text`` does not print.
    """
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) < 2 or len(lines) > _PROOF_MAX + 2:  # noqa: PLR2004 - header and index
        raise _malformed()
    number = lines[1].removeprefix("index ")
    if not (number.isascii() and number.isdigit() and len(number) <= len(str(_INDEX_MAX))):
        raise _malformed()
    try:
        proof = tuple(strict_base64(line).hex() for line in lines[2:])
    except ValueError:
        raise _malformed() from None
    parse_checkpoint(
        checkpoint
    )  # refuses a note of another shape; trusting it is check_receipt's part
    index = int(number)
    leaf = profile.leaf(leaf_bytes(leaf_head(record), index))
    receipt = Receipt(index, leaf.hex(), checkpoint, proof)
    if proof_text(receipt) != text:
        raise _malformed()
    return receipt
