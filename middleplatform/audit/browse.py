"""The log by pages, the newest first: filtered, read on from where it stopped, never as a whole.

Spec: docs/spec/audit-log.md, "Pages".
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from middleplatform.audit.entry import LogEntry
from middleplatform.audit.reader import LogView
from middleplatform.audit.search import event_needle, query_needle
from middleplatform.model.request import same_person

__all__ = ["LOOKED_AT_MAX", "NEAR", "EntryPage", "Wanted", "backwards", "newest", "related"]

LOOKED_AT_MAX = 20_000
"""Entries that one page looks at; a long log is read on from where it stopped."""
NEAR = 2_000
"""Entries before and after one in which those of the same query are looked for."""
_WINDOW = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; every part that is given must hold.

    Attributes:
        event: Name; empty for any.
        person: A login that the entry names, in any place, however its letters are written; empty for any.
        department: A department that the entry names, in any place; empty for any.
        dataset: A dataset that the entry names, or a column of it; empty for any.
        query_id: Of the query that the entry is about; empty for any.
        start: First moment, aware; None for the beginning.
        stop: First moment that is too late, aware; None for no end.
    """

    event: str = ""
    person: str = ""
    department: str = ""
    dataset: str = ""
    query_id: str = ""
    start: datetime | None = None
    stop: datetime | None = None

    def needles(self) -> tuple[bytes, ...]:
        """Return byte strings that occur in every leaf that matches: a cheap first sieve."""
        found = [_spelled(self.department)] if self.department else []
        if self.event:
            found.append(event_needle(self.event))
        if self.dataset:
            found.append(_spelled(self.dataset)[:-1])
        if self.query_id:
            found.append(query_needle(self.query_id))
        return tuple(found)

    def matches(self, entry: LogEntry) -> bool:
        """Say whether ``entry`` is what is looked for."""
        record = entry.record
        if self.event and record.event != self.event:
            return False
        if self.query_id and record.body.get("query_id") != self.query_id:
            return False
        named = set(_texts(record.body))
        column = f"{self.dataset}."
        return (
            (not self.department or self.department in named)
            and (not self.person or any(same_person(each, self.person) for each in named))
            and (
                not self.dataset
                or self.dataset in named
                or any(name.startswith(column) for name in named)
            )
            and (self.start is None or entry.at >= self.start)
            and (self.stop is None or entry.at < self.stop)
        )


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Some of the entries.

    Attributes:
        entries: The newest first.
        looked_at: Indices that were looked through for them.
        before: Index to read on from, for what is older; None at the log's beginning.
    """

    entries: tuple[LogEntry, ...]
    looked_at: range
    before: int | None


def newest(log: LogView, wanted: Wanted, most: int, before: int | None = None) -> EntryPage:
    """Return the newest entries that ``wanted`` is about.

    Args:
        log: To look through.
        wanted: What to look for.
        most: Entries at most, at least 1.
        before: Only entries below this index; None for all.
    """
    stop = log.size if before is None else max(0, min(before, log.size))
    first = max(0, stop - LOOKED_AT_MAX)
    window = most if wanted == Wanted() else _WINDOW
    found: list[LogEntry] = []
    needles = wanted.needles()

    def perhaps(entry: LogEntry) -> bool:
        return all(needle in entry.leaf for needle in needles)

    for entry in backwards(log, range(first, stop), window, perhaps):
        if wanted.matches(entry):
            found.append(entry)
            if len(found) >= most:
                return EntryPage(tuple(found), range(entry.index, stop), entry.index or None)
    return EntryPage(tuple(found), range(first, stop), first or None)


def related(log: LogView, entry: LogEntry) -> tuple[LogEntry, ...]:
    """Return the other entries of the same query that stand near ``entry``, in order."""
    query_id = entry.record.body.get("query_id")
    if not isinstance(query_id, str) or not query_id:
        return ()
    needle = query_needle(query_id)
    near = log.entries(max(0, entry.index - NEAR), entry.index + NEAR + 1)
    return tuple(
        each
        for each in near
        if each.index != entry.index
        and needle in each.leaf
        and each.record.body.get("query_id") == query_id
    )


def backwards(
    log: LogView, span: range, window: int, perhaps: Callable[[LogEntry], bool]
) -> Iterator[LogEntry]:
    """Yield entries, the newest first.

    Args:
        log: To look through.
        span: Indices to look at.
        window: Entries that are read, and kept, at a time.
        perhaps: A cheap sieve; entries that it does not let pass are left out.
    """
    stop = span.stop
    while stop > span.start:
        start = max(span.start, stop - window)
        page = [entry for entry in log.entries(start, stop) if perhaps(entry)]
        yield from reversed(page)
        stop = start


def _spelled(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a body, names of members of mappings within it included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield name
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
