"""Canonical bytes: one value has one encoding, and anything else is refused.

Integers are big-endian with a fixed width; byte strings and UTF-8 texts carry a four-byte length.
Imported by the recipes of this package only.
Spec: docs/spec/secure-sum.md, "Conventions used".
"""

import hashlib

from middleplatform.errors import ProtocolError

__all__ = ["Reader", "bad_message", "join_parts", "tagged_digest"]

LENGTH_BYTES = 4


def bad_message(detail: str) -> ProtocolError:
    """Return the one error that every refused message looks like.

    Args:
        detail: For the operator's log; never holds a secret or a value.
    """
    return ProtocolError("X001", detail=detail)


def join_parts(*parts: bytes | str) -> bytes:
    """Return ``parts`` one after another, each behind its length in four big-endian bytes."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(LENGTH_BYTES, "big") + part for part in raw)


def tagged_digest(tag: str, *parts: bytes | str) -> bytes:
    """Return SHA-256 (32 bytes) of ``tag`` and ``parts``, each behind its length.

    Args:
        tag: Names what is hashed, so that digests of different things never meet.
        parts: Byte strings or texts of any length.
    """
    return hashlib.sha256(join_parts(tag, *parts)).digest()


class Reader:
    """Takes a message apart and refuses what its writer would not have written.

    Args:
        raw: The message.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Raises:
            ProtocolError: X001 when fewer are left.
        """
        end = self._at + count
        if end > len(self._raw):
            raise bad_message("message is cut short")
        piece = self._raw[self._at : end]
        self._at = end
        return piece

    def integer(self, width: int) -> int:
        """Return the next ``width`` bytes as an unsigned big-endian integer."""
        return int.from_bytes(self.take(width), "big")

    def part(self, limit: int) -> bytes:
        """Return the next byte string behind its length.

        Raises:
            ProtocolError: X001 when it is longer than ``limit`` bytes or cut short.
        """
        length = self.integer(LENGTH_BYTES)
        if length > limit:
            raise bad_message("a field is too long")
        return self.take(length)

    def text(self, limit: int) -> str:
        """Return the next UTF-8 text behind its length in bytes.

        Raises:
            ProtocolError: X001 when it is longer than ``limit`` bytes or not UTF-8.
        """
        try:
            return self.part(limit).decode()
        except UnicodeDecodeError:
            raise bad_message("a text is not UTF-8") from None

    def end(self) -> None:
        """Refuse trailing bytes.

        Raises:
            ProtocolError: X001 when something is left.
        """
        if self._at != len(self._raw):
            raise bad_message("message has trailing bytes")
