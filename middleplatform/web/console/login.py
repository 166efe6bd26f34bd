"""Coming in and going out: with a service token, with the provider of identities, or as the demonstration shows.

Spec: docs/spec/login.md.
"""

import asyncio
import ipaddress
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from middleplatform.access.problems import problem
from middleplatform.errors import LimitError, MiddleplatformError, PolicyError, QueryError
from middleplatform.login.configured import LOOPBACK
from middleplatform.login.entrance import Came
from middleplatform.login.oidc import CALLBACK, FLOW_S, Oidc
from middleplatform.login.opened import Login
from middleplatform.web import cookies, csrf
from middleplatform.web.console import forms, pages, session
from middleplatform.web.limits import address_of
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = ["register"]

_PAGE = "/console/login"
_FLOW = "login"
_NEXT = "next"
_SHOWN = ("P004", "P006", "Q040", "L007", "L008", "X008")
"""Refusals that the login page itself tells."""


def register(app: FastAPI) -> None:
    """Add the pages of coming in and going out."""
    pages.add(app, "GET", _PAGE, _show, None)
    pages.add(app, "POST", _PAGE, _enter, None)
    pages.add(app, "GET", f"{_PAGE}/oidc", _go, None)
    pages.add(app, "GET", CALLBACK, _back, None)
    pages.add(app, "POST", "/console/logout", _leave, None)
    pages.add(app, "GET", "/console/logout/provider", _leave_provider, None)


def _show(request: Request) -> Response:
    if session.visitor(request) is not None:
        return pages.redirect(request, pages.back(request))
    return _page(request)


def _page(request: Request, error: MiddleplatformError | None = None) -> Response:
    """Return the login page, with what went wrong."""
    login = _login(request)
    provider = login.config.provider
    secret, token = csrf.visitor_token(request)
    told = None if error is None else problem(error, pages.locale(request))
    made = pages.render(
        request,
        "login/login.html",
        status=HTTPStatus.OK if error is None else status_of(error),
        visit=token,
        wanted=pages.back(request),
        provider=None if provider is None else provider.name,
        demo=login.demo is not None,
        safe=_safe(request),
        problem=told,
    )
    if isinstance(error, LimitError):
        made.headers["Retry-After"] = str(error.parts["seconds"])
    csrf.keep_visitor(request, made, secret)
    return made


def _enter(request: Request) -> Response:
    """Let somebody in with a token or a code of the demonstration."""
    form, entrance = forms.form_of(request), _login(request).entrance
    try:
        csrf.check_visitor(request, form.one(csrf.FIELD))
        _check_safe(request)
        code, token = form.one("code"), form.one("token")
        came = _came(request)
        secret = entrance.by_code(code, came) if code else entrance.by_token(token, came)
    except MiddleplatformError as error:
        return _told(request, error)
    return _in(request, secret, pages.back(request))


async def _go(request: Request) -> Response:
    """Send the browser to the provider of identities."""
    try:
        _check_safe(request)
        started = await _oidc(request).start()
    except MiddleplatformError as error:
        return _told(request, error)
    made = RedirectResponse(started.url, HTTPStatus.SEE_OTHER)
    cookies.give(request, made, _FLOW, started.secret, FLOW_S)
    cookies.give(request, made, _NEXT, pages.back(request), FLOW_S)
    return made


async def _back(request: Request) -> Response:
    """Take up what the provider of identities answered.

    What belongs to no login of this browser changes nothing: another site may have sent the browser here.
    """
    flow, wanted = cookies.read(request, _FLOW), _wanted(request)
    try:
        _check_safe(request)
        answer = _said_once(request)
        _check_own(request, flow, answer)
    except MiddleplatformError as error:
        return _told(request, error)
    try:
        secret = await _answered(request, flow, answer)
    except MiddleplatformError as error:
        made = _told(request, error)
    else:
        made = _in(request, secret, wanted)
    for name in (_FLOW, _NEXT):
        cookies.forget(request, made, name)
    return made


def _check_own(request: Request, flow: str, answer: dict[str, str]) -> None:
    if not _oidc(request).is_of(flow, answer):
        raise PolicyError("P006", detail="the answer belongs to no login of this browser")


async def _answered(request: Request, flow: str, answer: dict[str, str]) -> str:
    """Judge the provider's answer and begin a session."""
    login, oidc, came = _login(request), _oidc(request), _came(request)
    entrance, issuer, rules = login.entrance, oidc.issuer.provider.issuer, login.config.claims
    assert rules is not None
    attempt = await asyncio.to_thread(entrance.waits, flow, came)
    try:
        claims = await oidc.finish(flow, answer)
        return await asyncio.to_thread(entrance.by_claims, claims, rules, issuer, came, attempt)
    except (PolicyError, QueryError):
        await asyncio.to_thread(entrance.refused, attempt, came, issuer)
        raise


def _said_once(request: Request) -> dict[str, str]:
    """Return the query by name.

    Raises:
        PolicyError: P006 it says something twice: two readers could read it differently.
    """
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) != len(pairs):
        raise PolicyError("P006", detail="the answer says something twice")
    return dict(pairs)


def _leave(request: Request) -> Response:
    """End the session."""
    was = session.secret_of(request)
    made = RedirectResponse(_PAGE + "?" + urlencode({"out": "1"}), HTTPStatus.SEE_OTHER)
    session.forget(request, made)
    if was:
        _login(request).entrance.leave(was)
    return made


async def _leave_provider(request: Request) -> Response:
    """Send the browser to where it logs out at the provider of identities, if a page of ours asks.

    A link and no form, whose redirection to another host our own content security policy would stop: so the link bears
    the token that a form would.
    """
    try:
        csrf.check_visitor(request, request.query_params.get(csrf.FIELD, ""))
        where = await _oidc(request).logout_url()
    except MiddleplatformError as error:
        return _told(request, error)
    return RedirectResponse(where or _PAGE, HTTPStatus.SEE_OTHER)


def _in(request: Request, secret: str, path: str) -> Response:
    made = RedirectResponse(path, HTTPStatus.SEE_OTHER)
    bounds = _login(request).config.bounds
    session.hand_out(request, made, secret, int(bounds.absolute.total_seconds()))
    return made


def _told(request: Request, error: MiddleplatformError) -> Response:
    """Return the login page with what went wrong, where that is a matter of the login; else let it go on."""
    if error.code not in _SHOWN:
        raise error
    request.app.state.operator_log.detail(error)
    return _page(request, error)


def _wanted(request: Request) -> str:
    """Return the page that was wanted before the browser went away, checked like any other wish."""
    query = urlencode({"next": cookies.read(request, _NEXT)}).encode()
    return pages.back(Request({**request.scope, "query_string": query}))


def _safe(request: Request) -> bool:
    """Return whether a session may begin: over HTTPS, or between this machine and itself."""
    if request.url.scheme == "https":
        return True
    if services_of(request).settings.host not in LOOPBACK or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _check_safe(request: Request) -> None:
    if not _safe(request):
        what = ("log in over HTTPS", "请通过 HTTPS 登录")
        raise PolicyError("P004", what=what)


def _came(request: Request) -> Came:
    return Came(address_of(request), session.secret_of(request))


def _login(request: Request) -> Login:
    return services_of(request).logins


def _oidc(request: Request) -> Oidc:
    found = _login(request).oidc
    if found is None:
        raise QueryError("Q041", what=("provider of identities", "身份提供方"))
    return found
