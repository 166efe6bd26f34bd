"""The ``middleplatform`` command: every ending becomes an exit code.

Exit codes: 0 done; 2 usage; 10 to 17 by error class (docs/reference/errors.md); 130 interrupted;
141 the reader of a pipe went away.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from middleplatform.cli.context import Opener

__all__ = ["main"]

_INTERRUPTED, _PIPE_CLOSED = 130, 141


def main(arguments: Sequence[str] | None = None, opener: "Opener | None" = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The command line without the program's name; the process's own unless given.
        opener: Opens the platform; tests pass their own.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a test's stream may be a plain buffer
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # see above
    try:
        # Imported here, so that an interrupt during the import ends as cleanly as any other.
        from middleplatform.cli import program  # noqa: PLC0415 - see above

        return program.run(given) if opener is None else program.run(given, opener)
    except BrokenPipeError:
        # What Python flushes at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except KeyboardInterrupt:
        return _INTERRUPTED
