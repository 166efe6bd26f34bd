"""A process's place among the gateways of a shared store: a lease, renewed; and what becomes of those that lost theirs.

Everything that a gateway enters in the log it enters under its lease (``fence``). One that does not renew its lease,
because it was killed, stopped or cut off, loses it to another: from then on its entries are refused, an act that it
had taken on is the other's to finish, and so are its questions. A process that finds its own lease lost does not come
back under another: what it had begun has been ended by others.

Spec: docs/spec/shared-store.md, "Leases".
"""

import logging
import re
import threading
from collections.abc import Callable

from sqlalchemy import Connection

from middleplatform.access.operator_log import where
from middleplatform.errors import AuditError, MiddleplatformError
from middleplatform.ports import Rng
from middleplatform.store import jobs
from middleplatform.store.acts import hand_over, pending
from middleplatform.store.database import Store
from middleplatform.store.leases import Lease, expired, hold, lose, named, release, renew, take

__all__ = ["COMMAND", "GATEWAY", "LEASE_S", "LOOK_S", "Membership"]

GATEWAY, COMMAND = "gateway/", "command/"
"""Beginnings of the names of leases: of processes that answer questions, and of those that run one command."""

LEASE_S = 6.0
"""How long a lease holds that is not renewed."""

LOOK_S = 1.5
"""Seconds between two renewals, and two looks at the others' leases."""

_LONG_S = 60.0
_LEASE = re.compile(f"(?:{GATEWAY}|{COMMAND})[0-9a-f]{{16}}")
_LOG = logging.getLogger("middleplatform.governance")


class Membership:
    """A lease and the thread that renews it.

    Args:
        store: Shared; stays open when this is closed.
        origin: Name of the log.
        kind: ``GATEWAY`` or ``COMMAND``.
        rng: For the lease's name.
        holder: Host and process, for people.

    Raises:
        ConfigError: C015 the store refuses.

    Attributes:
        store: As given.
        lease: This process's.
        lost: Set once another process has taken the lease.
    """

    def __init__(self, store: Store, origin: str, kind: str, rng: Rng, holder: str) -> None:
        self.store, self._origin = store, origin
        with store.writing() as connection:
            lease = take(connection, kind + rng.token_bytes(8).hex(), holder, LEASE_S)
        assert lease is not None, "nobody else has its name"
        self.lease = lease
        self.lost = threading.Event()
        self._told: Callable[[], None] = lambda: None
        self._also: list[Callable[[], None]] = []
        self._suspects: set[Lease] = set()
        self._renewals = self._heard = 0
        self._stop = threading.Event()
        self._bury(_LONG_S)
        # Whoever takes a lease may have to wait for its holder's last transaction; his own is renewed meanwhile.
        self._threads = [
            threading.Thread(
                target=self._again, args=(each,), name=f"membership-{each.__name__}", daemon=True
            )
            for each in (self._renew, self._look)
        ]
        for each in self._threads:
            each.start()

    @property
    def claimant(self) -> str:
        """Return the name under which this process takes on acts: the log's and the lease's."""
        return self._claimant(self.lease)

    def _claimant(self, lease: Lease) -> str:
        return f"{self._origin}#{lease.name}"

    def fence(self, connection: Connection) -> None:
        """Return only if the lease is still this process's, and keep it so until the transaction ends.

        Raises:
            AuditError: A005 it was lost.
        """
        if not hold(connection, self.lease):
            raise AuditError("A005")

    def serve(self, finish: Callable[[], None], lost: Callable[[], None]) -> None:
        """Have ``finish`` called at each look from now on, and ``lost`` once when the lease is lost.

        Args:
            finish: Ends what others left behind; called in the thread.
            lost: Ends the process; called in the thread.
        """
        self._told = lost
        self._also.append(finish)

    def stop(self) -> None:
        """Renew the lease no more, and look at no other."""
        self._stop.set()
        for each in self._threads:
            if each is not threading.current_thread():
                each.join()

    def close(self) -> None:
        """Give the lease back. Closing twice does no harm."""
        self.stop()
        try:
            with self.store.apart() as connection:
                release(connection, self.lease)
        except MiddleplatformError as error:  # it expires by itself
            _LOG.error("a lease was not given back: %s %s", error.code, error.detail)

    # --- the threads ------------------------------------------------------------------------------------------------

    def _again(self, step: Callable[[], None]) -> None:
        """Do a step again and again; what it fails with is told once, and the next one comes all the same."""
        told = ""
        while not self._stop.wait(LOOK_S):
            try:
                step()
                told = ""
            except Exception as error:  # noqa: BLE001 - the next renewal must come
                self._suspects.clear()  # nobody is dead who could not be heard
                said = _said(error)
                if said != told:
                    _LOG.error("the shared store: %s", said)
                told = said

    def _renew(self) -> None:
        with self.store.apart() as connection:
            held = renew(connection, self.lease, LEASE_S)
        if held:
            self._renewals += 1
            return
        self._stop.set()
        self.lost.set()
        _LOG.error("the lease %s was lost: nothing more is entered", self.lease.name)
        self._told()

    def _look(self) -> None:
        """Take the leases of those that have not renewed them at two looks, and end what they left.

        Between the two this process has renewed its own: so the store can be reached.
        """
        with self.store.glance() as connection:
            over = {each for kind in (GATEWAY, COMMAND) for each in expired(connection, kind)}
        heard, self._heard = self._renewals > self._heard, self._renewals
        known, self._suspects = self._suspects if heard else set(), over
        for each in over & known:
            self._take_from(each)
        self._adopt_act()
        for finish in self._also:
            finish()

    def _bury(self, seconds: float) -> None:
        """Take leases that expired long ago: nobody may have looked."""
        with self.store.glance() as connection:
            over = [
                each
                for kind in (GATEWAY, COMMAND)
                for each in expired(connection, kind, since_s=seconds)
            ]
        for each in over:
            self._take_from(each)
        self._adopt_act()

    def _adopt_act(self) -> None:
        """Take over an act whose holder gave its lease back, or took it on after the lease was lost.

        Without its lease it can enter nothing more, so what the log says of the act by now is final. An act that
        another log has taken on, whatever its name begins with, may stand in that log: it stays as it is.
        """
        with self.store.glance() as connection:
            act = pending(connection)
        if act is None:
            return
        origin, _, name = act.log.rpartition("#")
        if origin != self._origin or not _LEASE.fullmatch(name):
            return
        with self.store.writing() as connection:
            if not named(connection, name):
                hand_over(connection, act.log, self.claimant)

    def _take_from(self, other: Lease) -> None:
        with self.store.writing() as connection:
            if lose(connection, other):
                hand_over(connection, self._claimant(other), self.claimant)
                _LOG.warning("the lease %s of %s was lost", other.name, other.holder)

    def adopted(self) -> list[jobs.KeptJob]:
        """Take over the questions of gateways that hold no lease; return all that this process is to end."""
        with self.store.glance() as connection:
            if not jobs.orphans(connection):
                return []
        with self.store.writing() as connection:
            jobs.adopt(connection, self.lease.name)
        with self.store.glance() as connection:
            return jobs.left_behind(connection, self.lease.name)


def _said(error: Exception) -> str:
    if isinstance(error, MiddleplatformError):
        return f"{error.code} {error.public_message} {error.detail}"
    return where(error)
