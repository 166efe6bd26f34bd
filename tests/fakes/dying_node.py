"""A node's program that ends itself without a word at a step of taking a policy, as a file in its state folder tells.

It is the real program but for that. Run as ``node serve`` is; ``dying`` tells a running one when to end.
"""

import os
import signal
import sys
from pathlib import Path

from middleplatform.node import held_policies

__all__ = ["STEPS", "dying"]

STEPS = ("entered", "drafted", "written")
"""After the entry is in the log; with the file half written; with the file in place and the old rules in force."""


def dying(state: Path, step: str) -> None:
    """Tell the node whose folder it is to end at this step of the next version."""
    (state / "dying").write_text(step, encoding="utf-8")


def main() -> int:
    """Run the node whose settings the command line names."""
    from middleplatform.cli.main import main as program  # noqa: PLC0415 - the tests import the rest

    file = Path(sys.argv[-1]).parent / "dying"
    write = held_policies.replace_private

    def due(step: str) -> bool:
        return file.exists() and file.read_text(encoding="utf-8") == step

    def written(path: Path, content: bytes) -> None:
        if path.suffix != ".version":
            write(path, content)
            return
        if due("entered"):
            _end(file)
        if due("drafted"):
            path.with_name(f".{path.name}.half").write_bytes(content[: len(content) // 2])
            _end(file)
        write(path, content)
        if due("written"):
            _end(file)

    held_policies.replace_private = written
    return program(sys.argv[1:])


def _end(file: Path) -> None:
    file.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
