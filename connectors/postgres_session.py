"""One connection to a PostgreSQL server: pinned, checked, and read only in three ways.

Its role may write nothing, its sessions are read only by default, and each statement runs in a
transaction that is read only. A statement takes the driver's prepared path, on which the server
refuses more than one.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
from adbc_driver_manager._reader import AdbcRecordBatchReader

from connectors.postgres_options import (
    PostgresOptions,
    conninfo,
    password,
    session_settings,
)
from connectors.postgres_role import EXCESS, excess_sql
from connectors.spi import ConnectorError, ErrorKind

__all__ = ["Session"]

_BATCH_BYTES = "adbc.postgresql.batch_size_hint_bytes"
_BATCH: Final = 4 << 20
_VERSION_LEAST = 130_000
_SELECT = re.compile(r"\s*\(*\s*(SELECT|WITH)\b", re.IGNORECASE)

_ABOUT = """
SELECT current_setting('server_version_num')::bigint AS version,
    current_setting('server_encoding') AS encoding,
    EXISTS (SELECT FROM pg_namespace WHERE nspname = {schema}) AS present,
    COALESCE((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace
        WHERE nspname = {schema}), FALSE) AS usable
"""


class Session:
    """A connection; one statement at a time, but ``cancel`` from any thread.

    Args:
        options: Checked ones.

    Raises:
        ConnectorError: REFUSED a role that may do more than read, a server that is too old or has
            another encoding than UTF8, or a pooler that drops settings; MISSING no such schema.
        Error: Of the driver, when there is no connection.
    """

    def __init__(self, options: PostgresOptions) -> None:
        secret = password(options)
        self._connection: AdbcConnection | None = None
        try:
            self._database = adbc_driver_postgresql.connect(conninfo(options, secret))
        except Error as error:
            raise _without(error, secret) from None
        try:
            self._connection = AdbcConnection(self._database)
            _check(self, options)
        except BaseException:
            self.close()
            raise

    def begin(self, timeout_ms: int) -> None:
        """Begin the transaction of one statement.

        Args:
            timeout_ms: After which the server ends the statement, at least 1.
        """
        self._command(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
            f" SET LOCAL statement_timeout = {timeout_ms}"
        )

    @contextmanager
    def stream(self, sql: str) -> Iterator[Iterator[pa.RecordBatch]]:
        """Run one SELECT and give its rows as the driver types them: an empty batch, then the rest.

        Raises:
            ConnectorError: REFUSED for what does not begin as a query.
            Error: Of the driver, also while the batches are read.
        """
        if not _SELECT.match(sql) or "\0" in sql:
            raise ConnectorError(ErrorKind.REFUSED, "not one SELECT")
        with AdbcStatement(self._connection) as statement:
            statement.set_options(**{_BATCH_BYTES: str(_BATCH)})
            statement.set_sql_query(sql)
            handle, _ = statement.execute_query()
            # The plain reader of Arrow would lose SQLSTATE, and so the kind of a failure.
            reader = AdbcRecordBatchReader._import_from_c(handle.address)  # noqa: SLF001 - no other way to it
            try:
                yield _batches(reader)
            finally:
                reader.close()

    def end(self) -> None:
        """End the transaction."""
        self._command("ROLLBACK")

    def cancel(self) -> None:
        """Ask the server to stop what runs on this connection; may wait for the server."""
        if self._connection is not None:
            with suppress(Error):
                self._connection.cancel()

    def close(self) -> None:
        """Close the connection; the caller sees to it that nothing uses it."""
        for handle in (self._connection, self._database):
            with suppress(Error, RuntimeError):  # broken already
                if handle is not None:
                    handle.close()

    def rows(self, sql: str) -> pa.Table:
        """Return the whole result of one of the connector's own small queries."""
        with self.stream(sql) as batches:
            return pa.Table.from_batches(list(batches))

    def _command(self, sql: str) -> None:
        with AdbcStatement(self._connection) as statement:
            statement.set_sql_query(sql)
            statement.execute_update()


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([], reader.schema)
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        yield batch


def _check(session: Session, options: PostgresOptions) -> None:
    schema = "'" + options.schema.replace("'", "''") + "'"
    (about,) = session.rows(_ABOUT.format(schema=schema)).to_pylist()
    if about["version"] < _VERSION_LEAST:
        raise ConnectorError(ErrorKind.REFUSED, "the server is older than PostgreSQL 13")
    if about["encoding"] != "UTF8":
        raise ConnectorError(
            ErrorKind.REFUSED,
            f"the database is encoded in {about['encoding']}: text there does not compare by code"
            " point; export to a database made with ENCODING 'UTF8'",
        )
    _check_settings(session, options)
    excess = session.rows(excess_sql())["what"].to_pylist()
    if excess:
        raise ConnectorError(ErrorKind.REFUSED, "; ".join([*excess, EXCESS]))
    if not about["present"]:
        raise ConnectorError(ErrorKind.MISSING, f"no schema {options.schema}")
    if not about["usable"]:
        raise ConnectorError(
            ErrorKind.REFUSED, f"GRANT USAGE ON SCHEMA {options.schema} to the role {options.user}"
        )


def _check_settings(session: Session, options: PostgresOptions) -> None:
    """Refuse a connection whose settings did not arrive, as through some poolers."""
    wanted = session_settings(options)
    names = ", ".join(f"('{name}')" for name in wanted)
    rows = session.rows(
        f"SELECT name, current_setting(name) AS value FROM (VALUES {names}) AS pinned (name)"  # noqa: S608 - names of ours
    )
    found = {row["name"]: row["value"] for row in rows.to_pylist()}
    lost = sorted(name for name, value in wanted.items() if _plain(found[name]) != _plain(value))
    if lost:
        raise ConnectorError(
            ErrorKind.REFUSED,
            f"the server does not keep {', '.join(lost)}: connect without a pooler",
        )


def _plain(value: str) -> str:
    """Return a setting so that amounts of memory compare, whatever their unit."""
    for unit, size in (("kB", 1), ("MB", 1024), ("GB", 1024 * 1024)):
        if value.endswith(unit) and value[: -len(unit)].isdigit():
            return str(int(value[: -len(unit)]) * size)
    return value


def _without(error: Error, secret: str) -> Error:
    """Return the error without the password, should the driver ever repeat it."""
    if secret and secret in str(error):
        return type(error)(
            str(error).replace(secret, "***"),
            status_code=error.status_code,
            sqlstate=error.sqlstate,
        )
    return error
