"""Documents that the platform hands to a node: published versions of the policy, and the grants of the moment.

A node is asked once what it holds, and is then told what is newer, before the next fragment goes to it.

Spec: docs/spec/node.md, "Policy".
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from middleplatform.errors import MiddleplatformError, ProtocolError

__all__ = ["Documents", "Handed", "Signed"]

_LOG = logging.getLogger("middleplatform.dispatch")


@dataclass(frozen=True, slots=True)
class Signed:
    """A document with the gateway's signature.

    Attributes:
        number: Rises from one to the next.
        raw: Its bytes.
        signature: Over them.
    """

    number: int
    raw: bytes
    signature: bytes


class Documents(Protocol):
    """What there is to hand out; both are called for every fragment, so they read nothing."""

    def policies(self, after: int) -> Sequence[Signed]:
        """Return published versions later than ``after``, oldest first; of many the latest few."""

    def grants(self, after: int) -> Signed | None:
        """Return the grants of this moment, where they are later than ``after``."""


class Handed:
    """What one node was handed.

    Args:
        department: Whose node it is.
        held: Asks which version of the policy it holds.
        policy: Hands over a version; returns which one is held then, where the node says so.
        grants: Hands over grants; returns the same.
    """

    def __init__(
        self,
        department: str,
        held: Callable[[], Awaitable[int]],
        policy: Callable[[Signed], Awaitable[int | None]],
        grants: Callable[[Signed], Awaitable[int | None]],
    ) -> None:
        self._department, self._held = department, held
        self._policy, self._grants = policy, grants
        self._known: int | None = None
        self._granted = 0
        self.documents: Documents | None = None

    async def lost(self) -> bool:
        """Ask a node that refused a fragment what it holds; say whether it lacks what it was handed."""
        if self.documents is None or not self._known:
            return False
        held = await self._held()
        if held >= self._known:
            return False
        self._known, self._granted = held, 0
        return True

    async def up_to_date(self) -> None:
        """Hand over what is newer than what was handed over; what the node refuses is not sent again at once.

        Raises:
            MiddleplatformError: The node cannot be reached.
        """
        if self.documents is None:
            return
        if self._known is None:
            self._known = await self._held()
        granted = self.documents.grants(self._granted)
        if granted is not None:
            # The reply tells what is held by now: a node that has lost its documents does not go long without.
            held = await self._hand(self._grants, granted, "grants")
            self._granted = max(self._granted, granted.number)
            self._known = self._known if held is None else min(self._known, held)
        for each in self.documents.policies(self._known):
            await self._hand(self._policy, each, "policy")
            self._known = max(self._known, each.number)

    async def _hand(
        self, call: Callable[[Signed], Awaitable[int | None]], document: Signed, what: str
    ) -> int | None:
        try:
            return await call(document)
        except ProtocolError as error:
            # What the node then does with fragments under this version is its own to say.
            _LOG.error(
                "%s refused %s %s: %s", self._department, what, document.number, _said(error)
            )
            return None


def _said(error: MiddleplatformError) -> str:
    return f"{error.code} {error.public_message} {error.detail}"
