"""Turn every ending of a request into a problem document (RFC 9457).

No text of a library, no data and no traceback leaves: messages come from the error table.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from middleplatform.access.problems import problem
from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.web.language import locale_of

__all__ = [
    "MEDIA_TYPE",
    "install",
    "refused",
    "response",
    "status_by",
    "status_of",
]

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = 5

_STATUS: Mapping[str, int] = {
    "Q040": HTTPStatus.BAD_REQUEST,
    "Q041": HTTPStatus.NOT_FOUND,
    "Q042": HTTPStatus.CONFLICT,
    "P005": HTTPStatus.UNAUTHORIZED,
    "L003": HTTPStatus.CONFLICT,
    "S002": HTTPStatus.GATEWAY_TIMEOUT,
    "A004": HTTPStatus.NOT_FOUND,
    "C015": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Statuses that differ from those of the error's class."""

_WRONG: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "缺失"),
    "extra_forbidden": ("is unknown", "未知"),
    "string_type": ("must be text", "必须是文本"),
    "string_unicode": ("must be text", "必须是文本"),
    "string_too_short": ("is empty", "为空"),
    "string_too_long": ("is too long", "过长"),
    "bool_type": ("must be true or false", "必须是 true 或 false"),
    "model_attributes_type": ("must be a JSON object", "必须是 JSON 对象"),
    "json_invalid": ("is not JSON", "不是有效的 JSON"),
}
"""What is wrong with a field, by the validator's error type; its own words never leave."""


def status_of(error: MiddleplatformError) -> int:
    """Return the HTTP status of ``error``."""
    return status_by(error.code, error.http_status)


def status_by(code: str, usual: int) -> int:
    """Return the HTTP status of ``code``, given that of its class."""
    return int(_STATUS.get(code, usual))


def response(
    request: Request, error: MiddleplatformError, *, status: int | None = None, instance: str = ""
) -> Response:
    """Return the problem response of ``error``.

    Args:
        request: Its ``Accept-Language`` chooses the language; at an address of the console the answer is a page.
        error: What happened.
        status: Another status than the error's.
        instance: What it happened to.
    """
    chosen = status_of(error) if status is None else status
    page: Callable[..., Response] | None = getattr(request.app.state, "error_page", None)
    if page is not None and f"{request.url.path}/".startswith("/console/"):
        return page(request, error, int(chosen))
    locale = locale_of(request.headers.get("accept-language", ""))
    body = problem(error, locale, status=int(chosen), instance=instance)
    return refused(body, retry=error.retry)


def refused(body: Mapping[str, object], *, retry: bool) -> Response:
    """Return a response that carries a finished problem document."""
    status = body["status"]
    assert isinstance(status, int)
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="middleplatform"'
    if retry:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    return Response(content, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Register the handlers of all errors that the framework or the platform raises on purpose."""
    app.add_exception_handler(MiddleplatformError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, MiddleplatformError)
    request.app.state.operator_log.detail(error)
    return response(request, error)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = list(_told(error.errors()))
    what = tuple("; ".join(sorted({each[place] for each in found})) for place in (0, 1))
    return response(request, QueryError("Q040", what=what))


def _told(errors: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for each in errors:
        named = [part for part in each["loc"] if isinstance(part, str)]
        field = named[-1][:64].encode("ascii", "backslashreplace").decode() if named else "body"
        english, chinese = _WRONG.get(each["type"], ("is not valid", "无效"))
        yield f"{field} {english}", f"{field} {chinese}"


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return response(request, QueryError("Q041", what=("such address", "该地址")))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        what = ("this address does not take that method", "该地址不支持此方法")
        made = response(request, QueryError("Q040", what=what), status=error.status_code)
        made.headers.update(error.headers or {})
        return made
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and error.detail.isdigit():
        what = (
            f"its body is larger than {error.detail} bytes",
            f"请求正文超过 {error.detail} 字节",
        )
        return response(request, QueryError("Q040", what=what), status=error.status_code)
    what = ("the body cannot be read", "无法读取请求正文")
    if error.status_code == HTTPStatus.REQUEST_TIMEOUT:
        what = ("its body came too slowly", "请求正文传输过慢")
    return response(request, QueryError("Q040", what=what), status=error.status_code)
