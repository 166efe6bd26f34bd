"""The endpoints of recipients' keys: publish, list, withdraw."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Path, Request, Response

from middleplatform.access import shapes
from middleplatform.errors import QueryError
from middleplatform.web import bodies
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import json_reply

if TYPE_CHECKING:
    from middleplatform.gateway.sealed_desk import SealingDesk

__all__ = ["list_keys", "publish_key", "revoke_key"]

_KeyId = Annotated[str, Path(min_length=64, max_length=64)]


def publish_key(request: Request, publication: bodies.PublicationBody) -> Response:
    """Publish your public key; its private half stays with you."""
    found = _desk(request).publish(
        subject_of(request), publication.key, publication.proof, publication.replaces
    )
    return json_reply(shapes.sealing_key(found))


def list_keys(request: Request) -> Response:
    """List the published keys, and the keys that sign sealed answers."""
    desk = _desk(request)
    keys = [shapes.sealing_key(each) for each in desk.listed()]
    return json_reply({"keys": keys, "parties": desk.parties()})


def revoke_key(request: Request, key_id: _KeyId, withdrawal: bodies.WithdrawalBody) -> Response:
    """Withdraw a key from sealing; what it has sealed can still be opened."""
    found = _desk(request).revoke(subject_of(request), key_id, withdrawal.reason)
    return json_reply(shapes.sealing_key(found))


def _desk(request: Request) -> "SealingDesk":
    desk: SealingDesk | None = request.app.state.gateway.sealing
    if desk is None:
        raise QueryError("Q041", what=("registry of keys", "密钥登记库"))
    return desk
