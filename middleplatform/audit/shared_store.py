"""The log in a PostgreSQL database that several gateways share.

The tables of the file, the same leaves, nodes and checkpoints. Any gateway may append, one at a time: an append is one
transaction, which takes an advisory lock before it looks at the newest checkpoint. Once a transaction has committed,
the server has synced it.

Spec: docs/spec/shared-store.md, "The log".
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from middleplatform.audit.faults import invalid
from middleplatform.audit.merkle import HashProfile, Tree, node_position
from middleplatform.audit.store import Batch

__all__ = ["DatabaseError", "SharedStore", "faults"]

_T = TypeVar("_T")
_VERSION = 1
_PAGE = 500
_TABLES = ("identity", "entries", "nodes", "checkpoints", "cosignatures")
_BEFORE_ROW_CHANGE = 1 | 2 | 8 | 16  # PostgreSQL's pg_trigger.h: row, before, delete, update
_BEFORE_TRUNCATE = 2 | 32
_REFUSE = "BEGIN RAISE EXCEPTION 'the log is append-only'; END"


def _statements() -> dict[str, str]:
    raw = files("middleplatform.audit").joinpath("sql", "postgres.sql").read_text(encoding="utf-8")
    parts = raw.split("-- name: ")[1:]
    return {
        name.strip(): body.strip() for name, _, body in (part.partition("\n") for part in parts)
    }


_STATEMENTS = _statements()


class DatabaseError(OSError):
    """The database did not do what it was told, or cannot be reached."""


@contextmanager
def faults() -> Iterator[None]:
    """Turn what the database's driver raises into one kind of error."""
    try:
        yield
    except SQLAlchemyError as error:
        raise DatabaseError(str(error)) from None


class SharedStore:
    """One connection of a shared log; every method raises ``DatabaseError``. Used by one thread at a time.

    Args:
        engine: Of a PostgreSQL database.

    Attributes:
        connection: SQLAlchemy's.
    """

    def __init__(self, engine: Engine) -> None:
        with faults():
            self.connection: Connection = engine.connect()

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
        """Give the connection back; what it has not committed is undone."""
        with faults():
            self.connection.close()

    def forget(self) -> None:
        """Throw the connection away: nobody knows what it has done."""
        with faults():
            self.connection.invalidate()
            self.connection.close()

    # --- transactions ---------------------------------------------------------------------------------------------

    def snapshot(self) -> None:
        """Begin a read transaction: every later read sees the same log."""
        self._run("snapshot")

    def begin(self) -> None:
        """Begin a transaction that appends, once no other does."""
        for name in ("impatient", "durable", "lock"):
            self._run(name)

    def commit(self) -> None:
        """Commit; it is on disk when this returns."""
        with faults():
            self.connection.commit()

    def rollback(self) -> None:
        """Undo what was begun, reading included."""
        with faults():
            self.connection.rollback()

    # --- writing, within ``begin`` and ``commit`` -------------------------------------------------------------------

    def adopt(self, origin: str, profile: str, first_note: str) -> bool:
        """Make the tables where there are none; say whether it did. Else refuse what is no log of this version.

        Raises:
            AuditError: A002.
        """
        if self.exists():
            self.recognize()
            return False
        self._script(_STATEMENTS["create"])
        for table in _TABLES:
            self._script(_STATEMENTS["guard"].format(table=table))
        self._run("add_identity", version=_VERSION, origin=origin, hash=profile)
        self._run("add_checkpoint", size=0, note=first_note)
        return True

    def append(self, batch: Batch) -> None:
        """Write a batch."""
        self.add_entries(batch.entries)
        self.add_nodes(batch.nodes)
        self.add_checkpoint(batch.size, batch.note)

    def add_entries(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Write (index, leaf) of new entries."""
        self._run("add_entries", positions=_integers(at for at, _ in rows), values=_bytes(rows))

    def add_nodes(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Write (position, hash) of new subtrees."""
        self._run("add_nodes", positions=_integers(at for at, _ in rows), values=_bytes(rows))

    def add_checkpoint(self, size: int, note: str) -> None:
        """Write a checkpoint."""
        self._run("add_checkpoint", size=size, note=note)

    def add_cosignature(self, size: int, line: str) -> None:
        """Keep a checked cosignature of the checkpoint at ``size``."""
        self._run("add_cosignature", size=size, line=line)

    # --- reading ----------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Say whether the database holds a log."""
        return bool(self._one("exists")[0])

    def recognize(self) -> None:
        """Refuse a log of another version.

        Raises:
            AuditError: A002.
        """
        found = self._maybe("version") if self.exists() else None
        if found is None or found[0] != _VERSION:
            what = (
                "the database holds no audit log of this version",
                "数据库中没有本版本的审计日志",
            )
            raise invalid(*what)

    def identity(self) -> tuple[str, str]:
        """Return origin and hash profile."""
        row = self._maybe("identity")
        if row is None:
            raise invalid("it has no identity", "缺少标识")
        return str(row[0]), str(row[1])

    def entry(self, index: int) -> bytes | None:
        """Return a leaf, or None."""
        row = self._maybe("entry", position=index)
        return None if row is None else bytes(row[0])

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf) in order."""
        for row in self._paged("entries", start, stop=stop):
            yield int(row[0]), bytes(row[1])

    def entries_holding(
        self, first: bytes, second: bytes, start: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf) from ``start`` on where both byte strings occur; an empty second one occurs always."""
        for row in self._paged("entries_holding", start, first=first, second=second):
            yield int(row[0]), bytes(row[1])

    def extent(self) -> tuple[int, int]:
        """Return how many entries there are and the greatest index, -1 for none."""
        count, last = self._one("entries_extent")
        return int(count), int(last)

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        return self.some_nodes([(level, index)])[level, index]

    def some_nodes(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return the hashes of complete subtrees, by (level, index), in one round trip.

        Raises:
            AuditError: A002 when one is missing.
        """
        places = {node_position(*each): each for each in wanted}
        found = {
            places[int(row[0])]: bytes(row[1])
            for row in self._all("some_nodes", positions=_integers(places))
        }
        if len(found) != len(places):
            raise invalid("a tree node is missing", "缺少树节点")
        return found

    def computed(self, profile: HashProfile, compute: Callable[[Tree], _T]) -> _T:
        """Return what ``compute`` makes of the tree; run twice, the first time to learn which nodes it needs."""
        wanted: dict[tuple[int, int], None] = {}

        def noted(level: int, index: int) -> bytes:
            wanted[level, index] = None
            return bytes(32)

        compute(Tree(profile, noted))
        nodes = self.some_nodes(list(wanted))
        return compute(Tree(profile, lambda *place: nodes[place]))

    def nodes(self) -> Iterator[tuple[int, bytes]]:
        """Yield (position, hash) in order."""
        for row in self._paged("nodes", 0):
            yield int(row[0]), bytes(row[1])

    def latest_checkpoint(self) -> tuple[int, str] | None:
        """Return (size, note) of the greatest checkpoint."""
        row = self._maybe("latest_checkpoint")
        return None if row is None else (int(row[0]), str(row[1]))

    def checkpoint(self, size: int) -> str | None:
        """Return the note that was signed at ``size``, or None."""
        row = self._maybe("checkpoint", size=size)
        return None if row is None else str(row[0])

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """Yield (size, note) by size."""
        for row in self._paged("checkpoints", 0):
            yield int(row[0]), str(row[1])

    def cosignatures(self, size: int) -> list[str]:
        """Return the cosignature lines kept for ``size``."""
        return [str(row[0]) for row in self._all("cosignatures", size=size)]

    def guarded(self) -> bool:
        """Say whether every append-only trigger is in place as this version wrote it."""
        rule = ("refuse", _REFUSE)
        wanted = {
            (f"{table}_{kind}", table, bits, True, True, *rule)
            for table in _TABLES
            for kind, bits in (("change", _BEFORE_ROW_CHANGE), ("truncate", _BEFORE_TRUNCATE))
        }
        return {tuple(row) for row in self._all("guards")} == wanted

    # --- statements -------------------------------------------------------------------------------------------------

    def _run(self, name: str, **values: object) -> None:
        with faults():
            self.connection.execute(text(_STATEMENTS[name]), values)

    def _script(self, statements: str) -> None:
        """Run statements one after the other; none has a semicolon within but for the function's, which is quoted."""
        with faults():
            for each in _split(statements):
                self.connection.exec_driver_sql(each)

    def _all(self, name: str, **values: object) -> Sequence[Any]:
        with faults():
            return self.connection.execute(text(_STATEMENTS[name]), values).all()

    def _one(self, name: str) -> Any:  # noqa: ANN401 - a row
        with faults():
            return self.connection.execute(text(_STATEMENTS[name])).one()

    def _maybe(self, name: str, **values: object) -> Any:  # noqa: ANN401 - a row or None
        with faults():
            return self.connection.execute(text(_STATEMENTS[name]), values).one_or_none()

    def _paged(self, name: str, start: int, **values: object) -> Iterator[Any]:
        """Yield rows in the order of their first column, page by page: a log need not fit into memory."""
        while True:
            rows = self._all(name, start=start, page=_PAGE, **values)
            yield from rows
            if len(rows) < _PAGE:
                return
            start = int(str(rows[-1][0])) + 1


def _split(statements: str) -> list[str]:
    """Split at semicolons that end a line."""
    return [part.strip().removesuffix(";") for part in statements.split(";\n")]


def _integers(values: Iterable[int]) -> str:
    """Return an array as PostgreSQL writes it: the driver would send rows one by one."""
    return "{" + ",".join(map(str, values)) + "}"


def _bytes(rows: Iterable[tuple[int, bytes]]) -> str:
    """Return an array of byte strings as PostgreSQL writes it."""
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for _, value in rows) + "}"
