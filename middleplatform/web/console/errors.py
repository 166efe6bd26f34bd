"""Errors as pages: what happened, what to do next, and never more than a problem document says."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from middleplatform.access.problems import problem
from middleplatform.errors import MiddleplatformError
from middleplatform.web.console import pages, session

__all__ = ["LOGIN", "error_page"]

LOGIN = "/console/login"


def error_page(request: Request, error: MiddleplatformError, status: int) -> Response:
    """Return the page of ``error``; the way to the login where nobody is logged in."""
    if error.code == "P005" and request.url.path != LOGIN:
        return _to_login(request)
    _settle(request)
    value = problem(error, pages.locale(request), status=status)
    name = "problem.html" if "hx-request" in request.headers else "error.html"
    return pages.render(request, name, status=status, problem=value)


def _settle(request: Request) -> None:
    """Show the page as to a stranger where what failed is the very knowledge of who is logged in."""
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
