"""One store of the platform's own records: SQLite embedded, PostgreSQL where several processes share it.

Every change is one transaction, and transactions that write come one after the other on both: a SQLite file has one
writer, and on PostgreSQL a writer takes an advisory lock first. So what a transaction has read stays true until it
commits, and no code above needs to know which of the two it talks to.

Spec: docs/spec/policy-lifecycle.md. Why these libraries: docs/adr/0034-store.md.
"""

import os
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    MetaData,
    String,
    TypeDecorator,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from middleplatform.errors import ConfigError
from middleplatform.settings import Settings

__all__ = ["REVISIONS", "Store", "UtcTime", "metadata", "url_of"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the store, each declared in the module that uses it."""

REVISIONS = {
    "0001": "middleplatform.store.migrations.versions.revision_0001",
    "0002": "middleplatform.store.migrations.versions.revision_0002",
    "0003": "middleplatform.store.migrations.versions.revision_0003",
    "0004": "middleplatform.store.migrations.versions.revision_0004",
    "0005": "middleplatform.store.migrations.versions.revision_0005",
    "0006": "middleplatform.store.migrations.versions.revision_0006",
    "0007": "middleplatform.store.migrations.versions.revision_0007",
}
"""The forms that the store has had, oldest first, and the module that leads to each."""

_ENVIRONMENT = "middleplatform.store.migrations.env"  # Alembic runs it by its place
_LOCK = 0x6D70_7374  # "mpst": any number that no other program's advisory lock has
_BUSY_MS = 10_000
_AGAIN_S = 0.01
_SILENT_S = 30
"""A server that says nothing for so long is given up."""
_IDLE_MS = 15_000
"""A transaction of a process that was stopped in the middle holds the others up no longer than this."""
_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
_WRITING = "middleplatform_writing"


class UtcTime(TypeDecorator[datetime]):
    """A moment as text of fixed width in UTC: the same bytes and the same order on every database."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text; a moment without an offset is the caller's mistake."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without an offset")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Return the moment, aware, in UTC."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


def url_of(settings: Settings) -> str:
    """Return the address of the settings' store: their own, or a SQLite file in the state folder."""
    return settings.store or f"sqlite:///{settings.state / 'store.db'}"


class Store:
    """An open store; many threads may use it, and so may several processes.

    Attributes:
        engine: SQLAlchemy's.
    """

    def __init__(self, engine: Engine) -> None:
        """Take an engine whose database has the newest form; ``open`` makes one."""
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the store at ``url`` and bring it to the program's form.

        Args:
            url: ``sqlite:///<file>``, or ``postgresql+pg8000://user:password@host/database``. A server on another
                machine is reached over TLS with its certificate checked, by the system's certificates or by those
                of the file ``?sslrootcert=`` names.

        Raises:
            ConfigError: C003 for an address that is neither; C015 when the store cannot be opened or was made by a
                newer program.
        """
        store = cls(_engine(_checked(url)))
        try:
            store._upgrade()
        except BaseException:
            store.close()
            raise
        return store

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
        """Give the connections back. Closing twice does no harm."""
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that may write; it waits for others that do, and all of it counts or nothing.

        Raises:
            ConfigError: C015 when the store refuses.
        """
        with _refusals(), self.engine.connect() as connection:
            writer = connection.execution_options(**{_WRITING: True})
            with writer.begin():
                if writer.dialect.name == "postgresql":
                    writer.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a transaction that sees one state of the store from its start to its end.

        Raises:
            ConfigError: C015 when the store refuses.
        """
        with _refusals(), self.engine.connect() as connection:
            reader = connection.execution_options(**{_WRITING: False})
            with reader.begin():
                if reader.dialect.name == "postgresql":
                    reader.execute(
                        text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    )
                yield reader

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """Give a transaction that writes single rows which nothing else is decided by: others that write do not wait.

        Raises:
            ConfigError: C015 when the store refuses.
        """
        if self.engine.dialect.name == "sqlite":
            with self.writing() as connection:
                yield connection
            return
        with _refusals(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """Give a connection for one statement that reads: half the round trips of ``reading``.

        Raises:
            ConfigError: C015 when the store refuses.
        """
        if self.engine.dialect.name == "sqlite":
            with self.reading() as connection:
                yield connection
            return
        with _refusals(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def _upgrade(self) -> None:
        newest = list(REVISIONS)[-1]
        with self.writing() as connection:  # so that of two programs that start only one does it
            found = _revision(connection)
            if found is not None and found not in REVISIONS:
                what = (f"it has form {found}, this program knows {newest}",
                        f"其版本为 {found}，本程序仅支持到 {newest}")  # fmt: skip
                raise ConfigError("C015", what=what)
            if found != newest:
                _migrate(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and needed once in a store's life
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config(attributes={"connection": connection})
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    command.upgrade(config, "head")


# --- how a database is reached ------------------------------------------------------------------------------------


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("C003", what=("store is not an address", "store 不是有效地址")) from None
    if parsed.drivername not in ("sqlite", "postgresql+pg8000"):
        what = ("store must start with sqlite:/// or postgresql+pg8000://",
                "store 须以 sqlite:/// 或 postgresql+pg8000:// 开头")  # fmt: skip
        raise ConfigError("C003", what=what)
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("C003", what=("store must name a file", "store 须指定文件"))
    return parsed


def _engine(url: URL) -> Engine:
    if url.drivername == "sqlite":
        return _sqlite(url)
    file = url.query.get("sslrootcert")
    url = url.difference_update_query(["sslrootcert"])
    given: dict[str, Any] = {
        "application_name": "middleplatform",
        "timeout": _SILENT_S,
        "startup_params": {"idle_in_transaction_session_timeout": str(_IDLE_MS)},
    }
    if file is not None or (url.host or "") not in _LOOPBACK:
        try:
            given["ssl_context"] = ssl.create_default_context(cafile=str(file) if file else None)
        except OSError:
            raise ConfigError("C003", what=f"sslrootcert {file} cannot be read") from None
    engine = create_engine(url, connect_args=given, hide_parameters=True, pool_pre_ping=True)
    event.listen(engine, "connect", _at_once)
    return engine


def _at_once(connection: Any, _: object) -> None:  # noqa: ANN401 - whatever the driver gives
    """Send each message when it is written; the driver leaves it to the system, which waits up to 40 ms for more."""
    connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # noqa: SLF001 - it has no other way


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError("C011", what=str(path), detail=str(error)) from None
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - whatever the driver gives
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, and not later
    for name, value in (
        ("busy_timeout", _BUSY_MS),
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
    ):
        connection.execute(f"PRAGMA {name}={value}")
    _log_ahead(connection)


def _log_ahead(connection: Any) -> None:  # noqa: ANN401 - whatever the driver gives
    """Turn the write-ahead log on; a new file that several open at once is locked, which SQLite does not wait for."""
    until = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a database's refusals into one message; drivers do not agree on more."""
    try:
        yield
    except SQLAlchemyError as error:
        what = ("it cannot be read or written", "无法读写")
        raise ConfigError("C015", what=what, detail=str(error)) from None
