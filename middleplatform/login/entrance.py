"""The one door for people: every way in ends here in a session and an entry of the audit log, or in neither.

A session begins as an act (``store.acts``): its row is there once its entry is in the log. Failed attempts are entries
where they make somebody wait, so that nobody can fill the log by failing. No secret is in an entry.

Spec: docs/spec/login.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection, func, or_, select

from middleplatform.access.roles import check_person
from middleplatform.access.tokens import TokenRecord
from middleplatform.errors import PolicyError, QueryError
from middleplatform.login.claims import ClaimRules, subject_from
from middleplatform.login.demo import DemoLogins
from middleplatform.login.failures import Attempt, Failures
from middleplatform.login.secret import digest
from middleplatform.login.sessions import How, Sessions, record_of
from middleplatform.model.request import Role, Subject
from middleplatform.ports import Clock
from middleplatform.store import logins
from middleplatform.store.acts import Act, Change
from middleplatform.store.logins import people

__all__ = ["Came", "Entrance", "Performer", "TokenBook"]

EVENT = "login"
_TOKEN = re.compile(r"mpt_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_TRIES = 3

Decide = Callable[[Connection, int], Act]
_Found = tuple[Subject, datetime | None]
"""Whom an attempt lets in, and until when at most."""


class Performer(Protocol):
    """Where acts are done (``governance.desk.Desk``)."""

    def perform(self, decide: Decide) -> int:
        """Do an act and return its number once it is in force."""
        ...


class TokenBook(Protocol):
    """What knows the service tokens."""

    def authenticate(self, token: str) -> Subject:
        """Return whom ``token`` lets in, or raise P005."""
        ...

    def record(self, token_id: str) -> TokenRecord | None:
        """Return what is known of a token; None where there is none."""
        ...

    def holders(self) -> Iterable[tuple[str, frozenset[Role]]]:
        """Return login and roles of every token that lets somebody in now."""
        ...


@dataclass(frozen=True, slots=True)
class Came:
    """From where somebody comes.

    Attributes:
        address: Of the client.
        before: Secret of the session that the browser has, which ends; empty where it has none.
    """

    address: str
    before: str = ""


class Entrance:
    """Lets people in and out.

    Args:
        sessions: Where they are then known.
        failures: Who has to wait.
        desk: Where acts are done.
        tokens: Service tokens.
        clock: Time.
        demo: Logins of the demonstration, if this is one.
    """

    def __init__(
        self,
        sessions: Sessions,
        failures: Failures,
        desk: Performer,
        tokens: TokenBook,
        clock: Clock,
        demo: DemoLogins | None = None,
    ) -> None:
        self.sessions, self.demo = sessions, demo
        self._failures, self._desk, self._tokens, self._clock = failures, desk, tokens, clock

    def by_token(self, token: str, came: Came) -> str:
        """Begin a session with a service token and return its secret; it ends with the token at the latest.

        Raises:
            PolicyError: P006 for any other text.
            LimitError: L007, L008 too many have failed.
            AuditError: A001, A003 the log takes no entry: nobody comes in.
        """
        form = _TOKEN.fullmatch(token)
        token_id = form[1] if form else ""

        def judge() -> _Found:
            subject, found = self._tokens.authenticate(token), self._tokens.record(token_id)
            return subject, found.expires_at if found is not None else None

        (subject, until), attempt = self._judged(How.TOKEN, token_id or "malformed", came, judge)
        return self._begun(subject, How.TOKEN, token_id, came, attempt, until=until)

    def by_code(self, code: str, came: Came) -> str:
        """Begin a session with a code of the demonstration and return its secret.

        Raises:
            PolicyError: P006 for any other text, and where this is no demonstration.
            LimitError: L007, L008.
            AuditError: A001, A003.
        """
        demo = self.demo

        def judge() -> _Found:
            if demo is None:
                raise PolicyError("P006")
            return demo.subject(code), None

        (subject, _), attempt = self._judged(How.DEMO, "code", came, judge)
        assert demo is not None
        return self._begun(subject, How.DEMO, demo.id, came, attempt)

    def waits(self, flow: str, came: Came) -> Attempt:
        """Count an attempt to come in by the provider of identities, before its answer is judged.

        Args:
            flow: Secret of the login under way.
            came: From where.

        Raises:
            LimitError: L007, L008.
        """
        return self._failures.attempt(f"{How.OIDC}:{digest(flow)}", came.address)

    def refused(self, attempt: Attempt, came: Came, named: str) -> None:
        """Note that an attempt by the provider of identities was wrong."""
        self._failed(How.OIDC, named, came, attempt)

    def by_claims(
        self,
        claims: Mapping[str, object],
        rules: ClaimRules,
        issuer: str,
        came: Came,
        attempt: Attempt,
    ) -> str:
        """Begin a session for whom verified claims name and return its secret.

        The first who comes by a login keeps it: another subject of the provider, or another provider, with the same
        login is refused.

        Raises:
            PolicyError: P006 the claims give too little, or the login is somebody else's.
            QueryError: Q040 the claims give roles that exclude each other, or those of the login's service tokens.
            AuditError: A001, A003.
        """
        subject, sub = subject_from(claims, rules), str(claims["sub"])
        check_person(subject.id, subject.roles, self._tokens.holders())
        row = {
            "login": subject.id, "issuer": issuer, "subject": sub, "first_at": self._clock.now(),
        }  # fmt: skip

        def known(connection: Connection) -> tuple[Change, ...]:
            same = (people.c.issuer == issuer) & (people.c.subject == sub)
            found = connection.execute(
                select(people).where(or_(func.lower(people.c.login) == subject.id.lower(), same))
            ).all()
            if not found:
                return (Change("people", row),)
            (first, *others) = found
            if others or (first.login, first.issuer, first.subject) != (subject.id, issuer, sub):
                raise PolicyError("P006", detail=f"{subject.id} stands for somebody else already")
            return ()

        return self._begun(subject, How.OIDC, issuer, came, attempt, known=known)

    def leave(self, secret: str) -> None:
        """End the session of ``secret``; it is over even where the log cannot take the entry.

        Raises:
            AuditError: A001, A003.
        """
        found = self.sessions.record(secret)
        self.sessions.end(secret)
        if found is not None:
            body = _who(found.subject) | {"what": "ended", "how": found.how, "session": found.id}
            self._perform(lambda _, __: Act(EVENT, body, ()))

    def _judged(
        self, how: How, named: str, came: Came, judge: Callable[[], _Found]
    ) -> tuple[_Found, Attempt]:
        attempt = self._failures.attempt(f"{how}:{named}", came.address)
        try:
            return judge(), attempt
        except PolicyError:
            self._failed(how, named, came, attempt)
            raise PolicyError("P006") from None

    def _failed(self, how: How, named: str, came: Came, attempt: Attempt) -> None:
        all_together = self._failures.failed()
        body = {"how": how, "named": named, "address": came.address}
        if attempt.locks:
            locked = body | {"what": "locked", "seconds": attempt.locks}
            self._perform(lambda _, __: Act(EVENT, locked, ()))
        elif all_together:
            self._perform(lambda _, __: Act(EVENT, body | {"what": "burst"}, ()))

    def _begun(
        self,
        subject: Subject,
        how: How,
        credential: str,
        came: Came,
        attempt: Attempt,
        *,
        until: datetime | None = None,
        known: Callable[[Connection], tuple[Change, ...]] = lambda _: (),
    ) -> str:
        planned = self.sessions.planned(
            subject, how, credential=credential, address=came.address, until=until
        )
        body = _who(subject) | {
            "what": "began", "how": how, "credential": credential, "session": planned.row["id"],
            "address": came.address,
        }  # fmt: skip

        def decide(connection: Connection, _: int) -> Act:
            gone = self.sessions.giving_way(connection, subject.id, came.before)
            gone += self._changed(connection, subject, how, credential)
            begun = Change("sessions", planned.row)
            return Act(EVENT, body, (*known(connection), *gone, begun))

        self._perform(decide)
        self._failures.succeeded(attempt)
        return planned.secret

    def _changed(
        self, connection: Connection, subject: Subject, how: How, credential: str
    ) -> tuple[Change, ...]:
        """Return what ends because the provider gives other rights now; refuse roles beside those of other sessions.

        Raises:
            QueryError: Q040 another session of the person has roles that exclude these.
        """
        now = self._clock.now()
        own, held = [], []
        for row in logins.of_login(connection, subject.id, now):
            record = record_of(row)
            if (record.how, record.credential) != (how, credential):
                held.append((record.subject.id, record.subject.roles))
            elif record.subject != subject:
                own.append(Change("sessions", {"ended_at": now}, {"digest": row.digest}))
        check_person(subject.id, subject.roles, held)
        return tuple(own)

    def _perform(self, decide: Decide) -> None:
        """Do an act; where another process is in the middle of one, try again."""
        for left in range(_TRIES - 1, -1, -1):
            try:
                self._desk.perform(decide)
            except QueryError as error:
                if error.code != "Q042" or not left:
                    raise
            else:
                return


def _who(subject: Subject) -> dict[str, object]:
    return {
        "subject": subject.id,
        "department": subject.department,
        "roles": sorted(str(role) for role in subject.roles),
    }
