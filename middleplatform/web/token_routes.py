"""The endpoints of service tokens, for system administrators: each change is an act of the log, as in the console.

Spec: docs/spec/login.md, "Administration".
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import Path, Request, Response

from middleplatform.login.token_desk import TokenDesk
from middleplatform.model.request import Role, Subject
from middleplatform.web import bodies_token as bodies
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import After, Limit, Route, governed, json_reply, page

__all__ = ["ROUTES"]

_AT = "/v1/tokens"
_TokenId = Annotated[
    str, Path(pattern=r"^[0-9a-f]{16}$", description="A token's id, from the list.")
]


def _desk(request: Request) -> TokenDesk:
    return governed(request).token_desk(request.app.state.tokens)


def list_tokens(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """List the tokens' records, oldest first; never the tokens."""
    numbered = list(enumerate(_desk(request).listed(subject_of(request)), start=1))
    shown, following = page(numbered, lambda each: each[0], after, limit)
    return json_reply({"tokens": [each.plain() for _, each in shown], "next": following})


def make_token(request: Request, draft: bodies.TokenDraft) -> Response:
    """Make a token, and show it this once."""
    subject = Subject(
        draft.login, draft.department, frozenset(map(Role, draft.roles)), tuple(draft.regions)
    )
    made = _desk(request).make(
        subject_of(request), subject, draft.days, draft.note, draft.reason
    )  # fmt: skip
    return json_reply({"token": made.token} | made.record.plain(), HTTPStatus.CREATED)


def revoke_token(request: Request, token: _TokenId, why: bodies.RevocationBody) -> Response:
    """Revoke a token at once and for good."""
    return json_reply(_desk(request).revoke(subject_of(request), token, why.reason).plain())


ROUTES = (
    Route("GET", _AT, list_tokens, bodies.TokensBody),
    Route("POST", _AT, make_token, bodies.MadeTokenBody, HTTPStatus.CREATED),
    Route("POST", f"{_AT}/{{token}}/revoke", revoke_token, bodies.TokenBody),
)
