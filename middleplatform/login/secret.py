"""Random secrets of browsers, what is kept of them, and what is derived from them.

A secret is 256 random bits; kept is its SHA-256, to which with so many bits a salt or a slow hash would add nothing.
What is derived (HMAC-SHA-256, a label for each use) needs no place of its own and tells nothing about the secret.
"""

import base64
import hashlib
import hmac
import re

from middleplatform.ports import Rng

__all__ = ["SECRET_FORM", "derived", "digest", "fresh", "same"]

SECRET_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
_BYTES = 32


def fresh(rng: Rng) -> str:
    """Return a new secret: 32 random bytes as 43 characters of base64url."""
    return _text(rng.token_bytes(_BYTES))


def digest(secret: str) -> str:
    """Return what is kept of ``secret``: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def derived(secret: str, label: str) -> str:
    """Return what ``secret`` gives for the use ``label``: 43 characters of base64url."""
    key = secret.encode("utf-8", "surrogatepass")
    message = f"middleplatform/login/v1/{label}".encode()
    return _text(hmac.digest(key, message, "sha256"))


def same(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
