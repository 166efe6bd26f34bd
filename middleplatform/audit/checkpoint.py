"""Checkpoints: what the log says of itself, signed.

C2SP signed-note, tlog-checkpoint and tlog-cosignature. The text::

    audit.example/middleplatform
    3
    lfGghOhm7K9VrAU/YszSxr5SnvNeqZyGOgGg9Wyymds=

    — audit.example/middleplatform cLkMa4Ry... (base64 of key id and signature)

The parser takes exactly what the printer prints: anything else is malformed, and no more is said.

Spec: docs/spec/audit-log.md, "Checkpoint".
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import VerifierKey, strict_base64, valid_name
from middleplatform.errors import AuditError

__all__ = [
    "Checkpoint", "NoteSignature", "SignedCheckpoint", "check_cosignature", "check_quorum",
    "open_checkpoint", "parse_checkpoint", "parse_signature",
]  # fmt: skip

_NOTE_BYTES_MAX = (
    131_072  # room for 16 post-quantum signatures, which C2SP asks every reader to accept
)
_SIGNATURES_MAX = 32
_SIZE_MAX = 2**63 - 1
_HASH_BYTES = 32
_BODY_LINES = 3
_KEY_ID_BYTES = 4
_COSIGNATURE_BYTES = 8 + 64


def _malformed() -> AuditError:
    return invalid("malformed checkpoint", "检查点格式错误")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head.

    Attributes:
        origin: Name of the log.
        size: Leaves.
        root: Root hash, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Return the three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read the three lines.

        Raises:
            AuditError: A002 for anything that ``body()`` does not print; extension lines are
                refused.
        """
        lines = body.split("\n")
        if len(lines) != _BODY_LINES + 1 or lines[-1]:
            raise _malformed()
        origin, size, root = lines[:_BODY_LINES]
        if not (
            size.isascii()
            and size.isdigit()
            and len(size) <= len(str(_SIZE_MAX))
            and valid_name(origin)
        ):
            raise _malformed()
        try:
            checkpoint = cls(origin, int(size), strict_base64(root))
        except ValueError:
            raise _malformed() from None
        if (
            checkpoint.body() != body
            or checkpoint.size > _SIZE_MAX
            or len(checkpoint.root) != _HASH_BYTES
        ):
            raise _malformed()
        return checkpoint


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line.

    Attributes:
        name: Name of the key.
        key_id: Four bytes.
        blob: What the key's type defines.
    """

    name: str
    key_id: bytes
    blob: bytes

    def line(self) -> str:
        """Return the line, with its newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.blob).decode()}\n"


def parse_signature(line: str) -> NoteSignature:
    """Read one signature line, with its newline.

    Raises:
        AuditError: A002 when it is not canonical.
    """
    parts = line.removesuffix("\n").split(" ")
    try:
        dash, name, body = parts
        raw = strict_base64(body)
    except ValueError:
        raise _malformed() from None
    signature = NoteSignature(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])
    if dash != "—" or not valid_name(name) or not signature.blob or signature.line() != line:
        raise _malformed()
    return signature


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with its signature lines; only ``open_checkpoint`` proves anything."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def text(self) -> str:
        """Return the signed note."""
        return (
            self.checkpoint.body()
            + "\n"
            + "".join(signature.line() for signature in self.signatures)
        )


def parse_checkpoint(text: str) -> SignedCheckpoint:
    """Read a signed note without trusting it.

    Raises:
        AuditError: A002 for every form but the canonical one.
    """
    try:
        raw_bytes = len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate
        raise _malformed() from None
    if raw_bytes > _NOTE_BYTES_MAX or any(mark < " " and mark != "\n" for mark in text):
        raise _malformed()
    head, separator, tail = text.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise _malformed()
    lines = tail[:-1].split("\n")
    if len(lines) > _SIGNATURES_MAX:
        raise _malformed()
    signed = SignedCheckpoint(
        Checkpoint.parse(head + "\n"), tuple(parse_signature(line + "\n") for line in lines)
    )
    if signed.text() != text:
        raise _malformed()
    return signed


def open_checkpoint(text: str, keys: Iterable[VerifierKey]) -> SignedCheckpoint:
    """Read a checkpoint that one of the log's ``keys`` signed.

    Signatures of unknown keys are ignored. A bad one of a known key spoils the note.

    Args:
        text: The signed note.
        keys: The log's present and retired public keys; each bears the origin as its name.

    Raises:
        AuditError: A002 when it is malformed, of another origin, or not signed by any of them.
    """
    signed = parse_checkpoint(text)
    body = signed.checkpoint.body().encode()
    known = {(key.name, key.key_id): key for key in keys if key.name == signed.checkpoint.origin}
    found = False
    for signature in signed.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verify(signature.blob, body):
            raise invalid("the checkpoint's signature does not verify", "检查点签名校验失败")
        found = True
    if not found:
        raise invalid("the checkpoint is not signed by the log", "检查点未由本日志签名")
    return signed


def check_cosignature(
    checkpoint: Checkpoint, signature: NoteSignature, witness: VerifierKey
) -> int:
    """Check one cosignature and return its time, in seconds since 1970.

    Raises:
        AuditError: A002 when it is not the witness's over this checkpoint.
    """
    blob = signature.blob
    timestamp = int.from_bytes(blob[:8], "big")
    message = f"cosignature/v1\ntime {timestamp}\n{checkpoint.body()}".encode()
    named = (signature.name, signature.key_id) == (witness.name, witness.key_id)
    shaped = len(blob) == _COSIGNATURE_BYTES and timestamp <= _SIZE_MAX
    if not (named and shaped and witness.verify(blob[8:], message)):
        raise invalid("a cosignature does not verify", "见证签名校验失败")
    return timestamp


def check_quorum(
    signed: SignedCheckpoint, witnesses: Iterable[VerifierKey], minimum: int
) -> dict[str, int]:
    """Return the time of each witness's newest cosignature, by name.

    A bad cosignature of a known witness spoils the note.

    Raises:
        AuditError: A002 when fewer than ``minimum`` different witnesses cosigned.
    """
    known = {(key.name, key.key_id): key for key in witnesses}
    times: dict[str, int] = {}
    for signature in signed.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            time = check_cosignature(signed.checkpoint, signature, key)
            times[key.name] = max(time, times.get(key.name, 0))
    if len(times) < minimum:
        raise invalid("too few witnesses cosigned the checkpoint", "见证方数量不足")
    return times
