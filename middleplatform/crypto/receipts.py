"""What a department ran and released, over its signature.

The audit log keeps the receipts; the department keeps its own copy.
Imported by node (sign), gateway and audit (verify).
Spec: docs/spec/secure-sum.md, "Receipts".
"""

import base64
import binascii
import re
from dataclasses import dataclass

from middleplatform.crypto.encoding import Reader, bad_message, join_parts
from middleplatform.crypto.identity import SIGNATURE_BYTES, IdentityKey, PinnedKeys

__all__ = ["ReceiptFields", "sign_receipt", "verify_receipt"]

MARKER = "mpr1"
PURPOSE = "department receipt"
TEXT_BYTES_MAX = 128
RECEIPT_CHARACTERS_MAX = 2048
_TEXT = re.compile(r"[A-Za-z0-9_.:+-]{1,128}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReceiptFields:
    """What a receipt says.

    Attributes:
        query_id: 1 to 128 characters of ``A-Z a-z 0-9 _ . : + -``.
        fragment_digest: SHA-256 of the fragment that was run, 64 hexadecimal digits.
        policy_digest: Of the node's own bundle, 64 hexadecimal digits.
        protocol: ``local`` or ``secure_sum``; characters as in ``query_id``.
        cells: Number of cells released, 0 to 2**63 - 1.
        result_digest: SHA-256 of what was sent, 64 hexadecimal digits.

    Raises:
        ProtocolError: X001 when a value is outside its range.
    """

    query_id: str
    fragment_digest: str
    policy_digest: str
    protocol: str
    cells: int
    result_digest: str

    def __post_init__(self) -> None:
        texts = (self.query_id, self.protocol)
        digests = (self.fragment_digest, self.policy_digest, self.result_digest)
        fit = all(_TEXT.fullmatch(text) for text in texts) and 0 <= self.cells < 2**63
        if not fit or not all(_DIGEST.fullmatch(digest) for digest in digests):
            raise bad_message("a receipt is not valid")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return b"".join(
            (
                join_parts(self.query_id),
                bytes.fromhex(self.fragment_digest),
                bytes.fromhex(self.policy_digest),
                join_parts(self.protocol),
                self.cells.to_bytes(8, "big"),
                bytes.fromhex(self.result_digest),
            )
        )


def sign_receipt(identity: IdentityKey, fields: ReceiptFields) -> str:
    """Return the receipt as text: ``mpr1.`` and base64url (unpadded) of fields and signature.

    Args:
        identity: The department's key.
        fields: What it ran and released.

    Reveals:
        To whoever reads it: the fields. The number of cells is of released cells, and a digest of
        masked words or released cells tells who has not got them nothing.
    """
    content = fields.to_bytes()
    raw = content + identity.sign(PURPOSE, content)
    return f"{MARKER}.{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def verify_receipt(receipt: str, department: str, pins: PinnedKeys) -> ReceiptFields:
    """Return what ``receipt`` says, if ``department`` signed exactly this text.

    Raises:
        ProtocolError: X001 for every cause alike.

    Reveals:
        Nothing but the fields, or failure.
    """
    raw = _decode(receipt)
    reader = Reader(raw)
    fields = ReceiptFields(
        query_id=reader.text(TEXT_BYTES_MAX),
        fragment_digest=reader.take(32).hex(),
        policy_digest=reader.take(32).hex(),
        protocol=reader.text(TEXT_BYTES_MAX),
        cells=reader.integer(8),
        result_digest=reader.take(32).hex(),
    )
    signature = reader.take(SIGNATURE_BYTES)
    reader.end()
    pins.verify(department, PURPOSE, fields.to_bytes(), signature)
    return fields


def _decode(receipt: str) -> bytes:
    """Undo base64url; several texts may decode alike, so the one that is written is demanded."""
    marker, _, text = receipt.partition(".")
    if marker != MARKER or len(receipt) > RECEIPT_CHARACTERS_MAX or not text.isascii():
        raise bad_message("a receipt is not valid")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise bad_message("a receipt is not valid") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise bad_message("a receipt is not valid")
    return raw
