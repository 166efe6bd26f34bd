"""What the audit log takes and gives back: entries, receipts, checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["AuditRecord", "Receipt"]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One event, ready to be appended.

    Attributes:
        event: ``received``, ``refused``, ``released``, ``failed``, ``policy``, ``grant``, ``connector``,
            ``key``, ``roster``, ``start``, ``stop`` or ``incident``.
        body: JSON-ready mapping (str, int, bool, None, lists and mappings of them); no row, no identity
            number, no small count. The log adds nothing to it but the leaf index.
    """

    event: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is durable: no receipt, no answer.

    Attributes:
        index: Leaf index, from 0.
        leaf_hash: RFC 6962 leaf hash, hexadecimal.
        checkpoint: Signed note that covers the entry (C2SP tlog-checkpoint text).
        proof: Inclusion proof for that checkpoint: sibling hashes, hexadecimal, bottom up.
    """

    index: int
    leaf_hash: str
    checkpoint: str
    proof: tuple[str, ...]
