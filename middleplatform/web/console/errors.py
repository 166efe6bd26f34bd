"""Errors as pages: what happened, what to do next, and never more than a problem document says."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from middleplatform.access.problems import problem
from middleplatform.errors import LimitError, MiddleplatformError
from middleplatform.web.console import pages, session

__all__ = ["LOGIN", "error_page"]

LOGIN = "/console/login"
_RETRY_AFTER_S = "5"


def error_page(request: Request, error: MiddleplatformError, status: int) -> Response:
    """Return the page of ``error``; the way to the login where nobody is logged in."""
    if error.code == "P005" and request.url.path != LOGIN:
        return _to_login(request)
    _settle(request, error)
    value = problem(error, pages.locale(request), status=status)
    name = "problem.html" if "hx-request" in request.headers else "error.html"
    made = pages.render(request, name, status=status, problem=value)
    if error.retry:
        made.headers["Retry-After"] = _RETRY_AFTER_S
    return made


def _settle(request: Request, error: MiddleplatformError) -> None:
    """Show the page as to a stranger where a limit was reached, or the knowledge of who is logged in is what failed.

    Whoever is refused for asking too much must not cost a look into the store each time.
    """
    if isinstance(error, LimitError) and not hasattr(request.state, "visitor"):
        request.state.visitor = None
    try:
        session.visitor(request)
        session.csrf(request)
    except Exception:  # noqa: BLE001 - the page of an error must not end in another one
        request.state.visitor = None


def _to_login(request: Request) -> Response:
    wanted = pages.here(request) if request.method == "GET" else "/console"
    partial = "hx-request" in request.headers
    if partial:
        wanted = "/console"
    path = f"{LOGIN}?next={quote(wanted, safe='/')}"
    if partial:
        return Response(None, HTTPStatus.UNAUTHORIZED, {"HX-Redirect": path})
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)
