"""What departments' nodes are told: published versions as signed documents, and the grants of the moment.

Reading is done beside, in a thread; what is handed out for a fragment is what was read last, and that is never older
than what the gateway itself judged the question by.

Spec: docs/spec/node.md, "Policy"; docs/spec/grants.md, "At the nodes".
"""

import threading
from collections.abc import Sequence
from datetime import timedelta

from middleplatform.crypto.identity import IdentityKey
from middleplatform.dispatch.handed import Signed
from middleplatform.governance.granted import Granted
from middleplatform.governance.grants_in_force import GrantsInForce
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.model.policy import Bundle
from middleplatform.ports import Clock
from middleplatform.store import policies
from middleplatform.wire.policies import GRANTS, POLICY, GrantsDocument, PolicyDocument

__all__ = ["FRESH_S", "VALID_S", "Telling"]

VALID_S = 300
"""Seconds for which a grants document counts: what cannot reach a node to stop a grant has stopped it after these."""
FRESH_S = 60
"""Seconds after which a new one is made: an answer may take until the end of the one that its question came with."""
_HANDED_S = 2
"""Seconds beyond which a document is made anew when it is handed out; moments in it are whole seconds."""
_VERSIONS = 2
"""A question that began under the version before may go to a node that knows neither."""


class Telling:
    """Makes the documents (``dispatch.handed.Documents``); several threads may use it."""

    def __init__(
        self, lifecycle: Lifecycle, grants: GrantsInForce, identity: IdentityKey, clock: Clock
    ) -> None:
        """Take the parts, and read what is published.

        Args:
            lifecycle: Of the policy.
            grants: What applications yield.
            identity: The gateway's key, which nodes know from the roster.
            clock: Time.
        """
        self._lifecycle, self._grants = lifecycle, grants
        self._identity, self._clock = identity, clock
        self._lock = threading.Lock()
        self._digest = ""
        self._published: tuple[PolicyDocument, ...] = ()
        self._granted: GrantsDocument | None = None
        self._made_of: tuple[Granted, ...] = ()
        self._seen: object = None
        self.read()

    # --- for every fragment -------------------------------------------------------------------------------------

    def policies(self, after: int) -> Sequence[Signed]:
        """Return versions later than ``after``, of the last two."""
        return [
            self._signed(POLICY, each.number, each.to_bytes())
            for each in self._published
            if each.number > after
        ]

    def grants(self, after: int) -> Signed | None:
        """Return the grants as of the last look, where the document is later than ``after``."""
        document = self._newest_grants(FRESH_S)
        if document.number <= after:
            return None
        # Another gateway may have handed out its own meanwhile, and a node takes none that is older.
        document = self._newest_grants(_HANDED_S)
        return self._signed(GRANTS, document.number, document.to_bytes())

    # --- in a thread, from time to time -------------------------------------------------------------------------

    def covers(self, bundle: Bundle) -> bool:
        """Say whether the documents are those of the version that ``bundle`` is of."""
        return bundle.digest == self._digest

    def read(self) -> None:
        """Read the newest versions from the store.

        Raises:
            ConfigError: As ``Lifecycle.compared``.
        """
        standing = self._lifecycle.compared()
        known = self._published[-1].number if self._published else 0
        if standing.number != known:
            with self._lifecycle.desk.store.reading() as connection:
                versions = {each.number: each for each in policies.versions_all(connection)}
                numbers = [each for each in versions if each <= standing.number][-_VERSIONS:]
                self._published = tuple(
                    PolicyDocument(
                        number, versions[number].content,
                        versions[number - 1].content if number - 1 in versions else "",
                        versions[number].at,
                        policies.files_of(connection, versions[number].content),
                    )
                    for number in numbers
                )  # fmt: skip
        self._digest = standing.bundle.digest

    def look(self) -> bool:
        """Look at versions and grants; say whether anything is other than at the last look."""
        self.read()
        seen = (self._digest, len(self._published) and self._published[-1].number)
        now = (seen, self._grants.current())
        changed = now != self._seen
        self._seen = now
        return changed

    # --- how ----------------------------------------------------------------------------------------------------

    def _newest_grants(self, fresh_s: float) -> GrantsDocument:
        known, now = self._grants.known, self._clock.now()
        with self._lock:
            made = self._granted
            fresh = made is not None and now - made.at < timedelta(seconds=fresh_s)
            # Who cannot see what was stopped meanwhile renews nothing: the document held ends by itself.
            stale = (not fresh and not self._grants.blind) or known is not self._made_of
            if made is None or stale:
                number = max(made.number + 1 if made else 1, int(now.timestamp() * 1_000_000))
                given = tuple(
                    (each.provider, each.grant) for each in known if each.grant.ends > now
                )
                made = GrantsDocument(number, now + timedelta(seconds=VALID_S), given)
                self._granted, self._made_of = made, known
            return made

    def _signed(self, context: str, number: int, raw: bytes) -> Signed:
        return Signed(number, raw, self._identity.sign(context, raw))
