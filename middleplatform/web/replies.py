"""What routes share: JSON replies, the caller's language, pages of long lists, one endpoint's declaration."""

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel

from middleplatform.errors import QueryError
from middleplatform.web.language import locale_of
from middleplatform.web.services import Services

__all__ = [
    "JSON", "PAGE_MAX", "After", "Limit", "Number", "Route", "governed", "json_reply", "locale", "page", "said",
]  # fmt: skip

JSON = "application/json"
PAGE_MAX = 1000
_NUMBER_MAX = 2**31 - 1

Number = Annotated[int, Path(ge=1, le=_NUMBER_MAX)]
After = Annotated[
    int, Query(ge=0, le=2**53 - 1, description="Where the page before ended: its `next`.")
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items a page.")]

_Item = TypeVar("_Item")


class Route(NamedTuple):
    """One endpoint.

    Attributes:
        method: Of HTTP.
        path: With the names of its parameters.
        handler: What answers it; its docstring is the description.
        model: Body of its usual response.
        status: Of that response.
        more: Other responses, as the framework takes them.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    model: type[BaseModel] | None
    status: int = HTTPStatus.OK
    more: Mapping[int | str, Mapping[str, Any]] = {}


def json_reply(value: object, status: int = HTTPStatus.OK) -> Response:
    """Return ``value`` as a JSON response."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return Response(content, status, media_type=JSON)


def locale(request: Request) -> str:
    """Return the language that the caller prefers, ``en`` or ``zh``."""
    return locale_of(request.headers.get("accept-language", ""))


def said(request: Request, pair: tuple[str, str]) -> str:
    """Return the one of (English, Chinese) that the caller prefers."""
    return pair[locale(request) == "zh"]


def page(
    items: Sequence[_Item], number: Callable[[_Item], int], after: int, limit: int
) -> tuple[Sequence[_Item], int | None]:
    """Return the items whose number is above ``after``, at most ``limit``, and where the next page begins.

    Args:
        items: In ascending order of their numbers.
        number: Of an item, at least 1.
        after: Last number of the page before; 0 for the first page.
        limit: At least 1.

    Returns:
        The items; ``after`` of the next page, or None where this is the last one.
    """
    left = [each for each in items if number(each) > after]
    shown = left[:limit]
    return shown, number(shown[-1]) if len(left) > limit else None


def governed(request: Request) -> Services:
    """Return the application's services.

    Raises:
        QueryError: Q041 this application has none: it only answers questions.
    """
    services: Services | None = request.app.state.services
    if services is None or services.platform.lifecycle is None:
        raise QueryError("Q041", what=("store of policies and grants", "策略与授权存储"))
    return services
