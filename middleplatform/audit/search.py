"""Who got what: from a dataset, a column, a time or an incident to every release concerned.

Reads the hashed entries themselves, no index beside them that could be thinned out unseen.

Spec: docs/spec/audit-log.md, "What an entry says".
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform.audit.entry import LogEntry, moment
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import same_person

__all__ = ["ReleaseQuery", "Usage", "event_needle", "incident_queries", "query_needle", "releases"]


@dataclass(frozen=True, slots=True)
class ReleaseQuery:
    """What to look for; every part that is given must hold.

    Attributes:
        dataset: ``"department.table"``; empty for any.
        column: ``"department.table.column"``; empty for any.
        start: First moment, aware; None for the beginning.
        stop: First moment that is too late, aware; None for no end.
        department: Whose people asked; empty for any.
        subject: Login of the person who asked, however its letters are written; empty for any.
    """

    dataset: str = ""
    column: str = ""
    start: datetime | None = None
    stop: datetime | None = None
    department: str = ""
    subject: str = ""

    def needles(self) -> tuple[bytes, bytes]:
        """Return two byte strings that occur in every leaf that matches: a cheap first sieve."""
        name = self.column or self.dataset
        spelled = json.dumps(name, ensure_ascii=False)[:-1].encode() if name else b""
        if not spelled and self.department:
            spelled = _field("department", self.department)
        return event_needle("released"), spelled

    def matches(self, record: AuditRecord) -> bool:
        """Say whether ``record`` is a release that the query is about."""
        if record.event != "released":
            return False
        columns = _names(record.body.get("columns"))
        datasets = _names(record.body.get("datasets"))
        at = moment(record.body.get("at"))
        return (
            (not self.column or self.column in columns)
            and (
                not self.dataset
                or self.dataset in datasets
                or self.dataset in {_dataset(name) for name in columns}
            )
            and (not self.department or record.body.get("department") == self.department)
            and (not self.subject or same_person(str(record.body.get("subject", "")), self.subject))
            and (self.start is None or at >= self.start)
            and (self.stop is None or at < self.stop)
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """One release: who received what, when and for what; a text the entry lacks is empty.

    Attributes:
        index: Leaf index of the release.
        at: When.
        query_id: Of the request.
        subject: Login of the natural person.
        department: Of the subject.
        recipient: Department that received the answer.
        purpose: Purpose code.
        datasets: Used.
        columns: Used, as ``"department.table.column"``.
        result_digest: SHA-256 of what was released, hexadecimal.
        grants: Ids of the grants that were used.
        protocol: How the departments answered.
        released: Values that were released.
        suppressed: Cells that were withheld.
    """

    index: int
    at: datetime
    query_id: str
    subject: str
    department: str
    recipient: str
    purpose: str
    datasets: tuple[str, ...]
    columns: tuple[str, ...]
    result_digest: str
    grants: tuple[str, ...] = ()
    protocol: str = ""
    released: int = 0
    suppressed: int = 0


def event_needle(event: str) -> bytes:
    """Return bytes that every leaf of an event holds."""
    return b'"event":"' + event.encode() + b'"'


def query_needle(query_id: str) -> bytes:
    """Return bytes that every leaf about a query holds."""
    return _field("query_id", query_id)


def _field(name: str, value: str) -> bytes:
    return f'"{name}":{json.dumps(value, ensure_ascii=False)}'.encode()


def releases(entries: Iterable[LogEntry], query: ReleaseQuery) -> Iterator[Usage]:
    """Yield the releases among ``entries`` that ``query`` is about, in their order."""
    for entry in entries:
        record = entry.record
        if query.matches(record):
            yield _usage(entry.index, record.body)


def incident_queries(entry: LogEntry) -> tuple[ReleaseQuery, ...]:
    """Return what an incident is about: its window, for each dataset and column it names.

    Raises:
        ValueError: It is no incident, or has no ``starts`` and ``ends`` (RFC 3339).
    """
    record = entry.record
    if record.event != "incident":
        raise ValueError("not an incident entry")
    start, stop = moment(record.body.get("starts")), moment(record.body.get("ends"))
    datasets, columns = _names(record.body.get("datasets")), _names(record.body.get("columns"))
    queries = [ReleaseQuery(dataset=name, start=start, stop=stop) for name in datasets]
    queries += [ReleaseQuery(column=name, start=start, stop=stop) for name in columns]
    return tuple(queries) or (ReleaseQuery(start=start, stop=stop),)


def _names(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _dataset(column: str) -> str:
    return column.rpartition(".")[0]


def _usage(index: int, body: Mapping[str, object]) -> Usage:
    def text(key: str) -> str:
        value = body.get(key)
        return value if isinstance(value, str) else ""

    return Usage(
        index=index,
        at=moment(body.get("at")),
        query_id=text("query_id"),
        subject=text("subject"),
        department=text("department"),
        recipient=text("recipient"),
        purpose=text("purpose"),
        datasets=_names(body.get("datasets")),
        columns=_names(body.get("columns")),
        result_digest=text("result_digest"),
        grants=_names(body.get("grants")),
        protocol=text("protocol"),
        released=_count(body.get("released_values")),
        suppressed=_withheld(body.get("withheld")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _withheld(value: object) -> int:
    """Return how many cells an entry says were withheld: the last of each ``[rule, reason, cells]``."""
    rows = value if isinstance(value, list) else []
    return sum(_count(row[-1]) for row in rows if isinstance(row, list) and row)
