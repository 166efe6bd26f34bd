"""Signed documents: canonical JSON with one signature, and readers that refuse everything else.

A document is ``{"body":…,"kind":…,"signature":…}`` in canonical form: keys sorted, no spaces, UTF-8,
no floating-point numbers. The signature is over the canonical body, in a context made of the kind.
Imported by this package.
Spec: docs/spec/enrolment.md, "Documents".

Reveals:
    What a document says, to whoever holds it: nothing in it is secret.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from middleplatform.crypto.identity import SIGNATURE_BYTES, IdentityKey, verify
from middleplatform.errors import ProtocolError

__all__ = [
    "DOCUMENT_BYTES_MAX",
    "FINGERPRINT",
    "HEX_KEY",
    "Fields",
    "canonical",
    "moment_text",
    "parse",
    "refused",
    "seal",
    "unseal",
]

DOCUMENT_BYTES_MAX = 2 * 1024 * 1024
"""A roster of 500 departments with authorities of their own has about 600 kB."""
HEX_KEY = re.compile(r"[0-9a-f]{64}")
FINGERPRINT = HEX_KEY
_SIGNATURE = re.compile(rf"[0-9a-f]{{{2 * SIGNATURE_BYTES}}}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def refused(party: str, english: str, chinese: str, detail: str = "") -> ProtocolError:
    """Return X006: the identity of ``party`` is refused, with what to do in both languages."""
    return ProtocolError("X006", party=party, what=(english, chinese), detail=detail)


def canonical(value: object) -> bytes:
    """Return the one encoding of ``value``.

    Raises:
        ValueError: When it has none: a floating-point number, or a lone surrogate.
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def parse(raw: bytes, what: str) -> dict[str, object]:
    """Return the object that ``raw`` encodes canonically.

    Args:
        raw: At most ``DOCUMENT_BYTES_MAX`` bytes.
        what: Names the document in errors, e.g. ``"roster"``.

    Raises:
        ProtocolError: X006 when it is anything else.
    """
    try:
        if len(raw) > DOCUMENT_BYTES_MAX:
            raise _malformed(what, "too long")
        value = json.loads(raw.decode(), parse_float=_no_float, parse_constant=_no_float)
        same = canonical(value) == raw
    except (ValueError, RecursionError):
        raise _malformed(what, "not JSON") from None
    if not same or not isinstance(value, dict):
        raise _malformed(what, "not canonical, or no object")
    return value


def seal(kind: str, body: dict[str, object], key: IdentityKey) -> bytes:
    """Return ``body`` signed by ``key`` as a document of ``kind``."""
    signature = key.sign(_context(kind), canonical(body)).hex()
    return canonical({"body": body, "kind": kind, "signature": signature})


def unseal(kind: str, raw: bytes, signer: Callable[["Fields"], bytes]) -> "Fields":
    """Return the body of a document, if its signer signed it.

    Args:
        kind: What it must be.
        raw: The document.
        signer: Gives the 32-byte public key that must have signed, from the body where a document
            introduces its own signer.

    Raises:
        ProtocolError: X006 for another kind, another form or another signature.
    """
    outer = Fields(parse(raw, kind), kind)
    if outer.text("kind", re.compile(r".{1,64}")) != kind:
        raise _malformed(kind, "another kind of document")
    signature = bytes.fromhex(outer.text("signature", _SIGNATURE))
    body = outer.inner("body")
    outer.end()
    encoded = canonical(body.values)
    try:
        verify(signer(body), _context(kind), encoded, signature)
    except ProtocolError as error:
        if error.code == "X006":
            raise
        raise refused(
            kind,
            "its signature is not the expected one; get it again from its maker",
            "其签名与预期不符；请向出具方重新获取",
        ) from None
    return body


def moment_text(moment: datetime) -> str:
    """Return a moment as documents write it: UTC, whole seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Fields:
    """Takes an object apart: each field once, of the stated form, and none left over.

    Args:
        values: The object.
        what: Names the document in errors.
    """

    def __init__(self, values: dict[str, object], what: str) -> None:
        self.values = values
        self._left = set(values)
        self._what = what

    def text(self, name: str, form: "re.Pattern[str]") -> str:
        """Return a text that matches ``form`` wholly."""
        value = self._take(name)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise _malformed(self._what, f"{name} has another form")
        return value

    def key(self, name: str) -> bytes:
        """Return a public key, 32 bytes."""
        return bytes.fromhex(self.text(name, HEX_KEY))

    def peek_key(self, name: str) -> bytes:
        """Return a public key that is still to be taken: who must have signed."""
        return Fields(self.values, self._what).key(name)

    def number(self, name: str, most: int) -> int:
        """Return a whole number from 1 to ``most``."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise _malformed(self._what, f"{name} is no number in its range")
        return value

    def moment(self, name: str) -> datetime:
        """Return a moment, UTC."""
        try:
            return datetime.fromisoformat(self.text(name, _MOMENT))
        except ValueError:
            raise _malformed(self._what, f"{name} is no moment") from None

    def texts(self, name: str, form: "re.Pattern[str]", most: int) -> tuple[str, ...]:
        """Return a sorted list of different texts."""
        found = [
            each
            for each in self._list(name, most)
            if isinstance(each, str) and form.fullmatch(each)
        ]
        if found != sorted(set(found)) or len(found) != len(self._list(name, most)):
            raise _malformed(self._what, f"{name} is no sorted list of its form")
        self._left.discard(name)
        return tuple(found)

    def inners(self, name: str, most: int) -> list["Fields"]:
        """Return a list of objects."""
        values = self._list(name, most)
        found = [Fields(each, self._what) for each in values if isinstance(each, dict)]
        if len(found) != len(values):
            raise _malformed(self._what, f"{name} is no list of objects")
        self._left.discard(name)
        return found

    def inner(self, name: str) -> "Fields":
        """Return an object."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise _malformed(self._what, f"{name} is no object")
        return Fields(value, self._what)

    def end(self) -> None:
        """Refuse fields that nobody took."""
        if self._left:
            raise _malformed(self._what, "unknown fields")

    def _list(self, name: str, most: int) -> list[object]:
        value = self.values.get(name)
        if name not in self._left or not isinstance(value, list) or len(value) > most:
            raise _malformed(self._what, f"{name} is no list, or too long")
        return value

    def _take(self, name: str) -> object:
        if name not in self._left:
            raise _malformed(self._what, f"{name} is missing")
        self._left.discard(name)
        return self.values[name]


def _context(kind: str) -> str:
    return f"enrolment {kind} v1"


def _malformed(what: str, detail: str) -> ProtocolError:
    return refused(
        what,
        "the document is damaged or not of this version; get it again from its maker",
        "文件已损坏或版本不符；请向出具方重新获取",
        detail,
    )


def _no_float(_: str) -> NoReturn:
    raise ValueError("no floating-point numbers")
