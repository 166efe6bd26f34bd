"""A small provider of identities whose answers a test spoils: a real HTTP server on loopback, strict about PKCE."""

import asyncio
import base64
import hashlib
import threading
import time
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from joserfc import jwk, jwt

CLIENT = "middleplatform"


class HandIssuer:
    """The provider. What a test sets on it, the next answers show.

    Attributes:
        claims: Added to, or in place of, those of the ID token; None takes one out.
        document: The same of the discovery document.
        header: Of the ID token.
        key: Signs.
        published: Keys that it publishes.
        calls: Paths that were asked for, in order.
        forms: What came to the token endpoint.
    """

    def __init__(self):
        self.claims, self.document, self.header = {}, {}, {"alg": "RS256"}
        self.key = jwk.RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.published = [self.key.as_dict(private=False)]
        self.calls, self.forms, self._codes = [], [], {}
        self.token = None
        self.url = ""

    def authorize(self, url, *, sub="u-1", **claims):
        """Be the browser at the authorization endpoint: return the query that it comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = hashlib.sha256(f"{asked['state']}{len(self._codes)}".encode()).hexdigest()
        self._codes[code] = (asked, {"sub": sub} | claims)
        return {"code": code, "state": asked["state"], "iss": self.url}

    def signed(self, claims):
        """Return the ID token."""
        if self.token is not None:
            return self.token(claims)
        header = {"kid": self.key.kid} | self.header
        kept = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(kept, claims, self.key, algorithms=[header["alg"]])

    async def _discovery(self, _):
        self.calls.append("discovery")
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "end_session_endpoint": f"{self.url}/end",
            "code_challenge_methods_supported": ["S256"],
        } | self.document
        return web.json_response(
            {name: value for name, value in document.items() if value is not None}
        )

    async def _jwks(self, _):
        self.calls.append("jwks")
        return web.json_response({"keys": self.published})

    async def _token(self, request):
        self.calls.append("token")
        form = dict(await request.post())
        self.forms.append((form, request.headers.get("Authorization")))
        asked, claims = self._codes.pop(form.get("code"), (None, None))
        if asked is None or not _proves(form.get("code_verifier", ""), asked["code_challenge"]):
            return web.json_response({"error": "invalid_grant"}, status=400)
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        whole = {
            "iss": self.url, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": asked["nonce"],
            **claims, **self.claims,
        }  # fmt: skip
        said = {name: value for name, value in whole.items() if value is not None}
        return web.json_response(
            {"id_token": self.signed(said), "access_token": "x", "token_type": "Bearer"}
        )

    async def serve(self, started, stop, tls=None):
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/jwks", self._jwks)
        app.router.add_post("/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()


@contextmanager
def hand_issuer(tls=None):
    """Run one in a thread of its own, over TLS where a server's context is given."""
    issuer, loop, started = HandIssuer(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(issuer.serve(started, stop, tls),)
    )
    thread.start()
    try:
        assert started.wait(10)
        yield issuer
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def comes_back(redirect, answer):
    """Return the address to which the browser is sent."""
    return f"{redirect}?{urlencode(answer)}"


def _proves(verifier, challenge):
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
