"""What was already released: populations by project and data owner, and near-duplicate questions of a day (R14).

A node keeps the sets of units of its own releases (``released``), the gateway the questions, and the sizes of what it
released of private joins. Kept per project, not per analyst: analysts collude. Survives restarts.
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Protocol

from middleplatform.errors import ConfigError
from middleplatform.ledger.released import ReleasedSets

__all__ = ["WHOLE", "History", "Population", "QuestionRows", "SharedHistory"]

WHOLE = "*"
"""Label of all cells of a block together: not a value that was shown, but one that its cells add up to."""


@dataclass(frozen=True, slots=True)
class Population:
    """A set of units whose aggregates were released.

    Attributes:
        shape: Fragment text whose rows it is.
        label: Text of a cell's labels; empty for a block without dimensions; ``WHOLE`` for all cells together.
        units_low: Distinct units at release, at least.
        units_high: The same, at most; a unit may stand in several cells.
    """

    shape: str
    label: str
    units_low: int
    units_high: int


class History:
    """In a SQLite file of its own; safe between threads.

    Args:
        path: The file, made where missing; ``None`` keeps it in memory.
        sets: Whether it is a node's: one of an earlier version, which has no sets, is refused then.

    Raises:
        ConfigError: C011 when the file cannot be opened or made; C014 for one of an earlier version.

    Attributes:
        released: A node's sets of units.
    """

    def __init__(self, path: Path | None, *, sets: bool = False) -> None:
        self._sql = _statements()
        self._lock = Lock()
        try:
            if path is not None:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._database = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(self._sql["create"])
            old = sets and self._database.execute(self._sql["sizes_only"]).fetchone()[0]
        except (sqlite3.Error, OSError):
            raise ConfigError("C011", what="the history file") from None
        if old:
            self._database.close()
            raise ConfigError("C014", name=path.name if path else "")
        self.released = ReleasedSets(self._database, self._sql, self._lock)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else compare and add while within: this process is the only one."""
        yield

    def any(self, project: str, dataset: str) -> bool:
        """Say whether anything was released of a dataset to a project."""
        with self._lock:
            return bool(
                self._database.execute(self._sql["any"], (project, dataset) * 2).fetchone()[0]
            )

    def near(
        self, project: str, dataset: str, units: tuple[int, int], complement: tuple[int, int]
    ) -> list[Population]:
        """Return earlier populations whose size may lie in one of two ranges (both ends included)."""
        with self._lock:
            rows = self._database.execute(
                self._sql["near"], (project, dataset, *units, *complement)
            ).fetchall()
        return [Population(*row) for row in rows]

    def add(
        self, project: str, dataset: str, populations: Iterable[Population], moment: str
    ) -> None:
        """Keep populations, durably, before their aggregates leave.

        Raises:
            ConfigError: C011 when the file refuses the write; then nothing may leave.
        """
        rows = [
            (
                project,
                dataset,
                each.shape,
                each.label,
                each.units_low,
                each.units_high,
                moment,
            )
            for each in populations
        ]
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(self._sql["add"], rows)
                self._database.execute("COMMIT")
            except sqlite3.Error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise ConfigError("C011", what="the history file") from None

    def ask(self, project: str, day: str, fingerprint: str, statement: str) -> int:
        """Take note of a question and return how many different ones of its fingerprint the day has seen."""
        with self._lock:
            try:
                self._database.execute(self._sql["ask"], (project, day, fingerprint, statement))
                found = self._database.execute(
                    self._sql["asked"], (project, day, fingerprint)
                ).fetchone()
            except sqlite3.Error:
                raise ConfigError("C011", what="the history file") from None
        return int(found[0])


class QuestionRows(Protocol):
    """Where several gateways keep their questions and sizes together."""

    def alone(self) -> AbstractContextManager[None]:
        """Let no other gateway read or add sizes while within."""
        ...

    def any(self, project: str, dataset: str) -> bool:
        """As ``History.any``."""
        ...

    def near(
        self, project: str, dataset: str, units: tuple[int, int], complement: tuple[int, int]
    ) -> list[tuple[str, str, int, int]]:
        """As ``History.near``: shape, label and bounds."""
        ...

    def add(
        self, project: str, dataset: str, rows: Iterable[tuple[str, str, int, int]], moment: str
    ) -> None:
        """As ``History.add``."""
        ...

    def ask(self, project: str, day: str, fingerprint: str, statement: str) -> int:
        """As ``History.ask``."""
        ...

    def close(self) -> None:
        """Close what belongs to this gateway alone."""


class SharedHistory(History):
    """A gateway's history beside other gateways; sets of units are a node's and not here.

    Args:
        rows: In the store that they share. What it refuses is a ``ConfigError``: then nothing may leave.
    """

    def __init__(self, rows: QuestionRows) -> None:
        self._rows = rows

    def close(self) -> None:
        """Close the rows."""
        self._rows.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other gateway compare and add while within; for one thread, which does not wait meanwhile."""
        with self._rows.alone():
            yield

    def any(self, project: str, dataset: str) -> bool:
        """Say whether anything was released of a dataset to a project."""
        return self._rows.any(project, dataset)

    def near(
        self, project: str, dataset: str, units: tuple[int, int], complement: tuple[int, int]
    ) -> list[Population]:
        """Return earlier populations whose size may lie in one of two ranges (both ends included)."""
        return [Population(*row) for row in self._rows.near(project, dataset, units, complement)]

    def add(
        self, project: str, dataset: str, populations: Iterable[Population], moment: str
    ) -> None:
        """Keep populations, durably, before their aggregates leave."""
        rows = [(each.shape, each.label, each.units_low, each.units_high) for each in populations]
        self._rows.add(project, dataset, rows, moment)

    def ask(self, project: str, day: str, fingerprint: str, statement: str) -> int:
        """Take note of a question and return how many different ones of its fingerprint the day has seen."""
        return self._rows.ask(project, day, fingerprint, statement)


def _statements() -> dict[str, str]:
    text = files("middleplatform.ledger").joinpath("history.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
