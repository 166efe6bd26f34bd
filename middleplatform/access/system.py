"""The running machine: its clock and generator, for the ports, and how its C library keeps memory."""

import ctypes
import secrets
from contextlib import suppress
from datetime import UTC, datetime

__all__ = ["SystemClock", "SystemRng", "keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20
_MAPPED_BYTES = 32 << 20


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)


class SystemRng:
    """The operating system's generator."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` unpredictable bytes."""
        return secrets.token_bytes(count)


def keep_freed_memory() -> None:
    """Have the C library keep up to 256 MiB of freed memory for what comes next, in blocks below 32 MiB.

    By default each list or table of some megabytes is given back to the kernel when it is let go of, and the next one
    gets its pages anew, zeroed one by one. Where the library is another than glibc (mallopt(3)) nothing happens.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
