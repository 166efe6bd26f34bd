"""Where recipients publish their keys, and where it is decided under which key an answer may be sealed.

The private half of a key never comes here: nothing takes one. Every publication, replacement and withdrawal is in
the audit log before it counts.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from middleplatform.audit.log import AuditLog
from middleplatform.authorization.refusals import refusal
from middleplatform.authorization.sealed import release_refusals
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.errors import PolicyError, QueryError
from middleplatform.ledger.keys import KeyRegistry
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QueryFacts
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import QueryRequest, Role, Subject, same_person
from middleplatform.model.sealed import ISSUER, PublishedKey
from middleplatform.ports import Clock

__all__ = ["SealingDesk", "check_release"]


@dataclass
class SealingDesk:
    """The registry of published keys, with the rules of who may do what with it.

    Attributes:
        registry: What was published.
        audit: Each change is entered first.
        identity: The gateway's own key, which signs tickets.
        clock: For moments.
        pins: Identity keys of the departments, which sign what they seal.
    """

    registry: KeyRegistry
    audit: AuditLog
    identity: IdentityKey
    clock: Clock
    pins: PinnedKeys

    def parties(self) -> dict[str, str]:
        """Return the identity keys that sign sealed answers, hexadecimal: a recipient keeps them beside his own key."""
        known = {name: self.pins.public_key(name).hex() for name in sorted(self.pins.names)}
        return known | {ISSUER: self.identity.public_key.hex()}

    def publish(self, subject: Subject, key: str, proof: str, replaces: str = "") -> PublishedKey:
        """Check a key and keep it.

        Args:
            subject: Who publishes it; the key must name this login as its holder.
            key: Base64 of its canonical bytes.
            proof: Base64 of its proof.
            replaces: Id of an own key that it takes the place of, or empty.

        Raises:
            QueryError: Q040 the key is refused, and why; Q041 nothing to replace.
            AuditError: A001 the log cannot take it: then it does not count.
        """
        document, proved = _decoded(key), _decoded(proof)
        found = self.registry.check(document, proved)
        if replaces:
            self.registry.find(replaces)
        more = {"bits": found.bits, "replaces": replaces}
        self._enter("rotated" if replaces else "published", found.key_id, subject, more)
        at = self.clock.now().isoformat()
        return self.registry.publish(document, proved, subject.id, subject.department, at, replaces)

    def revoke(self, subject: Subject, key_id: str, reason: str = "") -> PublishedKey:
        """Withdraw a key from sealing: its owner may, and a security officer.

        Raises:
            QueryError: Q041 there is no such key.
            PolicyError: P004 it is somebody else's.
            AuditError: A001 the log cannot take it: then it does not count.
        """
        found = self.registry.find(key_id)
        if not same_person(found.login, subject.id) and Role.SECURITY_OFFICER not in subject.roles:
            raise PolicyError("P004", what=("withdraw another's key", "撤销他人的密钥"))
        self._enter("revoked", key_id, subject, {"reason": reason})
        return self.registry.revoke(key_id, subject.id, self.clock.now().isoformat(), reason)

    def listed(self) -> tuple[PublishedKey, ...]:
        """Return every key, oldest first."""
        return self.registry.all()

    def usable(self, request: QueryRequest) -> PublishedKey:
        """Return the key under which a question's answer leaves.

        The holder must belong to the department that receives the answer (decree 809 art. 25).

        Raises:
            QueryError: Q041 there is no such key, Q040 it was withdrawn.
            PolicyError: P004 its holder may not receive this answer.
        """
        found = self.registry.find(request.sealed_for)
        if found.revoked_at:
            raise QueryError("Q040", what=("the key was withdrawn", "该密钥已撤销"))
        if found.department != (request.recipient or request.subject.department):
            what = (
                "seal for a holder outside the department that receives the answer",
                "为接收部门以外的持有人密封结果",
            )
            raise PolicyError("P004", what=what)
        return found

    def _enter(
        self, action: str, key_id: str, subject: Subject, more: Mapping[str, object]
    ) -> None:
        body = {
            "at": self.clock.now().isoformat(),
            "action": f"sealing key {action}",
            "key_id": key_id,
            "subject": subject.id,
            "department": subject.department,
            **more,
        }
        self.audit.append(AuditRecord("key", body))

    def close(self) -> None:
        """Close the registry."""
        self.registry.close()


def check_release(
    request: QueryRequest, facts: QueryFacts, bundle: Bundle, desk: SealingDesk | None
) -> None:
    """Return only if a statement's values may leave in the way that was asked for.

    Raises:
        PolicyError: P001 a column's ``release`` says otherwise; P004 as ``SealingDesk.usable``.
        QueryError: As ``SealingDesk.usable``; Q041 where no keys can be published.
    """
    refused = release_refusals(facts, bundle, sealed=bool(request.sealed_for))
    if refused:
        raise refusal(refused)
    if request.sealed_for:
        if desk is None:
            raise QueryError("Q041", what=("such key", "该密钥"))
        desk.usable(request)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise QueryError("Q040", what=("a key is not base64", "密钥不是 base64")) from None
