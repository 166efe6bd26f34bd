"""Engines in memory that are kept for the next statement: to open one takes longer than most statements.

A statement works in a transaction that is rolled back; an engine that is not empty then, or on which anything
failed, is closed and never used again. So nothing of one statement is there for another.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import duckdb

from connectors.engine import in_memory, shut_doors

__all__ = ["Engines"]

_KEPT = 4
_LEFT = """
SELECT count(*) FROM (
    SELECT 1 FROM duckdb_tables()
    UNION ALL SELECT 1 FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT 1 FROM duckdb_schemas() WHERE NOT internal
)
"""


class Engines:
    """Engines with all doors shut; safe between threads.

    Args:
        threads: Of each.
        memory_mb: Mebibytes that each may use.
    """

    def __init__(self, threads: int, memory_mb: int) -> None:
        self._threads, self._memory_mb = threads, memory_mb
        self._lock = threading.Lock()
        self._idle: list[tuple[tuple[str, ...], duckdb.DuckDBPyConnection]] = []
        self._closed = False

    @contextmanager
    def empty(self, files: Collection[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection in a transaction to an engine that holds nothing.

        Args:
            files: Absolute paths, the only files that it reads.
        """
        key = tuple(sorted(files))
        engine = self._taken(key)
        try:
            connection = engine.cursor()
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")
            empty = connection.execute(_LEFT).fetchall() == [(0,)]
            connection.close()
        except BaseException:
            engine.close()
            raise
        self._give_back(key, engine, empty=empty)

    def _taken(self, key: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
        with self._lock:
            for place, (files, engine) in enumerate(self._idle):
                if files == key:
                    del self._idle[place]
                    return engine
        engine = in_memory(self._threads, self._memory_mb)
        shut_doors(engine, key)
        return engine

    def _give_back(
        self, key: tuple[str, ...], engine: duckdb.DuckDBPyConnection, *, empty: bool
    ) -> None:
        over = [engine]
        with self._lock:
            if empty and not self._closed:
                self._idle.append((key, engine))
                over = [self._idle.pop(0)[1]] if len(self._idle) > _KEPT else []
        for each in over:
            each.close()

    def close(self) -> None:
        """Close those that nothing runs on; the others close when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, engine in idle:
            engine.close()
