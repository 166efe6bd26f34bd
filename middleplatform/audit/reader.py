"""Reading a log: what it holds, its proofs, who got what, what is past retention.

``LogView`` is what every open log can do. ``ReadOnlyLog`` opens one for reading alone, also while
another process appends to it: it sees the log as it was at that moment, and has recomputed all of
it before it gives anything.

Spec: docs/spec/audit-log.md, "Readers".
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from middleplatform.audit import export
from middleplatform.audit.checkpoint import open_checkpoint
from middleplatform.audit.entry import LogEntry
from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import VerifierKey
from middleplatform.audit.merkle import PROFILES, SHA256, HashProfile
from middleplatform.audit.places import LogStore
from middleplatform.audit.search import ReleaseQuery, Usage, incident_queries, releases
from middleplatform.audit.selfcheck import check_store
from middleplatform.audit.store import Store, refusal
from middleplatform.errors import AuditError, ConfigError
from middleplatform.ports import Clock

__all__ = ["RETENTION_YEARS_MIN", "LogView", "ReadOnlyLog", "Retention"]

RETENTION_YEARS_MIN = 3  # decree 809 art. 29; 网络数据安全管理条例 art. 12
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Retention:
    """Which entries the law no longer asks to keep. Nothing here deletes them.

    Attributes:
        years: How long entries are kept.
        before: Entries of events before this moment are past it.
        past: Index ranges, in order.
    """

    years: int
    before: datetime
    past: tuple[range, ...]


class LogView(ABC):
    """What can be read of a log.

    Args:
        profile: Its hash function.
        keys: Public keys of its checkpoints, the present one first; all bear its name.
        clock: For the retention report.
        retention_years: At least 3.

    Raises:
        ConfigError: C003 when retention is shorter than the law asks for.
    """

    def __init__(
        self, profile: HashProfile, keys: Sequence[VerifierKey], clock: Clock, retention_years: int
    ) -> None:
        check_retention(retention_years)
        self._profile, self._keys, self._clock = profile, tuple(keys), clock
        self._retention_years = retention_years

    @abstractmethod
    def _read(self) -> AbstractContextManager[LogStore]:
        """Lend a connection for a moment; what it raises comes out as an AuditError."""

    @abstractmethod
    def _snapshot(self) -> AbstractContextManager[LogStore]:
        """Lend a connection that sees the log as it is now, however long it takes."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Return the number of entries."""

    @property
    def origin(self) -> str:
        """Return the log's name."""
        return self._keys[0].name

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Return the public keys of the log's checkpoints, the present one first."""
        return self._keys

    @property
    def profile(self) -> HashProfile:
        """Return the hash function."""
        return self._profile

    @property
    def retention_years(self) -> int:
        """Return for how many years entries are kept, at least 3."""
        return self._retention_years

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint, with the cosignatures kept for it."""
        return self.checkpoint_at(self.size)

    def checkpoint_at(self, size: int) -> str:
        """Return the checkpoint that was signed at ``size``, with its cosignatures.

        Raises:
            AuditError: A004 when none was: only ends of group commits have one.
        """
        with self._read() as store:
            note = store.checkpoint(size)
            if note is None:
                raise AuditError("A004", index=size)
            return note + "".join(store.cosignatures(size))

    def entry(self, index: int) -> LogEntry:
        """Return the entry at ``index``.

        Raises:
            AuditError: A004 when there is none.
        """
        with self._read() as store:
            leaf = store.entry(index) if 0 <= index < self.size else None
        if leaf is None:
            raise AuditError("A004", index=index)
        return LogEntry(index, leaf)

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[LogEntry]:
        """Yield the entries from ``start`` to ``stop - 1``, or to the last one there is now."""
        size = self.size
        end = size if stop is None else min(stop, size)
        for first in range(max(start, 0), end, _PAGE):
            with self._read() as store:
                page = list(store.entries(first, min(first + _PAGE, end)))
            yield from (LogEntry(index, leaf) for index, leaf in page)

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the audit path of entry ``index`` in the tree of ``size`` entries, bottom up.

        Raises:
            AuditError: A004 when ``index`` is not below ``size`` or ``size`` is beyond the log.
        """
        if not 0 <= index < size <= self.size:
            raise AuditError("A004", index=index)
        with self._read() as store:
            return tuple(
                store.computed(self._profile, lambda tree: tree.inclusion_proof(index, size))
            )

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of ``old`` entries is a prefix of that of ``new``.

        Raises:
            AuditError: A004 when ``old`` exceeds ``new`` or ``new`` is beyond the log.
        """
        if not 0 <= old <= new <= self.size:
            raise AuditError("A004", index=new)
        with self._read() as store:
            return tuple(
                store.computed(self._profile, lambda tree: tree.consistency_proof(old, new))
            )

    def verify(self, against: str | None = None) -> int:
        """Recompute the whole log from disk and return its size; appends go on meanwhile.

        Args:
            against: A checkpoint of this log from elsewhere, e.g. from a witness: what it saw must
                still be there.

        Raises:
            AuditError: A002, naming the entry or checkpoint that breaks.
        """
        with self._snapshot() as store:
            _, signed = check_store(store, self._profile, self._keys)
            size = signed.checkpoint.size
            if against is not None:
                seen = open_checkpoint(against, self._keys).checkpoint
                if seen.size > size:
                    raise invalid(
                        f"truncated: {seen.size} entries were signed, the log has {size}",
                        f"日志被截断：存在覆盖 {seen.size} 条记录的检查点，而日志只有 {size} 条",
                    )
                if store.computed(self._profile, lambda tree: tree.root(seen.size)) != seen.root:
                    raise invalid(
                        f"split view: the first {seen.size} entries are not those that were signed",
                        f"视图分裂：前 {seen.size} 条记录与已签名的不符",
                    )
            return size

    def export(self, path: Path) -> int:
        """Write the log as JSON lines for ``verify.py`` and return the number of entries.

        Raises:
            ConfigError: C011 when the file cannot be written; what was at ``path`` is still there
                then.
            AuditError: A001, A002 when the log cannot be read.
        """
        with self._snapshot() as store:
            return export.write(path, store, self._profile)

    def holding(self, first: bytes, second: bytes = b"", start: int = 0) -> Iterator[LogEntry]:
        """Yield the entries from ``start`` on whose leaf holds both byte strings, in order: a sieve, not an answer."""
        with self._snapshot() as store:
            found = list(store.entries_holding(first, second, start))
        yield from (LogEntry(index, leaf) for index, leaf in found)

    def releases(self, query: ReleaseQuery) -> Iterator[Usage]:
        """Yield who got what: the released entries that ``query`` is about, oldest first."""
        with self._snapshot() as store:
            first, second = query.needles()
            found = (LogEntry(index, leaf) for index, leaf in store.entries_holding(first, second))
            yield from releases(found, query)

    def affected(self, incident: int) -> tuple[Usage, ...]:
        """Return every release that the entry of an incident is about, once each, oldest first.

        Args:
            incident: Index of the entry.

        Raises:
            AuditError: A004 when there is no such entry.
            ValueError: The entry is not an incident with ``starts`` and ``ends``.
        """
        queries = incident_queries(self.entry(incident))
        found = {usage.index: usage for query in queries for usage in self.releases(query)}
        return tuple(found[index] for index in sorted(found))

    def retention(self) -> Retention:
        """Say which entries are past retention now. They stay: the log has no delete call."""
        now = self._clock.now()
        year = now.year - self._retention_years
        leap_day = (now.month, now.day) == (2, 29)
        before = now.replace(year=year, day=28) if leap_day else now.replace(year=year)
        past: list[range] = []
        for entry in self.entries():
            if entry.at >= before:
                continue
            if past and past[-1].stop == entry.index:
                past[-1] = range(past[-1].start, entry.index + 1)
            else:
                past.append(range(entry.index, entry.index + 1))
        return Retention(self._retention_years, before, tuple(past))


class ReadOnlyLog(LogView):
    """A log opened for reading: ``open``, then ``close``, or a ``with`` block; for one thread.

    It holds no lock: the process that writes the log goes on. What that appends meanwhile is not
    seen. While this is open, the writer's write-ahead log only grows; so it is for commands, not
    for services.
    """

    def __init__(
        self,
        store: LogStore,
        profile: HashProfile,
        keys: Sequence[VerifierKey],
        clock: Clock,
        retention_years: int,
    ) -> None:
        super().__init__(profile, keys, clock, retention_years)
        self._store = store
        self._size = 0

    @classmethod
    def open(
        cls,
        path: Path,
        keys: Sequence[VerifierKey],
        clock: Clock,
        *,
        retention_years: int = RETENTION_YEARS_MIN,
    ) -> Self:
        """Open the log at ``path`` and recompute all of it.

        Args:
            path: Database file.
            keys: The log's public keys, the present one first, from a place that is trusted.
            clock: For the retention report.
            retention_years: At least 3.

        Raises:
            AuditError: A001 when it cannot be read, A002 when it does not verify (naming the
                entry).
            ConfigError: C003 when retention is shorter than the law asks for.
        """
        check_retention(retention_years)
        try:
            store = Store(path, mode="ro")
            try:
                store.snapshot()
                store.recognize()
            except BaseException:
                store.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise refusal(error) from None
        return cls.over(store, keys, clock, retention_years)

    @classmethod
    def over(
        cls, store: LogStore, keys: Sequence[VerifierKey], clock: Clock, retention_years: int
    ) -> Self:
        """Recompute the whole log behind a connection that sees one state of it; ``close`` closes that.

        Raises:
            AuditError: As ``open``.
            ConfigError: C003 when retention is shorter than the law asks for.
        """
        try:
            found = PROFILES.get(store.identity()[1], SHA256)  # check_store refuses others
            opened = cls(store, found, keys, clock, retention_years)
            _, signed = check_store(store, found, keys)
        except (sqlite3.Error, OSError) as error:
            store.close()
            raise refusal(error) from None
        except BaseException:
            store.close()
            raise
        opened._size = signed.checkpoint.size
        return opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._store.close()

    @property
    def size(self) -> int:
        """Return the number of entries that there were when it was opened."""
        return self._size

    @contextmanager
    def _read(self) -> Iterator[LogStore]:
        try:
            yield self._store
        except (sqlite3.Error, OSError) as error:
            raise refusal(error) from None

    def _snapshot(self) -> AbstractContextManager[LogStore]:
        return self._read()


def check_retention(years: int) -> None:
    """Refuse a retention that is shorter than the law asks for.

    Raises:
        ConfigError: C003.
    """
    if years < RETENTION_YEARS_MIN:
        raise ConfigError("C003", what="audit.retention_years < 3")
