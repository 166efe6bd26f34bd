"""What a form sent: read once, in bounds, and only from a page of ours.

Two checks, each of which suffices where the browser does its part: the browser's own word on where the request comes
from (``Sec-Fetch-Site``, else ``Origin``), and the session's token that every form carries.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from fastapi import Request

from middleplatform.errors import QueryError
from middleplatform.web.console import session
from middleplatform.web.csrf import from_here, refusal

__all__ = ["FIELD", "HEADER", "Form", "check", "form_of", "read", "whole"]

FIELD = "csrf"
HEADER = "x-csrf-token"
"""Where scripts carry the token; htmx does, for every request of a page."""
_FIELDS_MAX = 1000
_DIGITS_MAX = 9
"""Of a number that fits 32 bits."""
_KIND = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form.

    Attributes:
        values: Every field with its values, in the order in which they came.
    """

    values: Mapping[str, list[str]]

    def one(self, name: str, default: str = "") -> str:
        """Return the field's last value, without spaces around it; ``default`` where there is none."""
        found = self.values.get(name)
        return found[-1].strip() if found else default

    def text(self, name: str) -> str:
        """Return the field's last value as typed, line ends as newlines; empty where there is none."""
        return self.values.get(name, [""])[-1].replace("\r\n", "\n")

    def many(self, name: str) -> list[str]:
        """Return all values of the field that are not empty."""
        return [each for each in self.values.get(name, []) if each]

    def ticked(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return bool(self.one(name))


def whole(text: str, digits: int = _DIGITS_MAX) -> int | None:
    """Return the whole number that somebody typed; None for what is none.

    Args:
        text: Digits of ASCII, nothing else.
        digits: At most so many.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def form_of(request: Request) -> Form:
    """Return the form that the guard read and checked before the handler ran."""
    form: Form = request.state.form
    return form


async def read(request: Request) -> Form:
    """Return the fields of the body.

    Raises:
        QueryError: Q040 when it is not a form, not UTF-8, or has too many fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != _KIND:
        raise _unreadable()
    try:
        values = parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError:
        raise _unreadable() from None
    return Form(values)


def check(request: Request, form: Form) -> None:
    """Refuse a form that was not sent from a page of this session.

    Raises:
        PolicyError: P004.
    """
    expected = session.csrf(request)
    given = request.headers.get(HEADER, "") or form.one(FIELD)
    same = hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))
    if not (from_here(request) and same):
        raise refusal()


def _unreadable() -> QueryError:
    return QueryError("Q040", what=("the form cannot be read", "无法读取表单"))
