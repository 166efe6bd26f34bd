"""Registrations on disk: ``connectors/NAME.yaml`` in the node's state folder, whole or not at all.

The folder has mode 0700 and each file 0600. A file is written beside, brought to the disk and then moved under its
name, so an interrupted command leaves what was there before.

Reveals:
    Nothing: the files stay in the department; only ``NAME.published.json`` is made for others.
"""

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import yaml

from connectors.spi import ColumnDescription, TableDescription, TypeKind
from middleplatform.catalog.strict import read_strict
from middleplatform.errors import ConfigError
from middleplatform.node.registration.record import (
    How,
    Mapped,
    MappedDataset,
    Mark,
    Registration,
    Tested,
    plain_table,
)

__all__ = [
    "Staged",
    "check_name",
    "forget",
    "incomplete",
    "load_one",
    "names",
    "profile_path",
    "published_path",
    "read_json",
    "save",
    "staged",
    "text_of",
]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PLAIN = re.compile(r"[A-Za-z_/\u4e00-\u9fff][\w./\u4e00-\u9fff-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_HEAD = """\
# Registration of a connector 连接器登记
# It may be edited by hand; then it must be tested and published again. 可手工修改；修改后须重新检验并发布。
"""


def incomplete(name: str, english: str, chinese: str, *, detail: str = "") -> ConfigError:
    """Return C013 about the registration ``name``."""
    return ConfigError("C013", name=name, what=(english, chinese), detail=detail)


def check_name(name: str) -> str:
    """Return ``name`` when it may name a connector.

    Raises:
        ConfigError: C013.
    """
    if not _NAME.fullmatch(name):
        raise incomplete(
            ascii(name),
            "a name has up to 63 small letters, digits, _ and -, a letter first",
            "名称由小写字母、数字、_ 和 - 组成，以字母开头，最多 63 个字符",
        )
    return name


def _folder(state: Path) -> Path:
    return state / "connectors"


def _path(state: Path, name: str) -> Path:
    return _folder(state) / f"{check_name(name)}.yaml"


def profile_path(state: Path, name: str) -> Path:
    """Return where the full profile lies: for the department's engineer only."""
    return _folder(state) / f"{check_name(name)}.profile.json"


def published_path(state: Path, name: str) -> Path:
    """Return where the profile for the gateway lies."""
    return _folder(state) / f"{check_name(name)}.published.json"


def names(state: Path) -> tuple[str, ...]:
    """Return the names of all registrations, sorted."""
    folder = _folder(state)
    if not folder.is_dir():
        return ()
    return tuple(sorted(each.stem for each in folder.glob("*.yaml") if _NAME.fullmatch(each.stem)))


def load_one(state: Path, name: str) -> Registration:
    """Read a registration.

    Raises:
        ConfigError: C013 there is none, or the file is not as it must be (each problem with its line).
    """
    path = _path(state, name)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise incomplete(name, "there is no such registration", "没有该登记") from None
    except OSError as error:
        raise incomplete(
            name, f"{path} cannot be read", f"无法读取 {path}", detail=str(error)
        ) from None
    value, problems = read_strict(path.name, text, "connector")
    if problems[0]:
        raise incomplete(name, *problems)
    return _registration(name, cast("Mapping[str, Any]", value))


def _registration(name: str, raw: Mapping[str, Any]) -> Registration:
    tables = {table: _table(columns) for table, columns in raw["tables"].items()}
    datasets = {dataset: _dataset(each) for dataset, each in raw["datasets"].items()}
    stray = sorted({each.table.physical for each in datasets.values()} - set(tables))
    if raw["name"] != name or stray:
        lost = stray or [raw["name"]]
        raise incomplete(
            name, f"the file does not fit itself: {lost}", f"文件内容前后不一致：{lost}"
        )
    tested, published = raw.get("tested"), raw.get("published")
    return Registration(
        name=name,
        department=raw["department"],
        kind=raw["kind"],
        options=raw["options"],
        added_at=raw["added_at"],
        tables=tables,
        datasets=datasets,
        tested=Tested(tested["at"], tested["fingerprint"], tested["passed"]) if tested else None,
        published=Mark(published["at"], published["by"], published["fingerprint"])
        if published
        else None,
    )


def _table(columns: list[Mapping[str, Any]]) -> TableDescription:
    return TableDescription(
        tuple(
            ColumnDescription(
                each["name"],
                TypeKind(each["kind"]),
                each.get("precision", 0),
                each.get("scale", 0),
                each.get("nullable", True),
            )
            for each in columns
        )
    )


def _dataset(raw: Mapping[str, Any]) -> MappedDataset:
    columns = {name: _mapped(each) for name, each in raw["columns"].items()}
    return MappedDataset(_mapped(raw["table"]), columns)


def _mapped(raw: Mapping[str, str]) -> Mapped:
    return Mapped(raw["physical"], How(raw["how"]), raw["state"] == "accepted")


# --- writing ----------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Quotes every text that is not a plain word, so that it is read back as the text that it is."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    plain = bool(_PLAIN.fullmatch(value)) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def text_of(registration: Registration) -> str:
    """Return the file of a registration: the same registration, the same text."""
    value: dict[str, object] = {
        "name": registration.name,
        "department": registration.department,
        "kind": registration.kind,
        "options": dict(registration.options),
        "added_at": registration.added_at,
        "datasets": {
            name: {
                "table": _plain(each.table),
                "columns": {column: _plain(item) for column, item in each.columns.items()},
            }
            for name, each in registration.datasets.items()
        },
        "tables": {name: plain_table(table) for name, table in registration.tables.items()},
    }
    if registration.tested is not None:
        mark = registration.tested
        value["tested"] = {"at": mark.at, "fingerprint": mark.digest, "passed": mark.passed}
    if registration.published is not None:
        seal = registration.published
        value["published"] = {"at": seal.at, "by": seal.by, "fingerprint": seal.digest}
    body = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=120,
    )
    return _HEAD + body


def _plain(mapped: Mapped) -> dict[str, str]:
    state = "accepted" if mapped.accepted else "proposed"
    return {"physical": mapped.physical, "how": str(mapped.how), "state": state}


class TakenError(Exception):
    """There is a file of that name."""


class Staged:
    """Files that are on the disk under other names, to be moved under their own together."""

    def __init__(self) -> None:
        self._parts: list[tuple[Path, Path]] = []

    def add(self, path: Path, text: str) -> None:
        """Write ``text`` beside ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        self._parts.append((part, path))
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def move(self) -> None:
        """Put every file in its place."""
        for part, path in self._parts:
            part.replace(path)
        for folder in {path.parent for _, path in self._parts}:
            _sync(folder)
        self._parts.clear()

    def link(self) -> None:
        """Put the only file in its place unless there is one already.

        Raises:
            TakenError: There is one.
        """
        ((part, path),) = self._parts
        try:
            os.link(part, path)
        except FileExistsError:
            raise TakenError from None
        _sync(path.parent)

    def drop(self) -> None:
        """Remove what was not put in its place."""
        for part, _ in self._parts:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def staged() -> Iterator[Staged]:
    """Lend a set of files to be written together; whatever goes wrong, none is left half-written.

    Raises:
        ConfigError: C011 when the file system refuses.
    """
    files = Staged()
    try:
        yield files
    except OSError as error:
        raise ConfigError("C011", what=str(error.filename or ""), detail=str(error)) from None
    finally:
        files.drop()


def save(state: Path, registration: Registration, *, replace: bool = True) -> Path:
    """Write a registration and return its path.

    Raises:
        ConfigError: C013 one of the name exists and ``replace`` is not set; C011 the file system refuses.
    """
    path = _path(state, registration.name)
    try:
        with staged() as files:
            files.add(path, text_of(registration))
            if replace:
                files.move()
            else:
                files.link()
    except TakenError:
        raise incomplete(
            registration.name,
            "a connector of this name is registered; add --replace to register it anew",
            "同名连接器已登记；如需重新登记请加 --replace",
        ) from None
    return path


def forget(state: Path, name: str) -> None:
    """Remove the profiles of a registration that is made anew: they are of another source."""
    for path in (profile_path(state, name), published_path(state, name)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a profile's document, or None where there is none or it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
