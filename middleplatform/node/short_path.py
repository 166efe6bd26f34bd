"""The address of a Unix socket holds 107 bytes; a state folder may lie deeper.

Reveals:
    Nothing.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["short_path"]

_BYTES_MAX = 107


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a name of ``path`` that fits an address, valid within the block.

    Raises:
        OSError: Its folder cannot be opened.
    """
    if len(os.fsencode(path)) <= _BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
