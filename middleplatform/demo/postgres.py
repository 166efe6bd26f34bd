"""A PostgreSQL server for one department of the demonstration, where PostgreSQL is installed.

It lives as long as the demonstration, in a folder of its own, with passwords from the operating system's generator;
the node reads through a role that may read these tables and nothing else. PostgreSQL refuses to run as the system's
administrator, so an administrator starts it as an ordinary user.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import adbc_driver_postgresql.dbapi as driver
import duckdb

from middleplatform.demo.postgres_programs import (
    free_port,
    ordinary_user,
    process_options,
    program,
)
from middleplatform.errors import SourceError
from middleplatform.node.registration.roles import reader_sql
from middleplatform.ports import Rng

__all__ = ["available", "options_of_running"]

_ADMIN = "postgres"
_READER = "mp_reader"
_START_S = 30.0
# Its standard input ends with the demonstration, also when that is killed: then the server ends and its folder goes.
_GUARD = (
    'read -r _; kill -INT "$0"; while kill -0 "$0" 2>/dev/null; do sleep 0.1; done; rm -rf "$1"/*'
)
_TYPES = {
    "BIGINT": "bigint",
    "INTEGER": "bigint",
    "VARCHAR": "text",
    "DATE": "date",
    "BOOLEAN": "boolean",
}
_SETTINGS = {"max_connections": "20", "shared_buffers": "32MB", "fsync": "off"}


def available() -> bool:
    """Say whether PostgreSQL's server programs are installed."""
    return all(program(name) is not None for name in ("initdb", "postgres", "pg_isready"))


@contextlib.contextmanager
def options_of_running(
    department: str, database: Path, secrets: Path, rng: Rng
) -> Iterator[Mapping[str, str]]:
    """Run a server that holds a department's tables; yield the options of its connector.

    Args:
        department: Code; the name of the database.
        database: The department's DuckDB file, whose tables are taken over.
        secrets: Existing folder of the node's, for the password file.
        rng: Draws the passwords.

    Raises:
        SourceError: S001 the server does not start; what it said is in the detail.
    """
    folder = Path(tempfile.mkdtemp(prefix="mp-postgres-"))
    user = ordinary_user()
    try:
        _own(folder, user)
        port, password = free_port(), rng.token_bytes(24).hex()
        _make(folder, user, password, department)
        with _running(folder, user, department, port):
            admin = f"host=127.0.0.1 port={port} dbname=postgres user={_ADMIN} password={password}"
            reader = rng.token_bytes(24).hex()
            _load(admin, department, database, folder, reader)
            secret = secrets / "postgres.password"
            _write_secret(secret, reader)
            yield {
                "host": "127.0.0.1",
                "port": str(port),
                "dbname": department,
                "user": _READER,
                "password_file": str(secret.resolve()),
                "memory_mb": "64",
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- the server ---------------------------------------------------------------------------------------------------


def _make(folder: Path, user: str | None, password: str, department: str) -> None:
    secret = folder / "password"
    _write_secret(secret, password)
    _own(secret, user)
    _run(
        user, department, "initdb", "-D", str(folder / "data"), "-U", _ADMIN, "-A", "scram-sha-256",
        f"--pwfile={secret}", "-N", "--encoding", "UTF8", "--locale", "C.UTF-8",
    )  # fmt: skip
    secret.unlink()


@contextlib.contextmanager
def _running(folder: Path, user: str | None, department: str, port: int) -> Iterator[None]:
    """Run the server, which ends with this process however that ends: a guard holds its life on a pipe of ours."""
    server_program = program("postgres")
    assert server_program is not None, "asked for before"
    settings = {
        **_SETTINGS,
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program, our own arguments
            [server_program, "-D", str(folder / "data"), *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **process_options(user),
        )  # fmt: skip
    guard = subprocess.Popen(  # noqa: S603 - our own script
        ["/bin/sh", "-c", _GUARD, str(server.pid), str(folder)],
        stdin=subprocess.PIPE, start_new_session=True, **process_options(user),
    )  # fmt: skip
    try:
        _await(server, folder, department, port)
        yield
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        server.wait()
        guard.wait()


def _await(server: "subprocess.Popen[bytes]", folder: Path, department: str, port: int) -> None:
    """Return once the server takes connections."""
    asking = program("pg_isready")
    assert asking is not None, "part of the same package"
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and server.poll() is None:
        asked = [asking, "-q", "-t", "1", "-h", "127.0.0.1", "-p", str(port)]
        if subprocess.run(asked, check=False).returncode == 0:  # noqa: S603 - as above
            return
        time.sleep(0.05)
    detail = (folder / "log").read_text(encoding="utf-8", errors="replace")
    raise SourceError("S001", department=department, detail=detail)


def _run(user: str | None, department: str, name: str, *arguments: str) -> None:
    found = program(name)
    assert found is not None, "asked for before"
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program, our own arguments
        [found, *arguments],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        **process_options(user),
    )
    if done.returncode:
        detail = (done.stderr or done.stdout).decode(errors="replace")
        raise SourceError("S001", department=department, detail=detail)


def _own(path: Path, user: str | None) -> None:
    if user is not None:
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)


# --- its tables ---------------------------------------------------------------------------------------------------


def _load(admin: str, department: str, database: Path, folder: Path, password: str) -> None:
    """Make the database, its tables with their rows, and the role that reads them."""
    _statements(admin, f"CREATE DATABASE {_quoted(department)}")
    inside = admin.replace("dbname=postgres", f"dbname={department}")
    with duckdb.connect(str(database), read_only=True) as source:
        for (name,) in source.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            columns = source.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [name]
            ).fetchall()  # fmt: skip
            file = folder / f"{name}.csv"
            source.execute(
                f"COPY {_quoted(name)} TO '{file}' (HEADER, FORCE_QUOTE *, NULLSTR '\\N')"
            )
            file.chmod(0o644)
            kinds = ", ".join(f"{_quoted(column)} {_type(kind)}" for column, kind in columns)
            _statements(
                inside,
                f"CREATE TABLE {_quoted(name)} ({kinds})",
                f"COPY {_quoted(name)} FROM '{file}' (FORMAT csv, HEADER, NULL '\\N')",
            )
            file.unlink()
    _statements(
        inside,
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        reader_sql("public", (), _READER),
        f"ALTER ROLE {_READER} PASSWORD '{password}'",
        "ANALYZE",
    )


def _statements(uri: str, *statements: str) -> None:
    with driver.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.executescript(statement)


def _type(kind: str) -> str:
    return kind.replace("DECIMAL", "numeric") if kind.startswith("DECIMAL(") else _TYPES[kind]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
