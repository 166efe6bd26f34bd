"""Grants that people gave join the bundle's own, without anybody editing YAML, and leave it as they are stopped.

Freezes are looked at in the same transaction (docs/spec/freezes.md).

A bundle with them keeps the digest of the published version: nodes take part in rounds under the very
policy that they have, logs of both sides are compared by it, and versions are found by it. Which grants a
release rests on stands in its entry by number, and what each says stands in the log before it, since every
act is an entry. Nodes judge by their own bundle: one that does not know a grant refuses (X003).

Spec: docs/spec/grants.md, "In force".
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import reduce
from typing import cast

from sqlalchemy import Connection

from middleplatform.errors import ConfigError
from middleplatform.gateway.granting import InForce
from middleplatform.governance.applications import State, fold, later
from middleplatform.governance.event_form import event_from
from middleplatform.governance.freezes import coming
from middleplatform.governance.granted import Granted, granted
from middleplatform.governance.handling import label
from middleplatform.model.freeze import Freeze
from middleplatform.model.policy import Bundle, Grant
from middleplatform.policy.joining import fitting, joined
from middleplatform.store.acts import PendingAct, pending
from middleplatform.store.applications import StoredEvent, events_after
from middleplatform.store.database import Store
from middleplatform.store.freezes import freezes_open

__all__ = ["GrantsInForce", "with_all", "with_grants"]

_LOG = logging.getLogger("middleplatform.governance")


class GrantsInForce:
    """What the store's applications yield, and what is stopped, as of now; many threads may use it.

    Attributes:
        entering: Held while a release is looked at for the last time and entered (``Desk.entering``).
        blind: Whether the last look at the store failed: what is ``known`` may have been stopped since.
    """

    def __init__(
        self,
        store: Store,
        entering: AbstractContextManager[object] | None = None,
        first: Callable[[Bundle], None] = lambda _: None,
    ) -> None:
        """Take the store; it is not closed here.

        Args:
            store: Where applications and freezes are.
            entering: The desk's; one of its own where nobody else enters anything.
            first: Called before a question is looked at, with the policy: detection.
        """
        self._store, self._lock = store, threading.Lock()
        self.entering = threading.Lock() if entering is None else entering
        self._first = first
        self._states: dict[int, State] = {}
        self._seen = (0, "")
        self._grants: tuple[Granted, ...] = ()
        self.blind = False
        self._fit: tuple[object, tuple[Granted, ...], tuple[Grant, ...]] = (None, (), ())

    def opening(self, bundle: Bundle, now: datetime) -> InForce:
        """Return what is in force for a question that begins (``gateway.granting.Grants``)."""
        self._first(bundle)
        return self.in_force(bundle, now)

    def in_force(self, bundle: Bundle, now: datetime) -> InForce:
        """Return ``bundle`` with the grants of this moment, and the freezes that hold.

        While the store cannot be read nobody knows what was withdrawn: then no application's grant holds; nor what
        was stopped: then ``freezes`` is None.
        """
        grants, freezes = self._look()
        given = self._fitting(bundle, grants)
        ruled = joined(bundle, tuple(each for each in given if _holds(each, now)))
        held = None if freezes is None else tuple(each for each in freezes if each.holds(now))
        return InForce(ruled, held)

    def joined(self, bundle: Bundle, now: datetime) -> Bundle:
        """Return ``bundle`` with the grants of this moment."""
        return self.in_force(bundle, now).bundle

    @property
    def known(self) -> tuple[Granted, ...]:
        """The grants as of the last look, without another: what the newest question was judged by, or later."""
        return self._grants

    def current(self) -> tuple[Granted, ...]:
        """Return all grants that nobody has stopped.

        Raises:
            ConfigError: C015 the store cannot be read: then nobody knows what was withdrawn.
        """
        try:
            with self._lock, self._store.reading() as connection:
                found = self._folded(connection, pending(connection))
        except ConfigError:
            self.blind = True
            raise
        self.blind = False
        return found

    def _look(self) -> tuple[tuple[Granted, ...], tuple[Freeze, ...] | None]:
        """Return grants that nobody has stopped, and freezes that nobody has ended, in one transaction.

        What gives waits until its entry is in the log; what stops does not: an act that is only on its way there
        takes grants away, and freezes, already.
        """
        freezes: tuple[Freeze, ...] | None = None
        try:
            with self._lock, self._store.reading() as connection:
                act = pending(connection)
                made = coming(act)
                freezes = freezes_open(connection) + (() if made is None else (made,))
                found = self._folded(connection, act)
            self.blind = False
        except ConfigError as error:
            self.blind = True
            said = (error.code, error.public_message, error.detail)
            _LOG.error("grants and freezes in the store: %s %s %s", *said)
            return (), freezes
        return found, freezes

    def _folded(self, connection: Connection, act: PendingAct | None) -> tuple[Granted, ...]:
        """Return the grants; only events that are new are read."""
        new = events_after(connection, self._seen[0])
        last = new[-1][0] if new else self._seen[0]
        seen = (last, "" if act is None else act.id)
        if seen != self._seen:
            states = _further(self._states, new)
            self._grants = tuple(
                each for state in states.values() for each in _not_stopped(state, act)
            )
            self._states, self._seen = states, seen
        return self._grants

    def _fitting(self, bundle: Bundle, grants: tuple[Granted, ...]) -> tuple[Grant, ...]:
        """Return ``_fitting`` of both, worked out once for each pair."""
        with self._lock:
            datasets, known, found = self._fit
        if datasets is not bundle.datasets or known is not grants:
            found = _fitting(bundle, grants)
            with self._lock:
                self._fit = (bundle.datasets, grants, found)
        return found


def _further(
    states: Mapping[int, State], new: Iterable[tuple[int, StoredEvent]]
) -> dict[int, State]:
    """Return the states after ``new`` events; a new mapping, so that nothing is half done."""
    found = dict(states)
    for _, each in new:
        event, state = event_from(each.body), found.get(each.number)
        found[each.number] = (
            fold(label(each.number), (event,)) if state is None else later(state, event)
        )
    return found


def _not_stopped(state: State, coming: PendingAct | None) -> tuple[Granted, ...]:
    grants = granted(state)
    if coming is None or coming.body.get("application") != state.number:
        return grants
    events = cast("list[dict[str, object]]", coming.body["events"])
    left = granted(reduce(later, map(event_from, events), state))
    return tuple(each for each in grants if each in left)


def with_grants(bundle: Bundle, grants: Iterable[Granted], now: datetime) -> Bundle:
    """Return ``bundle`` with the grants that hold at ``now`` and are still the provider's to give.

    A grant of the bundle's own that bears an application's number holds only as the application says now:
    officers may have written it down for the nodes, and its withdrawal must not wait for them. A column
    whose dataset has another owner by now, or that is denied, is left out.
    """
    return with_all(bundle, (each for each in grants if _holds(each.grant, now)))


def with_all(bundle: Bundle, grants: Iterable[Granted]) -> Bundle:
    """Return ``bundle`` as ``with_grants`` does, whenever the grants hold: who judges by it looks at their bounds."""
    return joined(bundle, _fitting(bundle, grants))


def _fitting(bundle: Bundle, grants: Iterable[Granted]) -> tuple[Grant, ...]:
    return fitting(bundle, ((each.provider, each.grant) for each in grants))


def _holds(grant: Grant, now: datetime) -> bool:
    return grant.starts <= now < grant.ends
