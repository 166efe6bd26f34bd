"""The files of a bundle in memory: what they may be, their digest, and reading them like a folder.

Spec: docs/spec/policy-lifecycle.md, "Files".
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, Any

from middleplatform.errors import ConfigError
from policies.documents import read

__all__ = ["BYTES_MAX", "ENDINGS", "FILES_MAX", "Written", "check_files", "content_digest", "said"]

FILES_MAX = 256
BYTES_MAX = 4_000_000
"""Of all files of a bundle together."""
ENDINGS = (".yaml", ".yml")


def content_digest(files: Mapping[str, str]) -> str:
    """Return the digest of files as they are written: other names or other bytes, another digest."""
    written = json.dumps(sorted(files.items()), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def check_files(files: Mapping[str, str]) -> None:
    """Refuse what is no bundle's files, whoever sends them.

    Raises:
        ConfigError: C001.
    """
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in files.values())
    named = all(
        name.endswith(ENDINGS) and Path(name).name == name and len(name) <= 255  # noqa: PLR2004 - a file name
        for name in files
    )
    plain = all(map(_sound, files.values()))
    if not files or len(files) > FILES_MAX or size > BYTES_MAX or not named or not plain:
        what = (
            f"a bundle is at most {FILES_MAX} YAML files of {BYTES_MAX} bytes together, in UTF-8",
            f"策略包至多 {FILES_MAX} 个 UTF-8 编码的 YAML 文件，合计不超过 {BYTES_MAX} 字节",
        )
        raise ConfigError("C001", what=what)


def said(name: str, text: str) -> object:
    """Return what one file says, read as strictly as a bundle's files are.

    Raises:
        ConfigError: C001 it is no such YAML.
    """
    document, problems = read(name, text)
    if problems:
        raise ConfigError("C001", problems=problems, what=problems[0].what)
    return document.value


def _sound(text: str) -> bool:
    """Say whether a text has a form in UTF-8 that every database takes."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


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
