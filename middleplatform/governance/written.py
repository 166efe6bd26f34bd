"""A bundle as it was written: the text of its files, read from a folder, kept, and given back unchanged.

Spec: docs/spec/policy-lifecycle.md, "Files".
"""

import io
import os
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, Any

from middleplatform.errors import ConfigError, QueryError

__all__ = ["BYTES_MAX", "FILES_MAX", "Written", "check_files", "read_folder", "write_folder"]

FILES_MAX = 256
BYTES_MAX = 4_000_000
"""Of all files of a bundle together."""
_ENDINGS = (".yaml", ".yml")


def read_folder(folder: Path) -> Mapping[str, str]:
    """Return the YAML files directly in ``folder``, text by name; what else lies there is no part of a bundle.

    Raises:
        ConfigError: C001 it cannot be read, or its files are too many, too large or no UTF-8.
    """
    found = {}
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name.endswith(_ENDINGS) and entry.is_file():
                found[entry.name] = entry.read_bytes().decode("utf-8")
                check_files(found)
    except OSError as error:
        what = (f"{folder} cannot be read as a folder", f"无法读取目录 {folder}")
        raise ConfigError("C001", what=what, detail=str(error)) from None
    except UnicodeDecodeError:
        what = (f"a file in {folder} is not UTF-8", f"{folder} 中有文件不是 UTF-8")
        raise ConfigError("C001", what=what) from None
    if not found:
        what = (f"{folder} holds no policy file", f"{folder} 中没有策略文件")
        raise ConfigError("C001", what=what)
    return found


def check_files(files: Mapping[str, str]) -> None:
    """Refuse what is no bundle's files, whoever sends them.

    Raises:
        ConfigError: C001.
    """
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in files.values())
    named = all(
        name.endswith(_ENDINGS) and Path(name).name == name and len(name) <= 255  # noqa: PLR2004 - a file name
        for name in files
    )
    plain = all(map(_sound, files.values()))
    if not files or len(files) > FILES_MAX or size > BYTES_MAX or not named or not plain:
        what = (
            f"a bundle is at most {FILES_MAX} YAML files of {BYTES_MAX} bytes together, in UTF-8",
            f"策略包至多 {FILES_MAX} 个 UTF-8 编码的 YAML 文件，合计不超过 {BYTES_MAX} 字节",
        )
        raise ConfigError("C001", what=what)


def _sound(text: str) -> bool:
    """Say whether a text has a form in UTF-8 that every database takes."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def write_folder(files: Mapping[str, str], folder: Path) -> None:
    """Write ``files`` into a new or empty folder, byte for byte.

    Raises:
        QueryError: Q040 something lies there already.
        ConfigError: C011 the file system refuses.
    """
    check_files(files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise QueryError("Q040", what=(f"{folder} is not empty", f"{folder} 不是空目录"))
        for name, text in files.items():
            (folder / name).write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise ConfigError("C011", what=str(folder), detail=str(error)) from None


class Written(Traversable):
    """Files in memory that are read like a folder, or one of them."""

    def __init__(self, name: str, content: Mapping[str, str] | str) -> None:
        """Take a folder's files by name, or one file's text."""
        self._name, self._content = name, content

    @property
    def name(self) -> str:
        """Return the name without any folder."""
        return self._name

    def is_dir(self) -> bool:
        """Say whether it is the folder."""
        return not isinstance(self._content, str)

    def is_file(self) -> bool:
        """Say whether it is a file."""
        return isinstance(self._content, str)

    def iterdir(self) -> Iterator["Written"]:
        """Yield the folder's files, by name."""
        if isinstance(self._content, str):
            raise NotADirectoryError(self._name)
        for name in sorted(self._content):
            yield Written(name, self._content[name])

    def joinpath(self, *descendants: str | os.PathLike[str]) -> "Written | Path":
        """Return the file of that name, or a path at which nothing is."""
        name = "/".join(os.fspath(each) for each in descendants)
        if isinstance(self._content, str) or name not in self._content:
            return Path(os.devnull, name)
        return Written(name, self._content[name])

    def __truediv__(self, child: str | os.PathLike[str]) -> "Written | Path":
        return self.joinpath(child)

    def read_bytes(self) -> bytes:
        """Return the file's bytes."""
        if not isinstance(self._content, str):
            raise IsADirectoryError(self._name)
        return self._content.encode("utf-8")

    def read_text(self, encoding: str | None = None) -> str:
        """Return the file's text."""
        return self.read_bytes().decode(encoding or "utf-8")

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:  # noqa: ANN401 - the protocol's own form
        """Open the file for reading."""
        data = io.BytesIO(self.read_bytes())
        return data if "b" in mode else io.TextIOWrapper(data, *args, **kwargs)
