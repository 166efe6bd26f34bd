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
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from middleplatform.errors import LimitError
from middleplatform.login.buckets import Bucket
from middleplatform.login.configured import Limits
from middleplatform.ports import Clock
from middleplatform.store.database import Store
from middleplatform.store.logins import failures

__all__ = ["Attempt", "Failures"]

_ADDRESS_TIMES = 4
"""An address may fail so many times as often as one login from it: many people may stand behind one."""
_ADDRESS_QUIET = timedelta(minutes=15)
"""After so long without an attempt an address begins anew; so it does after a wait, which never grows."""
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
            login_wait = self._count(connection, keys[0], rows.get(keys[0]), now)
            address_wait = self._count_address(connection, keys[1], rows.get(keys[1]), now)
        wait = max(login_wait, address_wait)
        return Attempt(keys, _seconds(wait) if wait else 0)

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
        self, connection: Connection, key: str, row: Row[Any] | None, now: datetime
    ) -> timedelta:
        """Count one more of a login from its address and return how long it makes wait: twice as long each time."""
        number = 1 if row is None else row.failures + 1
        over = number - self._limits.failures
        longest = self._limits.wait_max
        wait = min(self._limits.wait * 2 ** min(over, 20), longest) if over >= 0 else timedelta()
        _write(connection, key, row, number, now, wait)
        return wait

    def _count_address(
        self, connection: Connection, key: str, row: Row[Any] | None, now: datetime
    ) -> timedelta:
        """Count one more of an address and return how long it makes wait."""
        most = self._limits.failures * _ADDRESS_TIMES
        anew = row is None or row.failures >= most or now - row.last_at > _ADDRESS_QUIET
        number = 1 if row is None or anew else row.failures + 1
        wait = self._limits.wait if number >= most else timedelta()
        _write(connection, key, row, number, now, wait)
        return wait


def _write(
    connection: Connection,
    key: str,
    row: Row[Any] | None,
    number: int,
    now: datetime,
    wait: timedelta,
) -> None:
    values = {"failures": number, "last_at": now, "until": now + wait}
    if row is None:
        connection.execute(insert(failures).values(key=key, **values))
    else:
        connection.execute(update(failures).where(failures.c.key == key).values(**values))


def _key(*parts: str) -> str:
    """Return a key of fixed length: SHA-256 of the parts, each with its length before it."""
    text = "".join(f"{len(each)}:{each}" for each in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(wait: timedelta) -> int:
    return max(1, -int(-wait.total_seconds() // 1))
