"""Entries: the exact bytes of a leaf, and what they say.

A leaf is canonical JSON: ``{"body":...,"event":...,"index":...}``. Sorted keys, no space, no
floating number, integers within 2**53 - 1, UTF-8. The same record at the same index always gives
the same bytes.

Spec: docs/spec/audit-log.md, "Entry".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform.audit.faults import invalid
from middleplatform.model.record import AuditRecord

__all__ = ["EVENTS", "LogEntry", "canonical", "leaf_bytes", "leaf_head", "moment"]

EVENTS = frozenset({
    "received", "refused", "released", "failed",  # of questions and fragments
    # of the party
    "policy", "grant", "connector", "key", "roster", "start", "stop", "incident", "snapshot", "login",
    "ticket", "usage", "freeze", "alert", "saved",
})  # fmt: skip
LEAF_BYTES_MAX = 1_048_576
_INTEGER_MAX = 2**53 - 1  # RFC 7493: what every JSON reader holds exactly
_DEPTH_MAX = 32
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


def canonical(value: object) -> bytes:
    """Return the one JSON spelling of ``value``.

    Args:
        value: Text, integers within 2**53 - 1 either way, booleans, None, lists, tuples and
            mappings with text keys, at most 32 deep.

    Raises:
        ValueError: Anything else; a caller's mistake, never made from data.
    """
    plain = _plain(value, 0)
    text = json.dumps(
        plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError


def _plain(value: object, depth: int) -> object:
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deep")
    match value:
        case None | bool() | str():
            return value
        case int() if abs(value) <= _INTEGER_MAX:
            return value
        case list() | tuple():
            return [_plain(item, depth + 1) for item in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: _plain(item, depth + 1) for key, item in value.items()}
        case _:
            raise ValueError(f"an entry cannot hold a {type(value).__name__} of that form")


def moment(text: object) -> datetime:
    """Read a date and time of RFC 3339 with its offset.

    Raises:
        ValueError: It is not one.
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("not a date and time of RFC 3339")
    return datetime.fromisoformat(text)


def leaf_head(record: AuditRecord) -> bytes:
    """Check ``record`` and return its leaf up to the index, which only the writer knows.

    Raises:
        ValueError: The event is unknown, ``body["at"]`` is no RFC 3339 time, a value has no
            canonical form, or the entry is larger than 1 MiB.
    """
    if record.event not in EVENTS:
        raise ValueError("unknown event")
    moment(record.body.get("at"))
    head = (
        b'{"body":' + canonical(record.body) + b',"event":"' + record.event.encode() + b'","index":'
    )
    if len(head) > LEAF_BYTES_MAX:
        raise ValueError("an entry holds at most 1 MiB")
    return head


def leaf_bytes(head: bytes, index: int) -> bytes:
    """Return the leaf."""
    return head + str(index).encode() + b"}"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry as the log holds it.

    Attributes:
        index: Place in the log, from 0.
        leaf: The exact bytes that are hashed.
    """

    index: int
    leaf: bytes

    @property
    def record(self) -> AuditRecord:
        """Return what was appended.

        Raises:
            AuditError: A002 when the bytes are not an entry.
        """
        try:
            value = json.loads(self.leaf)
            return AuditRecord(value["event"], value["body"])
        except (ValueError, KeyError, TypeError):
            raise invalid(
                f"entry {self.index} was altered", f"第 {self.index} 条记录被篡改"
            ) from None

    @property
    def at(self) -> datetime:
        """Return when the event took place, by ``body["at"]``."""
        return moment(self.record.body.get("at"))
