"""How long each stage took, and who is told of progress when nobody asked."""

import time
import traceback

__all__ = ["Watch", "frames", "silent"]


def silent(stage: str, done: int, total: int) -> None:
    """Take note of nothing."""
    del stage, done, total


def frames(error: BaseException) -> str:
    """Return where an unexpected error came from, without its message: a message may quote a value."""
    places = [
        f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    return f"{type(error).__name__} at {' > '.join(places)}"


class Watch:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Give the time since the last lap to ``name``."""
        now = time.perf_counter()
        self.laps[name] = (now - self._last) * 1000
        self._last = now
