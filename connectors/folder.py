"""The tables of a folder: which regular files each one has, and that these did not change meanwhile.

Links and special files are never followed, so nothing outside the folder is reached. What lies in a
table's own folder and is no Parquet file ends the reading: a part left out would be a wrong answer.
Names that begin with ``.`` or ``_`` are nobody's data.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TypeKind
from connectors.texts import declared

__all__ = ["Declaration", "Folder", "Identity", "StoredTable", "identity"]

Identity: TypeAlias = tuple[int, int, int, int]

_DECLARATION = ".schema.json"
_KEYS = {"columns", "encoding", "delimiter", "partitions"}
_ENCODINGS = ("utf-8", "gb18030")
_ENGINE_PATTERN = re.compile(r"[*?\[\]{}\\]")
_PARTITION_VALUES = {
    TypeKind.TEXT: re.compile(r"[^%]+"),
    TypeKind.INTEGER: re.compile(r"-?[0-9]{1,18}"),
    TypeKind.DATE: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What ``<table>.schema.json`` says.

    Attributes:
        columns: Of a CSV file, in order.
        encoding: Of a CSV file: ``utf-8`` or ``gb18030`` (GBK and GB 2312 are parts of it).
        delimiter: Of a CSV file, one character.
        partitions: Columns that the folders ``<name>=<value>`` of a Parquet table stand for,
            outermost first.
    """

    columns: tuple[ColumnDescription, ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","
    partitions: tuple[ColumnDescription, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredTable:
    """The files of one table.

    Attributes:
        files: Paths with what they were when they were listed, by name.
        is_csv: Else Parquet.
        declaration: The engineer's.
    """

    files: Mapping[str, Identity]
    is_csv: bool
    declaration: Declaration = field(default_factory=Declaration)


class Folder:
    """Lists tables at the time of one call.

    Args:
        root: The folder itself may be reached through a link.

    Raises:
        ConnectorError: MISSING there is none; UNREACHABLE it may not be read.
    """

    def __init__(self, root: Path) -> None:
        try:
            self._root = root.resolve(strict=True)
            self._entries = {
                entry.name: entry for entry in os.scandir(self._root) if _is_data(entry.name)
            }
        except (FileNotFoundError, NotADirectoryError):
            raise ConnectorError(ErrorKind.MISSING, f"no folder at {root}") from None
        except OSError as error:
            raise ConnectorError(ErrorKind.UNREACHABLE, str(error)) from None

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return sorted({name for name in map(self._table_name, self._entries.values()) if name})

    def table(self, name: str) -> StoredTable | None:
        """Return the files of a table, or None when there is none of that name.

        Raises:
            ConnectorError: REFUSED for a link or a name that the engine would take for a pattern;
                SCHEMA when it is there twice, or its folder has other things in it.
        """
        own = [
            entry for entry in self._entries.values() if name and self._table_name(entry) == name
        ]
        if not own:
            return None
        if len(own) > 1:
            raise ConnectorError(ErrorKind.SCHEMA, f"{name!r} is there more than once")
        declaration = self._declaration(name)
        is_csv = own[0].name.lower().endswith(".csv")
        files = dict(_parts(own[0], declaration))
        if not files:
            return None
        return StoredTable(files, is_csv, declaration)

    def _table_name(self, entry: "os.DirEntry[str]") -> str:
        if entry.is_dir():
            return entry.name
        path = Path(entry.name)
        return path.stem if path.suffix.lower() in (".parquet", ".csv") else ""

    def _declaration(self, name: str) -> Declaration:
        entry = self._entries.get(name + _DECLARATION)
        if entry is None:
            return Declaration()
        try:
            _checked(entry.path)
            text = Path(entry.path).read_text(encoding="utf-8-sig")
            return _declaration(json.loads(text, object_pairs_hook=_no_doubles))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConnectorError(ErrorKind.SCHEMA, f"{entry.path}: {error}") from None


def identity(status: os.stat_result) -> Identity:
    """Return what changes when a file is replaced or written to.

    Raises:
        ConnectorError: REFUSED when it is no regular file.
    """
    if not stat.S_ISREG(status.st_mode):
        raise ConnectorError(ErrorKind.REFUSED, "a link or a special file")
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _is_data(name: str) -> bool:
    return not name.startswith((".", "_"))


def _checked(path: str) -> Identity:
    if _ENGINE_PATTERN.search(path):
        raise ConnectorError(ErrorKind.REFUSED, f"{path}: a name with a character of patterns")
    try:
        return identity(os.lstat(path))
    except ConnectorError as error:
        raise ConnectorError(error.kind, f"{path}: {error.detail}") from None
    except OSError as error:
        raise ConnectorError(ErrorKind.FAILED, str(error)) from None


def _parts(entry: "os.DirEntry[str]", declaration: Declaration) -> Iterator[tuple[str, Identity]]:
    """Give the files of a table; folders below are read only as the declared partitions."""
    if not entry.is_dir(follow_symlinks=False):
        yield entry.path, _checked(entry.path)
        return
    folders = [entry.path]
    for column in declaration.partitions:
        folders = [
            below.path for folder in folders for below in _listed(folder) if _holds(below, column)
        ]
    for folder in folders:
        for part in _listed(folder):
            if not part.name.lower().endswith(".parquet"):
                raise ConnectorError(ErrorKind.SCHEMA, f"{part.path} is no Parquet file")
            yield part.path, _checked(part.path)


def _listed(folder: str) -> list["os.DirEntry[str]"]:
    try:
        found = [entry for entry in os.scandir(folder) if _is_data(entry.name)]
    except OSError as error:
        raise ConnectorError(ErrorKind.UNREACHABLE, str(error)) from None
    return sorted(found, key=lambda entry: entry.name)


def _holds(entry: "os.DirEntry[str]", column: ColumnDescription) -> bool:
    """Check that a folder is a value of a partition."""
    name, _, value = entry.name.partition("=")
    form = _PARTITION_VALUES[column.kind]
    well_formed = name == column.name and form.fullmatch(value) and value != _NO_VALUE
    if not well_formed or not entry.is_dir(follow_symlinks=False):
        raise ConnectorError(ErrorKind.SCHEMA, f"{entry.path} is no {column.name}=<{column.kind}>")
    return True


# --- declarations -------------------------------------------------------------------------------


def _declaration(content: Mapping[str, Any]) -> Declaration:
    if set(content) - _KEYS:
        raise ValueError(f"unknown {sorted(set(content) - _KEYS)}")
    made = Declaration(
        _columns(content.get("columns", {})),
        content.get("encoding", "utf-8"),
        content.get("delimiter", ","),
        _columns(content.get("partitions", {})),
    )
    if made.encoding not in _ENCODINGS or len(made.delimiter.encode()) != 1:
        raise ValueError(f"encoding is one of {_ENCODINGS}, delimiter one ASCII character")
    if any(column.kind not in _PARTITION_VALUES for column in made.partitions):
        raise ValueError("a partition is text, integer or date")
    return made


def _columns(words: Mapping[str, str]) -> tuple[ColumnDescription, ...]:
    return tuple(declared(name, word) for name, word in words.items())


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)
