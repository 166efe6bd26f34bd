"""Questions in a shared store: kept from the moment they are taken, and ended by another gateway if theirs is gone.

Spec: docs/spec/shared-store.md, "Questions".
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from middleplatform.audit.log import AuditLog
from middleplatform.errors import LimitError, MiddleplatformError
from middleplatform.gateway.entries import ended
from middleplatform.governance.membership import Membership
from middleplatform.model.decision import Reason, Span
from middleplatform.model.request import QueryRequest, Role, Subject, same_person
from middleplatform.ports import Clock
from middleplatform.store import jobs
from middleplatform.store.jobs import KeptJob
from middleplatform.store.leases import hold

__all__ = ["Kept", "end_left_behind", "error_form", "error_from"]

_ENDS = frozenset({"released", "refused", "failed"})
_KEEP_S = 900.0


class Kept:
    """The questions of one gateway, as all of them see it; many threads may use it.

    Args:
        member: The gateway's place.
        log: Its log.
        keep_s: Seconds for which an ended question is kept.
    """

    def __init__(self, member: Membership, log: AuditLog, keep_s: float = _KEEP_S) -> None:
        self._member, self._store, self._gateway = member, member.store, member.lease.name
        self._log, self._keep_s = log, keep_s

    def begin(self, request: QueryRequest) -> None:
        """Keep a question before anything of it is entered.

        Raises:
            ConfigError: C015 the store refuses: the question is not taken.
            AuditError: A001, A002 the log cannot be read; A005 the gateway has lost its place.
        """
        subject = request.subject
        said = {
            "roles": sorted(str(role) for role in subject.roles),
            "regions": list(subject.regions),
            "purpose": request.purpose,
            "project": request.project,
            "recipient": request.recipient,
        }
        job = KeptJob(
            request.query_id, subject.id, subject.department, said, self._gateway, self._log.size,
            "running",
        )  # fmt: skip
        with self._store.apart() as connection:
            self._member.fence(connection)
            jobs.forget(connection, self._keep_s)
            jobs.begin(connection, job)

    def end(
        self,
        query_id: str,
        state: str,
        error: MiddleplatformError | None = None,
        answer: str | None = None,
        stream: bytes | None = None,
    ) -> bool:
        """Keep how a question ended; False where another gateway has ended it, or will: this one has lost its place.

        Args:
            query_id: Of the question.
            state: ``answered``, ``refused``, ``failed`` or ``canceled``.
            error: Unless answered.
            answer: The document that leaves.
            stream: The Arrow stream that leaves.

        Raises:
            ConfigError: C015 the store refuses.
        """
        form = None if error is None else error_form(error)
        with self._store.apart() as connection:
            if not hold(connection, self._member.lease):
                return False
            return jobs.end(connection, query_id, self._gateway, state, form, answer, stream)

    def find(self, query_id: str, subject: Subject) -> KeptJob | None:
        """Return a subject's own question, whichever gateway took it; None where there is none.

        Raises:
            ConfigError: C015 the store refuses.
        """
        with self._store.glance() as connection:
            found = jobs.find(connection, query_id)
        if found is None or found.department != subject.department:
            return None
        return found if same_person(found.login, subject.id) else None


def end_left_behind(
    member: Membership, log: AuditLog, policy_digest: Callable[[], str], clock: Clock
) -> int:
    """End the questions of gateways that are gone, each with one entry in the log; return how many.

    Whoever was at work on them is fenced off: what it has not entered by now it never will. So what the log says of
    their ends is final, and what it does not say is said here, once: the questions are this gateway's until it has.

    Raises:
        AuditError: A001, A002, A005 the log cannot be read or take an entry: the rest stay as they are.
        ConfigError: C015.
    """
    left = member.adopted()
    known = _ended_ids(log, left)
    gone = LimitError("L006")
    for each in left:
        if each.id not in known:
            log.append(ended(_request(each, clock), gone, clock.now().isoformat(), policy_digest()))
        with member.store.apart() as connection:
            jobs.end(connection, each.id, member.lease.name, "failed", error_form(gone))
    return len(left)


def _ended_ids(log: AuditLog, left: list[KeptJob]) -> frozenset[str]:
    """Return the ids of those questions whose end is in the log."""
    if not left:
        return frozenset()
    wanted = {each.id for each in left}
    found = set()
    for entry in log.entries(min(each.log_size for each in left)):
        record = entry.record
        if record.event in _ENDS and record.body.get("query_id") in wanted:
            found.add(str(record.body["query_id"]))
    return frozenset(found)


def _request(job: KeptJob, clock: Clock) -> QueryRequest:
    said = job.request
    roles = frozenset(map(Role, said["roles"]))
    subject = Subject(job.login, job.department, roles, tuple(said["regions"]))
    return QueryRequest(
        job.id, "", subject, said["purpose"], said["project"], clock.now(), said["recipient"]
    )


def error_form(error: MiddleplatformError) -> dict[str, Any]:
    """Return an error as it is kept: what its message is made of."""
    reasons = [asdict(each) for each in error.reasons if isinstance(each, Reason)]
    return {
        "code": error.code,
        "rule": error.rule,
        "parts": {name: _plain(value) for name, value in error.parts.items() if name != "rule"},
        "reasons": reasons,
        "audit_index": error.audit_index,
    }


def error_from(form: Mapping[str, Any]) -> MiddleplatformError:
    """Return the error that was kept."""
    code = form["code"]
    kind = next(each for each in MiddleplatformError.__subclasses__() if code[0] == each.prefix)
    parts: dict[str, Any] = {name: _paired(value) for name, value in form["parts"].items()}
    made = kind(code, rule=form["rule"], **parts)
    made.reasons = tuple(_reason(each) for each in form["reasons"])
    made.audit_index = form["audit_index"]
    return made


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [str(each) for each in value]
    return value if isinstance(value, int) else str(value)


def _paired(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _reason(form: Mapping[str, Any]) -> Reason:
    span = None if form["span"] is None else Span(**form["span"])
    pairs = {name: _paired(form[name]) for name in ("what", "hint")}
    return Reason(**{**form, **pairs, "span": span})
