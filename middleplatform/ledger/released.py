"""What a node has released, as sets of units: bitmaps by project, dataset and kind, found by their sizes (R14).

A set is kept once, whatever asks for it. Nothing here knows an identifier: units are numbers that the node gives.
Spec: docs/spec/history.md, "Storage".
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

import numpy as np
import numpy.typing as npt

from middleplatform.errors import ConfigError

__all__ = ["BASE", "FULL", "LISTED", "Block", "Holder", "Member", "ReleasedSets", "Sketches"]

BASE, FULL, LISTED = "base", "full", "listed"
"""Kinds: base populations, released ones as they were asked, and those listed for a private join."""

_CACHE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose history it is.

    Attributes:
        project: Of the questions.
        dataset: Dataset and key column that name the units.
        kind: ``BASE``, ``FULL`` or ``LISTED``.
    """

    project: str
    dataset: str
    kind: str


@dataclass(frozen=True, slots=True)
class Member:
    """One set of a block.

    Attributes:
        label: Text of a cell's labels; empty for a block without dimensions; ``WHOLE`` for all cells together.
        digest: Of the set, the same for equal sets only.
        planes: The set.
        units: How many units it has.
        rest: How many units have rows outside it, in the universe of its block.
        shown: Whether something of it was released; a withheld cell is kept for totals only.
        counted: Whether it counts for the cap of overlaps.
    """

    label: str
    digest: bytes
    planes: bytes
    units: int
    rest: int
    shown: bool = True
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Sets that were released together.

    Attributes:
        holder: Whose.
        shape: Fragment text whose rows they are.
        universe: (digest, planes) of all units' rows in the snapshot.
        least: Threshold under which they were judged.
    """

    holder: Holder
    shape: str
    universe: tuple[bytes, bytes]
    least: int

    def digest(self, members: Sequence[Member]) -> bytes:
        """Return what is the same for the same block with the same sets only."""
        holder = self.holder
        parts = [holder.project, holder.dataset, holder.kind, self.shape, str(self.least)]
        found = sha256(repr((parts, self.universe[0])).encode())
        for each in members:
            found.update(repr((each.label, each.digest, each.shown, each.counted)).encode())
        return found.digest()


class Sketches:
    """Short summaries of contents, in memory: rows of an array by content."""

    def __init__(self) -> None:
        self._rows: npt.NDArray[np.int16] = np.zeros((0, 0), dtype=np.int16)
        self._known: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def of(
        self, contents: Sequence[int], make: Callable[[int], npt.NDArray[np.int16]]
    ) -> npt.NDArray[np.int16]:
        """Return the summaries of contents, each made once; shape (contents, length of one)."""
        places = np.array(contents, dtype=np.int64)
        end = int(places.max()) + 1
        if end > len(self._known):
            more = 2 * end - len(self._known)
            self._known = np.pad(self._known, (0, more))
            width = self._rows.shape[1] or len(make(contents[0]))
            rows = np.zeros((len(self._known), width), dtype=np.int16)
            rows[: len(self._rows), : self._rows.shape[1]] = self._rows
            self._rows = rows
        for place in places[~self._known[places]].tolist():
            self._rows[place] = make(place)
            self._known[place] = True
        return self._rows[places]

    def forget(self) -> None:
        """Forget all: numbers of contents may be given again."""
        self._known[:] = False


class ReleasedSets:
    """Tables of the history's file; one writer at a time, and what it wrote is kept whole or not at all.

    Args:
        database: The history's, in autocommit mode.
        sql: Its statements.
        lock: Of its other users.

    Attributes:
        sketches: Of contents, for who compares them.
    """

    def __init__(self, database: sqlite3.Connection, sql: Mapping[str, str], lock: Lock) -> None:
        self._database, self._sql, self._lock = database, sql, lock
        self._cached: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self.sketches = Sketches()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep all that is added inside, durably, at the end; nothing where an error ends it.

        Raises:
            ConfigError: C011 when the file refuses; then nothing may leave.
        """
        with self._lock:
            self._run("begin")
            try:
                yield
            except BaseException:
                self._back()
                raise
            self._run("commit")

    def seen(self, holder: Holder, digest: bytes, universe: bytes, least: int) -> bool:
        """Say whether this very set was released, of this universe and under no lower threshold."""
        place = self._place(holder)
        return place > 0 and bool(self._all("seen", place, digest, universe, least)[0][0])

    def near(
        self, holder: Holder, units: tuple[int, int], *, rest: bool = False
    ) -> list[tuple[int, int]]:
        """Return earlier sets by size, both ends included.

        Args:
            holder: Whose.
            units: Least and most units of the set; where ``rest``, of what it leaves of its universe.
            rest: See there.

        Returns:
            (content, universe's content), the latter 0 unless ``rest``.
        """
        place = self._place(holder)
        return self._all("by_rest" if rest else "by_units", place, *units) if place else []

    def counted(self, holder: Holder) -> list[int]:
        """Return the sets that count for the cap of overlaps."""
        return [row[0] for row in self._all("counted", self._place(holder))]

    def larger(self, holder: Holder, units: int) -> list[int]:
        """Return earlier sets of at least so many units, the latest first."""
        return [row[0] for row in self._all("larger", self._place(holder), units)]

    def shown(self, holder: Holder, shape: str, units: int) -> list[int]:
        """Return the released cells of other shapes that have at least so many units."""
        return [row[0] for row in self._all("shown", self._place(holder), shape, units)]

    def withheld(self, holder: Holder, units: int) -> list[tuple[int, str, int]]:
        """Return withheld cells of fewer units: (block, its shape, content)."""
        return self._all("withheld", self._place(holder), units)

    def cells(self, block: int) -> list[tuple[int, bool]]:
        """Return the cells of a block: (content, whether it was released)."""
        return [(content, bool(shown)) for content, shown in self._all("cells", block)]

    def planes(self, content: int) -> bytes:
        """Return a set; those read lately from memory."""
        found = self._cached.get(content)
        if found is None:
            found = bytes(self._all("content", content)[0][0])
            self._cached[content] = found
            self._bytes += len(found)
            while self._bytes > _CACHE_BYTES:
                self._bytes -= len(self._cached.popitem(last=False)[1])
        else:
            self._cached.move_to_end(content)
        return found

    def add(self, block: Block, members: Sequence[Member], moment: str) -> None:
        """Keep sets; inside ``writing``.

        Args:
            block: What they have in common.
            members: May be empty: then nothing is kept.
            moment: ISO 8601.

        Raises:
            ConfigError: C011 when the file refuses the write.
        """
        if not members:
            return
        holder = block.holder
        self._all("hold", holder.project, holder.dataset, holder.kind)
        universe = self._content(*block.universe)
        row = (block.digest(members), holder.project, holder.dataset, holder.kind, block.shape)
        known = self._all("block", *row, universe, block.least, moment)
        for each in members if known else ():
            content = self._content(each.digest, each.planes)
            sizes = (each.units, each.rest, int(each.shown), int(each.counted))
            self._all("member", known[0][0], self._place(holder), each.label, content, *sizes)

    def number(self, digest: bytes) -> int:
        """Return the content of a digest, 0 where there is none."""
        found = self._all("content_of", digest)
        return int(found[0][0]) if found else 0

    def _content(self, digest: bytes, planes: bytes) -> int:
        found = self.number(digest)
        if not found:
            self._all("keep", digest, planes)
            found = self.number(digest)
        return found

    def _place(self, holder: Holder) -> int:
        found = self._all("holder", holder.project, holder.dataset, holder.kind)
        return int(found[0][0]) if found else 0

    def _all(self, name: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        return self._run(self._sql[name], *values)

    def _run(self, sql: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise ConfigError("C011", what="the history file", detail=str(error)) from None

    def _back(self) -> None:
        """Undo, and forget what was cached of it: its numbers will be given again."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        self._cached.clear()
        self._bytes = 0
        self.sketches.forget()
