"""Cookies that carry secrets: for this host alone, over HTTPS alone, unseen by scripts.

Over HTTPS the name begins with ``__Host-``, which browsers keep to (RFC 6265bis, section 4.1.3.2): nobody but this very
host can set one. Over plain HTTP, which is for the loopback address only, the name is plain.
"""

from fastapi import Request, Response

__all__ = ["forget", "give", "read"]


def read(request: Request, name: str) -> str:
    """Return what the browser sent; empty without one."""
    return request.cookies.get(_named(request, name), "")


def give(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Have the browser keep ``value`` for so many seconds."""
    response.set_cookie(
        _named(request, name), value, max_age=seconds, path="/", httponly=True,
        secure=_secure(request), samesite="lax",
    )  # fmt: skip


def forget(request: Request, response: Response, name: str) -> None:
    """Have the browser forget it."""
    response.delete_cookie(
        _named(request, name), path="/", httponly=True, secure=_secure(request), samesite="lax"
    )


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _named(request: Request, name: str) -> str:
    return f"__Host-{name}" if _secure(request) else name
