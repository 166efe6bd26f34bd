"""Asks a gateway over REST with a service token; the standard library's HTTP, nothing else.

Usage::

    client = Client("https://gateway.example:8809", token)
    answer = client.ask("SELECT ...", "statistics", sealed_for=key.public.key_id)
    opened = open_answer(answer, key, client.parties(), OpenedBook(path))
    late = list(client.listed("/v1/applications", "applications", overdue=True))
"""

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.errors import QueryError, SourceError

__all__ = ["Client", "Refused"]

_ANSWER_BYTES_MAX = 1 << 30
_EVENT_BYTES_MAX = 1 << 20
_WAIT_S = 30


class Refused(Exception):  # noqa: N818 - what it is
    """The gateway's problem document.

    Attributes:
        problem: RFC 9457, as it came.
        code: Its error code.
    """

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.problem, self.code = problem, str(problem.get("code"))


class Client:
    """One gateway and one token.

    Args:
        address: ``https://host:port``; plain ``http`` for this machine only.
        token: Service token; kept in memory.
        timeout_s: Seconds for one call.
        locale: Language of refusals: ``en`` or ``zh``.
        context: Of TLS; the system's authorities unless given.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout_s: float = 60,
        locale: str = "en",
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(address)
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if (
            not parts.hostname
            or parts.scheme not in ("https", "http")
            or (parts.scheme == "http" and not local)
        ):
            what = ("an address is https://host:port", "地址格式为 https://主机:端口")
            raise QueryError("Q040", what=what)
        self._parts, self._token, self._timeout_s = parts, token, timeout_s
        self._context, self._locale = context, locale

    def ask(
        self,
        sql: str,
        purpose: str,
        *,
        project: str = "",
        recipient: str = "",
        strict: bool = False,
        sealed_for: str = "",
        noise: str = "",
    ) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Args:
            sql: The statement.
            purpose: Its code.
            project: Where it belongs.
            recipient: Department that receives the answer.
            strict: Refuse instead of rewriting.
            sealed_for: Id of a published key.
            noise: Differential privacy: rho as a fraction ("1/50"), or "policy".

        Returns:
            The answer document (docs/reference/rest.md). With ``noise``, ``intervals`` has half the width of each
            value's 95 % interval, in the shape of ``rows``; None where none can be told.

        Raises:
            Refused: The gateway's problem document.
            SourceError: S001 it cannot be reached.
        """
        asked = {
            "sql": sql, "purpose": purpose, "project": project, "recipient": recipient, "strict": strict,
            "sealed_for": sealed_for, "noise": noise,
        }  # fmt: skip
        found = self._call("POST", f"/v1/queries?wait={_WAIT_S}", asked)
        while found.get("status") in ("queued", "running"):
            found = self._call("GET", f"/v1/queries/{found['id']}/result?wait={_WAIT_S}")
        return found

    def begin(self, sql: str, purpose: str, **more: object) -> str:
        """Ask without waiting, and return the question's id.

        Args:
            sql: The statement.
            purpose: Its code.
            more: As the named arguments of ``ask``.

        Raises:
            Refused: As ``ask``.
        """
        return str(
            self._call("POST", "/v1/queries", {"sql": sql, "purpose": purpose, **more})["id"]
        )

    def events(self, query_id: str) -> Iterator[dict[str, Any]]:
        """Yield how far a question is, as it changes, until it has ended or for ten minutes.

        Raises:
            Refused: There is no such question of yours, or too many are watched.
            SourceError: S001 the gateway cannot be reached, or went away.
        """
        connection = self._connection()
        try:
            answer = self._sent(connection, "GET", f"/v1/queries/{quote(query_id, '')}/events")
            if answer.status >= 400:  # noqa: PLR2004 - HTTP
                raise Refused(_read(answer.read(_ANSWER_BYTES_MAX)))
            while line := answer.readline(_EVENT_BYTES_MAX):
                if line.startswith(b"data:"):
                    yield _read(line.removeprefix(b"data:"))
        except (OSError, HTTPException) as error:
            raise SourceError("S001", department="gateway", detail=str(error)) from None
        finally:
            connection.close()

    def cancel(self, query_id: str) -> dict[str, Any]:
        """End a question that waits or is at work; return its status."""
        return self._call("DELETE", f"/v1/queries/{quote(query_id, '')}")

    def me(self) -> dict[str, Any]:
        """Return who the token says you are."""
        return self._call("GET", "/v1/me")

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Read any endpoint of docs/reference/rest.md, e.g. ``get("/v1/policy/diff", old=1, new=2)``.

        Raises:
            Refused: As ``ask``.
        """
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path)

    def act(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Do an act, e.g. ``act("/v1/applications/GX7/answer", {"grant": "all"})``.

        Raises:
            Refused: As ``ask``.
        """
        return self._call("POST", path, body)

    def listed(self, path: str, field: str, **query: object) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page, e.g. ``listed("/v1/applications", "applications")``.

        Args:
            path: Of the list.
            field: In which a page has its items.
            query: Filters, and ``limit``.

        Raises:
            Refused: As ``ask``.
        """
        after: int | None = 0
        while after is not None:
            page = self.get(path, **query, after=after)
            yield from page[field]
            after = page["next"]

    def budget(self, project: str = "") -> dict[str, Any]:
        """Return what may still be spent on differentially private answers (docs/reference/rest.md).

        Args:
            project: The department's own unless named.

        Raises:
            Refused: As ``ask``.
        """
        found: dict[str, Any] = {"budgets": [], "missing": {}}
        after: int | None = 0
        while after is not None:
            page = self.get("/v1/budget", project=project, after=after)
            found["budgets"] += page["budgets"]
            found["missing"] |= {each["department"]: each for each in page["missing"]}
            after = page["next"]
        return {**page, **found, "missing": [*found["missing"].values()]}

    def publish(self, key: OpeningKey, replaces: str = "") -> dict[str, Any]:
        """Publish the public half of a key with its proof.

        Args:
            key: The whole key; its private half stays here.
            replaces: Id of an own key that it takes the place of.

        Raises:
            Refused: As ``ask``.
        """
        document = base64.b64encode(key.public.to_bytes()).decode()
        proof = base64.b64encode(key.prove().to_bytes()).decode()
        return self.publish_document(document, proof, replaces)

    def publish_document(self, key: str, proof: str, replaces: str = "") -> dict[str, Any]:
        """Publish a key from its two base64 texts, as ``keys new`` wrote them."""
        return self._call("POST", "/v1/keys", {"key": key, "proof": proof, "replaces": replaces})

    def keys(self) -> dict[str, Any]:
        """Return the published keys and the parties' identity keys (docs/reference/rest.md)."""
        return self._call("GET", "/v1/keys")

    def revoke(self, key_id: str, reason: str = "") -> dict[str, Any]:
        """Withdraw a key from sealing."""
        return self._call("POST", f"/v1/keys/{key_id}/revoke", {"reason": reason})

    def parties(self) -> PinnedKeys:
        """Return the identity keys of gateway and departments, as the gateway tells them.

        Keep them: an answer is checked against what was known when the key was published.
        """
        told = self.keys()["parties"]
        return PinnedKeys({str(name): bytes.fromhex(key) for name, key in told.items()})

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = self._connection()
        try:
            answer = self._sent(connection, method, path, body)
            content = answer.read(_ANSWER_BYTES_MAX)
        except (OSError, HTTPException) as error:
            raise SourceError("S001", department="gateway", detail=str(error)) from None
        finally:
            connection.close()
        found = _read(content)
        if answer.status >= 400:  # noqa: PLR2004 - HTTP
            raise Refused(found)
        return found

    def _sent(
        self, connection: HTTPConnection, method: str, path: str, body: object = None
    ) -> HTTPResponse:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "Accept-Language": self._locale,
        }
        raw = None if body is None else json.dumps(body).encode()
        if raw is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, self._parts.path.rstrip("/") + path, raw, headers)
        return connection.getresponse()

    def _connection(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return HTTPConnection(host, port, timeout=self._timeout_s)
        return HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context)


def _read(content: bytes) -> dict[str, Any]:
    """Return the JSON object that a gateway sent.

    Raises:
        SourceError: S001 it is none.
    """
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError, RecursionError):
        raise SourceError("S001", department="gateway", detail="no JSON") from None
