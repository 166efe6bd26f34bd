"""A person's own questions, from the log itself: what was asked and what became of it, the newest first.

Spec: docs/spec/audit-log.md, "What an entry says".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform.audit.browse import backwards
from middleplatform.audit.entry import LogEntry, moment
from middleplatform.audit.reader import LogView
from middleplatform.errors import QueryError
from middleplatform.model.request import same_person

__all__ = ["LOOKED_AT_MAX", "Asked", "OwnPage", "own_question", "own_questions"]

LOOKED_AT_MAX = 20_000
"""Entries that one call looks at; a long log is read on from where it stopped."""
_WINDOW = 1000
_ENDS = frozenset({"released", "refused", "failed"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.

    Attributes:
        index: Of the entry that it came in.
        query_id: 128 random bits, hexadecimal.
        at: When it came in, UTC.
        sql: As typed; empty where the entry has it sealed.
        purpose: Code.
        project: For which history is kept.
        noise: As asked, or empty.
        strict: As asked.
        outcome: ``released``, ``refused`` or ``failed``; empty while it has no end in the log.
        end: Index of the entry that says so; -1 where there is none.
        code: Error code where it was not answered.
        rule: That refused.
        datasets: That were read, of an answer.
    """

    index: int
    query_id: str
    at: datetime
    sql: str
    purpose: str
    project: str
    noise: str
    strict: bool
    outcome: str
    end: int
    code: str
    rule: str
    datasets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnPage:
    """Some of a person's questions.

    Attributes:
        questions: The newest first.
        before: Index to read on from, for what is older; None at the log's beginning.
    """

    questions: tuple[Asked, ...]
    before: int | None


def own_questions(
    log: LogView, login: str, department: str, most: int, before: int | None = None
) -> OwnPage:
    """Return a person's newest questions.

    Args:
        log: The platform's.
        login: Whose.
        department: The person's own.
        most: Questions at most.
        before: Only entries below this index; None for all.
    """
    stop = log.size if before is None else min(before, log.size)
    first = max(0, stop - LOOKED_AT_MAX)
    found: list[Asked] = []
    ends: dict[str, LogEntry] = _later(log, login, department, stop)
    for entry in backwards(log, range(first, stop), _WINDOW, _sieve(login)):
        record = entry.record
        body = record.body
        if not _own(body, login, department):
            continue
        query_id = _text(body, "query_id")
        if record.event in _ENDS:
            ends[query_id] = entry
        elif record.event == "received":
            found.append(_asked(entry.index, body, ends.pop(query_id, None)))
            if len(found) >= most:
                return OwnPage(tuple(found), entry.index or None)
    return OwnPage(tuple(found), first or None)


def own_question(log: LogView, login: str, department: str, index: int) -> Asked:
    """Return one of a person's questions by the entry that it came in; what became of it is not looked for.

    Raises:
        AuditError: A004 there is no such entry.
        QueryError: Q041 it is no question, or another's.
    """
    entry = log.entry(index)
    body = entry.record.body
    if entry.record.event != "received" or not _own(body, login, department):
        raise QueryError("Q041", what=("such query", "该查询"))
    return _asked(index, body, None)


def _later(log: LogView, login: str, department: str, stop: int) -> dict[str, LogEntry]:
    """Return the ends just above a page: of questions whose beginning is on it."""
    ends: dict[str, LogEntry] = {}
    perhaps = _sieve(login)
    for entry in log.entries(stop, stop + _WINDOW):
        if perhaps(entry) and entry.record.event in _ENDS:
            body = entry.record.body
            if _own(body, login, department):
                ends[_text(body, "query_id")] = entry
    return ends


def _own(body: Mapping[str, object], login: str, department: str) -> bool:
    return same_person(_text(body, "subject"), login) and body.get("department") == department


def _sieve(login: str) -> Callable[[LogEntry], bool]:
    """Return what says quickly whether an entry may be a person's; logins that let somebody in are ASCII."""
    if not login.isascii():
        return lambda _: True
    needle = b'"subject":' + json.dumps(login).lower().encode()
    return lambda entry: needle in entry.leaf.lower()


def _asked(index: int, body: Mapping[str, object], end: LogEntry | None) -> Asked:
    ended: Mapping[str, object] = {} if end is None else end.record.body
    datasets = ended.get("datasets")
    return Asked(
        index, _text(body, "query_id"), moment(body.get("at")), _text(body, "sql"),
        _text(body, "purpose"), _text(body, "project"), _text(body, "noise"), body.get("strict") is True,
        "" if end is None else end.record.event, -1 if end is None else end.index,
        _text(ended, "code"), _text(ended, "rule"),
        tuple(map(str, datasets)) if isinstance(datasets, list) else (),
    )  # fmt: skip


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
