"""``version``: which release this is, and of what it is made."""

import argparse
import platform
from importlib.metadata import version

from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf

__all__ = ["add", "run"]

_PARTS = ("middleplatform", "duckdb", "sqlglot", "pyarrow", "cryptography")


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    leaf(commands, say, "version", run, say("Print the version", "显示版本"))


def run(context: Context, _: argparse.Namespace) -> int:
    """Print the versions."""
    found = {name: version(name) for name in _PARTS} | {"python": platform.python_version()}
    if context.as_json:
        context.emit(found)
    else:
        parts = ", ".join(f"{name} {value}" for name, value in list(found.items())[1:])
        context.write(f"middleplatform {found['middleplatform']} ({parts})\n")
    return 0
