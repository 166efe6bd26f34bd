"""Documents by which the platform tells its nodes what is published and what is granted; read strictly, or refused.

Each is canonical JSON (keys sorted, no spaces, UTF-8, no floating-point numbers) with the gateway's Ed25519 signature
over it, in a context of its own. Making one twice gives the same bytes.

Spec: docs/spec/node.md, "Policy".

Reveals:
    To every node: the policy's files, and who was granted what of whose data. Nothing of any data.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from middleplatform.crypto.encoding import bad_message
from middleplatform.errors import ConfigError
from middleplatform.model.policy import Grant
from middleplatform.policy.joining import Given
from middleplatform.policy.written import check_files, content_digest

__all__ = ["GRANTS", "POLICY", "GrantsDocument", "PolicyDocument"]

POLICY = "policy document v1"
"""Context of the signature over a published version."""
GRANTS = "grants document v1"
"""Context of the signature over the grants of a moment."""

_NUMBER_MAX = 2**53
_GRANTS_MAX = 100_000
_DIGEST = re.compile(r"|[0-9a-f]{64}")
_SETS = ("departments", "subjects", "purposes", "columns", "operations")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A published version of the policy.

    Attributes:
        number: Of the version, from 1.
        content: Digest of its files as they are written.
        previous: Content of the version before; empty for the first.
        at: When it was published, UTC.
        files: Text by name.
    """

    number: int
    content: str
    previous: str
    at: datetime
    files: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """Return the document's one form."""
        return _canonical({
            "at": _text(self.at), "content": self.content, "files": dict(self.files),
            "number": self.number, "previous": self.previous,
        })  # fmt: skip

    @classmethod
    def from_bytes(cls, raw: bytes) -> "PolicyDocument":
        """Return the document that ``raw`` is.

        Raises:
            ProtocolError: X001 it is none, or its files are not what its digest says.
        """
        body = _object(raw)
        try:
            files = body["files"]
            check_files(files)
            found = cls(_number(body["number"]), body["content"], body["previous"],
                        _moment(body["at"]), files)  # fmt: skip
            good = (
                found.to_bytes() == raw
                and content_digest(files) == found.content
                and _DIGEST.fullmatch(found.previous) is not None
            )
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError):
            raise bad_message("a malformed policy document") from None
        if not good:
            raise bad_message("a policy document that does not agree with itself")
        return found


@dataclass(frozen=True, slots=True)
class GrantsDocument:
    """The grants that people gave, as of a moment.

    Attributes:
        number: Rises with each document: microseconds since 1970 when it was made.
        until: First moment at which it no longer counts, UTC.
        grants: Each with its provider.
    """

    number: int
    until: datetime
    grants: tuple[Given, ...]

    @property
    def at(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self.number // 1_000_000, UTC)

    def to_bytes(self) -> bytes:
        """Return the document's one form."""
        grants = [_written(provider, grant) for provider, grant in self.grants]
        return _canonical({"grants": grants, "number": self.number, "until": _text(self.until)})

    @classmethod
    def from_bytes(cls, raw: bytes) -> "GrantsDocument":
        """Return the document that ``raw`` is.

        Raises:
            ProtocolError: X001 it is none.
        """
        body = _object(raw)
        try:
            grants = tuple(map(_read, body["grants"]))
            found = cls(_number(body["number"]), _moment(body["until"]), grants)
            good = found.to_bytes() == raw and len(grants) <= _GRANTS_MAX
        except (KeyError, TypeError, ValueError, AttributeError):
            raise bad_message("a malformed grants document") from None
        if not good:
            raise bad_message("a grants document that is not canonical")
        return found


def _written(provider: str, grant: Grant) -> Mapping[str, object]:
    sets = {name: sorted(getattr(grant, name)) for name in _SETS}
    return sets | {
        "basis": grant.basis, "ends": _text(grant.ends), "id": grant.id, "provider": provider,
        "regions": list(grant.regions), "starts": _text(grant.starts),
    }  # fmt: skip


def _read(raw: Mapping[str, object]) -> Given:
    departments, subjects, purposes, columns, operations = (
        frozenset(_texts(raw[name])) for name in _SETS
    )
    grant = Grant(
        _string(raw["id"]), departments, subjects, purposes, columns, operations,
        tuple(_texts(raw["regions"])), _moment(raw["starts"]), _moment(raw["ends"]),
        _string(raw["basis"]),
    )  # fmt: skip
    return _string(raw["provider"]), grant


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return [_string(each) for each in value]


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _NUMBER_MAX:
        raise TypeError("no number in its range")
    return value


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _moment(value: object) -> datetime:
    found = datetime.fromisoformat(_string(value))
    if found.utcoffset() is None:
        raise ValueError("no zone")
    return found


def _canonical(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode(), parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError):
        raise bad_message("a document that is no JSON") from None
    if not isinstance(value, dict):
        raise bad_message("a document that is no object")
    return value


def _no_float(_: str) -> NoReturn:
    raise ValueError("no floating-point numbers")
