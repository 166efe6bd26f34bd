"""Any ODBC source: only the columns that a statement reads are fetched, as text, and held to types.

Drivers differ in how they hand numbers and dates over, and some silently change what does not fit
the type that they announce. So every value is asked for as text, which a driver either writes
whole or refuses, and is then read as its type demands (``connectors.texts``).

One call has one connection and one transaction, which is rolled back. Nothing but SELECT is ever
sent; the account should have no other right.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import arrow_odbc
import pyarrow as pa

from connectors.calls import Call
from connectors.embedded import EmbeddedConnector
from connectors.odbc_link import Login, OdbcLink
from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TableDescription, TypeKind
from connectors.texts import declared, exact

__all__ = ["OdbcConnector"]

_BATCH_ROWS = 16_384
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_QUOTES = {'"': ('"', '"'), "`": ("`", "`"), "[]": ("[", "]")}

_LOGIN = re.compile(r"(?:^|;)\s*(?:uid|user(?:name)?|pwd|password)\s*=", re.IGNORECASE)
_STATE = re.compile(r"State: ([0-9A-Z]{5})")
_KINDS = (
    (("08", "28", "42501", "IM"), ErrorKind.UNREACHABLE),
    (("HYT", "57014"), ErrorKind.TIMEOUT),
    (("40001", "55P03"), ErrorKind.LOCKED),
    (("42", "21S01"), ErrorKind.SCHEMA),
    (("HY001", "53"), ErrorKind.LIMIT),
)
_PASSING = (ErrorKind.UNREACHABLE, ErrorKind.TIMEOUT, ErrorKind.LOCKED, ErrorKind.LIMIT)


class OdbcConnector(EmbeddedConnector):
    """Reads named tables of one ODBC source.

    Args:
        connection: Connection string without user and password, such as
            ``DSN=archive;ReadOnly=1``.
        tables: What may be read, as the source spells it; a schema and its table with a point
            between them.
        types: Types by ``table.column`` where the driver announces another one: ``integer``,
            ``text``, ``date``, ``boolean`` or ``decimal(p,s)``. A floating column stays what it is.
        casts: SQL by kind of type, with ``{}`` for the column: how the source writes such a value
            as text, where the driver does it badly.
        user: Whom to log in as; "" for what the driver does by itself.
        password_file: Holds the password and nothing else; only its owner may read it (0600).
        password_env: Name of the environment variable that holds the password.
        quote: What surrounds a name: ``"``, a backtick or ``[]``.
        text_max: Bytes of the longest text; a longer one ends the statement.
        threads: Of the embedded engine, at least 1.
        memory_mb: Mebibytes that the embedded engine may use in all.

    Raises:
        ConnectorError: REFUSED for options that do not go together; SCHEMA a type that is none.
    """

    def __init__(  # noqa: PLR0913 - options of an engineer, all named
        self,
        connection: str,
        tables: Collection[str],
        types: Mapping[str, str] = MappingProxyType({}),
        casts: Mapping[str, str] = MappingProxyType({}),
        *,
        user: str = "",
        password_file: str | Path = "",
        password_env: str = "",
        quote: str = '"',
        text_max: int = 4000,
        threads: int = 2,
        memory_mb: int = 1024,
    ) -> None:
        super().__init__(threads, memory_mb)
        if not tables or quote not in _QUOTES or (password_file and password_env):
            raise _refused('name tables, quote as ", ` or [], and one place of the password')
        if _LOGIN.search(connection):
            raise _refused("user and password are no parts of the connection: use the options")
        if any(cast.count("{}") != 1 or ";" in cast for cast in casts.values()):
            raise _refused("a cast has {} once, and no semicolon")
        if not set(casts) <= set(TypeKind):
            raise _refused(f"casts are for {', '.join(TypeKind)}")
        self._string = connection.rstrip("; ") + ";"
        self._user, self._file, self._variable = user, password_file, password_env
        self._source = _Source(
            tuple(tables),
            {name: declared(name, word) for name, word in types.items()},
            {TypeKind(kind): cast for kind, cast in casts.items()},
            _QUOTES[quote],
            text_max,
        )

    @contextmanager
    def _session(self, call: Call) -> Iterator["_Session"]:
        secret = _password(self._file, self._variable)
        try:
            link = OdbcLink(Login(self._string, self._user, secret), call)
            try:
                yield _Session(self._source, link)
            finally:
                link.release()
        except arrow_odbc.Error as error:
            words = str(error).replace(secret, "***") if secret else str(error)
            raise ConnectorError(_kind(error), words) from None


@dataclass(frozen=True, slots=True)
class _Source:
    """What an engineer said about the source."""

    tables: tuple[str, ...]
    types: Mapping[str, ColumnDescription]
    casts: Mapping[TypeKind, str]
    quotes: tuple[str, str]
    text_max: int


class _Session:
    """One connection."""

    def __init__(self, source: _Source, link: OdbcLink) -> None:
        self._source = source
        self._link = link

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return the named tables; with ``names``, one that the source refuses is not there."""
        found = {}
        for name in self._source.tables:
            if names and name not in names:
                continue
            try:
                found[name] = self._described(name)
            except arrow_odbc.Error as error:
                if not names or _kind(error) in _PASSING:
                    raise
        return found

    def files(self, _name: str) -> Sequence[str]:
        """Return none."""
        return ()

    def query(self, _name: str, _columns: Sequence[ColumnDescription]) -> str:
        """Return nothing: rows are handed over."""
        return ""

    def batches(self, name: str, columns: Sequence[ColumnDescription]) -> Iterator[pa.RecordBatch]:
        """Give all rows."""
        selected = ", ".join(self._selected(column) for column in columns)
        sql = f"SELECT {selected} FROM {self._quoted(name)}"  # noqa: S608 - quoted names
        self._link.open(sql, _BATCH_ROWS, self._source.text_max, as_text=True)
        while (batch := self._link.next_batch()) is not None:
            arrays = [
                exact(values, column) for values, column in zip(batch.columns, columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, [column.name for column in columns])

    def finish(self) -> None:
        """Do nothing: a transaction holds still as far as the source lets it."""

    def _described(self, name: str) -> TableDescription:
        sql = f"SELECT * FROM {self._quoted(name)} WHERE 1 = 0"  # noqa: S608 - quoted name
        schema = self._link.open(sql, 1, self._source.text_max, as_text=False)
        types = self._source.types
        return TableDescription(
            tuple(_column(field, types.get(f"{name}.{field.name}")) for field in schema)
        )

    def _selected(self, column: ColumnDescription) -> str:
        cast = self._source.casts.get(column.kind, "{}")
        return cast.replace("{}", self._quoted_part(column.name))

    def _quoted(self, name: str) -> str:
        return ".".join(map(self._quoted_part, name.split(".")))

    def _quoted_part(self, part: str) -> str:
        first, last = self._source.quotes
        return first + part.replace(last, last * 2) + last


def _column(field: pa.Field, own: ColumnDescription | None) -> ColumnDescription:
    kind = field.type
    if own is not None and not pa.types.is_floating(kind):
        return ColumnDescription(field.name, own.kind, own.precision, own.scale, field.nullable)
    if pa.types.is_decimal128(kind) and 0 <= kind.scale <= kind.precision:
        return ColumnDescription(
            field.name, TypeKind.DECIMAL, kind.precision, kind.scale, field.nullable
        )
    return ColumnDescription(field.name, _type_kind(kind), nullable=field.nullable)


def _type_kind(kind: pa.DataType) -> TypeKind:
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return TypeKind.INTEGER
    kinds = {pa.string(): TypeKind.TEXT, pa.date32(): TypeKind.DATE, pa.bool_(): TypeKind.BOOLEAN}
    return kinds.get(kind, TypeKind.OTHER)


def _kind(error: arrow_odbc.Error) -> ErrorKind:
    words = str(error)
    if "Can't open lib" in words or "State: IM002" in words:
        return ErrorKind.MISSING
    match = _STATE.search(words)
    state = match[1] if match else ""
    if "SQLDriverConnect" in words and not state.startswith("HYT"):
        return ErrorKind.UNREACHABLE
    if "database is locked" in words:
        return ErrorKind.LOCKED
    return next((kind for begins, kind in _KINDS if state.startswith(begins)), ErrorKind.FAILED)


# --- options ------------------------------------------------------------------------------------


def _password(file: str | Path, variable: str) -> str:
    """Return the password, read anew for each connection.

    Raises:
        ConnectorError: REFUSED when others may read the file, or the variable is not set.
    """
    if variable:
        found = os.environ.get(variable, "")
        if not found:
            raise _refused(f"environment variable {variable} is empty or not set")
        return found
    if not file:
        return ""
    path = Path(file)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_mode & _OTHERS:
            raise _refused(f"others may read {path}: chmod 600 {path}")
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError):
        raise _refused(f"password file {path} cannot be read") from None


def _refused(detail: str) -> ConnectorError:
    return ConnectorError(ErrorKind.REFUSED, detail)
