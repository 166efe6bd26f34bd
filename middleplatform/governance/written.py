"""A bundle as it was written: the text of its files, read from a folder, kept, and given back unchanged.

Spec: docs/spec/policy-lifecycle.md, "Files".
"""

from collections.abc import Mapping
from pathlib import Path

from middleplatform.errors import ConfigError, QueryError
from middleplatform.policy.written import (
    BYTES_MAX,
    ENDINGS,
    FILES_MAX,
    Written,
    check_files,
)

__all__ = ["BYTES_MAX", "FILES_MAX", "Written", "check_files", "read_folder", "write_folder"]


def read_folder(folder: Path) -> Mapping[str, str]:
    """Return the YAML files directly in ``folder``, text by name; what else lies there is no part of a bundle.

    Raises:
        ConfigError: C001 it cannot be read, or its files are too many, too large or no UTF-8.
    """
    found = {}
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name.endswith(ENDINGS) and entry.is_file():
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
