"""What is injected, so that the pure stages have no clock, no randomness and no I/O of their own."""

from datetime import datetime
from typing import Protocol

__all__ = ["Clock", "Progress", "Rng"]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...


class Rng(Protocol):
    """The operating system's generator, replaceable by a seeded one in tests."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` unpredictable bytes."""
        ...


class Progress(Protocol):
    """Hears how long work advances."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` steps of ``stage`` are behind us."""
        ...
