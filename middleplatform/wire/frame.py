"""One message between gateway and node: a signed header, and the parts whose digests it holds.

``mpw1`` | length of the header, 4 bytes, big-endian | header, canonical JSON | Ed25519 signature, 64 bytes | parts.

The header names the call, both parties, a nonce, the moment, small fields, and length and SHA-256 of each part, so
that one signature over it covers everything and a large part is hashed once. A reply bears the nonce of its call.
Spec: docs/spec/node.md, "Messages".

Reveals:
    A message to who holds its bytes; it travels inside TLS. To nobody: anything of a key.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from middleplatform.crypto.encoding import Reader, bad_message, join_parts
from middleplatform.crypto.identity import SIGNATURE_BYTES, IdentityKey, PinnedKeys

__all__ = [
    "CALL",
    "HEADER_BYTES_MAX",
    "REPLY",
    "Message",
    "decode",
    "encode",
    "pack",
    "pieces",
    "unpack",
]

CALL, REPLY = "call", "reply"
HEADER_BYTES_MAX = 65_536
_MAGIC = b"mpw1"
_PARTS_MAX = 16
_ITEM_BYTES_MAX = 1 << 26
_NONCE = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_KEYS = frozenset({"kind", "name", "sender", "receiver", "nonce", "at", "fields", "parts"})


@dataclass(frozen=True, slots=True)
class Message:
    """A call or a reply.

    Attributes:
        kind: ``CALL`` or ``REPLY``.
        name: Of the call.
        sender: Party that signs.
        receiver: Party that it is for.
        nonce: 32 hexadecimal digits; a reply bears its call's.
        at: ISO 8601, UTC, when it was made.
        fields: Small values: texts, whole numbers, lists and mappings of them.
        parts: Byte strings, at most 16.
        digests: SHA-256 of each part, hexadecimal, where it is known already; what was read has them all.
    """

    kind: str
    name: str
    sender: str
    receiver: str
    nonce: str
    at: str
    fields: Mapping[str, object] = field(default_factory=dict)
    parts: tuple[bytes, ...] = ()
    digests: tuple[str, ...] = field(default=(), compare=False)

    def text(self, name: str) -> str:
        """Return a field that must be a text.

        Raises:
            ProtocolError: X001 when it is missing or something else.
        """
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise bad_message(f"field {name} is no text")
        return value

    def part(self, number: int) -> bytes:
        """Return a part that must be there.

        Raises:
            ProtocolError: X001 when it is missing.
        """
        if number >= len(self.parts):
            raise bad_message("a part is missing")
        return self.parts[number]


def encode(message: Message, identity: IdentityKey) -> bytes:
    """Return the message as bytes, signed by ``identity``.

    Reveals:
        The message to whoever sees the bytes: they travel inside TLS.
    """
    return b"".join(pieces(message, identity))


def pieces(message: Message, identity: IdentityKey) -> tuple[bytes, ...]:
    """Return the message as ``encode`` does, in pieces that follow each other: a large part is not copied.

    Reveals:
        As ``encode``.
    """
    digests = message.digests or tuple([sha256(part).hexdigest() for part in message.parts])
    header = _canonical(
        {
            "kind": message.kind,
            "name": message.name,
            "sender": message.sender,
            "receiver": message.receiver,
            "nonce": message.nonce,
            "at": message.at,
            "fields": message.fields,
            "parts": [[len(part), each] for part, each in zip(message.parts, digests, strict=True)],
        }
    )
    signature = identity.sign(_context(message.kind), header)
    return (b"".join([_MAGIC, len(header).to_bytes(4, "big"), header, signature]), *message.parts)


def decode(raw: bytes, pins: PinnedKeys, *, kind: str, sender: str, receiver: str) -> Message:
    """Take a message apart, if the pinned key of ``sender`` signed exactly it for ``receiver``.

    Raises:
        ProtocolError: X001 for every cause alike.

    Reveals:
        Nothing but success or failure.
    """
    reader = Reader(raw)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise bad_message("not a message of this protocol")
    header = reader.part(HEADER_BYTES_MAX)
    pins.verify(sender, _context(kind), header, reader.take(SIGNATURE_BYTES))
    body = _header(header)
    parts: list[bytes] = []
    for length, digest in body["parts"]:
        part = reader.take(length)
        if sha256(part).hexdigest() != digest:
            raise bad_message("a part is not what was signed")
        parts.append(part)
    reader.end()
    message = Message(
        body["kind"], body["name"], body["sender"], body["receiver"], body["nonce"], body["at"],
        body["fields"], tuple(parts), tuple([digest for _, digest in body["parts"]]),
    )  # fmt: skip
    if (message.kind, message.sender, message.receiver) != (kind, sender, receiver):
        raise bad_message("a message of another kind or for somebody else")
    return message


def pack(items: Sequence[bytes]) -> bytes:
    """Return byte strings as one part, each behind its length."""
    return join_parts(*items)


def unpack(raw: bytes, items_max: int) -> tuple[bytes, ...]:
    """Take a packed part apart.

    Raises:
        ProtocolError: X001 when it is malformed or has more than ``items_max`` items.
    """
    reader, found, at = Reader(raw), [], 0
    while at < len(raw):
        item = reader.part(_ITEM_BYTES_MAX)
        found.append(item)
        at += 4 + len(item)
        if len(found) > items_max:
            raise bad_message("too many items")
    return tuple(found)


def _context(kind: str) -> str:
    return f"wire {kind}"


def _canonical(value: object) -> bytes:
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def _header(raw: bytes) -> dict[str, Any]:
    """Read a header; only the form that ``encode`` writes passes."""
    try:
        body = json.loads(raw)
        if _canonical(body) != raw or set(body) != _KEYS:
            raise bad_message("a header is not canonical")
    except (ValueError, TypeError, RecursionError):
        raise bad_message("a header is not valid") from None
    names = (body["name"], body["sender"], body["receiver"])
    good = (
        all(isinstance(name, str) and _NAME.fullmatch(name) for name in names)
        and isinstance(body["nonce"], str)
        and _NONCE.fullmatch(body["nonce"])
        and isinstance(body["at"], str)
        and isinstance(body["fields"], dict)
        and isinstance(body["parts"], list)
        and len(body["parts"]) <= _PARTS_MAX
        and all(_is_part(part) for part in body["parts"])
    )
    if not good:
        raise bad_message("a header is not valid")
    checked: dict[str, Any] = body
    return checked


def _is_part(part: object) -> bool:
    if not isinstance(part, list) or len(part) != 2:  # noqa: PLR2004 - length and digest
        return False
    length, digest = part
    return type(length) is int and length >= 0 and isinstance(digest, str)
