"""The log on disk: one SQLite file and a lock file beside it.

WAL mode, ``synchronous=FULL``. Only ``log.py`` and its parts use this. What is committed has been
fsynced; what is not leaves no trace.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from middleplatform.audit.faults import invalid, unwritable
from middleplatform.audit.merkle import HashProfile, Tree, node_position
from middleplatform.errors import AuditError

__all__ = ["Batch", "LogLock", "Store", "refusal"]

_T = TypeVar("_T")
_APPLICATION_ID = 1296649031
_VERSION = 1
_BUSY_MS = 10_000


def _sql(name: str) -> str:
    return files("middleplatform.audit").joinpath("sql", name).read_text(encoding="utf-8")


def _statements() -> dict[str, str]:
    parts = _sql("statements.sql").split("-- name: ")[1:]
    return {
        name.strip(): body.strip() for name, _, body in (part.partition("\n") for part in parts)
    }


_SCHEMA = _sql("schema.sql")
_STATEMENTS = _statements()


def refusal(error: Exception) -> AuditError:
    """Map what SQLite or the system raised: A002 for a file that is no sound log, else A001."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.Error) and code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return invalid("the file is not a sound audit log", "文件不是完好的审计日志")
    return unwritable(f"{type(error).__name__}: {error}")


class LogLock:
    """Exclusive use of a log: an ``flock`` that the kernel takes back however its holder ends.

    A file of its own: closing a descriptor of the database would drop SQLite's locks in this
    process. It is never removed, since a second holder could then lock a new one.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock of the log at ``path``.

        Raises:
            AuditError: A003 when another process, or this one, has the log open; A001 when it
                cannot be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
        except OSError as error:
            raise refusal(error) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise AuditError("A003") from None

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one group commit writes.

    Attributes:
        entries: (index, leaf).
        nodes: (position, hash) of the subtrees that they complete.
        size: Tree size afterwards.
        note: The checkpoint signed for it.
    """

    entries: list[tuple[int, bytes]]
    nodes: list[tuple[int, bytes]]
    size: int
    note: str


class Store:
    """One connection. A writer's may append; every method raises ``sqlite3.Error`` as it comes.

    Args:
        path: The database file.
        writable: Whether this is the writer's connection.
        mode: ``rw``, or ``ro`` for a reader in another process, which never touches the file.
    """

    def __init__(
        self, path: Path, *, writable: bool = False, mode: Literal["rw", "ro"] = "rw"
    ) -> None:
        # One thread uses a connection at a time (writer thread, or under log.py's lock), not always
        # the same one. In both modes a file that has gone is an error, not a reason to begin an
        # empty one.
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True,
            timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        self._path, self._file = path, _identity(path)
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA synchronous = FULL")
            if not writable:
                self._connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error:
            self._connection.close()
            raise

    @classmethod
    def open_or_create(cls, path: Path, origin: str, profile: str, first_note: str) -> Self:
        """Open the writer's connection; begin the log when the file is new.

        Args:
            path: The database file.
            origin: Name of the log.
            profile: Name of its hash function.
            first_note: Signed checkpoint of the empty log.

        Raises:
            AuditError: A002 when the file is something else.
            sqlite3.Error, OSError: It cannot be opened or written.
        """
        os.close(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        )  # SQLite would follow the umask
        store = cls(path, writable=True)
        try:
            store._adopt(origin, profile, first_note)
            _sync_directory(path.parent)
        except BaseException:
            store.close()
            raise
        return store

    def _adopt(self, origin: str, profile: str, first_note: str) -> None:
        run = self._connection.execute
        (mode,) = run("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise unwritable("the file system does not carry a write-ahead log")
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if (tables, *self._kind()) == (0, 0, 0):
            script = (
                "BEGIN IMMEDIATE;\n" + _SCHEMA
            )  # executescript runs it as it is, in our transaction
            try:
                self._connection.executescript(script)
                run(_STATEMENTS["add_identity"], (origin, profile))
                run(_STATEMENTS["add_checkpoint"], (0, first_note))
                run("COMMIT")
            except sqlite3.Error:
                self.rollback()
                raise
        else:
            self.recognize()

    def _kind(self) -> tuple[int, int]:
        """Return what the file says it is: application id and version of its schema."""
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return application, version

    def recognize(self) -> None:
        """Refuse a file of another kind or version.

        Raises:
            AuditError: A002.
        """
        if self._kind() != (_APPLICATION_ID, _VERSION):
            raise invalid(
                "the file is not an audit log of this version", "文件不是本版本的审计日志"
            )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def snapshot(self) -> None:
        """Begin a read transaction: every later read sees the same log."""
        self._connection.execute("BEGIN")

    def append(self, batch: Batch) -> None:
        """Write a batch in one transaction; it is on disk when this returns.

        Raises:
            OSError: The file is no longer the one at our path: what we wrote would be lost with it.
        """
        connection = self._connection
        if _identity(self._path) != self._file:
            raise FileNotFoundError("the database file was replaced")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_STATEMENTS["add_entry"], batch.entries)
        connection.executemany(_STATEMENTS["add_node"], batch.nodes)
        connection.execute(_STATEMENTS["add_checkpoint"], (batch.size, batch.note))
        connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo an unfinished transaction, if SQLite has not done so itself."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def add_cosignature(self, size: int, line: str) -> None:
        """Keep a checked cosignature of the checkpoint at ``size``."""
        self._connection.execute(_STATEMENTS["add_cosignature"], (size, line))

    def identity(self) -> tuple[str, str]:
        """Return origin and hash profile."""
        row: tuple[str, str] = self._connection.execute(_STATEMENTS["identity"]).fetchone()
        return row

    def entry(self, index: int) -> bytes | None:
        """Return a leaf, or None."""
        row = self._connection.execute(_STATEMENTS["entry"], (index,)).fetchone()
        return row[0] if row else None

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf) in order."""
        yield from self._connection.execute(_STATEMENTS["entries"], (start, stop))

    def entries_holding(
        self, first: bytes, second: bytes, start: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf) from ``start`` on where both byte strings occur; an empty second one occurs always."""
        yield from self._connection.execute(_STATEMENTS["entries_holding"], (first, second, start))

    def extent(self) -> tuple[int, int]:
        """Return how many entries there are and the greatest index, -1 for none."""
        row: tuple[int, int] = self._connection.execute(_STATEMENTS["entries_extent"]).fetchone()
        return row

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        row = self._connection.execute(
            _STATEMENTS["node"], (node_position(level, index),)
        ).fetchone()
        if row is None:
            raise invalid("a tree node is missing", "缺少树节点")
        value: bytes = row[0]
        return value

    def computed(self, profile: HashProfile, compute: Callable[[Tree], _T]) -> _T:
        """Return what ``compute`` makes of the tree."""
        return compute(Tree(profile, self.node))

    def nodes(self) -> Iterable[tuple[int, bytes]]:
        """Yield (position, hash) in order."""
        return self._connection.execute(_STATEMENTS["nodes"])

    def latest_checkpoint(self) -> tuple[int, str] | None:
        """Return (size, note) of the greatest checkpoint."""
        row: tuple[int, str] | None = self._connection.execute(
            _STATEMENTS["latest_checkpoint"]
        ).fetchone()
        return row

    def checkpoint(self, size: int) -> str | None:
        """Return the note that was signed at ``size``, or None."""
        row = self._connection.execute(_STATEMENTS["checkpoint"], (size,)).fetchone()
        return row[0] if row else None

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """Yield (size, note) by size."""
        yield from self._connection.execute(_STATEMENTS["checkpoints"])

    def cosignatures(self, size: int) -> list[str]:
        """Return the cosignature lines kept for ``size``."""
        return [row[0] for row in self._connection.execute(_STATEMENTS["cosignatures"], (size,))]

    def guarded(self) -> bool:
        """Say whether every append-only trigger is in place as this version wrote it."""
        here = dict(self._connection.execute(_STATEMENTS["triggers"]).fetchall())
        with closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(_SCHEMA)
            wanted = dict(fresh.execute(_STATEMENTS["triggers"]).fetchall())
        return here == wanted


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
