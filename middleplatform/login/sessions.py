"""Sessions: what a browser shows instead of a login, and how long it holds.

A session's secret is random and says nothing; the store keeps its SHA-256 beside whom it lets in, so a copy of the
store lets nobody in. Each login begins a session with a secret of its own. A session ends when it is ended, when it
lies idle, when its time is over, or when what it was begun with does not stand any more; why is not told outside.

Spec: docs/spec/login.md, "Sessions". GB/T 22239-2019 8.1.4.1 b) asks for an end of idle sessions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, update

from middleplatform.access.roles import check_separation
from middleplatform.login.secret import SECRET_FORM, derived, digest, fresh, same
from middleplatform.model.request import Role, Subject
from middleplatform.ports import Clock, Rng
from middleplatform.store import logins
from middleplatform.store.acts import Change
from middleplatform.store.database import Store

__all__ = ["Bounds", "How", "Planned", "SessionRecord", "Sessions", "record_of"]

_SEEN_EVERY = timedelta(seconds=30)
"""How often the moment of the last request is written; an idle session may live longer by as much."""
_KEPT = timedelta(days=7)


class How(StrEnum):
    """By what somebody came in."""

    TOKEN = "token"  # noqa: S105 - the word, not a secret
    OIDC = "oidc"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long sessions hold, and how many of one login do.

    Attributes:
        idle: After the last request.
        absolute: After the login, used or not.
        per_login: Open at once; one more ends the oldest.
    """

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=10)
    per_login: int = 8


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is known of a session; never its secret.

    Attributes:
        id: Public, 16 hexadecimal digits; names it in lists and entries.
        subject: Whom it lets in.
        how: By what it was begun.
        credential: Which one: a token's id, the issuer's name; empty where there is none.
        address: Of the client that began it.
        began_at: UTC.
        seen_at: Of the last request, within 30 seconds, UTC.
        ends_at: First moment at which it no longer holds, used or not, UTC.
    """

    id: str
    subject: Subject
    how: How
    credential: str
    address: str
    began_at: datetime
    seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """A session that is about to begin.

    Attributes:
        secret: For the browser; cannot be had again.
        row: What the store will keep, without the secret.
    """

    secret: str = field(repr=False)
    row: Mapping[str, object]


class Sessions:
    """The sessions in a store; many threads and processes may use them.

    Args:
        store: Where they are kept.
        clock: Time.
        rng: The operating system's generator.
        bounds: How long they hold.
        stands: Asked at every request whether what a session was begun with still does.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rng: Rng,
        bounds: Bounds | None = None,
        stands: Callable[[SessionRecord], bool] = lambda _: True,
    ) -> None:
        self._store, self._clock, self._rng = store, clock, rng
        self.bounds = bounds or Bounds()
        self._stands = stands

    def begin(
        self,
        subject: Subject,
        how: How = How.TOKEN,
        *,
        credential: str = "",
        address: str = "",
        until: datetime | None = None,
        instead_of: str = "",
    ) -> str:
        """Begin a session and return its secret, which cannot be had again.

        Args:
            subject: Whom it lets in.
            how: By what.
            credential: Which one, public: a token's id, the issuer.
            address: Of the client.
            until: When the credential runs out, UTC: the session does not outlast it.
            instead_of: Secret of the session that the browser had before, which ends.

        Raises:
            QueryError: Q040 the subject's roles conflict.
            ConfigError: C015.
        """
        planned = self.planned(subject, how, credential=credential, address=address, until=until)
        with self._store.writing() as connection:
            for change in self.giving_way(connection, subject.id, instead_of):
                connection.execute(
                    update(logins.sessions).filter_by(**(change.key or {})).values(**change.values)
                )
            connection.execute(insert(logins.sessions).values(**planned.row))
        return planned.secret

    def planned(
        self,
        subject: Subject,
        how: How,
        *,
        credential: str = "",
        address: str = "",
        until: datetime | None = None,
    ) -> Planned:
        """Return a session that is not there yet: its secret, and the row by which it will begin.

        Args:
            subject: As in ``begin``.
            how: As in ``begin``.
            credential: As in ``begin``.
            address: As in ``begin``.
            until: As in ``begin``.

        Raises:
            QueryError: Q040 the subject's roles conflict.
        """
        check_separation(subject.roles)
        secret, now = fresh(self._rng), self._clock.now()
        ends = now + self.bounds.absolute
        row = {
            "digest": digest(secret), "id": self._rng.token_bytes(8).hex(), "login": subject.id,
            "department": subject.department, "roles": sorted(str(role) for role in subject.roles),
            "regions": list(subject.regions), "how": str(how), "credential": credential,
            "address": address, "began_at": now, "seen_at": now,
            "ends_at": ends if until is None else min(ends, until),
        }  # fmt: skip
        return Planned(secret, row)

    def giving_way(
        self, connection: Connection, login: str, before: str = ""
    ) -> tuple[Change, ...]:
        """Return what ends when a session of ``login`` begins: that of the browser, and the oldest of too many.

        Rows of sessions long over are removed on the way.

        Args:
            connection: A writing transaction.
            login: Whose session begins.
            before: Secret of the session that the browser had; empty for none.
        """
        now = self._clock.now()
        logins.forget_old(connection, now - _KEPT)
        open_now = logins.of_login(connection, login, now)
        old = {
            each.digest for each in open_now[: max(0, len(open_now) + 1 - self.bounds.per_login)]
        }
        if before and logins.one(connection, digest(before)) is not None:
            old.add(digest(before))
        return tuple(
            Change("sessions", {"ended_at": now}, {"digest": each}) for each in sorted(old)
        )

    def subject(self, secret: str) -> Subject | None:
        """Return whom ``secret`` lets in now, and note that it was used; None for everything else."""
        found = self.record(secret)
        return None if found is None else found.subject

    def record(self, secret: str) -> SessionRecord | None:
        """Return the session of ``secret`` while it holds, and note that it was used; None for everything else."""
        if not SECRET_FORM.fullmatch(secret):
            return None
        now = self._clock.now()
        with self._store.reading() as connection:
            row = logins.one(connection, digest(secret))
        if row is None or row.ended_at is not None or not self._in_time(row, now):
            return None
        found = record_of(row)
        if not self._stands(found):
            self.end(secret)
            return None
        if now - found.seen_at >= _SEEN_EVERY:
            self._seen(row.digest, now)
        return found

    def csrf(self, secret: str) -> str:
        """Return the text that a form of this session carries: 43 characters, derived from the secret."""
        return derived(secret, "csrf")

    def is_csrf(self, secret: str, given: str) -> bool:
        """Return whether a form carried this session's text, compared in constant time."""
        return same(self.csrf(secret), given)

    def end(self, secret: str) -> None:
        """End the session of ``secret``; one that has ended, or never was, stays so."""
        with self._store.writing() as connection:
            logins.end_where(connection, self._clock.now(), digest=digest(secret))

    def end_id(self, session_id: str) -> bool:
        """End a session by its public id; say whether it was open."""
        with self._store.writing() as connection:
            return logins.end_where(connection, self._clock.now(), id=session_id) > 0

    def end_all(self, login: str) -> int:
        """End every session of ``login`` (frozen, other roles) and return how many were open."""
        with self._store.writing() as connection:
            return logins.end_where(connection, self._clock.now(), login=login)

    def end_credential(self, how: How, credential: str) -> int:
        """End every session that was begun with a credential, and return how many were open."""
        with self._store.writing() as connection:
            return logins.end_where(
                connection, self._clock.now(), how=str(how), credential=credential
            )

    def listed(self, login: str | None = None) -> tuple[SessionRecord, ...]:
        """Return the sessions that hold, of ``login`` or of everybody, oldest first."""
        now = self._clock.now()
        with self._store.reading() as connection:
            rows = logins.of_login(connection, login, now)
        return tuple(record_of(row) for row in rows if self._in_time(row, now))

    def _in_time(self, row: Row[Any], now: datetime) -> bool:
        return bool(
            row.began_at <= now < row.ends_at and now - row.seen_at < self.bounds.idle + _SEEN_EVERY
        )

    def _seen(self, key: str, now: datetime) -> None:
        with self._store.writing() as connection:
            connection.execute(
                update(logins.sessions)
                .where(logins.sessions.c.digest == key, logins.sessions.c.ended_at.is_(None))
                .values(seen_at=now)
            )


def record_of(row: Row[Any]) -> SessionRecord:
    """Return what a row of the store says."""
    subject = Subject(
        row.login, row.department, frozenset(map(Role, row.roles)), tuple(row.regions)
    )
    return SessionRecord(
        row.id, subject, How(row.how), row.credential, row.address, row.began_at, row.seen_at,
        row.ends_at,
    )  # fmt: skip
