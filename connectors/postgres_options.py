"""How a PostgreSQL source is reached, and what every session there is pinned to.

No secret is an option: an option names the file or the environment variable that holds it. It is
read anew for each connection, so a changed password needs no restart.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.spi import ConnectorError, ErrorKind

__all__ = ["PostgresOptions", "conninfo", "password", "quoted", "session_settings"]

_LOCAL = ("127.0.0.1", "::1", "localhost")
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_SSL_MODES = ("disable", "allow", "prefer", *_ENCRYPTED)
_FROM_URI = ("sslmode", "sslrootcert")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NO_STATEMENT_MS = 60_000  # for the connector's own few; a statement sets its own


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Options of ``connectors.postgres``, as an engineer writes them.

    Attributes:
        host: Name, address, or the folder of a Unix socket (absolute).
        port: 1 to 65535.
        dbname: Database.
        user: Role to log in as: one that may read and nothing else.
        uri: ``postgresql://user@host:port/dbname?sslmode=...`` instead of the four above; a
            password in it is refused.
        schema: The one schema whose tables are read.
        password_file: Holds the password and nothing else; only its owner may read it (0600).
        password_env: Name of the environment variable that holds the password.
        passfile: A password file of libpq (0600), else ``~/.pgpass``.
        sslmode: Of libpq. Default: ``verify-full``, and ``prefer`` on this machine; what does not
            encrypt is refused for any other machine.
        sslrootcert: Whole path of the file with the server's certificate authority, or ``system``.
        connect_timeout_s: Seconds for one connection, at least 2.
        connections: At most so many at once, at least 1; one more while a connection is made.
        threads: Processes of the server for one statement, at least 1.
        memory_mb: Mebibytes that sorting and grouping may use in the server, for one statement,
            about; what needs more goes to the server's temporary files.
        lock_timeout_s: Seconds to wait for a table that somebody alters.
    """

    host: str = ""
    port: int = 5432
    dbname: str = ""
    user: str = ""
    uri: str = ""
    schema: str = "public"
    password_file: str | Path = ""
    password_env: str = ""
    passfile: str | Path = ""
    sslmode: str = ""
    sslrootcert: str = ""
    connect_timeout_s: int = 10
    connections: int = 4
    threads: int = 2
    memory_mb: int = 1024
    lock_timeout_s: int = 10

    def checked(self) -> "PostgresOptions":
        """Return the options with the URI taken apart and the default of ``sslmode`` filled in.

        Raises:
            ConnectorError: REFUSED; the detail names the option and what it must be.
        """
        own = _without_uri(self) if self.uri else self
        for name in ("host", "dbname", "user", "schema"):
            if not getattr(own, name) or "\0" in getattr(own, name):
                raise _refused(f"option {name} must be set")
        least = {"port": 1, "connect_timeout_s": 2, "connections": 1, "threads": 1, "memory_mb": 1}
        for name, smallest in least.items():
            if getattr(own, name) < smallest:
                raise _refused(f"option {name} must be at least {smallest}")
        if sum(map(bool, (own.password_file, own.password_env, own.passfile))) > 1:
            raise _refused("name one of password_file, password_env and passfile")
        local = own.host.startswith("/") or own.host in _LOCAL
        own = replace(own, sslmode=own.sslmode or ("prefer" if local else "verify-full"))
        if own.sslmode not in (_SSL_MODES if local else _ENCRYPTED):
            raise _refused(f"sslmode to another machine must be one of {', '.join(_ENCRYPTED)}")
        return own


def conninfo(options: PostgresOptions, secret: str) -> str:
    """Return libpq's connection string; it holds the password, so it is made and dropped at once."""
    pinned = " ".join(
        f"-c {name}={_escaped(value)}" for name, value in session_settings(options).items()
    )
    parts = {
        "host": options.host,
        "port": str(options.port),
        "dbname": options.dbname,
        "user": options.user,
        "password": secret,
        "passfile": str(options.passfile),
        "sslmode": options.sslmode,
        "sslrootcert": options.sslrootcert,
        "gssencmode": "disable",
        "connect_timeout": str(options.connect_timeout_s),
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
        "client_encoding": "UTF8",
        "application_name": "middleplatform",
        "options": pinned,
    }
    return " ".join(f"{name}={_literal(value)}" for name, value in parts.items() if value)


def session_settings(options: PostgresOptions) -> Mapping[str, str]:
    """Return what every session is pinned to, by the server's names, as the server shows it.

    The catalogue comes first on the path, so that no table or function of the schema can stand in
    for one of the server's own, and temporary tables last.
    """
    # Each process may hold a sort and a hash table of up to twice work_mem at the same time.
    work_kb = max(64, options.memory_mb * 1024 // (4 * options.threads))
    return {
        "default_transaction_read_only": "on",
        "default_transaction_isolation": "repeatable read",
        "search_path": f"pg_catalog, {quoted(options.schema)}, pg_temp",
        "statement_timeout": _milliseconds(_NO_STATEMENT_MS),
        "lock_timeout": _milliseconds(options.lock_timeout_s * 1000),
        "idle_in_transaction_session_timeout": _milliseconds(_NO_STATEMENT_MS),
        "work_mem": f"{work_kb}kB",
        "max_parallel_workers_per_gather": str(options.threads - 1),
        "standard_conforming_strings": "on",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "jit": "off",
    }


def password(options: PostgresOptions) -> str:
    """Return the password, or an empty text where none is named.

    Raises:
        ConnectorError: REFUSED when others may read the file or the variable is unset; the detail
            names the file or the variable.
    """
    if options.passfile:
        _private(Path(options.passfile))
    if options.password_env:
        found = os.environ.get(options.password_env, "")
        if not found:
            raise _refused(f"environment variable {options.password_env} is empty or not set")
        return found
    if not options.password_file:
        return ""
    path = Path(options.password_file)
    _private(path)
    return path.read_text(encoding="utf-8").rstrip("\r\n")


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _refused(f"password file {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode) or mode & _OTHERS:
        raise _refused(f"others may read {path}: chmod 600 {path}")


def _without_uri(options: PostgresOptions) -> PostgresOptions:
    try:
        found = urlsplit(options.uri)
        port = found.port or options.port
        more = dict(parse_qsl(found.query, strict_parsing=bool(found.query)))
    except ValueError:
        raise _refused("option uri cannot be read") from None
    if found.password is not None or "password" in more:
        raise _refused("a password in the uri: name a password_file or password_env instead")
    if found.scheme not in ("postgresql", "postgres") or set(more) - set(_FROM_URI):
        raise _refused("uri must be postgresql://user@host:port/dbname?sslmode=...&sslrootcert=...")
    if options.host or options.dbname or options.user:
        raise _refused("name either uri or host, dbname and user")
    return replace(
        options,
        uri="",
        host=unquote(found.hostname or ""),
        port=port,
        user=unquote(found.username or ""),
        dbname=unquote(found.path.removeprefix("/")),
        sslmode=more.get("sslmode", options.sslmode),
        sslrootcert=more.get("sslrootcert", options.sslrootcert),
    )


def _milliseconds(count: int) -> str:
    """Write a time as the server shows it."""
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}ms" if count else "0"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _refused(detail: str) -> ConnectorError:
    return ConnectorError(ErrorKind.REFUSED, detail)
