"""What an administrator does about people's logins: who is in, who is put out, and whose login begins anew.

Each is an act: its entry in the log says who did it, and why.

Spec: docs/spec/login.md, "Administration".
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Row, delete, func, select

from middleplatform.errors import QueryError
from middleplatform.login.acting import by, check
from middleplatform.login.entrance import EVENT, Performer
from middleplatform.login.sessions import SessionRecord, record_of
from middleplatform.model.request import Role, Subject
from middleplatform.ports import Clock
from middleplatform.store import logins
from middleplatform.store.acts import Act, Change
from middleplatform.store.database import Store

__all__ = ["People"]

_MAY = frozenset({Role.SYSTEM_ADMINISTRATOR, Role.SECURITY_OFFICER})


class People:
    """The desk of people's logins.

    Args:
        store: Where sessions are kept.
        desk: Where acts are done.
        clock: Time.
    """

    def __init__(self, store: Store, desk: Performer, clock: Clock) -> None:
        self._store, self._desk, self._clock = store, desk, clock

    def sessions(self, actor: Subject, login: str | None = None) -> tuple[SessionRecord, ...]:
        """Return the sessions that have not ended, of ``login`` or of everybody, oldest first; idle ones too.

        Raises:
            PolicyError: P004 for anybody but a system administrator or security officer.
        """
        check(actor, _MAY)
        with self._store.reading() as connection:
            rows = logins.of_login(connection, login, self._clock.now())
        return tuple(record_of(row) for row in rows)

    def end(self, actor: Subject, login: str, reason: str) -> int:
        """End every session of ``login`` and return how many there were.

        Raises:
            PolicyError: P004.
            QueryError: Q040 no reason, Q041 nobody is in by that login.
            AuditError: A001, A003.
        """
        check(actor, _MAY, reason)
        now, count = self._clock.now(), 0

        def decide(connection: Connection, _: int) -> Act:
            nonlocal count
            rows = logins.of_login(connection, login, now)
            count = len(rows)
            if not rows:
                raise QueryError("Q041", what=(f"session of {login}", f"{login} 的会话"))
            return Act(EVENT, _body(actor, "put_out", login, reason), _ended(rows, now))

        self._desk.perform(decide)
        return count

    def end_one(self, actor: Subject, session_id: str, reason: str) -> str:
        """End one session, by its public id, and return whose it was.

        Raises:
            PolicyError: P004.
            QueryError: Q040 no reason, Q041 no open session has that id.
            AuditError: A001, A003.
        """
        check(actor, _MAY, reason)
        now, login = self._clock.now(), ""

        def decide(connection: Connection, _: int) -> Act:
            nonlocal login
            rows = [row for row in logins.of_login(connection, None, now) if row.id == session_id]
            if not rows:
                raise QueryError("Q041", what=(f"session {session_id}", f"会话 {session_id}"))
            login = rows[0].login
            body = {**_body(actor, "put_out", login, reason), "session": session_id}
            return Act(EVENT, body, _ended(rows, now))

        self._desk.perform(decide)
        return login

    def forget(self, actor: Subject, login: str, reason: str) -> None:
        """Let a login begin anew: the next who comes by it with the provider keeps it. Its sessions end.

        The entry comes first: a process that dies in between leaves the login as it was, and the act is done again.

        Raises:
            PolicyError: P004.
            QueryError: Q040 no reason, Q041 nobody stands behind that login.
            AuditError: A001, A003.
        """
        check(actor, _MAY, reason)
        now = self._clock.now()
        mine = func.lower(logins.people.c.login) == login.lower()

        def decide(connection: Connection, _: int) -> Act:
            if connection.execute(select(logins.people.c.login).where(mine)).first() is None:
                raise QueryError("Q041", what=(f"person behind {login}", f"账号 {login} 的登记"))
            gone = _ended(logins.of_login(connection, login, now), now)
            return Act(EVENT, _body(actor, "forgotten", login, reason), gone)

        self._desk.perform(decide)
        with self._store.writing() as connection:
            connection.execute(delete(logins.people).where(mine))


def _ended(rows: Iterable[Row[tuple[object, ...]]], now: datetime) -> tuple[Change, ...]:
    return tuple(Change("sessions", {"ended_at": now}, {"digest": row.digest}) for row in rows)


def _body(actor: Subject, what: str, login: str, reason: str) -> dict[str, object]:
    return {"what": what, "subject": login} | by(actor, reason)
