"""Log in with a provider of identities: the authorization code flow with PKCE.

All that one login needs to be recognized by comes from one random secret in the browser's cookie: state, nonce and
PKCE verifier are derived from it (HMAC-SHA-256, a label each). So an answer of the provider only counts in the browser
that asked, and the store holds nothing but a digest, which is taken once.

Spec: docs/spec/login.md; OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9207; RFC 9700.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from middleplatform.errors import PolicyError
from middleplatform.login.id_token import Expected, claims_of
from middleplatform.login.issuer import Issuer
from middleplatform.login.secret import SECRET_FORM, derived, digest, fresh, same
from middleplatform.ports import Clock, Rng
from middleplatform.store import logins
from middleplatform.store.database import Store

__all__ = ["CALLBACK", "FLOW_S", "Oidc", "Started"]

CALLBACK = "/console/login/callback"
"""Path to which the provider sends browsers back; registered with the provider, exactly."""
FLOW_S = 600
"""Seconds within which a login must come back."""
_TEXT_MAX = 4096


@dataclass(frozen=True, slots=True)
class Started:
    """A login that has begun.

    Attributes:
        url: Where the browser goes.
        secret: For its cookie.
    """

    url: str
    secret: str


class Oidc:
    """Logins with one provider.

    Args:
        issuer: The provider.
        address: Of the platform, as browsers reach it, without a path.
        store: Where logins under way are noted.
        clock: Time.
        rng: The operating system's generator.
    """

    def __init__(self, issuer: Issuer, address: str, store: Store, clock: Clock, rng: Rng) -> None:
        self._issuer, self._address = issuer, address
        self._store, self._clock, self._rng = store, clock, rng

    @property
    def issuer(self) -> Issuer:
        """The provider."""
        return self._issuer

    async def start(self) -> Started:
        """Begin a login and say where the browser goes.

        Raises:
            ProtocolError: X008 the provider cannot be used now.
            ConfigError: C015.
        """
        provider, metadata = self._issuer.provider, await self._issuer.metadata()
        secret = fresh(self._rng)
        with self._store.writing() as connection:
            logins.begun(connection, digest(secret), self._clock.now())
        challenge = hashlib.sha256(derived(secret, "pkce").encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self._address + CALLBACK,
            "scope": " ".join(provider.scopes),
            "state": derived(secret, "state"),
            "nonce": derived(secret, "nonce"),
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        glue = "&" if "?" in metadata.authorization_endpoint else "?"
        return Started(metadata.authorization_endpoint + glue + urlencode(asked), secret)

    def is_of(self, secret: str, answer: Mapping[str, str]) -> bool:
        """Return whether an answer belongs to the login of this browser's cookie; others are nobody's attempt."""
        known = SECRET_FORM.fullmatch(secret) is not None
        return known and same(answer.get("state", ""), derived(secret, "state"))

    async def finish(self, secret: str, answer: Mapping[str, str]) -> Mapping[str, object]:
        """Return the verified claims of who logged in.

        Args:
            secret: From the cookie of the browser that came back.
            answer: The query that it came back with, each name once.

        Raises:
            PolicyError: P006 whatever is wrong with it; the same outside for every cause.
            ProtocolError: X008 the provider cannot be used now.
            ConfigError: C015.
        """
        self._take(secret, answer)
        metadata = await self._issuer.metadata()
        said = answer.get("iss")
        if said != self._issuer.provider.issuer and (said is not None or metadata.says_iss):
            raise PolicyError("P006", detail="the answer came from another issuer")
        code = answer.get("code", "")
        if "error" in answer or not 0 < len(code) <= _TEXT_MAX:
            raise PolicyError("P006", detail=f"the provider said {answer.get('error', '')[:100]!r}")
        token = await self._issuer.exchange(code, derived(secret, "pkce"), self._address + CALLBACK)
        provider = self._issuer.provider
        expected = Expected(
            provider.issuer, provider.client_id, derived(secret, "nonce"), provider.algorithms,
            provider.skew,
        )  # fmt: skip
        return claims_of(token, await self._issuer.key(token), expected, self._clock.now())

    async def logout_url(self) -> str:
        """Return where a browser logs out at the provider and comes back from; empty where it has no such place.

        The platform keeps no ID token, so the provider is told which client asks (``client_id``), not who.

        Raises:
            ProtocolError: X008.
        """
        where = (await self._issuer.metadata()).end_session_endpoint
        if not where:
            return ""
        asked = {
            "client_id": self._issuer.provider.client_id,
            "post_logout_redirect_uri": f"{self._address}/console/login",
        }
        return where + ("&" if "?" in where else "?") + urlencode(asked)

    def _take(self, secret: str, answer: Mapping[str, str]) -> None:
        """Take the login under way that a browser came back for; nobody can take it again."""
        if not self.is_of(secret, answer):
            raise PolicyError("P006", detail="the answer belongs to no login of this browser")
        with self._store.writing() as connection:
            began = logins.take_flow(connection, digest(secret))
        now = self._clock.now()
        if began is None or not timedelta() <= now - began <= timedelta(seconds=FLOW_S):
            raise PolicyError("P006", detail="the login was finished before, or took too long")
