"""PostgreSQL, over ADBC: aggregates run in the server, as its own SQL; results arrive as Arrow.

The role may read one schema and nothing else (``connectors.postgres_role``); a role that may do
more is refused when the connector is made. Every session is pinned and every transaction read only
(``connectors.postgres_session``). No call waits longer than its limits, also for a server that is
frozen (``connectors.postgres_pool``).

Spec: docs/reference/connectors-postgres.md
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from connectors.postgres_options import PostgresOptions
from connectors.postgres_pool import Pool
from connectors.postgres_role import least_privilege_sql
from connectors.postgres_session import Session
from connectors.postgres_types import describe_sql, described, exact_batch
from connectors.results import bounded, fitted_batch, scanned
from connectors.spi import (
    Capabilities,
    ExecutionLimits,
    Kernel,
    Statement,
    TableDescription,
)

__all__ = ["PostgresConnector", "PostgresOptions", "least_privilege_sql"]

_OWN: Final = ExecutionLimits(timeout_s=60, rows_max=1_000_000, memory_mb=256)


class PostgresConnector:
    """Reads one schema of a PostgreSQL database, 13 or newer.

    Args:
        options: Fields of ``PostgresOptions``, by name.

    Raises:
        TypeError: An option that there is not.
        ConnectorError: UNREACHABLE no such server, or it does not let the role in; MISSING no such
            schema; REFUSED an option that cannot be, a password that others may read, a role that
            may do more than read, a database that is not encoded in UTF-8; TIMEOUT.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - typed by PostgresOptions
        self._schema, self._pool = _opened(PostgresOptions(**options).checked())

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the readable tables and views of the schema, each with its readable columns.

        Raises:
            ConnectorError: The database cannot be read.
        """
        asked = [name for name in names if "\0" not in name]
        if names and not asked:
            return MappingProxyType({})
        sql = describe_sql(self._schema, asked)
        return MappingProxyType(described(self._pool.run(lambda session: session.rows(sql), _OWN)))

    def capabilities(self) -> Capabilities:
        """Return the dialect ``postgres``, streaming."""
        return Capabilities(dialect="postgres", streaming=True)

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Run one SELECT in the server.

        Raises:
            ConnectorError: REFUSED for anything but one SELECT, and for what the role may not
                read; LOCKED for a table that somebody alters; see the SPI for the other kinds.
        """

        def work(session: Session) -> pa.Table:
            with session.stream(statement.sql) as batches:
                exact = _fitted(batches, statement.result)
                return pa.Table.from_batches(bounded(exact, limits), statement.result)

        return self._pool.run(work, limits)

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Run one SELECT in the server and stream its rows through ``kernel``, here.

        Raises:
            ConnectorError: As ``execute``; FAILED also for what the kernel raises.
        """

        def work(session: Session) -> pa.Table:
            with session.stream(statement.sql) as batches:
                exact = _fitted(batches, statement.result)
                return scanned(exact, statement, kernel, result, limits)

        return self._pool.run(work, limits)

    def close(self) -> None:
        """Close all connections; what runs in other threads is cancelled and is UNREACHABLE."""
        self._pool.close()


def _opened(options: PostgresOptions) -> tuple[str, Pool]:
    """Make the first connection, so that what is wrong shows at once."""
    pool = Pool(options)
    try:
        pool.run(_nothing, _OWN)
    except BaseException:
        pool.close()
        raise
    return options.schema, pool


def _nothing(_: Session) -> None:
    """Do nothing on a connection: that it was made is enough."""


def _fitted(batches: Iterable[pa.RecordBatch], result: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield fitted_batch(exact_batch(batch, result), result)
