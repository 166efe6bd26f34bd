"""A PostgreSQL server of one test module: a throw-away cluster on loopback, ended with the module, killed if need be.

The programs come with the Debian package ``postgresql``, which ``.ci/packages`` installs. PostgreSQL refuses to run as
the system's administrator, so an administrator starts it as an ordinary user.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import adbc_driver_postgresql.dbapi as driver

from middleplatform.demo.postgres_programs import (
    free_port,
    ordinary_user,
    process_options,
    program,
)

__all__ = ["ADMIN", "READER", "SCHEMA", "PostgresServer", "identifier", "running_server"]

ADMIN = "postgres"
READER = "reader"
SCHEMA = "department"
_MISSING = "no PostgreSQL server here: run .ci/packages as administrator, or install the package 'postgresql'"


@dataclass
class PostgresServer:
    """A running server.

    Attributes:
        folder: Of the cluster, the socket and the log.
        port: On 127.0.0.1.
        user: Of the operating system, or None for the own one.
    """

    folder: Path
    port: int
    user: str | None
    process: subprocess.Popen | None = field(default=None, repr=False)
    guard: subprocess.Popen | None = field(default=None, repr=False)

    def start(self):
        """Start it and return once it takes connections."""
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder,
            "fsync": "off", "full_page_writes": "off", "max_connections": 60, "shared_buffers": "64MB",
            "log_min_messages": "fatal", "log_statement": "none",
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", self.folder / "data", *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **process_options(self.user),
            )
        # Whose standard input ends with this process, also when that is killed: no server stays behind.
        guard = ["sh", "-c", 'read -r _; kill -INT "$0"', str(self.process.pid)]
        self.guard = subprocess.Popen(
            guard, stdin=subprocess.PIPE, start_new_session=True, **process_options(self.user)
        )
        ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-U", ADMIN, "-p", str(self.port)]
        for _ in range(600):
            if subprocess.run([*ready, "-t", "1"], check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            # Waits for the server to end: it does not, or the next look says so.
            self._ended(0.05)
        self.kill()
        raise AssertionError((self.folder / "log").read_text(encoding="utf-8", errors="replace"))

    def stop(self):
        """End it, and every connection with it, in good order."""
        self._unguard()
        if self._alive():
            self.process.send_signal(signal.SIGINT)
            if not self._ended(30):
                self.kill()

    def kill(self):
        """End it as a power cut would: the server and each process of it, which has a session of its own."""
        self._unguard()
        if self._alive():
            self.process.send_signal(signal.SIGSTOP)  # so that it starts no other meanwhile
            self._each(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(timeout=30)

    def freeze(self):
        """Stop every process of it where it stands: it takes connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no other meanwhile
        self._each(signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        self._each(signal.SIGCONT)

    def run(self, *statements, database="postgres", user=ADMIN):
        """Run statements of the administrator's, each by itself."""
        with self.connected(database, user) as connection, closing(connection.cursor()) as cursor:
            for statement in statements:
                cursor.executescript(statement)

    def rows(self, query, database="postgres", user=ADMIN):
        """Return the rows of a query of the administrator's."""
        with self.connected(database, user) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    @contextmanager
    def connected(self, database="postgres", user=ADMIN):
        """Give a plain connection, in which every statement is its own transaction."""
        uri = f"host=127.0.0.1 port={self.port} dbname={database} user={user}"
        with driver.connect(uri, autocommit=True) as connection:
            yield connection

    def load(self, tables, schema=SCHEMA, database="postgres"):
        """Replace ``schema`` by one that holds these Arrow tables, readable by the reader alone."""
        self.run(
            f"DROP SCHEMA IF EXISTS {identifier(schema)} CASCADE; CREATE SCHEMA {identifier(schema)}",
            *(_create(schema, name, table) for name, table in tables.items()),
            f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {READER}",
            database=database,
        )
        with self.connected(database) as connection, closing(connection.cursor()) as cursor:
            for name, table in tables.items():
                _fill(cursor, schema, name, table)
        self.run(
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {identifier(schema)} TO {READER}",
            database=database,
        )

    def _alive(self):
        return self.process is not None and self.process.poll() is None

    def _ended(self, seconds):
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _unguard(self):
        if self.guard is not None:
            self.guard.kill()
            self.guard.communicate()
            self.guard = None

    def _each(self, number):
        """Send a signal to the server's children, then to itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in [*map(int, children.split()), self.process.pid]:
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(pid, number)


@contextmanager
def running_server():
    """Make a cluster, start its server, and end and remove both."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = ordinary_user()
    try:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        server = PostgresServer(folder, free_port(), user)
        make = [_program("initdb"), "-D", folder / "data", "-U", ADMIN, "-A", "trust", "-N"]
        make += ["--encoding", "UTF8", "--locale", "C.UTF-8", *_collation()]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, **process_options(user))
        server.start()
        try:
            server.run(f"CREATE ROLE {READER} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def identifier(name):
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


_TYPES = {"int64": "bigint", "string": "text", "date32[day]": "date", "bool": "boolean"}


def _create(schema, name, table):
    columns = [f"{identifier(item.name)} {_type(item.type)}" for item in table.schema]
    return f"CREATE TABLE {identifier(schema)}.{identifier(name)} ({', '.join(columns)})"


def _type(kind):
    if str(kind).startswith("decimal"):
        return f"numeric({kind.precision},{kind.scale})"
    return _TYPES[str(kind)]


def _fill(cursor, schema, name, table):
    """Insert all rows as one statement of literals: exact for every type."""
    if not table.num_rows:
        return
    columns = [
        [_literal(value) for value in column.to_pylist()]  # small tables of tests
        for column in table.columns
    ]
    rows = ", ".join(f"({', '.join(row)})" for row in zip(*columns, strict=True))
    cursor.executescript(f"INSERT INTO {identifier(schema)}.{identifier(name)} VALUES {rows}")


def _literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return "'" + str(value).replace("'", "''") + "'"


# --- programs ---------------------------------------------------------------------------------------------------


def _program(name):
    path = program(name)
    assert path, _MISSING
    return path


def _collation():
    """Order text as a Chinese department's server does, by sound, where the server can: answers must not depend on it."""
    told = subprocess.run(
        [_program("initdb"), "--version"], check=True, capture_output=True, text=True
    )
    version = int(re.search(r"\d+", told.stdout)[0])
    return ["--locale-provider=icu", "--icu-locale=zh-u-co-pinyin"] if version >= 15 else []
