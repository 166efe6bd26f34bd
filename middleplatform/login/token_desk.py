"""The desk of service tokens: made and withdrawn as acts, so that the log says who let whom in, until when, and why.

The entry comes first: a process that dies in between leaves the tokens as they were, and the act is done again. So no
token holds of which the log does not know; an entry may speak of one that never came to hold. No secret is in an entry.
Of several administrators at once one comes after the other; what two processes do at once is judged once more when the
token is kept, so no two tokens ever hold that the separation of roles forbids.

Spec: docs/spec/login.md, "Administration".
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

from sqlalchemy import Connection

from middleplatform.access.tokens import VALID_DAYS_MAX, PlannedToken, TokenRecord, TokenStore
from middleplatform.errors import QueryError
from middleplatform.login.acting import TEXT_MAX, by, check
from middleplatform.login.entrance import EVENT, Performer
from middleplatform.model.request import Role, Subject
from middleplatform.store.acts import Act

__all__ = ["TokenDesk"]

_MAY = frozenset({Role.SYSTEM_ADMINISTRATOR})


class TokenDesk:
    """The desk of service tokens.

    Args:
        tokens: Where they are kept.
        desk: Where acts are done.
        beside: Gives login and roles of what else lets somebody in now: sessions.
        account: Of the machine, where nobody logged in acts: the operator at its command line.
    """

    def __init__(
        self,
        tokens: TokenStore,
        desk: Performer,
        beside: Callable[[], Iterable[tuple[str, frozenset[Role]]]] = lambda: (),
        account: str = "",
    ) -> None:
        self._tokens, self._desk, self._beside, self._account = tokens, desk, beside, account

    def listed(self, actor: Subject) -> tuple[TokenRecord, ...]:
        """Return all tokens' records, oldest first.

        Raises:
            PolicyError: P004 for anybody but a system administrator.
        """
        check(actor, _MAY)
        return self._tokens.records()

    def make(
        self, actor: Subject, subject: Subject, days: int, note: str, reason: str
    ) -> PlannedToken:
        """Make a token and return it; it cannot be had again.

        Args:
            actor: Who makes it.
            subject: Whom it lets in.
            days: How long, 1 to ``VALID_DAYS_MAX``.
            note: What it is for, at most 500 characters.
            reason: Why, for the log, 1 to 500 characters.

        Raises:
            PolicyError: P004.
            QueryError: Q040 no reason, or as ``TokenStore.add``: roles that exclude each other included.
            AuditError: A001, A003 the log does not take the entry: there is no token.
            ConfigError: C011.
        """
        check(actor, _MAY, reason)
        _check_note(note)
        valid = timedelta(days=min(max(days, 0), VALID_DAYS_MAX + 1))
        with self._tokens.changing:
            made = self._tokens.planned(subject, valid, note.strip(), self._beside())
            self._enter(actor, "token_made", made.record, reason)
            self._tokens.keep(made)
        return made

    def revoke(self, actor: Subject, token_id: str, reason: str) -> TokenRecord:
        """Withdraw a token at once and for good.

        Raises:
            PolicyError: P004.
            QueryError: Q040 no reason, or it was withdrawn before; Q041 there is no such token.
            AuditError: A001, A003 the log does not take the entry: the token stays.
            ConfigError: C011.
        """
        check(actor, _MAY, reason)
        with self._tokens.changing:
            found = self._tokens.record(token_id)
            if found is None:
                raise QueryError("Q041", what=("such token", "该令牌"))
            if found.revoked_at is not None:
                raise QueryError("Q040", what=("the token was revoked before", "该令牌已吊销"))
            self._enter(actor, "token_revoked", found, reason)
            return self._tokens.revoke(token_id)

    def _enter(self, actor: Subject, what: str, about: TokenRecord, reason: str) -> None:
        body: dict[str, object] = {
            "what": what,
            "token": about.id,
            "subject": about.subject.id,
            "of": about.subject.department,
            "held": sorted(str(role) for role in about.subject.roles),
            "regions": list(about.subject.regions),
            "until": about.expires_at.isoformat(),
        } | by(actor, reason)
        if self._account:
            body |= {"how": "command line", "account": self._account}

        def decide(_: Connection, __: int) -> Act:
            return Act(EVENT, body, ())

        self._desk.perform(decide)


def _check_note(note: str) -> None:
    if len(note.strip()) > TEXT_MAX:
        what = (f"a note of at most {TEXT_MAX} characters", f"说明不得超过 {TEXT_MAX} 字")
        raise QueryError("Q040", what=what)
