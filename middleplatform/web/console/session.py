"""Who is logged in: the person behind the console's cookie, and what a page may ask of it.

Pages do not call this module themselves: ``pages.add`` guards them with it. ``person`` is for pages that show
something else to somebody who is logged in.

Spec: docs/adr/0042-console.md.
"""

from typing import Protocol

from fastapi import Request, Response

from middleplatform.errors import PolicyError
from middleplatform.model.request import Role, Subject
from middleplatform.web import cookies

__all__ = [
    "Sessions",
    "csrf",
    "forget",
    "hand_out",
    "person",
    "require",
    "secret_of",
    "visitor",
]

_COOKIE = "session"


class Sessions(Protocol):
    """What knows the sessions of people."""

    def subject(self, secret: str) -> Subject | None:
        """Return whose session ``secret`` is, or None when there is none any more."""
        ...

    def csrf(self, secret: str) -> str:
        """Return the token that every form of the session of ``secret`` carries."""
        ...

    def end(self, secret: str) -> None:
        """End the session of ``secret``."""
        ...


def hand_out(request: Request, response: Response, secret: str, seconds: int) -> None:
    """Give the browser the secret of a session that has begun.

    Args:
        request: That began it.
        response: That will carry it.
        secret: What ``Sessions`` gave; no script can read it.
        seconds: For which the browser keeps it.
    """
    cookies.give(request, response, _COOKIE, secret, seconds)


def forget(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    cookies.forget(request, response, _COOKIE)


def secret_of(request: Request) -> str:
    """Return the session's secret as the browser sent it; empty without one."""
    return cookies.read(request, _COOKIE)


def visitor(request: Request) -> Subject | None:
    """Return who is logged in, or None; looked up once a request."""
    if not hasattr(request.state, "visitor"):
        sessions, secret = _sessions(request), secret_of(request)
        found = sessions.subject(secret) if sessions is not None and secret else None
        request.state.visitor = found
    subject: Subject | None = request.state.visitor
    return subject


def person(request: Request) -> Subject:
    """Return who is logged in.

    Raises:
        PolicyError: P005 when nobody is; the console answers it with the way to the login.
    """
    found = visitor(request)
    if found is None:
        raise PolicyError("P005")
    return found


def require(request: Request, *roles: Role) -> Subject:
    """Return who is logged in and has one of ``roles``.

    Raises:
        PolicyError: P005 when nobody is logged in, P004 for want of a role.
    """
    subject = person(request)
    if not subject.roles & set(roles):
        names = ", ".join(sorted(roles))
        raise PolicyError("P004", what=(f"it needs the role {names}", f"需要角色 {names}"))
    return subject


def csrf(request: Request) -> str:
    """Return the token for the forms of this session; empty where nobody is logged in."""
    sessions = _sessions(request)
    if sessions is None or visitor(request) is None:
        return ""
    return sessions.csrf(secret_of(request))


def _sessions(request: Request) -> Sessions | None:
    services = getattr(request.app.state, "services", None)
    sessions: Sessions | None = getattr(services, "sessions", None)
    return sessions
