"""The audit log: no receipt, no answer.

``submit`` takes a record, ``Receipt`` says that it is on disk, at which index, under which signed
checkpoint, with the proof. There is no call that changes or deletes. One process has the log open
at a time.

Spec: docs/spec/audit-log.md
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from middleplatform.audit import export
from middleplatform.audit.checkpoint import check_cosignature, open_checkpoint, parse_signature
from middleplatform.audit.entry import LogEntry, leaf_head
from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.merkle import SHA256, Frontier, HashProfile, Tree
from middleplatform.audit.search import ReleaseQuery, Usage, incident_queries, releases
from middleplatform.audit.selfcheck import check_store
from middleplatform.audit.store import LogLock, Store, refusal
from middleplatform.audit.writer import Writer, signed_note
from middleplatform.errors import AuditError, ConfigError
from middleplatform.model.record import AuditRecord, Receipt
from middleplatform.ports import Clock

__all__ = ["AuditLog", "Retention"]

_RETENTION_YEARS_MIN = 3  # decree 809 art. 29; 网络数据安全管理条例 art. 12
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


class AuditLog:
    """An open log: ``open``, then ``close``, or a ``with`` block; many threads may use it."""

    def __init__(
        self, path: Path, lock: LogLock, writer: Writer, profile: HashProfile,
        keys: Sequence[VerifierKey], clock: Clock, retention_years: int,
    ) -> None:  # fmt: skip
        self._path, self._lock, self._writer = path, lock, writer
        self._profile, self._keys, self._clock = profile, tuple(keys), clock
        self._retention_years = retention_years
        self._reader: Store | None = None
        self._reading = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, signer: CheckpointSigner, clock: Clock, *,
        retention_years: int = _RETENTION_YEARS_MIN,
        profile: HashProfile = SHA256, retired_keys: Sequence[VerifierKey] = (),
    ) -> Self:  # fmt: skip
        """Open the log at ``path``, or begin one; recompute all of it before the first append.

        Args:
            path: Database file; a lock file stands beside it, and SQLite's own.
            signer: The log's key; its name is the origin.
            clock: For the retention report.
            retention_years: At least 3.
            profile: Hash function; fixed for the life of the log.
            retired_keys: Earlier keys of this log, whose checkpoints still count.

        Raises:
            AuditError: A001 when it cannot be opened or written, A002 when it does not verify
                (naming the entry), A003 when it is open already.
            ConfigError: C003 when retention is shorter than the law asks for.
        """
        if retention_years < _RETENTION_YEARS_MIN:
            raise ConfigError("C003", what="audit.retention_years < 3")
        keys = (signer.key, *retired_keys)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path = path.resolve()
        except OSError as error:
            raise refusal(error) from None
        lock = LogLock(path)
        try:
            first = signed_note(signer, Frontier(profile))
            store = Store.open_or_create(path, signer.name, profile.name, first)
            try:
                frontier, latest = check_store(store, profile, keys)
            except BaseException:
                store.close()
                raise
        except (sqlite3.Error, OSError) as error:
            lock.release()
            raise refusal(error) from None
        except BaseException:
            lock.release()
            raise
        writer = Writer(path, store, signer, keys, frontier, latest)
        return cls(path, lock, writer, profile, keys, clock, retention_years)

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
        """Commit what is queued, then give the log free. Closing twice does no harm."""
        self._writer.close()
        with self._reading:
            closed, self._closed = self._closed, True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        if not closed:
            self._lock.release()

    def submit(self, record: AuditRecord) -> "Future[Receipt]":
        """Queue ``record``; the future resolves once it is on disk.

        A future that is canceled before its group is taken is not written.

        Args:
            record: ``body["at"]`` says when the event took place (RFC 3339, with offset).

        Raises:
            ValueError: The record has no canonical form or no ``at``: the caller's mistake.
            LimitError: L001 when 65,536 entries wait already.
            AuditError: A001 when the log is closed. The future raises A001 when the disk refuses
                the entry, which then is not in the log; A002 when acknowledged entries have
                vanished from it.
        """
        return self._writer.append(leaf_head(record))

    def append(self, record: AuditRecord) -> Receipt:
        """Append ``record`` and wait until it is on disk; raises as ``submit`` and its future."""
        return self.submit(record).result()

    @property
    def size(self) -> int:
        """Return the number of acknowledged entries."""
        return self._writer.latest.checkpoint.size

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

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint, with the cosignatures kept for it."""
        latest = self._writer.latest
        with self._read() as store:
            return latest.text() + "".join(store.cosignatures(latest.checkpoint.size))

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

    def add_cosignature(self, size: int, line: str, witness: VerifierKey) -> None:
        """Check and keep a witness's cosignature of the checkpoint at ``size``.

        Raises:
            AuditError: A002 when it does not verify, A004 when there is no such checkpoint, A001.
        """
        checkpoint = open_checkpoint(self.checkpoint_at(size), self._keys).checkpoint
        check_cosignature(checkpoint, parse_signature(line), witness)
        self._writer.keep_cosignature(size, line).result()

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
            return tuple(Tree(self._profile, store.node).inclusion_proof(index, size))

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of ``old`` entries is a prefix of that of ``new``.

        Raises:
            AuditError: A004 when ``old`` exceeds ``new`` or ``new`` is beyond the log.
        """
        if not 0 <= old <= new <= self.size:
            raise AuditError("A004", index=new)
        with self._read() as store:
            return tuple(Tree(self._profile, store.node).consistency_proof(old, new))

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
                if Tree(self._profile, store.node).root(seen.size) != seen.root:
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

    @contextmanager
    def _read(self) -> Iterator[Store]:
        """Lend the shared read connection to one thread at a time."""
        with self._reading:
            if self._closed:
                raise refusal(OSError("the log is closed"))
            try:
                if self._reader is None:
                    self._reader = Store(self._path)
                yield self._reader
            except (sqlite3.Error, OSError) as error:
                raise refusal(error) from None

    @contextmanager
    def _snapshot(self) -> Iterator[Store]:
        """Lend a connection of its own, which sees the log as it is now however long it takes."""
        if self._closed:
            raise refusal(OSError("the log is closed"))
        try:
            with Store(self._path) as store:
                store.snapshot()
                yield store
        except (sqlite3.Error, OSError) as error:
            raise refusal(error) from None
