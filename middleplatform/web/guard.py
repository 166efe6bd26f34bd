"""Who may call what: one table, applied to every route before anything of the request is read.

A route that the table does not list cannot be registered: forgetting fails at start, closed.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from fastapi import Request, Response
from fastapi.routing import APIRoute

from middleplatform.access.roles import check_role
from middleplatform.errors import PolicyError
from middleplatform.model.request import Role, Subject
from middleplatform.web.places import Places

__all__ = ["ENDPOINTS", "GuardedRoute", "Tokens", "still_entitled", "subject_of"]

_ASKERS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU})
_ALL = frozenset(Role)
_OFFICER = frozenset({Role.SECURITY_OFFICER})
_STEWARD = frozenset({Role.DEPARTMENT_STEWARD})
_BUREAU = frozenset({Role.DATA_BUREAU})
_GOVERNING = _OFFICER | _STEWARD | _BUREAU | {Role.AUDITOR}
_WATCHING = _GOVERNING - _STEWARD
_APPLYING = frozenset({Role.ANALYST}) | _STEWARD
_CONCERNED = _GOVERNING | {Role.ANALYST}
_ADMINISTRATOR = frozenset({Role.SYSTEM_ADMINISTRATOR})

ENDPOINTS: Mapping[tuple[str, str], frozenset[Role] | None] = {
    ("POST", "/v1/queries"): _ASKERS,
    ("GET", "/v1/queries/{query_id}"): _ASKERS,
    ("DELETE", "/v1/queries/{query_id}"): _ASKERS,
    ("GET", "/v1/queries/{query_id}/result"): _ASKERS,
    ("GET", "/v1/queries/{query_id}/events"): _ASKERS,
    ("POST", "/v1/explain"): _ASKERS,
    ("GET", "/v1/budget"): _ASKERS,
    ("POST", "/v1/keys"): _ASKERS,
    ("GET", "/v1/keys"): _ALL,
    ("POST", "/v1/keys/{key_id}/revoke"): _ASKERS | {Role.SECURITY_OFFICER},
    ("GET", "/v1/catalog"): _ALL,
    ("GET", "/v1/catalog/{dataset}"): _ALL,
    ("GET", "/v1/audit/checkpoint"): _ALL,
    ("GET", "/v1/audit/proof/{index}"): _ALL,
    ("GET", "/v1/audit/consistency"): _ALL,
    ("GET", "/v1/audit/entries"): frozenset({Role.AUDITOR}),
    ("GET", "/v1/me"): _ALL,
    ("GET", "/v1/templates"): _ASKERS,
    ("GET", "/v1/policy"): _ALL,
    ("GET", "/v1/policy/versions"): _GOVERNING,
    ("GET", "/v1/policy/versions/{version}"): _GOVERNING,
    ("GET", "/v1/policy/versions/{version}/files"): _GOVERNING,
    ("POST", "/v1/policy/versions/{version}/restore"): _OFFICER,
    ("GET", "/v1/policy/diff"): _GOVERNING,
    ("GET", "/v1/policy/proposals"): _GOVERNING,
    ("POST", "/v1/policy/proposals"): _OFFICER,
    ("GET", "/v1/policy/proposals/{proposal}"): _GOVERNING,
    ("GET", "/v1/policy/proposals/{proposal}/files"): _GOVERNING,
    ("POST", "/v1/policy/proposals/{proposal}/approve"): _OFFICER | _STEWARD,
    ("POST", "/v1/policy/proposals/{proposal}/reject"): _OFFICER | _STEWARD,
    ("POST", "/v1/policy/proposals/{proposal}/withdraw"): _OFFICER,
    ("POST", "/v1/policy/proposals/{proposal}/publish"): _OFFICER,
    ("POST", "/v1/policy/simulations"): _OFFICER,
    ("GET", "/v1/policy/simulations/{simulation}"): _OFFICER,
    ("DELETE", "/v1/policy/simulations/{simulation}"): _OFFICER,
    ("GET", "/v1/applications"): _CONCERNED,
    ("POST", "/v1/applications"): _APPLYING,
    ("GET", "/v1/applications/{number}"): _CONCERNED,
    ("GET", "/v1/applications/{number}/history"): _CONCERNED,
    ("POST", "/v1/applications/{number}/complete"): _STEWARD,
    ("POST", "/v1/applications/{number}/sign"): _STEWARD,
    ("POST", "/v1/applications/{number}/return"): _BUREAU,
    ("POST", "/v1/applications/{number}/accept"): _BUREAU,
    ("POST", "/v1/applications/{number}/extend"): _STEWARD,
    ("POST", "/v1/applications/{number}/consent"): _BUREAU,
    ("POST", "/v1/applications/{number}/answer"): _STEWARD,
    ("POST", "/v1/applications/{number}/deliver"): _STEWARD,
    ("POST", "/v1/applications/{number}/approve"): _OFFICER | _STEWARD,
    ("POST", "/v1/applications/{number}/suspend"): _STEWARD | _BUREAU | _OFFICER,
    ("POST", "/v1/applications/{number}/resume"): _STEWARD | _BUREAU | _OFFICER,
    ("POST", "/v1/applications/{number}/withdraw"): _APPLYING | _BUREAU,
    ("POST", "/v1/applications/{number}/object"): _APPLYING,
    ("POST", "/v1/applications/{number}/escalate"): _APPLYING | _BUREAU,
    ("POST", "/v1/applications/{number}/settle"): _APPLYING | _BUREAU,
    ("POST", "/v1/applications/{number}/review"): _BUREAU,
    ("GET", "/v1/freezes"): _ALL,
    ("POST", "/v1/freezes"): _OFFICER | _BUREAU | _STEWARD,
    ("GET", "/v1/freezes/{freeze}"): _ALL,
    ("POST", "/v1/freezes/{freeze}/end"): _OFFICER | _BUREAU | _STEWARD,
    ("GET", "/v1/alerts"): _OFFICER | {Role.AUDITOR},
    ("GET", "/v1/releases"): _WATCHING,
    ("POST", "/v1/releases/{index}/note"): _APPLYING,
    ("GET", "/v1/usage"): _GOVERNING,
    ("GET", "/v1/receipts"): _ASKERS,
    ("GET", "/v1/figures"): _GOVERNING,
    ("GET", "/v1/findings"): _GOVERNING,
    ("GET", "/v1/inspection"): frozenset({Role.AUDITOR}),
    ("GET", "/v1/assets"): _ALL,
    ("GET", "/v1/decisions/{decision}"): _CONCERNED,
    ("GET", "/v1/transparency"): None,
    ("GET", "/v1/tickets"): _CONCERNED,
    ("POST", "/v1/tickets"): _APPLYING,
    ("GET", "/v1/tickets/{ticket}"): _CONCERNED,
    ("POST", "/v1/tickets/{ticket}/take"): _STEWARD,
    ("POST", "/v1/tickets/{ticket}/extend"): _BUREAU,
    ("POST", "/v1/tickets/{ticket}/answer"): _STEWARD,
    ("POST", "/v1/tickets/{ticket}/reopen"): _APPLYING,
    ("POST", "/v1/tickets/{ticket}/close"): _APPLYING | _BUREAU,
    ("POST", "/v1/tickets/{ticket}/withdraw"): _APPLYING,
    ("GET", "/v1/saved"): _ASKERS,
    ("POST", "/v1/saved"): _ASKERS,
    ("GET", "/v1/saved/{question}"): _ASKERS,
    ("DELETE", "/v1/saved/{question}"): _ASKERS,
    ("GET", "/v1/tokens"): _ADMINISTRATOR,
    ("POST", "/v1/tokens"): _ADMINISTRATOR,
    ("POST", "/v1/tokens/{token}/revoke"): _ADMINISTRATOR,
    ("GET", "/v1/health"): None,
    ("GET", "/v1/errors/{code}"): None,
}
"""Roles that may call an endpoint, one of which suffices; None: anybody, without a token."""

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Tokens(Protocol):
    """What knows the service tokens."""

    def authenticate(self, token: str) -> Subject:
        """Return whom ``token`` lets in, or raise P005."""
        ...


class GuardedRoute(APIRoute):
    """A route whose caller is known, entitled and not here too often already before its handler runs."""

    def get_route_handler(self) -> _Handler:
        """Return the handler behind the guard."""
        handler = super().get_route_handler()
        allowed = _allowed(self.methods or set(), self.path)

        async def guarded(request: Request) -> Response:
            if allowed is None:
                return await handler(request)
            request.state.allowed = allowed
            request.state.subject = subject = _entitled(request, allowed)
            places: Places = request.app.state.places
            places.check(subject)
            with places.one(subject):
                return await handler(request)

        return guarded


def subject_of(request: Request) -> Subject:
    """Return the caller that the guard let in."""
    subject: Subject = request.state.subject
    return subject


def still_entitled(request: Request) -> bool:
    """Say whether the caller of a request that is being answered would still be let in."""
    try:
        _entitled(request, request.state.allowed)
    except PolicyError:
        return False
    return True


def _allowed(methods: set[str], path: str) -> frozenset[Role] | None:
    """Return the roles of a route from the table.

    Raises:
        KeyError: The table does not list it: a programming mistake that must not start.
    """
    found = {ENDPOINTS[method, path] for method in methods}
    assert len(found) == 1, f"{path} needs one entry for each of its methods"
    return found.pop()


def _entitled(request: Request, allowed: frozenset[Role]) -> Subject:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    tokens: Tokens = request.app.state.tokens
    if scheme.lower() != "bearer":
        raise PolicyError("P005")
    subject = tokens.authenticate(token.strip())
    check_role(subject, allowed)
    return subject
