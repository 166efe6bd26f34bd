"""Reads the questions of a time window back from an audit log, as they can be judged again.

Nothing is written, and no department is asked. A question whose entry does not say all that policy judges it by is
told with the reason; nothing is ever filled in for what an entry lacks.

Spec: docs/spec/policy-simulation.md, "What is replayed".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from middleplatform.audit.entry import LogEntry, moment
from middleplatform.errors import QueryError
from middleplatform.model.request import Role, Subject
from middleplatform.policy.suite import Case

__all__ = ["WHY", "Asked", "Ended", "Why", "Window", "asked"]


class Why(StrEnum):
    """Why a question cannot be judged again by policy alone."""

    REGIONS = "regions"
    INSIDE = "inside"
    SEALED = "sealed"
    FORM = "form"
    HISTORY = "history"
    BUDGET = "budget"


WHY: Mapping[Why, tuple[str, str]] = {
    Why.REGIONS: ("regions not recorded", "未记录区域范围"),
    Why.INSIDE: ("asked inside the department, past the gateway", "在部门内部提出，未经过网关"),
    Why.SEALED: ("the text is sealed for the auditor", "语句已为审计员密封"),
    Why.FORM: ("the entry has another form", "记录格式不同"),
    Why.HISTORY: ("refused for what was asked before", "因此前的查询而被拒绝"),
    Why.BUDGET: ("refused for a spent privacy budget", "因隐私预算不足而被拒绝"),
}
"""What people are told of each reason, English and Chinese."""

_EVENTS = ("released", "refused", "failed")
_SPAN = re.compile(r"([1-9]\d{0,4})d")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a question ended when it was asked.

    Attributes:
        event: ``released``, ``refused``, ``failed``, or empty where the log does not say.
        code: Of the error; empty for a release.
        rule: That refused it, or empty.
        policy_digest: Of the bundle it ran under.
    """

    event: str = ""
    code: str = ""
    rule: str = ""
    policy_digest: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the log.

    Attributes:
        index: Of its ``received`` entry.
        query_id: Of the request.
        subject: Login of who asked.
        at: When it came in.
        case: As it can be judged; its ``expect`` and ``rule`` say how it ended. None where it cannot be.
        why: Why it cannot be judged; None where it can.
        ended: How it ended.
    """

    index: int
    query_id: str
    subject: str
    at: datetime
    case: Case | None
    why: Why | None = None
    ended: Ended = field(default_factory=Ended)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time: from ``start`` until before ``stop``, both aware."""

    start: datetime
    stop: datetime

    @classmethod
    def read(cls, text: str, now: datetime) -> "Window":
        """Read ``30d``, the days up to ``now``, or ``DATE..DATE``: two days, both included, or two moments; UTC.

        Raises:
            QueryError: Q040 it is neither.
        """
        try:
            if span := _SPAN.fullmatch(text):
                return cls(now - timedelta(days=int(span[1])), now)
            first, dots, last = text.partition("..")
            window = cls(_moment(first), _moment(last, last=True))
        except (ValueError, OverflowError):
            dots, window = "", cls(now, now)
        if not dots or window.start >= window.stop:
            what = (f"{text} is no window like 30d or DATE..DATE", f"{text} 不是 30d 或 DATE..DATE")
            raise QueryError("Q040", what=what)
        return window

    def holds(self, at: datetime) -> bool:
        """Say whether a moment lies in it."""
        return self.start <= at < self.stop


def _moment(text: str, *, last: bool = False) -> datetime:
    """Return a written moment; a day is its first moment, or the first one after it."""
    if _DAY.fullmatch(text):
        day = date.fromisoformat(text) + timedelta(days=1 if last else 0)
        return datetime.combine(day, time(), UTC)
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def asked(entries: Iterable[LogEntry], window: Window) -> tuple[Asked, ...]:
    """Return the questions that came in within ``window``, each once, in the order of the log.

    Args:
        entries: Of the platform's log, in order, verified by the caller; read once, one at a time. How a question
            ended is looked for to the end of them, also past the window.
        window: Which questions.

    Raises:
        AuditError: A002 when an entry is none.
    """
    found: dict[str, Asked] = {}
    texts: dict[str, str] = {}
    for entry in entries:
        record = entry.record
        query_id = _text(record.body, "query_id") or f"#{entry.index}"
        if record.event in _EVENTS and query_id in found:
            found[query_id] = _with_end(found[query_id], record.event, record.body)
        if record.event != "received" or "fragment" in record.body or query_id in found:
            continue
        at = moment(record.body.get("at"))
        if window.holds(at):
            found[query_id] = _received(entry.index, query_id, at, record.body, texts)
    return tuple(found.values())


def _received(
    index: int, query_id: str, at: datetime, body: Mapping[str, object], texts: dict[str, str]
) -> Asked:
    login = _text(body, "subject")
    why = _lacks(body)
    if why is not None:
        return Asked(index, query_id, login, at, None, why)
    roles, regions = _names(body, "roles"), _names(body, "regions")
    subject = Subject(login, _text(body, "department"), frozenset(map(Role, roles)), regions)
    sql = _text(body, "sql")
    case = Case(
        id=query_id, subject=subject, purpose=_text(body, "purpose"), sql=texts.setdefault(sql, sql),
        expect="", now=at, recipient=_text(body, "recipient"), project=_text(body, "project"),
        strict=body["strict"] is True, sealed=bool(body.get("sealed_for")), noise=_text(body, "noise"),
    )  # fmt: skip
    return Asked(index, query_id, login, at, case)


def _lacks(body: Mapping[str, object]) -> Why | None:
    """Say what keeps an entry from being judged; what an entry does not say is never assumed."""
    if body.get("inside") is True:
        return Why.INSIDE
    if isinstance(body.get("sql"), Mapping):
        return Why.SEALED
    if "regions" not in body:
        return Why.REGIONS
    texts = ("query_id", "sql", "subject", "department", "purpose", "project", "recipient")
    told = all(isinstance(body.get(name), str) for name in texts)
    lists = all(_is_names(body.get(name)) for name in ("roles", "regions"))
    optional = all(isinstance(body.get(name, ""), str) for name in ("noise", "sealed_for"))
    if not (told and lists and optional and isinstance(body.get("strict"), bool)):
        return Why.FORM
    known = {str(role) for role in Role}
    return None if set(_names(body, "roles")) <= known else Why.FORM


def _with_end(known: Asked, event: str, body: Mapping[str, object]) -> Asked:
    """Add the first end that the log tells of."""
    if known.ended.event:
        return known
    ended = Ended(event, *(_text(body, name) for name in ("code", "rule", "policy_digest")))
    if event == "released" and body.get("protocol") == "own":
        return replace(known, case=None, why=Why.INSIDE, ended=ended)
    expect = {"released": "permit", "refused": "refuse"}.get(event, "")
    case = known.case and replace(known.case, expect=expect, rule=ended.rule, code=ended.code)
    return replace(known, case=case, ended=ended)


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _names(body: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = body.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
