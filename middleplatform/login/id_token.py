"""What an ID token must be before a word of it is believed.

Of JOSE only this is taken: a compact JWS, an asymmetric signature that the operator lists, by a key that the issuer
publishes for signatures. The token's own header chooses among those keys and nothing more.

Spec: OpenID Connect Core 1.0, section 3.1.3.7; RFC 7515; RFC 8725 (algorithm confusion).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from middleplatform.errors import PolicyError
from middleplatform.login.secret import same

__all__ = ["Expected", "Key", "claims_of", "key_of", "keys_from"]

Key = jwk.RSAKey | jwk.ECKey | jwk.OKPKey

_FRESH = timedelta(minutes=10)
_RSA_BITS_MIN = 2048
_SUBJECT_MAX = 255
_BYTES_MAX = 65_536
_KEYS_MAX = 100
_TIME_MAX = 10**11


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token of one login must say.

    Attributes:
        issuer: Its ``iss``.
        client_id: Its one ``aud``, and its ``azp`` if it has one.
        nonce: Of this login.
        algorithms: One of which signs it.
        skew: By how much the issuer's clock may differ.
    """

    issuer: str
    client_id: str
    nonce: str
    algorithms: Collection[str]
    skew: timedelta


def keys_from(document: Mapping[str, object]) -> tuple[Key, ...]:
    """Return the keys of a JWK set (RFC 7517) that may verify signatures; all others are passed over."""
    listed = document.get("keys")
    found = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    made = (_key(each) for each in found[:_KEYS_MAX] if isinstance(each, Mapping))
    return tuple(each for each in made if each is not None)


def _key(raw: Mapping[str, Any]) -> Key | None:
    """Return a public key for signatures; shared secrets and keys for encryption are none."""
    if raw.get("kty") not in ("RSA", "EC", "OKP") or raw.get("use", "sig") != "sig":
        return None
    try:
        found = jwk.import_key(dict(raw))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(found, jwk.OctKey):
        return None
    short = isinstance(found, jwk.RSAKey) and found.public_key.key_size < _RSA_BITS_MIN
    return None if short else found


def key_of(token: str, keys: Sequence[Key]) -> Key | None:
    """Return the key that the token's header names; the only one where it names none; None for an unknown one.

    Raises:
        PolicyError: P006 the text is no signed token.
    """
    if len(token) > _BYTES_MAX:
        raise PolicyError("P006", detail="the ID token is too long")
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError):
        raise PolicyError("P006", detail="the ID token is no compact JWS") from None
    kid = header.get("kid")
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((each for each in keys if each.get("kid") == kid), None)


def claims_of(token: str, key: Key, expected: Expected, now: datetime) -> Mapping[str, Any]:
    """Return the claims of a token that is signed by ``key``, meant for this login, and fresh.

    Raises:
        PolicyError: P006 for any other; which check failed is for the operator's log.
    """
    try:
        claims = jwt.decode(token, key, algorithms=list(expected.algorithms)).claims
    except (JoseError, ValueError, TypeError) as error:
        raise PolicyError("P006", detail=f"ID token: {type(error).__name__}") from None
    wrong = _wrong(claims, expected, now)
    if wrong:
        raise PolicyError("P006", detail=f"ID token: {wrong} is not what it must be")
    return claims


def _wrong(claims: Mapping[str, Any], expected: Expected, now: datetime) -> str:
    """Return the name of the first claim that is wrong, or nothing."""
    client, moment, skew = expected.client_id, now.timestamp(), expected.skew.total_seconds()
    subject, expires, issued = claims.get("sub"), _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else moment
    nonce = claims.get("nonce")
    checks = (
        ("iss", claims.get("iss") == expected.issuer),
        ("aud", claims.get("aud") in (client, [client])),
        ("azp", claims.get("azp", client) == client),
        ("nonce", isinstance(nonce, str) and same(nonce, expected.nonce)),
        ("sub", isinstance(subject, str) and 0 < len(subject) <= _SUBJECT_MAX),
        ("exp", expires is not None and moment < expires + skew),
        ("iat", issued is not None and -skew <= moment - issued <= _FRESH.total_seconds() + skew),
        ("nbf", begins is not None and begins <= moment + skew),
    )
    return next((name for name, good in checks if not good), "")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _TIME_MAX:
        return None
    return float(value)
