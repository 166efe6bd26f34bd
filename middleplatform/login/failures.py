"""Failed logins: who has failed too often waits, longer each time, and nobody else does.

What waits is a login *from an address*, and an address that tries many logins; never a login as such, so nobody can
lock another person out. An attempt is counted before it is judged, and uncounted when it was right: many at once
cannot all slip through. Above that stands one soft limit for everybody together, beyond which only addresses without
a failure are heard. What is counted is kept in the store, so that neither a restart nor another gateway forgets it.

Spec: docs/spec/login.md, "Failures". GB/T 22239-2019 8.1.4.1 b) asks for a limit on failed logins.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from middleplatform.errors import LimitError
from middleplatform.login.buckets import Bucket
from middleplatform.login.configured import Limits
from middleplatform.ports import Clock
from middleplatform.store.database import Store
from middleplatform.store.logins import failures

__all__ = ["Attempt", "Failures"]

_ADDRESS_TIMES = 4
"""An address may fail so many times as often as one login from it: many people may stand behind one."""
_FORGOTTEN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was let through to be judged.

    Attributes:
        keys: Of the login from its address, and of the address.
        locks: Seconds that this attempt, should it fail, makes them wait; 0 for none.
    """

    keys: tuple[str, str]
    locks: int


class Failures:
    """Counts failed logins in a store.

    Args:
        store: Where they are kept.
        clock: Time.
        limits: How many may fail, and what they lead to.
    """

    def __init__(self, store: Store, clock: Clock, limits: Limits) -> None:
        self._store, self._clock, self._limits = store, clock, limits
        rate = limits.failures_per_minute
        self._everybody = Bucket(rate / 60, rate, clock.now().timestamp())

    def attempt(self, login: str, address: str) -> Attempt:
        """Count an attempt and let it through.

        Args:
            login: What the attempt names itself: a token's public id, a provider; never a secret.
            address: Of the client.

        Raises:
            LimitError: L008 it has to wait; ``parts["seconds"]`` says how long. L007 everybody together fails too
                often, and this address has failed as well.
            ConfigError: C015.
        """
        now = self._clock.now()
        keys = (_key("login", login, address), _key("address", address))
        with self._store.writing() as connection:
            connection.execute(delete(failures).where(failures.c.last_at < now - _FORGOTTEN))
            rows = {
                row.key: row
                for row in connection.execute(select(failures).where(failures.c.key.in_(keys)))
            }
            until = max((row.until for row in rows.values()), default=now)
            if until > now:
                raise LimitError("L008", seconds=_seconds(until - now))
            if rows and not self._everybody.has(now.timestamp()):
                raise LimitError("L007", seconds=60)
            allowed = (self._limits.failures, self._limits.failures * _ADDRESS_TIMES)
            waits = [
                self._count(connection, key, rows[key].failures if key in rows else 0, most, now)
                for key, most in zip(keys, allowed, strict=True)
            ]
        return Attempt(keys, _seconds(max(waits)) if any(waits) else 0)

    def failed(self) -> bool:
        """Note that an attempt was wrong; return whether this is the one with which everybody reached the limit."""
        now = self._clock.now().timestamp()
        before = self._everybody.has(now)
        self._everybody.take(now)
        return before and not self._everybody.has(now)

    def succeeded(self, attempt: Attempt) -> None:
        """Uncount an attempt that was right: the login begins anew, the address has one attempt back."""
        login, address = attempt.keys
        now = self._clock.now()
        with self._store.writing() as connection:
            connection.execute(delete(failures).where(failures.c.key == login))
            connection.execute(
                update(failures)
                .where(failures.c.key == address)
                .values(failures=failures.c.failures - 1, until=now)
            )
            connection.execute(delete(failures).where(failures.c.failures <= 0))

    def _count(
        self, connection: Connection, key: str, before: int, most: int, now: datetime
    ) -> timedelta:
        """Count one more and return how long it makes wait."""
        over = before + 1 - most
        limits = self._limits
        wait = timedelta()
        if over >= 0:
            wait = min(limits.wait * 2 ** min(over, 20), limits.wait_max)
        values = {"failures": before + 1, "last_at": now, "until": now + wait}
        if before:
            connection.execute(update(failures).where(failures.c.key == key).values(**values))
        else:
            connection.execute(insert(failures).values(key=key, **values))
        return wait


def _key(*parts: str) -> str:
    """Return a key of fixed length: SHA-256 of the parts, each with its length before it."""
    text = "".join(f"{len(each)}:{each}" for each in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(wait: timedelta) -> int:
    return max(1, -int(-wait.total_seconds() // 1))
