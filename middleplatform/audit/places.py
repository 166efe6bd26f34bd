"""Where a log lies, as a log sees it: who lends connections, and what a connection can do.

Two places: a SQLite file, which one process writes (``FilePlace``), and a PostgreSQL database, in which several
append in turn (``shared_place.SharedPlace``).
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from middleplatform.audit.merkle import HashProfile, Tree
from middleplatform.audit.store import LogLock, Store, refusal

__all__ = ["FilePlace", "LogStore", "Place"]

_T = TypeVar("_T")


class LogStore(Protocol):
    """One connection to a log: what reading it, and recomputing it, needs."""

    def close(self) -> None:
        """Close the connection."""

    def recognize(self) -> None:
        """Refuse what is no log of this version (A002)."""

    def identity(self) -> tuple[str, str]:
        """Return origin and hash profile."""
        ...

    def entry(self, index: int) -> bytes | None:
        """Return a leaf, or None."""
        ...

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf) in order."""
        ...

    def entries_holding(
        self, first: bytes, second: bytes, start: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf) from ``start`` on where both byte strings occur; an empty second one occurs always."""
        ...

    def extent(self) -> tuple[int, int]:
        """Return how many entries there are and the greatest index, -1 for none."""
        ...

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        ...

    def computed(self, profile: HashProfile, compute: Callable[[Tree], _T]) -> _T:
        """Return what ``compute`` makes of the tree; a pure function, which may be called twice."""
        ...

    def nodes(self) -> Iterable[tuple[int, bytes]]:
        """Yield (position, hash) in order."""
        ...

    def latest_checkpoint(self) -> tuple[int, str] | None:
        """Return (size, note) of the greatest checkpoint."""
        ...

    def checkpoint(self, size: int) -> str | None:
        """Return the note that was signed at ``size``, or None."""
        ...

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """Yield (size, note) by size."""
        ...

    def cosignatures(self, size: int) -> list[str]:
        """Return the cosignature lines kept for ``size``."""
        ...

    def guarded(self) -> bool:
        """Say whether every append-only trigger is in place as this version wrote it."""
        ...


class Place(Protocol):
    """Lends connections for reading; what they raise comes out as ``sqlite3.Error`` or ``OSError``."""

    def read(self) -> AbstractContextManager[LogStore]:
        """Lend a connection for a moment."""
        ...

    def snapshot(self) -> AbstractContextManager[LogStore]:
        """Lend a connection that sees the log as it is now, however long it takes."""
        ...

    def close(self) -> None:
        """Give the place free. Closing twice does no harm."""


class FilePlace:
    """A SQLite file, locked for this process.

    Args:
        path: The database file.
        lock: Held until ``close``.
    """

    def __init__(self, path: Path, lock: LogLock) -> None:
        self._path, self._lock = path, lock
        self._reader: Store | None = None
        self._reading = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close the reader and give the lock back."""
        with self._reading:
            closed, self._closed = self._closed, True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        if not closed:
            self._lock.release()

    @contextmanager
    def read(self) -> Iterator[Store]:
        """Lend the shared read connection to one thread at a time."""
        with self._reading:
            if self._closed:
                raise refusal(OSError("the log is closed"))
            if self._reader is None:
                self._reader = Store(self._path)
            yield self._reader

    @contextmanager
    def snapshot(self) -> Iterator[Store]:
        """Lend a connection of its own, which sees the log as it is now."""
        if self._closed:
            raise refusal(OSError("the log is closed"))
        with Store(self._path) as store:
            store.snapshot()
            yield store
