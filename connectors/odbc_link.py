"""One connection to an ODBC source, used from a thread that nobody has to wait for.

A driver's call cannot be interrupted: it ends by its own query timeout, or with its source. Who
stopped waiting leaves the connection behind, and it is closed as soon as the driver comes back.
"""

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import arrow_odbc
import pyarrow as pa

from connectors.calls import Call

__all__ = ["Login", "OdbcLink"]

_BATCH_BYTES = 1 << 24  # of the driver's buffers, which are as long as the longest text
_LOOK_EVERY_S = 0.05
_LOGIN_S = 15
_GOODBYE_S = 1.0
_DESCRIBE_S = 60


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """How to connect; it holds the password, so it is made and dropped at once.

    Attributes:
        source: Connection string.
        user: "" for what the driver does by itself.
        secret: "" likewise.
    """

    source: str
    user: str
    secret: str


class OdbcLink:
    """A connection and at most one open result.

    Args:
        login: How to connect.
        call: That it works for: every method raises what ``call.check`` raises, soon after the call
            is over, and ``arrow_odbc.Error`` for what the driver says.
    """

    def __init__(self, login: Login, call: Call) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._busy = self._released = False
        self._connection: arrow_odbc.Connection | None = None
        self._reader: arrow_odbc.BatchReader | None = None

        def connect() -> None:
            self._connection = arrow_odbc.connect(
                login.source,
                login.user or None,
                login.secret or None,
                login_timeout_sec=self._seconds(_LOGIN_S),
                autocommit=False,
            )

        try:
            self._run(connect)
        except BaseException:
            self.release()
            raise

    def open(self, sql: str, rows: int, text_max: int, *, as_text: bool) -> pa.Schema:
        """Run a query; ``next_batch`` gives its rows.

        Args:
            sql: One SELECT.
            rows: Of a batch, at most.
            text_max: Bytes of the longest text; more is an error of the driver.
            as_text: Have every value written as text.

        Returns:
            Its columns.
        """

        def run() -> None:
            assert self._connection is not None
            self._reader = None
            self._reader = self._connection.read_arrow_batches(
                sql,
                batch_size=rows,
                max_bytes_per_batch=_BATCH_BYTES,
                max_text_size=text_max,
                falliable_allocations=True,
                map_schema=_all_text if as_text else None,
                fetch_concurrently=False,
                query_timeout_sec=self._seconds(_DESCRIBE_S),
            )

        self._run(run)
        assert self._reader is not None
        return self._reader.schema

    def next_batch(self) -> pa.RecordBatch | None:
        """Return the next rows, None after the last."""
        found: list[pa.RecordBatch | None] = []

        def run() -> None:
            assert self._reader is not None
            found.append(next(self._reader, None))

        self._run(run)
        return found[0]

    def release(self) -> None:
        """Roll back and close as soon as the driver comes back; wait a moment for it, not longer."""
        with self._lock:
            self._released = True
            if self._busy:
                return  # its worker does it
        worker = threading.Thread(target=self._free, name="odbc driver", daemon=True)
        worker.start()
        worker.join(_GOODBYE_S)

    def _run(self, run: Callable[[], None]) -> None:
        errors: list[Exception] = []

        def work() -> None:
            try:
                run()
            except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
                errors.append(error)
            with self._lock:
                self._busy = False
                left_behind = self._released
            if left_behind:
                self._free()

        with self._lock:
            self._busy = True
        worker = threading.Thread(target=work, name="odbc driver", daemon=True)
        worker.start()
        while worker.is_alive():
            worker.join(_LOOK_EVERY_S)
            if worker.is_alive():
                self._call.check()
        if errors:
            raise errors[0]

    def _free(self) -> None:
        """Drop what is open: a connection closes with its last reference."""
        self._reader = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(arrow_odbc.Error):
                connection.rollback()

    def _seconds(self, most: int) -> int:
        """Return the time that is left in whole seconds, as a driver takes it, at least 1."""
        left = self._call.remaining_s()
        return most if math.isinf(left) else max(1, math.ceil(left))


def _all_text(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(item.name, pa.string()) for item in schema])
