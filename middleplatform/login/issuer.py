"""The provider of identities as a server: its published metadata and keys, and its answer to a code.

Everything comes from the configured issuer, over TLS with its certificate checked, without redirections. What it
publishes is kept for an hour; a key that is not known is looked for anew, at most once a minute.

Spec: OpenID Connect Discovery 1.0, sections 3 and 4; RFC 6749, section 4.1.3; RFC 7636; RFC 9700, section 2.1.
"""

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote_plus, urlsplit

import aiohttp

from middleplatform.errors import ConfigError, PolicyError, ProtocolError
from middleplatform.login.configured import LOOPBACK, Provider
from middleplatform.login.id_token import Key, key_of, keys_from
from middleplatform.ports import Clock

__all__ = ["Issuer", "Metadata"]

_KEPT = timedelta(hours=1)
_KEYS_AGAIN = timedelta(minutes=1)
_SECONDS_MAX = 10
_DOWN = timedelta(seconds=5)
_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer publishes about itself.

    Attributes:
        authorization_endpoint: Where browsers log in.
        token_endpoint: Where a code is exchanged.
        jwks_uri: Where its keys are.
        end_session_endpoint: Where browsers log out; empty where it has none.
        secret_in_body: It takes the client's secret in the body only.
        says_iss: Its answers to browsers name it (RFC 9207).
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str
    secret_in_body: bool
    says_iss: bool


class Issuer:
    """One provider of identities.

    Args:
        provider: What the operator said of it.
        clock: Time.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self.provider, self._clock = provider, clock
        self._lock = asyncio.Lock()
        self._metadata: tuple[Metadata, datetime] | None = None
        self._keys: tuple[tuple[Key, ...], datetime] | None = None
        self._down_at: datetime | None = None
        try:
            self._tls = ssl.create_default_context(cafile=provider.ca_file)
        except (OSError, ssl.SSLError):
            what = (f"{provider.ca_file} cannot be read", f"无法读取 {provider.ca_file}")
            raise ConfigError("C003", what=what) from None

    async def metadata(self) -> Metadata:
        """Return what the issuer publishes, as it was within the last hour.

        Raises:
            ProtocolError: X008 it cannot be reached, or what it says is not usable.
        """
        async with self._lock:
            return await self._metadata_now()

    async def key(self, token: str) -> Key:
        """Return the issuer's key that ``token`` names; an unknown one is looked for once more.

        Raises:
            PolicyError: P006 the issuer has no such key.
            ProtocolError: X008.
        """
        async with self._lock:
            keys, at = await self._keys_since(_KEPT)
            found = key_of(token, keys)
            if found is None and self._clock.now() - at >= _KEYS_AGAIN:
                keys, at = await self._keys_since(timedelta())
                found = key_of(token, keys)
        if found is None:
            raise PolicyError("P006", detail="the ID token names a key that the issuer has not")
        return found

    async def exchange(self, code: str, verifier: str, redirect: str) -> str:
        """Return the ID token for a code.

        Raises:
            PolicyError: P006 the issuer does not take the code.
            ProtocolError: X008.
        """
        metadata = await self.metadata()
        fields = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect,
            "code_verifier": verifier,
        }  # fmt: skip
        headers = {"Accept": "application/json"}
        client, secret = self.provider.client_id, self.provider.client_secret
        if secret and not metadata.secret_in_body:
            pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = "Basic " + b64encode(pair).decode()
        else:
            fields |= {"client_id": client} | ({"client_secret": secret} if secret else {})
        status, answer = await self._call("POST", metadata.token_endpoint, headers, fields)
        token = answer.get("id_token")
        if status == 200 and isinstance(token, str):  # noqa: PLR2004 - HTTP
            return token
        said = str(answer.get("error", "no ID token"))[:100]
        raise PolicyError("P006", detail=f"the token endpoint answered {status}: {said!r}")

    async def _metadata_now(self) -> Metadata:
        now = self._clock.now()
        if self._metadata is None or not timedelta() <= now - self._metadata[1] < _KEPT:
            if self._down_at is not None and timedelta() <= now - self._down_at < _DOWN:
                raise ProtocolError(
                    "X008", detail="not reached a moment ago"
                )  # nobody queues for it
            where = self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
            try:
                self._metadata = (self._read(await self._get(where)), now)
            except ProtocolError:
                self._down_at = self._clock.now()
                raise
        return self._metadata[0]

    async def _keys_since(self, kept: timedelta) -> tuple[tuple[Key, ...], datetime]:
        now = self._clock.now()
        if self._keys is None or not timedelta() <= now - self._keys[1] < kept:
            where = (await self._metadata_now()).jwks_uri
            self._keys = (keys_from(await self._get(where)), now)
        return self._keys

    async def _get(self, where: str) -> Mapping[str, object]:
        status, answer = await self._call("GET", where, {"Accept": "application/json"}, None)
        if status != 200:  # noqa: PLR2004 - HTTP
            raise ProtocolError("X008", detail=f"{where} answered {status}")
        return answer

    async def _call(
        self, method: str, where: str, headers: Mapping[str, str], fields: dict[str, str] | None
    ) -> tuple[int, Mapping[str, object]]:
        """Call the provider and return status and JSON object."""
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX),
                    cookie_jar=aiohttp.DummyCookieJar(),
                ) as session,
                session.request(
                    method, where, headers=headers, data=fields, ssl=self._tls,
                    allow_redirects=False,
                ) as response,
            ):  # fmt: skip
                body = await response.content.read(_BYTES_MAX + 1)
                while len(body) <= _BYTES_MAX and (more := await response.content.read(_BYTES_MAX)):
                    body += more
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProtocolError("X008", detail=f"{where}: {type(error).__name__}") from None
        try:
            answer = json.loads(body) if len(body) <= _BYTES_MAX else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ProtocolError("X008", detail=f"{where} answered {status} without a JSON object")
        return status, answer

    def _read(self, document: Mapping[str, object]) -> Metadata:
        """Return the metadata that a discovery document says.

        Raises:
            ProtocolError: X008 it speaks for another issuer, lacks an endpoint, or knows no S256.
        """
        if document.get("issuer") != self.provider.issuer:
            raise ProtocolError("X008", detail="the discovery document names another issuer")
        required = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        places = {name: self._place(document, name) for name in required}
        end = "end_session_endpoint"
        methods = document.get("code_challenge_methods_supported")
        if isinstance(methods, list) and "S256" not in methods:
            raise ProtocolError("X008", detail="the issuer does not know PKCE with S256")
        ways = document.get("token_endpoint_auth_methods_supported")
        return Metadata(
            **places,
            end_session_endpoint=self._place(document, end) if document.get(end) else "",
            secret_in_body=isinstance(ways, list) and "client_secret_basic" not in ways,
            says_iss=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _place(self, document: Mapping[str, object], name: str) -> str:
        """Return an endpoint's address: https; plain http only where issuer and endpoint are on this machine."""
        value = document.get(name)
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        local = parts.scheme == "http" and parts.hostname in LOOPBACK
        plain = local and self.provider.issuer.startswith("http://")
        if not isinstance(value, str) or not parts.hostname or parts.fragment:
            raise ProtocolError("X008", detail=f"the discovery document has no usable {name}")
        if parts.scheme != "https" and not plain:
            raise ProtocolError("X008", detail=f"{name} is not an https address")
        return value
