"""Whether a form comes from a page of ours: by the browser's own word, and by a token that the page carried.

Somebody logged in has a token of the session (``Sessions.csrf``). Whoever is not logged in yet gets one of a random
cookie, so that no other site can log a visitor in under a login of its own choosing.

Spec: docs/spec/login.md, "Forms"; Fetch Metadata (W3C); RFC 6454.
"""

from urllib.parse import urlsplit

from fastapi import Request, Response

from middleplatform.access.system import SystemRng
from middleplatform.errors import PolicyError
from middleplatform.login.secret import SECRET_FORM, derived, fresh, same
from middleplatform.web import cookies

__all__ = ["FIELD", "check_visitor", "from_here", "keep_visitor", "refusal", "visitor_token"]

FIELD = "visit"
_COOKIE = "visit"
_KEPT_S = 3600


def from_here(request: Request) -> bool:
    """Return whether the browser says that a page of this host sent the request; true where it says nothing at all.

    ``Sec-Fetch-Site`` is decisive where there is one, else ``Origin``; every browser sends the latter with a form.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # no address at all
        return False


def refusal() -> PolicyError:
    """Return what is said of a form that is not ours."""
    what = (
        "the form was not sent from a page of this session; open the page again",
        "表单并非来自本次会话的页面，请重新打开页面",
    )
    return PolicyError("P004", what=what)


def visitor_token(request: Request) -> tuple[str, str]:
    """Return the cookie's secret of somebody not logged in, a new one where there is none, and its token for a form."""
    secret = cookies.read(request, _COOKIE)
    if not SECRET_FORM.fullmatch(secret):
        secret = fresh(SystemRng())
    return secret, derived(secret, "visit")


def keep_visitor(request: Request, response: Response, secret: str) -> None:
    """Give the browser the cookie."""
    cookies.give(request, response, _COOKIE, secret, _KEPT_S)


def check_visitor(request: Request, given: str) -> None:
    """Refuse a form that somebody not logged in did not send from a page of ours.

    Raises:
        PolicyError: P004.
    """
    secret = cookies.read(request, _COOKIE)
    right = bool(SECRET_FORM.fullmatch(secret)) and same(derived(secret, "visit"), given)
    if not (from_here(request) and right):
        raise refusal()
